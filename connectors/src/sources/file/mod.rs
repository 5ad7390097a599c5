//! `file`: rows of a file on this machine — JSON lines, CSV, Parquet, or YAML facts.

mod facts;
mod facts_watch;
mod feed;
mod format;
pub mod input;
pub mod options;
mod parquet;
mod reread;
mod source;
#[cfg(test)]
mod tests;
mod watch;

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use async_trait::async_trait;
use tidegate_pipeline::diagnosis::Diagnosis;
use tidegate_pipeline::error::Result;
use tidegate_pipeline::rows::Port;
use tidegate_pipeline::source::{
    Delivery, Guarantee, GuaranteeClass, OpenSource, PlannedSource, Source, SourceContext, SourceKind,
    SourcePlanContext,
};
use tidegate_pipeline::spec::Options;
use tidegate_pipeline::spec::diagnostic::Diagnostic;

use self::facts_watch::PlannedFacts;
use self::feed::{Cut, Feed};
use self::format::Format;
use self::input::{Compression, Fingerprint, Input};
use self::options::{FileFormat, FileOptions, not_with_parquet, unknown_format};
use self::source::FileSource;
use crate::decode::csv::{self, CsvFile};
use crate::decode::infer::{SAMPLE, infer, sample};
use crate::decode::json_lines::JsonLines;
use crate::decode::segment::{Limits, Naming};
use crate::decode::shape::Shape;
use crate::diagnosis;
use crate::places::Places;

/// How much of a file planning reads at most, in bytes.
const SAMPLE_BYTES: u64 = 16 * 1024 * 1024;

/// The kind `file`.
#[derive(Debug, Clone, Copy)]
pub struct FileKind;

impl SourceKind for FileKind {
    fn name(&self) -> &'static str {
        "file"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["ansible.eda.file", "eda.builtin.file"]
    }

    fn summary(&self) -> &'static str {
        "Rows of a file: JSON lines, CSV, Parquet or YAML facts; read once, or followed as it grows"
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee {
            class: GuaranteeClass::Replayable,
            on_crash: "A file that is read once is read again from the position of the last step. What is followed (`follow`) is kept in the journal; it is read on from there, also after a rotation, while the old file can still be found.",
        }
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(FileOptions)
    }

    fn state_of(&self, options: &Options) -> Option<String> {
        Some(options.canonical_of(&["path", "files", "format", "compression"]))
    }

    fn plan(&self, options: &Options, context: &SourcePlanContext<'_>) -> Result<PlannedSource, Vec<Diagnostic>> {
        let places = Places(options);
        let settings: FileOptions = options.read()?;
        settings.check(&places)?;
        let mut planned = plan(&settings, &places, &context.working_directory)?;
        if let Some(recorded) = &context.recorded {
            planned = planned.with_schema(recorded);
        }
        if let (Some(files), true) = (settings.files, settings.follow) {
            let (schema, folder) = (planned.schema, context.working_directory.clone());
            let port = Port { open: true, ..Port::out(Arc::clone(&schema)) };
            return Ok(PlannedSource::new(Delivery::Inline, vec![port], PlannedFacts { files, folder, schema }));
        }
        let open = planned.schema.fields().is_empty();
        Ok(PlannedSource {
            acknowledges: false,
            envelope: false,
            reconnects: false,
            delivery: if settings.follow { Delivery::Inline } else { Delivery::Seek },
            bounded: !settings.follow,
            ports: vec![Port { open, ..Port::out(Arc::clone(&planned.schema)) }],
            tables: Vec::new(),
            refresh: None,
            open: Box::new(planned),
        })
    }
}

/// A file source as planned.
struct PlannedFile {
    input: Input,
    format: Format,
    schema: SchemaRef,
    follow: bool,
    cut: Cut,
}

impl PlannedFile {
    /// The same, with the columns that an earlier sample gave.
    fn with_schema(mut self, schema: &SchemaRef) -> Self {
        if let Format::Csv(file) = &self.format {
            self.format = Format::Csv(Arc::new(CsvFile { schema: Arc::clone(schema), ..CsvFile::clone(file) }));
        }
        self.schema = Arc::clone(schema);
        self
    }
}

#[async_trait]
impl OpenSource for PlannedFile {
    async fn open(&self, context: SourceContext) -> Result<Box<dyn Source>> {
        // Opening tells at once when the file has gone since planning.
        let length = self.input.length()?;
        let feed = Feed {
            input: self.input.clone(),
            format: self.format.clone(),
            cut: self.cut,
            length: context.once.then_some(length),
            follow: self.follow && !context.once,
            growing: self.follow,
            cancel: context.cancel.clone(),
        };
        Ok(Box::new(FileSource::new(feed, Arc::clone(&self.schema), self.follow, &context)?))
    }

    fn unchanged(&self, fingerprint: &str) -> Result<bool> {
        let Ok(before) = serde_json::from_str::<Fingerprint>(fingerprint) else { return Ok(false) };
        Ok(self.input.length()? == before.bytes && self.input.fingerprint(None)? == before)
    }

    async fn diagnose(&self, context: SourceContext, found: &mut Diagnosis) {
        let source = diagnosis::open(found, "file opened", self.open(context)).await;
        diagnosis::first_arrival(found, "first rows", source).await;
    }
}

