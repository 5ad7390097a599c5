//! `insert_hosts_to_meta: {host_path: payload.host}`: says in `meta.hosts` which hosts an event is about.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, ListArray, ListBuilder, RecordBatch, StringArray, StringBuilder,
    StructArray,
};
use arrow::buffer::NullBuffer;
use arrow::compute::{cast, filter_record_batch, kernels::zip::zip};
use arrow::datatypes::{DataType, Field, Fields, Schema as ArrowSchema, SchemaRef};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use async_trait::async_trait;
use schemars::{JsonSchema, Schema, schema_for};
use serde::Deserialize;
use tidegate_pipeline::envelope::{HOSTS, META};
use tidegate_pipeline::error::Result;
use tidegate_pipeline::expression::BadRow;
use tidegate_pipeline::operator::{InputIndex, Operator, OperatorKind, Output, PlanContext, PlannedOperator};
use tidegate_pipeline::rows::{OUT, Port, PortIndex};
use tidegate_pipeline::spec::Options;
use tidegate_pipeline::spec::diagnostic::Diagnostic;
use tidegate_pipeline::step::StepHeader;

use crate::member_path::MemberPath;
use crate::{options, rejection};

/// Options of `insert_hosts_to_meta`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct HostsOptions {
    /// Where the event says its hosts: text, or a list of texts. Without it events stay as they are.
    host_path: Option<String>,
    /// What stands between several hosts in a text.
    host_separator: Option<String>,
    /// What stands between the parts of `host_path`.
    #[serde(default = "dot")]
    path_separator: String,
    /// Whether an event without the path goes to `errors`; else it stays as it is.
    #[serde(default)]
    raise_error: bool,
    /// Whether events without the path are told in the log.
    #[serde(default = "yes")]
    log_error: bool,
}

fn dot() -> String {
    ".".to_owned()
}

fn yes() -> bool {
    true
}

/// The kind `insert_hosts_to_meta`. What is no host name goes to `errors`.
pub struct InsertHostsToMeta;

impl OperatorKind for InsertHostsToMeta {
    fn name(&self) -> &'static str {
        "insert_hosts_to_meta"
    }

    fn summary(&self) -> &'static str {
        "says in `meta.hosts` which hosts an event is about"
    }

    fn schema(&self) -> Schema {
        schema_for!(HostsOptions)
    }

    fn plan(&self, options: &Options, context: &mut PlanContext<'_>) -> Result<PlannedOperator, Vec<Diagnostic>> {
        let read: HostsOptions = options.read()?;
        let path = read.host_path.as_ref().map(|path| MemberPath::new(path, &read.path_separator));
        let missing = path.as_ref().filter(|path| path.data_type(&context.schema).is_none());
        if let Some(path) = missing.filter(|_| !context.open) {
            let message = format!("there is no `{}` here: no event says its hosts", path.text());
            context.warnings.push(Diagnostic::warning(options::place(options, "host_path"), message));
        }
        let schema = match &path {
            Some(_) => with_hosts(&context.schema),
            None => Arc::clone(&context.schema),
        };
        let port = Port { name: OUT.into(), schema, open: context.open };
        let node: Arc<str> = context.node.into();
        Ok(PlannedOperator::new(vec![port], move || {
            Ok(Box::new(Running {
                options: read.clone(),
                path: path.clone(),
                node: Arc::clone(&node),
                missing: 0,
                told: 0,
            }))
        }))
    }
}

fn hosts_type() -> DataType {
    DataType::List(Arc::new(Field::new("item", DataType::Utf8, true)))
}

/// The members of `meta` with `hosts` among them.
fn members_with_hosts(members: &Fields) -> Fields {
    let hosts = Field::new(HOSTS, hosts_type(), true);
    match members.find(HOSTS) {
        None => members.iter().cloned().chain([Arc::new(hosts)]).collect(),
        Some((place, _)) => {
            let mut members: Vec<_> = members.iter().cloned().collect();
            members[place] = Arc::new(hosts);
            members.into()
        }
    }
}

fn with_hosts(schema: &SchemaRef) -> SchemaRef {
    let members = match schema.field_with_name(META).map(Field::data_type) {
        Ok(DataType::Struct(members)) => members.clone(),
        Ok(_) => return Arc::clone(schema),
        Err(_) => Fields::empty(),
    };
    let meta = Arc::new(Field::new(META, DataType::Struct(members_with_hosts(&members)), true));
    let mut fields: Vec<_> = schema.fields().iter().cloned().collect();
    match schema.index_of(META) {
        Ok(place) => fields[place] = meta,
        Err(_) => fields.push(meta),
    }
    Arc::new(ArrowSchema::new(fields))
}

