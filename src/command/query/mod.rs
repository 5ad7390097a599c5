//! `tidegate query`: SQL over the tables of a pipeline, as they are in its newest checkpoint or as they were.
//! Collects nothing, and reads beside a running pipeline.

mod functions;
mod functions_list;
mod history;
mod rows;
mod session;
mod shell;

use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::prelude::SessionContext;
use jiff::Timestamp;
use tidegate_pipeline::graph::{Graph, Planned};
use tidegate_pipeline::table::past::{Found, Moment, Past};

use crate::arguments::{Format, QueryArguments, RowFormat};
use crate::catalog::{catalog, packs};
use crate::exit::{DONE, Failure};
use crate::{load, output};

/// Answers one query, tells the history of rows, or opens a shell.
pub(crate) async fn query(arguments: QueryArguments, queries: Option<&Path>) -> Result<u8, Failure> {
    let moment = arguments.at.as_deref().map(|text| Moment::parse(text, Timestamp::now())).transpose()?;
    let catalog = catalog(packs(queries)?);
    let graph = load::graph(&arguments.pipeline.pipeline, &catalog)?;
    let past = past(&graph, &arguments.pipeline.dir);
    let format = arguments.format;
    let nothing = || no_checkpoint(&graph);
    if let Some((table, conditions)) = arguments.history.split_first() {
        let format = plain(format)?;
        return history::history(&past, table, conditions, format)?.ok_or_else(nothing);
    }
    let found = match moment {
        None => past.newest()?,
        Some(moment) => past.at(moment)?,
    };
    let found = found.ok_or_else(nothing)?;
    note(found.shown.note.as_deref());
    let session = session::session(Arc::new(past), &found).await?;
    match &arguments.sql {
        Some(sql) => answer(&session, sql, format).await.map(|()| DONE),
        None => shell::shell(&session, &found.shown, format).await,
    }
}

/// The tables of a pipeline at a moment; as they are in its newest checkpoint where none is given.
///
/// # Errors
/// When there is no such moment, or no checkpoint yet.
pub(super) fn tables_at(graph: &Graph, dir: &Path, moment: Option<Moment>) -> Result<Found, Failure> {
    let past = past(graph, dir);
    let found = match moment {
        None => past.newest()?,
        Some(moment) => past.at(moment)?,
    };
    found.ok_or_else(|| no_checkpoint(graph))
}

/// The tables of a pipeline as its newest checkpoint has them; `None` where there is none.
///
/// # Errors
/// When it cannot be read.
pub(super) fn newest_tables(graph: &Graph, dir: &Path) -> Result<Option<Found>, Failure> {
    Ok(past(graph, dir).newest()?)
}

fn no_checkpoint(graph: &Graph) -> Failure {
    let run = format!("\nhelp: `tidegate run {} --once` makes one", graph.file);
    Failure::usage(format!("pipeline `{}` has no checkpoint yet{run}", *graph.spec.name))
}

fn past(graph: &Graph, dir: &Path) -> Past {
    let sources = graph.nodes.iter().filter_map(|node| match &node.planned {
        Planned::Source(source) => Some((Arc::clone(&node.name), source.tables.clone())),
        _ => None,
    });
    let states = graph.nodes.iter().filter_map(|node| match &node.planned {
        Planned::Operator(operator) => Some((Arc::clone(&node.name), operator.shown.clone()?)),
        _ => None,
    });
    Past::new(&dir.join(&*graph.spec.name.value), sources.collect()).with_states(states.collect())
}

/// Says on stderr what an answer does not say itself.
fn note(text: Option<&str>) {
    if let Some(text) = text {
        crate::output::told!("note: {text}");
    }
}

/// The formats that a history can be told in.
fn plain(format: RowFormat) -> Result<Format, Failure> {
    match format {
        RowFormat::Text => Ok(Format::Text),
        RowFormat::Json => Ok(Format::Json),
        RowFormat::Jsonl => Ok(Format::Jsonl),
        RowFormat::Csv | RowFormat::Markdown => {
            let help = "help: `select * from history('TABLE')` gives rows, in any format";
            Err(Failure::usage(format!("`--history` is told as text, json or jsonl\n{help}")))
        }
    }
}

async fn answer(session: &SessionContext, sql: &str, format: RowFormat) -> Result<(), Failure> {
    output::print(&rows::text(format, &collect(session, sql).await?)?)
}

/// What a statement gives; a batch without rows where there are none.
async fn collect(session: &SessionContext, sql: &str) -> Result<Vec<RecordBatch>, Failure> {
    let frame = session::rows(session, sql).await?;
    let schema = Arc::new(frame.schema().as_arrow().clone());
    let mut batches = frame.collect().await.map_err(session::failure)?;
    if batches.is_empty() {
        batches.push(RecordBatch::new_empty(schema));
    }
    Ok(batches)
}
