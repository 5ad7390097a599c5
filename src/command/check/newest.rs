//! What the pipeline itself knows: the findings of its newest checkpoint, to compare a report with.

use std::path::Path;

use jiff::Timestamp;
use tidegate_operators::check::FINDINGS;
use tidegate_pipeline::graph::Graph;
use tidegate_pipeline::table::past::Found;

use super::report::{Moment, Origin, Read, Report};
use crate::command::query;
use crate::exit::Failure;

/// Compares a report with the findings that the newest checkpoint of its pipeline holds, if there is one. Reads only, also
/// beside the running pipeline; what cannot be read is told, and the report stays as it is.
pub(super) fn compare(report: &mut Report, graph: &Graph, dir: &Path) {
    let earlier =
        query::newest_tables(graph, dir).and_then(|found| found.map(|found| held(report, &found)).transpose());
    match earlier {
        Ok(Some((earlier, name))) => report.compare(&earlier, &name),
        Ok(None) => {}
        Err(failure) => {
            crate::output::told!("warning: nothing is compared with the newest checkpoint: {}", failure.message);
        }
    }
}

/// What the checkpoint holds as a report, and its name.
fn held(report: &Report, found: &Found) -> Result<(Report, String), Failure> {
    let rows: Vec<_> =
        found.states.iter().filter(|(name, _)| *name == FINDINGS).map(|(_, rows)| rows.clone()).collect();
    let time = Timestamp::from_millisecond(found.shown.time.0).unwrap_or_default();
    let origin = Origin { taken_at: Moment(time), pipeline: report.pipeline.clone(), benchmark: None };
    let name = match found.shown.checkpoint {
        Some(checkpoint) => format!("checkpoint {checkpoint}"),
        None => "the journal".to_owned(),
    };
    Ok((Report::new(origin, Vec::new(), Vec::new(), Read::rows(&rows, true)?), name))
}
