//! Options whose value is not a map of fields: SQL text, lists of it.

use std::sync::Arc;

use tidegate_pipeline::spec::diagnostic::{Diagnostic, Located, Place};
use tidegate_pipeline::spec::{Options, SqlText, Tree};

/// The SQL text that is the whole value of the options.
pub(crate) fn sql(options: &Options, example: &str) -> Result<SqlText, Vec<Diagnostic>> {
    sql_of(options, &options.tree, example).map_err(|diagnostic| vec![diagnostic])
}

/// A value of the options that must be SQL text.
pub(crate) fn sql_of(options: &Options, tree: &Located<Tree>, example: &str) -> Result<SqlText, Diagnostic> {
    text(tree, example).map(|text| options.sql(&text))
}

/// A value that must be text.
pub(crate) fn text(tree: &Located<Tree>, example: &str) -> Result<Located<Arc<str>>, Diagnostic> {
    match &tree.value {
        Tree::Text(text) => Ok(Located::new(Arc::clone(text), tree.place)),
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
pub(crate) fn texts(options: &Options, name: &str) -> Vec<Located<Arc<str>>> {
    let written = |tree: &Located<Tree>| {
        let text = match &tree.value {
            Tree::Text(text) => Arc::clone(text),
            Tree::Integer(number) => number.to_string().into(),
            Tree::Float(number) => number.to_string().into(),
            Tree::Bool(value) => value.to_string().into(),
            Tree::Null | Tree::List(_) | Tree::Map(_) => "".into(),
        };
        Located::new(text, tree.place)
    };
    match field(options, name) {
        Some(Located { value: Tree::List(items), .. }) => items.iter().map(written).collect(),
        Some(other) => vec![written(other)],
        None => Vec::new(),
    }
}

/// As [`texts`], as SQL.
pub(crate) fn sqls(options: &Options, name: &str) -> Vec<SqlText> {
    texts(options, name).iter().map(|text| options.sql(text)).collect()
}
