//! `range`: the numbers from 0 up to a limit.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Int64Array, RecordBatch};
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use tidegate_pipeline::diagnosis::Diagnosis;
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::rows::Port;
use tidegate_pipeline::source::{
    Arrival, Delivery, Guarantee, GuaranteeClass, OpenSource, PlannedSource, Source, SourceContext, SourceKind,
    SourcePlanContext,
};
use tidegate_pipeline::spec::Options;
use tidegate_pipeline::spec::diagnostic::Diagnostic;
use tidegate_pipeline::step::{Position, Range, SchemaVersion};
use tokio::time::Instant;
use xxhash_rust::xxh3::Xxh3;

use super::index_schema;
use crate::places::Places;

/// The most rows of a batch.
const BATCH: i64 = 8192;

/// The options of `range`.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RangeOptions {
    /// How many numbers: `{"i":0}` to `{"i":limit-1}`.
    pub limit: i64,
    /// Seconds between two numbers.
    #[serde(default)]
    pub delay: f64,
}

/// The kind `range`.
#[derive(Debug, Clone, Copy)]
pub struct RangeKind;

// matrix: range: malformed: it reads nothing
// matrix: range: disconnect: it reads nothing
impl SourceKind for RangeKind {
    fn name(&self) -> &'static str {
        "range"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["ansible.eda.range", "eda.builtin.range"]
    }

    fn summary(&self) -> &'static str {
        "The numbers from 0 up to a limit, as rows of one column `i`; then it ends"
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee { class: GuaranteeClass::Replayable, on_crash: "It goes on behind the last number." }
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(RangeOptions)
    }

    fn plan(&self, options: &Options, _context: &SourcePlanContext<'_>) -> Result<PlannedSource, Vec<Diagnostic>> {
        let settings: RangeOptions = options.read()?;
        let delay = super::seconds(settings.delay)
            .ok_or_else(|| vec![Places(options).at("delay", "`delay` must be a number of seconds, 0 or more")])?;
        Ok(PlannedSource {
            delivery: Delivery::Seek,
            acknowledges: false,
            bounded: true,
            envelope: false,
            reconnects: false,
            ports: vec![Port::out(index_schema())],
            tables: Vec::new(),
            refresh: None,
            open: Box::new(PlannedRange { limit: settings.limit, delay }),
        })
    }
}

struct PlannedRange {
    limit: i64,
    delay: Duration,
}

#[async_trait]
impl OpenSource for PlannedRange {
    async fn open(&self, context: SourceContext) -> Result<Box<dyn Source>> {
        let next = context.position.as_ref().map(number).transpose()?.unwrap_or(0);
        let schema = index_schema();
        Ok(Box::new(Numbers { next, limit: self.limit, delay: self.delay, due: None, schema, ended: false }))
    }

    fn unchanged(&self, fingerprint: &str) -> Result<bool> {
        Ok(fingerprint == print_of(self.limit))
    }

    async fn diagnose(&self, _context: SourceContext, found: &mut Diagnosis) {
        let told = match (self.limit, self.delay) {
            (..=0, _) => "no number: it ends at once".to_owned(),
            (limit, Duration::ZERO) => format!("0 to {}, all at once; then it ends", limit - 1),
            (limit, delay) => format!("0 to {}, the first at once, one every {delay:?}; then it ends", limit - 1),
        };
        found.check("numbers", async { Ok(((), told)) }).await;
    }
}

fn print_of(limit: i64) -> String {
    serde_json::json!({ "limit": limit }).to_string()
}

fn number(position: &Position) -> Result<i64> {
    serde_json::from_str(&position.0).map_err(|error| Error::internal(format!("`{position}` is not a number: {error}")))
}

fn position(next: i64) -> Position {
    Position(next.to_string().into())
}

/// An open `range`.
struct Numbers {
    next: i64,
    limit: i64,
    delay: Duration,
    /// When the next number may leave.
    due: Option<Instant>,
    schema: SchemaRef,
    ended: bool,
}

impl Numbers {
    fn arrival(&self, from: i64, to: i64) -> Result<Arrival> {
        let numbers: Vec<i64> = (from..to).collect();
        let mut hasher = Xxh3::new();
        numbers.iter().for_each(|number| hasher.update(&number.to_le_bytes()));
        let bytes = numbers.len() as u64 * 8;
        let rows = RecordBatch::try_new(Arc::clone(&self.schema), vec![Arc::new(Int64Array::from(numbers))])?;
        let range = Range { from: position(from), to: position(to), hash: hasher.digest128(), bytes };
        Ok(Arrival { range: Some(range), alone: to - from > 1, ..Arrival::rows(rows, position(to)) })
    }
}

#[async_trait]
impl Source for Numbers {
    async fn next(&mut self) -> Result<Option<Arrival>> {
        if self.next >= self.limit {
            self.ended = true;
            return Ok(None);
        }
        if let Some(due) = self.due {
            tokio::time::sleep_until(due).await;
        }
        let mut to = self.limit.min(self.next + BATCH);
        if !self.delay.is_zero() {
            to = self.next + 1;
            self.due = Some(self.due.unwrap_or_else(Instant::now) + self.delay);
        }
        let arrival = self.arrival(self.next, to)?;
        self.next = to;
        Ok(Some(arrival))
    }

    async fn reread(&mut self, range: &Range, _version: SchemaVersion) -> Result<Arrival> {
        let (from, to) = (number(&range.from)?, number(&range.to)?);
        let arrival = self.arrival(from, to)?;
        if arrival.range.as_ref() != Some(range) {
            return Err(Error::internal(format!("the numbers {from} to {to} are not what they were")));
        }
        self.next = to;
        Ok(arrival)
    }

    fn fingerprint(&self) -> Option<String> {
        self.ended.then(|| print_of(self.limit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::testing::{context, drain, options, plan, text};

    // matrix: range: happy
    #[tokio::test]
    async fn it_counts_from_zero_and_ends() {
        let planned = plan(&RangeKind, &options(r#"{"limit": 3}"#)).unwrap();
        let mut source = planned.open.open(context()).await.unwrap();
        assert_eq!(text(&drain(source.as_mut()).await), "{\"i\":0}\n{\"i\":1}\n{\"i\":2}\n");
    }

    // matrix: range: kill-before-ack, kill-after-ack
    #[tokio::test]
    async fn a_range_read_again_gives_the_same_and_goes_on_behind_it() {
        let planned = plan(&RangeKind, &options(r#"{"limit": 10000}"#)).unwrap();
        let mut source = planned.open.open(context()).await.unwrap();
        let first = source.next().await.unwrap().unwrap();
        let mut again = planned.open.open(context()).await.unwrap();
        let reread = again.reread(first.range.as_ref().unwrap(), SchemaVersion(1)).await.unwrap();
        assert_eq!(reread.rows, first.rows);
        assert_eq!(again.next().await.unwrap().unwrap().row_count(), 10000 - 8192);
    }
}
