//! A tree as JSON.

use serde_json::Value;

use super::Tree;

impl From<&Tree> for Value {
    fn from(tree: &Tree) -> Self {
        match tree {
            Tree::Null => Self::Null,
            Tree::Bool(value) => Self::Bool(*value),
            Tree::Integer(number) => Self::from(*number),
            Tree::Float(number) => Self::from(*number),
            Tree::Text(text) => Self::from(&**text),
            Tree::List(items) => items.iter().map(|item| Self::from(&item.value)).collect(),
            Tree::Map(entries) => {
                let entry = |(key, value): &(super::Located<std::sync::Arc<str>>, super::Located<Tree>)| {
                    (key.to_string(), Self::from(&value.value))
                };
                Self::Object(entries.iter().map(entry).collect())
            }
        }
    }
}
