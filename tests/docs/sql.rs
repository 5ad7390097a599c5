//! The page of what Tidegate's SQL has beside DataFusion's.

use std::fmt::Write;

use tidegate_pipeline::sql::{Definition, FAMILIES};

const HEAD: &str = "<!-- Generated from the program by tests/docs; do not edit. -->
# SQL

Controls, `tidegate query` and the expressions of pipelines speak the same SQL: PostgreSQL's grammar,
[DataFusion's functions](https://datafusion.apache.org/user-guide/sql/scalar_functions.html), and what is on this page.
[The dialect](../how-to/write-a-control.md#the-dialect) says how they fit together.

A function of this page is NULL where an argument is NULL, and where an argument has no meaning (text that is no JSON, no
network, no ARN): one bad row never ends a query. `json` is JSON as text, or a map, a struct or a list; `key` is the name of a
member or the index of an element, from 0, or from the end where negative.

## Operators

| operator | example | what it gives |
|---|---|---|
| `->` | `raw->'Listeners'->0` | a part, as JSON; of a map, a struct or a list the part itself |
| `->>` | `raw->>'State'`, `tags->>'Owner'` | a part, as text |
| `#>`, `#>>` | `raw#>>'{Listeners,0,Port}'` | the same, by a path |
| `?`, `?&`, `?\\|` | `tags ? 'Owner'`, `raw ?& array['a', 'b']` | whether a key, every key, one of the keys is there |
| `@>`, `<@` | `raw @> '{\"State\": \"available\"}'` | whether all of the right is in the left, or the other way round |
| `&&` | `zones && array['a', 'b']` | whether two lists have an element in common |
| `::jsonb`, `::json` | `tags::jsonb` | `json(tags)` |
| `like any` | `name like any (array['a%', 'b%'])` | whether one of the patterns fits; `ilike any` too |
";

/// The page.
pub(crate) fn page() -> String {
    let mut page = HEAD.to_owned();
    for family in FAMILIES {
        let _ =
            write!(page, "\n## {}\n\n| function | gives | what it does | example |\n|---|---|---|---|\n", family.title);
        for definition in family.functions {
            let _ = writeln!(page, "{}", row(definition));
        }
    }
    page
}

fn row(definition: &Definition) -> String {
    let mut call = code(&definition.call());
    for alias in definition.aliases {
        let _ = write!(call, "<br>also {}", code(alias));
    }
    let (example, result) = definition.example;
    let summary = definition.summary.replace('|', "\\|");
    format!("| {call} | {} | {summary} | {} → {} |", definition.result.name(), code(example), code(result))
}

/// Code in a cell of a table.
fn code(text: &str) -> String {
    format!("`{}`", text.replace('|', "\\|"))
}
