//! What AWS wrote in XML, without a copy of it: for listings of which there is a lot to be read. What [`super::raw`] makes
//! of the same text is the same.

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::events::attributes::Attribute;
use quick_xml::events::{BytesStart, Event};

use super::raw::{DEEPEST, Original, arrange, quote, resolved};

/// An element.
#[derive(Debug)]
struct Node<'t> {
    name: &'t str,
    /// Whether it stands in a list.
    is_item: bool,
    /// With its attributes, if it has any that say something.
    attributes: Option<BytesStart<'t>>,
    text: Cow<'t, str>,
    /// Its children, by their places in the document, in their order.
    children: Vec<usize>,
}

/// An answer in XML.
#[derive(Debug, Default)]
pub(crate) struct Document<'t>(Vec<Node<'t>>);

/// An element of a document, with all that is in it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part<'d> {
    document: &'d Document<'d>,
    node: usize,
}

impl<'t> Document<'t> {
    /// Reads XML; nothing where it is none, or not all of it.
    pub(super) fn read(bytes: &'t [u8]) -> Self {
        Self(std::str::from_utf8(bytes).ok().and_then(nodes).unwrap_or_default())
    }

    /// The parts at `path`, as [`super::raw::Raw::items`] gives them.
    pub(crate) fn items(&self, path: &str) -> Vec<Part<'_>> {
        let mut found = Vec::new();
        if !self.0.is_empty() {
            self.flat(0, &mut found);
        }
        for name in path.split('/') {
            let mut deeper = Vec::new();
            for &node in &found {
                let has_name = |child: &usize| self.0.get(*child).is_some_and(|child| child.name == name);
                let mut named = self.children(node).filter(has_name);
                match (named.next(), named.next()) {
                    (Some(only), None) => self.flat(only, &mut deeper),
                    (Some(first), Some(second)) => deeper.extend([first, second].into_iter().chain(named)),
                    _ => {}
                }
            }
            found = deeper;
        }
        found.into_iter().map(|node| Part { document: self, node }).collect()
    }

    fn children(&self, node: usize) -> impl Iterator<Item = usize> {
        self.0.get(node).into_iter().flat_map(|node| node.children.iter().copied())
    }

    /// What is in a list; an element that is none itself, unless there is nothing in it.
    fn flat(&self, node: usize, found: &mut Vec<usize>) {
        match (self.is_list(node), self.is_nothing(node)) {
            (true, _) => found.extend(self.children(node)),
            (false, true) => {}
            (false, false) => found.push(node),
        }
    }

    fn is_list(&self, node: usize) -> bool {
        let Some(node) = self.0.get(node) else { return false };
        let is_item = |child: &usize| self.0.get(*child).is_some_and(|child| child.is_item);
        !node.children.is_empty() && node.attributes.is_none() && node.children.iter().all(is_item)
    }

    fn is_nothing(&self, node: usize) -> bool {
        let is_nothing =
            |node: &Node<'_>| node.children.is_empty() && node.attributes.is_none() && node.text.trim().is_empty();
        self.0.get(node).is_none_or(is_nothing)
    }

    fn settle(&self, place: usize, without: &[&str], text: &mut String) {
        let Some(node) = self.0.get(place) else { return };
        if self.is_list(place) {
            return self.settle_all(&node.children, without, text);
        }
        if node.children.is_empty() && node.attributes.is_none() {
            return match node.text.trim() {
                "" => text.push_str("null"),
                said => quote(said, text),
            };
        }
        self.settle_object(node, without, text);
    }

    fn settle_object(&self, node: &Node<'_>, without: &[&str], text: &mut String) {
        let begin = text.len();
        let member = |name: &str, text: &mut String| {
            text.push(if text.len() == begin { '{' } else { ',' });
            quote(name, text);
            text.push(':');
        };
        for attribute in node.attributes.iter().flat_map(|start| start.attributes().flatten()).filter(says_something) {
            let name = format!("@{}", attribute.key.local_name().as_ref());
            if !without.contains(&name.as_str()) {
                member(&name, text);
                quote(&attribute.value, text);
            }
        }
        let mut items = Vec::new();
        for (index, &child) in node.children.iter().enumerate() {
            let Some(Node { name, is_item, .. }) = self.0.get(child) else { continue };
            if *is_item {
                items.push(child);
                continue;
            }
            let is_same = |other: &&usize| self.0.get(**other).is_some_and(|other| other.name == *name);
            let (before, after) = node.children.split_at(index + 1);
            if without.contains(name) || before.iter().take(index).any(|other| is_same(&other)) {
                continue;
            }
            member(name, text);
            if !after.iter().any(|other| is_same(&other)) {
                self.settle(child, without, text);
                continue;
            }
            let all: Vec<usize> = std::iter::once(child).chain(after.iter().filter(is_same).copied()).collect();
            self.settle_all(&all, without, text);
        }
        if !items.is_empty() && !without.contains(&"item") {
            member("item", text);
            self.settle_all(&items, without, text);
        }
        text.push_str(if text.len() == begin { "{}" } else { "}" });
    }

    /// A list, sorted.
    fn settle_all(&self, nodes: &[usize], without: &[&str], text: &mut String) {
        text.push('[');
        let (from, mut ends) = (text.len(), Vec::with_capacity(nodes.len()));
        for &node in nodes {
            self.settle(node, without, text);
            ends.push(text.len() - from);
        }
        arrange(from, &ends, text);
        text.push(']');
    }
}

