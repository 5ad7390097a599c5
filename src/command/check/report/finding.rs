//! A finding as reports have it.

use std::cmp::{Ordering, Reverse};
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tidegate_operators::check::drift::Drift;
use tidegate_operators::check::finding::{Severity, Status};

use super::rank;

/// A moment, written as RFC 3339 in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(in crate::command::check) struct Moment(pub(in crate::command::check) Timestamp);

impl Moment {
    /// The moment so many milliseconds after 1970; `None` beyond the years that can be written.
    pub(super) fn of_milliseconds(milliseconds: i64) -> Option<Self> {
        Timestamp::from_millisecond(milliseconds).ok().map(Self)
    }

    /// `2026-11-22 08:00 UTC`.
    pub(in crate::command::check) fn for_people(self) -> String {
        self.0.strftime("%Y-%m-%d %H:%M UTC").to_string()
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.strftime("%Y-%m-%dT%H:%M:%S%.3fZ"))
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|error| format!("`{text}` is not a time like 2026-11-22T08:00:00Z: {error}"))
    }
}

impl TryFrom<String> for Moment {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Moment> for String {
    fn from(moment: Moment) -> Self {
        moment.to_string()
    }
}

/// What a control says about a resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::command::check) struct Finding {
    pub(in crate::command::check) control: String,
    pub(in crate::command::check) title: String,
    pub(in crate::command::check) resource: String,
    pub(in crate::command::check) status: Status,
    pub(in crate::command::check) reason: String,
    pub(in crate::command::check) severity: Severity,
    pub(in crate::command::check) drift: Drift,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::command::check) account_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::command::check) region: Option<String>,
    /// What else tells findings apart, as a JSON object.
    pub(in crate::command::check) dimensions: String,
    pub(in crate::command::check) pack: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::command::check) first_seen: Option<Moment>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::command::check) last_changed: Option<Moment>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::command::check) previous_status: Option<Status>,
    /// The waiver that is in effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::command::check) waiver: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::command::check) waiver_reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::command::check) waived_until: Option<Moment>,
    /// The values that decided, as a JSON object; empty where there are none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(in crate::command::check) evidence: String,
    /// What makes it the same finding from run to run: 32 hexadecimal digits.
    pub(in crate::command::check) identity: String,
    /// Columns that reports do not know.
    #[serde(flatten)]
    pub(in crate::command::check) other: Map<String, Value>,
}

impl Finding {
    /// Whether it is an alarm that somebody has accepted. What is ok stays ok.
    pub(in crate::command::check) fn is_waived(&self) -> bool {
        self.status == Status::Alarm && self.waiver.is_some()
    }

    /// Whether it is an alarm that counts.
    pub(in crate::command::check) fn is_alarm(&self) -> bool {
        self.status == Status::Alarm && self.waiver.is_none()
    }

    /// Whether somebody has to do something about it.
    pub(in crate::command::check) fn is_problem(&self) -> bool {
        self.is_alarm() || self.status == Status::Error
    }

    /// Whether it is about a control, a scope or a row as a whole, and not about a resource.
    pub(in crate::command::check) fn is_about_no_resource(&self) -> bool {
        ["control:", "scope:", "row:"].iter().any(|prefix| self.resource.starts_with(prefix))
    }

    /// The status as people read it: that of a waived alarm is `waived`.
    pub(in crate::command::check) fn word(&self) -> &'static str {
        if self.is_waived() { "waived" } else { self.status.word() }
    }

    /// `waived until 2026-12-24 (W-17): the reason`; nothing where it is not waived.
    pub(in crate::command::check) fn waiver_text(&self) -> Option<String> {
        let waiver = self.waiver.as_ref().filter(|_| self.status == Status::Alarm)?;
        let until = self.waived_until.map(|until| format!(" until {}", until.0.strftime("%Y-%m-%d")));
        let reason = self.waiver_reason.as_ref().map(|reason| format!(": {reason}"));
        Some(format!("waived{} ({waiver}){}", until.unwrap_or_default(), reason.unwrap_or_default()))
    }

    /// The order of reports: by severity, control and status, worst first, then by resource.
    pub(super) fn worst_first(&self, other: &Self) -> Ordering {
        let of_control = |finding: &Self| (Reverse(finding.severity), rank(finding.status), finding.is_waived());
        (Reverse(self.severity), &self.pack, &self.control)
            .cmp(&(Reverse(other.severity), &other.pack, &other.control))
            .then_with(|| of_control(self).cmp(&of_control(other)))
            .then_with(|| (&self.resource, &self.identity).cmp(&(&other.resource, &other.identity)))
    }
}
