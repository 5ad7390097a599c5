//! `file`: rows into JSON lines, CSV or Parquet; transactional.
//!
//! A text file (`path: out.jsonl`) carries its own mark: its length and a running hash. After a crash it
//! is verified up to the mark and cut there. A Parquet file cannot be appended to, so `path: out.parquet`
//! is a folder with one `part-000001.parquet` per commit that had rows.

mod csv;
mod jsonl;
mod parquet;
#[cfg(test)]
mod tests;
mod text;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::operator::PlanContext;
use tidegate_pipeline::sink::{OpenSink, PlannedSink, Sink, SinkContext, SinkKind};
use tidegate_pipeline::spec::Options;
use tidegate_pipeline::spec::diagnostic::Diagnostic;

use self::csv::CsvEncoder;
use self::jsonl::JsonLinesEncoder;
pub(crate) use self::jsonl::encode as encode_json_lines;
use self::parquet::ParquetParts;
use self::text::{Encoder, TextFile};
use crate::places::Places;

/// The formats that a file sink writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FileFormat {
    /// One JSON object a line; NULLs are left out, timestamps are RFC 3339.
    Jsonl,
    /// A header, then a record a row.
    Csv,
    /// A folder of Parquet files, one per commit that had rows.
    Parquet,
}

/// What a new pipeline does with output that exists.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Existing {
    /// Stop, unless it is empty.
    #[default]
    Refuse,
    /// Write behind it.
    Append,
    /// Delete it.
    Replace,
}

/// The options of the sink `file`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileOptions {
    /// Where to write.
    pub path: String,
    /// The format; by default what the extension says.
    pub format: Option<FileFormat>,
    /// What a new pipeline does with output that exists: `refuse` (default), `append`, `replace`.
    #[serde(default)]
    pub existing: Existing,
}

/// The kind `file`.
#[derive(Debug, Clone, Copy)]
pub struct FileKind;

impl SinkKind for FileKind {
    fn name(&self) -> &'static str {
        "file"
    }

    fn summary(&self) -> &'static str {
        "A file of JSON lines or CSV, or a folder of Parquet files; exactly once, also after a crash"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(FileOptions)
    }

    fn state_of(&self, options: &Options) -> Option<String> {
        Some(options.canonical_of(&["path", "format"]))
    }

    fn plan(&self, options: &Options, context: &mut PlanContext<'_>) -> Result<PlannedSink, Vec<Diagnostic>> {
        let places = Places(options);
        let settings: FileOptions = options.read()?;
        let Some(format) = settings.format.or_else(|| format_of(Path::new(&settings.path))) else {
            let message = format!("the extension of `{}` does not tell its format", settings.path);
            let found = places.at("path", message).with_help("set `format`");
            return Err(vec![found.with_expected("", ["jsonl", "csv", "parquet"])]);
        };
        if format == FileFormat::Csv {
            check_flat(&context.schema, &places)?;
        }
        let place = OutputPlace {
            path: context.working_directory.join(&settings.path),
            name: settings.path.as_str().into(),
            existing: settings.existing,
        };
        Ok(PlannedSink { open: Box::new(PlannedFile { place, format }) })
    }
}

/// Where output goes.
#[derive(Debug, Clone)]
pub(crate) struct OutputPlace {
    pub(crate) path: PathBuf,
    /// As the user wrote it.
    pub(crate) name: Arc<str>,
    pub(crate) existing: Existing,
}

impl OutputPlace {
    /// A new pipeline found output at its place.
    pub(crate) fn refused(&self) -> Error {
        Error::user(format!("`{}` exists already, and this pipeline has never written it", self.name))
            .with_remedy("move it away, or set `existing: append` or `existing: replace`")
    }

    /// The output is not what the mark says.
    pub(crate) fn lost(&self, what: &str) -> Error {
        Error::user(format!("`{}` {what}", self.name))
            .with_remedy("restore it as the pipeline left it, or begin anew with `--fresh`")
    }

    /// Writing or reading failed.
    pub(crate) fn failed(&self, doing: &str, error: &std::io::Error) -> Error {
        let failed = Error::external(format!("cannot {doing} `{}`: {error}", self.name));
        match error.kind() {
            std::io::ErrorKind::NotFound => failed.with_remedy("create its folder").never_retry(),
            std::io::ErrorKind::PermissionDenied => failed.with_remedy("give this user the permission").never_retry(),
            std::io::ErrorKind::StorageFull => failed.with_remedy("make room on the disk"),
            _ => failed,
        }
    }
}

/// Makes the names in a folder durable. Blocks.
pub(crate) fn sync_folder(folder: &Path) -> std::io::Result<()> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    std::fs::File::open(folder)?.sync_all()
}

fn format_of(path: &Path) -> Option<FileFormat> {
    Some(match path.extension()?.to_str()? {
        "jsonl" | "ndjson" | "json" => FileFormat::Jsonl,
        "csv" => FileFormat::Csv,
        "parquet" => FileFormat::Parquet,
        _ => return None,
    })
}

fn check_flat(schema: &SchemaRef, places: &Places<'_>) -> Result<(), Vec<Diagnostic>> {
    let nested = schema.fields().iter().filter(|field| field.data_type().is_nested());
    let found: Vec<Diagnostic> = nested
        .map(|field| {
            places
                .at("path", format!("a CSV file cannot hold the nested column `{}`", field.name()))
                .with_help("select its fields, or write JSON lines")
        })
        .collect();
    if found.is_empty() { Ok(()) } else { Err(found) }
}

struct PlannedFile {
    place: OutputPlace,
    format: FileFormat,
}

#[async_trait]
impl OpenSink for PlannedFile {
    async fn open(&self, context: SinkContext) -> Result<Sink> {
        let (place, format) = (self.place.clone(), self.format);
        let opening = tokio::task::spawn_blocking(move || -> Result<Sink> {
            let mark = context.mark.as_ref().map(|mark| mark.detail.as_str());
            let encoder: Box<dyn Encoder> = match format {
                FileFormat::Parquet => return Ok(Sink::Transactional(Box::new(ParquetParts::open(place, mark)?))),
                FileFormat::Jsonl => Box::new(JsonLinesEncoder),
                FileFormat::Csv => Box::new(CsvEncoder::default()),
            };
            Ok(Sink::Transactional(Box::new(TextFile::open(place, encoder, mark)?)))
        });
        opening.await.map_err(Error::internal)?
    }
}
