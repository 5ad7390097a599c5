//! `tidegate replay`: recorded steps executed again, to prove that they give the same, or to see what another
//! pipeline makes of them. The original outputs are left alone, no effect leaves.

mod difference;
mod lines;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use tidegate_pipeline::catalog::Catalog;
use tidegate_pipeline::checkpoint::CheckpointNumber;
use tidegate_pipeline::error::{Domain, Error};
use tidegate_pipeline::graph::{Graph, Planned};
use tidegate_pipeline::runtime::{
    Fate, NodeFate, Pipeline, Recording, Replanner, ReplayFrom, ReplayReport, ReplayThrough,
};
use tidegate_pipeline::spec::PipelineSpec;
use tidegate_pipeline::step::StepNumber;

use self::difference::SinkDifference;
use crate::arguments::{Format, ReplayArguments};
use crate::catalog::{catalog, packs};
use crate::command::fate;
use crate::exit::{ALARMS, DONE, Failure};
use crate::load::{self, PipelineFile};
use crate::output;
use crate::recorded::{self, RecordedPlanner};

/// Replays, compares, reports.
pub(crate) async fn replay(arguments: ReplayArguments, queries: Option<&Path>) -> Result<u8, Failure> {
    let catalog = Arc::new(catalog(packs(queries)?));
    let settings = Arc::new(settings(&arguments.pipeline.pipeline, &catalog)?);
    let directory = arguments.pipeline.dir.join(&*settings.name.value);
    let recording = Recording::open(&directory, begin(arguments.from.as_deref())?, arguments.to.map(CheckpointNumber))?;
    let planner = RecordedPlanner { catalog: Arc::clone(&catalog), settings };
    let replan = |recorded| planner.replan(recorded).map(Arc::new).map_err(unreplayable);
    let original = recording.definitions().map(replan).collect::<Result<Vec<_>, _>>()?;
    if let Some(folder) = &arguments.output {
        std::fs::create_dir_all(folder)
            .map_err(|error| Failure::usage(format!("{} cannot be made: {error}", folder.display())))?;
    }
    match &arguments.with {
        None => verify(&arguments, original, &recording).await,
        Some(other) => backtest(&arguments, &catalog, original, other, &recording).await,
    }
}

/// The pipeline as it stands now, for its name and settings. What it is made of does not matter: the input that it
/// names may have gone.
fn settings(path: &Path, catalog: &Catalog) -> Result<PipelineSpec, Failure> {
    let file = PipelineFile::read(path)?;
    let (spec, warnings) = file.spec(catalog).map_err(|diagnostics| {
        file.show(&diagnostics);
        Failure::usage(load::invalid(&file.name, &diagnostics))
    })?;
    file.show(&warnings);
    Ok(spec)
}

/// A recorded definition that cannot be planned any more.
fn unreplayable(error: Error) -> Error {
    let message = format!("what was recorded cannot be replayed: {}", error.message);
    let remedy =
        "what it reads must still be there, and this program must know every kind of its nodes; nothing was executed";
    let (domain, remedy) = (Domain::User, error.remedy.or_else(|| Some(remedy.to_owned())));
    Error { domain, message, remedy, ..error }
}

fn begin(from: Option<&str>) -> Result<ReplayFrom, Failure> {
    match from {
        None => Ok(ReplayFrom::Earliest),
        Some("start") => Ok(ReplayFrom::Beginning),
        Some(number) => number.parse().map(|number| ReplayFrom::Checkpoint(CheckpointNumber(number))).map_err(|_| {
            Failure::usage(format!(
                "--from {number}: wanted the number of a checkpoint (`checkpoint list`), or `start`"
            ))
        }),
    }
}

/// Executes the recording under its own definition and compares.
async fn verify(arguments: &ReplayArguments, graphs: Vec<Arc<Graph>>, recording: &Recording) -> Result<u8, Failure> {
    let output = arguments.output.clone().map(lines::in_folder);
    let report =
        Pipeline::replay(&ReplayThrough::Recorded(graphs), recording, output).await.map_err(recorded::without_place)?;
    match arguments.format {
        Format::Text => output::print(&verified(&report))?,
        format => output::document(format, &report)?,
    }
    Ok(if report.differences.is_empty() { DONE } else { ALARMS })
}

fn verified(report: &ReplayReport) -> String {
    let steps = with_changes(report);
    let Some(first) = report.differences.first() else {
        return format!(
            "replayed {steps}: the input is what it was, and every sink was given the same rows ({})\n",
            report.compared.join(", ")
        );
    };
    let mut text = format!(
        "replayed {steps}: sink `{}` was given other rows at step {} (the same through step {})\n",
        first.sink, first.differs_at, first.same_through
    );
    for other in &report.differences[1..] {
        text.push_str(&format!("  then `{}` at step {}\n", other.sink, other.differs_at));
    }
    text
}

/// What a backtest found.
#[derive(Debug, Serialize)]
struct Backtest {
    replay: ReplayReport,
    sinks: Vec<SinkDifference>,
}

