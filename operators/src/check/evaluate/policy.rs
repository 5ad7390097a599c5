//! The evaluation of a control in Rego.

use std::panic::resume_unwind;
use std::sync::Arc;

use datafusion::common::runtime::SpawnedTask;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use futures::StreamExt;

use super::rows::Collector;
use super::run::{Failure, Run};
use crate::check::plan::PolicyInput;
use crate::check::rego::{Policy, Rows};

impl Run {
    /// Gives a policy its rows; its answer goes to the collector.
    pub(super) async fn collect_answer(
        &self,
        policy: &Arc<Policy>,
        collector: &mut Collector<'_>,
    ) -> Result<(), Failure> {
        // What the rows take as values counts against the memory of queries, until the policy has answered.
        let memory = MemoryConsumer::new("policy").register(&self.state.runtime_env().memory_pool);
        let mut rows = Vec::with_capacity(policy.inputs().len());
        for input in policy.inputs() {
            rows.push(self.rows_of(input, &memory).await?);
        }
        let (policy, time) = (Arc::clone(policy), self.time);
        // A policy computes without a pause, which would hold up whatever else the thread has to do.
        let task = SpawnedTask::spawn_blocking(move || policy.answer(rows, time));
        let answer = match task.join().await {
            Ok(answer) => answer.map_err(Failure::Other)?,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                Err(_) => return Err(Failure::CutOff),
            },
        };
        collector.take(&answer).map_err(|error| Failure::Other(error.message))
    }

    async fn rows_of(&self, input: &PolicyInput, memory: &MemoryReservation) -> Result<Rows, Failure> {
        let mut rows = Rows::default();
        let mut batches = self.stream(&input.plan).await?;
        while let Some(batch) = batches.next().await {
            let batch = batch?;
            memory.try_grow(Rows::bytes_of(&batch))?;
            rows.take(&batch).map_err(|error| Failure::Other(error.message))?;
        }
        Ok(rows)
    }
}
