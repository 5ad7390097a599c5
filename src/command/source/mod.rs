//! `tidegate source`: what a source gives, without a pipeline, and what is wrong with its connection.

pub(super) mod options;

use std::path::Path;
use std::time::Duration;

use arrow::array::RecordBatch;
use tidegate_pipeline::catalog::Catalog;
use tidegate_pipeline::diagnosis::{Check, Diagnosis, Outcome};
use tidegate_pipeline::envelope;
use tidegate_pipeline::source::{PlannedSource, SourceContext, SourcePlanContext};
use tidegate_pipeline::step::{SchemaVersion, StepHeader, StepNumber, StepTime, Unit};
use tidegate_pipeline::table::SharedTables;
use tokio_util::sync::CancellationToken;

use crate::arguments::{Format, SourceCommand};
use crate::catalog::{catalog, packs};
use crate::exit::{DONE, FAILED, Failure};
use crate::{load, output};

/// Prints what a source gives, or what is wrong with it.
pub(crate) async fn source(command: SourceCommand, queries: Option<&Path>) -> Result<u8, Failure> {
    let catalog = catalog(packs(queries)?);
    match command {
        SourceCommand::Run { kind, arguments, limit } => run(&Given::new(&catalog, &kind, &arguments)?, limit).await,
        SourceCommand::Test { kind, arguments, timeout, format } => {
            test(&Given::new(&catalog, &kind, &arguments)?, Duration::from_secs(timeout), format).await
        }
    }
}

/// A source as the command line describes it.
struct Given {
    planned: PlannedSource,
}

impl Given {
    fn new(catalog: &Catalog, name: &str, arguments: &[String]) -> Result<Self, Failure> {
        let Some(kind) = catalog.source(name) else {
            let names: Vec<String> = catalog.sources.iter().map(|kind| kind.name().to_owned()).collect();
            return Err(Failure::unknown("source", name, &names));
        };
        if kind.old_names().contains(&name) {
            crate::output::told!("warning: `{name}` is the old name of the source `{}`", kind.name());
        }
        let context =
            SourcePlanContext { node: "source", working_directory: load::working_directory(), recorded: None };
        let planned = options::read(arguments, &format!("source `{name}`"), |options| kind.plan(options, &context))?;
        Ok(Self { planned })
    }

    fn context(&self, once: bool, cancel: &CancellationToken) -> Result<SourceContext, Failure> {
        let tables = match self.planned.tables.is_empty() {
            true => SharedTables::default(),
            false => tidegate_pipeline::table::Tables::new(self.planned.tables.clone())?.shared(),
        };
        let cancel = cancel.clone();
        Ok(SourceContext { node: "source".into(), position: None, schemas: Vec::new(), once, tables, cancel })
    }
}

/// Opens the source and prints its rows as JSON lines, rejected input on stderr.
async fn run(given: &Given, limit: Option<usize>) -> Result<u8, Failure> {
    let cancel = CancellationToken::new();
    let once = limit.is_none() && !given.planned.tables.is_empty();
    let mut open = given.planned.open.open(given.context(once, &cancel)?).await?;
    let (mut printed, mut step) = (0, StepNumber::ZERO);
    loop {
        let arrival = tokio::select! {
            arrival = open.next() => arrival?,
            _ = tokio::signal::ctrl_c() => break,
        };
        let Some(arrival) = arrival else { break };
        for rejected in &arrival.rejected {
            crate::output::told!("rejected: {}: {}", rejected.position, rejected.reason);
        }
        for (_, batch) in &arrival.rows {
            let batch = if given.planned.envelope { received(batch, &mut step)? } else { batch.clone() };
            let left = limit.map_or(usize::MAX, |limit| limit - printed);
            let batch = batch.slice(0, batch.num_rows().min(left));
            printed += batch.num_rows();
            output::rows(Format::Jsonl, &[batch])?;
        }
        // Whoever waits for an answer gets it. Nothing is acknowledged: a queue keeps what it has.
        for reply in arrival.replies {
            let _ = reply.send(());
        }
        if limit.is_some_and(|limit| printed >= limit) {
            break;
        }
    }
    cancel.cancel();
    Ok(DONE)
}

/// Events as a pipeline would see them that received them now.
fn received(batch: &RecordBatch, step: &mut StepNumber) -> Result<RecordBatch, Failure> {
    *step = step.next();
    let header = StepHeader {
        number: *step,
        time: StepTime(jiff::Timestamp::now().as_millisecond()),
        source: "source".into(),
        unit: Unit::Rows,
        schema_version: SchemaVersion::default(),
        watermark: None,
    };
    Ok(envelope::complete(batch, &header, "source", 0)?)
}

/// Prints each step of a diagnosis.
async fn test(given: &Given, timeout: Duration, format: Format) -> Result<u8, Failure> {
    let cancel = CancellationToken::new();
    let context = given.context(true, &cancel)?;
    let mut found = Diagnosis::within(timeout);
    tokio::select! {
        () = given.planned.open.diagnose(context, &mut found) => {}
        // What was found before is told, and the step that was not waited for.
        _ = tokio::signal::ctrl_c() => {}
    }
    cancel.cancel();
    output::records(format, &["step", "outcome", "detail", "ms"], found.checks(), |check: &Check| {
        let outcome = match check.outcome {
            Outcome::Ok => "ok",
            Outcome::Failed => "failed",
            Outcome::Skipped => "skipped",
        };
        let step = check.about.iter().map(String::as_str).chain([check.step.as_str()]).collect::<Vec<_>>().join(": ");
        vec![step, outcome.to_owned(), check.detail.clone(), check.took_ms.to_string()]
    })?;
    Ok(if found.failed() { FAILED } else { DONE })
}
