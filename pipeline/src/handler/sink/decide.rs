//! Delivering an effect of a handler.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};

use super::super::{
    Change, Changes, Deployment, DryRun, Gate, Handler, Open, Patience, Report, Requirement, Resource, ResourceId,
    ResourceState, ResourceType, Rules, StateEvent, deploy,
};
use super::intent::{Intent, Order};
use super::limits::{Approved, Held, Limits};
use super::options::HandlerOptions;
use super::redaction::Redaction;
use super::standings::{Outlook, Standings};
use super::template::{RowTemplates, RowValues};
use crate::error::{Error, Result, Retry};
use crate::runtime::{EffectState, ListedEffect};
use crate::sink::{Attempt, DispatchingSink, EffectFollower, EffectPayload};
use crate::step::StepHeader;

/// How long `post` may take.
const AFTERWARDS: Duration = Duration::from_secs(10);
/// How long the whole of an attempt may take beyond that: nothing but the handler waits.
const MARGIN: Duration = Duration::from_secs(5);
/// How long a resource waits before it looks again whether what it requires has been settled.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// How long it waits where its handler says that something outside is not ready.
const ASK_AGAIN: Duration = Duration::from_secs(15);

/// The agent of a resource whose row names none.
pub(super) type AgentOf = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// A handler as a sink.
pub(super) struct HandlerSink {
    pub(super) kind: ResourceType,
    pub(super) agent_of: AgentOf,
    pub(super) templates: Mutex<RowTemplates>,
    pub(super) handler: Arc<dyn Handler>,
    pub(super) settings: HandlerOptions,
    pub(super) limits: Limits,
    pub(super) standings: Mutex<Standings>,
    pub(super) redaction: Redaction,
}

impl HandlerSink {
    /// What a row wants.
    fn intent(&self, row: RowValues, header: &StepHeader) -> Intent {
        let mut why = Map::from_iter([("step".to_owned(), json!(header.number.0))]);
        why.extend(row.why);
        let without =
            |undefined: String, why| Intent { resource: None, undefined: Some(undefined), hosts: Vec::new(), why };
        let Some(value) = row.id else {
            return without(row.wrong.unwrap_or_else(|| "`id` is NULL".to_owned()), why);
        };
        let Some(agent) = row.agent.or_else(|| (self.agent_of)(&value)) else {
            let reason = format!("no agent is known for `{value}`: set `agent`, or correct `id`");
            return without(row.wrong.unwrap_or(reason), why);
        };
        let id = match self.kind.id(&agent, &value) {
            Ok(id) => id,
            Err(error) => return without(error.to_string(), why),
        };
        let requires: Vec<ResourceId> = row
            .requires
            .iter()
            .filter_map(|name| name.parse().ok().or_else(|| self.kind.id(&agent, name).ok()))
            .collect();
        let resource = match Resource::new(id, row.desired) {
            Ok(resource) => Resource {
                requires,
                report_only: !self.settings.apply,
                send_event: self.settings.send_event,
                receive_events: self.settings.receive_events,
                ..resource
            },
            Err(error) => return without(error.to_string(), why),
        };
        Intent { resource: Some(resource), undefined: row.wrong, hosts: row.hosts, why }
    }

    fn read(payload: &EffectPayload) -> Result<Intent, String> {
        serde_json::from_slice(&payload.body).map_err(|error| format!("the effect cannot be understood: {error}"))
    }

    /// Takes note of an event of the resource of an effect.
    fn note(&self, id: &ResourceId, order: Order, event: StateEvent, outlook: Outlook) {
        self.standings.lock().happen(id, order, event, outlook);
    }

    /// What stands for the id of a resource that has none.
    fn nameless(&self) -> ResourceId {
        let unknown = || "unknown".to_owned();
        ResourceId { kind: self.kind.clone(), agent: unknown(), value: unknown(), version: None }
    }

    /// The attempt that leaves a report. Nothing secret is in it.
    fn reported(&self, report: &Report) -> Attempt {
        Attempt::Reported { report: self.redaction.apply(report.write()) }
    }

    fn refused(&self, reason: String) -> Attempt {
        Attempt::Refused { reason: self.redaction.apply(reason) }
    }

    /// A report of a resource with which nothing was done.
    fn untouched(resource: &Resource, state: ResourceState, reason: String) -> Report {
        Report {
            resource: resource.id.clone(),
            resource_state: state,
            change: Change::NoChange,
            changes: Changes::default(),
            at: Timestamp::now(),
            attribute_hash: resource.attribute_hash(),
            reason: Some(reason),
            log: Vec::new(),
            facts: Default::default(),
        }
    }

