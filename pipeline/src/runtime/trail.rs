//! The trail: which node executes which step, so that a step that ends the process can be named by the next start.
//!
//! A file `executing` lies in the pipeline's directory from the start to an orderly end. Where one is found at a start,
//! the last end was none: then, until some checkpoints have been made, each node writes there what it is about to execute, and
//! each step is handed to the system before it is executed, so that the next start finds it in the journal. After an
//! orderly end nothing of this happens. The file needs no fsync: it is about the end of a process, not of a machine.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use crate::step::StepNumber;

/// The file in a pipeline's directory.
const NAME: &str = "executing";
/// The bytes that say which step a node executes; zeros between steps.
const SLOT: usize = 8;
/// After so many checkpoints of a life its trail ends: the newest one that a start begins at is never further from what
/// ends the process.
const CHECKPOINTS: u64 = 3;

/// A step that a node was executing when the process ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspect {
    /// The node.
    pub node: String,
    /// The step.
    pub step: StepNumber,
    /// How many starts in a row have ended like that.
    pub starts: u32,
}

/// The first line of the file, before the slots.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Head {
    /// The node of each slot.
    nodes: Vec<String>,
    /// What the start before was suspected of.
    before: Vec<Suspect>,
}

/// The steps that nodes of the pipeline directory `directory` were executing when the last process that was started after
/// an end without order has ended, too; those that ended the most starts in a row. Empty after an orderly end.
pub fn suspects(directory: &Path) -> Vec<Suspect> {
    let found = fs::read(directory.join(NAME)).ok().and_then(|bytes| read(&bytes)).unwrap_or_default();
    let most = found.iter().map(|suspect| suspect.starts).max().unwrap_or(0);
    found.into_iter().filter(|suspect| suspect.starts == most).collect()
}

/// What the file says; `None` for what is no such file: it is a help, and nothing depends on it.
fn read(bytes: &[u8]) -> Option<Vec<Suspect>> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let head: Head = serde_json::from_slice(&bytes[..end]).ok()?;
    let slots = bytes[end + 1..].chunks_exact(SLOT).map(|slot| u64::from_le_bytes(slot.try_into().unwrap_or_default()));
    let suspect = |(node, step): (&String, u64)| {
        let step = StepNumber(step);
        let before = head.before.iter().find(|before| before.node == *node && before.step == step);
        Suspect { node: node.clone(), step, starts: before.map_or(1, |before| before.starts + 1) }
    };
    Some(head.nodes.iter().zip(slots).filter(|(_, step)| *step > 0).map(suspect).collect())
}

/// The file of a life. Its trail goes on until some checkpoints have been made.
#[derive(Debug)]
pub(super) struct TrailFile {
    path: PathBuf,
    /// Where nodes write; `None` after an orderly end.
    slots: Option<(Arc<File>, u64)>,
    checkpoints: Arc<AtomicU64>,
}

impl TrailFile {
    /// Begins the file of a life in which `nodes` execute steps. Says what the last one is suspected of.
    pub(super) fn begin(directory: &Path, nodes: &[&str]) -> Self {
        let path = directory.join(NAME);
        let after_a_crash = path.exists();
        let before = suspects(directory);
        before.iter().take(3).for_each(tell);
        let head = Head { nodes: nodes.iter().map(|node| (*node).to_owned()).collect(), before };
        let made = make(&path, &head, nodes.len());
        let slots = match made {
            Ok(slots) => after_a_crash.then_some(slots),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "If a step ends the process, nobody will know which.");
                None
            }
        };
        Self { path, slots: slots.map(|(file, start)| (Arc::new(file), start)), checkpoints: Arc::default() }
    }

    /// What node `index` leaves behind; `None` after an orderly end.
    pub(super) fn of(&self, index: usize) -> Option<Trail> {
        let (file, start) = self.slots.as_ref()?;
        let offset = start + (index * SLOT) as u64;
        Some(Trail { file: Arc::clone(file), offset, checkpoints: Arc::clone(&self.checkpoints) })
    }

    /// Whether each step has to outlive the process before it is executed.
    pub(super) fn goes_on(&self) -> bool {
        self.slots.is_some() && self.checkpoints.load(Ordering::Relaxed) < CHECKPOINTS
    }

    /// A checkpoint has been made.
    pub(super) fn checkpointed(&self) {
        self.checkpoints.fetch_add(1, Ordering::Relaxed);
    }

    /// The process ends in order.
    pub(super) fn end(&self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(path = %self.path.display(), %error, "The next start will leave a trail.");
        }
    }
}

