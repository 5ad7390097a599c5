//! `tidegate query`: SQL over the tables that a pipeline's newest checkpoint holds. Collects nothing, and reads
//! beside a running pipeline.

use std::io::{BufRead, IsTerminal};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use datafusion::datasource::MemTable;
use datafusion::prelude::{SessionConfig, SessionContext};
use tidegate_pipeline::checkpoint::{Content, Manifest, at_head, read_node_state};
use tidegate_pipeline::error::Error;
use tidegate_pipeline::graph::{Graph, Planned};
use tidegate_pipeline::operator::StateReader;
use tidegate_pipeline::table::{TableSet, Tables};

use crate::arguments::{Format, QueryArguments};
use crate::catalog::{catalog, packs};
use crate::exit::{DONE, Failure};
use crate::{load, output};

/// Answers one query, or opens a shell.
pub(crate) async fn query(arguments: QueryArguments, queries: Option<&Path>) -> Result<u8, Failure> {
    let catalog = catalog(packs(queries)?);
    let graph = load::graph(&arguments.pipeline.pipeline, &catalog)?;
    let directory = arguments.pipeline.dir.join(&*graph.spec.name.value);
    let session = session(&graph, &directory)?;
    match &arguments.sql {
        Some(sql) => answer(&session, sql, arguments.format).await.map(|()| DONE),
        None => shell(&session, arguments.format).await,
    }
}

/// A session in which the tables of the newest checkpoint stand under their names.
fn session(graph: &Graph, directory: &Path) -> Result<SessionContext, Failure> {
    let config = SessionConfig::new().with_information_schema(true);
    let session = SessionContext::new_with_config(config);
    let tables = at_head(directory, |head| tables_of(graph, directory, head))?.ok_or_else(|| {
        let run = format!("\nhelp: `tidegate run {} --once` makes one", graph.file);
        Failure::usage(format!("pipeline `{}` has no checkpoint yet{run}", *graph.spec.name))
    })?;
    for version in tables.iter().flat_map(|set| set.tables.values()) {
        let schema = Arc::clone(&version.definition().schema);
        let batches = version.batches().cloned().collect();
        let table = MemTable::try_new(schema, vec![batches]).map_err(sql_failure)?;
        session.register_table(&*version.definition().name, Arc::new(table)).map_err(sql_failure)?;
    }
    Ok(session)
}

/// The tables of every source as a checkpoint holds them.
fn tables_of(graph: &Graph, directory: &Path, checkpoint: &Manifest) -> Result<Vec<TableSet>, Error> {
    let mut all = Vec::new();
    for node in &graph.nodes {
        let Planned::Source(source) = &node.planned else { continue };
        if source.tables.is_empty() {
            continue;
        }
        let mut tables = Tables::new(source.tables.clone())?;
        if let Some(state) = checkpoint.sources.get(&*node.name) {
            let sections = read_node_state(directory, &state.tables, &node.name)?;
            let batches = sections.into_iter().filter_map(|section| match section.content {
                Content::Batch(batch) => Some((section.name, batch)),
                Content::Bytes(_) => None,
            });
            tables.restore(StateReader { batches: batches.collect() })?;
        }
        all.push(tables.current());
    }
    Ok(all)
}

async fn answer(session: &SessionContext, sql: &str, format: Format) -> Result<(), Failure> {
    let frame = session.sql(sql).await.map_err(sql_failure)?;
    let schema = Arc::new(frame.schema().as_arrow().clone());
    let mut batches = frame.collect().await.map_err(sql_failure)?;
    if batches.is_empty() {
        batches.push(arrow::array::RecordBatch::new_empty(schema));
    }
    output::rows(format, &batches)
}

fn sql_failure(error: datafusion::error::DataFusionError) -> Failure {
    Failure::usage(error.strip_backtrace())
}

/// Reads statements that end in `;`, or with the input, from stdin and answers each. An error ends none but its
/// own statement; without a person at the prompt, the program's exit code still tells of it.
async fn shell(session: &SessionContext, format: Format) -> Result<u8, Failure> {
    let prompted = std::io::stdin().is_terminal();
    let mut statement = String::new();
    let mut code = DONE;
    if prompted {
        output::print("SQL over the newest checkpoint; statements end with `;`, `\\d` lists tables, `\\q` ends.\n")?;
    }
    loop {
        if prompted {
            output::print(if statement.is_empty() { "tidegate> " } else { "       -> " })?;
        }
        let mut line = String::new();
        let ended = std::io::stdin().lock().read_line(&mut line)? == 0;
        let started = Instant::now();
        let answered = match line.trim() {
            "\\q" | "exit" | "quit" if statement.is_empty() => return Ok(code),
            "\\d" if statement.is_empty() => tables(session, format).await,
            command if statement.is_empty() && command.starts_with("\\d ") => {
                columns(session, &command[3..], format).await
            }
            _ => {
                statement.push_str(&line);
                if !(ended || statement.trim_end().ends_with(';')) {
                    continue;
                }
                let sql = std::mem::take(&mut statement);
                match sql.trim().trim_end_matches(';') {
                    "" => Ok(()),
                    sql => answer(session, sql, format).await,
                }
            }
        };
        match answered {
            Ok(()) if prompted && !ended => output::print(&format!("{:.1?}\n", started.elapsed()))?,
            Ok(()) => {}
            Err(failure) => {
                eprintln!("error: {}", failure.message);
                if !prompted {
                    code = failure.code;
                }
            }
        }
        if ended {
            return Ok(code);
        }
    }
}

async fn tables(session: &SessionContext, format: Format) -> Result<(), Failure> {
    let sql = "select table_name from information_schema.tables where table_schema = 'public' order by 1";
    answer(session, sql, format).await
}

async fn columns(session: &SessionContext, table: &str, format: Format) -> Result<(), Failure> {
    let name = table.trim().replace('\'', "''");
    let sql = format!(
        "select column_name, data_type, is_nullable from information_schema.columns where table_name = '{name}' order by ordinal_position"
    );
    answer(session, &sql, format).await
}
