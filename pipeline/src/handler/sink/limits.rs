//! How much may be changed, and when.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, Visitor};

use super::super::{Changes, Gate, Resource};
use super::options::{Approval, HandlerOptions};
use crate::spec::{CronSchedule, Duration};

/// The longest time between two looks at the clock: it may be set meanwhile.
const LOOK_AGAIN: std::time::Duration = std::time::Duration::from_secs(30);

/// How many resources may be changed: a number, or a part of those that are known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MaxChanges {
    /// So many.
    Count(usize),
    /// So many of a hundred, at least one.
    Percent(f64),
}

impl MaxChanges {
    /// How many that is of `known` resources.
    pub fn of(self, known: usize) -> usize {
        match self {
            Self::Count(count) => count,
            Self::Percent(percent) => ((known as f64 * percent / 100.0).floor() as usize).max(1),
        }
    }
}

impl fmt::Display for MaxChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => count.fmt(f),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

impl FromStr for MaxChanges {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no number of changes; write `5`, or `5%` of the resources that are known");
        match text.trim().strip_suffix('%') {
            Some(percent) => {
                let percent = percent.trim().parse::<f64>().ok().filter(|percent| (0.0..=100.0).contains(percent));
                percent.map(Self::Percent).ok_or_else(wrong)
            }
            None => text.trim().parse().map(Self::Count).map_err(|_| wrong()),
        }
    }
}

impl<'de> Deserialize<'de> for MaxChanges {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ByText;
        impl Visitor<'_> for ByText {
            type Value = MaxChanges;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of changes, or a part as `5%`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<MaxChanges, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<MaxChanges, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<MaxChanges, E> {
                self.visit_str(&number.to_string())
            }
        }
        deserializer.deserialize_any(ByText)
    }
}

impl JsonSchema for MaxChanges {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "MaxChanges".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string"}]})
    }
}

/// A maintenance window: it opens at times, and stays open for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    opens: CronSchedule,
    stays: Duration,
}

/// `window:` as it is written.
#[derive(serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct WrittenWindow {
    /// When it opens: minute, hour, day of the month, month and weekday.
    cron: String,
    /// How long it stays open.
    #[serde(rename = "for")]
    stays: Duration,
    /// The time zone of these times. Default: UTC.
    #[serde(default)]
    timezone: Option<String>,
}

impl Window {
    /// A window that opens at the times of a cron pattern.
    ///
    /// # Errors
    /// What is wrong with the pattern, the time zone, or a window that is never open.
    pub fn new(cron: &str, timezone: Option<&str>, stays: Duration) -> Result<Self, String> {
        if stays.0.is_zero() {
            return Err("a window that is open for `0s` is never open".to_owned());
        }
        Ok(Self { opens: CronSchedule::new(cron, timezone)?, stays })
    }

    /// How long until it is open; `None` while it is.
    pub fn opens_in(&self, now: Timestamp) -> Option<std::time::Duration> {
        let stays = SignedDuration::try_from(self.stays.0).unwrap_or(SignedDuration::MAX);
        let earliest = now.checked_sub(stays).unwrap_or(Timestamp::MIN);
        match self.opens.after(earliest) {
            Some(opened) if opened <= now => None,
            Some(opens) => Some(std::time::Duration::try_from(opens.duration_since(now)).unwrap_or_default()),
            None => Some(LOOK_AGAIN),
        }
    }
}

impl<'de> Deserialize<'de> for Window {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let WrittenWindow { cron, stays, timezone } = WrittenWindow::deserialize(deserializer)?;
        Self::new(&cron, timezone.as_deref(), stays).map_err(de::Error::custom)
    }
}

impl JsonSchema for Window {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Window".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        WrittenWindow::json_schema(generator)
    }
}

/// The limits of one handler, and what counts against them.
#[derive(Debug)]
pub(super) struct Limits {
    most: Option<MaxChanges>,
    per: SignedDuration,
    window: Option<Window>,
    approval: Approval,
    counted: Mutex<Counted>,
}

#[derive(Debug, Default)]
struct Counted {
    /// When a row last named each resource.
    known: HashMap<String, Timestamp>,
    /// When each resource was last changed, or an attempt to change it begun.
    changed: HashMap<String, Timestamp>,
}

