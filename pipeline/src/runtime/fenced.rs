//! An owner whose directory was taken over ends, and sends nothing more.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use async_trait::async_trait;

use super::checkpointing::blocking;
use crate::checkpoint::Fence;
use crate::error::{Error, Result, Retry};
use crate::sink::{Attempt, DeliveryTerms, DispatchingSink, EffectFollower, EffectPayload};
use crate::step::StepHeader;

/// How often a running pipeline asks whether it still owns its directory.
const PACE: Duration = Duration::from_secs(1);

/// Pends for as long as this process owns the directory; then says who has taken it over.
pub(super) async fn taken_over(fence: Fence) -> Error {
    loop {
        tokio::time::sleep(PACE).await;
        let fence = fence.clone();
        match blocking(move || fence.check()).await {
            Err(error) if error.retry == Retry::Never => return error,
            // A disk that cannot be read now may be read in a moment.
            _ => {}
        }
    }
}

/// A sink that asks before each effect leaves.
struct Fenced {
    sink: Arc<dyn DispatchingSink>,
    fence: Fence,
}

/// The sink, as long as this process owns the directory.
pub(super) fn fenced(sink: Arc<dyn DispatchingSink>, fence: Fence) -> Arc<dyn DispatchingSink> {
    Arc::new(Fenced { sink, fence })
}

impl Fenced {
    /// Whether effects may leave; otherwise how the attempt ends.
    async fn is_owner(&self) -> Result<(), Attempt> {
        let fence = self.fence.clone();
        match blocking(move || fence.check()).await {
            Ok(()) => Ok(()),
            // The new owner sends it. This pipeline is about to end with that error.
            Err(error) if error.retry == Retry::Never => std::future::pending().await,
            Err(error) => Err(Attempt::Again { reason: error.to_string(), after: None }),
        }
    }
}

#[async_trait]
impl DispatchingSink for Fenced {
    fn effects(&self, step: &StepHeader, rows: &RecordBatch) -> Result<Vec<EffectPayload>> {
        self.sink.effects(step, rows)
    }

    async fn deliver(&self, id: &str, payload: &EffectPayload) -> Attempt {
        match self.is_owner().await {
            Ok(()) => self.sink.deliver(id, payload).await,
            Err(attempt) => attempt,
        }
    }

    fn terms(&self) -> DeliveryTerms {
        self.sink.terms()
    }

    async fn deliver_approved(&self, id: &str, payload: &EffectPayload) -> Attempt {
        match self.is_owner().await {
            Ok(()) => self.sink.deliver_approved(id, payload).await,
            Err(attempt) => attempt,
        }
    }

    fn follower(&self) -> Option<&dyn EffectFollower> {
        self.sink.follower()
    }
}
