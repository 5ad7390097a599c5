//! The source behind a listener: takes what callers bring, once per id, and makes arrivals of it.

use std::borrow::Cow;
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::source::{Arrival, Source, SourceContext};
use tidegate_pipeline::step::Position;
use tokio::sync::mpsc;
use tokio::task::yield_now;

use super::intake::{QUEUE, Submission};
use super::listener::Listener;
use super::seen::{SeenId, SeenIds};
use crate::event::{Event, EventDecoder};

/// A position as it is written.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Written<'a> {
    /// How many events have been taken.
    events: u64,
    /// The newest ids.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    ids: Cow<'a, str>,
}

/// Where the source stands: a fold of its own steps.
#[derive(Debug)]
struct Stand {
    events: u64,
    seen: SeenIds,
}

impl Stand {
    fn at(position: Option<&Position>, most: usize) -> Result<Self> {
        let Some(position) = position else { return Ok(Self { events: 0, seen: SeenIds::new(most) }) };
        let written: Written<'_> = serde_json::from_str(&position.0)
            .map_err(|error| Error::internal(format!("`{position}` is no position of a listener: {error}")))?;
        Ok(Self { events: written.events, seen: SeenIds::read(&written.ids, most) })
    }

    fn position(&self) -> Result<Position> {
        let written = Written { events: self.events, ids: self.seen.text().into() };
        serde_json::to_string(&written).map(|text| Position(text.into())).map_err(Error::internal)
    }
}

/// See the module.
pub(super) struct Submissions {
    name: Arc<str>,
    queue: mpsc::Receiver<Submission>,
    /// Taken from the queue, not yet decoded.
    taken: Vec<Submission>,
    /// Decoded, not yet handed over.
    ready: VecDeque<Arrival>,
    decoder: EventDecoder,
    stand: Stand,
    /// Listens as long as this source lives, or until it is closed.
    listener: Option<Listener>,
}

impl Submissions {
    /// Goes on where the context says. At most `most` ids are remembered.
    ///
    /// # Errors
    /// When the position is not one of a listener.
    pub(super) fn new(
        context: &SourceContext,
        schema: &SchemaRef,
        most: usize,
        queue: mpsc::Receiver<Submission>,
        listener: Listener,
    ) -> Result<Self> {
        Ok(Self {
            name: Arc::clone(&context.node),
            queue,
            taken: Vec::new(),
            ready: VecDeque::new(),
            decoder: EventDecoder::new(context, schema),
            stand: Stand::at(context.position.as_ref(), most)?,
            listener: Some(listener),
        })
    }

    /// Makes arrivals of everything that was taken.
    fn decode(&mut self) -> Result<()> {
        let (mut events, mut ids): (Vec<Event>, Vec<Option<SeenId>>) = (Vec::new(), Vec::new());
        let mut together = HashSet::new();
        for submission in std::mem::take(&mut self.taken) {
            let id = submission.id.filter(|_| self.stand.seen.is_wanted());
            let repeated = |id: &SeenId| self.stand.seen.knows(id) || together.contains(id);
            let lines = match id {
                // Nothing is new, but the caller hears of it only when the first one is durable: the step of this
                // batch comes after that.
                Some(id) if repeated(&id) => vec![Vec::new()],
                _ => submission.lines,
            };
            together.extend(id);
            let (last, mut reply) = (lines.len().saturating_sub(1), Some(submission.reply));
            for (number, line) in lines.into_iter().enumerate() {
                // The number of the event in this batch, until the arrivals are known.
                let position = Position((events.len() + 1).to_string().into());
                let at = format!("{}/{}", self.name, self.stand.events + events.len() as u64 + 1);
                let reply = if number == last { reply.take() } else { None };
                ids.push(id.filter(|_| number == last));
                events.push(Event { content: Ok(line), at, position, reply });
            }
        }
        let mut stood = 0;
        for mut arrival in self.decoder.decode(events)? {
            let stands: usize = arrival.position.0.parse().map_err(Error::internal)?;
            // A step remembers its own ids and no others: what is not journaled with it was not taken.
            for id in ids.get(stood..stands).unwrap_or_default().iter().flatten() {
                self.stand.seen.remember(*id);
            }
            self.stand.events += (stands - stood) as u64;
            stood = stands;
            arrival.position = self.stand.position()?;
            self.ready.push_back(arrival);
        }
        Ok(())
    }
}

#[async_trait]
impl Source for Submissions {
    async fn next(&mut self) -> Result<Option<Arrival>> {
        loop {
            if let Some(arrival) = self.ready.pop_front() {
                return Ok(Some(arrival));
            }
            if self.taken.is_empty() && self.queue.recv_many(&mut self.taken, QUEUE).await == 0 {
                return Err(Error::external("the listener has stopped"));
            }
            // Callers that were answered together come back together: one batch for all of them.
            yield_now().await;
            while self.taken.len() < QUEUE
                && let Ok(submission) = self.queue.try_recv()
            {
                self.taken.push(submission);
            }
            self.decode()?;
        }
    }

    async fn close(&mut self) -> Result<()> {
        // Whose events were not taken is told to come again.
        self.queue.close();
        while self.queue.try_recv().is_ok() {}
        self.taken.clear();
        self.ready.clear();
        if let Some(listener) = self.listener.take() {
            listener.close().await;
        }
        Ok(())
    }
}
