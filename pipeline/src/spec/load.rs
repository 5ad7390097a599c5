//! A pipeline file → [`PipelineSpec`], with everything that is wrong in one go.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;

use super::diagnostic::{Diagnostic, FINDINGS, Located, Place, Severity};
use super::filters::Filters;
use super::node::NodeReader;
use super::pipeline::{
    CheckpointSettings, JournalSettings, Limits, NodeSpec, PipelineSpec, RestartSettings, Section, StopSettings,
    VERSION,
};
use super::variables::as_written;
use super::{Options, Secrets, Tree, Variables, parse};
use crate::step::ENGINE;

/// The names of the kinds that a program offers, aliases included.
#[derive(Debug, Clone, Default)]
pub struct KnownKinds {
    /// The sources.
    pub sources: Vec<String>,
    /// The operators.
    pub operators: Vec<String>,
    /// The sinks.
    pub sinks: Vec<String>,
}

impl KnownKinds {
    /// The kinds of one section.
    pub fn of(&self, section: Section) -> &[String] {
        match section {
            Section::Source => &self.sources,
            Section::Operator => &self.operators,
            Section::Sink => &self.sinks,
        }
    }
}

/// A pipeline that can be planned.
#[derive(Debug)]
pub struct Loaded {
    /// The pipeline.
    pub spec: PipelineSpec,
    /// What is suspicious about it.
    pub warnings: Vec<Diagnostic>,
}

const KEYS: [&str; 11] = [
    "version",
    "name",
    "description",
    "checkpoint",
    "limits",
    "journal",
    "restart",
    "stop",
    "sources",
    "operators",
    "sinks",
];

const SETTINGS: [&str; 6] = ["description", "checkpoint", "limits", "journal", "restart", "stop"];

/// What the file says of the pipeline as a whole.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Settings {
    description: Option<String>,
    checkpoint: Option<CheckpointSettings>,
    limits: Option<Limits>,
    journal: Option<JournalSettings>,
    restart: Option<RestartSettings>,
    stop: Option<StopSettings>,
}

/// Reads a pipeline file. `file` is its path, which gives the pipeline its name where the text does not.
///
/// Keys at the top that begin with `x-` are ignored: a place for anchors. The options of nodes are left to
/// their kinds; ports and columns are left to planning.
///
/// # Errors
/// Everything that is wrong (warnings included), in the order of the file.
pub fn load(text: &str, file: &str, variables: &Variables, kinds: &KnownKinds) -> Result<Loaded, Vec<Diagnostic>> {
    let root = parse(text, variables)?;
    let entries = match root.value {
        Tree::Map(entries) => entries,
        Tree::Null => {
            let empty = Diagnostic::error(root.place, "the file is empty");
            return Err(vec![empty.with_help("a pipeline begins with `version: 1` and has `sources:`")]);
        }
        _ => {
            let diagnostic = Diagnostic::error(root.place, "a pipeline is a map").with_expected("", KEYS);
            return Err(vec![diagnostic]);
        }
    };
    let mut loader = Loader {
        source: text.into(),
        kinds,
        found: Vec::new(),
        declared: Vec::new(),
        filters: Filters::default(),
        secrets: Secrets::default(),
    };
    let spec = loader.pipeline(&entries, root.place, file);
    loader.check(&spec);
    loader.found.sort_by_key(|diagnostic| (diagnostic.place.offset, Reverse(diagnostic.severity)));
    if loader.found.iter().any(|diagnostic| diagnostic.severity == Severity::Error) {
        return Err(loader.found);
    }
    Ok(Loaded { spec, warnings: loader.found })
}

type Entry = (Located<Arc<str>>, Located<Tree>);

struct Loader<'a> {
    source: Arc<str>,
    kinds: &'a KnownKinds,
    found: Vec<Diagnostic>,
    /// The names of all nodes, also of those that cannot be read.
    declared: Vec<(Located<Arc<str>>, Section)>,
    filters: Filters,
    secrets: Secrets,
}

