//! A source that gives nothing for too long is shown; nothing else is done about it.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::status::{NodeState, NodeStatus};

/// Waits for the moment from which a source counts as stalled. Time that the source waits for others does not count.
pub(crate) struct Stall {
    after: Option<Duration>,
    /// When that moment comes; `None` when it will not, or has come already.
    due: Option<Instant>,
}

impl Stall {
    /// Begins to wait; for ever without `after`.
    pub(crate) fn new(after: Option<Duration>) -> Self {
        Self { after, due: after.and_then(|after| Instant::now().checked_add(after)) }
    }

    /// Ends at that moment. Cancel-safe.
    pub(crate) async fn comes(&self) {
        match self.due {
            Some(due) => sleep_until(due).await,
            None => std::future::pending().await,
        }
    }

    /// Says once that the source is stalled.
    pub(crate) fn tell(&mut self, status: &NodeStatus) {
        self.due = None;
        status.set_state(NodeState::Stalled);
        let after = self.after.unwrap_or_default();
        tracing::warn!(node = %status.name, ?after, "The source is stalled: it has given nothing for `stall_after`.");
    }

    /// The source has given something.
    pub(crate) fn begin_anew(&mut self, status: &NodeStatus) {
        if let (Some(after), None) = (self.after, self.due) {
            tracing::info!(node = %status.name, ?after, "The source is no longer stalled.");
        }
        *self = Self::new(self.after);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::pipeline::Section;

    #[tokio::test]
    async fn the_next_arrival_ends_a_stall_and_the_waiting_begins_anew() {
        let status = NodeStatus::new("in".into(), "given".into(), Section::Source);
        status.well();
        let mut stall = Stall::new(Some(Duration::from_millis(1)));
        stall.comes().await;
        stall.tell(&status);
        assert_eq!(status.state(), NodeState::Stalled);
        assert!(tokio::time::timeout(Duration::from_millis(5), stall.comes()).await.is_err(), "told once");
        status.arrived();
        stall.begin_anew(&status);
        assert!(status.state() == NodeState::Running && status.last_arrival().is_some());
        stall.comes().await;
    }
}
