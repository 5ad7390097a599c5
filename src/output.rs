//! Results on stdout: tables for people, JSON for programs.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::json::{ArrayWriter, LineDelimitedWriter};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table, TableComponent};
use serde::Serialize;

use crate::arguments::Format;
use crate::exit::Failure;

/// Writes to stdout; a reader that has gone (`| head`) is no error.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

/// Writes a line to stderr, as `eprintln!` does; a reader that has gone (`2>&1 | head`) is no reason to panic.
macro_rules! told {
    ($($argument:tt)*) => {
        $crate::output::tell(format_args!($($argument)*))
    };
}
pub(crate) use told;

/// Writes a line to stderr. Where nobody reads it any more there is nobody to tell that to either.
pub(crate) fn tell(line: std::fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// A table without rows, for people: a line below the header, none between rows.
pub(crate) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_header(header.to_vec());
    for line in [TableComponent::HeaderLines, TableComponent::MiddleHeaderIntersections] {
        table.set_style(line, '─');
    }
    if let Some(width) = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok()) {
        table.set_width(width);
    }
    table
}

/// Prints records in a format; `row` makes the cells of the text form.
pub(crate) fn records<T: Serialize>(
    format: Format,
    header: &[&str],
    records: &[T],
    row: impl Fn(&T) -> Vec<String>,
) -> Result<(), Failure> {
    let json = |record: &T| serde_json::to_string(record).map_err(|error| Failure::failed(error.to_string()));
    match format {
        Format::Text => {
            let mut table = table(header);
            table.add_rows(records.iter().map(row));
            print(&format!("{}\n", table.trim_fmt()))
        }
        Format::Json => {
            let document = serde_json::to_string_pretty(records).map_err(|error| Failure::failed(error.to_string()))?;
            print(&format!("{document}\n"))
        }
        Format::Jsonl => {
            let lines = records.iter().map(json).collect::<Result<Vec<_>, _>>()?;
            print(&lines.iter().map(|line| format!("{line}\n")).collect::<String>())
        }
    }
}

/// Prints one value: as a document, or as a line.
pub(crate) fn document(format: Format, value: &impl Serialize) -> Result<(), Failure> {
    let text = match format {
        Format::Jsonl => serde_json::to_string(value),
        Format::Text | Format::Json => serde_json::to_string_pretty(value),
    };
    print(&format!("{}\n", text.map_err(|error| Failure::failed(error.to_string()))?))
}

/// Prints Arrow rows in a format.
pub(crate) fn rows(format: Format, batches: &[RecordBatch]) -> Result<(), Failure> {
    print(&rows_text(format, batches)?)
}

/// Arrow rows in a format.
pub(crate) fn rows_text(format: Format, batches: &[RecordBatch]) -> Result<String, Failure> {
    let failed = |error: arrow::error::ArrowError| Failure::failed(error.to_string());
    let references: Vec<&RecordBatch> = batches.iter().collect();
    let mut bytes = Vec::new();
    match format {
        Format::Text => return text_rows(batches),
        Format::Json => {
            let mut writer = ArrayWriter::new(&mut bytes);
            writer.write_batches(&references).and_then(|()| writer.finish()).map_err(failed)?;
            if bytes.is_empty() {
                bytes.extend_from_slice(b"[]");
            }
            bytes.push(b'\n');
        }
        Format::Jsonl => {
            let mut writer = LineDelimitedWriter::new(&mut bytes);
            writer.write_batches(&references).and_then(|()| writer.finish()).map_err(failed)?;
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn text_rows(batches: &[RecordBatch]) -> Result<String, Failure> {
    let Some(first) = batches.first() else { return Ok("no rows\n".to_owned()) };
    let header: Vec<&str> = first.schema_ref().fields().iter().map(|field| field.name().as_str()).collect();
    let mut table = table(&header);
    let mut count = 0;
    cells(batches, |row| {
        table.add_row(row);
        count += 1;
    })?;
    Ok(format!("{}\n{count} {}\n", table.trim_fmt(), if count == 1 { "row" } else { "rows" }))
}

/// The cells of each row, as text; NULL is empty.
pub(crate) fn cells(batches: &[RecordBatch], mut row: impl FnMut(Vec<String>)) -> Result<(), Failure> {
    let options = FormatOptions::default().with_null("");
    for batch in batches {
        let columns: Vec<ArrayFormatter<'_>> = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column, &options))
            .collect::<Result<_, _>>()
            .map_err(|error| Failure::failed(error.to_string()))?;
        (0..batch.num_rows()).for_each(|at| row(columns.iter().map(|column| column.value(at).to_string()).collect()));
    }
    Ok(())
}