    /// Delivers an effect, with or without somebody's approval.
    async fn attempt(&self, effect: &str, payload: &EffectPayload, approved: bool) -> Attempt {
        let intent = match Self::read(payload) {
            Ok(intent) => intent,
            Err(reason) => return self.refused(reason),
        };
        let order = Order::of(effect);
        let Some(resource) = &intent.resource else {
            return self.refused(intent.undefined.unwrap_or_else(|| "the row names no resource".to_owned()));
        };
        if let Some(attempt) = self.without_handler(&intent, resource, order) {
            return attempt;
        }
        let requirements = match self.requirements(resource) {
            Ok(requirements) => requirements,
            Err(unknown) => {
                let ended = StateEvent::Ended(ResourceState::SkippedForDependency);
                self.note(&resource.id, order, ended, Outlook::Pending);
                let reason = format!("it requires {unknown}, of which nothing is known here");
                return Attempt::Again { reason, after: None };
            }
        };
        self.note(&resource.id, order, StateEvent::Begun, Outlook::Pending);
        let gate: &dyn Gate = if approved { &Approved(&self.limits) } else { &Held(&self.limits) };
        let patience = Patience { work: self.settings.timeout.0, post: AFTERWARDS };
        let rules = Rules { dry_run: false, gate, patience };
        let deployment = deploy(self.handler.as_ref(), resource, &requirements, rules).await;
        self.settle(resource, order, &requirements, deployment)
    }

    /// What is decided before the handler is asked.
    fn without_handler(&self, intent: &Intent, resource: &Resource, order: Order) -> Option<Attempt> {
        let mut standings = self.standings.lock();
        if standings.get(&resource.id).is_some_and(|known| known.order > order) {
            let reason = "something else was wanted of it later".to_owned();
            return Some(self.reported(&Self::untouched(resource, ResourceState::Cancelled, reason)));
        }
        if standings.get(&resource.id).is_none() {
            standings.want(resource, order, Outlook::Pending);
        }
        let mut ended = |state, reason: String| {
            standings.happen(&resource.id, order, StateEvent::Ended(state), Outlook::Settled);
            reason
        };
        if let Some(reason) = &intent.undefined {
            return Some(self.refused(ended(ResourceState::Undefined, reason.clone())));
        }
        if !resource.managed {
            let reason = ended(ResourceState::Skipped, "it is not managed".to_owned());
            return Some(self.reported(&Self::untouched(resource, ResourceState::Skipped, reason)));
        }
        if let Some(reason) = intent.forbidden(&resource.id) {
            return Some(self.refused(ended(ResourceState::Unavailable, reason)));
        }
        if resource.report_only {
            return None;
        }
        if let Some(after) = self.limits.closed_for() {
            return Some(Attempt::Later { reason: "the maintenance window is closed".to_owned(), after });
        }
        let known = standings.get(&resource.id)?;
        let repair_after = SignedDuration::try_from(self.settings.repair_after?.0).unwrap_or(SignedDuration::MAX);
        let deployed_at = known.deployed_at.filter(|_| known.attribute_hash == resource.attribute_hash())?;
        if Timestamp::now().duration_since(deployed_at) >= repair_after {
            return None;
        }
        let reason = format!("it was deployed as this at {deployed_at}, and no repair is due (`repair_after`)");
        let report = Self::untouched(resource, ResourceState::Deployed, reason);
        standings.happen(&resource.id, order, StateEvent::Begun, Outlook::Pending);
        let at = deployed_at;
        standings.report(order, &Report { at, ..report.clone() }, Outlook::Settled);
        Some(self.reported(&report))
    }

    /// How what a resource requires stands; or what of it nothing is known of.
    fn requirements(&self, resource: &Resource) -> Result<Vec<Requirement>, String> {
        if resource.report_only {
            return Ok(Vec::new());
        }
        let standings = self.standings.lock();
        let requirement = |id: &ResourceId| {
            let known = standings.get(id).ok_or_else(|| id.to_string())?;
            let tells_of_change = known.changed && known.sends_events;
            Ok(Requirement { id: id.clone(), state: known.state, tells_of_change })
        };
        resource.requires.iter().map(requirement).collect()
    }

