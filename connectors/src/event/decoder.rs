//! From events to arrivals.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use tidegate_pipeline::error::Result;
use tidegate_pipeline::rows::{OUT, Port, PortIndex};
use tidegate_pipeline::source::{Arrival, SourceContext};
use tidegate_pipeline::step::{Position, SchemaVersion};

use super::Event;
use crate::decode::chunk::RawChunk;
use crate::decode::json_lines::JsonLines;
use crate::decode::segment::{Limits, Naming, Segment, TextPosition};

/// The most columns of events, nested ones counted; an event that would bring more is rejected. Every schema that a
/// stream has had is kept, so this also bounds what a sender who makes up names can have us keep.
const MAX_COLUMNS: usize = 2_000;

/// The port of a source of events: its columns are known only in part before it runs.
pub fn event_port(schema: SchemaRef) -> Port {
    Port { name: OUT.into(), schema, open: true }
}

/// Makes arrivals of events. It keeps the schema, which only ever widens (new columns, int → float), and announces
/// each new version with the first arrival that has it. What does not fit is rejected, with its place.
#[derive(Debug)]
pub struct EventDecoder {
    schema: SchemaRef,
    version: SchemaVersion,
    announced: bool,
}

impl EventDecoder {
    /// Goes on with the newest schema that the source has announced, or with `planned`.
    pub fn new(context: &SourceContext, planned: &SchemaRef) -> Self {
        match context.schemas.last() {
            Some((version, schema)) => Self { schema: Arc::clone(schema), version: *version, announced: true },
            None => Self { schema: Arc::clone(planned), version: SchemaVersion::default(), announced: false },
        }
    }

    /// The arrivals that hold `events`, in order: one, unless they bring new schemas. An arrival stands behind the
    /// last of its events, and answers the callers of all of them.
    ///
    /// # Errors
    /// Only for failures of the program itself.
    pub fn decode(&mut self, events: Vec<Event>) -> Result<Vec<Arrival>> {
        let mut bytes = Vec::new();
        for event in &events {
            bytes.extend_from_slice(event.content.as_deref().unwrap_or_default());
            bytes.push(b'\n');
        }
        let names = events.iter().map(|event| event.at.as_str().into()).collect();
        let behind = |lines: usize| Ok(events[lines - 1].position.clone());
        let mut arrivals = self.decode_lines(bytes, names, behind)?;
        let mut events = events.into_iter();
        for (arrival, lines) in &mut arrivals {
            for event in events.by_ref().take(lines.len()) {
                arrival.rejected.extend(event.content.err());
                arrival.replies.extend(event.reply);
            }
        }
        Ok(arrivals.into_iter().map(|(arrival, _)| arrival).collect())
    }

