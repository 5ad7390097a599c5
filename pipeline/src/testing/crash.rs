//! Crash points: places at which a test lets the process die as if it had been killed.
//!
//! `TIDEGATE_CRASH_AT=journal.sync.before:3` aborts the process at the third pass of the point
//! `journal.sync.before`. Without the variable a point costs one load.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// The environment variable that arms a point, as `NAME:N`; N counts from 1 and may be left out.
pub const VARIABLE: &str = "TIDEGATE_CRASH_AT";

/// All points, in about the order in which a checkpoint passes them.
pub const POINTS: &[&str] = &[
    "journal.append",
    "journal.rotate",
    "journal.created",
    "journal.write",
    "journal.write.half",
    "journal.written",
    "journal.sync",
    "journal.synced",
    "journal.marked",
    "segment.write",
    "segment.half",
    "segment.sync",
    "segment.rename",
    "segment.renamed",
    "marks.apply",
    "marks.applied",
    "manifest.write",
    "manifest.half",
    "manifest.sync",
    "manifest.rename",
    "manifest.renamed",
    "manifest.apply",
    "manifest.applied",
    "store.flush",
    "store.sync",
    "store.synced",
    "head.write",
    "head.half",
    "head.sync",
    "head.rename",
    "head.renamed",
    "epoch.write",
    "epoch.half",
    "epoch.sync",
    "epoch.rename",
    "epoch.renamed",
    "retain.apply",
    "retain.applied",
    "retain.remove",
    "journal.discard",
];

/// The points at which the merging of changes of state writes a segment: before it is synchronised, before and after it
/// has its name. Only state that changes over many checkpoints comes there.
pub const MERGE_POINTS: &[&str] = &["merged.sync", "merged.rename", "merged.renamed"];

/// The points around effects: before they are journaled, before and after they leave, before and after their end
/// is journaled, and where a command has changed one.
pub const EFFECT_POINTS: &[&str] = &[
    "outbox.append",
    "outbox.appended",
    "outbox.synced",
    "effect.send",
    "effect.sent",
    "effect.ended",
    "effect.changed",
];

/// The points of the sink `file`: handing text to the system, making it durable, publishing a Parquet part.
pub const SINK_POINTS: &[&str] = &[
    "sink.write",
    "sink.half",
    "sink.sync",
    "sink.synced",
    "sink.cut",
    "sink.part.write",
    "sink.part.sync",
    "sink.part.rename",
    "sink.part.renamed",
    "sink.part.remove",
];

/// A point that is armed.
#[derive(Debug)]
struct Armed {
    name: String,
    pass: u64,
    passed: AtomicU64,
}

impl Armed {
    fn parse(text: &str) -> Option<Self> {
        let (name, pass) = match text.rsplit_once(':') {
            Some((name, pass)) => (name, pass.parse().ok()?),
            None => (text, 1),
        };
        (!name.is_empty() && pass > 0).then(|| Self { name: name.to_owned(), pass, passed: AtomicU64::new(0) })
    }

    /// Counts a pass of a point; whether it is the one to die at.
    fn is_due(&self, name: &str) -> bool {
        self.name == name && self.passed.fetch_add(1, Ordering::SeqCst) + 1 == self.pass
    }
}

/// The process-wide switch: a crash is a matter of the whole process, and the environment is read once.
static ARMED: OnceLock<Option<Armed>> = OnceLock::new();

/// Dies here, without unwinding, when the environment says so. Does nothing otherwise.
pub fn point(name: &str) {
    let armed = ARMED.get_or_init(|| Armed::parse(&std::env::var(VARIABLE).ok()?));
    if armed.as_ref().is_some_and(|armed| armed.is_due(name)) {
        std::process::abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nth_pass_of_the_named_point_is_due() {
        let armed = Armed::parse("journal.sync.before:2").unwrap();
        assert!(!armed.is_due("journal.sync.before"));
        assert!(!armed.is_due("manifest.rename"));
        assert!(armed.is_due("journal.sync.before"));
        assert!(!armed.is_due("journal.sync.before"));
    }

    #[test]
    fn a_point_without_a_number_is_due_at_once_and_nonsense_arms_nothing() {
        assert!(Armed::parse("head.rename").unwrap().is_due("head.rename"));
        for nonsense in ["", ":1", "head:0", "head:soon"] {
            assert!(Armed::parse(nonsense).is_none(), "{nonsense}");
        }
    }
}