fn make(path: &Path, head: &Head, slots: usize) -> std::io::Result<(File, u64)> {
    let mut bytes = serde_json::to_vec(head)?;
    bytes.push(b'\n');
    let start = bytes.len() as u64;
    bytes.resize(bytes.len() + slots * SLOT, 0);
    let mut file = File::create(path)?;
    file.write_all(&bytes)?;
    Ok((file, start))
}

fn tell(suspect: &Suspect) {
    let Suspect { node, step, starts } = suspect;
    tracing::warn!(
        "The last {} ended without order while node `{node}` executed step {step}. If this one ends so too: `tidegate \
         journal quarantine PIPELINE {step} {node}` sends the rows of that step to the node's port `errors`.",
        if *starts == 1 { "start".to_owned() } else { format!("{starts} starts") },
    );
}

/// Where one node writes what it is about to execute.
#[derive(Debug)]
pub(super) struct Trail {
    file: Arc<File>,
    offset: u64,
    checkpoints: Arc<AtomicU64>,
}

impl Trail {
    /// The node begins with a step.
    pub(super) fn enter(&self, step: StepNumber) {
        if self.checkpoints.load(Ordering::Relaxed) < CHECKPOINTS {
            self.write(step);
        }
    }

    /// The node is done with it.
    pub(super) fn leave(&self) {
        self.write(StepNumber::ZERO);
    }

    fn write(&self, step: StepNumber) {
        // A trail that cannot be written is none; the step is executed all the same.
        let _ = self.file.write_all_at(&step.0.to_le_bytes(), self.offset);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(directory: &Path) -> Vec<(String, u64, u32)> {
        suspects(directory).into_iter().map(|suspect| (suspect.node, suspect.step.0, suspect.starts)).collect()
    }

    #[test]
    fn the_step_that_ends_every_start_is_named_with_its_node() {
        let directory = tempfile::tempdir().unwrap();
        let first = TrailFile::begin(directory.path(), &["filter", "check"]);
        assert!(first.of(1).is_none() && !first.goes_on(), "the first life of all follows no crash");
        assert_eq!(named(directory.path()), []);
        for (others, starts) in [(5, 1), (6, 2), (7, 3)] {
            let life = TrailFile::begin(directory.path(), &["filter", "check"]);
            assert!(life.goes_on());
            life.of(1).unwrap().enter(StepNumber(9));
            life.of(1).unwrap().leave();
            life.of(0).unwrap().enter(StepNumber(others));
            life.of(1).unwrap().enter(StepNumber(17));
            let check = ("check".to_owned(), 17, starts);
            assert!(named(directory.path()).contains(&check), "{:?}", named(directory.path()));
            assert_eq!(
                named(directory.path()).len(),
                if starts == 1 { 2 } else { 1 },
                "the others were not there twice"
            );
        }
    }

    #[test]
    fn an_orderly_end_leaves_nothing_and_after_some_checkpoints_there_is_no_trail() {
        let directory = tempfile::tempdir().unwrap();
        drop(TrailFile::begin(directory.path(), &["check"]));
        let life = TrailFile::begin(directory.path(), &["check"]);
        (0..CHECKPOINTS).for_each(|_| life.checkpointed());
        life.of(0).unwrap().enter(StepNumber(17));
        assert!(!life.goes_on());
        assert_eq!(named(directory.path()), []);
        life.end();
        assert!(!TrailFile::begin(directory.path(), &["check"]).goes_on());
    }

    #[test]
    fn a_file_that_is_none_says_nothing() {
        for bytes in [&b""[..], b"\n", b"{}\n12345678", b"{\"nodes\":[\"a\"]", b"\xff\n"] {
            assert_eq!(read(bytes).unwrap_or_default(), [], "{bytes:?}");
        }
    }
}
