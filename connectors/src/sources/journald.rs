//! `journald`: the entries of systemd's journal, as `journalctl` gives them.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field as Column, SchemaRef};
use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use tidegate_pipeline::diagnosis::Diagnosis;
use tidegate_pipeline::envelope::envelope_schema;
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::rows::Rejected;
use tidegate_pipeline::source::{
    Arrival, Delivery, Guarantee, GuaranteeClass, OpenSource, PlannedSource, Source, SourceContext, SourceKind,
    SourcePlanContext,
};
use tidegate_pipeline::spec::diagnostic::{Diagnostic, Located};
use tidegate_pipeline::spec::{OneOrMany, Options};
use tidegate_pipeline::step::Position;
use tokio::time::Instant;

use crate::diagnosis;
use crate::event::{Envelope, Event, EventDecoder, EventMeta, Field, event_port};
use crate::places::Places;
use crate::program::{Line, Program, ProgramCommand, Said};

/// The longest entry, in bytes: journald itself cuts messages at 48 KiB, but a field may hold a core dump's report.
const MAX_ENTRY: usize = 8 * 1024 * 1024;

/// Fields that most entries have, as they are written here.
const USUAL: [&str; 19] = [
    "message",
    "message_id",
    "priority",
    "syslog_facility",
    "syslog_identifier",
    "_pid",
    "_uid",
    "_gid",
    "_comm",
    "_exe",
    "_cmdline",
    "_systemd_unit",
    "_hostname",
    "_machine_id",
    "_boot_id",
    "_transport",
    "__cursor",
    "__realtime_timestamp",
    "__monotonic_timestamp",
];

/// The columns of events as far as they are known before there is one.
fn usual_schema() -> SchemaRef {
    let usual: Vec<Column> = USUAL.iter().map(|name| Column::new(*name, DataType::Utf8, true)).collect();
    envelope_schema([Column::new("journald", DataType::Struct(usual.into()), true)], [])
}

/// The options of `journald`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JournaldOptions {
    /// `ALL`, or `FIELD=value`; of a list, entries that match all different fields, and one value of each.
    pub r#match: OneOrMany<Located<String>>,
    /// Seconds between two events.
    #[serde(default)]
    pub delay: f64,
    /// A journal file, read from its beginning to its end, instead of this machine's journal from now on.
    pub file: Option<String>,
    /// The program that reads the journal.
    #[serde(default = "default_program")]
    pub journalctl: String,
}

fn default_program() -> String {
    "journalctl".to_owned()
}

/// The kind `journald`.
#[derive(Debug, Clone, Copy)]
pub struct JournaldKind;

// matrix: journald: disconnect: it reads files of this machine
impl SourceKind for JournaldKind {
    fn name(&self) -> &'static str {
        "journald"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["ansible.eda.journald", "eda.builtin.journald"]
    }

    fn summary(&self) -> &'static str {
        "The entries of systemd's journal from now on, or of a journal file"
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee {
            class: GuaranteeClass::Replayable,
            on_crash: "It goes on behind the last entry that was journaled, as long as the journal still holds it; before the first entry it begins with what comes after the start.",
        }
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(JournaldOptions)
    }

    fn state_of(&self, options: &Options) -> Option<String> {
        Some(options.canonical_of(&["file"]))
    }

    fn plan(&self, options: &Options, context: &SourcePlanContext<'_>) -> Result<PlannedSource, Vec<Diagnostic>> {
        let settings: JournaldOptions = options.read()?;
        let delay = super::seconds(settings.delay)
            .ok_or_else(|| vec![Places(options).at("delay", "`delay` must be a number of seconds, 0 or more")])?;
        let wrong: Vec<Diagnostic> = settings.r#match.iter().filter(|text| !is_match(text)).map(no_match).collect();
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let bounded = settings.file.is_some();
        let folder = context.working_directory.clone();
        let schema = usual_schema();
        let open = PlannedJournald { settings, folder, delay, schema: Arc::clone(&schema) };
        let planned = PlannedSource::new(Delivery::Inline, vec![event_port(schema)], open);
        Ok(PlannedSource { envelope: true, reconnects: !bounded, bounded, ..planned })
    }
}

