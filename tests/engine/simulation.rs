//! Random graphs over random sources, crashed at random steps. `TIDEGATE_SEED=17` plays one of them again,
//! `TIDEGATE_SEEDS=500` plays as many.
//!
//! What must hold: the files equal those of a replay of the run's own journal; what left as effects equals what a
//! file at the same place holds, each under one id; for one source and no time in play the files also equal those
//! of an undisturbed run. The seed fixes graph, input and crash points; threads run as they will.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::json::LineDelimitedWriter;
use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::runtime::{
    EdgeCapacity, OpenOutput, Pipeline, Recording, ReplayFrom, ReplayThrough, RunOutcome,
};
use tidegate_pipeline::sink::{Attempt, TransactionalSink};
use tidegate_pipeline::step::StepHeader;

use crate::given::{Given, rows};
use crate::stage::{Stage, steps};

/// The seeds that are played unless the environment says otherwise.
const SEEDS: u64 = 12;
/// How often a run is crashed at most.
const CRASHES: u64 = 4;

/// Numbers that look random and are the same everywhere, from one seed.
struct Numbers(u64);

impl Numbers {
    /// The numbers of a seed. It is mixed first: the first numbers of small seeds are too much alike.
    fn of(seed: u64) -> Self {
        let mixed = (seed ^ (seed >> 30)).wrapping_add(0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Self(mixed ^ (mixed >> 31))
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn one_of<'a>(&mut self, all: &'a [String]) -> &'a str {
        &all[self.below(all.len() as u64) as usize]
    }
}

/// A pipeline that a seed has made.
struct World {
    text: String,
    sources: BTreeMap<String, Given>,
    files: Vec<String>,
    /// Whether an undisturbed run must give the same: nothing depends on timing.
    comparable: bool,
}

impl World {
    fn new(numbers: &mut Numbers) -> Self {
        let (mut text, mut places) = ("checkpoint: {every: 3ms, keep: 1000}\nsources:\n".to_owned(), Vec::new());
        let mut sources = BTreeMap::new();
        let count = 1 + numbers.below(3);
        let mut comparable = count == 1;
        for source in 0..count {
            let batches = (0..2 + numbers.below(60)).map(|_| {
                let from = numbers.below(80) as i64;
                rows(from..from + numbers.below(12) as i64)
            });
            let given = Given::new(batches.collect());
            let inline = numbers.below(3) == 0;
            comparable &= !inline;
            sources.insert(format!("s{source}"), if inline { given.inline() } else { given });
            let _ = writeln!(text, "  s{source}: {{given: {{}}}}");
            places.push(format!("s{source}"));
        }
        text.push_str("operators:\n");
        for node in 0..1 + numbers.below(6) {
            comparable &= Self::operator(numbers, node, &mut text, &mut places);
        }
        let (copied, other) = (numbers.one_of(&places).to_owned(), numbers.one_of(&places).to_owned());
        let last = places[places.len() - 1].clone();
        let _ = writeln!(text, "sinks:\n  page: {{from: {copied}, dispatch: {{}}}}");
        let files = [("copy", &copied), ("other", &other), ("last", &last)];
        for (name, from) in files {
            let _ = writeln!(text, "  {name}: {{from: {from}, file: {{path: {name}.jsonl}}}}");
        }
        let files = files.iter().map(|(name, _)| format!("{name}.jsonl")).collect();
        Self { text, sources, files, comparable }
    }

    /// Adds an operator; whether it keeps clear of step time.
    fn operator(numbers: &mut Numbers, node: u64, text: &mut String, places: &mut Vec<String>) -> bool {
        let name = format!("o{node}");
        let (first, second) = (numbers.one_of(places).to_owned(), numbers.one_of(places).to_owned());
        let from = if numbers.below(2) == 0 || first == second { first } else { format!("[{first}, {second}]") };
        let modulus = 2 + numbers.below(5);
        let kind = numbers.below(8);
        let body = match kind {
            0 => format!("filter: 'n % {modulus} <> 1'"),
            1 => "select: 'k, n + 1 AS n, t'".to_owned(),
            2 => format!("dedupe: {{key: [k, n / {modulus}], within: 20s, time: t}}"),
            3 => "dedupe: {key: k, within: 5ms, keep: last}".to_owned(),
            4 => format!("enrich: {{table: owners.csv, on: k, prefix: {name}_}}"),
            5 => format!("route: {{low: 'n < {}'}}", 10 * modulus),
            6 => "throttle: {once_after: 5ms, group_by: k, count: n}".to_owned(),
            _ => format!("throttle: {{accumulate_within: 9ms, threshold: {modulus}, group_by: k}}"),
        };
        let _ = writeln!(text, "  {name}: {{from: {from}, {body}}}");
        match kind {
            5 => places.extend([format!("{name}.low"), format!("{name}.unmatched")]),
            _ => places.push(name),
        }
        !matches!(kind, 3 | 6 | 7)
    }

