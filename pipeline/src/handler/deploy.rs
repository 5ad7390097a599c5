//! Bringing a resource to what it shall be.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt;
use serde_json::json;
use tokio::time::timeout;

use super::{
    Change, Changes, Fields, Halt, Handler, HandlerContext, LogLine, NotChangedOnce, PURGED, Reading, Resource,
    ResourceId, ResourceState, difference,
};
use crate::error::Error;

/// Decides whether what differs may be changed now.
pub trait Gate: Send + Sync {
    /// Asked once what differs is known, and before anything is changed.
    ///
    /// # Errors
    /// Why not.
    fn passes(&self, resource: &Resource, changes: &Changes) -> Result<(), String>;
}

/// Everything may be changed.
#[derive(Debug, Clone, Copy)]
pub struct Open;

impl Gate for Open {
    fn passes(&self, _: &Resource, _: &Changes) -> Result<(), String> {
        Ok(())
    }
}

/// How long a handler may take.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// From `pre` to the change.
    pub work: Duration,
    /// For `post`.
    pub post: Duration,
}

/// Something that a resource requires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// Which resource.
    pub id: ResourceId,
    /// How it stands.
    pub state: ResourceState,
    /// Whether it was changed, and tells of it.
    pub tells_of_change: bool,
}

/// What has come of a deployment.
#[derive(Debug, Clone)]
pub struct Deployment {
    /// How the resource stands.
    pub state: ResourceState,
    /// What was done.
    pub change: Change,
    /// What differed.
    pub changes: Changes,
    /// What was compared: the fields as they shall be.
    pub desired: Fields,
    /// What was there before; `None` where nothing was, or nothing was read.
    pub current: Option<Fields>,
    /// What the handler said.
    pub log: Vec<LogLine>,
    /// What it told besides.
    pub facts: BTreeMap<String, String>,
    /// Why it was passed over, or is held.
    pub reason: Option<String>,
    /// Whether it waits behind the gate.
    pub held: bool,
    /// Why it has failed.
    pub error: Option<Error>,
}

impl Deployment {
    fn without_handler(context: HandlerContext, state: ResourceState, reason: String) -> Self {
        let (changes, log, facts) = context.into_parts();
        let (change, desired, current, reason) = (Change::NoChange, Fields::new(), None, Some(reason));
        Self { state, change, changes, desired, current, log, facts, reason, held: false, error: None }
    }
}

/// What a deployment is made with.
#[derive(Clone, Copy)]
pub struct Rules<'a> {
    /// Nothing may be changed.
    pub dry_run: bool,
    /// Asked before something is changed.
    pub gate: &'a dyn Gate,
    /// How long the handler may take.
    pub patience: Patience,
}

/// Deploys a resource, if what it requires is deployed; reloads it where that has changed. A resource that is only
/// reported is looked at in any case, and never reloaded, since that would change it.
pub async fn deploy(
    handler: &dyn Handler,
    resource: &Resource,
    requirements: &[Requirement],
    rules: Rules<'_>,
) -> Deployment {
    let mut context = HandlerContext::new(&resource.id, rules.dry_run);
    if rules.dry_run || resource.report_only {
        return execute(handler, resource, context, rules, false).await;
    }
    if let Some(reason) = not_deployed(&mut context, requirements) {
        return Deployment::without_handler(context, ResourceState::SkippedForDependency, reason);
    }
    let reloads =
        resource.receive_events && handler.can_reload() && requirements.iter().any(|required| required.tells_of_change);
    execute(handler, resource, context, rules, reloads).await
}

/// Why a resource waits for what it requires, if it does.
fn not_deployed(context: &mut HandlerContext, requirements: &[Requirement]) -> Option<String> {
    let first = |states: &[ResourceState]| requirements.iter().find(|required| states.contains(&required.state));
    let named = |required: &Requirement| format!("{} is {}", required.id, required.state);
    if let Some(required) = first(&[ResourceState::Dry, ResourceState::Undefined, ResourceState::SkippedForUndefined]) {
        let reason = format!("it requires what cannot be deployed: {}", named(required));
        context.warning("Not deployed: %(reason)s", &[("reason", &reason)]);
        return Some(reason);
    }
    if let Some(required) = first(&[ResourceState::Available, ResourceState::Deploying]) {
        let reason = format!("it requires what is not deployed yet and will be tried again: {}", named(required));
        context.info("Not deployed: %(reason)s", &[("reason", &reason)]);
        return Some(reason);
    }
    let required = requirements.iter().find(|required| required.state != ResourceState::Deployed)?;
    let reason = format!("it requires what was not deployed: {}", named(required));
    context.info("Not deployed: %(reason)s", &[("reason", &reason)]);
    Some(reason)
}

/// How far a deployment has come.
#[derive(Default)]
struct Progress {
    desired: Fields,
    current: Option<Fields>,
    held: Option<String>,
}

