//! What the sequencer keeps of each source: a fold of the source's own journaled steps.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use super::source_task::{Durable, FromSource};
use super::status::NodeStatus;
use crate::checkpoint::SourceState;
use crate::journal::{Journal, JournalPosition};
use crate::rows::PortIndex;
use crate::source::{Delivery, Reply};
use crate::spec::pipeline::{OnEnd, OnError};
use crate::step::Position;
use crate::table::Tables;

/// One source, as the sequencer sees it.
pub(crate) struct SourceSlot {
    pub(crate) name: Arc<str>,
    pub(crate) place: String,
    pub(crate) delivery: Delivery,
    /// Whether the source wants to be told what is durable.
    pub(crate) acknowledges: bool,
    /// Whether its rows are events whose `meta` is to be completed.
    pub(crate) envelope: bool,
    pub(crate) on_end: OnEnd,
    pub(crate) on_error: OnError,
    pub(crate) errors_port: PortIndex,
    pub(crate) status: Arc<NodeStatus>,
    pub(crate) state: SourceState,
    /// The tables that its changes make, for a provider.
    pub(crate) tables: Option<Tables>,
    /// The names of its tables, in the order of its ports.
    pub(crate) table_ports: Vec<Arc<str>>,
    /// Its queue, until it is polled; `None` for a source that is not opened.
    pub(crate) arrivals: Option<mpsc::Receiver<FromSource>>,
    pub(crate) acknowledge: Option<watch::Sender<Durable>>,
}

impl SourceSlot {
    /// Answers callers and lets the source acknowledge once the journal is durable up to `through`.
    pub(crate) fn acknowledge_when_durable(
        &self,
        journal: &Journal,
        through: JournalPosition,
        position: Position,
        replies: Vec<Reply>,
    ) {
        let (journal, acknowledge) = (journal.clone(), self.acknowledge.clone());
        let name = Arc::clone(&self.name);
        tokio::spawn(async move {
            if let Err(error) = journal.sync_for(through, replies.len()).await {
                tracing::error!(node = %name, %error, "Input could not be made durable and is not acknowledged.");
                return;
            }
            // A caller that no longer waits has been answered by its own time-out.
            for reply in replies {
                let _ = reply.send(());
            }
            if let Some(acknowledge) = acknowledge {
                // Steps that became durable together may get here in any order: it never goes back.
                acknowledge.send_if_modified(|last| {
                    let newer = last.as_ref().is_none_or(|(before, _)| *before < through);
                    if newer {
                        *last = Some((through, position));
                    }
                    newer
                });
            }
        });
    }
}
