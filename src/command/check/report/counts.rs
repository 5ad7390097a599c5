//! How many findings there are of each sort.

use std::iter::Sum;
use std::ops::Add;

use serde::{Deserialize, Serialize};
use tidegate_operators::check::finding::Status;

/// Findings counted by status; waived alarms apart from alarms.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::command::check) struct Counts {
    /// Alarms that count.
    pub(in crate::command::check) alarm: usize,
    /// What could not be evaluated.
    pub(in crate::command::check) error: usize,
    /// Alarms that somebody has accepted for a while.
    pub(in crate::command::check) waived: usize,
    /// What is as it should be.
    pub(in crate::command::check) ok: usize,
    /// What does not apply, or cannot be seen.
    pub(in crate::command::check) skip: usize,
    /// What is worth knowing.
    pub(in crate::command::check) info: usize,
}

impl Counts {
    /// Counts one more finding.
    pub(super) fn count(&mut self, status: Status, waived: bool) {
        let counter = match status {
            Status::Alarm if waived => &mut self.waived,
            Status::Alarm => &mut self.alarm,
            Status::Error => &mut self.error,
            Status::Ok => &mut self.ok,
            Status::Skip => &mut self.skip,
            Status::Info => &mut self.info,
        };
        *counter += 1;
    }

    /// How many findings there are.
    pub(in crate::command::check) fn all(&self) -> usize {
        self.parts().iter().map(|(count, _)| count).sum()
    }

    /// Each count with its word, what matters most first.
    pub(in crate::command::check) fn parts(&self) -> [(usize, &'static str); 6] {
        [
            (self.alarm, "alarm"),
            (self.error, "error"),
            (self.waived, "waived"),
            (self.ok, "ok"),
            (self.skip, "skip"),
            (self.info, "info"),
        ]
    }

    /// `2 alarm, 3 ok`; `no resources` where nothing was found to look at.
    pub(in crate::command::check) fn text(&self) -> String {
        let parts = self.parts().into_iter().filter(|(count, _)| *count > 0);
        let parts: Vec<String> = parts.map(|(count, word)| format!("{count} {word}")).collect();
        if parts.is_empty() { "no resources".to_owned() } else { parts.join(", ") }
    }
}

impl Add for Counts {
    type Output = Self;

    fn add(self, more: Self) -> Self {
        Self {
            alarm: self.alarm + more.alarm,
            error: self.error + more.error,
            waived: self.waived + more.waived,
            ok: self.ok + more.ok,
            skip: self.skip + more.skip,
            info: self.info + more.info,
        }
    }
}

impl Sum for Counts {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), Self::add)
    }
}

/// `1 control`, `2 controls`.
pub(in crate::command::check) fn plural(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
