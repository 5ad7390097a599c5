//! What is kept of a deployment with its effect.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Change, Changes, Deployment, Level, LogLine, ResourceId, ResourceState};

/// How many lines of a log are kept with an effect: the last ones that say what was done.
pub const SHOWN_LOG_LINES: usize = 50;

/// What has come of a deployment, as it is kept with its effect and shown by `effects show`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The resource.
    pub resource: ResourceId,
    /// How it stands.
    pub resource_state: ResourceState,
    /// What was done.
    pub change: Change,
    /// What differed.
    pub changes: Changes,
    /// When that was found out.
    #[serde(with = "super::moment")]
    pub at: Timestamp,
    /// The hash of what it was to be.
    pub attribute_hash: String,
    /// Why it was passed over, is held, or has failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the handler said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<LogLine>,
    /// What it told besides.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, String>,
}

impl Report {
    /// What is kept of a deployment.
    pub fn of(resource: &ResourceId, attribute_hash: String, deployment: &Deployment) -> Self {
        let lines = deployment.log.iter().filter(|line| line.level > Level::Debug).cloned();
        let mut log: Vec<LogLine> = lines.collect();
        log.drain(..log.len().saturating_sub(SHOWN_LOG_LINES));
        Self {
            resource: resource.clone(),
            resource_state: deployment.state,
            change: deployment.change,
            changes: deployment.changes.clone(),
            at: Timestamp::now(),
            attribute_hash,
            reason: deployment.reason.clone().or_else(|| deployment.error.as_ref().map(ToString::to_string)),
            log,
            facts: deployment.facts.clone(),
        }
    }

    /// The report that a text holds; `None` where it is none.
    pub fn read(text: &str) -> Option<Self> {
        text.starts_with('{').then(|| serde_json::from_str(text).ok()).flatten()
    }

    /// As one line of JSON.
    pub fn write(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// In one line, for people: `deployed, updated: mode 0644 → 0600`.
    pub fn summary(&self) -> String {
        let mut text = self.resource_state.to_string();
        if self.change != Change::NoChange {
            let _ = write!(text, ", {}", self.change);
        }
        let shown = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        for (index, (name, change)) in self.changes.iter().enumerate() {
            let separator = if index == 0 { ": " } else { ", " };
            let _ = write!(text, "{separator}{name} {} → {}", shown(&change.current), shown(&change.desired));
        }
        if let Some(reason) = &self.reason {
            let _ = write!(text, " ({reason})");
        }
        text
    }
}
