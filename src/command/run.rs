//! `tidegate run`: run a pipeline from its newest checkpoint.

use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use tidegate_pipeline::graph::Graph;
use tidegate_pipeline::runtime::{Acceptance, Pipeline, PipelineStatus, Reconfiguration, RunOptions, RunOutcome};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::arguments::{Format, PlanArguments, RunArguments};
use crate::catalog::{catalog, packs};
use crate::command::checkpoint::{bring_back, brought};
use crate::command::fate;
use crate::copies::CopyPlaces;
use crate::exit::{DONE, Failure};
use crate::recorded::{self, RecordedPlanner};
use crate::{live, serve};

/// Runs the pipeline to its end, or until it is told to stop.
pub(crate) async fn run(arguments: RunArguments, queries: Option<&Path>) -> Result<u8, Failure> {
    if arguments.dry_run {
        let plan = PlanArguments { pipeline: arguments.pipeline.pipeline, format: Format::Text };
        return super::plan::plan(&plan, queries).await;
    }
    let stop = stop_on_signal();
    let catalog = Arc::new(catalog(packs(queries)?));
    let graph = Arc::new(recorded::graph(&arguments.pipeline.pipeline, &catalog, &arguments.pipeline.dir)?);
    let directory = arguments.pipeline.dir.join(&*graph.spec.name.value);
    if let Some(from) = &arguments.restore_from {
        let (directory, from, own) = (directory.clone(), from.clone(), graph.spec.checkpoint.copy_to.clone());
        // A place far away may take its time: what is given up half-way is begun anew by the next start.
        let restoring = tokio::task::spawn_blocking(move || bring_back(&directory, &from, true, own.as_ref()));
        let restored = stop.run_until_cancelled(restoring).await;
        let restored = restored.ok_or_else(|| Failure::failed("stopped before the checkpoint was restored"))?;
        let report = restored.map_err(|error| Failure::failed(format!("the restore has failed: {error}")))??;
        crate::output::told!("restored {}", brought(&report).trim_end());
    }
    let set_aside = if arguments.fresh { Pipeline::set_aside(&directory)? } else { None };
    let mut options = RunOptions::new(directory);
    options.once = arguments.once;
    options.accept_clock = arguments.accept_clock;
    options.accept_divergence = arguments.accept_divergence;
    options.copies = Some(Arc::new(CopyPlaces));
    options.replanner = Some(Arc::new(RecordedPlanner { catalog, settings: Arc::clone(&graph.spec) }));
    let accepted =
        Acceptance { state_loss: arguments.accept_state_loss.clone(), divergence: arguments.accept_divergence };
    if let Some(change) = Pipeline::adopt(&graph, &options, &accepted).await? {
        crate::output::told!("{}", changed(&graph, &change).trim_end());
    }
    let started = Instant::now();
    let pipeline = match (Pipeline::open(Arc::clone(&graph), options).await, set_aside) {
        (Ok(pipeline), None) => pipeline,
        (Ok(pipeline), Some(set_aside)) => {
            set_aside.remove()?;
            pipeline
        }
        (Err(error), None) => return Err(error.into()),
        // What could not begin anew must not have lost what it was.
        (Err(error), Some(set_aside)) => {
            set_aside.put_back()?;
            return Err(error.into());
        }
    };
    let status = pipeline.status();
    let cancel = pipeline.cancellation();
    let stopping = cancel.clone();
    tokio::spawn(async move {
        stop.cancelled().await;
        stopping.cancel();
    });
    let served = match arguments.serve {
        Some(address) => Some(serve::start(address, Arc::clone(&graph), Arc::clone(&status), cancel.clone()).await?),
        None => None,
    };
    let shown = !arguments.quiet && std::io::stderr().is_terminal();
    let display = shown.then(|| tokio::spawn(live::show(Arc::clone(&status))));
    let outcome = pipeline.run().await;
    if let Some(display) = display {
        display.abort();
        live::clear(&display.await);
    }
    if let Some(server) = served {
        server.abort();
    }
    let outcome = match outcome {
        // `| head` has seen enough: that is no failure, and the next run goes on from the newest checkpoint.
        Err(error) if tidegate_connectors::is_closed_output(&error) => return Ok(DONE),
        other => other?,
    };
    if !arguments.quiet {
        crate::output::told!("{}", summary(&graph, &status, outcome, started).trim_end());
    }
    Ok(DONE)
}

