//! The controls that a planned pipeline evaluates, with what their packs say about them: read from the texts that
//! the pipeline was planned with.

use serde::{Deserialize, Serialize};
use tidegate_operators::check::finding::Severity;
use tidegate_operators::check::pack;
use tidegate_operators::check::plan::Selection;
use tidegate_pipeline::graph::{Graph, Node, Planned};
use tidegate_pipeline::spec::{Options, Tree};

use super::Counts;
use super::rows::Tally;
use crate::command::check::target::CHECK;

/// A pack that was evaluated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::command::check) struct Pack {
    pub(in crate::command::check) name: String,
    pub(in crate::command::check) version: String,
    pub(in crate::command::check) title: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(in crate::command::check) benchmarks: Vec<BenchmarkPart>,
}

/// A benchmark, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::command::check) struct BenchmarkPart {
    pub(in crate::command::check) id: String,
    pub(in crate::command::check) title: String,
    /// The version of a framework; parts have none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(in crate::command::check) version: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(in crate::command::check) controls: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(in crate::command::check) children: Vec<BenchmarkPart>,
}

/// A control that was evaluated, and what it found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::command::check) struct Control {
    pub(in crate::command::check) pack: String,
    pub(in crate::command::check) id: String,
    pub(in crate::command::check) title: String,
    pub(in crate::command::check) severity: Severity,
    #[serde(flatten)]
    pub(in crate::command::check) about: About,
    /// The file that has it evaluated: the pipeline's, or the pack's where there is none.
    pub(in crate::command::check) file: String,
    /// The line there.
    pub(in crate::command::check) line: u32,
    pub(in crate::command::check) counts: Counts,
}

/// What a pack says about a control; all empty where the control stands in a pipeline.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::command::check) struct About {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(in crate::command::check) description: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(in crate::command::check) rationale: String,
    #[serde(skip_serializing_if = "Remedy::is_empty")]
    pub(in crate::command::check) remediation: Remedy,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(in crate::command::check) references: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(in crate::command::check) service: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(in crate::command::check) resource_type: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(in crate::command::check) categories: Vec<String>,
}

/// How to mend an alarm.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::command::check) struct Remedy {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(in crate::command::check) text: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(in crate::command::check) cli: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(in crate::command::check) terraform: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(in crate::command::check) url: String,
}

impl Remedy {
    /// Whether nothing is said.
    pub(in crate::command::check) fn is_empty(&self) -> bool {
        self == &Self::default()
    }
}

impl Control {
    /// A control of which only its findings are known.
    pub(super) fn unknown(pack: &str, id: &str, tally: Tally) -> Self {
        Self {
            pack: pack.to_owned(),
            id: id.to_owned(),
            title: tally.title,
            severity: tally.severity,
            about: About::default(),
            file: pack.to_owned(),
            line: 1,
            counts: tally.counts,
        }
    }

    /// Its service; its pack's name where it names none.
    pub(in crate::command::check) fn service(&self) -> &str {
        if self.about.service.is_empty() { &self.pack } else { &self.about.service }
    }

    /// A page to read on: its remediation's, else the first reference. Only addresses that a browser may follow.
    pub(in crate::command::check) fn page(&self) -> Option<&str> {
        let pages = std::iter::once(&self.about.remediation.url).chain(&self.about.references);
        pages.map(String::as_str).find(|page| page.starts_with("https://") || page.starts_with("http://"))
    }
}

impl BenchmarkPart {
    /// The ids of all controls in it, each once, in tree order.
    pub(in crate::command::check) fn all_controls(&self) -> Vec<&str> {
        let mut all: Vec<&str> = Vec::new();
        let more = self.children.iter().flat_map(Self::all_controls);
        for id in self.controls.iter().map(String::as_str).chain(more) {
            if !all.contains(&id) {
                all.push(id);
            }
        }
        all
    }
}

