//! How the resources of a handler stand: a fold of what becomes of its effects.

use std::collections::HashMap;

use jiff::Timestamp;

use super::super::{Change, Report, Resource, ResourceId, ResourceState, StateEvent};
use super::intent::Order;

/// How many resources are remembered. Of more, those that nothing is to be done with are forgotten: they are looked at
/// again when somebody wants something of them.
const REMEMBERED: usize = 100_000;

/// Whether something is still to come of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outlook {
    /// Its effect is to be delivered.
    Pending,
    /// Its effect awaits approval.
    Held,
    /// Its effect has come to an end.
    Settled,
}

/// How a resource stands.
#[derive(Debug, Clone)]
pub(super) struct Standing {
    pub(super) order: Order,
    pub(super) state: ResourceState,
    pub(super) outlook: Outlook,
    pub(super) attribute_hash: String,
    /// When it was last found or made as it shall be.
    pub(super) deployed_at: Option<Timestamp>,
    /// Whether its last deployment has changed it.
    pub(super) changed: bool,
    /// Whether those that require it are told of changes.
    pub(super) sends_events: bool,
}

/// How the resources of a handler stand.
#[derive(Debug, Default)]
pub(super) struct Standings(HashMap<ResourceId, Standing>);

impl Standings {
    pub(super) fn get(&self, id: &ResourceId) -> Option<&Standing> {
        self.0.get(id)
    }

    /// Something is wanted of a resource. What is wanted later counts.
    pub(super) fn want(&mut self, resource: &Resource, order: Order, outlook: Outlook) {
        if self.0.get(&resource.id).is_some_and(|known| known.order > order) {
            return;
        }
        self.forget();
        let known = self.0.entry(resource.id.clone()).or_insert_with(|| Standing {
            order,
            state: ResourceState::Available,
            outlook,
            attribute_hash: String::new(),
            deployed_at: None,
            changed: false,
            sends_events: resource.send_event,
        });
        known.order = order;
        known.outlook = outlook;
        known.sends_events = resource.send_event;
        known.state = known.state.after(StateEvent::Wanted).unwrap_or(ResourceState::Available);
    }

    /// Something happens to a resource, for the sake of the effect at `order`.
    pub(super) fn happen(&mut self, id: &ResourceId, order: Order, event: StateEvent, outlook: Outlook) {
        let Some(known) = self.0.get_mut(id).filter(|known| known.order == order) else { return };
        known.outlook = outlook;
        match known.state.after(event) {
            Some(state) => known.state = state,
            // A deployment that was cut off has never ended; another one begins.
            None if event == StateEvent::Begun => known.state = ResourceState::Deploying,
            None => tracing::debug!(resource = %id, state = %known.state, ?event, "That cannot happen in this state."),
        }
    }

    /// Nothing more comes of a resource.
    pub(super) fn close(&mut self, id: &ResourceId, order: Order) {
        if let Some(known) = self.0.get_mut(id).filter(|known| known.order == order) {
            known.outlook = Outlook::Settled;
        }
    }

    /// What has come of a deployment.
    pub(super) fn report(&mut self, order: Order, report: &Report, outlook: Outlook) {
        self.happen(&report.resource, order, StateEvent::Ended(report.resource_state), outlook);
        let Some(known) = self.0.get_mut(&report.resource).filter(|known| known.order == order) else { return };
        known.changed = report.change != Change::NoChange;
        known.attribute_hash.clone_from(&report.attribute_hash);
        if report.resource_state == ResourceState::Deployed {
            known.deployed_at = Some(report.at);
        }
    }

    fn forget(&mut self) {
        if self.0.len() < REMEMBERED {
            return;
        }
        let mut settled: Vec<Order> =
            self.0.values().filter(|known| known.outlook == Outlook::Settled).map(|known| known.order).collect();
        settled.sort_unstable();
        // Half of them, so that this is done seldom.
        let Some(until) = settled.get(settled.len() / 2).copied() else { return };
        self.0.retain(|_, known| known.outlook != Outlook::Settled || known.order > until);
    }
}
