//! `tick`: counts for ever, one row every so many seconds.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Int64Array, RecordBatch};
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
use tidegate_pipeline::step::Position;
use tokio::time::Instant;

use super::index_schema;
use crate::places::Places;

/// The options of `tick`.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TickOptions {
    /// Seconds between two rows.
    #[serde(default = "one")]
    pub delay: f64,
}

fn one() -> f64 {
    1.0
}

/// The kind `tick`.
#[derive(Debug, Clone, Copy)]
pub struct TickKind;

// matrix: tick: malformed: it reads nothing
// matrix: tick: disconnect: it reads nothing
impl SourceKind for TickKind {
    fn name(&self) -> &'static str {
        "tick"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["ansible.eda.tick", "eda.builtin.tick"]
    }

    fn summary(&self) -> &'static str {
        "Counts for ever: `{\"i\": 1}`, `{\"i\": 2}`, … every `delay` seconds"
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee {
            class: GuaranteeClass::BestEffort,
            on_crash: "It goes on with the next number; ticks that were due meanwhile are not made up for.",
        }
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(TickOptions)
    }

    fn plan(&self, options: &Options, _context: &SourcePlanContext<'_>) -> Result<PlannedSource, Vec<Diagnostic>> {
        let settings: TickOptions = super::optional(options, TickOptions { delay: one() })?;
        let delay = super::seconds(settings.delay)
            .ok_or_else(|| vec![Places(options).at("delay", "`delay` must be a number of seconds, 0 or more")])?;
        Ok(PlannedSource {
            delivery: Delivery::Inline,
            acknowledges: false,
            bounded: false,
            envelope: false,
            reconnects: false,
            ports: vec![Port::out(index_schema())],
            tables: Vec::new(),
            refresh: None,
            open: Box::new(PlannedTick { delay }),
        })
    }
}

struct PlannedTick {
    delay: Duration,
}

#[async_trait]
impl OpenSource for PlannedTick {
    async fn open(&self, context: SourceContext) -> Result<Box<dyn Source>> {
        let last = match &context.position {
            Some(position) => serde_json::from_str(&position.0)
                .map_err(|error| Error::internal(format!("`{position}` is not a number: {error}")))?,
            None => 0,
        };
        Ok(Box::new(Ticks { last, delay: self.delay, due: None }))
    }

    async fn diagnose(&self, _context: SourceContext, found: &mut Diagnosis) {
        let told = match self.delay {
            Duration::ZERO => "the first at once, then one after the other without a pause".to_owned(),
            delay => format!("the first at once, then one every {delay:?}, for ever"),
        };
        found.check("ticks", async { Ok(((), told)) }).await;
    }
}

/// An open `tick`.
struct Ticks {
    last: i64,
    delay: Duration,
    due: Option<Instant>,
}

#[async_trait]
impl Source for Ticks {
    async fn next(&mut self) -> Result<Option<Arrival>> {
        if let Some(due) = self.due {
            tokio::time::sleep_until(due).await;
        }
        // Even without a delay the others get their turn. From here on nothing waits: nothing can be lost.
        tokio::task::consume_budget().await;
        // A late tick does not make the next ones come in a burst.
        self.due = Some(Instant::now() + self.delay);
        self.last += 1;
        let rows = RecordBatch::try_new(index_schema(), vec![Arc::new(Int64Array::from(vec![self.last]))])?;
        Ok(Some(Arrival::rows(rows, Position(self.last.to_string().into()))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::testing::{context, options, plan, text};

    // matrix: tick: happy, kill-before-ack, kill-after-ack
    #[tokio::test]
    async fn it_counts_from_one_and_goes_on_where_it_was() {
        let planned = plan(&TickKind, &options(r#"{"delay": 0.001}"#)).unwrap();
        let mut source = planned.open.open(context()).await.unwrap();
        let (first, second) = (source.next().await.unwrap().unwrap(), source.next().await.unwrap().unwrap());
        assert_eq!(text(&[first, second]), "{\"i\":1}\n{\"i\":2}\n");
        let resumed = SourceContext { position: Some(Position("2".into())), ..context() };
        let mut source = planned.open.open(resumed).await.unwrap();
        assert_eq!(text(&[source.next().await.unwrap().unwrap()]), "{\"i\":3}\n");
    }

    #[test]
    fn a_negative_delay_is_refused() {
        assert!(plan(&TickKind, &options(r#"{"delay": -1}"#)).is_err());
    }
}
