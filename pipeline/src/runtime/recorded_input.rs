//! Looking at recorded input before it is replayed: what has gone is said before anything runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::recording::{Recording, Stretch};
use super::rerun::ReplayThrough;
use crate::error::{Error, Result};
use crate::graph::{Graph, Planned};
use crate::journal::decode_schema;
use crate::journal::record::{EngineEvent, Record, StepBody};
use crate::source::SourceContext;
use crate::step::{Range, SchemaVersion, StepNumber};
use crate::table::SharedTables;

/// The schemas of each source, as they are stored.
type Schemas = BTreeMap<String, Vec<(SchemaVersion, Vec<u8>)>>;

/// A stretch of a source's input, and the step that it became.
#[derive(Clone)]
struct Taken {
    step: StepNumber,
    range: Range,
    version: SchemaVersion,
}

/// Reads the first and the last stretch of every source's recorded input, under each definition.
pub(super) async fn check_input(through: &ReplayThrough, recording: &Recording) -> Result<()> {
    let mut schemas = Schemas::new();
    for (index, stretch) in recording.stretches.iter().enumerate() {
        let graph = match through {
            ReplayThrough::Recorded(graphs) => graphs.get(index),
            ReplayThrough::One(graph) => Some(graph),
        };
        if let Some(start) = &stretch.start {
            schemas = start.sources.iter().map(|(name, state)| (name.clone(), state.schemas.clone())).collect();
        }
        let ends = ends(recording, stretch, &mut schemas)?;
        let Some(graph) = graph else { continue };
        for (source, ends) in ends {
            let known = schemas.get(&*source).map(Vec::as_slice).unwrap_or_default();
            check_source(graph, &source, known, &ends).await?;
        }
    }
    Ok(())
}

/// The first and the last of each source; adds to `schemas` what the steps announce.
fn ends(recording: &Recording, stretch: &Stretch, schemas: &mut Schemas) -> Result<BTreeMap<Arc<str>, [Taken; 2]>> {
    let mut ends: BTreeMap<Arc<str>, [Taken; 2]> = BTreeMap::new();
    for record in recording.records(stretch.after, stretch.end)? {
        let Record::Step(step) = record?.1 else { continue };
        match step.body {
            StepBody::Engine(EngineEvent::Schema { source, version, schema }) => {
                schemas.entry(source).or_default().push((version, schema));
            }
            StepBody::Reference { ranges, .. } => {
                let (number, version) = (step.header.number, step.header.schema_version);
                let taken = |range: &Range| Taken { step: number, range: range.clone(), version };
                if let (Some(first), Some(last)) = (ranges.first(), ranges.last()) {
                    ends.entry(step.header.source).or_insert_with(|| [taken(first), taken(last)])[1] = taken(last);
                }
            }
            _ => {}
        }
    }
    Ok(ends)
}

async fn check_source(
    graph: &Arc<Graph>,
    source: &str,
    schemas: &[(SchemaVersion, Vec<u8>)],
    ends: &[Taken; 2],
) -> Result<()> {
    // Another pipeline may do without it.
    let Some((_, node)) = graph.node(source) else { return Ok(()) };
    let Planned::Source(planned) = &node.planned else { return Ok(()) };
    let decode = |(version, bytes): &(SchemaVersion, Vec<u8>)| Ok((*version, decode_schema(bytes)?));
    let context = SourceContext {
        node: Arc::clone(&node.name),
        position: None,
        schemas: schemas.iter().map(decode).collect::<Result<_>>()?,
        once: false,
        tables: SharedTables::default(),
        cancel: CancellationToken::new(),
    };
    let at_step =
        |step: StepNumber, error: Error| unreplayable(error, step).at_node(&node.name).at_place(&node.shown_place);
    let [first, last] = ends;
    let mut open = planned.open.open(context).await.map_err(|error| at_step(first.step, error))?;
    for taken in [first, last] {
        open.reread(&taken.range, taken.version).await.map_err(|error| at_step(taken.step, error))?;
    }
    Ok(())
}

/// An error of reading recorded input again in a replay.
pub(super) fn unreplayable(error: Error, step: StepNumber) -> Error {
    let message = format!("its recorded input (step {step}) cannot be replayed: {}", error.message);
    let remedy = "what is read again must still be there, unchanged; `journal: {inline: all}` keeps a copy of everything from now on";
    Error { message, ..error }.with_remedy(remedy)
}
