//! `generic`: payloads from the pipeline's text or a YAML file, as often and as fast as it says. For tests
//! and demonstrations.

pub mod options;
mod script;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use serde_json::{Map, Value};
use tidegate_pipeline::diagnosis::Diagnosis;
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::rows::{Port, PortIndex};
use tidegate_pipeline::source::{
    Arrival, Delivery, Guarantee, GuaranteeClass, OpenSource, PlannedSource, Source, SourceContext, SourceKind,
    SourcePlanContext,
};
use tidegate_pipeline::spec::diagnostic::Diagnostic;
use tidegate_pipeline::spec::{Options, Variables, parse};
use tidegate_pipeline::step::Position;
use tokio::time::Instant;

use self::options::GenericOptions;
use self::script::Script;
use crate::decode::chunk::RawChunk;
use crate::decode::infer::infer;
use crate::decode::json_lines::JsonLines;
use crate::decode::segment::{Limits, Naming, TextPosition};
use crate::decode::shape::Members;
use crate::places::Places;

/// The most events of a batch when there are no delays.
const BATCH: u64 = 1024;
const MAX_COLUMNS: usize = 10_000;

/// The kind `generic`.
#[derive(Debug, Clone, Copy)]
pub struct GenericKind;

// matrix: generic: disconnect: it reads nothing while it runs
impl SourceKind for GenericKind {
    fn name(&self) -> &'static str {
        "generic"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["ansible.eda.generic", "eda.builtin.generic"]
    }

    fn summary(&self) -> &'static str {
        "Scripted payloads, repeated and delayed as wanted; for tests"
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee {
            class: GuaranteeClass::Replayable,
            on_crash: "It goes on behind the last event that was journaled.",
        }
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(GenericOptions)
    }

    fn plan(&self, options: &Options, context: &SourcePlanContext<'_>) -> Result<PlannedSource, Vec<Diagnostic>> {
        let places = Places(options);
        let settings: GenericOptions = options.read()?;
        settings.check(&places)?;
        let payload = match &settings.payload_file {
            Some(file) => payload_of_file(file, &context.working_directory, &places)?,
            None => settings.payload.clone().unwrap_or_default(),
        };
        let key = if settings.payload_file.is_some() { "payload_file" } else { "payload" };
        let items = events(payload).map_err(|what| {
            vec![places.at(key, format!("`{key}` must be a map or a list of maps; it holds {what}"))]
        })?;
        let bounded = settings.loop_count >= 0;
        let script = Arc::new(Script::new(items, settings));
        let schema = infer(script.samples(), Members::default(), MAX_COLUMNS).schema();
        Ok(PlannedSource {
            delivery: Delivery::Inline,
            acknowledges: false,
            bounded,
            envelope: false,
            reconnects: false,
            ports: vec![Port::out(Arc::clone(&schema))],
            tables: Vec::new(),
            refresh: None,
            open: Box::new(PlannedGeneric { script, schema }),
        })
    }
}

fn payload_of_file(file: &str, folder: &Path, places: &Places<'_>) -> Result<Value, Vec<Diagnostic>> {
    let wrong = |message: String| vec![places.at("payload_file", message)];
    let text = std::fs::read_to_string(folder.join(file)).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => wrong(format!("File {file} not found")),
        _ => wrong(format!("File {file} cannot be read: {error}")),
    })?;
    let tree = parse(&text, &Variables::literal()).map_err(|found| {
        let first = found.first().map(|found| format!("{}: {}", found.place, found.message)).unwrap_or_default();
        wrong(format!("File {file} parsing error {first}"))
    })?;
    Ok(Value::from(&tree.value))
}

fn events(payload: Value) -> Result<Vec<Map<String, Value>>, &'static str> {
    let items = match payload {
        Value::Array(items) => items,
        other => vec![other],
    };
    let map = |item| match item {
        Value::Object(map) => Ok(map),
        Value::Null => Err("nothing"),
        _ => Err("something else"),
    };
    items.into_iter().map(map).collect()
}

struct PlannedGeneric {
    script: Arc<Script>,
    schema: SchemaRef,
}

#[async_trait]
impl OpenSource for PlannedGeneric {
    async fn open(&self, context: SourceContext) -> Result<Box<dyn Source>> {
        self.script.options.check_environment(|name| std::env::var(name).ok())?;
        let next = match &context.position {
            Some(position) => serde_json::from_str(&position.0)
                .map_err(|error| Error::internal(format!("`{position}` is not a number of events: {error}")))?,
            None => 0,
        };
        let naming = Naming::File(context.node);
        let limits = Limits { max_line: usize::MAX, max_columns: MAX_COLUMNS, fixed: Arc::new([]), naming };
        Ok(Box::new(Generic {
            script: Arc::clone(&self.script),
            schema: Arc::clone(&self.schema),
            decoder: JsonLines::new(Arc::new(limits)),
            next,
            due: None,
        }))
    }

    async fn diagnose(&self, _context: SourceContext, found: &mut Diagnosis) {
        let wanted = self.script.options.check_env_vars.len();
        let environment = self.script.options.check_environment(|name| std::env::var(name).ok());
        let told = format!("{wanted} variables as expected");
        found.check("environment", async { environment.map(|()| ((), told)) }).await;
        found.check("events", async { Ok(((), self.script.told())) }).await;
    }
}

/// An open `generic`.
struct Generic {
    script: Arc<Script>,
    schema: SchemaRef,
    decoder: JsonLines,
    /// The number of the next event.
    next: u64,
    /// When it may leave.
    due: Option<Instant>,
}

