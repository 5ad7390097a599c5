//! `console`: rows on standard output, a table for people, JSON lines for programs.

use std::io::{self, IsTerminal, Write};

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use async_trait::async_trait;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{ContentArrangement, Table};
use futures::FutureExt;
use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::operator::PlanContext;
use tidegate_pipeline::sink::{OpenSink, PlannedSink, Sink, SinkContext, SinkKind, TransactionalSink};
use tidegate_pipeline::spec::Options;
use tidegate_pipeline::spec::diagnostic::Diagnostic;
use tidegate_pipeline::step::StepHeader;

use super::file::encode_json_lines;

const CLOSED_OUTPUT: &str = "standard output was closed by its reader";

/// Whether a pipeline was stopped by a `console` whose reader has gone: `| head` has seen enough.
pub fn is_closed_output(error: &Error) -> bool {
    error.message == CLOSED_OUTPUT
}

/// How many rows a table holds before it is printed.
const TABLE: usize = 500;

/// The forms of output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ConsoleFormat {
    /// A table on a terminal, JSON lines elsewhere.
    #[default]
    Auto,
    /// A table.
    Table,
    /// JSON lines.
    Jsonl,
}

/// The options of `console`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConsoleOptions {
    /// The form: `auto` (default), `table`, `jsonl`.
    #[serde(default)]
    pub format: ConsoleFormat,
    /// Print at most so many rows; the rest are counted.
    pub limit: Option<u64>,
}

/// The kind `console`.
#[derive(Debug, Clone, Copy)]
pub struct ConsoleKind;

impl SinkKind for ConsoleKind {
    fn name(&self) -> &'static str {
        "console"
    }

    fn summary(&self) -> &'static str {
        "Standard output: a table on a terminal, JSON lines elsewhere"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(ConsoleOptions)
    }

    fn plan(&self, options: &Options, _context: &mut PlanContext<'_>) -> Result<PlannedSink, Vec<Diagnostic>> {
        let options: ConsoleOptions = super::optional(options)?;
        Ok(PlannedSink { open: Box::new(PlannedConsole { options }) })
    }
}

struct PlannedConsole {
    options: ConsoleOptions,
}

#[async_trait]
impl OpenSink for PlannedConsole {
    async fn open(&self, _context: SinkContext) -> Result<Sink> {
        let table = match self.options.format {
            ConsoleFormat::Auto => io::stdout().is_terminal(),
            ConsoleFormat::Table => true,
            ConsoleFormat::Jsonl => false,
        };
        let console = Console {
            out: Box::new(io::stdout()),
            table,
            limit: self.options.limit,
            written: 0,
            left_out: 0,
            rows: Vec::new(),
        };
        Ok(Sink::Transactional(Box::new(console)))
    }
}

/// An open console. Rows of a table are gathered until the next commit.
struct Console {
    out: Box<dyn Write + Send>,
    table: bool,
    limit: Option<u64>,
    written: u64,
    left_out: u64,
    rows: Vec<RecordBatch>,
}

impl Console {
    /// The rows that the limit still lets through.
    fn within_limit(&mut self, rows: &RecordBatch) -> RecordBatch {
        let count = rows.num_rows() as u64;
        let room = self.limit.map_or(count, |limit| limit.saturating_sub(self.written).min(count));
        self.written += room;
        self.left_out += count - room;
        rows.slice(0, usize::try_from(room).unwrap_or(usize::MAX))
    }

    fn print_lines(&mut self, rows: &RecordBatch) -> Result<()> {
        let mut text = Vec::new();
        encode_json_lines(rows, &mut text)?;
        self.print(&text)
    }

    /// Prints what was gathered, a table for each set of columns.
    fn print_tables(&mut self) -> Result<()> {
        let rows = std::mem::take(&mut self.rows);
        for alike in rows.chunk_by(|a, b| a.schema_ref() == b.schema_ref()) {
            let text = table(alike)?;
            self.print(format!("{text}\n").as_bytes())?;
        }
        Ok(())
    }

    fn print(&mut self, text: &[u8]) -> Result<()> {
        self.out.write_all(text).and_then(|()| self.out.flush()).map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => Error::external(CLOSED_OUTPUT)
                .with_remedy("nothing is lost: running again goes on where this run stopped")
                .never_retry(),
            _ => Error::external(format!("cannot write to standard output: {error}")),
        })
    }
}

fn table(batches: &[RecordBatch]) -> Result<Table> {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    if let Some(first) = batches.first() {
        table.set_header(first.schema_ref().fields().iter().map(|field| field.name().clone()));
    }
    let options = FormatOptions::default().with_display_error(true);
    for batch in batches {
        let columns = batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options));
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        for row in 0..batch.num_rows() {
            table.add_row(columns.iter().map(|column| column.value(row).to_string()));
        }
    }
    Ok(table)
}

#[async_trait]
impl TransactionalSink for Console {
    async fn write(&mut self, _step: &StepHeader, rows: &RecordBatch) -> Result<()> {
        let rows = self.within_limit(rows);
        if rows.num_rows() == 0 {
            return Ok(());
        }
        if !self.table {
            return self.print_lines(&rows);
        }
        self.rows.push(rows);
        let gathered: usize = self.rows.iter().map(RecordBatch::num_rows).sum();
        if gathered >= TABLE { self.print_tables() } else { Ok(()) }
    }

    async fn commit(&mut self) -> Result<BoxFuture<'static, Result<String>>> {
        self.print_tables()?;
        Ok(async { Ok("{}".to_owned()) }.boxed())
    }

    async fn finish(&mut self) -> Result<()> {
        self.print_tables()?;
        if self.left_out > 0 {
            tracing::info!(rows = self.left_out, "rows beyond `limit` were not printed");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use arrow::array::{Int64Array, RecordBatch};

    use super::*;
    use crate::sinks::testing::step;

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn console(out: impl Write + Send + 'static, table: bool, limit: Option<u64>) -> Console {
        Console { out: Box::new(out), table, limit, written: 0, left_out: 0, rows: Vec::new() }
    }

    fn numbers() -> RecordBatch {
        RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from(vec![1, 2, 3])) as _)]).unwrap()
    }

    #[tokio::test]
    async fn programs_get_json_lines_up_to_the_limit() {
        let paper = Paper::default();
        let mut console = console(paper.clone(), false, Some(2));
        console.write(&step(1), &numbers()).await.unwrap();
        assert_eq!(String::from_utf8(paper.0.lock().unwrap().clone()).unwrap(), "{\"n\":1}\n{\"n\":2}\n");
        assert_eq!(console.left_out, 1);
    }

    #[tokio::test]
    async fn people_get_one_table_for_the_steps_of_a_commit() {
        let paper = Paper::default();
        let mut console = console(paper.clone(), true, None);
        console.write(&step(1), &numbers()).await.unwrap();
        console.write(&step(2), &numbers()).await.unwrap();
        console.commit().await.unwrap().await.unwrap();
        let text = String::from_utf8(paper.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.matches(" n ").count(), 1, "{text}");
        assert_eq!(text.matches(" 3 ").count(), 2, "{text}");
    }

    #[tokio::test]
    async fn a_closed_pipe_is_an_error_and_not_a_panic() {
        let error = console(Closed, false, None).write(&step(1), &numbers()).await.unwrap_err();
        assert!(error.message.contains("closed"), "{error}");
    }
}
