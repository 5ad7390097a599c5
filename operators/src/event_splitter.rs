//! `event_splitter: {splitter_key: payload.alerts}`: an event for each item of a list.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, ListArray, RecordBatch, RecordBatchOptions, StringArray, StructArray,
    UInt64Array,
};
use arrow::compute::{cast, filter_record_batch, take};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema as ArrowSchema, SchemaRef};
use arrow::json::ReaderBuilder;
use arrow::json::reader::infer_json_schema;
use async_trait::async_trait;
use schemars::{JsonSchema, Schema, schema_for};
use serde::Deserialize;
use serde_json::{Map, Value};
use tidegate_pipeline::envelope::{META, UUID};
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::expression::BadRow;
use tidegate_pipeline::operator::{InputIndex, Operator, OperatorKind, Output, PlanContext, PlannedOperator};
use tidegate_pipeline::rows::{OUT, Port, PortIndex};
use tidegate_pipeline::spec::diagnostic::Diagnostic;
use tidegate_pipeline::spec::{Named, Options};
use tidegate_pipeline::step::StepHeader;
use uuid::Uuid;

use crate::member_path::MemberPath;
use crate::{options, rejection};

/// Options of `event_splitter`. Paths have dots between their parts.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SplitterOptions {
    /// The path of the list.
    splitter_key: String,
    /// What each new event takes along from the old one: its new key, and the path that it has there.
    #[serde(default)]
    attributes_key_map: Named<String>,
    /// What each new event has besides.
    #[serde(default)]
    extras: Map<String, Value>,
    /// Whether an event without the list, or without one of the attributes, goes to `errors`; else it stays as it is.
    #[serde(default)]
    raise_error: bool,
}

/// The kind `event_splitter`.
///
/// New events have `meta` of the old one, with a `uuid` of their own that is derived from its.
pub struct EventSplitter;

impl OperatorKind for EventSplitter {
    fn name(&self) -> &'static str {
        "event_splitter"
    }

    fn summary(&self) -> &'static str {
        "makes an event of each item of a list"
    }

    fn schema(&self) -> Schema {
        schema_for!(SplitterOptions)
    }

    fn plan(&self, options: &Options, context: &mut PlanContext<'_>) -> Result<PlannedOperator, Vec<Diagnostic>> {
        let read: SplitterOptions = options.read()?;
        let mistake = |key: &str, message: String| Diagnostic::error(options::place(options, key), message);
        let extras = extras(&read.extras)
            .map_err(|error| vec![mistake("extras", format!("`extras` cannot be columns: {}", error.message))])?;
        let splitter = Splitter {
            path: MemberPath::new(&read.splitter_key, "."),
            attributes: read
                .attributes_key_map
                .iter()
                .map(|(new, path)| (new.value.clone(), MemberPath::new(path, ".")))
                .collect(),
            extras,
            raise_error: read.raise_error,
        };
        let found = splitter.path.data_type(&context.schema);
        if let Some(found) = found.as_ref().filter(|found| objects(found).is_none() && !found.is_null()) {
            let message = format!("`{}` is no list of objects: it is {found}", read.splitter_key);
            return Err(vec![mistake("splitter_key", message)]);
        }
        if found.is_none() && !context.open {
            let message = format!("there is no `{}` here", read.splitter_key);
            return Err(vec![mistake("splitter_key", message)]);
        }
        // An event that stays as it is brings its own columns along.
        let schema = splitter.schema(&context.schema);
        let port = Port { name: OUT.into(), schema, open: context.open || !read.raise_error };
        Ok(PlannedOperator::new(vec![port], move || Ok(Box::new(splitter.clone()))))
    }
}

/// The members of the items of a list of objects.
fn objects(data_type: &DataType) -> Option<&Fields> {
    match data_type {
        DataType::List(item) | DataType::LargeList(item) => match item.data_type() {
            DataType::Struct(members) => Some(members),
            _ => None,
        },
        _ => None,
    }
}

/// Values as a row of columns.
fn extras(values: &Map<String, Value>) -> Result<RecordBatch> {
    let text = Value::Object(values.clone()).to_string();
    let (schema, _) = infer_json_schema(text.as_bytes(), None)?;
    let schema = Arc::new(schema);
    let mut reader = ReaderBuilder::new(Arc::clone(&schema)).build(text.as_bytes())?;
    Ok(reader.next().transpose()?.unwrap_or_else(|| RecordBatch::new_empty(schema)))
}

