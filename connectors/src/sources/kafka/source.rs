//! An open `kafka`: batches of the consumer become arrivals.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::mpsc as acknowledgements;

use async_trait::async_trait;
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::source::{Arrival, Source};
use tidegate_pipeline::step::Position;
use tokio::sync::{mpsc, oneshot};

use super::batch::Batch;
use super::consumer::{Channels, FromConsumer};
use super::position::Offsets;
use crate::event::EventDecoder;

/// See the module. Dropping it ends the consumer's thread.
pub(super) struct KafkaSource {
    inbox: mpsc::Receiver<FromConsumer>,
    acknowledge: acknowledgements::Sender<Offsets>,
    left: oneshot::Receiver<Infallible>,
    decoder: EventDecoder,
    position: Offsets,
    /// Positions are our own: where reading begins is journaled before the first message.
    own_positions: bool,
    ready: VecDeque<Arrival>,
}

impl KafkaSource {
    pub(super) fn new(channels: Channels, decoder: EventDecoder, position: Offsets, own_positions: bool) -> Self {
        let Channels { inbox, acknowledge, left } = channels;
        Self { inbox, acknowledge, left, decoder, position, own_positions, ready: VecDeque::new() }
    }

    /// Must not wait: what was received would be lost.
    fn take(&mut self, told: FromConsumer) -> Result<()> {
        match told {
            FromConsumer::Failed(error) => return Err(error),
            FromConsumer::Revoked(partitions) => {
                for (topic, partition) in partitions {
                    self.position.forget(&topic, partition);
                }
            }
            FromConsumer::Assigned(starts) => {
                let known =
                    starts.iter().all(|(topic, partition, next)| self.position.of(topic, partition) == Some(next));
                self.position.extend(&starts);
                if self.own_positions && !known {
                    let position = self.position.position()?;
                    let pinned =
                        self.decoder.decode_lines(b"\n".to_vec(), vec!["".into()], |_| Ok(position.clone()))?;
                    self.ready.extend(pinned.into_iter().map(|(arrival, _)| arrival));
                }
            }
            FromConsumer::Batch(batch) => self.decode(*batch)?,
        }
        Ok(())
    }

    fn decode(&mut self, batch: Batch) -> Result<()> {
        let Batch { lines, names, rejected, partitions, moves } = batch;
        let (position, mut done) = (&mut self.position, 0);
        let decoded = self.decoder.decode_lines(lines, names, |through| {
            for (at, next) in &moves[done..through] {
                if let Some((topic, partition)) = partitions.get(*at) {
                    position.set(topic, *partition, *next);
                }
            }
            done = through;
            position.position()
        })?;
        let mut rejected = rejected.into_iter().peekable();
        for (mut arrival, lines) in decoded {
            while let Some((_, rejected)) = rejected.next_if(|(line, _)| lines.contains(line)) {
                arrival.rejected.push(rejected);
            }
            self.ready.push_back(arrival);
        }
        Ok(())
    }
}

#[async_trait]
impl Source for KafkaSource {
    async fn next(&mut self) -> Result<Option<Arrival>> {
        loop {
            if let Some(arrival) = self.ready.pop_front() {
                return Ok(Some(arrival));
            }
            let told = self.inbox.recv().await;
            self.take(told.ok_or_else(|| Error::external("the Kafka consumer has ended without a word"))?)?;
        }
    }

    async fn acknowledge(&mut self, position: &Position) -> Result<()> {
        // A thread that has ended has said why, or will be replaced.
        let _ = self.acknowledge.send(Offsets::read(position)?);
        Ok(())
    }

    async fn close(&mut self) -> Result<()> {
        if self.own_positions {
            // Nobody is to be told anything.
            return Ok(());
        }
        // The thread sees that, commits what is durable, leaves the group and ends.
        self.inbox.close();
        while self.inbox.recv().await.is_some() {}
        // It never says anything: it goes.
        let _ = (&mut self.left).await;
        Ok(())
    }
}
