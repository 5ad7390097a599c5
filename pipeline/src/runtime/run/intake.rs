//! Taking in: what the journal holds first, then what sources give.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::tasks::SourceTasks;
use crate::error::Result;
use crate::graph::{Node, NodeIndex, Planned};
use crate::journal::record::EngineEvent;
use crate::runtime::Pipeline;
use crate::runtime::lookups::{LookupChange, LookupWatch, watched_files};
use crate::runtime::replay::RereadSources;
use crate::runtime::rerun::Recorded;
use crate::runtime::sequencer::{Sequencer, SequencerEnd};
use crate::runtime::set_up::SetUps;
use crate::runtime::source_slot::SourceSlot;
use crate::runtime::source_task::SourceTask;
use crate::source::{Delivery, Source};
use crate::step::{StepNumber, StepTime};

/// The sequencer, and all that it takes from.
pub(super) struct Intake {
    pub(super) sequencer: Sequencer,
    /// The sources, in the order of the sequencer's slots.
    pub(super) sources: Vec<NodeIndex>,
    /// Steps to execute in place of the journal's tail.
    pub(super) recorded: Option<Recorded>,
    /// Takes changes of the files that nodes read.
    pub(super) lookups: mpsc::Sender<LookupChange>,
}

impl Intake {
    /// Executes again what the journal holds after the newest checkpoint, then takes in what is new.
    ///
    /// # Errors
    /// When recorded input cannot be read again; what a source, the journal or the last checkpoint fails with.
    pub(super) async fn run(
        mut self,
        pipeline: &Pipeline,
        sources: &mut SourceTasks,
        others: &mut JoinSet<()>,
    ) -> Result<SequencerEnd> {
        let cancel = pipeline.ending.intake().clone();
        let mut reread = self.reread_sources(pipeline)?;
        let replayed = self.execute_again(pipeline, &mut reread, &cancel).await?;
        if replayed > 0 {
            tracing::info!(steps = replayed, "The steps after the newest checkpoint were executed again.");
        }
        if cancel.is_cancelled() || pipeline.only_tail {
            // What of the tail was not executed yet stays in the journal for the next start.
            return self.sequencer.stop().await;
        }
        self.begin(pipeline).await?;
        self.start_sources(pipeline, reread.into_open(), sources)?;
        self.watch_files(pipeline, others);
        self.sequencer.run(cancel).await
    }

    /// The sources with the contexts that the checkpoint gives them.
    fn reread_sources(&self, pipeline: &Pipeline) -> Result<RereadSources> {
        let context = |(index, slot): (&NodeIndex, &SourceSlot)| {
            Ok((*index, pipeline.source_context(&pipeline.graph.nodes[index.0], &slot.state)?))
        };
        let sources = self.sources.iter().zip(&self.sequencer.slots).map(context).collect::<Result<_>>()?;
        Ok(RereadSources::new(Arc::clone(&pipeline.graph), sources))
    }

    /// How many steps were executed again.
    async fn execute_again(
        &mut self,
        pipeline: &Pipeline,
        reread: &mut RereadSources,
        cancel: &CancellationToken,
    ) -> Result<u64> {
        match self.recorded.take() {
            Some(Recorded { records, joined }) => {
                let time = pipeline.manifest.as_ref().map_or(StepTime(0), |manifest| manifest.time);
                self.sequencer.begin_replay(joined, time)?;
                self.sequencer.replay(records, reread, cancel).await
            }
            None => {
                let tail = pipeline.journal.read(pipeline.checkpointed().next())?;
                self.sequencer.replay(tail, reread, cancel).await
            }
        }
    }

    /// The steps that come before any row: the definition, and the files that operators read, as far as they
    /// are new.
    async fn begin(&mut self, pipeline: &Pipeline) -> Result<()> {
        let sequencer = &mut self.sequencer;
        if sequencer.progress.step == StepNumber::ZERO {
            let hash = pipeline.definition.clone();
            sequencer.engine_step(EngineEvent::Definition { hash }, None)?;
        }
        for file in watched_files(&pipeline.graph) {
            let change = file.read(&pipeline.store).await?;
            let known = sequencer.lookups.iter().any(|known| {
                known.node == *change.node && known.name == change.name && known.hash == *change.segment.hash()
            });
            if !known {
                sequencer.lookup_changed(change).await?;
            }
        }
        if !pipeline.joined.is_empty() && !sequencer.progress.joined {
            sequencer.joined_step(pipeline.joined.clone())?;
        }
        Ok(())
    }

    /// Starts the sources that have not ended, where the journal's tail left them.
    fn start_sources(
        &mut self,
        pipeline: &Pipeline,
        open: Vec<Option<Box<dyn Source>>>,
        tasks: &mut SourceTasks,
    ) -> Result<()> {
        let mut set_ups = SetUps::of_graph(&pipeline.graph);
        for ((index, slot), open) in self.sources.iter().zip(&mut self.sequencer.slots).zip(open) {
            let node = &pipeline.graph.nodes[index.0];
            if slot.state.ended || stays_closed(pipeline, node) {
                continue;
            }
            let context = pipeline.source_context(node, &slot.state)?;
            let (graph, set_up) = (Arc::clone(&pipeline.graph), set_ups.of(node));
            let (task, queue) = SourceTask::new(graph, *index, context, set_up, Arc::clone(&slot.status));
            slot.arrivals = Some(queue.arrivals);
            slot.acknowledge = Some(queue.acknowledge);
            tasks.spawn(&slot.name, task.run(open));
        }
        Ok(())
    }

    /// Looks at the files that nodes read for as long as the pipeline runs.
    fn watch_files(&self, pipeline: &Pipeline, tasks: &mut JoinSet<()>) {
        let known = self.sequencer.lookups.iter();
        let watch = LookupWatch {
            files: watched_files(&pipeline.graph),
            known: known.map(|known| ((known.node.as_str().into(), known.name.clone()), known.hash.clone())).collect(),
            store: Arc::clone(&pipeline.store),
            changes: self.lookups.clone(),
        };
        tasks.spawn(watch.run(pipeline.cancel.clone()));
    }
}

/// Whether a source is not opened with `--once`; that is told.
fn stays_closed(pipeline: &Pipeline, node: &Node) -> bool {
    let Planned::Source(planned) = &node.planned else { return true };
    let closed =
        pipeline.options.once && planned.delivery == Delivery::Inline && planned.tables.is_empty() && !planned.bounded;
    if closed {
        tracing::warn!(node = %node.name, "This source stays closed with --once: what it gives cannot be read again.");
    }
    closed
}