fn is_match(text: &str) -> bool {
    let field = |name: &str| {
        let legal = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        !name.is_empty() && name.chars().all(legal)
    };
    text == "ALL" || text.split_once('=').is_some_and(|(name, _)| field(name))
}

fn no_match(text: &Located<String>) -> Diagnostic {
    Diagnostic::error(text.place, format!("`{}` matches no entries", text.value))
        .with_help("write `ALL`, or `FIELD=value` with the field in upper case: `_SYSTEMD_UNIT=sshd.service`")
}

async fn version(program: &str) -> Result<String> {
    let output = tokio::process::Command::new(program).arg("--version").kill_on_drop(true).output().await;
    let output = output.map_err(|error| {
        Error::external(format!("`{program}` cannot be started: {error}")).with_remedy("install systemd's journalctl")
    })?;
    Ok(String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned())
}

struct PlannedJournald {
    settings: JournaldOptions,
    folder: PathBuf,
    delay: std::time::Duration,
    schema: SchemaRef,
}

impl PlannedJournald {
    fn command(&self, cursor: Option<&str>) -> ProgramCommand {
        let mut arguments: Vec<String> =
            ["--output=json", "--all", "--no-pager", "--quiet"].iter().map(|argument| (*argument).to_owned()).collect();
        match (&self.settings.file, cursor) {
            (Some(file), _) => arguments.push(format!("--file={}", self.folder.join(file).display())),
            (None, Some(_)) => arguments.push("--follow".to_owned()),
            (None, None) => arguments.extend(["--follow".to_owned(), "--lines=0".to_owned()]),
        }
        if let Some(cursor) = cursor {
            // Behind a cursor all is shown, not only the last ten entries.
            arguments.extend([format!("--after-cursor={cursor}"), "--no-tail".to_owned()]);
        }
        arguments
            .extend(self.settings.r#match.iter().filter(|text| text.value != "ALL").map(|text| text.value.clone()));
        ProgramCommand {
            program: self.settings.journalctl.clone(),
            arguments,
            environment: BTreeMap::new(),
            folder: self.folder.clone(),
        }
    }
}

#[async_trait]
impl OpenSource for PlannedJournald {
    async fn open(&self, context: SourceContext) -> Result<Box<dyn Source>> {
        let cursor: Option<String> = match &context.position {
            Some(position) => serde_json::from_str(&position.0)
                .map_err(|error| Error::internal(format!("`{position}` is not a cursor: {error}")))?,
            None => None,
        };
        if let Some(file) = &self.settings.file {
            let path = self.folder.join(file);
            tokio::fs::metadata(&path).await.map_err(|error| {
                Error::external(format!("`{file}` cannot be read: {error}")).with_remedy("correct `file`").never_retry()
            })?;
        }
        Ok(Box::new(Journald {
            program: Program::start(&self.command(cursor.as_deref()), &context.node, MAX_ENTRY)?,
            envelope: Envelope::new(&context.node, "journald"),
            decoder: EventDecoder::new(&context, &self.schema),
            cursor,
            node: context.node,
            bounded: self.settings.file.is_some(),
            delay: self.delay,
            due: None,
            waiting: VecDeque::new(),
            ready: VecDeque::new(),
        }))
    }

    async fn diagnose(&self, context: SourceContext, found: &mut Diagnosis) {
        let version = version(&self.settings.journalctl);
        found.check("journalctl there", async { Ok(((), version.await?)) }).await;
        diagnosis::open(found, "journal read", self.open(context)).await;
    }
}

/// An open `journald`.
struct Journald {
    program: Program,
    envelope: Envelope,
    decoder: EventDecoder,
    node: Arc<str>,
    /// The last entry that was taken.
    cursor: Option<String>,
    bounded: bool,
    delay: std::time::Duration,
    due: Option<Instant>,
    /// Entries that wait for their time.
    waiting: VecDeque<Line>,
    ready: VecDeque<Arrival>,
}

impl Journald {
    fn event(&mut self, line: &Line) -> Result<Event> {
        let content = match line {
            Line::Whole(text) => entry(text).map_err(|reason| (reason, text)),
            Line::TooLong(text) => Err((format!("the entry is longer than {MAX_ENTRY} bytes"), text)),
        };
        let content = match content {
            Ok((fields, cursor)) => {
                self.cursor = cursor.or(self.cursor.take());
                let fields = Value::Object(fields);
                Ok(self.envelope.line(&[("journald", Field::Value(&fields))], &EventMeta::default()))
            }
            Err((reason, text)) => Err(Rejected::new(self.at(), reason, text)),
        };
        let position = serde_json::to_string(&self.cursor).map_err(Error::internal)?;
        Ok(Event { content, at: self.at(), position: Position(position.into()), reply: None })
    }

