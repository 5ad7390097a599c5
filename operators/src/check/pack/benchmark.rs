//! Benchmarks: trees of controls, such as the items of a framework.

use tidegate_pipeline::spec::Tree;
use tidegate_pipeline::spec::diagnostic::{Located, closest};

use super::control::Control;
use super::fields::{Fields, Problems};
use super::glob;
use std::sync::Arc;

/// A tree of controls with a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Benchmark {
    /// The version of the framework.
    pub version: String,
    /// The root of the tree.
    pub node: BenchmarkNode,
}

/// A part of a benchmark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BenchmarkNode {
    /// Its id: `fsbp`, `ec2.3`.
    pub id: String,
    /// What it asks for.
    pub title: String,
    /// The ids of its controls, patterns resolved, in the order given.
    pub controls: Vec<Arc<str>>,
    /// Its parts.
    pub children: Vec<BenchmarkNode>,
}

impl BenchmarkNode {
    /// The ids of all controls in the tree, each once, in tree order.
    pub fn all_controls(&self) -> Vec<Arc<str>> {
        let mut all: Vec<Arc<str>> = Vec::new();
        let mut waiting = vec![self];
        while let Some(node) = waiting.pop() {
            for id in &node.controls {
                if !all.contains(id) {
                    all.push(Arc::clone(id));
                }
            }
            waiting.extend(node.children.iter().rev());
        }
        all
    }
}

/// Reads a file of `benchmarks/`.
pub(super) fn read(tree: &Located<Tree>, controls: &[Arc<Control>], problems: &mut Problems<'_>) -> Option<Benchmark> {
    let fields = Fields::of(tree, "a benchmark file", &["benchmark", "children", "controls"], problems)?;
    let Some(head) = fields.get("benchmark") else {
        problems.add(tree.place, "a benchmark file needs `benchmark: {id: …}`");
        return None;
    };
    let head = Fields::of(head, "`benchmark`", &["id", "version", "title", "description"], problems)?;
    let id = head.required("id", "a benchmark", problems)?.value;
    let version = head.text("version", problems).map(|text| text.value).unwrap_or_default();
    let title = head.text("title", problems).map_or_else(|| id.clone(), |text| text.value);
    let controls_here = resolve(&fields, controls, problems);
    let children = children(&fields, controls, 0, problems);
    Some(Benchmark { version, node: BenchmarkNode { id, title, controls: controls_here, children } })
}

fn children(
    fields: &Fields<'_>,
    controls: &[Arc<Control>],
    depth: usize,
    problems: &mut Problems<'_>,
) -> Vec<BenchmarkNode> {
    const DEEPEST: usize = 32;
    if depth > DEEPEST {
        problems.add(fields.place, "the benchmark is nested too deeply");
        return Vec::new();
    }
    let mut nodes = Vec::new();
    for child in fields.list("children", problems) {
        let known = &["id", "title", "description", "controls", "children"];
        let Some(inner) = Fields::of(child, "a part of a benchmark", known, problems) else { continue };
        let Some(id) = inner.required("id", "a part of a benchmark", problems) else { continue };
        let title = inner.text("title", problems).map_or_else(|| id.value.clone(), |text| text.value);
        let controls_here = resolve(&inner, controls, problems);
        let children = children(&inner, controls, depth + 1, problems);
        nodes.push(BenchmarkNode { id: id.value, title, controls: controls_here, children });
    }
    nodes
}

/// The ids that `controls:` names, patterns resolved.
fn resolve(fields: &Fields<'_>, controls: &[Arc<Control>], problems: &mut Problems<'_>) -> Vec<Arc<str>> {
    let mut ids: Vec<Arc<str>> = Vec::new();
    for pattern in fields.texts("controls", problems) {
        let fits =
            |control: &&Arc<Control>| glob::matches(&pattern, &control.id) || control.aliases.contains(&pattern.value);
        let found: Vec<Arc<str>> = controls.iter().filter(fits).map(|control| Arc::clone(&control.id)).collect();
        if found.is_empty() {
            let names: Vec<String> = controls.iter().map(|control| control.id.to_string()).collect();
            let help = closest(&pattern, &names).map(|name| format!("did you mean `{name}`?"));
            let message = match glob::is_pattern(&pattern) {
                true => format!("no control matches `{}`", pattern.value),
                false => format!("there is no control `{}`", pattern.value),
            };
            problems.add_with_help(pattern.place, message, help);
        }
        for id in found {
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
    }
    ids
}