struct Running {
    options: HostsOptions,
    path: Option<MemberPath>,
    node: Arc<str>,
    missing: u64,
    told: u64,
}

#[async_trait]
impl Operator for Running {
    async fn process(&mut self, _: &StepHeader, _: InputIndex, rows: &RecordBatch, out: &mut Output) -> Result<()> {
        let Some(path) = self.path.clone() else {
            out.emit(PortIndex(0), rows.clone());
            return Ok(());
        };
        let (hosts, bad) = match path.find(rows)? {
            Some(values) => self.hosts(&values, &path)?,
            None => self.no_hosts(rows.num_rows(), &path),
        };
        self.warn(&path);
        if !has_room(rows) {
            return rejection::reject_all(rows, "`meta` is no object: it cannot say hosts", out);
        }
        let with = inserted(rows, hosts)?;
        let mut good = vec![true; rows.num_rows()];
        bad.iter().for_each(|bad| good[bad.row] = false);
        let all = bad.is_empty();
        rejection::reject(rows, bad, out)?;
        out.emit(PortIndex(0), if all { with } else { filter_record_batch(&with, &BooleanArray::from(good))? });
        Ok(())
    }
}

/// Whether `meta` is an object or nothing yet.
fn has_room(rows: &RecordBatch) -> bool {
    rows.column_by_name(META).is_none_or(|meta| matches!(meta.data_type(), DataType::Struct(_)))
}

impl Running {
    /// The hosts of each row, NULL where the path leads nowhere, and the rows that say something else.
    fn hosts(&mut self, values: &ArrayRef, path: &MemberPath) -> Result<(ListArray, Vec<BadRow>)> {
        let (mut hosts, mut bad) = (ListBuilder::new(StringBuilder::new()), Vec::new());
        let said = Said::of(values)?;
        let formatter = ArrayFormatter::try_new(values, &FormatOptions::default())?;
        // Row by row: each has hosts of its own number.
        for row in 0..values.len() {
            if values.is_null(row) {
                hosts.append(false);
                bad.extend(self.missing_in(row, path));
                continue;
            }
            match said.of_row(row, self.options.host_separator.as_deref()) {
                Some(names) => hosts.append_value(names.into_iter().map(Some)),
                None => {
                    hosts.append(false);
                    let reason = format!("{} is not a valid hostname", formatter.value(row));
                    bad.push(BadRow { row, reason });
                }
            }
        }
        Ok((hosts.finish(), bad))
    }

    fn no_hosts(&mut self, rows: usize, path: &MemberPath) -> (ListArray, Vec<BadRow>) {
        let bad = (0..rows).filter_map(|row| self.missing_in(row, path)).collect();
        (arrow::array::new_null_array(&hosts_type(), rows).as_list::<i32>().clone(), bad)
    }

    fn missing_in(&mut self, row: usize, path: &MemberPath) -> Option<BadRow> {
        self.missing += 1;
        let reason = || format!("the event has no `{}`", path.text());
        self.options.raise_error.then(|| BadRow { row, reason: reason() })
    }

    /// Tells of the first event without hosts, then each time their number has doubled.
    fn warn(&mut self, path: &MemberPath) {
        if self.options.log_error && self.missing > self.told * 2 {
            self.told = self.missing;
            tracing::warn!(node = %self.node, events = self.missing, path = path.text(), "Events do not say their hosts.");
        }
    }
}

/// What rows say of their hosts.
enum Said {
    Texts(StringArray),
    Lists(ListArray),
    SomethingElse,
}

impl Said {
    fn of(values: &ArrayRef) -> Result<Self> {
        let text =
            |data_type: &DataType| matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
        Ok(match values.data_type() {
            own if text(own) => Self::Texts(cast(values, &DataType::Utf8)?.as_string::<i32>().clone()),
            DataType::List(item) | DataType::LargeList(item)
                if text(item.data_type()) || item.data_type().is_null() =>
            {
                Self::Lists(cast(values, &hosts_type())?.as_list::<i32>().clone())
            }
            _ => Self::SomethingElse,
        })
    }

    fn of_row(&self, row: usize, separator: Option<&str>) -> Option<Vec<String>> {
        match self {
            Self::Texts(texts) => Some(match separator.filter(|separator| !separator.is_empty()) {
                Some(separator) => texts.value(row).split(separator).map(str::to_owned).collect(),
                None => vec![texts.value(row).to_owned()],
            }),
            Self::Lists(lists) => {
                let items = lists.value(row);
                items.as_string::<i32>().iter().map(|host| host.map(str::to_owned)).collect()
            }
            Self::SomethingElse => None,
        }
    }
}

