//! A folder of Parquet files: one part per commit that had rows (more where the columns change in between).
//!
//! A part is written as `part-000001.parquet.tmp`, made durable and renamed when it is committed. The mark
//! names the last part; parts above it are what a crash left and are removed.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::errors::ParquetError;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::sink::TransactionalSink;
use tidegate_pipeline::step::StepHeader;
use tidegate_pipeline::testing::{crash, fault};
use tokio::sync::Mutex;

use super::{Existing, OutputPlace, sync_folder};

/// The detail of a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct PartMark {
    /// The number of the last complete part; 0 for none.
    part: u64,
}

/// An open folder of parts.
pub(crate) struct ParquetParts {
    place: OutputPlace,
    /// The number of the newest part, also of one that is still being written.
    part: u64,
    /// The part that is being written, and its columns.
    writer: Option<(SchemaRef, ArrowWriter<File>)>,
    /// Parts that are written but not committed.
    closed: Vec<u64>,
    /// Commits finish one after another, so that a mark never names a part before an earlier one is there.
    order: Arc<Mutex<()>>,
}

impl ParquetParts {
    /// Opens the folder and brings it back to `mark`. Blocks.
    ///
    /// # Errors
    /// When it is not what the mark says, or has parts although there is no mark.
    pub(crate) fn open(place: OutputPlace, mark: Option<&str>) -> Result<Self> {
        std::fs::create_dir_all(&place.path).map_err(|error| place.failed("create", &error))?;
        let parts = parts(&place.path).map_err(|error| place.failed("read", &error))?;
        let last = match mark {
            Some(text) => {
                let mark: PartMark = serde_json::from_str(text)
                    .map_err(|error| Error::internal(format!("`{text}` is not a mark of `{}`: {error}", place.name)))?;
                if mark.part > 0 && !parts.contains(&mark.part) {
                    return Err(place.lost(&format!("lacks the part {} that this pipeline has written", mark.part)));
                }
                mark.part
            }
            None => match place.existing {
                Existing::Refuse if !parts.is_empty() => return Err(place.refused()),
                Existing::Refuse | Existing::Replace => 0,
                Existing::Append => parts.iter().copied().max().unwrap_or(0),
            },
        };
        remove_above(&place.path, last).map_err(|error| place.failed("remove a part of", &error))?;
        Ok(Self { place, part: last, writer: None, closed: Vec::new(), order: Arc::default() })
    }

    fn writer_for(&mut self, rows: &RecordBatch) -> Result<&mut ArrowWriter<File>> {
        // Parts carry the columns that their rows have: other columns, another part.
        if self.writer.as_ref().is_some_and(|(schema, _)| schema != rows.schema_ref()) {
            self.close_part()?;
        }
        match &mut self.writer {
            Some((_, writer)) => Ok(writer),
            none => {
                self.part += 1;
                let path = temporary(&self.place.path, self.part);
                let file = File::create(path).map_err(|error| self.place.failed("write", &error))?;
                let writer = ArrowWriter::try_new(file, rows.schema(), None).map_err(|error| unfit(&error))?;
                Ok(&mut none.insert((rows.schema(), writer)).1)
            }
        }
    }

    /// Writes the footer of the part that is open.
    fn close_part(&mut self) -> Result<()> {
        if let Some((_, writer)) = self.writer.take() {
            writer.close().map_err(|error| unfit(&error))?;
            self.closed.push(self.part);
        }
        Ok(())
    }
}

#[async_trait]
impl TransactionalSink for ParquetParts {
    async fn write(&mut self, _step: &StepHeader, rows: &RecordBatch) -> Result<()> {
        if rows.num_rows() == 0 {
            return Ok(());
        }
        let rows = nullable(rows)?;
        crash::point("sink.part.write");
        self.writer_for(&rows)?.write(&rows).map_err(|error| unfit(&error))
    }

    async fn commit(&mut self) -> Result<BoxFuture<'static, Result<String>>> {
        self.close_part()?;
        let detail = serde_json::to_string(&PartMark { part: self.part }).map_err(Error::internal)?;
        let closed = std::mem::take(&mut self.closed);
        let (place, order) = (self.place.clone(), Arc::clone(&self.order));
        let publish = move || -> Result<String> {
            publish(&place.path, &closed).map_err(|error| place.failed("make durable", &error))?;
            Ok(detail)
        };
        Ok(async move {
            let _turn = order.lock().await;
            tokio::task::spawn_blocking(publish).await.map_err(Error::internal)?
        }
        .boxed())
    }
}

/// The rows under columns that may all be NULL: whether a batch has NULLs must not make another part.
fn nullable(rows: &RecordBatch) -> Result<RecordBatch> {
    let schema = rows.schema_ref();
    if schema.fields().iter().all(|field| field.is_nullable()) {
        return Ok(rows.clone());
    }
    let fields: Vec<Field> = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), rows.columns().to_vec(), &options)?)
}

fn publish(folder: &Path, parts: &[u64]) -> std::io::Result<()> {
    for part in parts {
        let written = temporary(folder, *part);
        crash::point("sink.part.sync");
        fault::pass("output.sync")?;
        File::open(&written)?.sync_all()?;
        crash::point("sink.part.rename");
        std::fs::rename(&written, part_path(folder, *part))?;
        crash::point("sink.part.renamed");
    }
    if parts.is_empty() { Ok(()) } else { sync_folder(folder) }
}

fn part_path(folder: &Path, part: u64) -> PathBuf {
    folder.join(format!("part-{part:06}.parquet"))
}

fn temporary(folder: &Path, part: u64) -> PathBuf {
    folder.join(format!("part-{part:06}.parquet.tmp"))
}

/// The numbers of the complete parts in a folder.
fn parts(folder: &Path) -> std::io::Result<Vec<u64>> {
    let mut parts = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        parts.extend(entry?.file_name().to_str().and_then(|name| number(name.strip_suffix(".parquet")?)));
    }
    Ok(parts)
}

/// Removes complete parts above `last`, and all that were never completed.
fn remove_above(folder: &Path, last: u64) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_str().unwrap_or_default();
        let unfinished = name.strip_suffix(".parquet.tmp").and_then(number).is_some();
        let above = name.strip_suffix(".parquet").and_then(number).is_some_and(|part| part > last);
        if unfinished || above {
            crash::point("sink.part.remove");
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// The number in `part-000001`.
fn number(stem: &str) -> Option<u64> {
    stem.strip_prefix("part-")?.parse().ok()
}

fn unfit(error: &ParquetError) -> Error {
    Error::external(format!("the rows cannot be written as Parquet: {error}")).never_retry()
}
