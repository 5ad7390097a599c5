//! `query PIPELINE --history TABLE KEY=VALUE`: when rows changed, by which step, and from what to what.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use serde::Serialize;
use serde_json::{Map, Value};
use tidegate_pipeline::step::{StepNumber, StepTime};
use tidegate_pipeline::table::past::Past;
use tidegate_pipeline::table::{OPERATION, TableDefinition};

use super::functions::definition;
use super::note;
use crate::arguments::Format;
use crate::exit::{DONE, Failure};
use crate::output;

/// Columns whose names begin so say when and how a row was collected: a change of them alone is none.
const COLLECTED: &str = "_collected";

/// A change of one row.
#[derive(Debug, Serialize)]
struct Event {
    time: String,
    step: u64,
    /// `insert`, `update`, `delete`; `present`: it was there before the changes that are kept.
    op: String,
    arn: String,
    /// Which columns changed: old and new value, by name.
    changes: Map<String, Value>,
}

/// The values of a row by column, as text.
type Values = BTreeMap<String, Option<String>>;

/// Prints the history of the rows of `table` that ever had the values of all `conditions`. `None`: there is no
/// checkpoint yet.
pub(super) fn history(past: &Past, table: &str, conditions: &[String], format: Format) -> Result<Option<u8>, Failure> {
    let definition = definition(past, table)?;
    let conditions = conditions.iter().map(|text| condition(definition, text)).collect::<Result<Vec<_>, _>>()?;
    let Some(history) = past.history(table)? else { return Ok(None) };
    let mut told =
        Telling { definition, conditions, wanted: BTreeSet::new(), known: BTreeMap::new(), events: Vec::new() };
    let before: Vec<&RecordBatch> =
        history.before.iter().filter_map(|set| set.get(table)).flat_map(|version| version.batches()).collect();
    for rows in before.iter().copied().chain(history.changes.iter().map(|change| &change.rows)) {
        told.find(rows)?;
    }
    for rows in before {
        told.tell(rows, history.from, history.since)?;
    }
    for change in &history.changes {
        told.tell(&change.rows, change.step, change.time)?;
    }
    note(history.missing().as_deref());
    if told.events.is_empty() && format == Format::Text {
        output::print("no changes\n")?;
        return Ok(Some(DONE));
    }
    let header = ["time", "step", "op", "row", "changes"];
    output::records(format, &header, &told.events, |event| {
        let changes: Vec<String> = event.changes.iter().map(|(column, values)| said(column, values)).collect();
        vec![event.time.clone(), event.step.to_string(), event.op.clone(), event.arn.clone(), changes.join("\n")]
    })?;
    Ok(Some(DONE))
}

fn said(column: &str, values: &Value) -> String {
    let text = |name: &str| values[name].as_str().unwrap_or("NULL").to_owned();
    format!("{column}: {} → {}", text("old"), text("new"))
}

fn condition(definition: &TableDefinition, text: &str) -> Result<(String, String), Failure> {
    let Some((column, value)) = text.split_once('=') else {
        return Err(Failure::usage(format!(
            "`{text}` is no condition\nhelp: write COLUMN=VALUE, for example `name=root`"
        )));
    };
    if definition.schema.index_of(column).is_err() {
        let known: Vec<String> = definition.schema.fields().iter().map(|field| field.name().clone()).collect();
        return Err(Failure::unknown(&format!("column of `{}`", definition.name), column, &known));
    }
    Ok((column.to_owned(), value.to_owned()))
}

struct Telling<'a> {
    definition: &'a TableDefinition,
    conditions: Vec<(String, String)>,
    /// The keys of the rows that ever met the conditions.
    wanted: BTreeSet<Vec<String>>,
    /// What is known of each.
    known: BTreeMap<Vec<String>, Values>,
    events: Vec<Event>,
}

impl Telling<'_> {
    /// Notes the keys of rows that meet the conditions.
    fn find(&mut self, rows: &RecordBatch) -> Result<(), Failure> {
        let meets: Vec<_> = self.conditions.iter().map(|(column, value)| (text_of(rows, column), value)).collect();
        let keys = self.keys(rows);
        for row in 0..rows.num_rows() {
            if meets
                .iter()
                .all(|(column, value)| column.as_ref().is_some_and(|column| column.value(row).to_string() == **value))
            {
                self.wanted.insert(key_of(&keys, row));
            }
        }
        Ok(())
    }

    /// Tells what `rows`, contents or changes, do to the rows that are wanted.
    fn tell(&mut self, rows: &RecordBatch, step: StepNumber, time: StepTime) -> Result<(), Failure> {
        let operations = text_of(rows, OPERATION);
        let keys = self.keys(rows);
        for row in 0..rows.num_rows() {
            let key = key_of(&keys, row);
            if !self.wanted.contains(&key) {
                continue;
            }
            let op = operations.as_ref().map_or_else(|| "present".to_owned(), |column| column.value(row).to_string());
            let values = self.values(&rows.slice(row, 1));
            let arn = values.get("arn").cloned().flatten().unwrap_or_else(|| key.join("/"));
            let changes = match (self.known.get(&key), op.as_str()) {
                (Some(before), "insert" | "update") => differences(self.definition, before, &values),
                _ => Map::new(),
            };
            match op.as_str() {
                "delete" => drop(self.known.remove(&key)),
                _ => drop(self.known.insert(key, values)),
            }
            self.events.push(Event { time: time.to_string(), step: step.0, op, arn, changes });
        }
        Ok(())
    }

    fn keys<'b>(&self, rows: &'b RecordBatch) -> Vec<Option<ArrayFormatter<'b>>> {
        let scope = ["account_id", "region"].into_iter().chain(self.definition.key.iter().copied());
        scope.map(|column| text_of(rows, column)).collect()
    }

    fn values(&self, row: &RecordBatch) -> Values {
        let value = |field: &std::sync::Arc<arrow::datatypes::Field>| {
            let column = row.column_by_name(field.name())?;
            let text = text_of(row, field.name())?;
            Some((field.name().clone(), column.is_valid(0).then(|| text.value(0).to_string())))
        };
        self.definition.schema.fields().iter().filter_map(value).collect()
    }
}

fn text_of<'a>(rows: &'a RecordBatch, column: &str) -> Option<ArrayFormatter<'a>> {
    const OPTIONS: FormatOptions<'static> = FormatOptions::new();
    rows.column_by_name(column).and_then(|column| ArrayFormatter::try_new(column.as_ref(), &OPTIONS).ok())
}

fn key_of(columns: &[Option<ArrayFormatter<'_>>], row: usize) -> Vec<String> {
    columns
        .iter()
        .map(|column| column.as_ref().map_or_else(String::new, |column| column.value(row).to_string()))
        .collect()
}

/// Old and new value of each column that differs, in the order of the table.
fn differences(definition: &TableDefinition, before: &Values, after: &Values) -> Map<String, Value> {
    let names = definition.schema.fields().iter().map(|field| field.name());
    let differing = names.filter(|name| !name.starts_with(COLLECTED) && before.get(*name) != after.get(*name));
    let value = |values: &Values, name: &String| values.get(name).cloned().flatten();
    differing
        .map(|name| (name.clone(), serde_json::json!({"old": value(before, name), "new": value(after, name)})))
        .collect()
}
