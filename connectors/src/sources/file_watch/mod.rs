//! `file_watch` (`watchdog`): what happens to the files under a path.

mod tree;
mod watcher;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field as Column, SchemaRef};
use async_trait::async_trait;
use regex::Regex;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use tidegate_pipeline::diagnosis::Diagnosis;
use tidegate_pipeline::envelope::envelope_schema;
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::source::{
    Arrival, Delivery, Guarantee, GuaranteeClass, OpenSource, PlannedSource, Source, SourceContext, SourceKind,
    SourcePlanContext,
};
use tidegate_pipeline::spec::diagnostic::Diagnostic;
use tidegate_pipeline::spec::{Duration, Options};
use tidegate_pipeline::step::Position;
use tokio::sync::mpsc;

use self::tree::{Change, Root, What};
use self::watcher::Watcher;
use crate::diagnosis;
use crate::event::{Envelope, Event, EventDecoder, EventMeta, Field, event_port};
use crate::places::Places;

/// How many batches of changes wait for the source.
const BATCHES: usize = 16;

/// The options of `file_watch`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileWatchOptions {
    /// The folder, or the file, that is watched.
    pub path: String,
    /// Whether what lies in folders inside of it is watched too.
    #[serde(default)]
    pub recursive: bool,
    /// Regular expressions; what happens to a path that begins with a match of one is not told.
    #[serde(default)]
    pub ignore_regexes: Vec<String>,
    /// Look at the files again and again instead of being told by the kernel, as network file systems need.
    #[serde(default)]
    pub poll: bool,
    /// How often they are looked at then, and where the kernel cannot watch them.
    #[serde(default = "a_second")]
    pub poll_every: Duration,
}

fn a_second() -> Duration {
    Duration::seconds(1)
}

/// The kind `file_watch`.
#[derive(Debug, Clone, Copy)]
pub struct FileWatchKind;

// matrix: file_watch: kill-before-ack: nobody keeps what happens to files
// matrix: file_watch: kill-after-ack: nothing is acknowledged
impl SourceKind for FileWatchKind {
    fn name(&self) -> &'static str {
        "file_watch"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &[
            "watchdog",
            "ansible.eda.file_watch",
            "eda.builtin.file_watch",
            "ansible.eda.watchdog",
            "eda.builtin.watchdog",
        ]
    }

    fn old_names(&self) -> &'static [&'static str] {
        &["watchdog", "ansible.eda.watchdog", "eda.builtin.watchdog"]
    }

    fn summary(&self) -> &'static str {
        "What happens to the files under a path: created, modified, moved, deleted"
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee {
            class: GuaranteeClass::BestEffort,
            on_crash: "What happens to the files until it watches again is not told; nor is what it was told and had not journaled.",
        }
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(FileWatchOptions)
    }

    fn plan(&self, options: &Options, context: &SourcePlanContext<'_>) -> Result<PlannedSource, Vec<Diagnostic>> {
        let settings: FileWatchOptions = options.read()?;
        let places = Places(options);
        let mut ignored = Vec::new();
        for text in &settings.ignore_regexes {
            let anchored = Regex::new(&format!("^(?:{text})"));
            ignored.push(anchored.map_err(|error| {
                vec![places.at("ignore_regexes", format!("`{text}` is no regular expression: {error}"))]
            })?);
        }
        if settings.poll_every.0.is_zero() {
            return Err(vec![places.at("poll_every", "`poll_every` is zero")]);
        }
        if settings.path.is_empty() {
            return Err(vec![places.at("path", "`path` is empty")]);
        }
        let path = context.working_directory.join(&settings.path);
        let schema = schema();
        let open = Arc::new(PlannedWatch { path, settings, ignored, schema: Arc::clone(&schema) });
        let planned = PlannedSource::new(Delivery::Inline, vec![event_port(schema)], Shared(open));
        Ok(PlannedSource { envelope: true, reconnects: true, ..planned })
    }
}

fn schema() -> SchemaRef {
    let text = |name: &str| Column::new(name, DataType::Utf8, true);
    envelope_schema([text("change"), text("src_path"), text("type"), text("root_path"), text("dest_path")], [])
}

struct PlannedWatch {
    path: PathBuf,
    settings: FileWatchOptions,
    ignored: Vec<Regex>,
    schema: SchemaRef,
}

struct Shared(Arc<PlannedWatch>);

