//! What deploying would do: a report for each resource.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Changes, Deployment, Fields, PURGED, Resource, ResourceId, ResourceState};

/// What would become of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiffStatus {
    /// It would be made.
    Added,
    /// Some of its fields would be changed.
    Modified,
    /// It would be removed.
    Deleted,
    /// Nothing would be changed.
    Unmodified,
    /// What acts on it cannot be reached.
    AgentDown,
    /// What it shall be is not known.
    Undefined,
    /// It requires something undefined.
    SkippedForUndefined,
}

impl DiffStatus {
    /// What changes mean.
    pub fn of(changes: &Changes) -> Self {
        match changes.get(PURGED) {
            Some(purged) if purged.desired == json!(false) => Self::Added,
            Some(_) => Self::Deleted,
            None if changes.is_empty() => Self::Unmodified,
            None => Self::Modified,
        }
    }
}

/// What deploying a resource would do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DryRun {
    /// The resource.
    pub resource: ResourceId,
    /// What would become of it.
    pub status: DiffStatus,
    /// What differs.
    pub changes: Changes,
    /// What it shall be.
    pub desired: Fields,
    /// What it is; `None` where it is not there or was not read.
    pub current: Option<Fields>,
    /// Whether it could be changed at all: it is not only reported.
    pub applies: bool,
    /// Why it could not be found out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What would hold it: an approval, a limit, a window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<String>,
    /// Why somebody wants it: the finding that it comes from.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub why: Value,
}

impl DryRun {
    /// What a deployment in which nothing was changed has found.
    pub fn of(resource: &Resource, deployment: Deployment) -> Self {
        let mut changes = deployment.changes;
        let error = deployment.error.map(|error| error.to_string());
        if error.is_some() {
            changes.add("handler", json!("FAILED"), json!("Handler failed"));
        }
        let status = match deployment.state {
            ResourceState::Undefined => DiffStatus::Undefined,
            ResourceState::SkippedForUndefined => DiffStatus::SkippedForUndefined,
            ResourceState::Skipped => DiffStatus::AgentDown,
            _ if error.is_some() => DiffStatus::Unmodified,
            _ => DiffStatus::of(&changes),
        };
        Self {
            resource: resource.id.clone(),
            status,
            changes,
            desired: deployment.desired,
            current: deployment.current,
            applies: !resource.report_only,
            error: error.or(deployment.reason.filter(|_| status == DiffStatus::AgentDown)),
            held: None,
            why: Value::Null,
        }
    }

    /// A resource of which not even that can be found out.
    pub fn undefined(resource: ResourceId, reason: String, why: Value) -> Self {
        let (changes, desired, current) = (Changes::default(), Fields::new(), None);
        let (status, error) = (DiffStatus::Undefined, Some(reason));
        Self { resource, status, changes, desired, current, applies: false, error, held: None, why }
    }

    /// Whether deploying would change something.
    pub fn would_change(&self) -> bool {
        self.applies && matches!(self.status, DiffStatus::Added | DiffStatus::Modified | DiffStatus::Deleted)
    }
}

/// What deploying all resources of a handler would do, in the order of their ids.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DryRunReport {
    /// How many resources there are.
    pub total: usize,
    /// How many are still to be looked at.
    pub todo: usize,
    /// What was found.
    pub resources: Vec<DryRun>,
}

impl DryRunReport {
    /// A report of so many resources, none of which was looked at.
    pub fn begin(total: usize) -> Self {
        Self { total, todo: total, resources: Vec::new() }
    }

    /// Adds what was found of one of them.
    pub fn add(&mut self, found: DryRun) {
        let at = self.resources.partition_point(|known| known.resource <= found.resource);
        self.resources.insert(at, found);
        self.todo = self.todo.saturating_sub(1);
    }
}