impl Loader<'_> {
    fn pipeline(&mut self, entries: &[Entry], root: Place, file: &str) -> PipelineSpec {
        let unknown = entries.iter().filter(|(key, _)| !KEYS.contains(&key.as_ref()) && !key.starts_with("x-"));
        for (key, _) in unknown.take(FINDINGS) {
            let unknown = Diagnostic::error(key.place, format!("unknown key `{}`", key.value));
            self.found.push(unknown.with_expected(key, KEYS));
        }
        let get = |name: &str| entries.iter().find(|(key, _)| *key.value == *name).map(|(_, value)| value);
        self.version(get("version"), root);
        let settings = self.settings(entries, root);
        let sources = self.section(Section::Source, get("sources"));
        let mut operators = self.section(Section::Operator, get("operators"));
        let mut sinks = self.section(Section::Sink, get("sinks"));
        self.filters.redirect(&mut operators);
        self.filters.redirect(&mut sinks);
        operators.append(&mut self.filters.nodes);
        PipelineSpec {
            name: self.name(get("name"), file),
            description: settings.description,
            checkpoint: settings.checkpoint.unwrap_or_default(),
            limits: settings.limits.unwrap_or_default(),
            journal: settings.journal.unwrap_or_default(),
            restart: settings.restart.unwrap_or_default(),
            stop: settings.stop.unwrap_or_default(),
            sources,
            operators,
            sinks,
        }
    }

    fn version(&mut self, version: Option<&Located<Tree>>, root: Place) {
        let help = format!("write `version: {VERSION}`");
        let diagnostic = match version {
            Some(version) if version.value == Tree::Integer(VERSION) => return,
            Some(version) => Diagnostic::error(version.place, "this version of the format is not known"),
            None => Diagnostic::error(root, "the key `version` is missing"),
        };
        self.found.push(diagnostic.with_help(help));
    }

    fn name(&mut self, name: Option<&Located<Tree>>, file: &str) -> Located<Arc<str>> {
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
        match name {
            Some(Located { value: Tree::Text(name), place }) => {
                if name.is_empty() || !name.chars().all(legal) {
                    let written = as_written(&self.source, *place).unwrap_or(name);
                    let message = format!("`{written}` cannot be the name of a pipeline");
                    let help = "a name has lower-case letters, digits, `_` and `-`";
                    self.found.push(Diagnostic::error(*place, message).with_help(help));
                }
                Located::new(Arc::clone(name), *place)
            }
            Some(other) => {
                self.found
                    .push(Diagnostic::error(other.place, "`name` wants text").with_help("put the name in quotes"));
                Located::new("pipeline".into(), other.place)
            }
            None => {
                let stem = Path::new(file).file_stem().map(|stem| stem.to_string_lossy().to_lowercase());
                let replaced: String =
                    stem.unwrap_or_default().chars().map(|c| if legal(c) { c } else { '-' }).collect();
                let name = if replaced.is_empty() { "pipeline" } else { replaced.as_str() };
                Located::new(name.into(), super::NOWHERE)
            }
        }
    }

    fn settings(&mut self, entries: &[Entry], root: Place) -> Settings {
        let entries = entries.iter().filter(|(key, _)| SETTINGS.contains(&key.as_ref())).cloned().collect();
        let tree = Located::new(Tree::Map(entries), root);
        Options::in_source(tree, Arc::clone(&self.source)).read().unwrap_or_else(|errors| {
            self.found.extend(errors);
            Settings::default()
        })
    }

    fn section(&mut self, section: Section, value: Option<&Located<Tree>>) -> Vec<NodeSpec> {
        let mut reader = NodeReader {
            section,
            kinds: self.kinds,
            source: Arc::clone(&self.source),
            found: &mut self.found,
            declared: &mut self.declared,
            filters: &mut self.filters,
            secrets: &self.secrets,
        };
        match value.map(|value| (&value.value, value.place)) {
            None | Some((Tree::Null, _)) => Vec::new(),
            Some((Tree::Map(entries), _)) => entries
                .iter()
                .map_while(|(name, node)| reader.unless_hopeless(|reader| reader.node(name, node)))
                .flatten()
                .collect(),
            Some((Tree::List(items), _)) if section == Section::Source => {
                items.iter().map_while(|item| reader.unless_hopeless(|reader| reader.listed(item))).flatten().collect()
            }
            Some((_, place)) => {
                let message = format!("`{}` wants a map of nodes by name", section.key());
                self.found.push(Diagnostic::error(place, message));
                Vec::new()
            }
        }
    }

    fn check(&mut self, spec: &PipelineSpec) {
        let start = Place::in_text(&self.source, 0, 0);
        let failed = self.found.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
        if spec.sources.is_empty() && !failed {
            self.found.push(Diagnostic::error(start, "the pipeline has no source").with_help("add `sources:`"));
        }
        if spec.sinks.is_empty() && !failed {
            let warning = Diagnostic::warning(start, "the pipeline has no sink: what it computes goes nowhere");
            self.found.push(warning.with_help("add `sinks:`"));
        }
        self.check_names();
        // Where nothing else is wrong, planning tells of references to nothing, together with what else it finds.
        if self.found.iter().any(|diagnostic| diagnostic.severity == Severity::Error) {
            self.check_references(spec);
        }
    }

    fn check_names(&mut self) {
        let mut first: HashMap<&str, u32> = HashMap::new();
        for (name, _) in &self.declared {
            let place = name.place;
            if *name.value == *ENGINE {
                let message = format!("`{ENGINE}` is the name of the built-in source");
                self.found.push(Diagnostic::error(place, message).with_help("choose another name"));
            }
            if let Some(line) = first.get(name.as_ref()) {
                let message = format!("a second node is named `{}`", name.value);
                self.found
                    .push(Diagnostic::error(place, message).with_help(format!("the first one is in line {line}")));
            } else {
                first.insert(name, place.line);
            }
        }
    }

    fn check_references(&mut self, spec: &PipelineSpec) {
        let names: HashSet<&str> = self.declared.iter().map(|(name, _)| name.as_ref()).collect();
        let unknown = spec.nodes().flat_map(|node| &node.from).filter(|from| !names.contains(&*from.node));
        for from in unknown.take(FINDINGS) {
            let readable = self.declared.iter().filter(|(_, section)| *section != Section::Sink);
            let names = readable.map(|(name, _)| name.to_string()).take(FINDINGS);
            let written = as_written(&self.source, from.place).unwrap_or(&from.node);
            let message = format!("there is no node `{written}`");
            self.found.push(Diagnostic::error(from.place, message).with_expected(&from.node, names));
        }
    }
}