#[async_trait]
impl OpenSource for Shared {
    async fn open(&self, context: SourceContext) -> Result<Box<dyn Source>> {
        let planned = Arc::clone(&self.0);
        let number = match &context.position {
            Some(position) => serde_json::from_str(&position.0)
                .map_err(|error| Error::internal(format!("`{position}` is not a number of changes: {error}")))?,
            None => 0,
        };
        let (begun, for_watcher) = (Arc::clone(&planned), context.clone());
        let watcher = tokio::task::spawn_blocking(move || {
            let root = Root::at(begun.path.clone(), begun.settings.recursive)?;
            Watcher::new(root, begun.settings.poll, begun.settings.poll_every.0, &for_watcher)
        });
        let watcher = watcher.await.map_err(Error::internal)??;
        tracing::debug!(node = %context.node, told = watcher.is_told(), "Files are watched.");
        let (to, changes) = mpsc::channel(BATCHES);
        std::thread::Builder::new()
            .name("file_watch".to_owned())
            .spawn(move || watcher.run(&to))
            .map_err(|error| Error::external(format!("no thread can be started: {error}")))?;
        Ok(Box::new(FileWatch {
            envelope: Envelope::new(&context.node, "file_watch"),
            decoder: EventDecoder::new(&context, &planned.schema),
            node: context.node,
            planned,
            changes,
            number,
            ready: VecDeque::new(),
        }))
    }

    async fn diagnose(&self, context: SourceContext, found: &mut Diagnosis) {
        let path = &self.0.path;
        let there = async {
            let found = tokio::fs::metadata(path).await.map_err(|error| tree::unreadable(path, &error))?;
            Ok(((), if found.is_dir() { "a folder" } else { "a file" }.to_owned()))
        };
        found.check("path there", there).await;
        diagnosis::open(found, "watched", self.open(context)).await;
    }
}

/// An open `file_watch`.
struct FileWatch {
    planned: Arc<PlannedWatch>,
    node: Arc<str>,
    envelope: Envelope,
    decoder: EventDecoder,
    changes: mpsc::Receiver<Result<Vec<Change>>>,
    /// How many changes have been told.
    number: u64,
    ready: VecDeque<Arrival>,
}

impl FileWatch {
    /// A path as the pipeline's text would write it.
    fn shown(&self, path: &Path) -> String {
        let given = Path::new(&self.planned.settings.path);
        let shown = match path.strip_prefix(&self.planned.path) {
            Ok(rest) if rest.as_os_str().is_empty() => given.to_owned(),
            Ok(rest) => given.join(rest),
            Err(_) => path.to_owned(),
        };
        shown.to_string_lossy().into_owned()
    }

    fn event(&mut self, change: &Change) -> Option<Event> {
        let source = self.shown(&change.path);
        let (name, kind, target) = match &change.what {
            What::Created => ("created", "Created", None),
            What::Deleted => ("deleted", "Deleted", None),
            What::Modified => ("modified", "Modified", None),
            What::Moved(to) => ("moved", "Moved", Some(self.shown(to))),
        };
        let ignored = |path: &str| self.planned.ignored.iter().any(|regex| regex.is_match(path));
        if ignored(&source) || target.as_deref().is_some_and(ignored) {
            return None;
        }
        self.number += 1;
        let of = if change.directory { "Dir" } else { "File" };
        let values = [
            ("change", Some(Value::from(name))),
            ("src_path", Some(Value::from(source))),
            ("type", Some(Value::from(format!("{of}{kind}Event")))),
            ("root_path", Some(Value::from(self.planned.settings.path.as_str()))),
            ("dest_path", target.map(Value::from)),
        ];
        let fields: Vec<(&str, Field<'_>)> =
            values.iter().filter_map(|(name, value)| Some((*name, Field::Value(value.as_ref()?)))).collect();
        Some(Event {
            content: Ok(self.envelope.line(&fields, &EventMeta::default())),
            at: format!("{}/{}", self.node, self.number),
            position: Position(self.number.to_string().into()),
            reply: None,
        })
    }
}

#[async_trait]
impl Source for FileWatch {
    async fn next(&mut self) -> Result<Option<Arrival>> {
        loop {
            if let Some(arrival) = self.ready.pop_front() {
                return Ok(Some(arrival));
            }
            match self.changes.recv().await {
                Some(changes) => {
                    let events = changes?.iter().filter_map(|change| self.event(change)).collect();
                    self.ready.extend(self.decoder.decode(events)?);
                }
                None => return Err(Error::external("the files are no longer watched")),
            }
        }
    }
}

#[cfg(test)]
mod tests;
