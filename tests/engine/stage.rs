//! The stage that a pipeline plays on: its kinds, its directory, and how each of its lives ends.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tidegate_operators::check::CheckKind;
use tidegate_operators::check::pack::PackLibrary;
use tidegate_pipeline::catalog::Catalog;
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::graph::{Definition, Graph, plan_as_recorded};
use tidegate_pipeline::provider::{Provider, Schedule, planned_provider_source};
use tidegate_pipeline::runtime::{
    Acceptance, OpenOutput, Pipeline, PipelineStatus, Reconfiguration, Recording, Replanner, ReplayReport,
    ReplayThrough, RunOptions, RunOutcome, recorded_definition,
};
use tidegate_pipeline::sink::Attempt;
use tidegate_pipeline::source::{Guarantee, GuaranteeClass, PlannedSource, SourceKind, SourcePlanContext};
use tidegate_pipeline::spec::diagnostic::Diagnostic;
use tidegate_pipeline::spec::{Options, PipelineSpec, Variables, load};
use tidegate_pipeline::testing::collect::{CollectKind, Collected};
use tidegate_pipeline::testing::dispatch::{Destination, DispatchKind};
use tidegate_pipeline::testing::provider::ScriptedProvider;
use tidegate_pipeline::testing::world::World;
use tokio::sync::watch;

use crate::given::{Given, GivenKind};
use crate::hindered::HinderedKind;
use crate::probe::ProbeKind;

/// No life of a pipeline in these tests may take longer: then it hangs.
const LONGEST_LIFE: Duration = Duration::from_secs(30);

/// How an attempt to deliver a body goes.
pub(crate) type Answer = Arc<dyn Fn(&str) -> Attempt + Send + Sync>;

/// Ids and bodies of attempts, in order.
pub(crate) type Attempts = Arc<Mutex<Vec<(String, String)>>>;

/// See the module.
pub(crate) struct Stage {
    folder: tempfile::TempDir,
    pub(crate) text: String,
    pub(crate) given: BTreeMap<String, Given>,
    pub(crate) provider: Option<(Arc<ScriptedProvider>, Option<Duration>)>,
    pub(crate) world: Option<(Arc<World>, Schedule)>,
    pub(crate) probe: ProbeKind,
    pub(crate) gate: watch::Sender<bool>,
    pub(crate) hindered: HinderedKind,
    pub(crate) answer: Answer,
    pub(crate) attempts: Attempts,
    pub(crate) collected: Collected,
    pub(crate) options: RunOptions,
    /// What is agreed to when the definition has changed.
    pub(crate) accepted: Acceptance,
    /// What became of the nodes when the definition last changed.
    pub(crate) change: Mutex<Option<Reconfiguration>>,
    /// Recorded definitions cannot be planned.
    pub(crate) forgetful: bool,
    pub(crate) threads: usize,
}

/// What ends a life before its own end.
enum Fate {
    Stop,
    Crash,
}

