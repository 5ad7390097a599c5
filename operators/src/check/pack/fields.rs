//! Reads the fields of a YAML map and reports what it does not know.

use std::sync::Arc;

use tidegate_pipeline::spec::Tree;
use tidegate_pipeline::spec::diagnostic::{Located, Place, closest};

use super::PackProblem;

/// Collects the problems of one file.
#[derive(Debug)]
pub(crate) struct Problems<'a> {
    /// The file that is being read.
    pub(crate) file: Arc<str>,
    /// Where they go.
    pub(crate) list: &'a mut Vec<PackProblem>,
}

impl Problems<'_> {
    /// A problem at a place.
    pub(crate) fn add(&mut self, place: Place, message: impl std::fmt::Display) {
        self.list.push(PackProblem::new(&self.file, place, message));
    }

    /// A problem at a place, with a remedy.
    pub(crate) fn add_with_help(&mut self, place: Place, message: impl std::fmt::Display, help: Option<String>) {
        self.list.push(PackProblem { help, ..PackProblem::new(&self.file, place, message) });
    }
}

/// The entries of a map, checked against the fields that may be there.
pub(crate) struct Fields<'t> {
    entries: &'t [(Located<Arc<str>>, Located<Tree>)],
    /// Where the map stands.
    pub(crate) place: Place,
}

impl<'t> Fields<'t> {
    /// The map in `tree`; `what` names it in messages. Fields that are not in `known` become problems.
    pub(crate) fn of(tree: &'t Located<Tree>, what: &str, known: &[&str], problems: &mut Problems<'_>) -> Option<Self> {
        let Tree::Map(entries) = &tree.value else {
            problems.add(tree.place, format!("{what} must be a map, found {}", kind(&tree.value)));
            return None;
        };
        let names: Vec<String> = known.iter().map(ToString::to_string).collect();
        for (key, _) in entries.iter().filter(|(key, _)| !known.contains(&&*key.value)) {
            let help = match closest(key, &names) {
                Some(name) => format!("did you mean `{name}`?"),
                None => format!("known fields: {}", names.join(", ")),
            };
            problems.add_with_help(key.place, format!("unknown field `{}` in {what}", key.value), Some(help));
        }
        Some(Self { entries, place: tree.place })
    }

    /// The value of a field; `null` counts as absent.
    pub(crate) fn get(&self, name: &str) -> Option<&'t Located<Tree>> {
        let value = self.entries.iter().find(|(key, _)| &*key.value == name).map(|(_, value)| value)?;
        (value.value != Tree::Null).then_some(value)
    }

    /// A field that holds one line or block of text. A number is taken as its text.
    pub(crate) fn text(&self, name: &str, problems: &mut Problems<'_>) -> Option<Located<String>> {
        let value = self.get(name)?;
        match text_of(&value.value) {
            Some(text) => Some(Located::new(text, value.place)),
            None => {
                problems.add(value.place, format!("`{name}` must be text, found {}", kind(&value.value)));
                None
            }
        }
    }

    /// As [`Fields::text`], but its absence is a problem.
    pub(crate) fn required(&self, name: &str, what: &str, problems: &mut Problems<'_>) -> Option<Located<String>> {
        if self.get(name).is_none() {
            problems.add(self.place, format!("{what} has no `{name}`"));
            return None;
        }
        self.text(name, problems)
    }

    /// A field that holds a list of texts; one text stands for a list of one.
    pub(crate) fn texts(&self, name: &str, problems: &mut Problems<'_>) -> Vec<Located<String>> {
        let Some(value) = self.get(name) else { return Vec::new() };
        let Tree::List(items) = &value.value else {
            return self.text(name, problems).into_iter().collect();
        };
        let mut texts = Vec::with_capacity(items.len());
        for item in items {
            match text_of(&item.value) {
                Some(text) => texts.push(Located::new(text, item.place)),
                None => problems.add(item.place, format!("`{name}` must hold texts, found {}", kind(&item.value))),
            }
        }
        texts
    }

    /// A field that holds a list.
    pub(crate) fn list(&self, name: &str, problems: &mut Problems<'_>) -> &'t [Located<Tree>] {
        match self.get(name) {
            None => &[],
            Some(Located { value: Tree::List(items), .. }) => items,
            Some(other) => {
                problems.add(other.place, format!("`{name}` must be a list, found {}", kind(&other.value)));
                &[]
            }
        }
    }

    /// A field that holds a map of any names.
    pub(crate) fn map(&self, name: &str, problems: &mut Problems<'_>) -> &'t [(Located<Arc<str>>, Located<Tree>)] {
        match self.get(name) {
            None => &[],
            Some(Located { value: Tree::Map(entries), .. }) => entries,
            Some(other) => {
                problems.add(other.place, format!("`{name}` must be a map, found {}", kind(&other.value)));
                &[]
            }
        }
    }
}

/// A scalar as text; `None` for lists, maps and null.
pub(crate) fn text_of(tree: &Tree) -> Option<String> {
    match tree {
        Tree::Text(text) => Some(text.to_string()),
        Tree::Integer(number) => Some(number.to_string()),
        Tree::Float(number) => Some(number.to_string()),
        Tree::Bool(value) => Some(value.to_string()),
        Tree::Null | Tree::List(_) | Tree::Map(_) => None,
    }
}

/// What a value is, for messages.
pub(crate) fn kind(tree: &Tree) -> &'static str {
    match tree {
        Tree::Null => "nothing",
        Tree::Bool(_) => "true or false",
        Tree::Integer(_) => "a whole number",
        Tree::Float(_) => "a number",
        Tree::Text(_) => "text",
        Tree::List(_) => "a list",
        Tree::Map(_) => "a map",
    }
}
