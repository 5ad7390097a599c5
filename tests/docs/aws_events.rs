//! The page of the events of AWS, and the tables that they change.

use std::collections::BTreeMap;
use std::fmt::Write;

use tidegate_aws::notification::{Catalogued, catalogue};

const HEAD: &str = "<!-- Generated from the program by tests/docs; do not edit. -->
# Events of AWS, and what they change

Notifications name what has happened. For each event that is known this page has the tables whose rows it changes, and where it names them; where
nothing is written there it does not, and the table is read whole, in that account and region. [How notifications come to a
provider](../how-to/providers/aws-events.md), and what is read besides.

A call that was refused (`errorCode`) or that only reads changes nothing. In arguments that AWS has wrapped (`CreateFlowLogsRequest`) the path begins inside.
";

/// The page.
pub(crate) fn page() -> String {
    let mut sources: BTreeMap<String, BTreeMap<String, Vec<Catalogued>>> = BTreeMap::new();
    for known in catalogue() {
        sources.entry(known.source.clone()).or_default().entry(known.table.to_owned()).or_default().push(known);
    }
    let mut page = HEAD.to_owned();
    for (source, tables) in sources {
        let _ = write!(page, "\n## {source}\n\n| table | event | where the id is |\n|---|---|---|\n");
        for (table, mut events) in tables {
            events.sort_by(|one, other| (&one.ids, &one.event).cmp(&(&other.ids, &other.event)));
            for same in events.chunk_by(|one, other| one.ids == other.ids) {
                let events: Vec<String> = same.iter().map(|known| format!("`{}`", known.event)).collect();
                let ids: Vec<String> = same[0].ids.iter().map(|path| format!("`{path}`")).collect();
                let _ = writeln!(page, "| `{table}` | {} | {} |", events.join("<br>"), ids.join("<br>"));
            }
        }
    }
    page
}