impl Stage {
    /// A stage for the pipeline that stands in `text`, without `version` and `name`.
    pub(crate) fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (gate, open) = watch::channel(true);
        let mut options = RunOptions::new(folder.path().join("state"));
        options.delivery.initial = Duration::from_millis(5);
        options.delivery.longest = Duration::from_millis(20);
        options.delivery.jitter = false;
        Self {
            text: whole(text, folder.path()),
            folder,
            given: BTreeMap::new(),
            provider: None,
            world: None,
            probe: ProbeKind { at: Arc::new(|_| Ok(())), open, dropped: Arc::new(AtomicI64::new(i64::MIN)) },
            gate,
            hindered: HinderedKind::default(),
            answer: Arc::new(|_| Attempt::Done),
            attempts: Attempts::default(),
            collected: Collected::default(),
            options,
            accepted: Acceptance::default(),
            change: Mutex::default(),
            forgetful: false,
            threads: 2,
        }
    }

    /// What the source `node` gives.
    pub(crate) fn give(mut self, node: &str, given: Given) -> Self {
        self.given.insert(node.to_owned(), given);
        self
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn directory(&self) -> PathBuf {
        self.options.directory.clone()
    }

    /// From now on the pipeline stands in `text`.
    pub(crate) fn edit(&mut self, text: &str) {
        self.text = whole(text, self.folder.path());
    }

    /// The pipeline as it stands; what was sampled is as it was when the same text was last run.
    pub(crate) fn graph(&self) -> Arc<Graph> {
        let planned = self.plan(&Definition::default());
        let recorded = recorded_definition(&self.directory()).ok().flatten();
        match recorded.filter(|recorded| recorded.spec().ok() == planned.definition.spec().ok()) {
            Some(recorded) => self.plan(&recorded.samples()),
            None => planned,
        }
    }

    fn plan(&self, recorded: &Definition) -> Arc<Graph> {
        let catalog = self.catalog();
        let loaded = load(&self.text, "stage.yaml", &Variables::none(), &catalog.known_kinds());
        let loaded = loaded.unwrap_or_else(|wrong| panic!("{wrong:?}"));
        let planned = plan_as_recorded(Arc::new(loaded.spec), "stage.yaml", &catalog, self.folder(), recorded);
        Arc::new(planned.unwrap_or_else(|wrong| panic!("{wrong:?}")).0)
    }

    /// What is wrong with the pipeline as it stands.
    pub(crate) fn wrong(&self) -> String {
        let catalog = self.catalog();
        let loaded = load(&self.text, "stage.yaml", &Variables::none(), &catalog.known_kinds());
        let loaded = loaded.unwrap_or_else(|wrong| panic!("{wrong:?}"));
        let planned =
            plan_as_recorded(Arc::new(loaded.spec), "stage.yaml", &catalog, self.folder(), &Definition::default());
        let found = planned.err().unwrap_or_default();
        found.into_iter().map(|found| found.message).collect::<Vec<_>>().join("\n")
    }

    fn replanner(&self, graph: &Graph) -> Arc<dyn Replanner> {
        let (catalog, settings) = (self.catalog(), Arc::clone(&graph.spec));
        Arc::new(StageReplanner { catalog, settings, folder: self.folder().to_owned(), forgetful: self.forgetful })
    }

    /// Executes a recording again through the pipeline as it stands.
    pub(crate) fn replay(&self, recording: &Recording, output: Option<OpenOutput>) -> Result<ReplayReport> {
        self.replay_through(&self.graph(), recording, output)
    }

    /// Executes a recording again, each stretch through its own definition.
    pub(crate) fn replay_as_it_was(&self, recording: &Recording, output: Option<OpenOutput>) -> Result<ReplayReport> {
        let planner = self.replanner(&self.graph());
        let graphs = recording.definitions().map(|recorded| planner.replan(recorded).map(Arc::new));
        self.replays(&ReplayThrough::Recorded(graphs.collect::<Result<_>>()?), recording, output)
    }

    /// Executes a recording again through `graph`.
    pub(crate) fn replay_through(
        &self,
        graph: &Arc<Graph>,
        recording: &Recording,
        output: Option<OpenOutput>,
    ) -> Result<ReplayReport> {
        self.replays(&ReplayThrough::One(Arc::clone(graph)), recording, output)
    }

    fn replays(
        &self,
        through: &ReplayThrough,
        recording: &Recording,
        output: Option<OpenOutput>,
    ) -> Result<ReplayReport> {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(self.threads).enable_all().build().expect("a runtime");
        let replay = Pipeline::replay(through, recording, output);
        runtime.block_on(async { tokio::time::timeout(LONGEST_LIFE, replay).await }).expect("the replay hangs")
    }

    fn catalog(&self) -> Catalog {
        let mut sources = tidegate_connectors::sources();
        sources.push(Box::new(GivenKind(self.given.clone())));
        if let Some((provider, every)) = self.provider.clone() {
            sources.push(Box::new(ProviderKind("inventory", provider, every.into())));
        }
        if let Some((world, schedule)) = self.world.clone() {
            sources.push(Box::new(ProviderKind("cloud", world, schedule)));
        }
        let mut operators = tidegate_operators::operators();
        operators.push(Box::new(CheckKind::new(PackLibrary::default())));
        operators.push(Box::new(self.probe.clone()));
        let mut sinks = tidegate_connectors::sinks();
        sinks.push(Box::new(CollectKind(self.collected.clone())));
        sinks.push(Box::new(self.hindered.clone()));
        sinks.push(Box::new(DispatchKind(Destination::Memory(Arc::clone(&self.attempts), Arc::clone(&self.answer)))));
        Catalog { sources, operators, sinks }
    }

    /// Runs to the pipeline's own end.
    pub(crate) fn run(&self) -> Result<RunOutcome> {
        self.live(|_| false, Fate::Stop).expect("only a crash leaves no outcome")
    }

    /// Runs and tells it to stop as soon as `when` holds.
    pub(crate) fn stop_when(&self, when: impl Fn(&PipelineStatus) -> bool) -> Result<RunOutcome> {
        self.live(when, Fate::Stop).expect("only a crash leaves no outcome")
    }

    /// Runs and drops everything where it stands as soon as `when` holds.
    pub(crate) fn crash_when(&self, when: impl Fn(&PipelineStatus) -> bool) {
        if let Some(outcome) = self.live(when, Fate::Crash) {
            panic!("it ended before it could crash: {outcome:?}");
        }
    }

    /// Runs and drops everything where it stands as soon as `when` holds, unless it has ended well before; whether
    /// it was dropped.
    pub(crate) fn crash_or_end_when(&self, when: impl Fn(&PipelineStatus) -> bool) -> bool {
        match self.live(when, Fate::Crash) {
            None => true,
            Some(Ok(_)) => false,
            Some(Err(error)) => panic!("it ended before it could crash: {error}"),
        }
    }

    fn live(&self, when: impl Fn(&PipelineStatus) -> bool, fate: Fate) -> Option<Result<RunOutcome>> {
        let graph = self.graph();
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(self.threads).enable_all().build().expect("a runtime");
        let mut options = self.options.clone();
        options.accept_divergence |= self.accepted.divergence;
        options.replanner = Some(self.replanner(&graph));
        let life = async {
            match Pipeline::adopt(&graph, &options, &self.accepted).await {
                Ok(None) => {}
                Ok(change) => *self.change.lock() = change,
                Err(error) => return Some(Err(error)),
            }
            let pipeline = match Pipeline::open(graph, options).await {
                Ok(pipeline) => pipeline,
                Err(error) => return Some(Err(error)),
            };
            let (status, cancel) = (pipeline.status(), pipeline.cancellation());
            let run = pipeline.run();
            tokio::pin!(run);
            let due = async {
                while !when(&status) {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            tokio::select! {
                outcome = &mut run => return Some(outcome),
                () = due => {}
            }
            match fate {
                Fate::Stop => cancel.cancel(),
                Fate::Crash => return None,
            }
            Some(run.await)
        };
        let outcome = runtime.block_on(async { tokio::time::timeout(LONGEST_LIFE, life).await });
        runtime.shutdown_timeout(Duration::from_secs(5));
        outcome.expect("the pipeline hangs")
    }

    /// The rows that a `collect` sink has taken since the last look, as JSON lines.
    pub(crate) fn collected(&self, sink: &str) -> Vec<String> {
        let text = self.collected.take_json_lines(sink).expect("rows have a JSON form");
        text.lines().map(str::to_owned).collect()
    }

    /// The numbers `n` of what a `collect` sink has taken since the last look.
    pub(crate) fn numbers(&self, sink: &str) -> Vec<i64> {
        let number = |line: String| {
            let row: serde_json::Value = serde_json::from_str(&line).expect("a row is JSON");
            row["n"].as_i64().expect("a row has a number")
        };
        self.collected(sink).into_iter().map(number).collect()
    }

    /// Puts attempts back that were taken.
    pub(crate) fn put_attempts(&self, attempts: Vec<(String, String)>) {
        self.attempts.lock().extend(attempts);
    }

    /// Takes the attempts made so far.
    pub(crate) fn take_attempts(&self) -> Vec<(String, String)> {
        std::mem::take(&mut *self.attempts.lock())
    }
}

/// A whole pipeline file.
fn whole(text: &str, folder: &Path) -> String {
    format!("version: 1\nname: stage\n{}", text.replace("FOLDER", &folder.display().to_string()))
}

/// Plans recorded definitions with the kinds of a stage.
struct StageReplanner {
    catalog: Catalog,
    settings: Arc<PipelineSpec>,
    folder: PathBuf,
    forgetful: bool,
}

impl std::fmt::Debug for StageReplanner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StageReplanner")
    }
}

