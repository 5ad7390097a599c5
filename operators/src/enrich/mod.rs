//! `enrich: {table: owners.csv, on: resource_id}`: adds the columns of a table to each row.
//!
//! The table is a file (CSV with a header, JSON array, JSON lines, Parquet) or a table of another node of the
//! same pipeline (`node: inventory.host_user`). When the file changes it is loaded again, as a step: rows of
//! later steps see the new contents, and a replay sees them at the same step. A file that can no longer be
//! read as a table leaves the old contents in use and one row in `errors`. A node's table is the version
//! that was complete at the step of the row; before the first, nothing is found.
//!
//! Rows and table meet by `on`: equal values of the same name, or of the names that a map gives
//! (`{payload.host: name}`: the row's side first). The table's side is read as the type of the row's side;
//! NULL equals nothing. Keys are compared as 128-bit hashes.
//!
//! What is found of several rows with the same key is defined: the `first` of the table (the default), the
//! `last`, `all` (a row for each, in the order of the table), or an `error`. What is not found is NULL, or
//! the row is dropped (`missing: drop`). A column that rows bring only later and that has the name of a
//! column of the table gives way to it.
//!
//! CSV has no types: a column is whole numbers, numbers or true/false where every value of the file is, else
//! text; numbers that would not be written the same way again (`007`) stay text. Empty is NULL.

mod file;
mod index;
mod join;

use std::path::Path;
use std::sync::Arc;

use arrow::compute::can_cast_types;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use tidegate_pipeline::error::Result;
use tidegate_pipeline::expression::Expression;
use tidegate_pipeline::operator::{LookupFile, OperatorKind, PlanContext, PlannedOperator};
use tidegate_pipeline::rows::{OUT, Port};
use tidegate_pipeline::spec::diagnostic::{Diagnostic, Located};
use tidegate_pipeline::spec::{Options, PortReference, SqlText, Tree};

use crate::keys::comparable;
use crate::options;

pub use file::Format;
use join::{Enriching, Join};

/// The name under which the file's contents arrive.
const LOOKUP: &str = "table";

/// Options of `enrich`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct EnrichOptions {
    /// A file: CSV with a header, JSON (an array of objects), JSON lines or Parquet.
    table: Option<String>,
    /// A table of another node, as `node.table`.
    node: Option<String>,
    /// The columns that row and table meet by: a name, a list of names, or a map from the row's side to the
    /// table's side. The row's side may be any SQL expression.
    #[expect(dead_code, reason = "read from the tree, where each name has its place")]
    on: On,
    /// The columns to add; all but those of `on` if absent.
    columns: Option<Vec<String>>,
    /// Put before the name of every added column.
    #[serde(default)]
    prefix: String,
    /// What happens to a row that nothing is found for.
    #[serde(default)]
    missing: Missing,
    /// What is found where several rows of the table have the same key.
    #[serde(default)]
    matches: Matches,
    /// The format of the file; told from its name if absent.
    format: Option<Format>,
}

/// The columns that row and table meet by.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only the shape matters: the names are read from the tree, with their places")]
enum On {
    One(String),
    Several(Vec<String>),
    Pairs(std::collections::BTreeMap<String, String>),
}

/// What happens to a row that nothing is found for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Missing {
    /// The added columns are NULL.
    #[default]
    Null,
    /// It does not leave.
    Drop,
}

/// What is found where several rows of the table have the same key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Matches {
    /// The first of them.
    #[default]
    First,
    /// The last of them.
    Last,
    /// All of them: a row leaves once for each.
    All,
    /// Nothing: the row goes to `errors`.
    Error,
}

/// The kind `enrich`. See the [module](self) for what it promises.
pub struct Enrich;