    /// What a deployment means for the effect.
    fn settle(
        &self,
        resource: &Resource,
        order: Order,
        requirements: &[Requirement],
        deployment: Deployment,
    ) -> Attempt {
        let report = Report::of(&resource.id, resource.attribute_hash(), &deployment);
        let note = |outlook| self.standings.lock().report(order, &report, outlook);
        if deployment.held {
            self.note(&resource.id, order, StateEvent::Wanted, Outlook::Held);
            return Attempt::Held { report: self.redaction.apply(report.write()) };
        }
        let reason = report.reason.clone().unwrap_or_default();
        match deployment.state {
            ResourceState::Failed => {
                let never = deployment.error.as_ref().is_some_and(|error| error.retry == Retry::Never);
                note(if never { Outlook::Settled } else { Outlook::Pending });
                match never {
                    true => self.refused(report.summary()),
                    false => Attempt::Again { reason: self.redaction.apply(report.summary()), after: None },
                }
            }
            ResourceState::Skipped => {
                note(Outlook::Pending);
                Attempt::Again { reason: self.redaction.apply(report.summary()), after: None }
            }
            ResourceState::SkippedForDependency => self.wait_for(resource, order, requirements, reason, &report),
            _ => {
                if deployment.change != Change::NoChange {
                    self.limits.changed(&resource.id.to_string(), report.at);
                }
                note(Outlook::Settled);
                self.reported(&report)
            }
        }
    }

    /// A resource that requires what is not deployed waits, is held or is given up, as that is.
    fn wait_for(
        &self,
        resource: &Resource,
        order: Order,
        requirements: &[Requirement],
        reason: String,
        report: &Report,
    ) -> Attempt {
        let mut standings = self.standings.lock();
        let unmet = requirements.iter().filter(|required| required.state != ResourceState::Deployed);
        let outlooks: BTreeSet<u8> = unmet
            .filter_map(|required| standings.get(&required.id))
            .map(|known| match known.outlook {
                Outlook::Settled if known.state == ResourceState::Deployed => 0,
                Outlook::Pending => 0,
                Outlook::Held => 1,
                Outlook::Settled => 2,
            })
            .collect();
        match outlooks.last() {
            Some(2) => {
                standings.report(order, report, Outlook::Settled);
                drop(standings);
                self.refused(format!("{}: {reason}", ResourceState::SkippedForDependency))
            }
            Some(1) => {
                standings.happen(&resource.id, order, StateEvent::Wanted, Outlook::Held);
                drop(standings);
                let reason = Some(format!("{reason}, which awaits approval"));
                Attempt::Held { report: self.redaction.apply(Report { reason, ..report.clone() }.write()) }
            }
            _ => {
                standings.report(order, report, Outlook::Pending);
                let is_known = requirements.iter().any(|required| required.state != ResourceState::Deployed);
                Attempt::Later { reason, after: if is_known { LOOK_AGAIN } else { ASK_AGAIN } }
            }
        }
    }
}

#[async_trait]
impl DispatchingSink for HandlerSink {
    fn effects(&self, step: &StepHeader, rows: &RecordBatch) -> Result<Vec<EffectPayload>> {
        let values = self.templates.lock().evaluate(rows, step.time)?;
        let intents: Vec<Intent> = values.into_iter().map(|row| self.intent(row, step)).collect();
        let payload = |intent: Intent| {
            if let Some(resource) = &intent.resource {
                self.limits.names(&resource.id.to_string());
            }
            let key = intent.resource.as_ref().map(|resource| resource.id.agent.clone());
            Ok(EffectPayload { key, body: serde_json::to_vec(&intent).map_err(Error::internal)? })
        };
        in_order(intents).into_iter().map(payload).collect()
    }

    async fn deliver(&self, id: &str, payload: &EffectPayload) -> Attempt {
        self.attempt(id, payload, false).await
    }

    async fn deliver_approved(&self, id: &str, payload: &EffectPayload) -> Attempt {
        self.attempt(id, payload, true).await
    }

    fn follower(&self) -> Option<&dyn EffectFollower> {
        Some(self)
    }
}

#[async_trait]
impl EffectFollower for HandlerSink {
    fn recall(&self, past: &[ListedEffect]) {
        for listed in past {
            let Ok(Intent { resource: Some(resource), .. }) = Self::read(&listed.effect.payload) else { continue };
            let order = Order::of(&listed.effect.id);
            let outlook = match listed.state {
                EffectState::AwaitingApproval => Outlook::Held,
                _ => Outlook::Settled,
            };
            let mut standings = self.standings.lock();
            standings.want(&resource, order, outlook);
            match listed.reason.as_deref().and_then(Report::read) {
                Some(report) if listed.state == EffectState::Done => {
                    standings.happen(&resource.id, order, StateEvent::Begun, outlook);
                    standings.report(order, &report, outlook);
                    if report.change != Change::NoChange {
                        self.limits.changed(&resource.id.to_string(), report.at);
                    }
                }
                _ if listed.state == EffectState::AwaitingApproval => {}
                _ => {
                    standings.happen(&resource.id, order, StateEvent::Begun, outlook);
                    standings.happen(&resource.id, order, StateEvent::Ended(ResourceState::Failed), outlook);
                }
            }
        }
    }

