//! The order in which sources are set up: one that `uses:` others is opened after they are.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::watch;

use crate::graph::{Graph, Node};

/// The sources that are still to be set up.
pub(crate) struct SetUps {
    open: HashMap<Arc<str>, watch::Sender<bool>>,
    /// Whether each is: closed without that where a source is never opened.
    opened: HashMap<Arc<str>, watch::Receiver<bool>>,
}

impl SetUps {
    /// All sources of a graph.
    pub(crate) fn of_graph(graph: &Graph) -> Self {
        let (mut open, mut opened) = (HashMap::new(), HashMap::new());
        for node in graph.nodes.iter() {
            let (sender, receiver) = watch::channel(false);
            open.insert(Arc::clone(&node.name), sender);
            opened.insert(Arc::clone(&node.name), receiver);
        }
        Self { open, opened }
    }

    /// What one source waits for and tells. The sources for which it is never asked count as set up once this is
    /// dropped: they have ended before.
    pub(crate) fn of(&mut self, node: &Node) -> SetUp {
        SetUp {
            done: self.open.remove(&node.name),
            of_others: node.uses.iter().filter_map(|name| self.opened.get(name).cloned()).collect(),
        }
    }
}

/// What one source waits for before it is opened, and tells when it is.
pub(crate) struct SetUp {
    done: Option<watch::Sender<bool>>,
    of_others: Vec<watch::Receiver<bool>>,
}

impl SetUp {
    /// Waits until every source that this one uses has been opened once, or never will be. Cancel-safe.
    pub(crate) async fn of_others(&self) {
        for opened in &self.of_others {
            // One that has gone without being opened holds nobody up: why it has is told elsewhere.
            let _ = opened.clone().wait_for(|opened| *opened).await;
        }
    }

    /// The source has been opened.
    pub(crate) fn done(&self) {
        if let Some(done) = &self.done {
            done.send_replace(true);
        }
    }
}
