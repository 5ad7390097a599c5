//! Effects that earlier lives of a pipeline have left: what is pending is on its way again.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tokio::sync::mpsc;

use super::Pipeline;
use crate::error::{Error, Result};
use crate::graph::{Definition, Node, Planned};
use crate::journal::Journal;
use crate::journal::record::{EngineEvent, Record, StepBody, StepRecord};
use crate::runtime::checkpointing::PIPELINE_SECTIONS;
use crate::runtime::delivery::Deliverer;
use crate::runtime::effects::{EffectIdentity, Ledger, ListedEffect};
use crate::runtime::fenced::fenced;
use crate::runtime::outbox::Outbox;
use crate::runtime::sink_node::edge_mark;
use crate::sink::{DispatchingSink, Sink, SinkContext};
use crate::step::{ContentHash, Shard, StepNumber};

impl Pipeline {
    /// Effects that were intended, and those that were given up; and the marks that the outbox implies.
    pub(super) fn restore_outbox(&mut self) -> Result<BTreeMap<String, StepNumber>> {
        let identity = self.identity();
        self.effects.read_letters_of(self.tellers().into_keys().collect());
        if let Some(manifest) = &self.manifest {
            self.effects.restore(self.store.read_state(&manifest.effects, PIPELINE_SECTIONS)?)?;
        }
        let mut marks: BTreeMap<String, StepNumber> = BTreeMap::new();
        // From the checkpoint's own step on: what was delivered since stands behind it, also when no step came.
        for ((sink, input), through) in fold_outbox(&self.journal, self.checkpointed(), &identity, &self.effects)? {
            // Steps that are executed under another definition may have been recorded under a sink's former name.
            let renamed = |node: &&Node| node.was.as_deref() == Some(sink.as_str());
            let now = match self.graph.node(&sink) {
                Some(_) => None,
                None => self.graph.nodes.iter().find(renamed),
            };
            let mark = marks.entry(edge_mark(now.map_or(&sink, |node| &node.name), input)).or_default();
            *mark = (*mark).max(through);
        }
        Ok(marks)
    }

    fn identity(&self) -> EffectIdentity {
        let pipeline: Arc<str> = self.graph.spec.name.value.to_string().into();
        EffectIdentity { pipeline, shard: Shard(0), incarnation: self.incarnation }
    }

    /// The outbox of a sink, with what is still pending on its way again.
    pub(super) fn outbox(&mut self, node: &Arc<str>, sink: Arc<dyn DispatchingSink>) -> Outbox {
        let (deliver, inbox) = mpsc::unbounded_channel();
        let (names, sink_effects) = (self.names_of(node), self.effects.clone());
        let of_name = |name: &String| {
            sink_effects.delivers(name, &deliver);
            sink_effects.intended_of(name)
        };
        if let Some(follower) = sink.follower() {
            let past: Vec<ListedEffect> = names.iter().flat_map(|name| self.effects.past_of(name)).collect();
            follower.recall(&past);
        }
        for effect in names.iter().flat_map(of_name) {
            // The receiver is held by the deliverer below.
            let _ = deliver.send(effect);
        }
        self.deliverers.push(Deliverer::new(
            Arc::clone(node),
            fenced(sink, self.store.fence()),
            self.journal.clone(),
            self.effects.clone(),
            self.options.delivery,
            inbox,
            self.cancel.clone(),
        ));
        Outbox {
            sink: Arc::clone(node),
            identity: self.identity(),
            journal: self.journal.clone(),
            ledger: self.effects.clone(),
            deliver,
        }
    }

    /// The sinks whose port `dead_letter` is read, by the names under which effects of them may stand.
    pub(in crate::runtime) fn tellers(&self) -> HashMap<String, Arc<str>> {
        let named = |node: &Node| {
            let name = Arc::clone(&node.name);
            self.names_of(&node.name).into_iter().map(move |known| (known, Arc::clone(&name)))
        };
        self.graph.read_dead_letters().flat_map(named).collect()
    }

    /// The names under which effects of a sink may stand: its own, and the one that it had before.
    fn names_of(&self, sink: &str) -> Vec<String> {
        let was = self.graph.node(sink).and_then(|(_, node)| node.was.as_ref());
        let was = was.filter(|was| self.graph.node(was).is_none());
        std::iter::once(sink.to_owned()).chain(was.map(ToString::to_string)).collect()
    }

    /// Opens the sinks that are not in the pipeline any more and have effects left, as they were.
    pub(super) async fn restore_retired(&mut self) -> Result<()> {
        let retired = self.manifest.as_ref().map(|manifest| manifest.retired.clone()).unwrap_or_default();
        for (name, hash) in retired {
            if self.effects.intended_of(&name).is_empty() {
                continue;
            }
            match self.retired(&name, &hash).await {
                Ok(sink) => drop(self.outbox(&name.as_str().into(), sink)),
                Err(error) => tracing::error!(
                    sink = %name, %error,
                    "The effects of a sink that was removed cannot be sent; they stay until it is back or they are discarded."
                ),
            }
        }
        Ok(())
    }

    async fn retired(&self, name: &str, definition: &ContentHash) -> Result<Arc<dyn DispatchingSink>> {
        let replanner = self.options.replanner.as_ref().ok_or_else(|| Error::user("nothing plans its definition"))?;
        let definition = Definition::from_sections(self.store.segments().read(definition)?);
        let graph = replanner.replan(&definition)?;
        let Some((_, Node { planned: Planned::Sink(planned), .. })) = graph.node(name) else {
            return Err(Error::internal("its definition does not know it"));
        };
        match planned.open.open(SinkContext { node: name.into(), mark: None }).await? {
            Sink::Dispatching(sink) => Ok(sink),
            Sink::Transactional(_) => Err(Error::internal("it has no effects")),
        }
    }
}

/// Brings effects to what the journal says from a step on. Gives back how far each input edge is complete by that.
pub(in crate::runtime) fn fold_outbox(
    journal: &Journal,
    from: StepNumber,
    identity: &EffectIdentity,
    effects: &Ledger,
) -> Result<BTreeMap<(String, u32), StepNumber>> {
    let mut through: BTreeMap<(String, u32), StepNumber> = BTreeMap::new();
    let mut records = journal.read(from)?;
    while let Some(record) = records.next() {
        match record? {
            (_, Record::Outbox(record)) => {
                // Its id is that of the incarnation that journaled it.
                let identity = EffectIdentity { incarnation: records.incarnation(), ..identity.clone() };
                let complete = through.entry((record.sink.clone(), record.input)).or_default();
                *complete = (*complete).max(record.through);
                effects.intend(&identity.effects_of(record));
            }
            (at, Record::Outcome(record)) => effects.replay(&record, at),
            (_, Record::Step(StepRecord { body: StepBody::Engine(EngineEvent::GivenUp { letters, .. }), .. })) => {
                effects.told(&letters);
            }
            (_, Record::Step(_)) => {}
        }
    }
    Ok(through)
}
