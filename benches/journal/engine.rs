//! A pipeline in this process, with a source that callers hand rows to and wait at.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch, StringArray};
use async_trait::async_trait;
use tidegate_pipeline::catalog::Catalog;
use tidegate_pipeline::error::Result;
use tidegate_pipeline::graph::plan;
use tidegate_pipeline::rows::Port;
use tidegate_pipeline::runtime::{Pipeline, RunOptions};
use tidegate_pipeline::source::{
    Arrival, Delivery, Guarantee, GuaranteeClass, OpenSource, PlannedSource, Reply, Source, SourceContext, SourceKind,
    SourcePlanContext,
};
use tidegate_pipeline::spec::diagnostic::Diagnostic;
use tidegate_pipeline::spec::{Options, Variables, load};
use tidegate_pipeline::step::Position;
use tokio::sync::{Mutex, mpsc};

use super::Outcome;

/// One event, as a webhook would bring it.
pub(crate) fn event(number: i64) -> RecordBatch {
    let text = |value: &str| Arc::new(StringArray::from(vec![value])) as _;
    let columns = [
        ("n", Arc::new(Int64Array::from(vec![number])) as _),
        ("resource_id", text("i-0123456789abcdef")),
        ("severity", text("critical")),
        ("message", text("resource changed state during the refresh of its region")),
    ];
    RecordBatch::try_from_iter(columns).unwrap_or_else(|error| {
        eprintln!("{error}");
        std::process::exit(1)
    })
}

/// Rows on their way in, and who waits for each.
pub(crate) type Waiting = mpsc::Receiver<(RecordBatch, Reply)>;

/// The kind `callers`.
pub(crate) struct CallersKind(pub(crate) Arc<Mutex<Waiting>>);

impl SourceKind for CallersKind {
    fn name(&self) -> &'static str {
        "callers"
    }

    fn summary(&self) -> &'static str {
        "Takes rows from callers, who wait until each is durable."
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee { class: GuaranteeClass::Acknowledged, on_crash: "As journaled." }
    }

    fn schema(&self) -> schemars::Schema {
        schemars::json_schema!({"type": "object"})
    }

    fn plan(&self, _options: &Options, _context: &SourcePlanContext<'_>) -> Result<PlannedSource, Vec<Diagnostic>> {
        Ok(PlannedSource {
            delivery: Delivery::Inline,
            acknowledges: false,
            bounded: false,
            envelope: false,
            reconnects: false,
            ports: vec![Port::out(event(0).schema())],
            tables: Vec::new(),
            refresh: None,
            open: Box::new(Open(Arc::clone(&self.0))),
        })
    }
}

struct Open(Arc<Mutex<Waiting>>);

#[async_trait]
impl OpenSource for Open {
    async fn open(&self, _context: SourceContext) -> Result<Box<dyn Source>> {
        Ok(Box::new(Taking { waiting: Arc::clone(&self.0), taken: 0 }))
    }
}

struct Taking {
    waiting: Arc<Mutex<Waiting>>,
    taken: u64,
}

#[async_trait]
impl Source for Taking {
    async fn next(&mut self) -> Result<Option<Arrival>> {
        let Some((rows, reply)) = self.waiting.lock().await.recv().await else { return Ok(None) };
        self.taken += 1;
        let mut arrival = Arrival::rows(rows, Position(self.taken.to_string().into()));
        arrival.replies.push(reply);
        Ok(Some(arrival))
    }
}

/// The program's kinds.
pub(crate) fn catalog() -> Catalog {
    Catalog {
        sources: tidegate_connectors::sources(),
        operators: tidegate_operators::operators(),
        sinks: tidegate_connectors::sinks(),
    }
}

/// Opens the pipeline that stands in `text`.
pub(crate) async fn open(text: &str, catalog: &Catalog, directory: &Path) -> Outcome<Pipeline> {
    let loaded =
        load(text, "bench.yaml", &Variables::none(), &catalog.known_kinds()).map_err(|wrong| format!("{wrong:?}"))?;
    let planned =
        plan(Arc::new(loaded.spec), "bench.yaml", catalog, Path::new(".")).map_err(|wrong| format!("{wrong:?}"))?;
    Ok(Pipeline::open(Arc::new(planned.0), RunOptions::new(directory)).await?)
}
