//! `exec`: the JSON lines that a program writes.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use schemars::JsonSchema;
use secrecy::ExposeSecret;
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
use tidegate_pipeline::spec::diagnostic::Diagnostic;
use tidegate_pipeline::spec::{Options, Secret};
use tidegate_pipeline::step::Position;

use crate::diagnosis;
use crate::event::{Envelope, Event, EventDecoder, event_port, whole};
use crate::places::Places;
use crate::program::{Line, Program, ProgramCommand, Said};

/// The options of `exec`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExecOptions {
    /// The program and what it is given: `[python3, plugin.py, --fast]`. No shell reads it.
    pub command: Vec<String>,
    /// Variables of its environment, besides those of Tidegate.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Variables of its environment that are secrets.
    #[serde(default)]
    pub secrets: BTreeMap<String, Secret>,
    /// The folder that it runs in; by default Tidegate's.
    pub folder: Option<String>,
    /// Exit codes that mean the end of its input; after any other it is started again.
    #[serde(default = "zero")]
    pub done: Vec<i32>,
    /// Exit codes after which it is not started again: the pipeline stops with an error.
    #[serde(default)]
    pub fatal: Vec<i32>,
    /// The longest line in bytes; longer ones are rejected.
    #[serde(default = "default_max_line")]
    pub max_line: usize,
}

fn zero() -> Vec<i32> {
    vec![0]
}

fn default_max_line() -> usize {
    1024 * 1024
}

/// The kind `exec`.
#[derive(Debug, Clone, Copy)]
pub struct ExecKind;

// matrix: exec: kill-before-ack: nobody keeps what a program says
// matrix: exec: kill-after-ack: nothing is acknowledged
impl SourceKind for ExecKind {
    fn name(&self) -> &'static str {
        "exec"
    }

    fn summary(&self) -> &'static str {
        "The JSON lines that a program writes, an event each"
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee {
            class: GuaranteeClass::BestEffort,
            on_crash: "What the program has written and was not journaled yet is lost, and so is what it would have seen until it runs again. It is started anew.",
        }
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(ExecOptions)
    }

    fn plan(&self, options: &Options, context: &SourcePlanContext<'_>) -> Result<PlannedSource, Vec<Diagnostic>> {
        let settings: ExecOptions = options.read()?;
        let Some((program, arguments)) = settings.command.split_first().filter(|(program, _)| !program.is_empty())
        else {
            return Err(vec![Places(options).at("command", "`command` names no program")]);
        };
        if settings.max_line == 0 {
            return Err(vec![Places(options).at("max_line", "`max_line` must be at least 1")]);
        }
        let command = ProgramCommand {
            program: program.clone(),
            arguments: arguments.to_vec(),
            environment: settings.env.clone(),
            folder: context.working_directory.join(settings.folder.as_ref().map(PathBuf::from).unwrap_or_default()),
        };
        let schema = envelope_schema([], []);
        let open = PlannedExec { command, settings, schema: Arc::clone(&schema) };
        let planned = PlannedSource::new(Delivery::Inline, vec![event_port(schema)], open);
        Ok(PlannedSource { envelope: true, reconnects: true, ..planned })
    }
}

struct PlannedExec {
    command: ProgramCommand,
    settings: ExecOptions,
    schema: SchemaRef,
}

#[async_trait]
impl OpenSource for PlannedExec {
    async fn open(&self, context: SourceContext) -> Result<Box<dyn Source>> {
        let mut command = self.command.clone();
        for (name, secret) in &self.settings.secrets {
            command.environment.insert(name.clone(), secret.resolve()?.expose_secret().to_owned());
        }
        let lines = match &context.position {
            Some(position) => serde_json::from_str(&position.0)
                .map_err(|error| Error::internal(format!("`{position}` is not a number of lines: {error}")))?,
            None => 0,
        };
        Ok(Box::new(Exec {
            program: Program::start(&command, &context.node, self.settings.max_line)?,
            envelope: Envelope::new(&context.node, "exec"),
            decoder: EventDecoder::new(&context, &self.schema),
            node: Arc::clone(&context.node),
            settings: self.settings.clone(),
            lines,
            ready: VecDeque::new(),
        }))
    }

    async fn diagnose(&self, context: SourceContext, found: &mut Diagnosis) {
        let source = diagnosis::open(found, "program started", self.open(context)).await;
        diagnosis::first_arrival(found, "first event", source).await;
    }
}

/// An open `exec`.
struct Exec {
    program: Program,
    envelope: Envelope,
    decoder: EventDecoder,
    node: Arc<str>,
    settings: ExecOptions,
    /// How many lines have come since the source was first opened.
    lines: u64,
    ready: VecDeque<Arrival>,
}

impl Exec {
    fn event(&mut self, line: &Line) -> Option<Event> {
        self.lines += 1;
        let at = format!("{}/{}", self.node, self.lines);
        let position = Position(self.lines.to_string().into());
        let content = match line {
            Line::Whole(text) if text.trim_ascii().is_empty() => return None,
            Line::Whole(text) => object(text, &self.envelope).map_err(|reason| Rejected::new(&at, reason, text)),
            Line::TooLong(text) => {
                let reason = format!("the line is longer than {} bytes (`max_line`)", self.settings.max_line);
                Err(Rejected::new(&at, reason, text))
            }
        };
        Some(Event { content, at, position, reply: None })
    }

