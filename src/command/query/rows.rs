//! Rows as text: tables for people, JSON, CSV and Markdown for others.

use arrow::array::RecordBatch;

use crate::arguments::{Format, RowFormat};
use crate::exit::Failure;
use crate::output;

/// The rows in a format. Ends with a newline, unless there is nothing.
pub(super) fn text(format: RowFormat, batches: &[RecordBatch]) -> Result<String, Failure> {
    match format {
        RowFormat::Text => output::rows_text(Format::Text, batches),
        RowFormat::Json => output::rows_text(Format::Json, batches),
        RowFormat::Jsonl => output::rows_text(Format::Jsonl, batches),
        RowFormat::Csv => csv(batches),
        RowFormat::Markdown => markdown(batches),
    }
}

fn header(batches: &[RecordBatch]) -> Vec<String> {
    let first = batches.first().map(RecordBatch::schema);
    first.map(|schema| schema.fields().iter().map(|field| field.name().clone()).collect()).unwrap_or_default()
}

/// As RFC 4180 has it: the header first, quotes where a cell has a comma, a quote or the end of a line.
fn csv(batches: &[RecordBatch]) -> Result<String, Failure> {
    let quoted = |cell: &String| match cell.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell.clone(),
    };
    let line = |cells: &[String]| cells.iter().map(quoted).collect::<Vec<_>>().join(",") + "\n";
    let mut text = line(&header(batches));
    output::cells(batches, |row| text.push_str(&line(&row)))?;
    Ok(text)
}

fn markdown(batches: &[RecordBatch]) -> Result<String, Failure> {
    let safe = |cell: &String| cell.replace('\\', "\\\\").replace('|', "\\|").replace(['\n', '\r'], " ");
    let line = |cells: &[String]| format!("| {} |\n", cells.iter().map(safe).collect::<Vec<_>>().join(" | "));
    let header = header(batches);
    let mut text = line(&header);
    text.push_str(&format!("|{}\n", "---|".repeat(header.len())));
    output::cells(batches, |row| text.push_str(&line(&row)))?;
    Ok(text)
}

/// A line for each column, a block for each row.
pub(super) fn expanded(batches: &[RecordBatch]) -> Result<String, Failure> {
    let header = header(batches);
    let width = header.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    let mut count = 0;
    output::cells(batches, |row| {
        count += 1;
        text.push_str(&format!("─ row {count} ─\n"));
        for (name, cell) in header.iter().zip(row) {
            text.push_str(&format!(" {name:<width$}  {cell}\n"));
        }
    })?;
    text.push_str(&format!("{count} {}\n", if count == 1 { "row" } else { "rows" }));
    Ok(text)
}

/// The first `most` rows.
pub(super) fn first(batches: &[RecordBatch], most: usize) -> Vec<RecordBatch> {
    let mut left = most;
    let mut taken = Vec::new();
    for batch in batches {
        let rows = batch.num_rows().min(left);
        taken.push(batch.slice(0, rows));
        left -= rows;
    }
    taken
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Array, Int64Array, StringArray};

    use super::*;

    fn batches() -> Vec<RecordBatch> {
        let name: Arc<dyn Array> = Arc::new(StringArray::from(vec![Some("a,\"b\""), Some("x|y\nz"), None]));
        let count: Arc<dyn Array> = Arc::new(Int64Array::from(vec![1, 2, 3]));
        vec![RecordBatch::try_from_iter([("name", name), ("count", count)]).unwrap()]
    }

    #[test]
    fn csv_quotes_what_would_end_a_cell() {
        assert_eq!(text(RowFormat::Csv, &batches()).unwrap(), "name,count\n\"a,\"\"b\"\"\",1\n\"x|y\nz\",2\n,3\n");
    }

    #[test]
    fn markdown_is_a_table_whatever_is_in_a_cell() {
        let expected = "| name | count |\n|---|---|\n| a,\"b\" | 1 |\n| x\\|y z | 2 |\n|  | 3 |\n";
        assert_eq!(text(RowFormat::Markdown, &batches()).unwrap(), expected);
    }

    #[test]
    fn an_expanded_row_has_a_line_for_each_column() {
        let shown = expanded(&first(&batches(), 1)).unwrap();
        assert_eq!(shown, "─ row 1 ─\n name   a,\"b\"\n count  1\n1 row\n");
    }
}
