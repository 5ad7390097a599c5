//! The state of nodes, as the newest checkpoint holds it: tables of sources, state of operators.

use std::sync::Arc;

use super::Pipeline;
use crate::checkpoint::{Content, NodeState};
use crate::error::Result;
use crate::graph::{Node, Planned};
use crate::operator::{InputIndex, Operator, Output, StateReader};
use crate::runtime::lookups::stored_contents;
use crate::step::{ENGINE, SchemaVersion, StepHeader, Unit};
use crate::table::{TableSet, Tables};

impl Pipeline {
    /// The tables of sources.
    pub(super) fn restore_tables(&mut self) -> Result<()> {
        for node in &self.graph.nodes {
            let Planned::Source(source) = &node.planned else { continue };
            if source.tables.is_empty() {
                continue;
            }
            let mut tables = Tables::new(source.tables.clone())?;
            let state = self.manifest.as_ref().and_then(|manifest| manifest.sources.get(&*node.name));
            if let Some(state) = state {
                tables.restore(self.read_state(&node.name, &state.tables)?)?;
            }
            self.shared_tables.insert(Arc::clone(&node.name), tables.shared());
            self.tables.insert(Arc::clone(&node.name), tables);
        }
        Ok(())
    }

    fn read_state(&self, node: &str, state: &NodeState) -> Result<StateReader> {
        let mut batches = Vec::new();
        for section in self.store.read_state(state, node)? {
            if let Content::Batch(batch) = section.content {
                batches.push((section.name, batch));
            }
        }
        Ok(StateReader { batches })
    }

    /// Gives an operator its state, the files that it reads and the tables behind its inputs.
    pub(super) async fn restore_operator(&self, node: &Node, operator: &mut dyn Operator) -> Result<()> {
        let Some(manifest) = &self.manifest else { return Ok(()) };
        if let Some(state) = manifest.nodes.get(&*node.name) {
            operator.restore(self.read_state(&node.name, state)?)?;
        }
        let header = StepHeader {
            number: manifest.step,
            time: manifest.time,
            source: ENGINE.into(),
            unit: Unit::Rows,
            schema_version: SchemaVersion::default(),
            watermark: None,
        };
        // What an operator says while it is brought back was said when the step was first made.
        let mut said_before = Output::default();
        for lookup in manifest.lookups.iter().filter(|lookup| lookup.node == *node.name) {
            let contents = stored_contents(&self.store, &lookup.hash)?;
            operator.lookup(&header, &lookup.name, &contents, &mut said_before).await?;
        }
        // A node that has just joined is told by a step what is there.
        let joined = self.joined.iter().any(|joined| **joined == *node.name);
        let evaluates = matches!(&node.planned, Planned::Operator(planned) if planned.evaluates_tables);
        if joined && !evaluates {
            return Ok(());
        }
        for (index, input) in node.inputs.iter().enumerate() {
            let producer = &self.graph.nodes[input.producer.0].name;
            if let Some(tables) = self.tables.get(producer) {
                // Against nothing, what is there is news.
                let current = if joined { TableSet::default() } else { tables.current() };
                operator.tables(&header, InputIndex(index), &current, &mut said_before).await?;
            }
        }
        Ok(())
    }
}
