//! A source that gives what a test says, and fails, stalls or crashes where it says so.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::rows::Port;
use tidegate_pipeline::source::{
    Arrival, Delivery, Guarantee, GuaranteeClass, OpenSource, PlannedSource, Source, SourceContext, SourceKind,
    SourcePlanContext,
};
use tidegate_pipeline::spec::Options;
use tidegate_pipeline::spec::diagnostic::Diagnostic;
use tidegate_pipeline::step::{Position, Range, SchemaVersion};

use crate::outside::Outside;

/// Called at every attempt to open it.
pub(crate) type Opening = Arc<dyn Fn() -> Result<()> + Send + Sync>;
/// Called before the arrival of that index is given, at every attempt.
pub(crate) type Hook = Arc<dyn Fn(usize) -> Result<()> + Send + Sync>;

/// What one source gives: each batch as one arrival.
#[derive(Clone)]
pub(crate) struct Given {
    pub(crate) delivery: Delivery,
    pub(crate) bounded: bool,
    pub(crate) reconnects: bool,
    pub(crate) batches: Arc<Vec<RecordBatch>>,
    /// Nothing comes from this index on, and no end either.
    pub(crate) stalls_at: usize,
    /// The last batch is given again and again.
    pub(crate) repeats: bool,
    pub(crate) hook: Hook,
    /// Called whenever it is opened.
    pub(crate) opening: Opening,
    /// What it is told, for a source that is told what is durable.
    pub(crate) outside: Option<Outside>,
}

impl Given {
    /// Batches that can be read again; the source ends after them.
    pub(crate) fn new(batches: Vec<RecordBatch>) -> Self {
        Self {
            delivery: Delivery::Seek,
            bounded: true,
            reconnects: false,
            batches: Arc::new(batches),
            stalls_at: usize::MAX,
            repeats: false,
            hook: Arc::new(|_| Ok(())),
            opening: Arc::new(|| Ok(())),
            outside: None,
        }
    }

    /// Never ends.
    pub(crate) fn endless(mut self) -> Self {
        self.bounded = false;
        self
    }

    /// Cannot be read again.
    pub(crate) fn inline(mut self) -> Self {
        self.delivery = Delivery::Inline;
        self
    }

    /// Is opened again for ever when it fails.
    pub(crate) fn reconnecting(mut self) -> Self {
        self.reconnects = true;
        self
    }

    /// Gives its last batch for ever.
    pub(crate) fn repeating(mut self) -> Self {
        self.repeats = true;
        self.endless()
    }

    /// Gives nothing from `index` on.
    pub(crate) fn stalling_at(mut self, index: usize) -> Self {
        self.stalls_at = index;
        self
    }

    pub(crate) fn with_hook(mut self, hook: impl Fn(usize) -> Result<()> + Send + Sync + 'static) -> Self {
        self.hook = Arc::new(hook);
        self
    }

    /// Calls this whenever it is opened.
    pub(crate) fn opening(mut self, opening: impl Fn() -> Result<()> + Send + Sync + 'static) -> Self {
        self.opening = Arc::new(opening);
        self
    }

    /// Wants to be told what is durable, and tells `outside`.
    pub(crate) fn telling(mut self, outside: &Outside) -> Self {
        self.outside = Some(outside.clone());
        self
    }

    fn arrival(&self, index: usize) -> Arrival {
        let at = |index: usize| Position(index.to_string().into());
        let mut arrival = Arrival::rows(self.batches[index.min(self.batches.len() - 1)].clone(), at(index + 1));
        arrival.alone = self.delivery == Delivery::Seek;
        arrival.range = Some(Range { from: at(index), to: at(index + 1), hash: 0, bytes: 0 });
        arrival
    }
}

/// The columns of all given rows: a key, a number, and a time in ms.
pub(crate) fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("k", DataType::Utf8, true),
        Field::new("n", DataType::Int64, true),
        Field::new("t", DataType::Int64, true),
    ]))
}

/// Rows with these numbers; the key of n is `k` and n modulo 5, its time n seconds.
pub(crate) fn rows(numbers: impl IntoIterator<Item = i64>) -> RecordBatch {
    let numbers: Int64Array = numbers.into_iter().map(Some).collect();
    let keys: StringArray = numbers.iter().map(|n| n.map(|n| format!("k{}", n.rem_euclid(5)))).collect();
    let times: Int64Array = numbers.iter().map(|n| n.map(|n| n * 1000)).collect();
    assert_eq!(numbers.null_count(), 0);
    RecordBatch::try_new(schema(), vec![Arc::new(keys), Arc::new(numbers), Arc::new(times)]).expect("a batch")
}

/// The numbers 0 to `count`, in batches of `each`.
pub(crate) fn batches(count: i64, each: i64) -> Vec<RecordBatch> {
    (0..count).step_by(each as usize).map(|start| rows(start..(start + each).min(count))).collect()
}

/// The kind `given`.
pub(crate) struct GivenKind(pub(crate) BTreeMap<String, Given>);

impl SourceKind for GivenKind {
    fn name(&self) -> &'static str {
        "given"
    }

    fn summary(&self) -> &'static str {
        "Gives what a test says."
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee { class: GuaranteeClass::Replayable, on_crash: "It is given again." }
    }

    fn schema(&self) -> schemars::Schema {
        schemars::json_schema!({"type": "object"})
    }

    fn plan(&self, _options: &Options, context: &SourcePlanContext<'_>) -> Result<PlannedSource, Vec<Diagnostic>> {
        let given = self.0[context.node].clone();
        Ok(PlannedSource {
            delivery: given.delivery,
            acknowledges: given.outside.is_some(),
            bounded: given.bounded,
            envelope: false,
            reconnects: given.reconnects,
            ports: vec![Port::out(schema())],
            tables: Vec::new(),
            refresh: None,
            open: Box::new(Open(given)),
        })
    }
}

struct Open(Given);

#[async_trait]
impl OpenSource for Open {
    async fn open(&self, context: SourceContext) -> Result<Box<dyn Source>> {
        (self.0.opening)()?;
        let next = context.position.map_or(Ok(0), |position| position.0.parse()).map_err(Error::internal)?;
        Ok(Box::new(Reading { given: self.0.clone(), next }))
    }
}

struct Reading {
    given: Given,
    next: usize,
}

#[async_trait]
impl Source for Reading {
    async fn next(&mut self) -> Result<Option<Arrival>> {
        if self.next >= self.given.stalls_at {
            return std::future::pending().await;
        }
        if self.next < self.given.batches.len() || self.given.repeats {
            // A source that never waits gives others their turn all the same.
            tokio::task::consume_budget().await;
            (self.given.hook)(self.next)?;
            self.next += 1;
            return Ok(Some(self.given.arrival(self.next - 1)));
        }
        if self.given.bounded { Ok(None) } else { std::future::pending().await }
    }

    async fn acknowledge(&mut self, position: &Position) -> Result<()> {
        match &self.given.outside {
            Some(outside) => outside.acknowledged(position).await,
            None => Ok(()),
        }
    }

    async fn close(&mut self) -> Result<()> {
        match &self.given.outside {
            Some(outside) => outside.closed(),
            None => Ok(()),
        }
    }

    async fn reread(&mut self, range: &Range, _version: SchemaVersion) -> Result<Arrival> {
        let start: usize = range.from.0.parse().map_err(Error::internal)?;
        self.next = start + 1;
        Ok(self.given.arrival(start))
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        if let Some(outside) = &self.given.outside {
            outside.dropped();
        }
    }
}