#[derive(Debug, Clone)]
struct Splitter {
    path: MemberPath,
    attributes: Vec<(String, MemberPath)>,
    /// One row, or none where there are no extras.
    extras: RecordBatch,
    raise_error: bool,
}

/// Columns by name; a later one of the same name replaces an earlier one.
#[derive(Default)]
struct Columns {
    fields: Vec<FieldRef>,
    values: Vec<ArrayRef>,
}

impl Columns {
    fn set(&mut self, name: &str, values: ArrayRef) {
        let field = Arc::new(Field::new(name, values.data_type().clone(), true));
        match self.fields.iter().position(|field| field.name() == name) {
            Some(place) => (self.fields[place], self.values[place]) = (field, values),
            None => {
                self.fields.push(field);
                self.values.push(values);
            }
        }
    }

    fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|field| field.name() == name)
    }
}

#[async_trait]
impl Operator for Splitter {
    async fn process(&mut self, _: &StepHeader, _: InputIndex, rows: &RecordBatch, out: &mut Output) -> Result<()> {
        let list = self.path.find(rows)?;
        let lists = match &list {
            Some(values) if objects(values.data_type()).is_some() => Some(as_lists(values)?),
            _ => None,
        };
        let mut bad: Vec<BadRow> = Vec::new();
        let mut start = 0;
        while start < rows.num_rows() {
            let has_list = |row: usize| lists.as_ref().is_some_and(|lists| lists.is_valid(row));
            let splits = has_list(start);
            let length = (start..rows.num_rows()).take_while(|row| has_list(*row) == splits).count();
            let same = rows.slice(start, length);
            match &lists {
                Some(lists) if splits => self.split(&same, &lists.slice(start, length), start, &mut bad, out)?,
                _ => self.without_list(&same, list.as_ref(), start, &mut bad, out)?,
            }
            start += length;
        }
        rejection::reject(rows, bad, out)
    }
}

fn as_lists(values: &ArrayRef) -> Result<ListArray> {
    Ok(match values.data_type() {
        DataType::LargeList(item) => cast(values, &DataType::List(Arc::clone(item)))?.as_list::<i32>().clone(),
        _ => values.as_list::<i32>().clone(),
    })
}

impl Splitter {
    /// Rows whose path leads to no list of objects.
    fn without_list(
        &self,
        rows: &RecordBatch,
        found: Option<&ArrayRef>,
        first: usize,
        bad: &mut Vec<BadRow>,
        out: &mut Output,
    ) -> Result<()> {
        let is_something =
            |row: usize| found.is_some_and(|values| !values.data_type().is_null() && values.is_valid(row));
        let passing: BooleanArray =
            (0..rows.num_rows()).map(|row| Some(!self.raise_error && !is_something(first + row))).collect();
        for row in (0..rows.num_rows()).filter(|row| !passing.value(*row)).map(|row| first + row) {
            let reason = match is_something(row) {
                true => format!("`{}` is no list of objects", self.path.text()),
                false => format!("the event has no `{}`", self.path.text()),
            };
            bad.push(BadRow { row, reason });
        }
        out.emit(PortIndex(0), filter_record_batch(rows, &passing)?);
        Ok(())
    }

