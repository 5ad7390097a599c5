//! Evaluating a plan over batches: per schema, per step time, and around bad rows.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, new_null_array};
use arrow::compute::concat;
use arrow::datatypes::SchemaRef;
use datafusion::error::DataFusionError;

use crate::error::Result;
use crate::step::StepTime;

use super::compile::Compiled;

/// How many schemas' plans are kept. A stream has few: each widening makes one.
const PLANS: usize = 8;

/// A row that could not be evaluated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRow {
    /// Its index in the batch.
    pub row: usize,
    /// Why, in one sentence.
    pub reason: String,
}

/// Values of a batch, with the rows that have none because they could not be evaluated.
#[derive(Debug)]
pub struct Evaluated<T> {
    /// One value per row; NULL (or false) for bad rows.
    pub values: T,
    /// The bad rows, in order.
    pub bad: Vec<BadRow>,
}

/// Plans by schema, the most recently used first; failures are kept too, so that they cost once.
#[derive(Debug, Clone)]
pub(super) struct PlanCache<P> {
    plans: Vec<(SchemaRef, Result<P, String>)>,
}

impl<P> Default for PlanCache<P> {
    fn default() -> Self {
        Self { plans: Vec::new() }
    }
}

impl<P> PlanCache<P> {
    /// Keeps a plan, forgetting the one that has gone unused for longest.
    pub(super) fn insert(&mut self, schema: SchemaRef, plan: Result<P, String>) {
        self.plans.truncate(PLANS - 1);
        self.plans.insert(0, (schema, plan));
    }

    /// The plan for `schema`, made if there is none yet.
    pub(super) fn get_or_insert(
        &mut self,
        schema: &SchemaRef,
        plan: impl FnOnce(&SchemaRef) -> Result<P, String>,
    ) -> Result<&mut P, String> {
        let known = match self.plans.iter().position(|(known, _)| Arc::ptr_eq(known, schema)) {
            Some(index) => Some(index),
            None => self.plans.iter().position(|(known, _)| known == schema),
        };
        match known {
            Some(0) => {}
            Some(index) => self.plans[..=index].rotate_right(1),
            None => self.insert(Arc::clone(schema), plan(schema)),
        }
        let (_, newest) = &mut self.plans[0];
        newest.as_mut().map_err(|reason| reason.clone())
    }
}

/// What went wrong, for the reader of a rejected row.
pub(super) fn reason(error: &DataFusionError) -> String {
    let text = match error.find_root() {
        DataFusionError::ArrowError(error, _) => error.to_string(),
        other => other.strip_backtrace(),
    };
    for prefix in ["Arrow error: ", "Execution error: ", "Cast error: ", "Compute error: ", "Arithmetic overflow: "] {
        if let Some(rest) = text.strip_prefix(prefix) {
            return rest.to_owned();
        }
    }
    text
}

impl Compiled {
    /// Evaluates what can be evaluated. A batch that fails is halved until the bad rows stand alone.
    pub(super) fn evaluate_rows(&mut self, batch: &RecordBatch, time: StepTime) -> Result<Evaluated<ArrayRef>> {
        let failure = match self.evaluate(batch, time) {
            Ok(values) => return Ok(Evaluated { values, bad: Vec::new() }),
            Err(failure) => failure,
        };
        let (mut pieces, mut bad) = (Vec::new(), Vec::new());
        // Ranges still to be evaluated, the next one last; `Some` carries a failure that is known already.
        let mut pending = vec![(0, batch.num_rows(), Some(failure))];
        while let Some((start, length, known)) = pending.pop() {
            let failure = match known {
                Some(failure) => failure,
                None => match self.evaluate(&batch.slice(start, length), time) {
                    Ok(values) => {
                        pieces.push(values);
                        continue;
                    }
                    Err(failure) => failure,
                },
            };
            if length == 0 {
                pieces.push(new_null_array(&self.data_type, 0));
            } else if length == 1 {
                bad.push(BadRow { row: start, reason: reason(&failure) });
                pieces.push(new_null_array(&self.data_type, length));
            } else {
                let half = length / 2;
                pending.push((start + half, length - half, None));
                pending.push((start, half, None));
            }
        }
        let pieces: Vec<&dyn arrow::array::Array> = pieces.iter().map(AsRef::as_ref).collect();
        Ok(Evaluated { values: concat(&pieces)?, bad })
    }
}
