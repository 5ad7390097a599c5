//! A pipeline with the sources and sinks of tests, in a process of its own that can be killed.
//!
//! The test program starts itself again: the child runs [`a_life`] and nothing else.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tidegate_operators::check::CheckKind;
use tidegate_operators::check::pack::PackLibrary;
use tidegate_pipeline::catalog::Catalog;
use tidegate_pipeline::graph::plan;
use tidegate_pipeline::runtime::{EffectChange, Pipeline, RunOptions, change_effects};
use tidegate_pipeline::spec::{Variables, load};
use tidegate_pipeline::testing::dispatch::{Destination, DispatchKind};

use crate::recorded::RecordedKind;

/// The file of the pipeline that the child runs, in its working directory.
pub(crate) const PIPELINE: &str = "pipeline.yaml";
/// Where its state is.
pub(crate) const STATE: &str = ".tidegate/child";
/// Its name.
pub(crate) const NAME: &str = "child";

/// Tells the child that it is one, and what to do.
const TASK: &str = "TIDEGATE_TEST_TASK";
/// Names the server to the child.
const SERVER: &str = "TIDEGATE_TEST_SERVER";

/// What a child does.
pub(crate) enum Task<'a> {
    /// Runs the pipeline; its sinks `dispatch` post to this address.
    Run { server: &'a str },
    /// Retries an effect.
    Retry(&'a str),
}

/// A child in `directory`, not yet started.
pub(crate) fn child(directory: &Path, task: &Task<'_>) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("the test program has a path"));
    command.args(["--exact", "child::a_life", "--ignored", "--quiet", "--nocapture"]);
    command.current_dir(directory).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    match task {
        Task::Run { server } => command.env(TASK, "run").env(SERVER, server),
        Task::Retry(id) => command.env(TASK, id),
    };
    command
}

#[test]
#[ignore = "started by other tests, in a process of its own"]
fn a_life() {
    match std::env::var(TASK).as_deref() {
        Ok("run") => run(),
        Ok(id) => {
            let done = change_effects(Path::new(STATE), NAME, EffectChange::Retry, &[id.to_owned()]);
            done.unwrap_or_else(|error| panic!("{error}"));
        }
        Err(_) => {}
    }
}

fn run() {
    let address = std::env::var(SERVER).expect("a server is named");
    let mut sources = tidegate_connectors::sources();
    sources.push(Box::new(RecordedKind));
    let mut operators = tidegate_operators::operators();
    operators.push(Box::new(CheckKind::new(PackLibrary::default())));
    let mut sinks = tidegate_connectors::sinks();
    sinks.push(Box::new(DispatchKind(Destination::Http(address))));
    let catalog = Catalog { sources, operators, sinks };
    let text = std::fs::read_to_string(PIPELINE).expect("the pipeline can be read");
    let loaded = load(&text, PIPELINE, &Variables::none(), &catalog.known_kinds());
    let spec = loaded.unwrap_or_else(|wrong| panic!("{wrong:?}")).spec;
    let planned = plan(Arc::new(spec), PIPELINE, &catalog, Path::new("."));
    let graph = Arc::new(planned.unwrap_or_else(|wrong| panic!("{wrong:?}")).0);
    let mut options = RunOptions::new(STATE);
    options.delivery.initial = Duration::from_millis(2);
    options.delivery.longest = Duration::from_millis(20);
    options.delivery.attempts = 1_000;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let outcome = runtime.block_on(async { Pipeline::open(graph, options).await?.run().await });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}