    /// The rows that have a list; `first` is the number of the first one.
    fn split(
        &self,
        rows: &RecordBatch,
        lists: &ListArray,
        first: usize,
        bad: &mut Vec<BadRow>,
        out: &mut Output,
    ) -> Result<()> {
        let mut attributes = Vec::new();
        for (name, path) in &self.attributes {
            attributes.push((name, path, path.find(rows)?));
        }
        let (mut parents, mut places, mut numbers) = (Vec::new(), Vec::new(), Vec::new());
        // Row by row: each has items of its own number.
        for row in 0..rows.num_rows() {
            let missing =
                attributes.iter().find(|(_, _, values)| values.as_ref().is_none_or(|values| values.is_null(row)));
            if let Some((_, path, _)) = missing.filter(|_| self.raise_error) {
                bad.push(BadRow { row: first + row, reason: format!("the event has no `{}`", path.text()) });
                continue;
            }
            let (from, to) = (lists.value_offsets()[row], lists.value_offsets()[row + 1]);
            for (number, place) in (from..to).enumerate() {
                if lists.values().is_null(place as usize) {
                    let reason = format!("item {number} of `{}` is no object", self.path.text());
                    bad.push(BadRow { row: first + row, reason });
                    continue;
                }
                parents.push(row as u64);
                places.push(place as u64);
                numbers.push(number);
            }
        }
        let parents = UInt64Array::from(parents);
        let items = take(lists.values(), &UInt64Array::from(places), None)?;
        let mut columns = Columns::default();
        let (members, values, _) = items.as_struct().clone().into_parts();
        members.iter().zip(values).for_each(|(member, values)| columns.set(member.name(), values));
        for (name, _, values) in attributes {
            if let Some(values) = values {
                columns.set(name, take(&values, &parents, None)?);
            }
        }
        self.set_extras(parents.len(), &mut columns)?;
        if let Some(meta) = rows.column_by_name(META).filter(|_| !columns.has(META)) {
            columns.set(META, with_own_uuids(&take(meta, &parents, None)?, &numbers)?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(parents.len()));
        let schema = Arc::new(ArrowSchema::new(columns.fields));
        out.emit(PortIndex(0), RecordBatch::try_new_with_options(schema, columns.values, &options)?);
        Ok(())
    }

    fn set_extras(&self, rows: usize, columns: &mut Columns) -> Result<()> {
        let firsts = UInt64Array::from(vec![0; rows]);
        for (field, values) in self.extras.schema_ref().fields().iter().zip(self.extras.columns()) {
            columns.set(field.name(), take(values, &firsts, None)?);
        }
        Ok(())
    }

    /// The columns of the new events, as far as they are known.
    fn schema(&self, input: &SchemaRef) -> SchemaRef {
        let mut fields: Vec<FieldRef> = Vec::new();
        let mut set = |name: &str, data_type: DataType| {
            let field = Arc::new(Field::new(name, data_type, true));
            match fields.iter().position(|field| field.name() == name) {
                Some(place) => fields[place] = field,
                None => fields.push(field),
            }
        };
        let list = self.path.data_type(input);
        let members = list.as_ref().and_then(objects).cloned().unwrap_or_else(Fields::empty);
        members.iter().for_each(|member| set(member.name(), member.data_type().clone()));
        for (name, path) in &self.attributes {
            if let Some(data_type) = path.data_type(input) {
                set(name, data_type);
            }
        }
        self.extras.schema_ref().fields().iter().for_each(|extra| set(extra.name(), extra.data_type().clone()));
        if let Ok(meta) = input.field_with_name(META)
            && !fields.iter().any(|field| field.name() == META)
        {
            fields.push(Arc::new(Field::new(META, meta.data_type().clone(), true)));
        }
        Arc::new(ArrowSchema::new(fields))
    }
}

/// `meta` of new events: each with a uuid that follows from the old one's and its number among the items.
fn with_own_uuids(meta: &ArrayRef, numbers: &[usize]) -> Result<ArrayRef> {
    let Some(objects) = meta.as_struct_opt() else { return Ok(Arc::clone(meta)) };
    let (members, mut values, nulls) = objects.clone().into_parts();
    let Some((place, _)) = members.find(UUID).filter(|(_, member)| *member.data_type() == DataType::Utf8) else {
        return Ok(Arc::clone(meta));
    };
    let own = |(old, number): (Option<&str>, &usize)| {
        old.map(|old| Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{old}/{number}").as_bytes()).to_string())
    };
    let uuids: StringArray = values[place].as_string::<i32>().iter().zip(numbers).map(own).collect();
    values[place] = Arc::new(uuids);
    Ok(Arc::new(StructArray::try_new(members, values, nulls).map_err(Error::from)?))
}

#[cfg(test)]
mod tests {
    use tidegate_pipeline::spec::Tree;
    use tidegate_pipeline::spec::diagnostic::Located;

    use super::*;
    use crate::testing::{Bench, diagnostics, entries, lines, map, rows};

    fn nested(fields: &[(&str, Tree)]) -> Tree {
        let nowhere = tidegate_pipeline::spec::NOWHERE;
        let entry =
            |(key, value): &(&str, Tree)| (Located::new((*key).into(), nowhere), Located::new(value.clone(), nowhere));
        Tree::Map(fields.iter().map(entry).collect())
    }

    fn options(raise_error: bool) -> Options {
        entries([
            ("splitter_key", Tree::Text("p.alerts".into())),
            ("attributes_key_map", nested(&[("region", Tree::Text("p.zone".into())), ("id", Tree::Text("id".into()))])),
            ("extras", nested(&[("team", Tree::Text("sre".into())), ("tier", Tree::Integer(1))])),
            ("raise_error", Tree::Bool(raise_error)),
        ])
    }

    async fn split(options: Options, objects: &[&str]) -> (Vec<String>, Vec<String>) {
        let rows = rows(objects);
        let mut bench = Bench::new(&EventSplitter, options, rows.schema());
        bench.step(0, &rows).await;
        let (mut ports, rejected) = bench.everything();
        (ports.remove(0), rejected)
    }

    #[tokio::test]
    async fn each_item_is_an_event_with_attributes_and_extras() {
        let given = [
            r#"{"p":{"alerts":[{"a":1},{"a":2,"id":"own"}],"zone":"z"},"id":"x"}"#,
            r#"{"p":{"alerts":[],"zone":"z"},"id":"none"}"#,
            r#"{"p":{"alerts":[{"a":3}]},"id":"y"}"#,
        ];
        let (events, rejected) = split(options(false), &given).await;
        let expected = [
            r#"{"a":1,"id":"x","region":"z","team":"sre","tier":1}"#,
            r#"{"a":2,"id":"x","region":"z","team":"sre","tier":1}"#,
            r#"{"a":3,"id":"y","team":"sre","tier":1}"#,
        ];
        assert_eq!((events, rejected.len()), (lines(&expected), 0));
    }

    #[tokio::test]
    async fn an_event_without_its_list_stays_as_it_is_in_its_place_or_goes_to_errors() {
        let given = [
            r#"{"p":{"alerts":[{"a":1}],"zone":"z"},"id":"x"}"#,
            r#"{"id":"y"}"#,
            r#"{"p":{"alerts":[{"a":2}],"zone":"z"},"id":"z"}"#,
        ];
        let (events, _) = split(options(false), &given).await;
        assert_eq!((events.len(), events[1].as_str()), (3, r#"{"id":"y"}"#));
        let (events, rejected) = split(options(true), &given).await;
        assert_eq!((events.len(), rejected), (2, lines(&["the event has no `p.alerts`"])));
        let (events, rejected) = split(options(true), &[r#"{"p":{"alerts":[{"a":1}]},"id":"x"}"#]).await;
        assert_eq!((events.len(), rejected), (0, lines(&["the event has no `p.zone`"])));
    }

    #[tokio::test]
    async fn new_events_have_the_old_meta_and_uuids_of_their_own() {
        let given = r#"{"l":[{"a":1},{"a":2}],"meta":{"uuid":"u","hosts":["h"]}}"#;
        let (events, _) = split(map(&[("splitter_key", "l")]), &[given]).await;
        let uuid =
            |line: &str| serde_json::from_str::<Value>(line).unwrap()["meta"]["uuid"].as_str().unwrap().to_owned();
        assert_eq!(uuid(&events[0]), Uuid::new_v5(&Uuid::NAMESPACE_OID, b"u/0").to_string());
        assert_ne!(uuid(&events[0]), uuid(&events[1]));
        assert!(events.iter().all(|event| event.contains(r#""hosts":["h"]"#)));
    }

    #[test]
    fn a_path_that_is_no_list_of_objects_is_refused_where_that_is_known() {
        let found = diagnostics(&EventSplitter, map(&[("splitter_key", "a")]), rows(&[r#"{"a":1}"#]).schema());
        assert_eq!(found[0].message, "`a` is no list of objects: it is Int64");
        let found = diagnostics(&EventSplitter, map(&[("splitter_key", "b")]), rows(&[r#"{"a":1}"#]).schema());
        assert_eq!(found[0].message, "there is no `b` here");
    }
}
