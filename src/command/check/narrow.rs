//! What the command line asks for, as options of the `check` nodes of a pipeline.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_operators::check::pack::{Pack, PackLibrary};
use tidegate_pipeline::spec::diagnostic::Located;
use tidegate_pipeline::spec::pipeline::NodeSpec;
use tidegate_pipeline::spec::{NOWHERE, Tree};

use super::parameters::Assignment;
use super::report::{Choice, field, selection, text, unknown_benchmark};
use crate::exit::Failure;
use crate::load;

/// A `check` node, and what is known of it.
pub(super) struct Node<'a> {
    pub(super) spec: &'a NodeSpec,
    /// Its pack; `None` where the control stands in the pipeline, or the pack cannot be read (planning says why).
    pub(super) pack: Option<Pack>,
}

/// What is left of the `check` nodes, and the options that make them so.
pub(super) struct Narrowed {
    options: BTreeMap<Arc<str>, Vec<(&'static str, Tree)>>,
}

impl Narrowed {
    /// Applies a choice and assignments of parameters to the nodes of a pipeline.
    ///
    /// # Errors
    /// When something is asked for that none of the nodes has.
    pub(super) fn of(
        nodes: &[&NodeSpec],
        file: &str,
        choice: &Choice,
        params: &[String],
        packs: &PackLibrary,
    ) -> Result<Self, Failure> {
        let nodes: Vec<Node<'_>> = nodes.iter().map(|spec| Node::of(spec, packs)).collect();
        let known: Vec<(String, Vec<String>)> = nodes.iter().flat_map(Node::controls).collect();
        let is_readable = nodes.iter().all(|node| node.pack.is_some() || node.named_pack().is_none());
        if is_readable {
            choice.covers(&known, file)?;
        }
        if let Some(id) = &choice.benchmark
            && !nodes.iter().any(|node| node.has_benchmark(id))
        {
            let benchmarks = nodes.iter().filter_map(|node| node.pack.as_ref()).flat_map(|pack| &pack.benchmarks);
            let mut known: Vec<String> = benchmarks.map(|benchmark| benchmark.node.id.clone()).collect();
            known.dedup();
            return Err(unknown_benchmark(id, &known));
        }
        let assignments = params.iter().map(|text| Assignment::read(text)).collect::<Result<Vec<_>, _>>()?;
        for assignment in &assignments {
            assignment.is_for_one_of(&nodes)?;
        }
        let mut options = BTreeMap::new();
        for node in &nodes {
            let Some(mut of_node) = node.narrowed(choice) else { continue };
            of_node.extend(Assignment::merged(&assignments, node)?.map(|params| ("params", params)));
            options.insert(Arc::clone(&node.spec.name.value), of_node);
        }
        if options.is_empty() {
            let message = format!("nothing is left to check: the `check` nodes of {file} have none of these controls");
            return Err(Failure::usage(message));
        }
        Ok(Self { options })
    }

    /// The nodes that have something to check.
    pub(super) fn nodes(&self) -> Vec<Arc<str>> {
        self.options.keys().cloned().collect()
    }

    /// The options to set on a node.
    pub(super) fn options_of(&self, node: &str) -> Vec<(&'static str, Tree)> {
        self.options.get(node).cloned().unwrap_or_default()
    }
}

impl<'a> Node<'a> {
    fn of(spec: &'a NodeSpec, packs: &PackLibrary) -> Self {
        let name = field(&spec.options, "pack").and_then(text);
        let found = name.and_then(|name| packs.find(&name, &load::working_directory()).ok());
        Self { spec, pack: found.map(|(pack, _)| pack) }
    }

    fn named_pack(&self) -> Option<String> {
        field(&self.spec.options, "pack").and_then(text)
    }

    /// The controls that it evaluates: ids, with those that they had before.
    fn controls(&self) -> Vec<(String, Vec<String>)> {
        match &self.pack {
            Some(pack) => {
                let selected = selection(&self.spec.options).of(pack);
                selected.iter().map(|control| (control.id.to_string(), control.aliases.clone())).collect()
            }
            None => vec![(self.spec.name.to_string(), Vec::new())],
        }
    }

    fn has_benchmark(&self, id: &str) -> bool {
        self.pack.as_ref().is_some_and(|pack| pack.benchmark(id).is_some())
    }

    /// The options that narrow it to a choice; `None` where nothing of it is left. What the pipeline selects stays
    /// selected at most: whatever of it is not asked for is left out by name.
    fn narrowed(&self, choice: &Choice) -> Option<Vec<(&'static str, Tree)>> {
        let Some(pack) = &self.pack else {
            let is_left = choice.benchmark.is_none() && choice.takes(&self.spec.name.value, &[]);
            return (is_left || self.named_pack().is_some()).then(Vec::new);
        };
        let in_benchmark = match &choice.benchmark {
            Some(id) => Some(pack.benchmark(id)?.node.all_controls()),
            None => None,
        };
        let takes = |id: &str, aliases: &[String]| {
            let is_in_benchmark = in_benchmark.as_ref().is_none_or(|ids| ids.iter().any(|known| **known == *id));
            is_in_benchmark && choice.takes(id, aliases)
        };
        let (taken, left): (Vec<_>, Vec<_>) = self.controls().into_iter().partition(|(id, aliases)| takes(id, aliases));
        if taken.is_empty() {
            return None;
        }
        if left.is_empty() {
            return Some(Vec::new());
        }
        let except = selection(&self.spec.options).except.into_iter().chain(left.into_iter().map(|(id, _)| id));
        let except = except.map(|id| Located::new(Tree::Text(id.into()), NOWHERE));
        Some(vec![("except", Tree::List(except.collect()))])
    }
}