    fn expect(&self, id: &str, payload: &EffectPayload) {
        if let Ok(Intent { resource: Some(resource), .. }) = Self::read(payload) {
            self.limits.names(&resource.id.to_string());
            self.standings.lock().want(&resource, Order::of(id), Outlook::Pending);
        }
    }

    fn ended(&self, id: &str, payload: &EffectPayload, state: EffectState) {
        let Ok(Intent { resource: Some(resource), .. }) = Self::read(payload) else { return };
        let order = Order::of(id);
        match state {
            // What it was when it was given up it stays.
            EffectState::Dead => self.standings.lock().close(&resource.id, order),
            _ => self.note(&resource.id, order, StateEvent::Cancelled, Outlook::Settled),
        }
    }

    fn longest_attempt(&self) -> Duration {
        self.settings.timeout.0 + AFTERWARDS + MARGIN
    }

    async fn dry_run(&self, payload: &EffectPayload) -> DryRun {
        let intent = match Self::read(payload) {
            Ok(intent) => intent,
            Err(reason) => Intent { resource: None, undefined: Some(reason), hosts: Vec::new(), why: Map::new() },
        };
        let why = Value::Object(intent.why.clone());
        let reason = intent.undefined.clone();
        let (Some(resource), None) = (&intent.resource, &reason) else {
            let id = intent.resource.as_ref().map_or_else(|| self.nameless(), |resource| resource.id.clone());
            let reason = reason.unwrap_or_else(|| "the row names no resource".to_owned());
            return DryRun::undefined(id, self.redaction.apply(reason), why);
        };
        let patience = Patience { work: self.settings.timeout.0, post: AFTERWARDS };
        let rules = Rules { dry_run: true, gate: &Open, patience };
        // It is looked at as if it were changed; whether it would be is told apart.
        let looked_at = Resource { report_only: false, ..resource.clone() };
        let deployment = deploy(self.handler.as_ref(), &looked_at, &[], rules).await;
        let mut found = DryRun { applies: !resource.report_only, why, ..DryRun::of(resource, deployment) };
        if !resource.managed {
            found = DryRun { applies: false, held: Some("it is not managed".to_owned()), ..found };
        } else if let Some(reason) = intent.forbidden(&resource.id) {
            found = DryRun { applies: false, held: Some(reason), ..found };
        } else if self.limits.needs_approval() {
            found.held = Some("`approval: required`".to_owned());
        }
        let text = self.redaction.apply(serde_json::to_string(&found).unwrap_or_default());
        serde_json::from_str(&text).unwrap_or(found)
    }
}

/// The intents of one step so that what is required comes first; those of a circle are undefined.
fn in_order(intents: Vec<Intent>) -> Vec<Intent> {
    let named: BTreeSet<ResourceId> =
        intents.iter().filter_map(|intent| intent.resource.as_ref().map(|resource| resource.id.clone())).collect();
    let requires_nothing =
        |intent: &Intent| intent.resource.as_ref().is_none_or(|resource| resource.requires.is_empty());
    if intents.iter().all(requires_nothing) {
        return intents;
    }
    let (mut placed, mut ordered, mut waiting): (BTreeSet<ResourceId>, Vec<Intent>, Vec<Intent>) = Default::default();
    waiting.extend(intents);
    loop {
        let is_ready = |intent: &Intent| {
            let Some(resource) = &intent.resource else { return true };
            resource.requires.iter().all(|required| !named.contains(required) || placed.contains(required))
        };
        let (ready, rest): (Vec<Intent>, Vec<Intent>) = waiting.into_iter().partition(is_ready);
        if ready.is_empty() {
            waiting = rest;
            break;
        }
        placed.extend(ready.iter().filter_map(|intent| intent.resource.as_ref().map(|resource| resource.id.clone())));
        ordered.extend(ready);
        waiting = rest;
    }
    for mut intent in waiting {
        let id = intent.resource.as_ref().map(|resource| resource.id.to_string()).unwrap_or_default();
        intent.undefined.get_or_insert(format!("{id}, or something that it requires, requires itself"));
        ordered.push(intent);
    }
    ordered
}
