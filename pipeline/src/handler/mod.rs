//! The contract of handlers: what enforces that something outside is as it should be.
//!
//! A row of a pipeline becomes a [`Resource`]: an id and the fields that it shall have. A [`Handler`] knows how one kind
//! of resource is read and changed. [`deploy`] brings both together:
//!
//! ```text
//! requirements ─► pre ─► read ─► difference ─► gate ─► create | update | delete ─► post
//!                                    │           └── held until somebody approves
//!                                    └── nothing differs, or nothing may be changed: it is only reported
//! ```
//!
//! This half knows nothing of the runtime. [`sink`] makes a dispatching sink of it: each resource is an effect, delivered
//! until it is deployed or given up, one at a time for each agent.

pub mod cache;
mod context;
mod deploy;
mod difference;
mod dry_run;
mod id;
mod moment;
mod report;
mod resource;
pub mod sink;
mod state;
#[cfg(test)]
mod tests;

use async_trait::async_trait;

use crate::error::Error;

pub use context::{HandlerContext, Level, LogLine, NotChangedOnce};
pub use deploy::{Deployment, Gate, Open, Patience, Requirement, Rules, deploy};
pub use difference::{Changes, FieldChange, difference};
pub use dry_run::{DiffStatus, DryRun, DryRunReport};
pub use id::{InvalidResourceId, ResourceId, ResourceType};
pub use report::{Report, SHOWN_LOG_LINES};
pub use resource::{Fields, InvalidResource, PURGED, Resource};
pub use state::{Change, ResourceState, StateEvent};

/// What reading a resource has found.
#[derive(Debug, Clone, PartialEq)]
pub enum Reading {
    /// It is there, with these fields. Fields that are not told do not count in the difference; `purged: true` among
    /// them says that it is not there, as [`Reading::Purged`] does.
    Found(Fields),
    /// It is not there.
    Purged,
}

/// Why a handler does not go on with a resource.
#[derive(Debug, Clone)]
pub enum Halt {
    /// Something that it needs is not as it has to be yet; it waits.
    SkipForDependencies(String),
    /// It cannot be dealt with now, and that is no failure.
    Skip(String),
    /// It has failed.
    Failed(Error),
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Enforces the desired state of one kind of resource.
///
/// What an implementation owes:
/// * [`Handler::read`], [`Handler::pre`], [`Handler::post`] and [`Handler::facts`] change nothing outside: they run for
///   plans, too.
/// * Each call may be the repetition of one that was cut off half-way, by a crash or because it took too long:
///   whatever is there is read again first, so changing what is changed already must not be needed to succeed.
/// * Calls are cancel-safe: what was begun and dropped is found, or found missing, by the next reading.
/// * An error that another attempt cannot mend is `never_retry`; others are tried again.
/// * Nothing secret goes into fields, log lines or errors; what options call a secret is taken out of them all the same.
/// * A panic fails the resource and nothing else.
#[async_trait]
pub trait Handler: Send + Sync {
    /// Before anything else of a resource: connect.
    ///
    /// # Errors
    /// When the resource cannot be dealt with.
    async fn pre(&self, _context: &mut HandlerContext, _resource: &Resource) -> Result<(), Halt> {
        Ok(())
    }

    /// The fields that are compared with what is read, and told: those of the resource. A handler tells less of what
    /// says too much, such as a content by its hash.
    fn compared(&self, resource: &Resource) -> Fields {
        resource.fields.clone()
    }

    /// How the resource is now.
    ///
    /// # Errors
    /// When that cannot be found out.
    async fn read(&self, context: &mut HandlerContext, resource: &Resource) -> Result<Reading, Halt>;

    /// Makes a resource that is not there.
    ///
    /// # Errors
    /// When it could not be made.
    async fn create(&self, context: &mut HandlerContext, resource: &Resource) -> Result<(), Halt>;

    /// Changes the fields of a resource that differ.
    ///
    /// # Errors
    /// When it could not be changed.
    async fn update(&self, context: &mut HandlerContext, changes: &Changes, resource: &Resource) -> Result<(), Halt>;

    /// Removes a resource that is there.
    ///
    /// # Errors
    /// When it could not be removed.
    async fn delete(&self, context: &mut HandlerContext, resource: &Resource) -> Result<(), Halt>;

    /// After everything else, also where it has failed.
    ///
    /// # Errors
    /// They are logged, and change nothing.
    async fn post(&self, _context: &mut HandlerContext, _resource: &Resource) -> Result<(), Halt> {
        Ok(())
    }

    /// Whether [`Handler::reload`] does something.
    fn can_reload(&self) -> bool {
        false
    }

    /// Something that the resource requires, and that tells of its changes, has changed.
    ///
    /// # Errors
    /// When it could not be reloaded.
    async fn reload(&self, _context: &mut HandlerContext, _resource: &Resource) -> Result<(), Halt> {
        Ok(())
    }

    /// What is worth knowing of the resource besides its fields: [`HandlerContext::set_fact`]. Between `pre` and `post`.
    ///
    /// # Errors
    /// They are logged, and change nothing.
    async fn facts(&self, _context: &mut HandlerContext, _resource: &Resource) -> Result<(), Halt> {
        Ok(())
    }
}
