//! Tests of `check` as a whole, over a small pack of volumes.

mod by_row;
mod dialect;
mod drifting;
mod evaluating;
mod explaining;
mod loading;
mod operating;
mod over_tables;
mod planning;
mod rego;
mod testing;
mod waiving;
mod working;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray, new_null_array,
};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use tidegate_pipeline::spec::ByteSize;
use tidegate_pipeline::step::{Scope, ScopeOutcome, StepTime};
use tidegate_pipeline::table::TableDefinition;

use super::evaluate::{ControlEvaluation, Evaluator, Interest, TableContents};
use super::finding::Finding;
use super::pack::{Pack, PackFiles, PackProblem};
use super::plan::{Overrides, PlanProblems, PlannedPack, Selection};

pub(crate) const HEAD: (&str, &str) = ("p/pack.yaml", "name: p\nversion: '1'\n");
/// Enough for every query here.
pub(crate) const MEMORY: ByteSize = ByteSize::mebibytes(1024);
/// 2026-01-01T00:00:00Z.
pub(crate) const TIME: StepTime = StepTime(1_767_225_600_000);

pub(crate) const ENCRYPTED: &str = "select arn as resource,
       case when state <> 'in-use' then 'skip' when encrypted then 'ok' else 'alarm' end as status,
       volume_id || case when encrypted then ' is encrypted.' else ' is not encrypted.' end as reason,
       account_id, region
from volume";

pub(crate) fn files(files: &[(&str, &str)]) -> PackFiles {
    let mut all = PackFiles::default();
    for (path, text) in files {
        all.insert(*path, text.as_bytes());
    }
    all
}

/// A pack of `controls.yaml`, with the usual head.
pub(crate) fn load(controls: &str) -> (Pack, Vec<PackProblem>) {
    Pack::load(&files(&[HEAD, ("p/ec2/controls.yaml", controls)]), "p")
}

/// A pack of controls: id, query.
pub(crate) fn pack_of(controls: &[(&str, &str)]) -> Pack {
    let mut all = files(&[HEAD]);
    let mut yaml = "controls:\n".to_owned();
    for (id, sql) in controls {
        yaml += &format!("  - {{id: {id}, title: T {id}, severity: high, query: {id}.sql}}\n");
        all.insert(format!("p/ec2/{id}.sql"), sql.as_bytes());
    }
    all.insert("p/ec2/controls.yaml", yaml.as_bytes());
    let (pack, problems) = Pack::load(&all, "p");
    assert_eq!(problems, []);
    pack
}

fn definition(name: &str, columns: Vec<Field>) -> TableDefinition {
    TableDefinition {
        distinct_arn: true,
        ..TableDefinition::new(name, "For tests.", Arc::new(Schema::new(columns)), ["volume_id"])
    }
}

/// `volume` and `snapshot`.
pub(crate) fn definitions() -> Vec<TableDefinition> {
    let text = |name: &str| Field::new(name, DataType::Utf8, false);
    let created = Field::new("created", DataType::Timestamp(TimeUnit::Millisecond, None), true);
    let mut volume = vec![text("account_id"), text("region"), text("arn"), text("volume_id"), text("state")];
    volume.extend([
        Field::new("encrypted", DataType::Boolean, false),
        Field::new("size", DataType::Int64, true),
        created,
    ]);
    let snapshot = vec![text("account_id"), text("region"), text("arn"), text("volume_id")];
    vec![definition("volume", volume), definition("snapshot", snapshot)]
}

/// A volume: region, id, state, whether it is encrypted.
pub(crate) type Volume<'a> = (&'a str, &'a str, &'a str, bool);

pub(crate) fn volume_rows(rows: &[Volume<'_>]) -> RecordBatch {
    let texts = |text: &dyn Fn(&Volume<'_>) -> String| -> ArrayRef {
        Arc::new(rows.iter().map(|row| Some(text(row))).collect::<StringArray>())
    };
    let columns: Vec<ArrayRef> = vec![
        texts(&|_| "1".to_owned()),
        texts(&|row| row.0.to_owned()),
        texts(&|row| format!("arn:{}", row.1)),
        texts(&|row| row.1.to_owned()),
        texts(&|row| row.2.to_owned()),
        Arc::new(rows.iter().map(|row| Some(row.3)).collect::<BooleanArray>()),
        Arc::new(Int64Array::from(vec![8; rows.len()])),
        Arc::new(TimestampMillisecondArray::from(vec![TIME.0 - 40 * 86_400_000; rows.len()])),
    ];
    RecordBatch::try_new(Arc::clone(&definitions()[0].schema), columns).unwrap()
}

pub(crate) fn scope(region: &str, table: &str) -> Scope {
    Scope { account_id: "1".into(), region: region.into(), table: table.into() }
}

pub(crate) type Contents = BTreeMap<Arc<str>, TableContents>;

/// `volume` with these rows and scopes, and an empty `snapshot` with the same scopes.
pub(crate) fn tables(rows: &[Volume<'_>], scopes: &[(&str, ScopeOutcome)]) -> Contents {
    let [volume, snapshot] = <[TableDefinition; 2]>::try_from(definitions()).unwrap();
    let scopes_of =
        |table: &str| scopes.iter().map(|(region, outcome)| (scope(region, table), outcome.clone())).collect();
    let empty: Vec<ArrayRef> =
        snapshot.schema.fields().iter().map(|field| new_null_array(field.data_type(), 0)).collect();
    let none = RecordBatch::try_new(Arc::clone(&snapshot.schema), empty).unwrap();
    let volumes =
        TableContents { definition: Arc::new(volume), batches: vec![volume_rows(rows)], scopes: scopes_of("volume") };
    let snapshots =
        TableContents { definition: Arc::new(snapshot), batches: vec![none], scopes: scopes_of("snapshot") };
    BTreeMap::from([("volume".into(), volumes), ("snapshot".into(), snapshots)])
}

pub(crate) fn complete(rows: &[Volume<'_>]) -> Contents {
    tables(rows, &[("r", ScopeOutcome::Complete)])
}

pub(crate) fn plan_with(pack: &Pack, overrides: &Overrides) -> (PlannedPack, PlanProblems) {
    PlannedPack::plan(pack, &definitions(), &Selection::default(), overrides, MEMORY).unwrap()
}

pub(crate) fn plan(pack: &Pack) -> (PlannedPack, PlanProblems) {
    plan_with(pack, &Overrides::new())
}

/// What the controls of a pack say, everything included.
pub(crate) async fn evaluate(pack: &Pack, contents: &Contents, time: StepTime) -> Vec<ControlEvaluation> {
    let evaluator = Evaluator::new(plan(pack).0);
    let all: Vec<usize> = (0..evaluator.controls().len()).collect();
    evaluator.evaluate(contents, &all, |_| Interest::All, time).await.unwrap()
}

/// The findings of all controls, as `resource status reason`.
pub(crate) async fn findings(pack: &Pack, contents: &Contents) -> Vec<String> {
    let evaluations = evaluate(pack, contents, TIME).await;
    evaluations.iter().flat_map(|evaluation| &evaluation.findings).map(line).collect()
}

pub(crate) fn line(finding: &Finding) -> String {
    format!("{} {} {}", finding.resource, finding.status, finding.reason)
}