/// Executes the recording under its own definition and under another one, and shows what differs.
async fn backtest(
    arguments: &ReplayArguments,
    catalog: &Catalog,
    original: Vec<Arc<Graph>>,
    other: &Path,
    recording: &Recording,
) -> Result<u8, Failure> {
    let other = Arc::new(load::graph(other, catalog)?);
    check_sources(&original, &other)?;
    let temporary = tempfile::Builder::new().prefix("tidegate-backtest-").tempdir()?;
    let before = temporary.path().join("before");
    let after = arguments.output.clone().unwrap_or_else(|| temporary.path().join("after"));
    for folder in [&before, &after] {
        std::fs::create_dir_all(folder)?;
    }
    let through = ReplayThrough::One(Arc::clone(&other));
    let replay = Pipeline::replay(&through, recording, Some(lines::in_folder(after.clone()))).await?;
    if !arguments.diff {
        match arguments.format {
            Format::Text => output::print(&replayed(&other, &replay, arguments.output.as_deref()))?,
            format => output::document(format, &replay)?,
        }
        return Ok(DONE);
    }
    let through = ReplayThrough::Recorded(original);
    let again = Pipeline::replay(&through, recording, Some(lines::in_folder(before.clone()))).await;
    again.map_err(recorded::without_place)?;
    let sinks = differences(&before, &after)?;
    let code = if sinks.iter().all(SinkDifference::is_none) { DONE } else { ALARMS };
    let backtest = Backtest { replay, sinks };
    match arguments.format {
        Format::Text => output::print(&shown(&other, &backtest))?,
        Format::Json => output::document(Format::Json, &backtest)?,
        Format::Jsonl => backtest.sinks.iter().try_for_each(|sink| output::document(Format::Jsonl, sink))?,
    }
    Ok(code)
}

/// Recorded input has to have a place in the other pipeline.
fn check_sources(original: &[Arc<Graph>], other: &Graph) -> Result<(), Failure> {
    let sources = |graph: &Graph| -> BTreeSet<String> {
        let is_source = |planned: &Planned| matches!(planned, Planned::Source(_));
        graph.nodes.iter().filter(|node| is_source(&node.planned)).map(|node| node.name.to_string()).collect()
    };
    let (recorded, there): (BTreeSet<String>, _) =
        (original.iter().flat_map(|graph| sources(graph)).collect(), sources(other));
    if !recorded.is_disjoint(&there) {
        return Ok(());
    }
    let recorded: Vec<String> = recorded.into_iter().collect();
    Err(Failure::usage(format!(
        "{} has none of the recorded sources ({}): sources are matched by name",
        other.file,
        recorded.join(", ")
    )))
}

fn differences(before: &Path, after: &Path) -> Result<Vec<SinkDifference>, Failure> {
    let mut names = BTreeSet::new();
    for folder in [before, after] {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            names.extend(path.file_stem().and_then(|name| name.to_str()).map(str::to_owned));
        }
    }
    let file = |folder: &Path, name: &str| -> PathBuf { folder.join(format!("{name}.jsonl")) };
    names.iter().map(|name| SinkDifference::between(name, &file(before, name), &file(after, name))).collect()
}

fn replayed(graph: &Graph, report: &ReplayReport, folder: Option<&Path>) -> String {
    let place = folder.map(|folder| format!(", outputs in {}", folder.display())).unwrap_or_default();
    format!("replayed {}{place}\n{}", steps(report), carried(graph, report))
}

/// What became of nodes' state where the replay began with some, as far as that needs saying.
fn carried(graph: &Graph, report: &ReplayReport) -> String {
    // At the beginning of all nobody has any state.
    let change = report.reconfiguration.as_ref().filter(|_| report.from > StepNumber::ZERO);
    let silent = |node: &&NodeFate| !matches!(node.fate, Fate::Redirected | Fate::Removed);
    let nodes = change.iter().flat_map(|change| &change.nodes).filter(silent);
    nodes.filter_map(|node| fate::line(graph, node)).collect()
}

/// The steps, and where the definition changed on the way.
fn with_changes(report: &ReplayReport) -> String {
    let after: Vec<String> = report.changes.iter().map(ToString::to_string).collect();
    match after.as_slice() {
        [] => steps(report),
        [one] => format!("{}, under another definition after step {one}", steps(report)),
        many => format!("{}, under other definitions after steps {}", steps(report), many.join(", ")),
    }
}

/// `1 step (4)`, `12 steps (4 to 15)`.
fn steps(report: &ReplayReport) -> String {
    match report.steps {
        1 => format!("1 step ({})", report.through),
        count => format!("{count} steps ({} to {})", report.from.next(), report.through),
    }
}

/// The backtest for people.
fn shown(graph: &Graph, backtest: &Backtest) -> String {
    let mut text = format!("{} through both pipelines\n", steps(&backtest.replay));
    text.push_str(&carried(graph, &backtest.replay));
    for sink in &backtest.sinks {
        let SinkDifference { sink: name, same, only_before, only_after, .. } = sink;
        text.push_str(&format!("\n{name}: {same} the same, {only_before} gone, {only_after} new\n"));
        let side = |mark: char, rows: &[Value], count: u64| {
            let mut lines: String = rows.iter().map(|row| format!("  {mark} {row}\n")).collect();
            if count > rows.len() as u64 {
                lines.push_str(&format!("  {mark} … {} more\n", count - rows.len() as u64));
            }
            lines
        };
        text.push_str(&side('-', &sink.removed, *only_before));
        text.push_str(&side('+', &sink.added, *only_after));
    }
    text
}
