//! Whether what a provider logs in with is good, now and before.

use std::collections::VecDeque;

use serde::Serialize;

use crate::error::{Domain, Error};

/// How long a message may be, in characters.
const LONGEST: usize = 20_000;
/// How many earlier findings are kept.
const MOST_EARLIER: usize = 20;

/// What can be said of credentials, in the words of ManageIQ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialStatus {
    /// There are none, or a part of them is missing.
    Incomplete,
    /// They are good, and allow what is asked for.
    Valid,
    /// They are refused, or do not allow what is asked for: the user can mend that.
    Invalid,
    /// Nobody answers who could say.
    Unreachable,
    /// This program is at fault.
    Error,
}

impl CredentialStatus {
    /// As it is shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Incomplete => "incomplete",
            Self::Valid => "valid",
            Self::Invalid => "invalid",
            Self::Unreachable => "unreachable",
            Self::Error => "error",
        }
    }
}

/// Why credentials could not be found to be good.
#[derive(Debug)]
pub struct Unverified {
    /// In a word.
    pub status: CredentialStatus,
    /// In a sentence for the user.
    pub error: Error,
}

impl Unverified {
    /// There are no credentials, or a part of them is missing.
    pub fn incomplete(error: Error) -> Self {
        Self { status: CredentialStatus::Incomplete, error }
    }
}

impl From<Error> for Unverified {
    fn from(error: Error) -> Self {
        let status = match error.domain {
            Domain::User => CredentialStatus::Invalid,
            Domain::External => CredentialStatus::Unreachable,
            Domain::Internal => CredentialStatus::Error,
        };
        Self { status, error }
    }
}

/// What looking at credentials has found. Times are in ms since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// In a word.
    pub status: CredentialStatus,
    /// Why, and what can be done; empty where they are good. At most 20,000 characters.
    pub message: String,
    /// When that was found first without anything else since.
    pub since: i64,
    /// When it was found last.
    pub checked: i64,
}

impl Verified {
    /// What looking at `now` has found.
    pub fn of(outcome: Result<(), &Unverified>, now: i64) -> Self {
        let (status, message) = match outcome {
            Ok(()) => (CredentialStatus::Valid, String::new()),
            Err(unverified) => (unverified.status, unverified.error.to_string().chars().take(LONGEST).collect()),
        };
        Self { status, message, since: now, checked: now }
    }
}

/// What was found over time.
#[derive(Debug, Clone, Default, Serialize)]
pub struct CredentialHistory {
    /// What was found last; `None` while nobody has looked.
    pub now: Option<Verified>,
    /// What was found before, newest first, at most 20.
    pub earlier: VecDeque<Verified>,
}

impl CredentialHistory {
    /// Takes note of what was found. The same as before only moves the time.
    pub(super) fn found(&mut self, found: Verified) {
        match &mut self.now {
            Some(now) if (now.status, &now.message) == (found.status, &found.message) => now.checked = found.checked,
            now => {
                if let Some(before) = now.replace(found) {
                    self.earlier.push_front(before);
                }
                self.earlier.truncate(MOST_EARLIER);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(why: &str) -> Unverified {
        Error::user(why).into()
    }

    #[test]
    fn what_is_found_again_keeps_its_beginning_and_what_changes_is_remembered_newest_first() {
        let mut history = CredentialHistory::default();
        history.found(Verified::of(Ok(()), 1));
        history.found(Verified::of(Ok(()), 2));
        history.found(Verified::of(Err(&refused("the key is refused")), 3));
        history.found(Verified::of(Err(&refused("the key has gone")), 4));
        history.found(Verified::of(Err(&Error::external("no answer").into()), 5));
        let told = |found: &Verified| (found.status.name(), found.message.clone(), found.since, found.checked);
        assert_eq!(told(history.now.as_ref().unwrap()), ("unreachable", "no answer".to_owned(), 5, 5));
        let earlier: Vec<_> = history.earlier.iter().map(told).collect();
        assert_eq!(
            earlier,
            [
                ("invalid", "the key has gone".to_owned(), 4, 4),
                ("invalid", "the key is refused".to_owned(), 3, 3),
                ("valid", String::new(), 1, 2)
            ]
        );
        for at in 6..100 {
            history.found(Verified::of(Err(&refused(&format!("no {at}"))), at));
        }
        assert_eq!((history.earlier.len(), history.earlier[0].since), (MOST_EARLIER, 98));
    }

    #[test]
    fn a_message_without_end_is_cut() {
        assert_eq!(Verified::of(Err(&refused(&"x".repeat(50_000))), 1).message.len(), LONGEST);
    }
}
