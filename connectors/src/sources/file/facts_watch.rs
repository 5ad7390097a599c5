//! Facts files that are read again whenever they change, as ansible-rulebook does.

use std::collections::VecDeque;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use tidegate_pipeline::diagnosis::Diagnosis;
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::rows::Rejected;
use tidegate_pipeline::source::{Arrival, OpenSource, Source, SourceContext};
use tidegate_pipeline::step::Position;
use tokio::time::Instant;

use super::facts::events;
use crate::event::{Event, EventDecoder};
use crate::sources::file::input::open_file;

/// How often the files are looked at.
const EVERY: Duration = Duration::from_millis(500);

/// The files, as planned.
pub(super) struct PlannedFacts {
    pub(super) files: Vec<String>,
    pub(super) folder: PathBuf,
    pub(super) schema: SchemaRef,
}

#[async_trait]
impl OpenSource for PlannedFacts {
    async fn open(&self, context: SourceContext) -> Result<Box<dyn Source>> {
        let number = match &context.position {
            Some(position) => serde_json::from_str(&position.0)
                .map_err(|error| Error::internal(format!("`{position}` is not a number of events: {error}")))?,
            None => 0,
        };
        let file = |name: &String| Watched { name: name.clone(), path: self.folder.join(name), seen: None };
        Ok(Box::new(FactsWatch {
            decoder: EventDecoder::new(&context, &self.schema),
            files: self.files.iter().map(file).collect(),
            node: context.node,
            number,
            due: Instant::now(),
            ready: VecDeque::new(),
        }))
    }

    async fn diagnose(&self, _context: SourceContext, found: &mut Diagnosis) {
        for name in &self.files {
            found.about(name);
            let facts = async {
                let file = Watched { name: name.clone(), path: self.folder.join(name), seen: None };
                Ok(((), format!("{} events", contents(&file)?.len())))
            };
            found.check("facts read", facts).await;
        }
        found.about_all(true);
    }
}

/// A file, and what it was when it was last read.
struct Watched {
    name: String,
    path: PathBuf,
    seen: Option<Seen>,
}

/// What changes with the contents: inode, length, time.
type Seen = (u64, u64, i64, i64);

fn seen(found: &Metadata) -> Seen {
    (found.ino(), found.len(), found.mtime(), found.mtime_nsec())
}

/// Open files.
struct FactsWatch {
    decoder: EventDecoder,
    files: Vec<Watched>,
    node: Arc<str>,
    number: u64,
    /// When they are looked at next.
    due: Instant,
    ready: VecDeque<Arrival>,
}

impl FactsWatch {
    /// Reads the files that have changed.
    fn look(&mut self) -> Result<()> {
        let mut read = Vec::new();
        for file in &mut self.files {
            let now = std::fs::metadata(&file.path).ok().as_ref().map(seen);
            if now.is_some() && now != file.seen {
                read.push((file.name.clone(), contents(file)));
            }
            file.seen = now;
        }
        let mut found = Vec::new();
        for (name, contents) in read {
            match contents {
                Ok(values) => {
                    for value in values {
                        self.number += 1;
                        found.push(self.event(Ok(value.to_string().into_bytes())));
                    }
                }
                // A file that is broken now may be mended by its next change.
                Err(error) => found.push(self.event(Err(Rejected::new(name, error.message, b"")))),
            }
        }
        self.ready.extend(self.decoder.decode(found)?);
        Ok(())
    }

    fn event(&self, content: Result<Vec<u8>, Rejected>) -> Event {
        let (at, position) = (format!("{}/{}", self.node, self.number), Position(self.number.to_string().into()));
        Event { content, at, position, reply: None }
    }
}

fn contents(file: &Watched) -> Result<Vec<serde_json::Value>> {
    let mut text = String::new();
    std::io::Read::read_to_string(&mut open_file(&file.path, &file.name)?, &mut text)
        .map_err(|error| super::input::read_failed(&file.name, &error))?;
    events(&text, &file.name)
}

#[async_trait]
impl Source for FactsWatch {
    async fn next(&mut self) -> Result<Option<Arrival>> {
        loop {
            if let Some(arrival) = self.ready.pop_front() {
                return Ok(Some(arrival));
            }
            tokio::time::sleep_until(self.due).await;
            self.due = Instant::now() + EVERY;
            self.look()?;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tidegate_pipeline::source::{Delivery, SourceKind, SourcePlanContext};

    use crate::sources::file::FileKind;
    use crate::sources::testing::{context, options, text};

    #[tokio::test]
    async fn files_are_read_at_the_start_and_whenever_they_change() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("a.yml", "[{n: 1}, {n: 2}]");
        write("b.yml", "");
        let settings = options(r#"{"files": ["a.yml", "b.yml"], "follow": true}"#);
        let working_directory = Path::new(folder.path()).to_owned();
        let plan = SourcePlanContext { node: "in", working_directory, recorded: None };
        let planned = FileKind.plan(&settings, &plan).unwrap();
        assert!(!planned.bounded && planned.delivery == Delivery::Inline);
        let mut source = planned.open.open(context()).await.unwrap();
        assert_eq!(text(&[source.next().await.unwrap().unwrap()]), "{\"n\":1}\n{\"n\":2}\n");
        write("b.yml", "{n: 3, m: x}");
        assert_eq!(text(&[source.next().await.unwrap().unwrap()]), "{\"n\":3,\"m\":\"x\"}\n");
        write("b.yml", "[1]");
        let broken = source.next().await.unwrap().unwrap();
        assert!(
            broken.rejected.iter().any(|one| one.position == "b.yml" && one.reason.contains("not maps")),
            "{broken:?}"
        );
        std::fs::remove_file(folder.path().join("a.yml")).unwrap();
        tokio::time::timeout(super::EVERY * 2, source.next()).await.unwrap_err();
        write("a.yml", "n: 4");
        assert_eq!(text(&[source.next().await.unwrap().unwrap()]).lines().count(), 1);
    }
}