    fn stage(&self) -> Stage {
        let stage =
            self.sources.iter().fold(Stage::new(&self.text), |stage, (name, given)| stage.give(name, given.clone()));
        std::fs::write(stage.folder().join("owners.csv"), "k,owner\nk1,ann\nk2,bob\nk4,cid\n").unwrap();
        stage
    }

    fn outputs(&self, stage: &Stage) -> Vec<String> {
        let read = |name: &String| std::fs::read_to_string(stage.folder().join(name)).unwrap_or_default();
        self.files.iter().map(read).collect()
    }
}

/// What a replay of the whole journal gives the file sinks.
fn replayed(world: &World, original: &Stage) -> Vec<String> {
    let recording = Recording::open(&original.directory(), ReplayFrom::Beginning, None).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().to_owned();
    let open: OpenOutput = Arc::new(move |mark: &str| {
        let file = File::create(place.join(format!("{}.jsonl", mark.replace('/', ".")))).map_err(Error::internal)?;
        Ok(Box::new(Lines(file)))
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let sent_before = original.take_attempts();
    let report =
        runtime.block_on(Pipeline::replay(&ReplayThrough::One(original.graph()), &recording, Some(open))).unwrap();
    assert_eq!(report.differences, []);
    assert_eq!(original.take_attempts(), [], "no effect leaves in a replay");
    original.put_attempts(sent_before);
    let read = |name: &String| std::fs::read_to_string(folder.path().join(name)).unwrap_or_default();
    world.files.iter().map(read).collect()
}

/// Rows as JSON lines in a file.
struct Lines(File);

#[async_trait]
impl TransactionalSink for Lines {
    async fn write(&mut self, _step: &StepHeader, rows: &RecordBatch) -> Result<()> {
        let mut writer = LineDelimitedWriter::new(&mut self.0);
        writer.write(rows)?;
        Ok(writer.finish()?)
    }

    async fn commit(&mut self) -> Result<BoxFuture<'static, Result<String>>> {
        Ok(async { Ok("{}".to_owned()) }.boxed())
    }
}

/// What was played.
#[derive(Debug, Default)]
struct Tally {
    crashes: usize,
    comparable: usize,
    rows: usize,
    effects: usize,
}

fn play(seed: u64, tally: &mut Tally) {
    let mut numbers = Numbers::of(seed);
    let world = World::new(&mut numbers);
    let told = format!("TIDEGATE_SEED={seed}\n{}", world.text);
    let mut stage = world.stage();
    stage.answer = std::sync::Arc::new(|body| match body.len() % 5 {
        0 => Attempt::Again { reason: "not now".to_owned(), after: None },
        _ => Attempt::Done,
    });
    stage.options.delivery.attempts = 2;
    stage.options.delivery.initial = std::time::Duration::from_millis(1);
    let mut target = 0;
    for _ in 0..numbers.below(CRASHES + 1) {
        let capacity = [1, 3, 1000][numbers.below(3) as usize];
        stage.options.edges = Some(EdgeCapacity { rows: capacity, bytes: 1 << 30 });
        stage.threads = 1 + numbers.below(4) as usize;
        target += numbers.below(40);
        tally.crashes += usize::from(stage.crash_or_end_when(|status| steps(status) >= target));
    }
    let outcome = stage.run().unwrap_or_else(|error| panic!("{told}: {error}"));
    assert!(matches!(outcome, RunOutcome::Finished | RunOutcome::AlreadyFinished), "{told}: {outcome:?}");

    let outputs = world.outputs(&stage);
    assert_eq!(outputs, replayed(&world, &stage), "{told}: not what its journal says");
    if world.comparable {
        tally.comparable += 1;
        let undisturbed = world.stage();
        undisturbed.run().unwrap();
        assert_eq!(outputs, world.outputs(&undisturbed), "{told}: not what an undisturbed run gives");
    }
    let mut effects: BTreeMap<String, String> = BTreeMap::new();
    for (id, body) in stage.take_attempts() {
        let known = effects.insert(id.clone(), body.clone());
        assert!(known.is_none_or(|known| known == body), "{told}: {id} left with two bodies");
    }
    tally.effects += effects.len();
    tally.rows += outputs.iter().map(|text| text.lines().count()).sum::<usize>();
    let mut sent: Vec<&str> = effects.values().map(String::as_str).collect();
    let mut copied: Vec<&str> = outputs[0].lines().collect();
    sent.sort_unstable();
    copied.sort_unstable();
    assert_eq!(sent, copied, "{told}: effects and the file beside them differ");
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("the variable is a number"))
}

#[test]
fn random_graphs_that_crash_at_random_steps_give_what_their_journals_say() {
    let mut tally = Tally::default();
    let seeds = match number("TIDEGATE_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("TIDEGATE_SEEDS").unwrap_or(SEEDS),
    };
    seeds.clone().for_each(|seed| play(seed, &mut tally));
    println!("seeds {seeds:?}: {tally:?}");
}
