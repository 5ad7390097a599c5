//! YAML text → a tree that knows the place of every value.

use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};
use tidegate_pipeline::spec::Tree;
use tidegate_pipeline::spec::diagnostic::{Located, Place};

use super::PackProblem;

/// Reads one YAML document. An empty text is [`Tree::Null`].
///
/// # Errors
/// What is wrong with the YAML, with its place in `file`.
pub(crate) fn read(file: &str, text: &str) -> Result<Located<Tree>, PackProblem> {
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Ok(Located::new(Tree::Null, Place { line: 1, column: 1, ..Place::default() }));
    }
    // Only `true` and `false` are that: `region: no` and `state: on` are text.
    let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
    match serde_saphyr::from_str_with_options::<Spanned<Node>>(text, options) {
        Ok(node) => Ok(located(node)),
        Err(error) => {
            let place = error.location().map(place_of).unwrap_or_default();
            let message = error.to_string();
            Err(PackProblem::new(file, place, format!("not valid YAML: {message}")))
        }
    }
}

/// A tree on its way from the YAML reader.
struct Node(Tree);

fn located(node: Spanned<Node>) -> Located<Tree> {
    Located::new(node.value.0, place_of(node.referenced))
}

fn place_of(location: Location) -> Place {
    let number = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
    Place { line: number(location.line()), column: number(location.column()), offset: 0, length: 0 }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node(Tree::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node(Tree::Integer(value)))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Node, E> {
        i64::try_from(value).map(|value| Node(Tree::Integer(value))).map_err(|_| E::custom("a number beyond 64 bits"))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node(Tree::Float(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node(Tree::Text(value.into())))
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node(Tree::Null))
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node(Tree::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element::<Spanned<Node>>()? {
            items.push(located(item));
        }
        Ok(Node(Tree::List(items)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut entries: Vec<(Located<Arc<str>>, Located<Tree>)> = Vec::new();
        while let Some((key, value)) = access.next_entry::<Spanned<String>, Spanned<Node>>()? {
            let name: Arc<str> = key.value.into();
            if entries.iter().any(|(known, _)| known.value == name) {
                return Err(A::Error::custom(format!("the key `{name}` is there twice")));
            }
            entries.push((Located::new(name, place_of(key.referenced)), located(value)));
        }
        Ok(Node(Tree::Map(entries)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_type_and_their_place() {
        let tree = read("x.yaml", "a: 1\nb: \"1\"\nc:\n  - {d: true}\n").unwrap();
        let Tree::Map(entries) = &tree.value else { panic!("a map") };
        assert_eq!(entries[0].1.value, Tree::Integer(1));
        assert_eq!(entries[1].1.value, Tree::Text("1".into()));
        let Tree::List(items) = &entries[2].1.value else { panic!("a list") };
        assert_eq!((items[0].place.line, items[0].place.column), (4, 5));
    }

    #[test]
    fn broken_yaml_is_a_problem_with_its_line() {
        let problem = read("x.yaml", "a: 1\nb: [1\n").unwrap_err();
        assert_eq!(&*problem.file, "x.yaml");
        assert!(problem.line >= 2, "{problem:?}");
    }

    #[test]
    fn words_that_are_not_true_or_false_are_text() {
        let tree = read("x.yaml", "[n, no, on, y, False, true]").unwrap();
        let Tree::List(items) = &tree.value else { panic!("a list") };
        let texts = items.iter().filter(|item| matches!(item.value, Tree::Text(_))).count();
        assert_eq!(texts, 4, "{items:?}");
    }

    #[test]
    fn an_empty_text_is_null() {
        assert_eq!(read("x.yaml", "# nothing\n\n").unwrap().value, Tree::Null);
    }
}