impl OperatorKind for Enrich {
    fn name(&self) -> &'static str {
        "enrich"
    }

    fn summary(&self) -> &'static str {
        "adds the columns of a file or of another node's table to each row"
    }

    fn schema(&self) -> schemars::Schema {
        schema_for!(EnrichOptions)
    }

    fn plan(&self, options: &Options, context: &mut PlanContext<'_>) -> Result<PlannedOperator, Vec<Diagnostic>> {
        let read: EnrichOptions = options.read()?;
        let pairs = pairs(options)?;
        let key_names: Vec<&str> = pairs.iter().map(|pair| &*pair.table.value).collect();
        let table = Table::find(options, &read, context, &key_names).map_err(|mistake| vec![mistake])?;
        let mut mistakes = Vec::new();
        let mut keys = Vec::new();
        for pair in &pairs {
            let key = match Expression::plan(&pair.row, &context.schema, context.open, context.warnings) {
                Ok(key) => key,
                Err(mistake) => {
                    mistakes.push(mistake);
                    continue;
                }
            };
            match table.schema.field_with_name(&pair.table.value) {
                Ok(field) => mistakes.extend(unequal(field, &pair.table, &key)),
                Err(_) => mistakes.push(table.unknown(&pair.table)),
            }
            keys.push(key);
        }
        let columns = match &read.columns {
            Some(_) => options::texts(options, "columns"),
            None => {
                let names = table.schema.fields().iter().map(|field| field.name());
                let place = options::place(options, "on");
                names
                    .filter(|name| !key_names.contains(&name.as_str()))
                    .map(|name| Located::new(name.as_str().into(), place))
                    .collect()
            }
        };
        let added = added(&table, &columns, &read.prefix, &context.schema, &mut mistakes);
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let fields: Vec<Arc<Field>> =
            context.schema.fields().iter().cloned().chain(added.iter().map(|(_, field)| Arc::clone(field))).collect();
        let port = Port { name: OUT.into(), schema: Arc::new(Schema::new(fields)), open: context.open };
        let join = Join {
            node: context.node.into(),
            keys,
            table_keys: pairs.into_iter().map(|pair| pair.table.value.to_string()).collect(),
            added,
            missing: read.missing,
            matches: read.matches,
            source: table.source.clone(),
        };
        let mut planned = PlannedOperator::new(vec![port], move || Ok(Box::new(Enriching::new(join.clone()))));
        planned.lookups = table.lookup.into_iter().collect();
        planned.side_inputs = table.side_input.into_iter().collect();
        Ok(planned)
    }
}

/// A pair of what must be equal.
struct Pair {
    row: SqlText,
    table: Located<Arc<str>>,
}

/// The pairs of `on`. A name alone stands for both sides; of `payload.host` the table's side is `host`.
fn pairs(options: &Options) -> Result<Vec<Pair>, Vec<Diagnostic>> {
    let pairs: Vec<Pair> = match options::field(options, "on") {
        Some(on @ Located { value: Tree::Map(_), .. }) => {
            let text = |(row, table): &(Located<Arc<str>>, Located<Tree>)| {
                let row = options.sql(row);
                options::text(table, "on: {host: name}")
                    .map(|table| Pair { row, table })
                    .map_err(|mistake| vec![mistake])
            };
            options::entries(on).iter().map(text).collect::<Result<_, _>>()?
        }
        _ => {
            let both = |row: Located<Arc<str>>| {
                let last = row.value.rsplit('.').next().unwrap_or_default().trim_matches('"');
                Pair { table: Located::new(last.into(), row.place), row: options.sql(&row) }
            };
            options::texts(options, "on").into_iter().map(both).collect()
        }
    };
    match pairs.is_empty() {
        true => Err(vec![Diagnostic::error(options::place(options, "on"), "`on` is empty: rows and table never meet")]),
        false => Ok(pairs),
    }
}

/// What is wrong with comparing a column of the table with the row's side, if anything.
fn unequal(field: &Field, name: &Located<Arc<str>>, key: &Expression) -> Option<Diagnostic> {
    let (of_table, of_row) = (field.data_type(), key.data_type());
    let fits = *of_row == DataType::Null || can_cast_types(of_table, of_row) && comparable(of_row);
    let message =
        || format!("`{}` of the table is {of_table}, `{}` of the rows is {of_row}", name.value, key.sql().as_str());
    (!fits).then(|| Diagnostic::error(name.place, message()).with_help("meet by a text or a number"))
}

/// The table as planning sees it.
struct Table {
    schema: SchemaRef,
    source: join::Source,
    lookup: Option<LookupFile>,
    side_input: Option<Located<PortReference>>,
}