impl Original for Part<'_> {
    fn is_nothing(&self) -> bool {
        self.document.is_nothing(self.node)
    }

    fn settled(&self, without: &[&str]) -> String {
        let mut text = String::new();
        self.document.settle(self.node, without, &mut text);
        text
    }
}

/// The elements of a text, each behind the one that it is in; `None` where it is no XML, or ends too early.
fn nodes(text: &str) -> Option<Vec<Node<'_>>> {
    let mut reader = Reader::from_str(text);
    let (mut nodes, mut open): (Vec<Node<'_>>, Vec<usize>) = (Vec::new(), Vec::new());
    loop {
        let event = reader.read_event().ok()?;
        match event {
            // Nothing stands beside the outermost element.
            Event::Start(_) | Event::Empty(_) if open.is_empty() && !nodes.is_empty() => return None,
            Event::Start(start) => {
                open.push(begin(text, start, &open, &mut nodes)?);
                if open.len() >= DEEPEST {
                    return None;
                }
            }
            Event::Empty(start) => drop(begin(text, start, &open, &mut nodes)?),
            Event::End(_) => drop(open.pop()?),
            Event::Text(said) => add(said.into_inner(), &open, &mut nodes),
            Event::CData(said) => add(said.into_inner(), &open, &mut nodes),
            Event::GeneralRef(reference) => add(resolved(&reference)?.into(), &open, &mut nodes),
            Event::Eof => break,
            _ => {}
        }
    }
    open.is_empty().then_some(nodes)
}

/// Whether an attribute is more than a namespace.
fn says_something(attribute: &Attribute<'_>) -> bool {
    !attribute.key.as_ref().starts_with("xmlns")
}

/// Adds an element to the one that is open; its place.
fn begin<'t>(text: &'t str, start: BytesStart<'t>, open: &[usize], nodes: &mut Vec<Node<'t>>) -> Option<usize> {
    let local = start.local_name().into_inner();
    // The reader lends names for as long as its event lives; the text lives longer.
    let from = (local.as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
    let name = text.get(from..from + local.len())?;
    let has_attributes = start.attributes().flatten().any(|attribute| says_something(&attribute));
    let (place, attributes) = (nodes.len(), has_attributes.then_some(start));
    let is_item = matches!(name, "item" | "member");
    nodes.push(Node { name, is_item, attributes, text: Cow::Borrowed(""), children: Vec::new() });
    if let Some(whole) = open.last().and_then(|whole| nodes.get_mut(*whole)) {
        whole.children.push(place);
    }
    Some(place)
}

/// Adds text to the element that is open.
fn add<'t>(said: Cow<'t, str>, open: &[usize], nodes: &mut [Node<'t>]) {
    let Some(node) = open.last().and_then(|open| nodes.get_mut(*open)) else { return };
    match node.text.is_empty() {
        true => node.text = said,
        false => node.text.to_mut().push_str(&said),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::provider::raw;

    /// What is at a path, as text, by both readers.
    fn by_both(text: &str, path: &str, without: &[&str]) -> [Vec<String>; 2] {
        let value = raw::read(text.as_bytes()).unwrap_or(Value::Null);
        let settled = raw::items(&value, path).into_iter().map(|part| part.settled(without)).collect();
        let document = Document::read(text.as_bytes());
        [settled, document.items(path).iter().map(|part| part.settled(without)).collect()]
    }

    #[test]
    fn what_is_read_without_a_copy_is_what_is_read_with_one() {
        let answers = [
            "<r><G><P><n>1</n></P><P><n>2</n></P></G></r>",
            "<r><G><P><n>b</n><n>a</n><m/><n>c&amp;&#33;</n></P><P y='1' xmlns:z='q' w=\"2\">t</P></G></r>",
            "<r><G><P><item>1</item><k>2</k><item>0</item></P><P>  x <![CDATA[<y>]]> \"</P><P/></G></r>",
            "<r><G><P><item/><item>2</item></P></G></r>",
            "<r><G><item><P>1</P></item><item><P><member>z</member><member>a</member></P></item></G></r>",
            "<?xml version='1.0'?><r><!-- c --><G><P>&nope;</P></G></r>",
            "<r><G>",
            "",
        ];
        for text in answers {
            for path in ["G/P", "G", "nothing", "G/P/n"] {
                for without in [[].as_slice(), &["n", "item"]] {
                    let [with, bare] = by_both(text, path, without);
                    assert_eq!(bare, with, "{path} in {text}");
                }
            }
        }
        assert_eq!(by_both(answers[1], "G/P", &[])[1][0], r#"{"n":["a","b","c&!"],"m":null}"#);
    }
}
