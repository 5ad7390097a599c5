//! The options of `generic`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::spec::diagnostic::Diagnostic;

use crate::places::Places;
use crate::sources::seconds;

/// The forms of a timestamp.
pub(super) const TIME_FORMATS: [&str; 3] = ["local", "iso8601", "epoch"];

/// The options of `generic`. Exactly one of `payload` and `payload_file` is given; delays are in seconds.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GenericOptions {
    /// A map (one event) or a list of maps (one event each).
    pub payload: Option<Value>,
    /// A YAML file that holds the payload.
    pub payload_file: Option<String>,
    /// Shuffle the events of each loop, the same way for the same `seed`.
    #[serde(default)]
    pub randomize: bool,
    /// What the shuffling begins with.
    #[serde(default)]
    pub seed: u64,
    /// Log each event.
    #[serde(default)]
    pub display: bool,
    /// Add the column `timestamp`: the time at which the event was made.
    #[serde(default)]
    pub timestamp: bool,
    /// The form of the timestamp: `local`, `iso8601` or `epoch` (seconds).
    #[serde(default = "local")]
    pub time_format: String,
    /// Add a column of this name that counts the events from 0.
    #[serde(default)]
    pub create_index: String,
    /// The pause before the first event.
    #[serde(default)]
    pub startup_delay: f64,
    /// The pause after each payload.
    #[serde(default)]
    pub event_delay: f64,
    /// The pause after each repetition.
    #[serde(default)]
    pub repeat_delay: f64,
    /// The pause after each loop.
    #[serde(default)]
    pub loop_delay: f64,
    /// The pause before the end.
    #[serde(default)]
    pub shutdown_after: f64,
    /// How often the payloads are gone through; -1: for ever.
    #[serde(default = "one")]
    pub loop_count: i64,
    /// How often each payload is sent.
    #[serde(default = "one_time")]
    pub repeat_count: u64,
    /// Add the column `blob` with so many letters.
    #[serde(default)]
    pub blob_size: usize,
    /// One more event at the end.
    pub final_payload: Option<Map<String, Value>>,
    /// Environment variables that must have these values.
    #[serde(default)]
    pub check_env_vars: BTreeMap<String, String>,
}

fn local() -> String {
    "local".to_owned()
}

fn one() -> i64 {
    1
}

fn one_time() -> u64 {
    1
}

impl GenericOptions {
    /// Finds what the types cannot say.
    pub(super) fn check(&self, places: &Places<'_>) -> Result<(), Vec<Diagnostic>> {
        let mut found = Vec::new();
        if self.payload.is_some() == self.payload_file.is_some() {
            found.push(places.at("", "exactly one of `payload` and `payload_file` must be given"));
        }
        if !TIME_FORMATS.contains(&self.time_format.as_str()) {
            let message = "time_format must be one of local, iso8601, epoch";
            found.push(places.at("time_format", message).with_expected(&self.time_format, TIME_FORMATS));
        }
        if self.loop_count < -1 {
            found.push(places.at("loop_count", "`loop_count` must be -1 (for ever), 0 or more"));
        }
        let delays = [
            ("startup_delay", self.startup_delay),
            ("event_delay", self.event_delay),
            ("repeat_delay", self.repeat_delay),
            ("loop_delay", self.loop_delay),
            ("shutdown_after", self.shutdown_after),
        ];
        for (key, delay) in delays {
            if seconds(delay).is_none() {
                found.push(places.at(key, format!("`{key}` must be a number of seconds, 0 or more")));
            }
        }
        if found.is_empty() { Ok(()) } else { Err(found) }
    }

    /// Checks the environment variables that must have certain values.
    ///
    /// # Errors
    /// When one is missing or has another value.
    pub(super) fn check_environment(&self, value_of: impl Fn(&str) -> Option<String>) -> Result<()> {
        for (name, expected) in &self.check_env_vars {
            match value_of(name) {
                None => return Err(Error::user(format!("Env Var {name} is required")).with_remedy("set it")),
                Some(found) if found != *expected => {
                    let message = format!("Env Var {name} expected: {expected} passed in: {found}");
                    return Err(Error::user(message).with_remedy("set it to what is expected"));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environment_variables_are_checked_by_presence_and_value() {
        let options: GenericOptions =
            serde_json::from_str(r#"{"payload":{},"check_env_vars":{"MODE":"test"}}"#).unwrap();
        let message = |value: Option<&str>| {
            let checked = options.check_environment(|_| value.map(str::to_owned));
            checked.err().map(|error| error.message)
        };
        assert_eq!(message(Some("test")), None);
        assert_eq!(message(None).unwrap(), "Env Var MODE is required");
        assert_eq!(message(Some("live")).unwrap(), "Env Var MODE expected: test passed in: live");
    }
}