impl Limits {
    pub(super) fn of(options: &HandlerOptions) -> Self {
        Self {
            most: options.max_changes,
            per: SignedDuration::try_from(options.max_changes_per.0).unwrap_or(SignedDuration::MAX),
            window: options.window.clone(),
            approval: options.approval,
            counted: Mutex::default(),
        }
    }

    /// How long to wait for the window; `None` where nothing needs to wait.
    pub(super) fn closed_for(&self) -> Option<std::time::Duration> {
        let opens = self.window.as_ref()?.opens_in(Timestamp::now())?;
        Some(opens.min(LOOK_AGAIN))
    }

    /// Whether somebody has to approve each change.
    pub(super) fn needs_approval(&self) -> bool {
        self.approval == Approval::Required
    }

    /// A row names a resource.
    pub(super) fn names(&self, resource: &str) {
        if self.most.is_some() {
            self.counted.lock().known.insert(resource.to_owned(), Timestamp::now());
        }
    }

    /// A resource was changed, at that time.
    pub(super) fn changed(&self, resource: &str, at: Timestamp) {
        if self.most.is_some() {
            self.counted.lock().changed.insert(resource.to_owned(), at);
        }
    }

    /// Whether one more resource may be changed. Then it counts, whatever comes of it.
    fn take(&self, resource: &str) -> Result<(), String> {
        let Some(most) = self.most else { return Ok(()) };
        let now = Timestamp::now();
        let is_recent = |_: &String, at: &mut Timestamp| now.duration_since(*at) < self.per;
        let mut counted = self.counted.lock();
        counted.changed.retain(is_recent);
        counted.known.retain(is_recent);
        let (changed, known) = (counted.changed.len(), counted.known.len());
        // Another attempt at the same resource is no further change.
        if !counted.changed.contains_key(resource) {
            if changed >= most.of(known) {
                let per = Duration(self.per.unsigned_abs());
                return Err(format!(
                    "`max_changes: {most}` of {known} known resources is reached: {changed} were changed within {per}"
                ));
            }
            counted.changed.insert(resource.to_owned(), now);
        }
        Ok(())
    }
}

/// Asks for approvals and counts changes.
pub(super) struct Held<'a>(pub(super) &'a Limits);

impl Gate for Held<'_> {
    fn passes(&self, resource: &Resource, _changes: &Changes) -> Result<(), String> {
        if self.0.needs_approval() {
            return Err("`approval: required`".to_owned());
        }
        self.0.take(&resource.id.to_string())
    }
}

/// Somebody has approved it: it counts, and passes.
pub(super) struct Approved<'a>(pub(super) &'a Limits);

impl Gate for Approved<'_> {
    fn passes(&self, resource: &Resource, _changes: &Changes) -> Result<(), String> {
        self.0.changed(&resource.id.to_string(), Timestamp::now());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_number_or_a_part() {
        let of = |text: &str, known| text.parse::<MaxChanges>().unwrap().of(known);
        assert_eq!([of("5", 1000), of("5%", 1000), of("5%", 3), of("0", 9), of("2.5 %", 100)], [5, 50, 1, 0, 2]);
        for wrong in ["", "-1", "five", "101%", "-1%", "%"] {
            assert!(wrong.parse::<MaxChanges>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_window_is_open_from_its_times_on_for_as_long_as_it_stays() {
        let window = Window::new("0 2 * * SAT", Some("Europe/Brussels"), Duration::seconds(4 * 3600)).unwrap();
        let opens_in = |at: &str| window.opens_in(at.parse().unwrap()).map(|time| time.as_secs());
        // Saturday, 21 November 2026, 2:00 in Brussels is 1:00 UTC.
        assert_eq!(opens_in("2026-11-21T00:59:00Z"), Some(60));
        assert_eq!(opens_in("2026-11-21T01:00:00Z"), None);
        assert_eq!(opens_in("2026-11-21T04:59:59Z"), None);
        assert_eq!(opens_in("2026-11-21T05:00:00Z"), Some(7 * 86_400 - 4 * 3600));
        assert!(Window::new("0 2 * * *", Some("Nowhere"), Duration::seconds(1)).is_err());
        assert!(Window::new("0 2 * * *", None, Duration::seconds(0)).is_err());
    }
}
