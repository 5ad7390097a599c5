//! A pipeline over the canned instances, run in this process as `tidegate run` does.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tidegate_pipeline::catalog::Catalog;
use tidegate_pipeline::graph::plan;
use tidegate_pipeline::provider::{RefreshControl, RefreshRequest};
use tidegate_pipeline::runtime::{Pipeline, PipelineStatus, RunOptions};
use tidegate_pipeline::spec::{Variables, load};

use super::{Outcome, REGION, TABLES};

/// Nothing takes longer.
const LONGEST: Duration = Duration::from_secs(1800);
/// How often it is looked whether something has come to pass.
const LOOK: Duration = Duration::from_millis(1);

/// A pipeline that runs.
pub(crate) struct Watched {
    status: Arc<PipelineStatus>,
}

impl Watched {
    /// How many rows have got to the sink.
    pub(crate) fn rows(&self) -> u64 {
        self.status.node("out").map_or(0, |node| node.rows_in.load(Ordering::Relaxed))
    }

    fn control(&self) -> Option<Arc<RefreshControl>> {
        self.status.node("inventory")?.refresh.clone()
    }

    /// Seconds until it is so.
    pub(crate) async fn until(&self, mut happened: impl FnMut() -> bool) -> Outcome<f64> {
        let begun = Instant::now();
        while !happened() {
            if begun.elapsed() > LONGEST {
                return Err("the pipeline does not get through".into());
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(begun.elapsed().as_secs_f64())
    }

    /// Has everything refreshed; seconds until the refresh has ended and so many rows have got to the sink in all.
    pub(crate) async fn refresh(&self, rows: u64) -> Outcome<f64> {
        let control = self.control().ok_or("no provider")?;
        let before = control.status.report().refreshes;
        self.until(|| control.ask(RefreshRequest::default()).is_ok()).await?;
        let took = self.until(|| control.status.report().refreshes > before && self.rows() >= rows).await?;
        match control.status.report().error {
            Some(error) => Err(error.into()),
            None => Ok(took),
        }
    }
}

/// Runs a pipeline while `work` looks at it. `events` are what the provider's option of that name says, if anything.
pub(crate) async fn with_pipeline<T>(
    address: &str,
    events: Option<&str>,
    folder: &Path,
    work: impl AsyncFnOnce(&Watched) -> Outcome<T>,
) -> Outcome<T> {
    let events = events.map(|events| format!("\n      events: {events}")).unwrap_or_default();
    let text = format!(
        "version: 1\nname: aws\ncheckpoint: {{every: 10s}}\nsources:\n  inventory:\n    aws_ec2:\n      regions: [{REGION}]\n      \
         tables: [{}]\n      refresh: off{events}\n      \
         aws: {{access_key: any, secret_key: any, endpoint_url: \"{address}\"}}\n\
         sinks: {{out: {{from: inventory, drop: {{report: false}}}}}}\n",
        TABLES.join(", ")
    );
    let catalog = Catalog {
        sources: tidegate_aws::sources(),
        operators: tidegate_operators::operators(),
        sinks: tidegate_connectors::sinks(),
    };
    let loaded =
        load(&text, "bench.yaml", &Variables::none(), &catalog.known_kinds()).map_err(|wrong| format!("{wrong:?}"))?;
    let planned =
        plan(Arc::new(loaded.spec), "bench.yaml", &catalog, Path::new(".")).map_err(|wrong| format!("{wrong:?}"))?;
    let pipeline = Pipeline::open(Arc::new(planned.0), RunOptions::new(folder)).await?;
    let (watched, cancellation) = (Watched { status: pipeline.status() }, pipeline.cancellation());
    let working = async {
        let done = work(&watched).await;
        cancellation.cancel();
        done
    };
    let (ran, done) = tokio::join!(pipeline.run(), working);
    ran?;
    done
}