    /// What the end of the program means.
    fn ended(&self, status: ExitStatus, last: Option<String>) -> Result<()> {
        if status.code().is_some_and(|code| self.settings.done.contains(&code)) {
            return Ok(());
        }
        let last = last.map(|last| format!(": {last}")).unwrap_or_default();
        let error = Error::external(format!("the program ended ({status}){last}"));
        match status.code().is_some_and(|code| self.settings.fatal.contains(&code)) {
            true => Err(error.never_retry().with_remedy("its exit code is one of `fatal`")),
            false => Err(error),
        }
    }
}

/// A line of a program as an event.
fn object(text: &[u8], envelope: &Envelope) -> Result<Vec<u8>, String> {
    let value: Value = serde_json::from_slice(text).map_err(|error| format!("the line is not JSON: {error}"))?;
    let Value::Object(members) = value else { return Err("the line is no JSON object".to_owned()) };
    Ok(whole::line(members, Map::new(), envelope)?)
}

#[async_trait]
impl Source for Exec {
    async fn next(&mut self) -> Result<Option<Arrival>> {
        loop {
            if let Some(arrival) = self.ready.pop_front() {
                return Ok(Some(arrival));
            }
            match self.program.next().await? {
                Said::Lines(lines) => {
                    let events = lines.iter().filter_map(|line| self.event(line)).collect();
                    self.ready.extend(self.decoder.decode(events)?);
                }
                Said::Ended(status, last) => return self.ended(status, last).map(|()| None),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tidegate_pipeline::error::Retry;

    use super::*;
    use crate::sources::testing::{context, options, plan, text};

    async fn opened(script: &str, more: &str) -> Box<dyn Source> {
        let given = format!("{{\"command\": [\"sh\", \"-c\", {}]{more}}}", Value::from(script));
        plan(&ExecKind, &options(&given)).unwrap().open.open(context()).await.unwrap()
    }

    async fn all(source: &mut dyn Source) -> (Vec<Value>, Vec<String>, Option<Error>) {
        let (mut rows, mut rejected) = (Vec::new(), Vec::new());
        loop {
            match source.next().await {
                Ok(Some(arrival)) => {
                    rejected.extend(arrival.rejected.iter().map(|one| format!("{} {}", one.position, one.reason)));
                    rows.extend(text(&[arrival]).lines().map(|line| serde_json::from_str(line).unwrap()));
                }
                Ok(None) => return (rows, rejected, None),
                Err(error) => return (rows, rejected, Some(error)),
            }
        }
    }

    // matrix: exec: happy
    #[tokio::test]
    async fn each_line_is_an_event_with_what_it_says_of_itself() {
        let script = r#"echo '{"a":{"b":1},"meta":{"uuid":"u","hosts":"x, y","k":1}}'; echo; echo "{\"a\":{\"b\":2},\"c\":\"$SAID\"}""#;
        let mut source = opened(script, r#","env":{"SAID":"hello"}"#).await;
        let (rows, rejected, error) = all(source.as_mut()).await;
        assert_eq!((rows.len(), rejected.len(), error.is_none()), (2, 0, true));
        let source = serde_json::json!({"name": "in", "type": "exec"});
        assert_eq!(rows[0]["meta"], serde_json::json!({"uuid":"u","hosts":["x","y"],"k":1,"source":source}));
        assert_eq!((&rows[1]["a"]["b"], &rows[1]["c"]), (&Value::from(2), &Value::from("hello")));
    }

    // matrix: exec: malformed
    #[tokio::test]
    async fn what_is_no_object_or_too_long_is_rejected_and_the_rest_comes() {
        let script =
            "echo '[1]'; echo '{'; echo '{\"long\":\"xxxxxxxxxxxxxxxxxxxx\"}'; echo '{\"meta\":1}'; echo '{\"a\":1}'";
        let (rows, rejected, _) = all(opened(script, r#","max_line":20"#).await.as_mut()).await;
        assert_eq!(rows.len(), 1);
        let wanted = [
            "in/1 the line is no JSON object",
            "in/2 the line is not JSON",
            "in/3 the line is longer than 20",
            "in/4 `meta` is no object",
        ];
        assert!(
            rejected.len() == 4 && wanted.iter().all(|wanted| rejected.iter().any(|found| found.starts_with(wanted))),
            "{rejected:?}"
        );
    }

    // matrix: exec: disconnect
    #[tokio::test]
    async fn exit_codes_say_whether_it_has_ended_is_started_again_or_stops_the_pipeline() {
        let more = r#","done":[0,7],"fatal":[9]"#;
        assert!(all(opened("exit 7", more).await.as_mut()).await.2.is_none());
        let error = all(opened("echo broken >&2; exit 3", more).await.as_mut()).await.2.unwrap();
        assert_eq!(
            (error.message.as_str(), error.retry),
            ("the program ended (exit status: 3): broken", Retry::WithBackoff)
        );
        assert_eq!(all(opened("exit 9", more).await.as_mut()).await.2.unwrap().retry, Retry::Never);
        assert_eq!(all(opened("kill -9 $$", more).await.as_mut()).await.2.unwrap().retry, Retry::WithBackoff);
    }

    #[test]
    fn a_command_without_a_program_is_refused() {
        assert!(plan(&ExecKind, &options(r#"{"command": []}"#)).is_err());
        assert!(plan(&ExecKind, &options(r"{}")).is_err());
    }
}