impl Replanner for StageReplanner {
    fn replan(&self, recorded: &Definition) -> Result<Graph> {
        if self.forgetful {
            return Err(Error::external("there is no kind `given`"));
        }
        let wrong = |wrong| Error::external(format!("{wrong:?}"));
        let file = "the recorded definition";
        let loaded = load(recorded.spec()?, file, &Variables::none(), &self.catalog.known_kinds()).map_err(wrong)?.spec;
        let spec = PipelineSpec {
            name: loaded.name,
            sources: loaded.sources,
            operators: loaded.operators,
            sinks: loaded.sinks,
            ..PipelineSpec::clone(&self.settings)
        };
        let planned = plan_as_recorded(Arc::new(spec), file, &self.catalog, &self.folder, recorded);
        planned.map(|(graph, _)| graph).map_err(wrong)
    }
}

/// The rows that a node has taken.
pub(crate) fn rows_in(status: &PipelineStatus, node: &str) -> u64 {
    status.node(node).map_or(0, |node| node.rows_in.load(Ordering::Relaxed))
}

/// The last step that was made.
pub(crate) fn steps(status: &PipelineStatus) -> u64 {
    status.step.load(Ordering::Relaxed)
}

/// The checkpoints that were committed in this life.
pub(crate) fn checkpoints(status: &PipelineStatus) -> u64 {
    status.checkpoints.load(Ordering::Relaxed)
}

/// The kinds `inventory`, a scripted provider, and `cloud`, one whose inventory a test changes.
struct ProviderKind(&'static str, Arc<dyn Provider>, Schedule);

impl SourceKind for ProviderKind {
    fn name(&self) -> &'static str {
        self.0
    }

    fn summary(&self) -> &'static str {
        "Collects what a script says."
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee { class: GuaranteeClass::Replayable, on_crash: "It is collected again." }
    }

    fn schema(&self) -> schemars::Schema {
        schemars::json_schema!({"type": "object"})
    }

    fn plan(&self, _options: &Options, _context: &SourcePlanContext<'_>) -> Result<PlannedSource, Vec<Diagnostic>> {
        Ok(planned_provider_source(Arc::clone(&self.1), self.2.clone()))
    }
}

/// Copies the files of a folder, and of the folders in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => copy(&entry.path(), &to.join(entry.file_name())),
            kind if kind.is_file() => drop(std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap()),
            _ => {}
        }
    }
}
