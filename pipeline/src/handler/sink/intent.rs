//! What an effect of a handler says: the resource, and why somebody wants it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::super::{Resource, ResourceId};
use crate::step::StepNumber;

/// The body of an effect of a handler.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Intent {
    /// The resource; absent where the row does not even say which it is.
    pub resource: Option<Resource>,
    /// Why what it shall be is not known, where that is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undefined: Option<String>,
    /// Who may be touched; empty where there is no limit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// The finding or event that it comes from: the step, and what the row says of pack, control, resource and reason.
    #[serde(default)]
    pub why: Map<String, Value>,
}

impl Intent {
    /// Why the resource must not be touched, if it must not.
    pub(super) fn forbidden(&self, id: &ResourceId) -> Option<String> {
        let allowed = |name: &str| self.hosts.iter().any(|host| host == name);
        if self.hosts.is_empty() || allowed(&id.agent) || allowed(&id.value) {
            return None;
        }
        let hosts = self.hosts.join(", ");
        Some(format!("`hosts` allows only {hosts}: neither the agent `{}` nor `{}` is among them", id.agent, id.value))
    }
}

/// Where an effect stands in the order of its sink, as its id says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Order(StepNumber, u32);

impl Order {
    pub(super) fn of(effect: &str) -> Self {
        let mut parts = effect.rsplit('/');
        let row = parts.next().and_then(|row| row.parse().ok()).unwrap_or(0);
        let step = parts.next().and_then(|step| step.parse().ok()).unwrap_or(0);
        Self(StepNumber(step), row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_effects_come_after_earlier_ones() {
        assert!(Order::of("p/0/1/close/0/9/3") < Order::of("p/0/2/close/0/10/0"));
        assert!(Order::of("p/0/1/close/0/9/3") < Order::of("p/0/1/close/1/9/11"));
    }
}
