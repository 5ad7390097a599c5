//! The same by a pipeline, run in this process as `tidegate run` does.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tidegate_pipeline::catalog::Catalog;
use tidegate_pipeline::graph::plan;
use tidegate_pipeline::runtime::{Pipeline, RunOptions};
use tidegate_pipeline::spec::{Variables, load};

use super::Outcome;

const PIPELINE: &str = "
version: 1
name: kafka
checkpoint: {every: 1s}
sources: {in: {kafka: {host: 127.0.0.1, port: PORT, topic: events, offset: earliest}}}
operators: {loud: {from: in, filter: \"body.severity <> 'info'\"}}
sinks: {out: {from: loud, drop: {report: false}}}
";

/// No run takes longer.
const LONGEST: Duration = Duration::from_secs(600);

/// Reads all events; seconds.
pub(crate) async fn read(port: u16, events: u64, state: &Path) -> Outcome<f64> {
    let catalog = Catalog {
        sources: tidegate_connectors::sources(),
        operators: tidegate_operators::operators(),
        sinks: tidegate_connectors::sinks(),
    };
    let text = PIPELINE.replace("PORT", &port.to_string());
    let loaded =
        load(&text, "bench.yaml", &Variables::none(), &catalog.known_kinds()).map_err(|wrong| format!("{wrong:?}"))?;
    let planned =
        plan(Arc::new(loaded.spec), "bench.yaml", &catalog, Path::new(".")).map_err(|wrong| format!("{wrong:?}"))?;
    let started = Instant::now();
    let pipeline = Pipeline::open(Arc::new(planned.0), RunOptions::new(state)).await?;
    let (status, cancellation) = (pipeline.status(), pipeline.cancellation());
    // A third of the events is filtered out.
    let kept = events - events.div_ceil(3);
    let watching = async {
        let out = || status.node("out").map_or(0, |node| node.rows_in.load(Ordering::Relaxed));
        while out() < kept && started.elapsed() < LONGEST {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let took = started.elapsed();
        cancellation.cancel();
        Ok(took)
    };
    let (_, took) = tokio::try_join!(pipeline.run(), watching)?;
    if took >= LONGEST { Err("the pipeline does not get through".into()) } else { Ok(took.as_secs_f64()) }
}