/// `rows` with these hosts in `meta`, where there are any; else those that were there stay.
fn inserted(rows: &RecordBatch, hosts: ListArray) -> Result<RecordBatch> {
    let schema = with_hosts(rows.schema_ref());
    let found = arrow::compute::is_not_null(&hosts)?;
    let (members, mut columns, nulls) = match rows.column_by_name(META) {
        Some(meta) => meta.as_struct().clone().into_parts(),
        None => (Fields::empty(), Vec::new(), Some(NullBuffer::new_null(rows.num_rows()))),
    };
    match members.find(HOSTS) {
        Some((place, old)) if *old.data_type() == hosts_type() => {
            columns[place] = zip(&found, &hosts, &columns[place])?;
        }
        Some((place, _)) => columns[place] = Arc::new(hosts),
        None => columns.push(Arc::new(hosts)),
    }
    // An event without `meta` that says its hosts has one now.
    let nulls = nulls.map(|nulls| NullBuffer::new(nulls.inner() | found.values()));
    let meta: ArrayRef = Arc::new(StructArray::try_new(members_with_hosts(&members), columns, nulls)?);
    let mut columns = rows.columns().to_vec();
    match rows.schema_ref().index_of(META) {
        Ok(place) => columns[place] = meta,
        Err(_) => columns.push(meta),
    }
    Ok(RecordBatch::try_new(schema, columns)?)
}

#[cfg(test)]
mod tests {
    use tidegate_pipeline::spec::Tree;

    use super::*;
    use crate::testing::{Bench, entries, lines, map, rows};

    async fn on(options: Options, objects: &[&str]) -> (Vec<String>, Vec<String>) {
        let rows = rows(objects);
        let mut bench = Bench::new(&InsertHostsToMeta, options, rows.schema());
        bench.step(0, &rows).await;
        let (mut ports, rejected) = bench.everything();
        (ports.remove(0), rejected)
    }

    #[tokio::test]
    async fn a_text_a_list_and_a_text_of_several_are_hosts() {
        let one = on(map(&[("host_path", "a.h")]), &[r#"{"a":{"h":"x,y"},"meta":{"uuid":"u"}}"#]).await;
        assert_eq!(one.0, lines(&[r#"{"a":{"h":"x,y"},"meta":{"uuid":"u","hosts":["x,y"]}}"#]));
        let several = map(&[("host_path", "a/h"), ("path_separator", "/"), ("host_separator", ",")]);
        let several = on(several, &[r#"{"a":{"h":"x,y"}}"#]).await;
        assert_eq!(several.0, lines(&[r#"{"a":{"h":"x,y"},"meta":{"hosts":["x","y"]}}"#]));
        let listed = on(map(&[("host_path", "h")]), &[r#"{"h":["x","y"],"meta":{"hosts":["old"]}}"#]).await;
        assert_eq!(listed.0, lines(&[r#"{"h":["x","y"],"meta":{"hosts":["x","y"]}}"#]));
    }

    #[tokio::test]
    async fn what_is_no_host_name_goes_to_errors_and_the_others_pass() {
        let (passed, rejected) = on(map(&[("host_path", "h")]), &[r#"{"h":5}"#]).await;
        assert_eq!((passed.len(), rejected), (0, lines(&["5 is not a valid hostname"])));
        let (passed, rejected) = on(map(&[("host_path", "h")]), &[r#"{"h":["x",null]}"#, r#"{"h":["y"]}"#]).await;
        assert_eq!(passed, lines(&[r#"{"h":["y"],"meta":{"hosts":["y"]}}"#]));
        assert_eq!(rejected, lines(&["[x, ] is not a valid hostname"]));
    }

    #[tokio::test]
    async fn an_event_without_the_path_stays_as_it_is_or_goes_to_errors() {
        let given = [r#"{"h":"x","meta":{"hosts":["old"]}}"#, r#"{"meta":{"hosts":["old"]}}"#];
        let (passed, _) = on(map(&[("host_path", "h")]), &given).await;
        assert_eq!(passed, lines(&[r#"{"h":"x","meta":{"hosts":["x"]}}"#, given[1]]));
        let raising = || entries([("host_path", Tree::Text("h".into())), ("raise_error", Tree::Bool(true))]);
        let (passed, rejected) = on(raising(), &given).await;
        assert_eq!((passed.len(), rejected), (1, lines(&["the event has no `h`"])));
        let (passed, rejected) = on(raising(), &[r#"{"a":1}"#]).await;
        assert_eq!((passed.len(), rejected.len()), (0, 1));
    }

    #[tokio::test]
    async fn without_a_path_events_stay_as_they_are() {
        assert_eq!(on(entries([]), &[r#"{"a":1}"#]).await.0, lines(&[r#"{"a":1}"#]));
    }
}
