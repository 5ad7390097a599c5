//! When everything is refreshed.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::spec::{CronSchedule, Refresh};

/// The longest sleep until a time of day: so that a clock which is set meanwhile is noticed.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// When a provider's inventory is refreshed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Schedule {
    /// Once: then the source has ended.
    Once,
    /// At once, and then so often, counted from begin to begin.
    Every(Duration),
    /// At these times; at once where it never was or was interrupted.
    Cron(CronSchedule),
    /// When something asks for it.
    Off,
}

impl From<Option<Duration>> for Schedule {
    fn from(every: Option<Duration>) -> Self {
        every.map_or(Self::Once, Self::Every)
    }
}

impl From<Option<Refresh>> for Schedule {
    fn from(refresh: Option<Refresh>) -> Self {
        refresh.map_or(Self::Once, Self::from)
    }
}

impl From<Refresh> for Schedule {
    fn from(refresh: Refresh) -> Self {
        match refresh {
            Refresh::Every(every) => Self::Every(every.0),
            Refresh::Cron(cron) => Self::Cron(cron),
            Refresh::Off => Self::Off,
        }
    }
}

/// When the next refresh is due.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Due {
    At(Instant),
    Wall(Timestamp),
    Never,
}

/// Counts the time between refreshes.
#[derive(Debug)]
pub(super) struct Timer {
    schedule: Schedule,
    due: Due,
}

impl Timer {
    /// From now on; `anew`: nothing was ever refreshed to its end.
    pub(super) fn start(schedule: Schedule, anew: bool) -> Self {
        let due = match &schedule {
            Schedule::Once | Schedule::Every(_) => Due::At(Instant::now()),
            Schedule::Cron(_) if anew => Due::At(Instant::now()),
            Schedule::Cron(cron) => next(cron),
            Schedule::Off => Due::Never,
        };
        Self { schedule, due }
    }

    /// Whether a refresh is due.
    pub(super) fn is_due(&self) -> bool {
        match &self.due {
            Due::At(at) => *at <= Instant::now(),
            Due::Wall(at) => *at <= Timestamp::now(),
            Due::Never => false,
        }
    }

    /// When to look again whether a refresh is due.
    pub(super) fn look_at(&self) -> Option<Instant> {
        match &self.due {
            Due::At(at) => Some(*at),
            Due::Wall(at) => {
                let left = Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or_default();
                Some(Instant::now() + left.min(LOOK_AGAIN))
            }
            Due::Never => None,
        }
    }

    /// A refresh begins: when the next one is due. One that takes longer than until then is followed by the next at once.
    pub(super) fn begun(&mut self) {
        self.due = match &self.schedule {
            Schedule::Once | Schedule::Off => Due::Never,
            Schedule::Every(every) => Due::At(Instant::now() + *every),
            Schedule::Cron(cron) => next(cron),
        };
    }

    /// Whether refreshes come by themselves again and again.
    pub(super) fn repeats(&self) -> bool {
        matches!(self.schedule, Schedule::Every(_) | Schedule::Cron(_))
    }

    /// Whether no further refresh will ever be due.
    pub(super) fn was_once(&self) -> bool {
        self.schedule == Schedule::Once && self.due == Due::Never
    }
}

fn next(cron: &CronSchedule) -> Due {
    cron.after(Timestamp::now()).map_or(Due::Never, Due::Wall)
}
