//! The source `webhook` in a pipeline in this process.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tidegate_pipeline::catalog::Catalog;
use tidegate_pipeline::graph::plan;
use tidegate_pipeline::runtime::{Pipeline, RunOptions};
use tidegate_pipeline::spec::{Variables, load};

use super::{Outcome, clients};

/// Answered per second, and how many of them in each step.
pub(crate) async fn measure(folder: &Path, with_ids: bool, each: Duration) -> Outcome<(f64, f64)> {
    let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let text = format!(
        "version: 1\nname: posted\ncheckpoint: {{every: 1s}}\n\
         sources: {{in: {{webhook: {{host: 127.0.0.1, port: {}}}}}}}\nsinks: {{out: {{from: in, drop: {{report: false}}}}}}\n",
        address.port()
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
    let pipeline = Pipeline::open(Arc::new(planned.0), RunOptions::new(folder)).await?;
    let (cancel, status) = (pipeline.cancellation(), pipeline.status());
    let calling = async {
        while tokio::net::TcpStream::connect(address).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let rate = clients::call(address, with_ids, each).await;
        cancel.cancel();
        rate
    };
    let (ended, rate) = tokio::join!(pipeline.run(), calling);
    ended?;
    let rows = status.node("in").map_or(0, |node| node.rows_out.load(Ordering::Relaxed));
    Ok((rate?, rows as f64 / status.step.load(Ordering::Relaxed) as f64))
}
