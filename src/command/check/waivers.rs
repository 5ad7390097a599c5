//! What is to be said of waivers after a check: those that match nothing, that are not needed, that have expired.

use std::path::PathBuf;

use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use tidegate_operators::check::WAIVERS;
use tidegate_operators::check::finding::Status;
use tidegate_operators::check::waiver::{Waiver, Waivers};
use tidegate_pipeline::graph::{Graph, Planned};
use tidegate_pipeline::step::StepTime;

use crate::exit::Failure;

/// A sentence for each waiver of the pipeline that has no alarm to waive, and for each that has expired and had one.
pub(super) fn remarks(graph: &Graph, rows: &[RecordBatch], time: StepTime) -> Result<Vec<String>, Failure> {
    let mut remarks = Vec::new();
    for file in files(graph) {
        let name = file.display().to_string();
        let contents = std::fs::read(&file).map_err(|error| Failure::usage(format!("{name}: {error}")))?;
        for waiver in Waivers::read(&name, &contents).0.0 {
            let matches = matches(&waiver, rows)?;
            let said = remark(&waiver, &matches, time);
            remarks.extend(said.map(|said| format!("{name}:{}: waiver `{}` {said}", waiver.place.line, waiver.id)));
        }
    }
    Ok(remarks)
}

/// The files of waivers that the nodes of a pipeline read, each once.
fn files(graph: &Graph) -> Vec<PathBuf> {
    let operators = graph.nodes.iter().filter_map(|node| match &node.planned {
        Planned::Operator(operator) if &*node.kind == "check" => Some(operator),
        _ => None,
    });
    let lookups = operators.flat_map(|operator| &operator.lookups).filter(|lookup| lookup.name == WAIVERS);
    let mut files: Vec<PathBuf> = lookups.map(|lookup| lookup.path.clone()).collect();
    files.sort();
    files.dedup();
    files
}

/// How many findings of each status a waiver matches, whether it counts or not.
#[derive(Default)]
struct Matches {
    alarms: usize,
    others: usize,
}

fn matches(waiver: &Waiver, rows: &[RecordBatch]) -> Result<Matches, Failure> {
    let mut matches = Matches::default();
    for batch in rows {
        let text = |name: &str| -> Result<&StringArray, Failure> {
            let column = batch.column_by_name(name).and_then(|column| column.as_string_opt::<i32>());
            column.ok_or_else(|| Failure::failed(format!("findings have no text column `{name}`")))
        };
        let value = |column: &'_ StringArray, row: usize| column.is_valid(row).then(|| column.value(row).to_owned());
        let (control, resource) = (text("control")?, text("resource")?);
        let (account, region, status) = (text("account_id")?, text("region")?, text("status")?);
        for row in 0..batch.num_rows() {
            let (of_account, of_region) = (value(account, row), value(region, row));
            let place = (of_account.as_deref(), of_region.as_deref());
            if !waiver.matches_parts(control.value(row), resource.value(row), place.0, place.1) {
                continue;
            }
            match status.value(row) == Status::Alarm.word() {
                true => matches.alarms += 1,
                false => matches.others += 1,
            }
        }
    }
    Ok(matches)
}

fn remark(waiver: &Waiver, matches: &Matches, time: StepTime) -> Option<String> {
    let plural = |count: usize| if count == 1 { "alarm counts" } else { "alarms count" };
    match (waiver.in_effect(time), matches) {
        (true, Matches { alarms: 0, others: 0 }) => Some("matches nothing".to_owned()),
        (true, Matches { alarms: 0, .. }) => Some("is not needed: none of what it matches is an alarm".to_owned()),
        (true, _) => None,
        (false, Matches { alarms: 0, .. }) => Some("has expired, and nothing needs it".to_owned()),
        (false, Matches { alarms, .. }) => Some(format!("has expired: {alarms} {} again", plural(*alarms))),
    }
}