/// What a change of the pipeline means, for people.
fn changed(graph: &Graph, change: &Reconfiguration) -> String {
    let lines: String = change.nodes.iter().filter_map(|node| fate::line(graph, node)).collect();
    format!("{}: goes on under a changed definition\n{lines}", graph.spec.name.value)
}

/// A first Ctrl-C (or SIGTERM) stops in order, by what is returned; a second one at once.
fn stop_on_signal() -> CancellationToken {
    let stop = CancellationToken::new();
    let told = stop.clone();
    let mut signals = Signals::new();
    tokio::spawn(async move {
        signals.next().await;
        crate::output::told!(
            "stopping: sources first, then what is under way, then a last checkpoint (again to stop at once)"
        );
        told.cancel();
        signals.next().await;
        crate::output::told!("stopped at once; the next start goes on from the newest checkpoint");
        std::process::exit(i32::from(crate::exit::FAILED));
    });
    stop
}

/// SIGINT and SIGTERM. One value listens for as long as it lives, so that no signal between two is missed.
struct Signals(Vec<Signal>);

impl Signals {
    fn new() -> Self {
        let kinds = [SignalKind::interrupt(), SignalKind::terminate()];
        let listening =
            |kind| signal(kind).inspect_err(|error| tracing::warn!(%error, "A signal is not listened for."));
        Self(kinds.into_iter().filter_map(|kind| listening(kind).ok()).collect())
    }

    /// The next of them; never, where the system lets no signal be listened for.
    async fn next(&mut self) {
        if self.0.is_empty() {
            return std::future::pending().await;
        }
        let waiting = self.0.iter_mut().map(|signal| Box::pin(signal.recv()));
        futures::future::select_all(waiting).await;
    }
}

/// What a run did, in a few lines.
fn summary(graph: &Graph, status: &PipelineStatus, outcome: RunOutcome, started: Instant) -> String {
    use std::sync::atomic::Ordering::Relaxed;
    let name = &graph.spec.name.value;
    let took = started.elapsed();
    let how = match outcome {
        RunOutcome::Finished => "finished",
        RunOutcome::AlreadyFinished => {
            return format!("{name}: finished already; nothing to do (`--fresh` runs it anew)\n");
        }
        RunOutcome::Once => "has read what there was",
        RunOutcome::Stopped => "stopped in order",
    };
    let step = status.step.load(Relaxed);
    let mut text = format!("{name}: {how} after {took:.1?}, at step {step}");
    if let Some(checkpoint) = &*status.last_checkpoint.lock() {
        text.push_str(&format!(", checkpoint {}", checkpoint.number.0));
    }
    text.push('\n');
    for node in &status.nodes {
        let rejected = node.rejected.load(Relaxed);
        let bad = if rejected > 0 { format!(", {rejected} could not be handled") } else { String::new() };
        let (rows_in, rows_out) = (node.rows_in.load(Relaxed), node.rows_out.load(Relaxed));
        let flow = match node.section {
            tidegate_pipeline::spec::pipeline::Section::Source => format!("{rows_out} rows"),
            tidegate_pipeline::spec::pipeline::Section::Operator => format!("{rows_in} → {rows_out} rows"),
            tidegate_pipeline::spec::pipeline::Section::Sink => format!("{rows_in} rows"),
        };
        let unread = node.refresh.as_ref().map_or(0, |refresh| refresh.status.report().failed_scopes);
        let unread = if unread > 0 { format!(", {unread} tables could not be read") } else { String::new() };
        text.push_str(&format!("  {} ({}): {flow}{bad}{unread}\n", node.name, node.kind));
    }
    text
}
