//! One node of a pipeline file.

use std::collections::HashSet;
use std::sync::Arc;

use serde::Deserialize;

use super::containers::OneOrMany;
use super::diagnostic::{Diagnostic, FINDINGS, Located, Place};
use super::filters::Filters;
use super::load::KnownKinds;
use super::pipeline::{NodeSpec, OnEnd, OnError, Section};
use super::variables::as_written;
use super::{Duration, Options, PortReference, Secrets, Tree};

type Entry = (Located<Arc<str>>, Located<Tree>);

/// What ansible-rulebook writes before the kinds of its sources and filters.
const SOURCE_PREFIXES: [&str; 3] = ["ansible.eda.", "ansible.builtin.", "eda.builtin."];

/// The keys that a node of a section has besides its kind's.
pub(super) fn common_keys(section: Section) -> &'static [&'static str] {
    match section {
        Section::Source => &["on_end", "stall_after", "uses", "filters", "was", "on_error", "description"],
        Section::Operator => &["from", "match", "was", "on_error", "description"],
        Section::Sink => &["from", "was", "on_error", "description"],
    }
}

/// The common keys, read.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Common {
    from: Option<OneOrMany<Located<String>>>,
    r#match: Option<Match>,
    was: Option<Located<Arc<str>>>,
    on_error: OnError,
    on_end: Option<OnEnd>,
    stall_after: Option<Located<Duration>>,
    uses: Option<OneOrMany<Located<Arc<str>>>>,
    description: Option<String>,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Match {
    All,
    First,
}

/// Reads the nodes of one section.
pub(super) struct NodeReader<'a> {
    /// The section.
    pub(super) section: Section,
    /// The kinds that there are.
    pub(super) kinds: &'a KnownKinds,
    /// The text of the file.
    pub(super) source: Arc<str>,
    /// Where errors go.
    pub(super) found: &'a mut Vec<Diagnostic>,
    /// The names of all nodes, also of those that cannot be read.
    pub(super) declared: &'a mut Vec<(Located<Arc<str>>, Section)>,
    /// The filters of sources.
    pub(super) filters: &'a mut Filters,
    /// The secrets of the pipeline.
    pub(super) secrets: &'a Secrets,
}

