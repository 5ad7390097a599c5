//! The contract of sinks.
//!
//! A **transactional** sink stores its mark together with its output: after a crash it is brought back to
//! the mark, and what a re-execution produces at or below the mark is discarded by the runtime.
//! A **dispatching** sink turns rows into effects; the runtime writes them to the outbox, with the mark,
//! before any leaves, and delivers each until it is done or dead, always under the same id.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::handler::DryRun;
use crate::operator::PlanContext;
use crate::row_hash::RunningHash;
use crate::rows::Rejected;
use crate::runtime::{EffectState, ListedEffect};
use crate::spec::Options;
use crate::spec::diagnostic::Diagnostic;
use crate::step::{StepHeader, StepNumber};

/// Up to where a sink's output is complete, and what the sink needs to be brought back there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The last step whose output is complete.
    pub step: StepNumber,
    /// What the sink wrote of itself, as JSON (for a file: length and running hash).
    pub detail: String,
    /// The hash of all rows that the sink has been given.
    #[serde(default)]
    pub rows: RunningHash,
}

/// How a pipeline ends because a sink says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shutdown {
    /// How.
    pub kind: ShutdownKind,
    /// How long effects may take that are under way, with [`ShutdownKind::Graceful`].
    pub delay: Duration,
    /// Why.
    pub message: String,
}

/// The ways in which a pipeline ends because a sink says so.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ShutdownKind {
    /// Sources stop; what was taken in is worked through, and effects are delivered.
    #[default]
    Graceful,
    /// As when it is told to stop: effects that are under way are left for the next start.
    Now,
}

/// What a sink is opened with.
#[derive(Debug, Clone)]
pub struct SinkContext {
    /// The name of its node.
    pub node: Arc<str>,
    /// The mark to go back to; `None` for a pipeline that has never committed.
    pub mark: Option<Mark>,
}

/// A sink that stores its mark atomically with its output.
#[async_trait]
pub trait TransactionalSink: Send {
    /// Writes the rows of one step. Steps come in order, each at most once.
    ///
    /// # Errors
    /// When the output cannot take them; the pipeline stops.
    async fn write(&mut self, step: &StepHeader, rows: &RecordBatch) -> Result<()>;

    /// Everything written so far shall become durable. Returns at once with the work to be done in the
    /// background; that work resolves to the detail of the mark.
    ///
    /// Work that takes longer than the checkpoint waits (10 minutes) goes on; then the next commit may begin before it
    /// has ended, and its work is begun after it. After eight of them the pipeline stops.
    ///
    /// A sink that is opened without a mark is committed once, and that mark stored, before its first
    /// [`TransactionalSink::write`]: so a crash never leaves output behind that no mark explains.
    ///
    /// # Errors
    /// When buffered output cannot be handed over.
    async fn commit(&mut self) -> Result<BoxFuture<'static, Result<String>>>;

    /// Whether what has been written since this was last asked means that the pipeline shall end. Asked after each
    /// step that had rows for it.
    fn shutdown(&mut self) -> Option<Shutdown> {
        None
    }

    /// The pipeline ends: finish what only an end can finish (a Parquet footer). Called before the last commit.
    async fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}

/// What a dispatching sink wants done for one row or batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EffectPayload {
    /// Effects of one key are delivered in order.
    pub key: Option<String>,
    /// The body, as it will be sent.
    pub body: Vec<u8>,
}

/// How an attempt to deliver went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    /// Delivered.
    Done,
    /// Delivered, and this has come of it: the effect is kept with its report.
    Reported {
        /// What has come of it, as a line of JSON.
        report: String,
    },
    /// Somebody has to approve it first; no attempt was made.
    Held {
        /// What it would do, as a line of JSON.
        report: String,
    },
    /// Not yet, whatever others do; no attempt was made, and others of its key need not wait.
    Later {
        /// What it waits for.
        reason: String,
        /// When to look again.
        after: Duration,
    },
    /// Not now; again after `after` (from Retry-After) or the usual back-off.
    Again {
        /// What went wrong.
        reason: String,
        /// How long the other side asks to wait.
        after: Option<Duration>,
    },
    /// Never: the other side refuses it.
    Refused {
        /// What went wrong.
        reason: String,
    },
}

/// At most so many effects leave in any stretch of time of one length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many, at least 1.
    pub count: usize,
    /// The length of the stretch.
    pub per: Duration,
}

/// When a destination is left alone: after so many failures in a row nothing is sent to it for a while, then one effect
/// is tried; what it comes to decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Breaker {
    /// How many failures in a row, at least 1. A refusal is none: the destination answers.
    pub failures: u32,
    /// How long it is left alone at first; the time doubles up to the longest wait between two attempts.
    pub rest: Duration,
}