impl Table {
    fn find(
        options: &Options,
        read: &EnrichOptions,
        context: &PlanContext<'_>,
        keys: &[&str],
    ) -> Result<Self, Diagnostic> {
        match (&read.table, &read.node) {
            (Some(path), None) => Self::file(options, path, read.format, &context.working_directory, keys),
            (None, Some(node)) => Self::node(options, node, context),
            _ => Err(Diagnostic::error(options.tree.place, "`enrich` needs either `table` or `node`")
                .with_help("write `table: owners.csv` for a file, `node: inventory.host_user` for a node's table")),
        }
    }

    fn file(
        options: &Options,
        path: &str,
        format: Option<Format>,
        directory: &Path,
        keys: &[&str],
    ) -> Result<Self, Diagnostic> {
        let place = options::place(options, "table");
        let Some(format) = format.or_else(|| Format::of(path)) else {
            return Err(Diagnostic::error(place, format!("the name `{path}` does not tell the format"))
                .with_help("add `format: csv`, `json`, `jsonl` or `parquet`"));
        };
        let full = directory.join(path);
        let contents = std::fs::read(&full)
            .map_err(|error| Diagnostic::error(place, format!("cannot read the table `{path}`: {error}")))?;
        let rows = file::parse(&contents, format, keys)
            .map_err(|error| Diagnostic::error(place, format!("`{path}` is no {format} table: {error}")))?;
        Ok(Self {
            schema: rows.schema(),
            source: join::Source::File { path: path.into(), format },
            lookup: Some(LookupFile { name: LOOKUP.to_owned(), path: full }),
            side_input: None,
        })
    }

    fn node(options: &Options, node: &str, context: &PlanContext<'_>) -> Result<Self, Diagnostic> {
        let place = options::place(options, "node");
        let Some((name, table)) = node.split_once('.') else {
            return Err(Diagnostic::error(place, format!("`{node}` names no table"))
                .with_help(format!("write `node: {node}.TABLE`")));
        };
        let Some(tables) = (context.tables_of)(name) else {
            return Err(Diagnostic::error(place, format!("`{name}` is no node with tables"))
                .with_help("name a source of inventory, for example `inventory.host_user`"));
        };
        let Some(found) = tables.iter().find(|known| known.name.as_ref() == table) else {
            let names = tables.iter().map(|known| known.name.to_string());
            return Err(
                Diagnostic::error(place, format!("`{name}` has no table `{table}`")).with_expected(table, names)
            );
        };
        let reference = PortReference { node: name.into(), port: Some(table.into()) };
        Ok(Self {
            schema: Arc::clone(&found.schema),
            source: join::Source::Node { table: table.into() },
            lookup: None,
            side_input: Some(Located::new(reference, place)),
        })
    }

    fn unknown(&self, name: &Located<Arc<str>>) -> Diagnostic {
        Diagnostic::error(name.place, format!("the table has no column `{}`", name.value))
            .with_expected(&name.value, self.schema.fields().iter().map(|field| field.name().clone()))
    }
}

/// The added columns: the name in the table, and the field of the output.
fn added(
    table: &Table,
    columns: &[Located<Arc<str>>],
    prefix: &str,
    schema: &Schema,
    mistakes: &mut Vec<Diagnostic>,
) -> Vec<(String, Arc<Field>)> {
    let mut added: Vec<(String, Arc<Field>)> = Vec::new();
    for column in columns {
        let Ok(field) = table.schema.field_with_name(&column.value) else {
            mistakes.push(table.unknown(column));
            continue;
        };
        let name = format!("{prefix}{}", column.value);
        if schema.field_with_name(&name).is_ok() || added.iter().any(|(_, known)| *known.name() == name) {
            let message = format!("the rows have a column `{name}` already");
            let help = "set `prefix: \"…\"` for the added columns, or choose them with `columns: […]`";
            mistakes.push(Diagnostic::error(column.place, message).with_help(help));
        }
        let data_type = match field.data_type() {
            DataType::Null => DataType::Utf8,
            other => other.clone(),
        };
        added.push((column.value.to_string(), Arc::new(Field::new(name, data_type, true))));
    }
    added
}

#[cfg(test)]
mod tests;
