//! Restoring a million and ten million keys: seconds, and the peak of memory.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::RecordBatch;
use parking_lot::Mutex;
use tidegate_pipeline::checkpoint::{Content, Section, SegmentStore};
use tidegate_pipeline::graph::Planned;
use tidegate_pipeline::operator::{InputIndex, Operator, Output, SnapshotMode, StateReader, StateWriter};
use tidegate_pipeline::step::{ContentHash, ENGINE, SchemaVersion, StepHeader, StepNumber, StepTime, Unit};

use super::numbers::{Numbers, Shape, graph, text};
use super::{Outcome, contender as run, median, peak_memory};

const NODE: &str = "fresh";
/// Keys and the seconds that restoring them may take.
const SIZES: [(i64, f64); 2] = [(1_000_000, 1.0), (10_000_000, 10.0)];

/// The operator `fresh`, outside of a pipeline.
pub(crate) struct Operating {
    operator: Box<dyn Operator>,
    step: u64,
}

impl Operating {
    pub(crate) fn new() -> Outcome<Self> {
        let shape = Shape { known: 1, rows: 0, new_every: 1 };
        let graph = graph(&text("off"), Numbers { shape, warm: Arc::new(Mutex::new(None)) })?;
        let node = graph.nodes.iter().find(|node| &*node.name == NODE).ok_or("no such node")?;
        let Planned::Operator(planned) = &node.planned else { return Err("not an operator".into()) };
        Ok(Self { operator: (planned.build)()?, step: 0 })
    }

    pub(crate) fn process(&mut self, rows: &RecordBatch) -> Outcome<()> {
        self.step += 1;
        let header = StepHeader {
            number: StepNumber(self.step),
            time: StepTime(self.step as i64),
            source: ENGINE.into(),
            unit: Unit::Rows,
            schema_version: SchemaVersion::default(),
            watermark: None,
        };
        let mut out = Output::default();
        Ok(futures::executor::block_on(self.operator.process(&header, InputIndex(0), rows, &mut out))?)
    }

    pub(crate) fn snapshot(&mut self, mode: SnapshotMode) -> Outcome<Vec<(String, RecordBatch)>> {
        let mut writer = StateWriter::new(mode);
        self.operator.snapshot(&mut writer)?;
        Ok(writer.batches)
    }
}

/// Writes state into a segment: its hash and length; nothing where there is nothing to write.
pub(crate) fn write(store: &SegmentStore, batches: Vec<(String, RecordBatch)>) -> Outcome<(ContentHash, u64)> {
    let section = |(name, batch)| Section { node: NODE.to_owned(), name, content: Content::Batch(batch) };
    let sections: Vec<Section> = batches.into_iter().map(section).collect();
    if sections.is_empty() {
        return Ok((ContentHash("".into()), 0));
    }
    let hash = store.write(&sections)?;
    let length = store.length(&hash);
    Ok((hash, length))
}

/// Makes a state of so many keys and writes it; prints bytes and the peak of memory.
pub(crate) fn build(keys: &str, folder: &str) -> Outcome<()> {
    let shape = Shape { known: keys.parse()?, rows: 0, new_every: 1 };
    let mut node = Operating::new()?;
    let mut index = 0;
    while let Some(batch) = shape.batch(index) {
        node.process(&batch)?;
        index += 1;
    }
    let peak = peak_memory()?;
    let (_, bytes) = write(&SegmentStore::open(Path::new(folder))?, node.snapshot(SnapshotMode::Changes)?)?;
    println!("{bytes} {peak}");
    Ok(())
}

/// Restores what is in a folder; prints seconds and the peak of memory.
pub(crate) fn contender(folder: &str) -> Outcome<()> {
    let store = SegmentStore::open(Path::new(folder))?;
    let mut node = Operating::new()?;
    let started = Instant::now();
    let mut batches = Vec::new();
    for hash in store.list()? {
        store.verify(&hash)?;
        for section in store.read_node(&hash, NODE)? {
            if let Content::Batch(batch) = section.content {
                batches.push((section.name, batch));
            }
        }
    }
    node.operator.restore(StateReader { batches })?;
    println!("{} {}", started.elapsed().as_secs_f64(), peak_memory()?);
    Ok(())
}

pub(crate) fn report(arguments: &[&str]) -> Outcome<()> {
    let rounds: usize = arguments.first().map_or(Ok(3), |rounds| rounds.parse())?;
    println!("\n| keys | on disk | building: peak | restoring | wanted | restoring: peak |\n|---|---|---|---|---|---|");
    for (keys, wanted) in SIZES {
        let folder = tempfile::tempdir()?;
        let place = folder.path().display().to_string();
        let numbers = |printed: String| -> Outcome<(f64, f64)> {
            let (first, second) = printed.trim().split_once(' ').ok_or("two numbers")?;
            Ok((first.parse()?, second.parse()?))
        };
        let (bytes, built) = numbers(run(&["build", &keys.to_string(), &place])?)?;
        let restored = (0..rounds).map(|_| numbers(run(&["restore", &place])?)).collect::<Outcome<Vec<_>>>()?;
        let (seconds, peaks): (Vec<f64>, Vec<f64>) = restored.into_iter().unzip();
        let each = |mib: f64| format!("{mib:.0} MiB ({:.0} bytes a key)", mib * 1_048_576.0 / keys as f64);
        let (seconds, peak) = (median(seconds), median(peaks));
        println!(
            "| {keys} | {:.0} MiB | {} | {seconds:.2} s | {wanted} s | {} |",
            bytes / 1_048_576.0,
            each(built),
            each(peak)
        );
    }
    Ok(())
}
