//! Executing the tail of the journal again: the steps after the newest checkpoint, exactly as they were cut.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use tokio_util::sync::CancellationToken;

use super::event::Event;
use super::lookups::stored_contents;
use super::recorded_input::unreplayable;
use super::sequencer::{Sequencer, concatenate};
use crate::checkpoint::LookupState;
use crate::error::{Error, Result};
use crate::graph::{Graph, NodeIndex, Planned};
use crate::journal::JournalPosition;
use crate::journal::record::{EngineEvent, Record, StepBody, StepRecord, decode_batch, decode_schema};
use crate::rows::{PortIndex, Rejected, dead_letter_rows};
use crate::source::{Source, SourceContext};
use crate::step::{ENGINE, Position, Range, SchemaVersion, StepHeader, StepNumber, StepTime, Unit};

/// The re-readable sources by slot, each opened at the checkpoint's position when the journal's tail first
/// needs it.
pub(super) struct RereadSources {
    graph: Arc<Graph>,
    sources: Vec<(NodeIndex, SourceContext)>,
    open: Vec<Option<Box<dyn Source>>>,
}

impl RereadSources {
    pub(super) fn new(graph: Arc<Graph>, sources: Vec<(NodeIndex, SourceContext)>) -> Self {
        let open = sources.iter().map(|_| None).collect();
        Self { graph, sources, open }
    }

    pub(super) async fn get(&mut self, slot: usize) -> Result<&mut Box<dyn Source>> {
        let (index, context) = &self.sources[slot];
        let Planned::Source(planned) = &self.graph.nodes[index.0].planned else {
            return Err(Error::internal("not a source"));
        };
        let open = &mut self.open[slot];
        if open.is_none() {
            *open = Some(planned.open.open(context.clone()).await?);
        }
        open.as_mut().ok_or_else(|| Error::internal("a source that was opened is not open"))
    }

    /// A source announces another schema: the next step that is read again may use it.
    fn announce(&mut self, slot: usize, version: SchemaVersion, schema: SchemaRef) {
        self.sources[slot].1.schemas.push((version, schema));
        self.open[slot] = None;
    }

    /// A step of the source was in the journal itself: what is open of it no longer stands where the next one begins.
    fn passed(&mut self, slot: usize) {
        self.open[slot] = None;
    }

    /// What is open, by slot: it stands where the journal's tail ended.
    pub(super) fn into_open(self) -> Vec<Option<Box<dyn Source>>> {
        self.open
    }
}

impl Sequencer {
    /// The step before a replay by which nodes that are new to it begin with the tables that they read.
    pub(super) fn begin_replay(&mut self, joined: Vec<String>, time: StepTime) -> Result<()> {
        if joined.is_empty() {
            return Ok(());
        }
        let number = self.progress.step.next();
        let (source, unit, schema_version) = (ENGINE.into(), Unit::Rows, SchemaVersion::default());
        self.feed_joined(StepHeader { number, time, source, unit, schema_version, watermark: None }, joined)
    }

    /// Executes recorded steps again, or those until it is cancelled. Returns how many there were.
    ///
    /// # Errors
    /// When input cannot be read again, or reads differently.
    pub(super) async fn replay(
        &mut self,
        records: impl Iterator<Item = Result<(JournalPosition, Record)>>,
        sources: &mut RereadSources,
        cancel: &CancellationToken,
    ) -> Result<u64> {
        let mut count = 0;
        for record in records {
            if cancel.is_cancelled() {
                break;
            }
            let (position, record) = record?;
            // Records of another journal say nothing of this one.
            self.progress.journaled = position.min(self.journal.end());
            let Record::Step(StepRecord { header, body }) = record else { continue };
            self.clock.saw(header.time);
            count += 1;
            if *header.source != *ENGINE && self.slot_of(&header).is_err() {
                // Another pipeline may do without a source: its steps are blank.
                self.feed_engine(header, None);
                continue;
            }
            match body {
                StepBody::Engine(event) => self.replay_engine(header, event, sources)?,
                StepBody::Inline { parts, rejected, position } => {
                    let decode = |part: &crate::journal::record::InlinePart| {
                        Ok((PortIndex(part.port as usize), decode_batch(&part.ipc)?))
                    };
                    let rows = parts.iter().map(decode).collect::<Result<Vec<_>>>()?;
                    sources.passed(self.slot_of(&header)?);
                    self.replay_rows(header, rows, &rejected, position)?;
                }
                StepBody::Reference { ranges, position } => {
                    self.replay_reference(header, &ranges, position, sources).await?;
                }
            }
            self.keep_backlog_small().await;
        }
        Ok(count)
    }

