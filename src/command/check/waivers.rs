//! What is to be said of waivers after a check: those that match nothing, that are not needed, that have expired.

use std::path::PathBuf;

use arrow::array::RecordBatch;
use tidegate_operators::check::WAIVERS;
use tidegate_operators::check::finding::Status;
use tidegate_operators::check::waiver::{Waiver, Waivers};
use tidegate_pipeline::graph::{Graph, Planned};
use tidegate_pipeline::step::StepTime;

use super::report::each_newest;
use crate::exit::Failure;

/// A sentence for each waiver of the pipeline that has no alarm to waive, and for each that has expired and had one.
pub(super) fn remarks(graph: &Graph, rows: &[RecordBatch], time: StepTime) -> Result<Vec<String>, Failure> {
    let mut waivers: Vec<(String, Waiver, Matches)> = Vec::new();
    for file in files(graph) {
        let name = file.display().to_string();
        let contents = std::fs::read(&file).map_err(|error| Failure::usage(format!("{name}: {error}")))?;
        let read = Waivers::read(&name, &contents).0.0;
        waivers.extend(read.into_iter().map(|waiver| (name.clone(), waiver, Matches::default())));
    }
    if waivers.is_empty() {
        return Ok(Vec::new());
    }
    each_newest(rows, |about| {
        for (_, waiver, matches) in &mut waivers {
            if waiver.matches_parts(about.control, about.resource, about.account_id, about.region) {
                let count = if about.status == Status::Alarm { &mut matches.alarms } else { &mut matches.others };
                *count += 1;
            }
        }
    })?;
    let said = waivers.iter().filter_map(|(file, waiver, matches)| {
        let said = remark(waiver, matches, time)?;
        Some(format!("{file}:{}: waiver `{}` {said}", waiver.place.line, waiver.id))
    });
    Ok(said.collect())
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
