//! A source of numbers that are the keys of a `dedupe`: first each of the known ones once, then mostly known ones.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use parking_lot::Mutex;
use tidegate_pipeline::catalog::Catalog;
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::graph::{Graph, plan};
use tidegate_pipeline::rows::Port;
use tidegate_pipeline::source::{
    Arrival, Delivery, Guarantee, GuaranteeClass, OpenSource, PlannedSource, Source, SourceContext, SourceKind,
    SourcePlanContext,
};
use tidegate_pipeline::spec::diagnostic::Diagnostic;
use tidegate_pipeline::spec::{KnownKinds, Options, Variables, load};
use tidegate_pipeline::step::{Position, Range, SchemaVersion};

use super::Outcome;

/// Rows of a batch.
pub(crate) const BATCH: i64 = 8192;

/// How many keys are known at first, how many rows follow, and every how-manieth of those has a new key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) known: i64,
    pub(crate) rows: i64,
    pub(crate) new_every: i64,
}

impl Shape {
    fn key(self, row: i64) -> i64 {
        if row < self.known {
            return row;
        }
        let later = row - self.known;
        match later % self.new_every {
            0 => self.known + later / self.new_every,
            _ => (later.wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as i64) >> 20).rem_euclid(self.known),
        }
    }

    /// The rows of batch `index`; `None` after the last.
    pub(crate) fn batch(self, index: i64) -> Option<RecordBatch> {
        let (from, end) = (index * BATCH, self.known + self.rows);
        let keys: Int64Array = (from..(from + BATCH).min(end)).map(|row| Some(self.key(row))).collect();
        (from < end).then(|| RecordBatch::try_new(schema(), vec![Arc::new(keys)]).ok()).flatten()
    }
}

pub(crate) fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("k", DataType::Int64, false)]))
}

/// The kind `numbers`; notes when the known keys have all been given.
pub(crate) struct Numbers {
    pub(crate) shape: Shape,
    pub(crate) warm: Arc<Mutex<Option<Instant>>>,
}

impl SourceKind for Numbers {
    fn name(&self) -> &'static str {
        "numbers"
    }

    fn summary(&self) -> &'static str {
        "Numbers."
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee { class: GuaranteeClass::Replayable, on_crash: "It goes on behind the last number." }
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
            ports: vec![Port::out(schema())],
            tables: Vec::new(),
            refresh: None,
            open: Box::new(Open { shape: self.shape, warm: Arc::clone(&self.warm) }),
        })
    }
}

struct Open {
    shape: Shape,
    warm: Arc<Mutex<Option<Instant>>>,
}

#[async_trait]
impl OpenSource for Open {
    async fn open(&self, context: SourceContext) -> Result<Box<dyn Source>> {
        let next = context.position.map_or(Ok(0), |position| position.0.parse()).map_err(Error::internal)?;
        Ok(Box::new(Reading { shape: self.shape, warm: Arc::clone(&self.warm), next }))
    }
}

struct Reading {
    shape: Shape,
    warm: Arc<Mutex<Option<Instant>>>,
    next: i64,
}

impl Reading {
    fn arrival(&self, index: i64) -> Option<Arrival> {
        let at = |index: i64| Position(index.to_string().into());
        let mut arrival = Arrival::rows(self.shape.batch(index)?, at(index + 1));
        arrival.range = Some(Range { from: at(index), to: at(index + 1), hash: 0, bytes: 0 });
        Some(arrival)
    }
}

#[async_trait]
impl Source for Reading {
    async fn next(&mut self) -> Result<Option<Arrival>> {
        tokio::task::consume_budget().await;
        if self.next * BATCH >= self.shape.known {
            self.warm.lock().get_or_insert_with(Instant::now);
        }
        self.next += 1;
        Ok(self.arrival(self.next - 1))
    }

    async fn reread(&mut self, range: &Range, _version: SchemaVersion) -> Result<Arrival> {
        let index = range.from.0.parse().map_err(Error::internal)?;
        self.next = index + 1;
        self.arrival(index).ok_or_else(|| Error::internal("there are no such numbers"))
    }
}

/// The graph of a pipeline over numbers.
pub(crate) fn graph(text: &str, numbers: Numbers) -> Outcome<Graph> {
    let mut sources = tidegate_connectors::sources();
    sources.push(Box::new(numbers));
    let catalog = Catalog { sources, operators: tidegate_operators::operators(), sinks: tidegate_connectors::sinks() };
    let kinds: KnownKinds = catalog.known_kinds();
    let loaded = load(text, "bench.yaml", &Variables::none(), &kinds).map_err(|wrong| format!("{wrong:?}"))?;
    let planned = plan(Arc::new(loaded.spec), "bench.yaml", &catalog, Path::new("."));
    Ok(planned.map_err(|wrong| format!("{wrong:?}"))?.0)
}

/// A pipeline that remembers each number.
pub(crate) fn text(every: &str) -> String {
    format!(
        "version: 1\nname: state\ncheckpoint: {{every: {every}}}\nsources: {{in: {{numbers: {{}}}}}}\n\
         operators: {{fresh: {{from: in, dedupe: {{key: k, within: 900h, max_keys: 100000000}}}}}}\n\
         sinks: {{out: {{from: fresh, drop: {{}}}}}}\n"
    )
}