/// How a sink wants its effects to be delivered. What is `None` is as the pipeline is run
/// ([`crate::runtime::DeliveryPolicy`]).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeliveryTerms {
    /// The wait after the first failure; it doubles.
    pub initial: Option<Duration>,
    /// The longest wait between two attempts.
    pub longest: Option<Duration>,
    /// Attempts before an effect is given up.
    pub attempts: Option<u32>,
    /// How long one attempt may take.
    pub attempt: Option<Duration>,
    /// How many effects are under way at once.
    pub concurrency: Option<usize>,
    /// How many may leave; without, as many as there are.
    pub rate: Option<Rate>,
    /// When the destination is left alone; without, never.
    pub breaker: Option<Breaker>,
}

/// Makes effects of rows, without the outside. A kind whose rows may be unfit for it offers this with
/// [`OpenSink::maker`]: so they go to the port `errors`, in a replay too, where sinks are not opened.
pub trait EffectMaker: Send + Sync {
    /// The effects of the rows of one step, in order. What cannot become one is added to `rejected`, with its index
    /// among `rows`. Deterministic.
    ///
    /// # Errors
    /// Only for what makes going on impossible.
    fn make(
        &self,
        step: &StepHeader,
        rows: &RecordBatch,
        rejected: &mut Vec<(u64, Rejected)>,
    ) -> Result<Vec<EffectPayload>>;
}

/// A sink whose output leaves the pipeline as effects.
#[async_trait]
pub trait DispatchingSink: Send + Sync {
    /// The effects of the rows of one step, in order. Deterministic.
    ///
    /// # Errors
    /// When a row cannot be turned into an effect. Not called where the kind has an [`EffectMaker`].
    fn effects(&self, step: &StepHeader, rows: &RecordBatch) -> Result<Vec<EffectPayload>>;

    /// Tries to deliver one effect. `id` is stable over attempts and restarts. Must be cancel-safe.
    async fn deliver(&self, id: &str, payload: &EffectPayload) -> Attempt;

    /// How its effects shall be delivered.
    fn terms(&self) -> DeliveryTerms {
        DeliveryTerms::default()
    }

    /// The same of an effect that somebody has approved.
    async fn deliver_approved(&self, id: &str, payload: &EffectPayload) -> Attempt {
        self.deliver(id, payload).await
    }

    /// Who is told what becomes of its effects, where that matters to others of them.
    fn follower(&self) -> Option<&dyn EffectFollower> {
        None
    }
}

/// Follows the effects of a sink, because what becomes of one decides what others do.
#[async_trait]
pub trait EffectFollower: Send + Sync {
    /// What earlier lives have left: effects that are done and kept, were given up, or await approval. Called once,
    /// before anything else.
    fn recall(&self, past: &[ListedEffect]);
    /// An effect is to be delivered.
    fn expect(&self, id: &str, payload: &EffectPayload);
    /// An effect has come to an end without being delivered.
    fn ended(&self, id: &str, payload: &EffectPayload, state: EffectState);
    /// How long one attempt may take.
    fn longest_attempt(&self) -> Duration;
    /// What delivering an effect would do. Changes nothing outside.
    async fn dry_run(&self, payload: &EffectPayload) -> DryRun;
}

/// An open sink.
pub enum Sink {
    /// Stores its mark with its output.
    Transactional(Box<dyn TransactionalSink>),
    /// Sends effects through the outbox.
    Dispatching(Arc<dyn DispatchingSink>),
}

/// A sink as planned.
pub struct PlannedSink {
    /// Opens it.
    pub open: Box<dyn OpenSink>,
}

/// Opens a planned sink.
#[async_trait]
pub trait OpenSink: Send + Sync {
    /// Opens the sink and brings it back to the context's mark.
    ///
    /// # Errors
    /// When the output is not what the mark says, or exists although the pipeline is new.
    async fn open(&self, context: SinkContext) -> Result<Sink>;

    /// What makes effects of rows, where rows may be unfit for them.
    fn maker(&self) -> Option<Arc<dyn EffectMaker>> {
        None
    }
}

/// A kind of sink: `sinks: {name: {from: …, KIND: options}}`.
pub trait SinkKind: Send + Sync {
    /// The kind's name in YAML.
    fn name(&self) -> &'static str;
    /// One sentence for `component list`.
    fn summary(&self) -> &'static str;
    /// The JSON Schema of its options.
    fn schema(&self) -> schemars::Schema;
    /// Plans it.
    ///
    /// # Errors
    /// Everything that is wrong with the options, each with its place.
    fn plan(&self, options: &Options, context: &mut PlanContext<'_>) -> Result<PlannedSink, Vec<Diagnostic>>;
    /// Whether it sends effects: then it has the port `dead_letter`.
    fn dispatches(&self) -> bool {
        false
    }
    /// What of the options decides which output it writes: with equal answers a changed sink goes on with it. `None`:
    /// all of them do.
    fn state_of(&self, _options: &Options) -> Option<String> {
        None
    }
    /// Whether it is a handler: it can say what it would do.
    fn is_handler(&self) -> bool {
        false
    }
}
