//! `filters:` of a source, as ansible-rulebook writes them: operators in a row behind the source.
//!
//! `x` with two filters becomes the source `x` and the operators `x_filter_1`, which reads `x`, and `x_filter_2`; who
//! reads `x` reads the last of them, and who reads `x.errors` reads the errors of all.

use std::collections::HashMap;
use std::sync::Arc;

use super::diagnostic::{Diagnostic, Located};
use super::node::NodeReader;
use super::pipeline::{NodeSpec, Section};
use super::{PortReference, Tree};
use crate::rows::ERRORS;

/// The filters of all sources.
#[derive(Debug, Default)]
pub(super) struct Filters {
    /// The operators.
    pub(super) nodes: Vec<NodeSpec>,
    /// The filters of each source that has some, in order.
    of_source: HashMap<Arc<str>, Vec<Arc<str>>>,
}

impl NodeReader<'_> {
    /// Reads the filters of the source `name`.
    pub(super) fn filters(&mut self, name: &Located<Arc<str>>, filters: &Located<Tree>) {
        let items = match &filters.value {
            Tree::List(items) => items.as_slice(),
            Tree::Null => return,
            _ => {
                let help = "write `filters: [{json_filter: {exclude_keys: [\"*_url\"]}}]`";
                return self.found.push(Diagnostic::error(filters.place, "`filters` wants a list").with_help(help));
            }
        };
        let mut names: Vec<Arc<str>> = Vec::with_capacity(items.len());
        for item in items {
            let own: Arc<str> = format!("{}_filter_{}", name.value, names.len() + 1).into();
            let before = names.last().unwrap_or(&name.value);
            let from = PortReference { node: Arc::clone(before), port: None };
            if let Some(node) = self.filter(&own, from, item) {
                self.filters.nodes.push(node);
            }
            names.push(own);
        }
        if !names.is_empty() {
            self.filters.of_source.insert(Arc::clone(&name.value), names);
        }
    }

    /// `KIND: {…}`, or only `KIND`.
    fn filter(&mut self, name: &Arc<str>, from: PortReference, item: &Located<Tree>) -> Option<NodeSpec> {
        let entries = match &item.value {
            Tree::Map(entries) => entries.clone(),
            Tree::Text(kind) => {
                vec![(Located::new(Arc::clone(kind), item.place), Located::new(Tree::Null, item.place))]
            }
            _ => {
                let help = "write `{json_filter: {exclude_keys: [\"*_url\"]}}`";
                let wrong = Diagnostic::error(item.place, "a filter is a map of its kind and its options");
                self.found.push(wrong.with_help(help));
                return None;
            }
        };
        let name = Located::new(Arc::clone(name), item.place);
        self.declared.push((name.clone(), Section::Operator));
        let (kind, options) = self.kind_of_filter(&name, &entries)?;
        Some(NodeSpec {
            from: vec![Located::new(from, item.place)],
            ..self.plain_node(name, kind, options, item.place)
        })
    }
}

impl Filters {
    /// Lets those who read a source with filters read what leaves its filters.
    pub(super) fn redirect(&self, nodes: &mut [NodeSpec]) {
        for node in nodes {
            node.from = node.from.drain(..).flat_map(|from| self.behind(from)).collect();
        }
    }

    fn behind(&self, from: Located<PortReference>) -> Vec<Located<PortReference>> {
        let Some(filters) = self.of_source.get(&from.value.node) else { return vec![from] };
        let place = from.place;
        let at = |node: &Arc<str>| {
            Located::new(PortReference { node: Arc::clone(node), port: from.value.port.clone() }, place)
        };
        match (from.value.port.as_deref(), filters.last()) {
            (Some(ERRORS), _) => std::iter::once(&from.value.node).chain(filters).map(at).collect(),
            (_, Some(last)) => vec![at(last)],
            (_, None) => vec![from],
        }
    }
}