fn plan(options: &FileOptions, places: &Places<'_>, folder: &Path) -> Result<PlannedFile, Vec<Diagnostic>> {
    let at = |key: &'static str| move |error| vec![places.error(key, &error)];
    let cut = Cut::new(options.max_line);
    if let Some(files) = &options.files {
        let facts = facts::load(files, folder).map_err(at("files"))?;
        let input = Input::Memory(Arc::clone(&facts.lines));
        return Ok(json_lines(options, input, &facts.lines, facts.naming, cut));
    }
    let name: Arc<str> = options.path.as_deref().unwrap_or_default().into();
    let (found, inner) = Compression::of(Path::new(name.as_ref()));
    let compression = options.compression.unwrap_or(found);
    let format = match options.format.or_else(|| FileFormat::of(&inner)) {
        Some(format) => format,
        None => return Err(vec![unknown_format(places, &name)]),
    };
    if format == FileFormat::Yaml {
        let facts = facts::load(std::slice::from_ref(&name.to_string()), folder).map_err(at("path"))?;
        let input = Input::Memory(Arc::clone(&facts.lines));
        return Ok(json_lines(options, input, &facts.lines, facts.naming, cut));
    }
    let input = Input::File { path: folder.join(name.as_ref()), name: Arc::clone(&name), compression };
    if format == FileFormat::Parquet {
        if compression != Compression::None || options.follow {
            return Err(vec![not_with_parquet(places, options.follow)]);
        }
        let schema = parquet::schema(&input).map_err(at("path"))?;
        return Ok(PlannedFile { input, format: Format::Parquet, schema, follow: false, cut });
    }
    if options.follow && compression != Compression::None {
        return Err(vec![places.at("follow", "a compressed file cannot be followed")]);
    }
    let text = head(&input).map_err(at("path"))?;
    match format {
        FileFormat::Csv => csv_file(options, places, input, &text, name, cut),
        _ => Ok(json_lines(options, input, &text, Naming::File(name), cut)),
    }
}

/// The beginning of a text, as much as planning looks at.
fn head(input: &Input) -> Result<Vec<u8>> {
    let mut reader = input.open(0, None)?.reader.take(SAMPLE_BYTES);
    let (mut text, mut lines) = (Vec::new(), 0);
    let mut buffer = vec![0; 64 * 1024];
    while lines <= SAMPLE {
        let read = reader.read(&mut buffer).map_err(|error| input::read_failed(input.name(), &error))?;
        if read == 0 {
            break;
        }
        lines += memchr::memchr_iter(b'\n', &buffer[..read]).count();
        text.extend_from_slice(&buffer[..read]);
    }
    Ok(text)
}

fn json_lines(options: &FileOptions, input: Input, text: &[u8], naming: Naming, cut: Cut) -> PlannedFile {
    let limits = Arc::new(limits(options, naming));
    let schema = infer(sample(text), options.declared(), options.max_columns).schema();
    let format = Format::JsonLines(JsonLines::new(limits));
    PlannedFile { input, format, schema, follow: options.follow, cut }
}

fn limits(options: &FileOptions, naming: Naming) -> Limits {
    let fixed = options.columns.keys().map(|name| name.as_str().into()).collect();
    Limits { max_line: options.max_line, max_columns: options.max_columns, fixed, naming }
}

fn csv_file(
    options: &FileOptions,
    places: &Places<'_>,
    input: Input,
    text: &[u8],
    name: Arc<str>,
    cut: Cut,
) -> Result<PlannedFile, Vec<Diagnostic>> {
    let (delimiter, header) = (options.delimiter_byte(), options.header.unwrap_or(true));
    let sample = csv::sample(text, delimiter, header)
        .map_err(|reason| vec![places.at("path", format!("`{name}` cannot be read as CSV: {reason}"))])?;
    if sample.names.len() > options.max_columns {
        let message = format!("`{name}` has {} columns; `max_columns` is {}", sample.names.len(), options.max_columns);
        return Err(vec![places.at("path", message)]);
    }
    if let Some(unknown) = options.columns.keys().find(|column| !sample.names.contains(column)) {
        return Err(vec![
            places
                .at("columns", format!("`{name}` has no column `{unknown}`"))
                .with_expected(unknown, sample.names.iter().cloned()),
        ]);
    }
    let inferred = infer(sample.rows, options.declared(), options.max_columns).schema();
    let field = |name: &String| {
        // A column that is empty throughout the sample can hold anything.
        let found = inferred.field_with_name(name).map(Field::data_type);
        let found = found.ok().filter(|data_type| !data_type.is_null()).cloned();
        Field::new(name, found.unwrap_or_else(|| Shape::Text.data_type()), true)
    };
    let schema = Arc::new(Schema::new(sample.names.iter().map(field).collect::<Vec<_>>()));
    let limits = Arc::new(limits(options, Naming::File(name)));
    let file = CsvFile { delimiter, header, schema: Arc::clone(&schema), limits };
    Ok(PlannedFile { input, format: Format::Csv(Arc::new(file)), schema, follow: options.follow, cut })
}
