//! What a handler is given besides the resource: a log, and places for what it finds and does.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Change, Changes, ResourceId, ResourceState};

/// How many lines of a log are kept; of more only the number.
const LINES: usize = 1000;
/// The longest text of an argument, in bytes.
const ARGUMENT: usize = 4096;

/// How much a log line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// For who looks for a mistake.
    Debug,
    /// What was done.
    Info,
    /// What is worth a look.
    Warning,
    /// What has failed.
    Error,
}

/// A line of the log of a deployment. Its arguments stay what they are; the text has them filled in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogLine {
    /// When.
    #[serde(with = "super::moment")]
    pub at: Timestamp,
    /// How much it matters.
    pub level: Level,
    /// What it says, with `%(name)s` where an argument goes.
    pub message: String,
    /// The arguments.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub arguments: Map<String, Value>,
}

impl fmt::Display for LogLine {
    /// The message with its arguments filled in.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.message.clone();
        for (name, value) in &self.arguments {
            let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            text = text.replace(&format!("%({name})s"), &shown);
        }
        f.write_str(&text)
    }
}

/// A handler has said twice what it has done to a resource.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the resource was {0} already: a deployment does one thing")]
pub struct NotChangedOnce(Change);

/// What a handler is given besides the resource. Nothing that is put into it can fail: what cannot be kept is told in
/// its place.
#[derive(Debug)]
pub struct HandlerContext {
    resource: ResourceId,
    is_dry_run: bool,
    log: Vec<LogLine>,
    left_out: usize,
    values: BTreeMap<String, Value>,
    facts: BTreeMap<String, String>,
    pub(super) changes: Changes,
    pub(super) change: Change,
    pub(super) state: Option<ResourceState>,
}

impl HandlerContext {
    /// The context of one deployment of a resource.
    pub fn new(resource: &ResourceId, is_dry_run: bool) -> Self {
        Self {
            resource: resource.clone(),
            is_dry_run,
            log: Vec::new(),
            left_out: 0,
            values: BTreeMap::new(),
            facts: BTreeMap::new(),
            changes: Changes::default(),
            change: Change::NoChange,
            state: None,
        }
    }

    /// Whether nothing may be changed.
    pub fn is_dry_run(&self) -> bool {
        self.is_dry_run
    }

    /// Logs a line: `message` has `%(name)s` where the argument `name` goes. An argument that has no form in JSON is told
    /// as that.
    pub fn log(&mut self, level: Level, message: &str, arguments: &[(&str, &dyn Shown)]) {
        if self.log.len() >= LINES {
            self.left_out += 1;
            return;
        }
        let arguments = arguments.iter().map(|(name, value)| ((*name).to_owned(), value.shown()));
        let arguments = arguments.map(|(name, value)| (name, bounded(value))).collect();
        let line = LogLine { at: Timestamp::now(), level, message: message.to_owned(), arguments };
        let resource = &self.resource;
        match level {
            Level::Debug => tracing::debug!(%resource, "{line}"),
            Level::Info => tracing::info!(%resource, "{line}"),
            Level::Warning => tracing::warn!(%resource, "{line}"),
            Level::Error => tracing::error!(%resource, "{line}"),
        }
        self.log.push(line);
    }

    /// What only helps to find a mistake.
    pub fn debug(&mut self, message: &str, arguments: &[(&str, &dyn Shown)]) {
        self.log(Level::Debug, message, arguments);
    }

    /// What was done.
    pub fn info(&mut self, message: &str, arguments: &[(&str, &dyn Shown)]) {
        self.log(Level::Info, message, arguments);
    }

    /// What is worth a look.
    pub fn warning(&mut self, message: &str, arguments: &[(&str, &dyn Shown)]) {
        self.log(Level::Warning, message, arguments);
    }

    /// What has failed.
    pub fn error(&mut self, message: &str, arguments: &[(&str, &dyn Shown)]) {
        self.log(Level::Error, message, arguments);
    }

