//! Inventory that can be read again: the refreshes of a provider as a recorded, bounded source. So a run that was
//! killed in the midst of a refresh can be compared with one that was not.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use async_trait::async_trait;
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::rows::{Port, PortIndex};
use tidegate_pipeline::source::{
    Arrival, Delivery, Guarantee, GuaranteeClass, OpenSource, PlannedSource, Source, SourceContext, SourceKind,
    SourcePlanContext,
};
use tidegate_pipeline::spec::Options;
use tidegate_pipeline::spec::diagnostic::Diagnostic;
use tidegate_pipeline::step::{Position, Range, SchemaVersion, Scope, ScopeOutcome, Unit};
use tidegate_pipeline::table::{TableDefinition, change_schema};

/// How often everything is collected.
const REFRESHES: i64 = 25;
/// The scopes of each refresh.
const SCOPES: i64 = 3;
/// What a scope is cut into: its begin, two pages, its end.
const PARTS: i64 = 4;
/// How many things a scope may have.
const THINGS: i64 = 60;

/// The kind `recorded`: the table `thing`.
pub(crate) struct RecordedKind;

fn definition() -> TableDefinition {
    let text = |name: &str| Field::new(name, DataType::Utf8, false);
    let number = |name: &str| Field::new(name, DataType::Int64, true);
    let fields = vec![text("account_id"), text("region"), text("arn"), number("id"), number("value")];
    let schema = Arc::new(Schema::new(fields));
    TableDefinition::new("thing", "Things", schema, ["id"])
}

impl SourceKind for RecordedKind {
    fn name(&self) -> &'static str {
        "recorded"
    }

    fn summary(&self) -> &'static str {
        "Gives recorded inventory, in a test."
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee { class: GuaranteeClass::Acknowledged, on_crash: "As journaled." }
    }

    fn schema(&self) -> schemars::Schema {
        schemars::json_schema!({"type": "object"})
    }

    fn plan(&self, _options: &Options, _context: &SourcePlanContext<'_>) -> Result<PlannedSource, Vec<Diagnostic>> {
        Ok(PlannedSource {
            delivery: Delivery::Seek,
            acknowledges: false,
            bounded: true,
            envelope: false,
            reconnects: false,
            ports: vec![Port::named("thing", change_schema(&definition()))],
            tables: vec![definition()],
            refresh: None,
            open: Box::new(OpenRecorded),
        })
    }
}

struct OpenRecorded;

#[async_trait]
impl OpenSource for OpenRecorded {
    async fn open(&self, context: SourceContext) -> Result<Box<dyn Source>> {
        let next = context.position.as_ref().map_or(Ok(0), index)?;
        Ok(Box::new(Recorded { next }))
    }
}

struct Recorded {
    next: i64,
}

fn index(position: &Position) -> Result<i64> {
    position.0.parse().map_err(Error::internal)
}

fn at(index: i64) -> Position {
    Position(index.to_string().into())
}

/// The value of a thing after a refresh, while it is there.
fn value(scope: i64, id: i64, refresh: i64) -> Option<i64> {
    let there = refresh >= 0 && (id + scope + refresh) % 5 != 0;
    there.then_some((id * 7 + refresh * (id % 3)) % 20)
}

/// The arrival of that index: a part of a scope's refresh.
fn arrival(index: i64) -> Result<Arrival> {
    let (refresh, rest) = (index / (SCOPES * PARTS), index % (SCOPES * PARTS));
    let (number, part) = (rest / PARTS, rest % PARTS);
    let scope = Scope { account_id: "a".into(), region: format!("r{number}").into(), table: "thing".into() };
    let mut arrival = Arrival::rows(RecordBatch::new_empty(change_schema(&definition())), at(index + 1));
    arrival.rows.clear();
    arrival.alone = true;
    arrival.range = Some(Range { from: at(index), to: at(index + 1), hash: 0, bytes: 0 });
    arrival.unit = match part {
        0 => Unit::Begin(scope),
        3 if (refresh + number) % 7 == 3 => Unit::End(scope, ScopeOutcome::Failed("recorded as failed".to_owned())),
        3 => Unit::End(scope, ScopeOutcome::Complete),
        _ => Unit::Page(scope),
    };
    if let Unit::Page(scope) = &arrival.unit {
        let ids = (0..THINGS).filter(|id| id % 2 == part - 1);
        let changes = changes(scope, ids, number, refresh)?;
        if changes.num_rows() > 0 {
            arrival.rows.push((PortIndex(0), changes));
        }
    }
    Ok(arrival)
}

/// What a refresh changes of some things.
fn changes(scope: &Scope, ids: impl Iterator<Item = i64>, number: i64, refresh: i64) -> Result<RecordBatch> {
    let (mut operations, mut found) = (Vec::new(), Vec::new());
    for id in ids {
        let (operation, value) = match (value(number, id, refresh - 1), value(number, id, refresh)) {
            (None, Some(now)) => ("insert", now),
            (Some(before), Some(now)) if before != now => ("update", now),
            (Some(before), None) => ("delete", before),
            _ => continue,
        };
        operations.push(operation);
        found.push((id, value));
    }
    let text = |value: &str| -> ArrayRef { Arc::new(StringArray::from(vec![value; found.len()])) };
    let arns: StringArray = found.iter().map(|(id, _)| Some(format!("arn:{number}:{id}"))).collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(operations)),
        text("thing"),
        text(&scope.account_id),
        text(&scope.region),
        Arc::new(arns),
        Arc::new(found.iter().map(|(id, _)| *id).collect::<Int64Array>()),
        Arc::new(found.iter().map(|(_, value)| *value).collect::<Int64Array>()),
    ];
    Ok(RecordBatch::try_new(change_schema(&definition()), columns)?)
}

#[async_trait]
impl Source for Recorded {
    async fn next(&mut self) -> Result<Option<Arrival>> {
        if self.next >= REFRESHES * SCOPES * PARTS {
            return Ok(None);
        }
        // As slow as a small cloud: so that checkpoints fall between the parts of a refresh.
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        self.next += 1;
        arrival(self.next - 1).map(Some)
    }

    async fn reread(&mut self, range: &Range, _version: SchemaVersion) -> Result<Arrival> {
        let from = index(&range.from)?;
        self.next = from + 1;
        arrival(from)
    }
}
