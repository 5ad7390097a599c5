//! `tidegate check`: collect the tables that controls read, evaluate, report. Dispatches nothing, writes no sink.

mod formats;
mod narrow;
mod newest;
mod parameters;
mod report;
mod target;
mod waivers;

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use tidegate_operators::check::finding::Severity;
use tidegate_operators::check::pack::PackLibrary;
use tidegate_pipeline::graph::Graph;
use tidegate_pipeline::runtime::{Pipeline, RunOptions};
use tidegate_pipeline::step::StepTime;
use tidegate_pipeline::testing::collect::{CollectKind, Collected};
use tokio_util::sync::CancellationToken;

use crate::arguments::{CheckArguments, FailOn, ReportFormat};
use crate::catalog::{catalog, packs};
use crate::exit::{ALARMS, DONE, FAILED, Failure};
use crate::{live, output};
use formats::Shown;
use report::{Choice, Moment, Origin, Read, Report, is_snapshot};

/// Checks a pipeline's inventory, or this machine by a pack's name; or shows an earlier report anew.
pub(crate) async fn check(arguments: CheckArguments, queries: Option<&Path>) -> Result<u8, Failure> {
    let outputs = outputs(&arguments)?;
    // Read before anything is collected, so that a mistake costs no time.
    let baseline = arguments.baseline.as_deref().map(Report::read).transpose()?;
    let mut report = if is_snapshot(Path::new(&arguments.target)) {
        saved(&arguments)?
    } else {
        evaluated(&arguments, packs(queries)?).await?
    };
    if let (Some(baseline), Some(path)) = (&baseline, &arguments.baseline) {
        report.compare(baseline, &path.display().to_string());
    }
    if arguments.fail_on_new && report.comparison.is_none() {
        let message = "`--fail-on-new` has nothing to compare with: give it a `--baseline`, or run the pipeline once";
        return Err(Failure::usage(message));
    }
    for (format, path) in &outputs {
        let shown = Shown { all: arguments.all, remediation: arguments.remediation, page: None };
        write(path, &formats::written(&report, *format, shown)?)?;
    }
    let page = Some(formats::terminal());
    let shown = Shown { all: arguments.all, remediation: arguments.remediation, page };
    output::print(&formats::written(&report, arguments.format, shown)?)?;
    Ok(code(&report, &arguments))
}

/// What the exit code tells.
fn code(report: &Report, arguments: &CheckArguments) -> u8 {
    let from = match arguments.fail_on {
        None | Some(FailOn::None) => Severity::None,
        Some(FailOn::Low) => Severity::Low,
        Some(FailOn::Medium) => Severity::Medium,
        Some(FailOn::High) => Severity::High,
        Some(FailOn::Critical) => Severity::Critical,
    };
    if report.has_errors() {
        FAILED
    } else if report.fails(from, arguments.fail_on_new) {
        ALARMS
    } else {
        DONE
    }
}

/// The files to write. A folder that is not there is told before anything is collected.
fn outputs(arguments: &CheckArguments) -> Result<Vec<(ReportFormat, PathBuf)>, Failure> {
    let mut outputs = arguments.output.clone();
    outputs.extend(arguments.save.iter().map(|path| (ReportFormat::Snapshot, path.clone())));
    for (_, path) in &outputs {
        let folder = folder_of(path);
        if !folder.is_dir() {
            let message = format!("{} cannot be written: there is no folder {}", path.display(), folder.display());
            return Err(Failure::usage(message));
        }
    }
    Ok(outputs)
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Writes a file whole or not at all.
fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::failed(format!("{} cannot be written: {error}", path.display()));
    // A pipe or a device is written to; a file is replaced.
    if path.exists() && !path.is_file() {
        return std::fs::write(path, text).map_err(failed);
    }
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644));
    let mut file = builder.prefix(".tidegate-").tempfile_in(folder_of(path)).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

/// The report that a snapshot holds, narrowed to what is asked for.
fn saved(arguments: &CheckArguments) -> Result<Report, Failure> {
    if arguments.now.is_some() || !arguments.params.is_empty() || arguments.waivers.is_some() {
        let message =
            "a snapshot is not evaluated again: `--now`, `--param` and `--waivers` go with a pipeline or a pack";
        return Err(Failure::usage(message));
    }
    let mut report = Report::read(Path::new(&arguments.target))?;
    report.restrict(&Choice::of(arguments))?;
    Ok(report)
}

/// Collects and evaluates.
async fn evaluated(arguments: &CheckArguments, packs: PackLibrary) -> Result<Report, Failure> {
    let now = arguments.now.as_deref().map(str::parse::<Moment>).transpose();
    let now = now.map_err(|message| Failure::usage(format!("--now: {message}")))?;
    let collected = Collected::default();
    let mut catalog = catalog(packs.clone());
    catalog.sinks.push(Box::new(CollectKind(collected.clone())));
    let target = target::plan_target(arguments, &catalog, &packs)?;
    let (packs, controls) = report::packs_of(&target.graph, target.in_pipeline);
    let origin = Origin {
        taken_at: now.unwrap_or(Moment(Timestamp::now())),
        pipeline: target.graph.spec.name.to_string(),
        benchmark: arguments.benchmark.clone(),
    };
    let (graph, time) = (Arc::new(target.graph), StepTime(origin.taken_at.0.as_millisecond()));
    run(Arc::clone(&graph), now).await?;
    let rows = collected.take(target::FINDINGS);
    waivers::remarks(&graph, &rows, time)?.iter().for_each(|remark| crate::output::told!("warning: {remark}"));
    let read = Read::rows(&rows, arguments.all)?;
    let mut report = Report::new(origin, packs, controls, read);
    if target.in_pipeline && arguments.baseline.is_none() {
        newest::compare(&mut report, &graph, &arguments.dir);
    }
    Ok(report)
}

/// Runs the pipeline to the end of what there is now, in a directory of its own, at this time.
pub(super) async fn collect(graph: Arc<Graph>) -> Result<(), Failure> {
    run(graph, None).await
}

/// Runs the pipeline to the end of what there is now, in a directory of its own.
async fn run(graph: Arc<Graph>, now: Option<Moment>) -> Result<(), Failure> {
    let directory = tempfile::Builder::new().prefix("tidegate-check-").tempdir()?;
    let mut options = RunOptions::new(directory.path());
    options.once = true;
    options.now = now.map(|now| StepTime(now.0.as_millisecond()));
    let pipeline = Pipeline::open(graph, options).await?;
    let (cancel, interrupted) = (pipeline.cancellation(), CancellationToken::new());
    let tell = interrupted.clone();
    let listening = tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            tell.cancel();
            cancel.cancel();
        }
    });
    let shown = std::io::stderr().is_terminal();
    let display = shown.then(|| tokio::spawn(live::show(pipeline.status())));
    let outcome = pipeline.run().await;
    if let Some(display) = display {
        display.abort();
        live::clear(&display.await);
    }
    listening.abort();
    outcome?;
    // Half an inventory would look like a clean one, or one with nothing to do.
    if interrupted.is_cancelled() {
        return Err(Failure::failed("interrupted: what was collected until then is not reported"));
    }
    Ok(())
}
