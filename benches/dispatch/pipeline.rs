//! The sink `webhook` in a pipeline in this process.

use std::path::Path;
use std::sync::Arc;

use tidegate_pipeline::catalog::Catalog;
use tidegate_pipeline::graph::{Graph, plan};
use tidegate_pipeline::runtime::{Pipeline, RunOptions, RunOutcome};
use tidegate_pipeline::spec::{Variables, load};

use super::receiver::Receiver;
use super::{CONNECTIONS, Outcome};

/// Requests per second.
pub(crate) async fn measure(receiver: &Receiver, state: &Path, requests: usize) -> Outcome<f64> {
    let graph = graph(&format!("http://{}/", receiver.address), requests)?;
    receiver.take();
    let outcome = Pipeline::open(graph, RunOptions::new(state)).await?.run().await?;
    let (count, took) = receiver.take();
    if outcome != RunOutcome::Finished || count != requests {
        return Err(format!("{outcome:?} after {count} requests of {requests}").into());
    }
    Ok(count as f64 / took.as_secs_f64())
}

/// A pipeline that posts so many rows.
pub(crate) fn graph(url: &str, rows: usize) -> Outcome<Arc<Graph>> {
    let text = format!(
        "version: 1\nname: posts\ncheckpoint: {{every: 1s}}\nsources: {{in: {{range: {{limit: {rows}}}}}}}\n\
         sinks: {{page: {{from: in, webhook: {{url: \"{url}\", concurrency: {CONNECTIONS}}}}}}}\n"
    );
    let catalog = Catalog {
        sources: tidegate_connectors::sources(),
        operators: tidegate_operators::operators(),
        sinks: tidegate_connectors::sinks(),
    };
    let loaded =
        load(&text, "bench.yaml", &Variables::none(), &catalog.known_kinds()).map_err(|wrong| format!("{wrong:?}"))?;
    let planned =
        plan(Arc::new(loaded.spec), "bench.yaml", &catalog, Path::new(".")).map_err(|wrong| format!("{wrong:?}"))?;
    Ok(Arc::new(planned.0))
}