/// The packs and controls of the `check` nodes of a pipeline. `in_pipeline` says that the pipeline is the user's
/// file, and not one made for a pack.
pub(in crate::command::check) fn packs_of(graph: &Graph, in_pipeline: bool) -> (Vec<Pack>, Vec<Control>) {
    let (mut packs, mut controls) = (Vec::new(), Vec::new());
    for node in graph.nodes.iter().filter(|node| *node.kind == *CHECK) {
        let Planned::Operator(operator) = &node.planned else { continue };
        let Some(options) = graph.spec.node(&node.name).map(|spec| &spec.options) else { continue };
        let place = in_pipeline.then(|| (graph.file.clone(), node.place.line));
        let Some(pack) = pack_of(&operator.contents) else {
            controls.push(inline(node, options, &graph.file));
            continue;
        };
        controls.extend(selection(options).of(&pack).iter().map(|known| control(&pack.name, known, place.clone())));
        packs.push(described(&pack));
    }
    packs.sort_by(|a, b| a.name.cmp(&b.name));
    packs.dedup_by(|a, b| a.name == b.name);
    controls.sort_by(|a, b| (&a.pack, &a.id).cmp(&(&b.pack, &b.id)));
    controls.dedup_by(|a, b| (&a.pack, &a.id) == (&b.pack, &b.id));
    (packs, controls)
}

/// The pack that a node was planned with; `None` where its control stands in the pipeline.
fn pack_of(contents: &[(String, std::sync::Arc<[u8]>)]) -> Option<pack::Pack> {
    let root = contents.first()?.0.split('/').next()?.to_owned();
    let mut files = pack::PackFiles::default();
    contents.iter().for_each(|(path, content)| files.insert(path.as_str(), std::sync::Arc::clone(content)));
    // What is wrong with it was said when it was planned.
    Some(pack::Pack::load(&files, &root).0)
}

/// What the options of a `check` node select.
pub(in crate::command::check) fn selection(options: &Options) -> Selection {
    let texts = |name: &str| match field(options, name) {
        Some(Tree::List(items)) => items.iter().filter_map(|item| text(&item.value)).collect(),
        Some(tree) => text(tree).into_iter().collect(),
        None => Vec::new(),
    };
    Selection {
        controls: texts("controls"),
        except: texts("except"),
        benchmark: field(options, "benchmark").and_then(text),
    }
}

/// An option of a node.
pub(in crate::command::check) fn field<'a>(options: &'a Options, name: &str) -> Option<&'a Tree> {
    let Tree::Map(entries) = &options.tree.value else { return None };
    entries.iter().find(|(key, _)| &*key.value == name).map(|(_, value)| &value.value)
}

/// The text that a value is.
pub(in crate::command::check) fn text(tree: &Tree) -> Option<String> {
    if let Tree::Text(text) = tree { Some(text.to_string()) } else { None }
}

fn described(pack: &pack::Pack) -> Pack {
    let benchmarks = pack.benchmarks.iter();
    Pack {
        name: pack.name.to_string(),
        version: pack.version.clone(),
        title: pack.title.clone(),
        benchmarks: benchmarks
            .map(|known| BenchmarkPart { version: known.version.clone(), ..part(&known.node) })
            .collect(),
    }
}

fn part(node: &pack::BenchmarkNode) -> BenchmarkPart {
    BenchmarkPart {
        id: node.id.clone(),
        title: node.title.clone(),
        version: String::new(),
        controls: node.controls.iter().map(ToString::to_string).collect(),
        children: node.children.iter().map(part).collect(),
    }
}

fn control(pack: &str, control: &pack::Control, place: Option<(String, u32)>) -> Control {
    let (file, line) = place.unwrap_or_else(|| (control.file.to_string(), control.place.line));
    let remedy = &control.remediation;
    let about = About {
        description: control.description.clone(),
        rationale: control.rationale.clone(),
        remediation: Remedy {
            text: remedy.text.clone(),
            cli: remedy.cli.clone(),
            terraform: remedy.terraform.clone(),
            url: remedy.url.clone(),
        },
        references: control.references.clone(),
        service: control.service.clone(),
        resource_type: control.resource_type.clone(),
        categories: control.categories.clone(),
    };
    Control {
        pack: pack.to_owned(),
        id: control.id.to_string(),
        title: control.title.to_string(),
        severity: control.severity,
        about,
        file,
        line,
        counts: Counts::default(),
    }
}

/// The control that a node's `sql` is.
fn inline(node: &Node, options: &Options, file: &str) -> Control {
    let name = node.name.to_string();
    let severity = field(options, "severity").and_then(text).and_then(|word| word.parse().ok());
    Control {
        title: field(options, "title").and_then(text).unwrap_or_else(|| name.clone()),
        severity: severity.unwrap_or(Severity::Medium),
        about: About::default(),
        file: file.to_owned(),
        line: node.place.line,
        counts: Counts::default(),
        pack: name.clone(),
        id: name,
    }
}
