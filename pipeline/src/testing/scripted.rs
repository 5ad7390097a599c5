//! A source that gives the batches it was made with.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;

use crate::error::{Error, Result};
use crate::rows::Port;
use crate::source::{
    Arrival, Delivery, Guarantee, GuaranteeClass, OpenSource, PlannedSource, Source, SourceContext, SourceKind,
    SourcePlanContext,
};
use crate::spec::Options;
use crate::spec::diagnostic::Diagnostic;
use crate::step::{Position, Range, SchemaVersion};

/// The kind's name. Only catalogues that hold the kind offer it.
pub const SCRIPTED: &str = "scripted";

/// A kind of source whose nodes give, by the name of the node, the batches that it was made with, each as one
/// arrival.
pub struct ScriptedKind {
    /// Whether what it gives is kept in the journal or read again.
    pub delivery: Delivery,
    /// Whether it ends after the last batch, or waits for ever.
    pub bounded: bool,
    /// What each node gives: its name, its schema, its batches.
    pub scripts: Vec<(String, SchemaRef, Arc<Vec<RecordBatch>>)>,
}

impl ScriptedKind {
    /// One node that can be read again and ends.
    pub fn one(node: &str, schema: SchemaRef, batches: Vec<RecordBatch>) -> Self {
        Self { delivery: Delivery::Seek, bounded: true, scripts: vec![(node.to_owned(), schema, Arc::new(batches))] }
    }
}

impl SourceKind for ScriptedKind {
    fn name(&self) -> &'static str {
        SCRIPTED
    }

    fn summary(&self) -> &'static str {
        "Gives the rows of a test."
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee { class: GuaranteeClass::Replayable, on_crash: "It is given again." }
    }

    fn schema(&self) -> schemars::Schema {
        schemars::json_schema!({"type": "object"})
    }

    fn plan(&self, options: &Options, context: &SourcePlanContext<'_>) -> Result<PlannedSource, Vec<Diagnostic>> {
        let script = self.scripts.iter().find(|(node, ..)| node == context.node);
        let Some((_, schema, batches)) = script else {
            let message = format!("no rows are given for source `{}`", context.node);
            return Err(vec![Diagnostic::error(options.tree.place, message)]);
        };
        Ok(PlannedSource {
            delivery: self.delivery,
            acknowledges: false,
            bounded: self.bounded,
            envelope: false,
            reconnects: false,
            ports: vec![Port::out(Arc::clone(schema))],
            tables: Vec::new(),
            refresh: None,
            open: Box::new(Script {
                bounded: self.bounded,
                alone: self.delivery == Delivery::Seek,
                batches: Arc::clone(batches),
            }),
        })
    }
}

#[derive(Clone)]
struct Script {
    bounded: bool,
    /// What can be read again is cut where the script cuts it.
    alone: bool,
    batches: Arc<Vec<RecordBatch>>,
}

#[async_trait]
impl OpenSource for Script {
    async fn open(&self, context: SourceContext) -> Result<Box<dyn Source>> {
        let next = context.position.as_ref().map_or(Ok(0), index)?;
        Ok(Box::new(Reading { script: self.clone(), next }))
    }
}

struct Reading {
    script: Script,
    next: usize,
}

fn index(position: &Position) -> Result<usize> {
    position.0.parse().map_err(|error| Error::internal(format!("position {position}: {error}")))
}

fn position(index: usize) -> Position {
    Position(index.to_string().into())
}

impl Reading {
    fn arrival(&self, index: usize) -> Arrival {
        let mut arrival = Arrival::rows(self.script.batches[index].clone(), position(index + 1));
        arrival.alone = self.script.alone;
        arrival.range = Some(Range { from: position(index), to: position(index + 1), hash: 0, bytes: 0 });
        arrival
    }
}

#[async_trait]
impl Source for Reading {
    async fn next(&mut self) -> Result<Option<Arrival>> {
        if self.next < self.script.batches.len() {
            self.next += 1;
            return Ok(Some(self.arrival(self.next - 1)));
        }
        if self.script.bounded { Ok(None) } else { std::future::pending().await }
    }

    async fn reread(&mut self, range: &Range, _version: SchemaVersion) -> Result<Arrival> {
        let start = index(&range.from)?;
        self.next = start + 1;
        Ok(self.arrival(start))
    }
}
