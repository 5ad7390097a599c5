//! Naming a moment: a checkpoint, a step, a time, or how long ago.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, Zoned};

use crate::checkpoint::CheckpointNumber;
use crate::error::{Error, Result};
use crate::step::{StepNumber, StepTime};

/// A moment of a pipeline's past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// As a checkpoint has it.
    Checkpoint(CheckpointNumber),
    /// After all steps up to and including this time.
    Time(StepTime),
    /// After this step.
    Step(StepNumber),
}

impl Moment {
    /// What a person writes: `12` (a checkpoint), `step:340`, `now`, `2h ago`, a date and time (RFC 3339; without an
    /// offset in UTC), or a date, which means its end.
    ///
    /// # Errors
    /// When it is none of these; says what there is.
    pub fn parse(text: &str, now: Timestamp) -> Result<Self> {
        let text = text.trim();
        if let Ok(number) = u64::from_str(text) {
            return Ok(Self::Checkpoint(CheckpointNumber(number)));
        }
        if let Some(number) = text.strip_prefix("step").map(|rest| rest.trim_start_matches([':', ' '])) {
            return number.parse().map(|number| Self::Step(StepNumber(number))).map_err(|_| unknown(text));
        }
        if text.eq_ignore_ascii_case("now") {
            return Ok(at(now));
        }
        if let Ok(time) = text.parse::<Timestamp>() {
            return Ok(at(time));
        }
        if text.ends_with("ago") {
            return ago(text, now).ok_or_else(|| unknown(text));
        }
        let utc = |time: DateTime| time.to_zoned(TimeZone::UTC).ok().map(|zoned: Zoned| at(zoned.timestamp()));
        // A date alone parses as a time at midnight, so it comes first.
        let day = text.parse::<Date>().ok().filter(|_| !text.contains([':', 'T']));
        let end = day.and_then(|day| day.tomorrow().ok()).and_then(|next| utc(next.at(0, 0, 0, 0)));
        if let Some(Self::Time(StepTime(next))) = end {
            return Ok(Self::Time(StepTime(next - 1)));
        }
        text.parse::<DateTime>().ok().and_then(utc).ok_or_else(|| unknown(text))
    }
}

/// Days and weeks of 24 hours: it is a stretch of time, not a calendar.
fn ago(text: &str, now: Timestamp) -> Option<Moment> {
    let span = text.parse::<Span>().ok()?;
    now.to_zoned(TimeZone::UTC).checked_add(span).ok().map(|zoned| at(zoned.timestamp()))
}

fn at(time: Timestamp) -> Moment {
    // A time of finer grain lies within its millisecond: steps have whole ones.
    Moment::Time(StepTime(time.as_nanosecond().div_euclid(1_000_000).try_into().unwrap_or(i64::MAX)))
}

fn unknown(text: &str) -> Error {
    Error::user(format!("`{text}` names no moment"))
        .with_remedy("write the number of a checkpoint (12), a step (step:340), a time (2026-11-20T08:00:00Z, 2026-11-20 08:00), a day (2026-11-20, its end), or `2h ago`")
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Checkpoint(number) => write!(f, "checkpoint {number}"),
            Self::Time(time) => time.fmt(f),
            Self::Step(step) => write!(f, "step {step}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(text: &str) -> String {
        let now = "2026-11-21T12:00:00Z".parse().unwrap();
        Moment::parse(text, now).map_or_else(|error| error.to_string(), |moment| moment.to_string())
    }

    #[test]
    fn moments_are_named_as_people_name_them() {
        let cases = [
            ("12", "checkpoint 12"),
            ("step:340", "step 340"),
            ("step 340", "step 340"),
            ("now", "2026-11-21T12:00:00Z"),
            ("2h ago", "2026-11-21T10:00:00Z"),
            ("1 day 30 minutes ago", "2026-11-20T11:30:00Z"),
            ("2026-11-20T08:00:00.5+01:00", "2026-11-20T07:00:00.5Z"),
            ("2026-11-20 08:00", "2026-11-20T08:00:00Z"),
            ("2026-11-20T08:00:00", "2026-11-20T08:00:00Z"),
            ("2026-11-20", "2026-11-20T23:59:59.999Z"),
        ];
        for (text, expected) in cases {
            assert_eq!(moment(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_moment_is_told_with_what_is() {
        for text in ["", "yesterdy", "step:x", "2026-13-01", "2x ago", "-1"] {
            let said = moment(text);
            assert!(said.contains("names no moment") && said.contains("2h ago"), "{text}: {said}");
        }
    }
}