    async fn replay_reference(
        &mut self,
        header: StepHeader,
        ranges: &[Range],
        position: Position,
        sources: &mut RereadSources,
    ) -> Result<()> {
        let slot = self.slot_of(&header)?;
        let at_node = |error: Error| error.at_node(&self.slots[slot].name).at_place(&self.slots[slot].place);
        let replaying = self.settings.is_replay;
        let failed = |error: Error| match replaying {
            true => at_node(unreplayable(error, header.number)),
            false => at_node(in_step(error, header.number)),
        };
        let source = sources.get(slot).await.map_err(failed)?;
        let (mut rows, mut rejected) = (Vec::new(), Vec::new());
        for range in ranges {
            match source.reread(range, header.schema_version).await {
                Ok(arrival) => {
                    rows.extend(arrival.rows);
                    rejected.extend(arrival.rejected);
                }
                Err(error) if self.settings.accept_divergence => tracing::warn!(
                    node = %self.slots[slot].name, step = %header.number, %error,
                    "Recorded input is left out of what is executed again."
                ),
                Err(error) => return Err(failed(error)),
            }
        }
        self.replay_rows(header, concatenate(rows)?, &rejected, position)
    }

    fn replay_rows(
        &mut self,
        header: StepHeader,
        rows: Vec<(PortIndex, arrow::array::RecordBatch)>,
        rejected: &[Rejected],
        position: Position,
    ) -> Result<()> {
        let slot = self.slot_of(&header)?;
        let state = &mut self.slots[slot].state;
        state.position = Some(position);
        state.watermark = state.watermark.max(header.watermark);
        self.feed_rows(slot, header, rows, rejected)
    }

    fn replay_engine(&mut self, header: StepHeader, event: EngineEvent, sources: &mut RereadSources) -> Result<()> {
        let event = match event {
            EngineEvent::Definition { .. } | EngineEvent::Tick => None,
            EngineEvent::Lookup { node, name, hash } => {
                self.lookups.retain(|known| known.node != node || known.name != name);
                let contents = stored_contents(&self.store, &hash)?;
                self.store.journaled(&hash, header.number);
                self.lookups.push(LookupState { node: node.clone(), name: name.clone(), hash });
                Some(Event::Lookup { node: node.into(), name, contents })
            }
            EngineEvent::Schema { source, version, schema } => {
                if let Some(slot) = self.slots.iter().position(|slot| *slot.name == *source) {
                    sources.announce(slot, version, decode_schema(&schema)?);
                    self.slots[slot].state.schemas.push((version, schema));
                }
                None
            }
            EngineEvent::SourceEnded { source, position, fingerprint } => {
                if let Some(slot) = self.slots.iter_mut().find(|slot| *slot.name == *source) {
                    slot.state.ended = true;
                    slot.state.position = position.or(slot.state.position.take());
                    slot.state.fingerprint = fingerprint;
                }
                None
            }
            EngineEvent::Finished => {
                self.progress.finished = true;
                Some(Event::EndOfInput { depth: u32::MAX })
            }
            EngineEvent::Drained { depth } => Some(Event::EndOfInput { depth }),
            EngineEvent::GivenUp { sink, letters } => {
                let rows = dead_letter_rows(&sink, &letters)?;
                Some(Event::GivenUp { sink: sink.into(), rows })
            }
            EngineEvent::Joined { nodes } => return self.feed_joined(header, nodes),
        };
        self.feed_engine(header, event);
        Ok(())
    }

    fn slot_of(&self, header: &StepHeader) -> Result<usize> {
        let slot =
            self.slots.iter().position(|slot| Arc::ptr_eq(&slot.name, &header.source) || slot.name == header.source);
        slot.ok_or_else(|| {
            Error::internal(format!("step {} is of an unknown source `{}`", header.number, header.source))
        })
    }
}

/// An error of reading again the input of a step after a crash.
fn in_step(error: Error, step: StepNumber) -> Error {
    Error { message: format!("the input of step {step} cannot be read again: {}", error.message), ..error }
}
