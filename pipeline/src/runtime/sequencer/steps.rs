//! Making steps: number, time, journal, feed.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::RecordBatch;

use super::Sequencer;
use super::join::Joined;
use crate::envelope;
use crate::error::{Error, Result};
use crate::journal::record::{EngineEvent, InlinePart, Record, StepBody, StepRecord, encode_batch, encode_schema};
use crate::rows::{PortIndex, Rejected};
use crate::runtime::chain::error_rows;
use crate::runtime::edge::Payload;
use crate::runtime::event::Event;
use crate::runtime::feeder::Feed;
use crate::runtime::source_slot::SourceSlot;
use crate::source::Delivery;
use crate::spec::pipeline::OnError;
use crate::step::{ENGINE, SchemaVersion, StepHeader, StepNumber, Unit};
use crate::table::{TableSet, Tables};

/// How often, in steps, the times of steps that every node has passed are forgotten.
const TRIM_EVERY: u64 = 4096;

impl Sequencer {
    /// Makes a step of a source's arrivals.
    pub(super) fn rows_step(&mut self, slot: usize, mut joined: Joined) -> Result<()> {
        if let Some(schema) = joined.new_schema.take() {
            let state = &mut self.slots[slot];
            let encoded = encode_schema(&schema)?;
            state.state.schemas.push((joined.schema_version, encoded.clone()));
            let source = state.name.to_string();
            self.engine_step(EngineEvent::Schema { source, version: joined.schema_version, schema: encoded }, None)?;
        }
        let rows = joined.take_rows()?;
        let state = &self.slots[slot];
        let header =
            self.next_header(&state.name.clone(), joined.unit.clone(), joined.schema_version, joined.watermark);
        let state = &self.slots[slot];
        let position = joined.position.clone();
        let body = match state.delivery {
            Delivery::Seek if !self.settings.inline_all => {
                StepBody::Reference { ranges: joined.ranges.clone(), position }
            }
            Delivery::Seek | Delivery::Inline => {
                let part = |(port, batch): &(PortIndex, RecordBatch)| {
                    Ok(InlinePart { port: port.0 as u32, ipc: encode_batch(batch)? })
                };
                let parts = rows.iter().map(part).collect::<Result<_>>()?;
                StepBody::Inline { parts, rejected: joined.rejected.clone(), position }
            }
        };
        self.journal_step(&header, body)?;
        let slot_state = &mut self.slots[slot];
        slot_state.state.position = Some(joined.position.clone());
        slot_state.state.watermark = slot_state.state.watermark.max(joined.watermark);
        if !joined.replies.is_empty() || slot_state.acknowledges {
            slot_state.acknowledge_when_durable(
                &self.journal,
                self.progress.journaled,
                joined.position,
                joined.replies,
            );
        }
        self.feed_rows(slot, header, rows, &joined.rejected)
    }

    /// Makes a step of the engine. Its event, if it has one, goes over every edge.
    pub(crate) fn engine_step(&mut self, record: EngineEvent, event: Option<Event>) -> Result<()> {
        let header = self.next_header(&ENGINE.into(), Unit::Rows, SchemaVersion::default(), None);
        self.journal_step(&header, StepBody::Engine(record))?;
        self.feed_engine(header, event);
        Ok(())
    }

    fn next_header(
        &mut self,
        source: &Arc<str>,
        unit: Unit,
        schema_version: SchemaVersion,
        watermark: Option<i64>,
    ) -> StepHeader {
        let (number, time) = (self.progress.step.next(), self.clock.next());
        StepHeader { number, time, source: Arc::clone(source), unit, schema_version, watermark }
    }

    fn journal_step(&mut self, header: &StepHeader, body: StepBody) -> Result<()> {
        let record = Record::Step(StepRecord { header: header.clone(), body });
        self.progress.journaled = self.journal.append(&record)?;
        if self.trail.goes_on() { self.journal.hand_over() } else { Ok(()) }
    }

    /// Brings a journaled step into the graph: as it is made, and as it is executed again.
    pub(crate) fn feed_rows(
        &mut self,
        slot: usize,
        header: StepHeader,
        mut rows: Vec<(PortIndex, RecordBatch)>,
        rejected: &[Rejected],
    ) -> Result<()> {
        let state = &mut self.slots[slot];
        let count: usize = rows.iter().map(|(_, batch)| batch.num_rows()).sum();
        state.status.rows_out.fetch_add(count as u64, Ordering::Relaxed);
        state.status.steps.fetch_add(1, Ordering::Relaxed);
        if state.envelope {
            rows = completed(rows, &header, &self.settings.pipeline)?;
        }
        let tables = state.apply(&header.unit, &rows)?;
        if !rejected.is_empty() {
            rows.extend(state.rejected(&header, rejected)?);
        }
        let bytes = rows.iter().map(|(_, batch)| batch.get_array_memory_size()).sum();
        self.feed_step(header, Some(slot), Payload { rows, tables, event: None }, bytes);
        Ok(())
    }

