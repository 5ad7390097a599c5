//! The open source.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use aws_sdk_sqs::types::Message;
use tidegate_connectors::event::{Envelope, EventDecoder};
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::source::{Arrival, Source, SourceContext};
use tidegate_pipeline::step::Position;

use super::options::{BodyFormat, Settings};
use super::{NAME, message};
use crate::fitting::{Fitted, decode};
use crate::sqs::{Custody, Queue, Reception, id_of};

/// An open queue. Its tasks end when it is dropped.
pub(super) struct SqsSource {
    queue: String,
    /// How many messages may be decoded together: the order within them is not kept where bodies do not fit.
    together: usize,
    format: BodyFormat,
    envelope: Envelope,
    decoder: EventDecoder,
    reception: Reception,
    /// Decoded and not given yet.
    ready: VecDeque<Arrival>,
}

impl SqsSource {
    /// Begins to receive.
    pub(super) fn start(
        node: &str,
        settings: &Settings,
        queue: &Queue,
        context: &SourceContext,
        schema: &SchemaRef,
    ) -> Result<Self> {
        let custody = Custody::at(context.position.as_ref(), Instant::now())?;
        Ok(Self {
            queue: queue.name().to_owned(),
            together: if queue.is_ordered() { 1 } else { usize::MAX },
            format: settings.body,
            envelope: Envelope::new(node, NAME),
            decoder: EventDecoder::new(context, schema),
            reception: Reception::start(queue, custody),
            ready: VecDeque::new(),
        })
    }

    /// Makes arrivals of messages. Nothing waits here: what was taken off the channel is ready afterwards.
    fn decode(&mut self, messages: &[(Message, bool)]) -> Result<()> {
        let mut custody = self.reception.shared().custody.lock();
        let id = |message: &Message| id_of(message).to_owned();
        for group in messages.chunk_by(|(_, before), (_, after)| before == after) {
            if group.iter().all(|(_, repeated)| *repeated) {
                // Their rows are in the journal already. A step without rows lets them be deleted when it is durable.
                let ids: Vec<String> = group.iter().map(|(message, _)| id(message)).collect();
                self.ready.push_back(empty(self.decoder.schema(), custody.give(ids.iter().map(String::as_str))));
                continue;
            }
            for part in group.chunks(self.together) {
                let given =
                    |(message, _): &(Message, bool)| message::given(&self.queue, message, &self.envelope, self.format);
                let given: Vec<_> = part.iter().map(given).collect();
                for Fitted { mut arrival, holds } in decode(&mut self.decoder, &given)? {
                    let ids: Vec<String> = holds.iter().map(|index| id(&part[*index].0)).collect();
                    arrival.position = custody.give(ids.iter().map(String::as_str));
                    self.ready.push_back(arrival);
                }
            }
        }
        Ok(())
    }
}

/// An arrival without rows.
fn empty(schema: &SchemaRef, position: Position) -> Arrival {
    Arrival { rows: Vec::new(), ..Arrival::rows(RecordBatch::new_empty(Arc::clone(schema)), position) }
}

#[async_trait]
impl Source for SqsSource {
    async fn next(&mut self) -> Result<Option<Arrival>> {
        loop {
            if let Some(arrival) = self.ready.pop_front() {
                return Ok(Some(arrival));
            }
            let ended =
                || Error::external(format!("the messages of the queue {} are not received any more", self.queue));
            let messages = self.reception.next().await.ok_or_else(ended)??;
            self.decode(&messages)?;
        }
    }

    async fn acknowledge(&mut self, position: &Position) -> Result<()> {
        self.reception.shared().durable(position)
    }

    async fn close(&mut self) -> Result<()> {
        self.reception.close().await;
        Ok(())
    }
}