    fn at(&self) -> String {
        format!("{}/{}", self.node, self.cursor.as_deref().unwrap_or("-"))
    }

    /// Makes events of the entries whose time has come. Cancel-safe: nothing is taken before the waiting is over.
    async fn release(&mut self) -> Result<()> {
        let mut lines = Vec::new();
        if self.delay.is_zero() {
            lines.extend(self.waiting.drain(..));
        } else {
            if let Some(due) = self.due {
                tokio::time::sleep_until(due).await;
            }
            self.due = Some(Instant::now() + self.delay);
            lines.extend(self.waiting.pop_front());
        }
        let events = lines.iter().map(|line| self.event(line)).collect::<Result<Vec<_>>>()?;
        self.ready.extend(self.decoder.decode(events)?);
        Ok(())
    }
}

/// An entry's fields, in lower case, and its cursor.
fn entry(text: &[u8]) -> Result<(Map<String, Value>, Option<String>), String> {
    let fields: Map<String, Value> =
        serde_json::from_slice(text).map_err(|error| format!("journalctl wrote what is no entry: {error}"))?;
    let cursor = fields.get("__CURSOR").and_then(Value::as_str).map(str::to_owned);
    let mut lower = Map::new();
    for (name, value) in fields {
        let name = name.to_lowercase();
        match plain(&value) {
            Plain::Text(text) => drop(lower.insert(name, text.into())),
            Plain::Bytes(bytes) => drop(lower.insert(format!("{name}_base64"), STANDARD.encode(bytes).into())),
            Plain::Nothing => {}
        }
    }
    Ok((lower, cursor))
}

/// What a field says.
enum Plain {
    Text(String),
    Bytes(Vec<u8>),
    Nothing,
}

/// A value of a field: text, bytes as a list of numbers, or a list of values where the entry has several of them.
fn plain(value: &Value) -> Plain {
    match value {
        Value::Null => Plain::Nothing,
        Value::String(text) => Plain::Text(text.clone()),
        Value::Array(items) if items.iter().all(Value::is_number) => {
            let bytes: Vec<u8> =
                items.iter().filter_map(|item| item.as_u64().and_then(|byte| u8::try_from(byte).ok())).collect();
            match String::from_utf8(bytes) {
                Ok(text) => Plain::Text(text),
                Err(error) => Plain::Bytes(error.into_bytes()),
            }
        }
        Value::Array(items) => {
            let texts = items.iter().map(|item| match plain(item) {
                Plain::Text(text) => text,
                Plain::Bytes(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                Plain::Nothing => String::new(),
            });
            Plain::Text(texts.collect::<Vec<_>>().join("\n"))
        }
        other => Plain::Text(other.to_string()),
    }
}

#[async_trait]
impl Source for Journald {
    async fn next(&mut self) -> Result<Option<Arrival>> {
        loop {
            if let Some(arrival) = self.ready.pop_front() {
                return Ok(Some(arrival));
            }
            if !self.waiting.is_empty() {
                self.release().await?;
                continue;
            }
            match self.program.next().await? {
                Said::Lines(lines) => self.waiting.extend(lines),
                Said::Ended(status, _) if self.bounded && status.success() => return Ok(None),
                Said::Ended(status, last) => {
                    let last = last.map(|last| format!(": {last}")).unwrap_or_default();
                    return Err(Error::external(format!("journalctl ended ({status}){last}")));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::sources::testing::{context, drain, options, plan, text};

    /// A program that writes what it is given to a file, and these lines.
    fn stand_in(lines: &str) -> (tempfile::TempDir, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journalctl");
        let script = format!("#!/bin/sh\necho \"$@\" > {}/given\ncat <<'END'\n{lines}\nEND\n", folder.path().display());
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(folder.path().join("a.journal"), "").unwrap();
        let path = path.display().to_string();
        (folder, path)
    }

    const ENTRIES: &str = r#"{"__CURSOR":"s=1","MESSAGE":"hello","_PID":"7","PRIORITY":null}
{"__CURSOR":"s=2","MESSAGE":[104,195,188],"RAW":[255,254],"TAG":["a","b"]}
nonsense
{"__CURSOR":"s=3","MESSAGE":"last"}"#;

    // matrix: journald: malformed
    #[tokio::test]
    async fn fields_are_lower_case_and_bytes_are_text_where_they_can_be() {
        let (folder, program) = stand_in(ENTRIES);
        let given = serde_json::json!({"match": ["_PID=7", "PRIORITY=3"], "file": "a.journal", "journalctl": program});
        let settings = options(&given.to_string());
        let context_of_plan =
            SourcePlanContext { node: "in", working_directory: folder.path().to_owned(), recorded: None };
        let planned = JournaldKind.plan(&settings, &context_of_plan).unwrap();
        assert!(planned.bounded);
        let arrivals = drain(planned.open.open(context()).await.unwrap().as_mut()).await;
        let rows: Vec<Value> = text(&arrivals).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(rows[0]["journald"], serde_json::json!({"__cursor":"s=1","message":"hello","_pid":"7"}));
        let second = serde_json::json!({"__cursor":"s=2","message":"hü","raw_base64":"//4=","tag":"a\nb"});
        assert_eq!((&rows[1]["journald"], rows.len()), (&second, 3));
        let rejected: Vec<&Rejected> = arrivals.iter().flat_map(|arrival| &arrival.rejected).collect();
        assert!(rejected.len() == 1 && rejected[0].position == "in/s=2", "{rejected:?}");
        assert_eq!(&*arrivals.last().unwrap().position.0, "\"s=3\"");
        let said = fs::read_to_string(folder.path().join("given")).unwrap();
        assert!(said.contains("/a.journal _PID=7 PRIORITY=3") && !said.contains("--follow"), "{said}");
    }

    #[tokio::test]
    async fn it_goes_on_behind_its_cursor_and_without_one_with_what_comes() {
        let (folder, program) = stand_in(ENTRIES);
        let given = serde_json::json!({"match": "ALL", "journalctl": program}).to_string();
        for (position, wanted) in
            [(None, "--follow --lines=0"), (Some("\"s=1\""), "--follow --after-cursor=s=1 --no-tail")]
        {
            let context = SourceContext { position: position.map(|text| Position(text.into())), ..context() };
            let mut source = plan(&JournaldKind, &options(&given)).unwrap().open.open(context).await.unwrap();
            let mut arrivals = Vec::new();
            let error = loop {
                match source.next().await {
                    Ok(Some(arrival)) => arrivals.push(arrival),
                    Ok(None) => panic!("a followed journal has no end"),
                    Err(error) => break error,
                }
            };
            assert!(error.message.contains("journalctl ended"), "{error}");
            let said = fs::read_to_string(folder.path().join("given")).unwrap();
            assert!(said.trim().ends_with(wanted), "{said}");
        }
    }

    #[test]
    fn a_match_is_all_or_a_field_and_its_value() {
        let message = |text: &str| {
            let given = serde_json::json!({ "match": text }).to_string();
            plan(&JournaldKind, &options(&given)).err().map(|found| found[0].message.clone())
        };
        assert_eq!(message("ALL"), None);
        assert_eq!(message("_SYSTEMD_UNIT=sshd.service"), None);
        assert_eq!(message("sshd"), Some("`sshd` matches no entries".to_owned()));
        assert_eq!(message("--rotate"), Some("`--rotate` matches no entries".to_owned()));
        assert!(plan(&JournaldKind, &options("{}")).is_err());
    }
}