    /// Makes the step by which new nodes begin with the tables that they read.
    pub(crate) fn joined_step(&mut self, nodes: Vec<String>) -> Result<()> {
        let header = self.next_header(&ENGINE.into(), Unit::Rows, SchemaVersion::default(), None);
        self.journal_step(&header, StepBody::Engine(EngineEvent::Joined { nodes: nodes.clone() }))?;
        self.feed_joined(header, nodes)
    }

    /// Gives new nodes the contents of the tables that they read, as inserts and as tables.
    pub(crate) fn feed_joined(&mut self, header: StepHeader, nodes: Vec<String>) -> Result<()> {
        self.progress.joined = true;
        let contents = |slot: &SourceSlot| match &slot.tables {
            None => Ok(Payload::default()),
            Some(tables) => contents_as_inserts(tables, &slot.table_ports),
        };
        let payloads = self.slots.iter().map(contents).collect::<Result<Vec<_>>>()?;
        self.advance(&header);
        let _ = self.feed.send(Feed::Joined { header: Arc::new(header), nodes, payloads });
        Ok(())
    }

    pub(crate) fn feed_engine(&mut self, header: StepHeader, event: Option<Event>) {
        let payload = Payload { rows: Vec::new(), tables: None, event: event.map(Arc::new) };
        self.feed_step(header, None, payload, 0);
    }

    fn feed_step(&mut self, header: StepHeader, source: Option<usize>, payload: Payload, bytes: usize) {
        self.advance(&header);
        self.backlog.add(bytes);
        // When nobody takes it, a node has failed and its error is on the way.
        let _ = self.feed.send(Feed::Step { header: Arc::new(header), source, payload, bytes });
    }

    /// Takes note of a step that is about to enter the graph.
    fn advance(&mut self, header: &StepHeader) {
        self.progress.step = header.number;
        self.progress.time = header.time;
        self.status.step.store(header.number.0, Ordering::Relaxed);
        self.status.step_time.store(header.time.0, Ordering::Relaxed);
        self.times.push(header.number, header.time);
        if header.number.0.is_multiple_of(TRIM_EVERY) {
            self.times.forget_before(StepNumber(self.status.slowest()));
        }
    }
}

/// Events with their envelopes completed.
fn completed(
    rows: Vec<(PortIndex, RecordBatch)>,
    header: &StepHeader,
    pipeline: &str,
) -> Result<Vec<(PortIndex, RecordBatch)>> {
    let mut first = 0;
    let complete = |(port, batch): (PortIndex, RecordBatch)| {
        let done = envelope::complete(&batch, header, pipeline, first)?;
        first += batch.num_rows();
        Ok((port, done))
    };
    rows.into_iter().map(complete).collect()
}

/// The contents of tables: rows by the port of each table, and the tables themselves. The rows are also those that came
/// for a scope which is still open: readers of changes were told of them as they came, and are not told again at its end.
fn contents_as_inserts(tables: &Tables, ports: &[Arc<str>]) -> Result<Payload> {
    let mut rows = Vec::new();
    for (port, table) in ports.iter().enumerate() {
        if let Some(inserts) = tables.told(table)? {
            rows.extend(inserts.batches().iter().map(|batch| (PortIndex(port), batch.clone())));
        }
    }
    Ok(Payload { rows, tables: Some(tables.current()), event: None })
}

impl SourceSlot {
    /// Maintains the source's tables; gives them back when a scope has ended.
    fn apply(&mut self, unit: &Unit, rows: &[(PortIndex, RecordBatch)]) -> Result<Option<TableSet>> {
        let Some(tables) = &mut self.tables else { return Ok(None) };
        tables.apply(unit, rows.iter().map(|(_, batch)| batch))
    }

    /// Rejected input as rows of the `errors` port.
    fn rejected(&self, header: &StepHeader, rejected: &[Rejected]) -> Result<Option<(PortIndex, RecordBatch)>> {
        self.status.rejected.fetch_add(rejected.len() as u64, Ordering::Relaxed);
        match self.on_error {
            OnError::Drop => Ok(None),
            OnError::Errors => {
                let numbered: Vec<(u64, Rejected)> = (0..).zip(rejected.iter().cloned()).collect();
                Ok(Some((self.errors_port, error_rows(&self.name, header, &numbered)?)))
            }
            OnError::Fail => {
                let message = format!("{}: {}", rejected[0].position, rejected[0].reason);
                let remedy = "`on_error: errors` sends such input to the port `errors`";
                Err(Error::external(message)
                    .never_retry()
                    .with_remedy(remedy)
                    .at_node(&self.name)
                    .at_place(&self.place))
            }
        }
    }
}
