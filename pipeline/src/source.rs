//! The contract of sources.
//!
//! A source turns something outside into [`Arrival`]s. The sequencer gives each arrival (or several small
//! ones of one source, joined) the next step number and the time, and writes it to the journal; only then
//! does anything downstream see it.
//!
//! What a source owes:
//! 1. [`Source::next`] is cancel-safe: dropping its future loses nothing.
//! 2. A [`Delivery::Seek`] source, opened at a position, goes on exactly there, and
//!    [`Source::reread`] of a range gives the rows that the range gave before, or an error.
//! 3. Nothing is acknowledged to the outside before [`Source::acknowledge`] (or [`Reply`]) says that it is
//!    durable.
//! 4. Bad input becomes [`Rejected`], with its position; it never ends the source.
//! 5. Decoding happens before the arrival is handed over, in parallel where that pays.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::diagnosis::Diagnosis;
use crate::error::Result;
use crate::provider::{ProviderKind, RefreshControl};
use crate::rows::{Port, PortIndex, Rejected};
use crate::spec::Options;
use crate::spec::diagnostic::Diagnostic;
use crate::step::{Position, Range, SchemaVersion, Unit};
use crate::table::{SharedTables, TableDefinition};

/// Whether what a source has given can be read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Delivery {
    /// It can: the journal keeps a reference (ranges and a hash).
    Seek,
    /// It cannot: the journal keeps the rows themselves.
    Inline,
}

/// Told when the step that holds an arrival is durable; dropped without a word when it never will be.
pub type Reply = oneshot::Sender<()>;

/// What a source hands to the sequencer.
#[derive(Debug)]
pub struct Arrival {
    /// The rows, by port. Ports not named have none.
    pub rows: Vec<(PortIndex, RecordBatch)>,
    /// Input that never became rows.
    pub rejected: Vec<Rejected>,
    /// Which part of a refresh it is; [`Unit::Rows`] for everything but providers.
    pub unit: Unit,
    /// The schema version that the rows were decoded with.
    pub schema_version: SchemaVersion,
    /// A schema that this arrival is the first to use, with its version; journaled before the arrival.
    pub new_schema: Option<SchemaRef>,
    /// For [`Delivery::Seek`]: the stretch of input that it is.
    pub range: Option<Range>,
    /// Where the source stands after it.
    pub position: Position,
    /// The event time up to which the source has spoken, in ms, where it knows.
    pub watermark: Option<i64>,
    /// Told when the step is durable: the callers who wait for these rows.
    pub replies: Vec<Reply>,
    /// Never joined with others: the source cuts its input at fixed places, so that the numbers of steps do not
    /// depend on timing.
    pub alone: bool,
}

impl Arrival {
    /// Plain rows on the first port.
    pub fn rows(batch: RecordBatch, position: Position) -> Self {
        Self {
            rows: vec![(PortIndex(0), batch)],
            rejected: Vec::new(),
            unit: Unit::Rows,
            schema_version: SchemaVersion::default(),
            new_schema: None,
            range: None,
            position,
            watermark: None,
            replies: Vec::new(),
            alone: false,
        }
    }

    /// How many rows it holds.
    pub fn row_count(&self) -> usize {
        self.rows.iter().map(|(_, batch)| batch.num_rows()).sum()
    }
}

/// A source that is open.
#[async_trait]
pub trait Source: Send {
    /// The next arrival, or `None` when the source has ended. Must be cancel-safe.
    ///
    /// # Errors
    /// When the source cannot go on; the runtime applies the restart policy.
    async fn next(&mut self) -> Result<Option<Arrival>>;

    /// Everything before `position` is durable in the journal: commit offsets, delete messages. Also called after the
    /// last [`Source::next`], while the pipeline stops; its future is dropped only when that takes too long.
    async fn acknowledge(&mut self, _position: &Position) -> Result<()> {
        Ok(())
    }

    /// The pipeline stops, or the source has ended: nothing more is taken from it, and it has been told of everything
    /// that will ever be durable. When this returns, what it has to say to the outside has got there: offsets are
    /// committed, messages settled, callers answered. It has a few seconds, then it is dropped. Not called on a source that has
    /// failed, and not waited for when the pipeline has.
    ///
    /// # Errors
    /// When it could not leave in order; that is only told.
    async fn close(&mut self) -> Result<()> {
        Ok(())
    }

    /// Reads a range again, decoded with `version`. Only called on [`Delivery::Seek`] sources; must leave
    /// the place where [`Source::next`] goes on after `range.to`.
    ///
    /// # Errors
    /// When the range cannot be read any more, or its bytes have another hash.
    async fn reread(&mut self, _range: &Range, _version: SchemaVersion) -> Result<Arrival> {
        Err(crate::error::Error::internal("this source cannot read a range again"))
    }

    /// What identifies the whole input after a bounded source has ended (length and hash, as JSON), so that
    /// a later run can tell whether the input has changed.
    fn fingerprint(&self) -> Option<String> {
        None
    }
}

/// What a source is opened with.
#[derive(Clone)]
pub struct SourceContext {
    /// The name of its node.
    pub node: Arc<str>,
    /// Where to go on, or `None` to begin.
    pub position: Option<Position>,
    /// The schemas it has announced so far, by version, oldest first; empty before the first.
    pub schemas: Vec<(SchemaVersion, SchemaRef)>,
    /// Read to what is the end now, then end (`run --once`).
    pub once: bool,
    /// The tables that its journaled changes have made so far (providers diff against them).
    pub tables: SharedTables,
    /// Told to stop.
    pub cancel: CancellationToken,
}

