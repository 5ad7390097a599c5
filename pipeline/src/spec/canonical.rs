//! The definition of a pipeline as a text that changes exactly when its meaning does.

use serde_json::{Map, Value, json};

use super::pipeline::{NodeSpec, OnEnd, OnError, PipelineSpec, VERSION};
use super::{Options, Tree};
use crate::spec::diagnostic::Located;

impl PipelineSpec {
    /// The definition as JSON: nodes by name, and of each what changes what it computes.
    ///
    /// Left out: places, descriptions, former names, the order of nodes, and the settings that decide how a
    /// pipeline runs and not what it gives (checkpoints, limits, journal, restart, stop). Literal secrets are
    /// left out too, once the options that hold them have been read: call this after planning. The text is a
    /// pipeline file itself.
    pub fn canonical(&self) -> String {
        let mut document = json!({"version": VERSION, "name": &*self.name.value});
        for (key, nodes) in [("sources", &self.sources), ("operators", &self.operators), ("sinks", &self.sinks)] {
            let mut nodes: Vec<&NodeSpec> = nodes.iter().collect();
            nodes.sort_by(|a, b| a.name.value.cmp(&b.name.value));
            let nodes: Map<String, Value> =
                nodes.into_iter().map(|node| (node.name.to_string(), definition(node))).collect();
            document[key] = Value::Object(nodes);
        }
        document.to_string()
    }
}

impl Options {
    /// The options as JSON, literal secrets left out.
    pub fn canonical(&self) -> String {
        value(&self.tree, self).to_string()
    }

    /// Some of the options as JSON, in the order of `keys`; those that are not there are left out.
    pub fn canonical_of(&self, keys: &[&str]) -> String {
        let Tree::Map(entries) = &self.tree.value else { return self.canonical() };
        let of = |key: &&str| entries.iter().find(|(name, _)| &*name.value == *key);
        let chosen = keys.iter().filter_map(of).map(|(key, entry)| (key.to_string(), value(entry, self)));
        Value::Object(chosen.collect()).to_string()
    }
}

fn definition(node: &NodeSpec) -> Value {
    let mut definition = Map::new();
    if !node.from.is_empty() {
        definition.insert("from".into(), node.from.iter().map(|from| from.value.to_string()).collect());
    }
    if node.on_error != OnError::default() {
        definition.insert("on_error".into(), json!(node.on_error));
    }
    if node.on_end != OnEnd::default() {
        definition.insert("on_end".into(), json!(node.on_end));
    }
    if node.match_all {
        definition.insert("match".into(), "all".into());
    }
    definition.insert(node.kind.to_string(), value(&node.options.tree, &node.options));
    Value::Object(definition)
}

fn value(tree: &Located<Tree>, options: &Options) -> Value {
    if options.is_secret(tree.place) && !matches!(tree.value, Tree::Map(_)) {
        return "a literal secret".into();
    }
    match &tree.value {
        Tree::Null => Value::Null,
        Tree::Bool(flag) => (*flag).into(),
        Tree::Integer(number) => (*number).into(),
        Tree::Float(number) => (*number).into(),
        // A `$` is doubled, so that reading the text back finds no variables in it.
        Tree::Text(text) => text.replace('$', "$$").into(),
        Tree::List(items) => items.iter().map(|item| value(item, options)).collect(),
        Tree::Map(entries) => {
            entries.iter().map(|(key, entry)| (key.to_string(), value(entry, options))).collect::<Map<_, _>>().into()
        }
    }
}