    /// The arrivals that hold events whose lines stand in `bytes` already, each with its end; an empty line is no
    /// event. `names` has one for each line, and `behind` says where the source stands behind so many lines. Each
    /// arrival comes with the lines that it was made of.
    ///
    /// # Errors
    /// Those of `behind`; otherwise only for failures of the program itself.
    pub fn decode_lines(
        &mut self,
        bytes: Vec<u8>,
        names: Vec<Arc<str>>,
        mut behind: impl FnMut(usize) -> Result<Position>,
    ) -> Result<Vec<(Arrival, Range<usize>)>> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let end = TextPosition { offset: bytes.len() as u64, line: names.len() as u64 };
        let chunk = RawChunk { from: TextPosition::default(), to: end, bytes, too_long: None, hash: 0 };
        let naming = Naming::Each(names.into());
        let limits = Limits { max_line: usize::MAX, max_columns: MAX_COLUMNS, fixed: Arc::new([]), naming };
        let segments = JsonLines::new(Arc::new(limits)).decode(&chunk, &self.schema)?;
        let mut arrivals = Vec::with_capacity(segments.len());
        for segment in segments {
            let lines = segment.from.line as usize..segment.to.line as usize;
            if !lines.is_empty() {
                let position = behind(lines.end)?;
                arrivals.push((self.arrival(segment, position), lines));
            }
        }
        Ok(arrivals)
    }

    /// An arrival that holds nothing, and only says where its source stands.
    pub fn nothing(&self, position: Position) -> Arrival {
        let batch = RecordBatch::new_empty(Arc::clone(&self.schema));
        Arrival { rows: Vec::new(), schema_version: self.version, ..Arrival::rows(batch, position) }
    }

    /// What the schema is now.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn arrival(&mut self, segment: Segment, position: Position) -> Arrival {
        let schema = segment.batch.schema();
        if !Arc::ptr_eq(&schema, &self.schema) {
            self.version = SchemaVersion(self.version.0 + 1);
            self.schema = Arc::clone(&schema);
            self.announced = false;
        }
        let new_schema = (!std::mem::replace(&mut self.announced, true)).then_some(schema);
        let rows = if segment.batch.num_rows() > 0 { vec![(PortIndex(0), segment.batch.clone())] } else { Vec::new() };
        Arrival {
            rows,
            rejected: segment.rejected,
            schema_version: self.version,
            new_schema,
            ..Arrival::rows(segment.batch, position)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tidegate_pipeline::envelope::envelope_schema;
    use tidegate_pipeline::rows::Rejected;
    use tokio::sync::oneshot;

    use super::*;
    use crate::event::{Envelope, EventMeta, Field};
    use crate::sources::testing::{context, text};

    fn event(number: usize, line: &[u8]) -> Event {
        Event {
            content: Ok(line.to_vec()),
            at: format!("in/{number}"),
            position: Position(number.to_string().into()),
            reply: None,
        }
    }

    fn decoder() -> EventDecoder {
        EventDecoder::new(&context(), &envelope_schema([], []))
    }

    #[test]
    fn an_event_in_its_envelope_has_its_fields_and_says_where_it_is_from() {
        let meta = EventMeta { uuid: Some("u".to_owned()), hosts: vec!["h".to_owned()], ..EventMeta::default() };
        let payload = json!({"a": {"b\n": 1}});
        let line = Envelope::new("in", "webhook").line(&[("payload", Field::Value(&payload))], &meta);
        let arrivals = decoder().decode(vec![event(1, &line)]).unwrap();
        let row: serde_json::Value = serde_json::from_str(&text(&arrivals)).unwrap();
        assert_eq!(row["payload"], payload);
        assert_eq!(row["meta"]["source"], json!({"name": "in", "type": "webhook"}));
        assert_eq!((&row["meta"]["uuid"], &row["meta"]["hosts"]), (&json!("u"), &json!(["h"])));
    }

    #[test]
    fn events_that_bring_columns_begin_arrivals_whose_schemas_are_announced_and_callers_wait_for_their_own() {
        let mut waiting = Vec::new();
        let mut events = Vec::new();
        for (number, line) in [r#"{"a":1}"#, r#"{"a":2}"#, r#"{"a":3,"b":1}"#, r#"{"a":4}"#].into_iter().enumerate() {
            let (reply, answer) = oneshot::channel();
            waiting.push(answer);
            events.push(Event { reply: Some(reply), ..event(number, line.as_bytes()) });
        }
        let mut decoder = decoder();
        let arrivals = decoder.decode(events).unwrap();
        let shape = |arrival: &Arrival| {
            (arrival.row_count(), arrival.position.0.to_string(), arrival.schema_version.0, arrival.replies.len())
        };
        let shapes: Vec<_> = arrivals.iter().filter(|arrival| arrival.row_count() > 0).map(shape).collect();
        assert_eq!(shapes, [(2, "1".to_owned(), 2, 2), (2, "3".to_owned(), 3, 2)]);
        assert!(arrivals.iter().filter(|arrival| arrival.row_count() > 0).all(|arrival| arrival.new_schema.is_some()));
        let later = decoder.decode(vec![event(4, br#"{"a":5}"#)]).unwrap();
        assert!(later.len() == 1 && later[0].new_schema.is_none() && later[0].schema_version.0 == 3);
    }

    #[test]
    fn what_is_no_event_is_rejected_in_its_place_and_its_caller_is_answered_with_the_others() {
        let (reply, _answer) = oneshot::channel();
        let poison = Event {
            content: Err(Rejected::new("in/1", "it is not UTF-8", b"\xff")),
            reply: Some(reply),
            ..event(1, b"")
        };
        let arrivals = decoder().decode(vec![event(0, b"{}"), poison, event(2, b"[1")]).unwrap();
        let rejected: Vec<&str> =
            arrivals.iter().flat_map(|arrival| &arrival.rejected).map(|rejected| rejected.position.as_str()).collect();
        assert_eq!(arrivals.iter().map(|arrival| arrival.replies.len()).sum::<usize>(), 1);
        assert!(rejected.contains(&"in/1") && rejected.contains(&"in/2"), "{rejected:?}");
    }
}