impl Generic {
    /// Waits for the pause before the next event. Cancel-safe: the moment is kept.
    async fn pause(&mut self, pause: Duration) {
        let due = *self.due.get_or_insert_with(|| Instant::now() + pause);
        if !pause.is_zero() {
            tokio::time::sleep_until(due).await;
        }
        self.due = None;
    }

    fn arrival(&self, lines: Vec<u8>, from: u64, to: u64) -> Result<Arrival> {
        let (from, end) = (TextPosition { offset: 0, line: from }, TextPosition { offset: 0, line: to });
        let chunk = RawChunk { from, to: end, bytes: lines, too_long: None, hash: 0 };
        let mut arrival: Option<Arrival> = None;
        for segment in self.decoder.decode(&chunk, &self.schema)? {
            let position = Position(to.to_string().into());
            let arrival = arrival
                .get_or_insert_with(|| Arrival { rows: Vec::new(), ..Arrival::rows(segment.batch.clone(), position) });
            arrival.rejected.extend(segment.rejected);
            if segment.batch.num_rows() > 0 {
                arrival.rows.push((PortIndex(0), segment.batch));
            }
        }
        arrival.ok_or_else(|| Error::internal("a chunk without a segment"))
    }
}

#[async_trait]
impl Source for Generic {
    async fn next(&mut self) -> Result<Option<Arrival>> {
        let pause = self.script.pause_before(self.next);
        self.pause(pause).await;
        // Even without delays the others get their turn. From here on nothing waits: nothing can be lost.
        tokio::task::consume_budget().await;
        let (from, mut lines) = (self.next, Vec::new());
        let mut to = from;
        while let Some(event) = self.script.event(to) {
            if self.script.options.display {
                let shown = Value::Object(event.clone());
                tracing::info!(event = %shown, "generic");
            }
            serde_json::to_writer(&mut lines, &event).map_err(Error::internal)?;
            lines.push(b'\n');
            to += 1;
            if to - from >= BATCH || !self.script.pause_before(to).is_zero() {
                break;
            }
        }
        if to == from {
            return Ok(None);
        }
        let arrival = self.arrival(lines, from, to)?;
        self.next = to;
        Ok(Some(arrival))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::testing::{context, drain, options, plan, text};

    async fn events(json: &str) -> String {
        let planned = plan(&GenericKind, &options(json)).unwrap();
        let mut source = planned.open.open(context()).await.unwrap();
        text(&drain(source.as_mut()).await)
    }

    // matrix: generic: happy
    #[tokio::test]
    async fn payloads_are_repeated_and_looped_with_an_index() {
        let given = r#"{"payload":[{"a":1},{"a":2}],"repeat_count":2,"loop_count":2,"create_index":"n","final_payload":{"a":9}}"#;
        let rows: Vec<(i64, i64)> = events(given)
            .await
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .map(|row| (row["n"].as_i64().unwrap(), row["a"].as_i64().unwrap()))
            .collect();
        assert_eq!(rows, [(0, 1), (1, 1), (2, 2), (3, 2), (4, 1), (5, 1), (6, 2), (7, 2), (8, 9)]);
    }

    #[tokio::test]
    async fn the_payload_overrides_what_is_added() {
        assert_eq!(events(r#"{"payload":{"blob":"mine"},"blob_size":3}"#).await, "{\"blob\":\"mine\"}\n");
        assert_eq!(events(r#"{"payload":{"a":1},"blob_size":3}"#).await, "{\"blob\":\"xxx\",\"a\":1}\n");
    }

    #[tokio::test]
    async fn a_random_order_is_the_same_for_the_same_seed() {
        let with = |seed: u64| {
            format!(
                r#"{{"payload":[{{"a":1}},{{"a":2}},{{"a":3}},{{"a":4}},{{"a":5}}],"randomize":true,"seed":{seed}}}"#
            )
        };
        let first = events(&with(1)).await;
        assert_eq!(first, events(&with(1)).await);
        let mut sorted: Vec<&str> = first.lines().collect();
        sorted.sort_unstable();
        assert_eq!(sorted.len(), 5);
        assert_eq!(sorted.concat(), r#"{"a":1}{"a":2}{"a":3}{"a":4}{"a":5}"#);
    }

    // matrix: generic: kill-before-ack, kill-after-ack
    #[tokio::test]
    async fn it_goes_on_behind_a_position() {
        let planned = plan(&GenericKind, &options(r#"{"payload":{"a":1},"loop_count":5,"create_index":"n"}"#)).unwrap();
        let resumed = SourceContext { position: Some(Position("3".into())), ..context() };
        let mut source = planned.open.open(resumed).await.unwrap();
        assert_eq!(text(&drain(source.as_mut()).await), "{\"n\":3,\"a\":1}\n{\"n\":4,\"a\":1}\n");
    }

    // matrix: generic: malformed
    #[test]
    fn a_missing_payload_file_and_a_wrong_time_format_are_named() {
        let message = |json| plan(&GenericKind, &options(json)).err().unwrap()[0].message.clone();
        assert_eq!(message(r#"{"payload_file":"none.yml"}"#), "File none.yml not found");
        assert_eq!(message(r#"{"payload":{},"time_format":"x"}"#), "time_format must be one of local, iso8601, epoch");
        assert_eq!(message(r"{}"), "exactly one of `payload` and `payload_file` must be given");
    }
}