/// Reads the resource, and changes what differs.
async fn execute(
    handler: &dyn Handler,
    resource: &Resource,
    mut context: HandlerContext,
    rules: Rules<'_>,
    reloads: bool,
) -> Deployment {
    let mut progress = Progress::default();
    let work = timeout(rules.patience.work, enforce(handler, resource, &mut context, &mut progress, rules, reloads));
    let outcome = match AssertUnwindSafe(work).catch_unwind().await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => {
            let within = rules.patience.work;
            Err(Halt::Failed(Error::external(format!("the handler was not done within {within:?} (`timeout`)"))))
        }
        Err(panic) => Err(Halt::Failed(Error::internal(crashed(panic.as_ref())))),
    };
    finish(handler, resource, &mut context, rules.patience.post).await;
    let (mut reason, mut error) = (progress.held.clone(), None);
    let state = match outcome {
        Ok(state) => context.state.unwrap_or(state),
        Err(Halt::SkipForDependencies(why)) => {
            context.info("Not deployed: %(reason)s", &[("reason", &why)]);
            reason = Some(why);
            ResourceState::SkippedForDependency
        }
        Err(Halt::Skip(why)) => {
            context.warning("Skipped: %(reason)s", &[("reason", &why)]);
            reason = Some(why);
            ResourceState::Skipped
        }
        Err(Halt::Failed(why)) => {
            context.error("Failed: %(error)s", &[("error", &why.to_string())]);
            error = Some(why);
            ResourceState::Failed
        }
    };
    let (change, held) = (context.change, progress.held.is_some());
    let (changes, log, facts) = context.into_parts();
    let Progress { desired, current, .. } = progress;
    Deployment { state, change, changes, desired, current, log, facts, reason, held, error }
}

/// From `pre` to the change.
async fn enforce(
    handler: &dyn Handler,
    resource: &Resource,
    context: &mut HandlerContext,
    progress: &mut Progress,
    rules: Rules<'_>,
    reloads: bool,
) -> Result<ResourceState, Halt> {
    progress.desired = handler.compared(resource);
    handler.pre(context, resource).await?;
    context.debug("Calling read_resource", &[]);
    let changes = match handler.read(context, resource).await? {
        Reading::Found(current) => {
            let changes = difference(&current, resource.purged, &progress.desired);
            progress.current = Some(current);
            changes
        }
        Reading::Purged => {
            let mut changes = Changes::default();
            if !resource.purged {
                changes.add(PURGED, json!(true), json!(false));
            }
            changes
        }
    };
    changes.iter().for_each(|(name, change)| {
        context.add_change(name, change.current.clone(), change.desired.clone());
    });
    // What the handler has noted by itself counts, too.
    let changes = context.changes().clone();
    let state = if resource.report_only {
        if changes.is_empty() { ResourceState::Deployed } else { ResourceState::NonCompliant }
    } else if rules.dry_run {
        ResourceState::Dry
    } else {
        if !changes.is_empty()
            && let Err(why) = rules.gate.passes(resource, &changes)
        {
            context.info("Held: %(reason)s", &[("reason", &why)]);
            progress.held = Some(why);
            return Ok(ResourceState::Available);
        }
        change(handler, resource, context, &changes).await?;
        if reloads {
            context.info("Reloading, because something that it requires has changed", &[]);
            handler.reload(context, resource).await?;
        }
        ResourceState::Deployed
    };
    if let Err(halt) = handler.facts(context, resource).await {
        context.warning("Its facts could not be found out: %(reason)s", &[("reason", &said(&halt))]);
    }
    Ok(state)
}

/// Creates, deletes or updates, or nothing of it.
async fn change(
    handler: &dyn Handler,
    resource: &Resource,
    context: &mut HandlerContext,
    changes: &Changes,
) -> Result<(), Halt> {
    let done: fn(&mut HandlerContext) -> Result<(), NotChangedOnce>;
    if let Some(purged) = changes.get(PURGED) {
        if purged.desired == json!(false) {
            context.debug("Calling create_resource", &[]);
            handler.create(context, resource).await?;
            done = HandlerContext::set_created;
        } else {
            context.debug("Calling delete_resource", &[]);
            handler.delete(context, resource).await?;
            done = HandlerContext::set_purged;
        }
    } else if !resource.purged && !changes.is_empty() {
        context.debug("Calling update_resource", &[]);
        handler.update(context, changes, resource).await?;
        done = HandlerContext::set_updated;
    } else {
        return Ok(());
    }
    if !context.changed() {
        // It was asked just above.
        let _ = done(context);
    }
    Ok(())
}

/// `post`, whatever has happened. What is wrong with it is logged.
async fn finish(handler: &dyn Handler, resource: &Resource, context: &mut HandlerContext, within: Duration) {
    let post = timeout(within, handler.post(context, resource));
    let wrong = match AssertUnwindSafe(post).catch_unwind().await {
        Ok(Ok(Ok(()))) => return,
        Ok(Ok(Err(halt))) => said(&halt),
        Ok(Err(_)) => format!("it was not done within {within:?}"),
        Err(panic) => crashed(panic.as_ref()),
    };
    context.error("Cleaning up has failed: %(reason)s", &[("reason", &wrong)]);
}

fn said(halt: &Halt) -> String {
    match halt {
        Halt::SkipForDependencies(why) | Halt::Skip(why) => why.clone(),
        Halt::Failed(error) => error.to_string(),
    }
}

fn crashed(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let said = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("it does not say why");
    format!("the handler crashed: {said}")
}
