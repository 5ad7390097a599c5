//! Stretches of time as rulebooks write them.

use std::borrow::Cow;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use tidegate_pipeline::spec::Duration;

/// A stretch of time: `5m`, or `5 minutes` as a rulebook writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Period(pub(crate) std::time::Duration);

impl Period {
    /// Whole milliseconds.
    pub(crate) fn milliseconds(self) -> i64 {
        i64::try_from(self.0.as_millis()).unwrap_or(i64::MAX)
    }
}

/// Units as rulebooks write them, without their `s`, and how many milliseconds they have.
const UNITS: [(&str, u64); 5] =
    [("millisecond", 1), ("second", 1_000), ("minute", 60_000), ("hour", 3_600_000), ("day", 86_400_000)];

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((number, unit)) = text.trim().split_once(char::is_whitespace) else {
            return text.trim().parse::<Duration>().map(|duration| Self(duration.0)).map_err(|error| error.to_string());
        };
        let unit = unit.trim();
        let known = UNITS.iter().find(|(name, _)| *name == unit.strip_suffix('s').unwrap_or(unit));
        let milliseconds =
            number.parse::<u64>().ok().zip(known).and_then(|(number, (_, each))| number.checked_mul(*each));
        let wrong = || format!("`{text}` is no stretch of time; write `5m` or `5 minutes`");
        milliseconds.map(|milliseconds| Self(std::time::Duration::from_millis(milliseconds))).ok_or_else(wrong)
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for Period {
    fn schema_name() -> Cow<'static, str> {
        "Period".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A stretch of time: `5m`, or `5 minutes`.",
            "examples": ["5m", "10 seconds"]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_of_writing_mean_the_same() {
        for (text, milliseconds) in [
            ("5m", 300_000),
            ("5 minutes", 300_000),
            ("1 second", 1_000),
            ("2 days", 172_800_000),
            ("7 milliseconds", 7),
        ] {
            assert_eq!(text.parse::<Period>().unwrap().milliseconds(), milliseconds, "{text}");
        }
        for text in ["5", "5 fortnights", "x minutes", "", "-1 second", "99999999999999999999 days"] {
            assert!(text.parse::<Period>().is_err(), "{text}");
        }
    }
}
