//! When inventory is refreshed, as options say it.

use std::borrow::Cow;
use std::fmt;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor, value::MapAccessDeserializer};

use super::Duration;

/// `refresh:` of a provider: `15m`, `off`, or `{cron: "0 */6 * * *", timezone: Europe/Brussels}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refresh {
    /// So often, counted from begin to begin. One that takes longer is followed by the next at once.
    Every(Duration),
    /// At these times.
    Cron(CronSchedule),
    /// Only when something asks for it: an event, or a command.
    Off,
}

/// Times of day, week, month and year.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CronSchedule {
    cron: Box<Cron>,
    timezone: TimeZone,
}

impl CronSchedule {
    /// The times of a pattern of five fields (minute, hour, day, month, weekday), or of `@daily` and the like.
    ///
    /// # Errors
    /// What is wrong with the pattern, or that there is no such time zone.
    pub fn new(pattern: &str, timezone: Option<&str>) -> Result<Self, String> {
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = parser.parse(pattern).map_err(|error| {
            format!("`{pattern}` is no cron pattern (minute hour day month weekday, as `0 */6 * * *`): {error}")
        })?;
        let unknown = |name: &str| format!("there is no time zone `{name}`; write it as `Europe/Brussels` or `UTC`");
        let timezone = match timezone {
            None => TimeZone::UTC,
            Some(name) => TimeZone::get(name).map_err(|_| unknown(name))?,
        };
        let schedule = Self { cron: Box::new(cron), timezone };
        match schedule.after(Timestamp::now()) {
            Some(_) => Ok(schedule),
            None => Err(format!("`{pattern}` never comes")),
        }
    }

    /// The first of the times after `time`. A time that a clock leaves out comes as soon as it goes on; one that it
    /// shows twice comes once.
    pub fn after(&self, time: Timestamp) -> Option<Timestamp> {
        let from = time.to_zoned(self.timezone.clone());
        self.cron.find_next_occurrence(&from, false).ok().map(|next| next.timestamp())
    }
}

/// `refresh:` as a map.
#[derive(serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RefreshMap {
    /// Minute, hour, day of the month, month and weekday, as `0 */6 * * *`; or `@daily` and the like.
    cron: String,
    /// The time zone of these times, as `Europe/Brussels`. Default: UTC.
    #[serde(default)]
    timezone: Option<String>,
}

impl<'de> Deserialize<'de> for Refresh {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RefreshVisitor;
        impl<'de> Visitor<'de> for RefreshVisitor {
            type Value = Refresh;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a length of time, as `15m`, `off`, or a map of `cron` and `timezone`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Refresh, E> {
                if text == "off" {
                    return Ok(Refresh::Off);
                }
                let every: Duration = text.parse().map_err(E::custom)?;
                if every.0.is_zero() {
                    return Err(E::custom(
                        "nothing can be refreshed every `0s`; write `off` to refresh on demand only",
                    ));
                }
                Ok(Refresh::Every(every))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Refresh, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Refresh, A::Error> {
                let RefreshMap { cron, timezone } = RefreshMap::deserialize(MapAccessDeserializer::new(map))?;
                CronSchedule::new(&cron, timezone.as_deref()).map(Refresh::Cron).map_err(de::Error::custom)
            }
        }
        deserializer.deserialize_any(RefreshVisitor)
    }
}

impl JsonSchema for Refresh {
    fn schema_name() -> Cow<'static, str> {
        "Refresh".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let duration = generator.subschema_for::<Duration>();
        let map = RefreshMap::json_schema(generator);
        json_schema!({"anyOf": [duration, {"const": "off"}, map]})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(pattern: &str, timezone: &str, after: &str) -> String {
        let schedule = CronSchedule::new(pattern, Some(timezone)).unwrap();
        schedule.after(after.parse().unwrap()).unwrap().to_string()
    }

    #[test]
    fn times_are_those_of_the_time_zone() {
        assert_eq!(next("0 */6 * * *", "UTC", "2026-11-21T05:59:59Z"), "2026-11-21T06:00:00Z");
        assert_eq!(next("0 */6 * * *", "UTC", "2026-11-21T06:00:00Z"), "2026-11-21T12:00:00Z");
        assert_eq!(next("30 8 * * MON-FRI", "Europe/Brussels", "2026-07-04T00:00:00Z"), "2026-07-06T06:30:00Z");
    }

    #[test]
    fn an_hour_that_a_clock_leaves_out_or_shows_twice_has_one_refresh() {
        // On 29 March the clocks of Brussels go from 2:00 to 3:00, on 25 October from 3:00 to 2:00.
        assert_eq!(next("30 2 * * *", "Europe/Brussels", "2026-03-28T12:00:00Z"), "2026-03-29T01:00:00Z");
        let first = next("30 2 * * *", "Europe/Brussels", "2026-10-24T12:00:00Z");
        assert_eq!(next("30 2 * * *", "Europe/Brussels", &first), "2026-10-26T01:30:00Z");
    }

    #[test]
    fn what_never_comes_or_is_no_pattern_is_refused() {
        let refused = |pattern: &str, timezone| CronSchedule::new(pattern, timezone).unwrap_err();
        assert!(refused("0 0 31 2 *", None).contains("never comes"));
        assert!(refused("every day", None).contains("is no cron pattern"));
        assert!(refused("* * * * * *", None).contains("is no cron pattern"));
        assert!(refused("0 0 * * *", Some("Europe/Bruges")).contains("no time zone `Europe/Bruges`"));
    }
}
