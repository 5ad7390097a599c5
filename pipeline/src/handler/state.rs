//! How resources stand, and how that changes.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How a resource stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResourceState {
    /// Nothing can enforce it: it cannot be understood, or no handler is there for it.
    Unavailable,
    /// The handler has passed it over, with a reason.
    Skipped,
    /// It was only looked at.
    Dry,
    /// It is as it shall be.
    Deployed,
    /// Enforcing it has failed.
    Failed,
    /// It is being enforced.
    Deploying,
    /// It is to be enforced.
    Available,
    /// It was taken back before it was enforced.
    Cancelled,
    /// What it shall be is not known.
    Undefined,
    /// It requires something undefined.
    SkippedForUndefined,
    /// It requires something that is not deployed.
    SkippedForDependency,
    /// It is not as it shall be, and is not to be changed.
    NonCompliant,
    /// Nothing wants it any more.
    Orphaned,
}

impl ResourceState {
    /// Every state.
    pub const ALL: [Self; 13] = [
        Self::Unavailable,
        Self::Skipped,
        Self::Dry,
        Self::Deployed,
        Self::Failed,
        Self::Deploying,
        Self::Available,
        Self::Cancelled,
        Self::Undefined,
        Self::SkippedForUndefined,
        Self::SkippedForDependency,
        Self::NonCompliant,
        Self::Orphaned,
    ];

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::Skipped => "skipped",
            Self::Dry => "dry",
            Self::Deployed => "deployed",
            Self::Failed => "failed",
            Self::Deploying => "deploying",
            Self::Available => "available",
            Self::Cancelled => "cancelled",
            Self::Undefined => "undefined",
            Self::SkippedForUndefined => "skipped_for_undefined",
            Self::SkippedForDependency => "skipped_for_dependency",
            Self::NonCompliant => "non_compliant",
            Self::Orphaned => "orphaned",
        }
    }

    /// Whether a deployment can end so.
    pub fn is_outcome(self) -> bool {
        !matches!(self, Self::Deploying | Self::Available | Self::Cancelled | Self::Orphaned)
    }

    /// The state after `event`; `None` where it cannot happen in this one.
    ///
    /// | event | in | leads to |
    /// |---|---|---|
    /// | wanted | every state | `available` |
    /// | begun | `available`, and those of which another attempt may make something | `deploying` |
    /// | ended in S | `deploying` | S, where that is an outcome |
    /// | ended in S | `available` | S, where nothing of it was begun: `undefined`, `unavailable`, `skipped_for_…` |
    /// | cancelled | `available`, `deploying`, and those that wait for another attempt | `cancelled` |
    /// | unwanted | every state but `deploying` | `orphaned` |
    pub fn after(self, event: StateEvent) -> Option<Self> {
        match (event, self) {
            (StateEvent::Wanted, _) => Some(Self::Available),
            (StateEvent::Begun, from) if from == Self::Available || from.may_be_tried_again() => Some(Self::Deploying),
            (StateEvent::Ended(to), Self::Deploying) if to.is_outcome() => Some(to),
            (StateEvent::Ended(to), Self::Available) if to.needs_no_handler() => Some(to),
            (StateEvent::Ended(to), from) if from.may_be_tried_again() && to.needs_no_handler() => Some(to),
            (StateEvent::Cancelled, Self::Available | Self::Deploying) => Some(Self::Cancelled),
            (StateEvent::Cancelled, from) if from.may_be_tried_again() => Some(Self::Cancelled),
            (StateEvent::Unwanted, from) if from != Self::Deploying => Some(Self::Orphaned),
            _ => None,
        }
    }

    /// Whether an attempt that ended so is followed by another one.
    fn may_be_tried_again(self) -> bool {
        matches!(self, Self::Failed | Self::Skipped | Self::SkippedForDependency | Self::SkippedForUndefined)
    }

    /// Whether that is found out before a handler is asked.
    fn needs_no_handler(self) -> bool {
        matches!(
            self,
            Self::Unavailable
                | Self::Undefined
                | Self::Skipped
                | Self::SkippedForDependency
                | Self::SkippedForUndefined
        )
    }
}

impl fmt::Display for ResourceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// What happens to a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateEvent {
    /// Something wants it as it is described now.
    Wanted,
    /// Its deployment begins.
    Begun,
    /// Its deployment has ended so.
    Ended(ResourceState),
    /// It was taken back, on somebody's word or by a newer description.
    Cancelled,
    /// Nothing wants it any more.
    Unwanted,
}

/// What a deployment has changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// Nothing.
    #[default]
    NoChange,
    /// It was made.
    Created,
    /// It was removed.
    Purged,
    /// Some of its fields were changed.
    Updated,
}

impl Change {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::NoChange => "nochange",
            Self::Created => "created",
            Self::Purged => "purged",
            Self::Updated => "updated",
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each state becomes, as letters in the order of [`ResourceState::ALL`]; `.` where it cannot happen.
    /// `A`vailable, dep`L`oying, `C`ancelled, `O`rphaned.
    const TABLE: [(StateEvent, &str); 4] = [
        (StateEvent::Wanted, "AAAAAAAAAAAAA"),
        (StateEvent::Begun, ".L..L.L..LL.."),
        (StateEvent::Cancelled, ".C..CCC..CC.."),
        (StateEvent::Unwanted, "OOOOO.OOOOOOO"),
    ];

    fn letter(state: Option<ResourceState>) -> char {
        match state {
            None => '.',
            Some(ResourceState::Available) => 'A',
            Some(ResourceState::Deploying) => 'L',
            Some(ResourceState::Cancelled) => 'C',
            Some(ResourceState::Orphaned) => 'O',
            Some(_) => '?',
        }
    }

    #[test]
    fn every_event_in_every_state_is_as_the_table_says() {
        for (event, expected) in TABLE {
            let found: String = ResourceState::ALL.iter().map(|state| letter(state.after(event))).collect();
            assert_eq!(found, expected, "{event:?}");
        }
        for from in ResourceState::ALL {
            for to in ResourceState::ALL {
                let ended = from.after(StateEvent::Ended(to));
                let waits = matches!(
                    from,
                    ResourceState::Available
                        | ResourceState::Failed
                        | ResourceState::Skipped
                        | ResourceState::SkippedForDependency
                        | ResourceState::SkippedForUndefined
                );
                let allowed = (from == ResourceState::Deploying && to.is_outcome()) || (waits && to.needs_no_handler());
                assert_eq!(ended, allowed.then_some(to), "{from} ends in {to}");
            }
        }
    }

    #[test]
    fn what_was_passed_over_is_to_be_enforced_again_only_when_something_wants_it() {
        for state in ResourceState::ALL {
            let leads_there = |event| state.after(event) == Some(ResourceState::Available);
            let others = [StateEvent::Begun, StateEvent::Cancelled, StateEvent::Unwanted];
            assert!(!others.into_iter().any(leads_there), "{state}");
        }
    }

    #[test]
    fn words_are_what_json_says() {
        for state in ResourceState::ALL {
            assert_eq!(serde_json::to_value(state).unwrap(), state.word());
        }
        assert_eq!(serde_json::to_value(Change::NoChange).unwrap(), "nochange");
    }
}