    /// Keeps a value for a later call for the same deployment: what reading has found helps to change it.
    pub fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.values.insert(name.to_owned(), value.into());
    }

    /// A value that an earlier call has kept.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    /// Tells something about the resource that is no field of it.
    pub fn set_fact(&mut self, name: &str, value: impl fmt::Display) {
        self.facts.insert(name.to_owned(), value.to_string());
    }

    /// The resource was made.
    ///
    /// # Errors
    /// When something was said to be done already.
    pub fn set_created(&mut self) -> Result<(), NotChangedOnce> {
        self.set_change(Change::Created)
    }

    /// Fields of the resource were changed.
    ///
    /// # Errors
    /// When something was said to be done already.
    pub fn set_updated(&mut self) -> Result<(), NotChangedOnce> {
        self.set_change(Change::Updated)
    }

    /// The resource was removed.
    ///
    /// # Errors
    /// When something was said to be done already.
    pub fn set_purged(&mut self) -> Result<(), NotChangedOnce> {
        self.set_change(Change::Purged)
    }

    fn set_change(&mut self, change: Change) -> Result<(), NotChangedOnce> {
        if self.change != Change::NoChange {
            return Err(NotChangedOnce(self.change));
        }
        self.change = change;
        Ok(())
    }

    /// What the deployment comes to, in place of what follows from what was done.
    pub fn set_resource_state(&mut self, state: ResourceState) {
        self.state = Some(state);
    }

    /// Adds to what differs.
    pub fn add_change(&mut self, field: &str, current: Value, desired: Value) {
        self.changes.add(field, current, desired);
    }

    /// What differs.
    pub fn changes(&self) -> &Changes {
        &self.changes
    }

    /// What was done.
    pub fn change(&self) -> Change {
        self.change
    }

    /// Whether something was done.
    pub fn changed(&self) -> bool {
        self.change != Change::NoChange
    }

    /// The log, and the facts.
    pub(super) fn into_parts(mut self) -> (Changes, Vec<LogLine>, BTreeMap<String, String>) {
        if self.left_out > 0 {
            let arguments = Map::from_iter([("count".to_owned(), json!(self.left_out))]);
            let message = "%(count)s more lines were left out".to_owned();
            self.log.push(LogLine { at: Timestamp::now(), level: Level::Warning, message, arguments });
        }
        (self.changes, self.log, self.facts)
    }
}

/// Something that can be an argument of a log line.
pub trait Shown {
    /// It as JSON; where it has no such form, why not, as text.
    fn shown(&self) -> Value;
}

impl<T: Serialize + ?Sized> Shown for T {
    fn shown(&self) -> Value {
        serde_json::to_value(self).unwrap_or_else(|error| json!(format!("(cannot be shown: {error})")))
    }
}

fn bounded(value: Value) -> Value {
    match value {
        Value::String(text) if text.len() > ARGUMENT => {
            let end = (0..=ARGUMENT).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
            json!(format!("{}… ({} bytes)", &text[..end], text.len()))
        }
        Value::Array(_) | Value::Object(_) if value.to_string().len() > ARGUMENT => bounded(json!(value.to_string())),
        value => value,
    }
}

#[cfg(test)]
mod tests {
    use super::super::ResourceType;
    use super::*;

    fn context() -> HandlerContext {
        HandlerContext::new(&ResourceType::new("aa", "Aa", "aa").id("aa", "aa").unwrap(), false)
    }

    struct Unwritable;

    impl Serialize for Unwritable {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("no form"))
        }
    }

    #[test]
    fn arguments_stay_structured_and_no_argument_can_fail_a_line() {
        let mut context = context();
        context.info("%(n)s of %(names)s, %(bad)s", &[("n", &2), ("names", &["a", "b"]), ("bad", &Unwritable)]);
        context.info("long: %(text)s", &[("text", &"é".repeat(4000))]);
        let (_, log, _) = context.into_parts();
        assert_eq!(log[0].arguments["names"], json!(["a", "b"]));
        assert_eq!(log[0].to_string(), "2 of [\"a\",\"b\"], (cannot be shown: no form)");
        assert!(log[1].to_string().len() < 5000 && log[1].to_string().ends_with("(8000 bytes)"));
    }

    #[test]
    fn a_log_is_bounded_and_says_what_it_leaves_out() {
        let mut context = context();
        (0..LINES + 7).for_each(|n| context.debug("%(n)s", &[("n", &n)]));
        let (_, log, _) = context.into_parts();
        assert_eq!((log.len(), log.last().unwrap().to_string()), (LINES + 1, "7 more lines were left out".to_owned()));
    }

    #[test]
    fn a_deployment_does_one_thing() {
        let mut context = context();
        context.set_created().unwrap();
        assert_eq!(context.set_updated(), Err(NotChangedOnce(Change::Created)));
        assert_eq!((context.change(), context.changed()), (Change::Created, true));
    }
}
