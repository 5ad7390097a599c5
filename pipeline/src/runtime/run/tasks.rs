//! What runs beside the sequencer, and how it ends.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{Id, JoinSet};

use crate::error::{Error, Result};
use crate::runtime::chain::DOWNSTREAM_STOPPED;

/// How long sources may take to leave when everything that they have given is durable.
const LEAVING: Duration = Duration::from_secs(5);
/// How long a task that is cut off, and the error behind another, are waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Default)]
pub(super) struct Tasks {
    pub(super) nodes: NodeTasks,
    pub(super) sources: SourceTasks,
    /// Feeder, coordinator and what else there is.
    pub(super) others: JoinSet<()>,
}

impl Tasks {
    /// Ends everything that is still there.
    pub(super) async fn cut_off(mut self) {
        cut_off(&mut self.sources.tasks).await;
        cut_off(&mut self.others).await;
        cut_off(&mut self.nodes.0).await;
    }
}

/// Ends tasks without waiting for one that blocks its thread: such a task is left behind.
async fn cut_off<T: 'static>(tasks: &mut JoinSet<T>) {
    let _ = tokio::time::timeout(PATIENCE, tasks.shutdown()).await;
    tasks.detach_all();
}

/// The tasks of sources.
#[derive(Default)]
pub(super) struct SourceTasks {
    tasks: JoinSet<()>,
    names: HashMap<Id, Arc<str>>,
}

impl SourceTasks {
    /// Starts one.
    pub(super) fn spawn(&mut self, name: &Arc<str>, task: impl Future<Output = ()> + Send + 'static) {
        let task = self.tasks.spawn(task);
        self.names.insert(task.id(), Arc::clone(name));
    }

    /// Waits until every source has told the outside what is durable, for a while and until `deadline`. Sources that
    /// take longer are named.
    pub(super) async fn left(&mut self, deadline: impl Future<Output = ()>) {
        tokio::select! {
            () = self.all_ended() => return,
            () = tokio::time::sleep(LEAVING) => {}
            () = deadline => {}
        }
        let sources: Vec<&str> = self.names.values().map(|name| &**name).collect();
        tracing::warn!(?sources, "Sources did not leave in time: what they were not told of may come again.");
    }

    async fn all_ended(&mut self) {
        while let Some(ended) = self.tasks.join_next_with_id().await {
            let id = match ended {
                Ok((id, ())) => id,
                Err(crashed) => {
                    let source = self.names.get(&crashed.id());
                    tracing::error!(?source, %crashed, "A source crashed while it was leaving.");
                    crashed.id()
                }
            };
            self.names.remove(&id);
        }
    }
}

/// The tasks of nodes, and those that deliver effects.
#[derive(Default)]
pub(super) struct NodeTasks(JoinSet<Result<()>>);

impl NodeTasks {
    /// Starts one.
    pub(super) fn spawn(&mut self, task: impl Future<Output = Result<()>> + Send + 'static) {
        self.0.spawn(task);
    }

    /// Waits until all have ended.
    ///
    /// # Errors
    /// That of the first which did not end well.
    pub(super) async fn all_ended(&mut self) -> Result<()> {
        while let Some(ended) = self.0.join_next().await {
            ended.map_err(|error| crashed(&error))??;
        }
        Ok(())
    }

    /// The first error of one of them. Pends for ever when all end well.
    pub(super) async fn first_failure(&mut self) -> Error {
        let mut echo = None;
        while let Some(ended) = self.0.join_next().await {
            match ended {
                Ok(Ok(())) => {}
                Ok(Err(error)) if is_echo(&error) => echo = Some(error),
                Ok(Err(error)) => return error,
                Err(error) => return crashed(&error),
            }
        }
        match echo {
            Some(echo) => echo,
            None => std::future::pending().await,
        }
    }

    /// The error behind an error: a node's own, where the first one seen only says that a node has gone, or that
    /// the last checkpoint failed because of that.
    pub(super) async fn cause(&mut self, error: Error) -> Error {
        // An error that names its node says enough; one that names none (a checkpoint that lacks a part, a queue that
        // nobody empties) may be the echo of a node's.
        if error.node.is_some() {
            return error;
        }
        match tokio::time::timeout(PATIENCE, self.first_failure()).await {
            Ok(found) if !is_echo(&found) => found,
            _ => error,
        }
    }
}

fn crashed(error: &tokio::task::JoinError) -> Error {
    Error::internal(format!("a node crashed: {error}"))
}

fn is_echo(error: &Error) -> bool {
    error.remedy.as_deref() == Some(DOWNSTREAM_STOPPED)
}