impl NodeReader<'_> {
    /// `name: {…}`.
    pub(super) fn node(&mut self, name: &Located<Arc<str>>, node: &Located<Tree>) -> Option<NodeSpec> {
        self.declared.push((name.clone(), self.section));
        self.check_name(name);
        match &node.value {
            Tree::Map(entries) => self.entries(name, entries, node.place, OnEnd::default()),
            _ => {
                let message = format!("the node `{}` wants a map with its kind{}", name.value, self.and_from());
                let help = format!(
                    "write `{}: {{{}KIND: OPTIONS}}`",
                    name.value,
                    if self.has_from() { "from: NODE, " } else { "" }
                );
                self.error(Diagnostic::error(node.place, message).with_help(help))
            }
        }
    }

    /// `- name: NAME` beside the kind, as ansible-rulebook lists its sources. As there, the end of one ends it all.
    pub(super) fn listed(&mut self, item: &Located<Tree>) -> Option<NodeSpec> {
        let Tree::Map(entries) = &item.value else {
            return self.error(Diagnostic::error(item.place, "a source in a list is a map with `name` and its kind"));
        };
        let named = |wanted: &str| entries.iter().find(|(key, _)| *key.value == *wanted);
        let name = match named("name") {
            Some((_, Located { value: Tree::Text(name), place })) => Located::new(Arc::clone(name), *place),
            Some((_, other)) => {
                let diagnostic = Diagnostic::error(other.place, "`name` wants text");
                return self.error(diagnostic.with_help("a name has letters, digits, `_` and `-`"));
            }
            None => {
                let diagnostic = Diagnostic::error(item.place, "a source in a list wants a `name`");
                return self.error(diagnostic.with_help("add `name: NAME`"));
            }
        };
        let rest: Vec<Entry> = entries.iter().filter(|(key, _)| key.as_ref() != "name").cloned().collect();
        self.declared.push((name.clone(), self.section));
        self.check_name(&name);
        self.entries(&name, &rest, item.place, OnEnd::Stop)
    }

    /// Reads on, unless so much is wrong already that more would help nobody.
    pub(super) fn unless_hopeless<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (self.found.len() < FINDINGS).then(|| read(self))
    }

    fn error<T>(&mut self, diagnostic: Diagnostic) -> Option<T> {
        self.found.push(diagnostic);
        None
    }

    fn has_from(&self) -> bool {
        self.section != Section::Source
    }

    fn and_from(&self) -> &'static str {
        if self.has_from() { " and `from`" } else { "" }
    }

    fn check_name(&mut self, name: &Located<Arc<str>>) {
        if !is_node_name(name) {
            let written = as_written(&self.source, name.place).unwrap_or(name);
            let message = format!("`{written}` cannot be the name of a node");
            let help = "a name begins with a letter or `_` and goes on with letters, digits, `_` and `-`";
            self.found.push(Diagnostic::error(name.place, message).with_help(help));
        }
    }

    fn entries(
        &mut self,
        name: &Located<Arc<str>>,
        entries: &[Entry],
        place: Place,
        on_end: OnEnd,
    ) -> Option<NodeSpec> {
        let common_keys = common_keys(self.section);
        let (common, others): (Vec<&Entry>, Vec<&Entry>) =
            entries.iter().partition(|(key, _)| common_keys.contains(&key.as_ref()));
        let kind = self.kind(name, &others);
        if let Some((_, filters)) = common.iter().find(|(key, _)| &*key.value == "filters") {
            self.filters(name, filters);
        }
        let common = Tree::Map(common.into_iter().filter(|(key, _)| &*key.value != "filters").cloned().collect());
        let common = Options::in_source(Located::new(common, place), Arc::clone(&self.source)).read::<Common>();
        let common = common.map_err(|errors| self.found.extend(errors)).ok();
        let from =
            common.as_ref().and_then(|common| self.from(name, entries, common.from.as_deref().unwrap_or_default()));
        let (kind, options) = kind?;
        let (common, from) = (common?, from?);
        if let Some(after) = common.stall_after.as_ref().filter(|after| after.value.0.is_zero()) {
            self.found.push(Diagnostic::error(after.place, "`stall_after` is zero: every source would be stalled"));
        }
        if let Some((key, _)) = entries.iter().find(|(key, _)| &*key.value == "match")
            && &*kind.value != "route"
        {
            self.found.push(Diagnostic::error(key.place, "`match` stands only beside `route`").with_help("remove it"));
        }
        Some(NodeSpec {
            section: self.section,
            from,
            was: common.was,
            on_error: common.on_error,
            description: common.description,
            on_end: common.on_end.unwrap_or(on_end),
            stall_after: common.stall_after.map(|after| after.value),
            uses: common.uses.as_deref().unwrap_or_default().to_vec(),
            match_all: common.r#match == Some(Match::All),
            ..self.plain_node(name.clone(), kind, options, place)
        })
    }

    /// An operator that reads nothing yet and has no options besides its kind's.
    pub(super) fn plain_node(
        &self,
        name: Located<Arc<str>>,
        kind: Located<Arc<str>>,
        options: Located<Tree>,
        place: Place,
    ) -> NodeSpec {
        NodeSpec {
            name,
            section: Section::Operator,
            from: Vec::new(),
            kind,
            options: Options::in_source(options, Arc::clone(&self.source)).with_secrets(self.secrets.clone()),
            was: None,
            on_error: OnError::default(),
            description: None,
            on_end: OnEnd::default(),
            stall_after: None,
            uses: Vec::new(),
            match_all: false,
            place,
        }
    }

    /// The kind of a filter, which is one of operators.
    pub(super) fn kind_of_filter(
        &mut self,
        name: &Located<Arc<str>>,
        entries: &[Entry],
    ) -> Option<(Located<Arc<str>>, Located<Tree>)> {
        let section = std::mem::replace(&mut self.section, Section::Operator);
        let kind = self.kind(name, &entries.iter().collect::<Vec<_>>());
        self.section = section;
        kind
    }

    /// The one entry that names a kind.
    fn kind(&mut self, name: &Located<Arc<str>>, others: &[&Entry]) -> Option<(Located<Arc<str>>, Located<Tree>)> {
        let known = self.kinds.of(self.section);
        let is_known = |entry: &&&Entry| known.iter().any(|kind| **kind == *self.plain_kind(&entry.0));
        let (kinds, unknown): (Vec<&&Entry>, Vec<&&Entry>) = others.iter().partition(is_known);
        match (kinds.as_slice(), unknown.as_slice()) {
            ([], []) => {
                let message = format!("the node `{}` names no kind", name.value);
                let help = format!("add one key that names the kind of {}", self.section);
                self.error(Diagnostic::error(name.place, message).with_help(help).with_expected("", known.to_vec()))
            }
            ([], [first, rest @ ..]) => {
                let diagnostic = self.unknown_kind(&first.0);
                self.found.push(diagnostic);
                self.unknown_keys(rest);
                None
            }
            ([(kind, options)], unknown) => {
                self.unknown_keys(unknown);
                let plain = self.plain_kind(kind).into();
                Some((Located::new(plain, kind.place), options.clone()))
            }
            ([(first, _), (second, _), ..], unknown) => {
                let message = format!("a node has one kind; `{}` and `{}` are two", first.value, second.value);
                let diagnostic = Diagnostic::error(second.place, message);
                self.found.push(diagnostic.with_help("make it two nodes, the second one reading from the first"));
                self.unknown_keys(unknown);
                None
            }
        }
    }

    /// A kind without the prefix that ansible-rulebook wants.
    fn plain_kind<'k>(&self, kind: &'k str) -> &'k str {
        let stripped = SOURCE_PREFIXES.iter().find_map(|prefix| kind.strip_prefix(prefix));
        stripped.filter(|_| self.section != Section::Sink).unwrap_or(kind)
    }

    fn unknown_kind(&self, key: &Located<Arc<str>>) -> Diagnostic {
        if let Some(misplaced) = self.misplaced(key) {
            return misplaced;
        }
        let plain = self.plain_kind(key);
        let names = self.kinds.of(self.section).iter().cloned();
        let names = names.chain(common_keys(self.section).iter().map(|key| (*key).to_owned()));
        let message = format!("unknown kind of {} `{}`", self.section, key.value);
        Diagnostic::error(key.place, message).with_expected(plain, names)
    }

    fn unknown_keys(&mut self, keys: &[&&Entry]) {
        for (key, _) in keys {
            let unknown = || Diagnostic::error(key.place, format!("unknown key `{}`", key.value));
            let diagnostic = self.misplaced(key);
            let diagnostic =
                diagnostic.unwrap_or_else(|| unknown().with_expected(key, common_keys(self.section).to_vec()));
            self.found.push(diagnostic);
        }
    }

    /// A key that has its place elsewhere.
    fn misplaced(&self, key: &Located<Arc<str>>) -> Option<Diagnostic> {
        let elsewhere = |section: &Section| *section != self.section;
        if let Some(section) = Section::ALL
            .into_iter()
            .filter(elsewhere)
            .find(|section| self.kinds.of(*section).iter().any(|kind| **kind == *key.value))
        {
            let message = format!("`{}` is a kind of {section}, not of {}", key.value, self.section);
            return Some(
                Diagnostic::error(key.place, message).with_help(format!("put the node under `{}:`", section.key())),
            );
        }
        let message = match &*key.value {
            "from" => "a source reads from no other node",
            "on_end" => "only sources have `on_end`",
            "stall_after" => "only sources have `stall_after`",
            "uses" => "only sources have `uses`: what a node reads stands in its `from`",
            "filters" => "only sources have `filters`",
            "match" => "`match` stands only beside `route`",
            _ => return None,
        };
        Some(Diagnostic::error(key.place, message).with_help(format!("remove `{}`", key.value)))
    }

    fn from(
        &mut self,
        name: &Located<Arc<str>>,
        entries: &[Entry],
        from: &[Located<String>],
    ) -> Option<Vec<Located<PortReference>>> {
        if from.is_empty() && self.has_from() {
            let place = entries.iter().find(|(key, _)| &*key.value == "from").map_or(name.place, |(key, _)| key.place);
            let message = format!("the node `{}` has no `from`", name.value);
            return self.error(
                Diagnostic::error(place, message).with_help("say what it reads: `from: NODE` or `from: NODE.PORT`"),
            );
        }
        let mut seen = HashSet::new();
        let mut references = Vec::new();
        for text in from {
            let written = as_written(&self.source, text.place).unwrap_or(&text.value);
            let Some(reference) = port_reference(text) else {
                let message = format!("`{written}` names neither a node nor a port");
                self.found.push(Diagnostic::error(text.place, message).with_help("write `NODE` or `NODE.PORT`"));
                continue;
            };
            if !seen.insert(reference.clone()) {
                let message = format!("`{written}` is read twice");
                self.found.push(Diagnostic::error(text.place, message).with_help("remove one of the two"));
            }
            references.push(Located::new(reference, text.place));
        }
        Some(references)
    }
}

fn is_node_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

fn port_reference(text: &str) -> Option<PortReference> {
    let (node, port) = match text.split_once('.') {
        Some((node, port)) => (node, Some(port)),
        None => (text, None),
    };
    let legal = is_node_name(node) && port.is_none_or(|port| !port.is_empty() && !port.contains(char::is_whitespace));
    legal.then(|| PortReference { node: node.into(), port: port.map(Into::into) })
}