/// A source as planned: what is known of it before anything is opened.
pub struct PlannedSource {
    /// Whether it can be read again.
    pub delivery: Delivery,
    /// Whether it wants to be told what is durable (offset commits, deletes). Costs a sync of the journal.
    pub acknowledges: bool,
    /// Whether it ends by itself.
    pub bounded: bool,
    /// Whether its rows are events in their envelope: the engine completes their column `meta`
    /// ([`crate::envelope`]).
    pub envelope: bool,
    /// Whether what it reads from may be away for any time: after a failure that may pass it is opened again for
    /// ever, with back-off, whatever `restart.attempts` says.
    pub reconnects: bool,
    /// Its data ports (for a provider, one per table).
    pub ports: Vec<Port>,
    /// The tables that it maintains; empty unless it is a provider.
    pub tables: Vec<TableDefinition>,
    /// How its refreshes are asked for, and told of; of a provider.
    pub refresh: Option<Arc<RefreshControl>>,
    /// Opens it. Called once per start; again after a failure under the restart policy.
    pub open: Box<dyn OpenSource>,
}

impl PlannedSource {
    /// A source without tables that goes on for ever; what else is true of it is set afterwards.
    pub fn new(delivery: Delivery, ports: Vec<Port>, open: impl OpenSource + 'static) -> Self {
        Self {
            delivery,
            acknowledges: false,
            bounded: false,
            envelope: false,
            reconnects: false,
            ports,
            tables: Vec::new(),
            refresh: None,
            open: Box::new(open),
        }
    }
}

/// What becomes of the input of a source when this program, or what it reads from, dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Guarantee {
    /// The class.
    pub class: GuaranteeClass,
    /// What a crash at each point does, in a sentence or two.
    pub on_crash: &'static str,
}

/// The classes of [`Guarantee`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GuaranteeClass {
    /// The outside keeps the input: it is read again from the position of the last step. Nothing is lost, nothing
    /// comes twice.
    Replayable,
    /// The outside keeps the input until it is acknowledged, and that happens when its step is durable. Nothing is
    /// lost; what was durable and not acknowledged yet comes again.
    Acknowledged,
    /// Nobody keeps what comes while the source is not there.
    BestEffort,
}

impl std::fmt::Display for GuaranteeClass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Replayable => "replayable",
            Self::Acknowledged => "acknowledged after journaling",
            Self::BestEffort => "best effort",
        })
    }
}

/// Opens a planned source.
#[async_trait]
pub trait OpenSource: Send + Sync {
    /// Opens the source at the context's position.
    ///
    /// # Errors
    /// When the outside is not there or the position is no longer known.
    async fn open(&self, context: SourceContext) -> Result<Box<dyn Source>>;

    /// Whether the input of a bounded source that has ended still is what `fingerprint` says.
    ///
    /// # Errors
    /// When the input cannot be read.
    fn unchanged(&self, _fingerprint: &str) -> Result<bool> {
        Ok(true)
    }

    /// Looks at what it reads from step by step, for `source test`: name resolved, connected, TLS, authenticated, the
    /// queue there. Takes nothing away from others, and shows no secret. By default the source is opened, and that
    /// told.
    async fn diagnose(&self, context: SourceContext, found: &mut Diagnosis) {
        found.check("opened", async { Ok((self.open(context).await?, String::new())) }).await;
    }
}

/// What planning a source may look at.
pub struct SourcePlanContext<'a> {
    /// The name of the node.
    pub node: &'a str,
    /// What relative paths are relative to.
    pub working_directory: PathBuf,
    /// The columns that it was planned with when its pipeline was recorded: they stand, whatever a sample of its
    /// input would say now.
    pub recorded: Option<SchemaRef>,
}

/// A kind of source: `sources: {name: {KIND: options}}`.
pub trait SourceKind: Send + Sync {
    /// The kind's name in YAML.
    fn name(&self) -> &'static str;
    /// Other names it answers to.
    fn aliases(&self) -> &'static [&'static str] {
        &[]
    }
    /// Those of its other names that are out of date: a pipeline that uses one is warned.
    fn old_names(&self) -> &'static [&'static str] {
        &[]
    }
    /// One sentence for `component list`.
    fn summary(&self) -> &'static str;
    /// What becomes of its input in a crash.
    fn guarantee(&self) -> Guarantee;
    /// The JSON Schema of its options.
    fn schema(&self) -> schemars::Schema;
    /// Plans it. May read local files (the first 1,000 rows), never the network.
    ///
    /// # Errors
    /// Everything that is wrong with the options, each with its place.
    fn plan(&self, options: &Options, context: &SourcePlanContext<'_>) -> Result<PlannedSource, Vec<Diagnostic>>;
    /// What of the options decides what its positions and tables mean: with equal answers a changed source goes on
    /// where it was. `None`: all of them do.
    fn state_of(&self, _options: &Options) -> Option<String> {
        None
    }
    /// Those of its options that a source which `uses:` one of this kind takes over, where its own kind has them too and
    /// it says nothing of them itself.
    fn shared_options(&self) -> &'static [&'static str] {
        &[]
    }
    /// What it is as a provider of inventory; `None` for a source of events.
    fn provider(&self) -> Option<&dyn ProviderKind> {
        None
    }
}
