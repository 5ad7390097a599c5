//! Options whose value is not a map of fields: SQL text, lists of it.

use std::sync::Arc;

use tidegate_pipeline::spec::diagnostic::{Diagnostic, Located, Place};
use tidegate_pipeline::spec::{Options, Sql, Tree};

/// The SQL text that is the whole value of the options.
pub(crate) fn sql(options: &Options, example: &str) -> Result<Sql, Vec<Diagnostic>> {
    text(&options.tree, example).map_err(|diagnostic| vec![diagnostic])
}

/// A value that must be text.
pub(crate) fn text(tree: &Located<Tree>, example: &str) -> Result<Sql, Diagnostic> {
    match &tree.value {
        Tree::Text(text) => Ok(Sql::new(text.to_string(), tree.place)),
        _ => Err(Diagnostic::error(tree.place, "expected SQL text").with_help(format!("write `{example}`"))),
    }
}

/// The entries of a map, in the order of the file.
pub(crate) fn entries(tree: &Located<Tree>) -> &[(Located<Arc<str>>, Located<Tree>)] {
    match &tree.value {
        Tree::Map(entries) => entries,
        _ => &[],
    }
}

/// The value of a field, as written.
pub(crate) fn field<'a>(options: &'a Options, name: &str) -> Option<&'a Located<Tree>> {
    entries(&options.tree).iter().find(|(key, _)| key.value.as_ref() == name).map(|(_, value)| value)
}

/// Where a field stands; the whole of the options where it is absent.
pub(crate) fn place(options: &Options, name: &str) -> Place {
    field(options, name).map_or(options.tree.place, |value| value.place)
}

/// A field that is one text or a list of them, each with its place. Entries that are not text are taken as
/// YAML writes them, so that `key: [id, 1]` means the number.
pub(crate) fn texts(options: &Options, name: &str) -> Vec<Sql> {
    let written = |tree: &Located<Tree>| {
        let text = match &tree.value {
            Tree::Text(text) => text.to_string(),
            Tree::Integer(number) => number.to_string(),
            Tree::Float(number) => number.to_string(),
            Tree::Bool(value) => value.to_string(),
            Tree::Null | Tree::List(_) | Tree::Map(_) => String::new(),
        };
        Sql::new(text, tree.place)
    };
    match field(options, name) {
        Some(Located { value: Tree::List(items), .. }) => items.iter().map(written).collect(),
        Some(other) => vec![written(other)],
        None => Vec::new(),
    }
}
