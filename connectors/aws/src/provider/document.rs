//! What AWS wrote in XML, without a copy of it: for listings of which there is a lot to be read. What [`super::raw`] makes
//! of the same text is the same.

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::events::attributes::Attribute;
use quick_xml::events::{BytesStart, Event};

use super::raw::{DEEPEST, Original, arrange, quote, resolved};

/// Where an element stands in its document.
type Place = u32;
/// No element stands there.
const NOWHERE: Place = Place::MAX;
/// So many names of one element are compared with each other; of more it is first looked whether any can be there twice.
const FEW: usize = 8;

/// An element.
#[derive(Debug)]
struct Node<'t> {
    name: &'t str,
    text: Cow<'t, str>,
    /// With its attributes, if it has any that say something.
    attributes: Option<Box<BytesStart<'t>>>,
    first_child: Place,
    last_child: Place,
    next_sibling: Place,
    /// Says which names are surely not the same.
    fingerprint: u16,
    /// Whether it stands in a list.
    is_item: bool,
    /// Whether all its children stand in a list.
    has_only_items: bool,
}

impl<'t> Node<'t> {
    fn new(name: &'t str, attributes: Option<Box<BytesStart<'t>>>) -> Self {
        let mixed =
            name.bytes().fold(0xcbf2_9ce4_u32, |mixed, byte| (mixed ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        Self {
            name,
            text: Cow::Borrowed(""),
            attributes,
            first_child: NOWHERE,
            last_child: NOWHERE,
            next_sibling: NOWHERE,
            fingerprint: (mixed ^ (mixed >> 16)) as u16,
            is_item: matches!(name, "item" | "member"),
            has_only_items: true,
        }
    }

    fn has_children(&self) -> bool {
        self.first_child != NOWHERE
    }

    fn is_list(&self) -> bool {
        self.has_children() && self.has_only_items && self.attributes.is_none()
    }

    fn is_nothing(&self) -> bool {
        !self.has_children() && self.attributes.is_none() && self.text.trim().is_empty()
    }
}

/// An answer in XML.
#[derive(Debug, Default)]
pub(crate) struct Document<'t>(Vec<Node<'t>>);

/// An element of a document, with all that is in it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part<'d> {
    document: &'d Document<'d>,
    node: &'d Node<'d>,
}

impl<'t> Document<'t> {
    /// Reads XML; nothing where it is none, or not all of it.
    pub(super) fn read(bytes: &'t [u8]) -> Self {
        Self(std::str::from_utf8(bytes).ok().and_then(nodes).unwrap_or_default())
    }

    /// The parts at `path`, as [`super::raw::Raw::items`] gives them.
    pub(crate) fn items(&self, path: &str) -> Vec<Part<'_>> {
        let mut found = Vec::new();
        if let Some(outermost) = self.0.first() {
            self.flat(outermost, &mut found);
        }
        for name in path.split('/') {
            let mut deeper = Vec::new();
            for node in found {
                let mut named = self.children(node).filter(|child| child.name == name);
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

    fn node(&self, place: Place) -> Option<&Node<'t>> {
        self.0.get(usize::try_from(place).ok()?)
    }

    fn children(&self, node: &Node<'t>) -> impl Iterator<Item = &Node<'t>> + Clone {
        std::iter::successors(self.node(node.first_child), |child| self.node(child.next_sibling))
    }

    /// What is in a list; an element that is none itself, unless there is nothing in it.
    fn flat<'d>(&'d self, node: &'d Node<'t>, found: &mut Vec<&'d Node<'t>>) {
        match (node.is_list(), node.is_nothing()) {
            (true, _) => found.extend(self.children(node)),
            (false, true) => {}
            (false, false) => found.push(node),
        }
    }

    fn settle(&self, node: &Node<'t>, without: &[&str], text: &mut String) {
        if node.is_list() {
            return self.settle_all(self.children(node), without, text);
        }
        if !node.has_children() && node.attributes.is_none() {
            return match node.text.trim() {
                "" => text.push_str("null"),
                said => quote(said, text),
            };
        }
        self.settle_object(node, without, text);
    }

    fn settle_object(&self, node: &Node<'t>, without: &[&str], text: &mut String) {
        let begin = text.len();
        let member = |name: &str, text: &mut String| {
            text.push(if text.len() == begin { '{' } else { ',' });
            quote(name, text);
            text.push(':');
        };
        let attributes = node.attributes.iter().flat_map(|start| start.attributes().flatten());
        for attribute in attributes.filter(says_something) {
            let name = format!("@{}", attribute.key.local_name().as_ref());
            if !without.contains(&name.as_str()) {
                member(&name, text);
                quote(&attribute.value, text);
            }
        }
        let named = || self.children(node).filter(|child| !child.is_item);
        let some_come_again = may_come_again(named());
        for (index, child) in named().enumerate() {
            let is_same = |other: &&Node<'t>| other.name == child.name;
            if without.contains(&child.name) || (some_come_again && named().take(index).any(|other| is_same(&other))) {
                continue;
            }
            member(child.name, text);
            let mut all = named().skip(index).filter(is_same);
            match some_come_again && all.by_ref().nth(1).is_some() {
                false => self.settle(child, without, text),
                true => self.settle_all(named().filter(is_same), without, text),
            }
        }
        if !without.contains(&"item") && self.children(node).any(|child| child.is_item) {
            member("item", text);
            self.settle_all(self.children(node).filter(|child| child.is_item), without, text);
        }
        text.push_str(if text.len() == begin { "{}" } else { "}" });
    }

    /// A list, sorted.
    fn settle_all<'d>(&'d self, nodes: impl Iterator<Item = &'d Node<'t>>, without: &[&str], text: &mut String)
    where
        't: 'd,
    {
        text.push('[');
        let (from, mut ends) = (text.len(), Vec::new());
        for node in nodes {
            self.settle(node, without, text);
            ends.push(text.len() - from);
        }
        arrange(from, &ends, text);
        text.push(']');
    }
}

/// Whether two of these may have the same name. Of many only fingerprints are compared: that may say so of names that
/// are not the same.
fn may_come_again<'d, 't: 'd>(nodes: impl Iterator<Item = &'d Node<'t>> + Clone) -> bool {
    let mut seen = [0_u64; 64];
    let few = nodes.clone().nth(FEW).is_none();
    for (index, node) in nodes.clone().enumerate() {
        if few {
            if nodes.clone().take(index).any(|other| other.name == node.name) {
                return true;
            }
            continue;
        }
        let (word, bit) = (usize::from(node.fingerprint >> 6) % seen.len(), 1 << (node.fingerprint & 63));
        if seen[word] & bit != 0 {
            return true;
        }
        seen[word] |= bit;
    }
    false
}

impl Original for Part<'_> {
    fn is_nothing(&self) -> bool {
        self.node.is_nothing()
    }

    fn settle(&self, without: &[&str], text: &mut String) {
        self.document.settle(self.node, without, text);
    }
}

/// The elements of a text, each behind the one that it is in; `None` where it is no XML, or ends too early.
fn nodes(text: &str) -> Option<Vec<Node<'_>>> {
    let mut reader = Reader::from_str(text);
    // Most elements have a beginning and an end.
    let tags = text.bytes().filter(|byte| *byte == b'<').count();
    let (mut nodes, mut open): (Vec<Node<'_>>, Vec<usize>) = (Vec::with_capacity(tags / 2 + 1), Vec::new());
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
    let place = nodes.len();
    nodes.push(Node::new(name, has_attributes.then(|| Box::new(start))));
    if let Some(&whole) = open.last() {
        adopt(place, whole, nodes)?;
    }
    Some(place)
}

/// Makes an element the last child of another one.
fn adopt(place: usize, whole: usize, nodes: &mut [Node<'_>]) -> Option<()> {
    let (number, is_item) = (Place::try_from(place).ok()?, nodes.get(place)?.is_item);
    let whole = nodes.get_mut(whole)?;
    whole.has_only_items &= is_item;
    let before = std::mem::replace(&mut whole.last_child, number);
    if before == NOWHERE {
        whole.first_child = number;
    } else {
        nodes.get_mut(usize::try_from(before).ok()?)?.next_sibling = number;
    }
    Some(())
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

    fn said(parts: &[impl Original], without: &[&str]) -> Vec<String> {
        let settled = |part: &_| {
            let mut text = String::new();
            Original::settle(part, without, &mut text);
            text
        };
        parts.iter().map(settled).collect()
    }

    /// What is at a path, as text, by both readers.
    fn by_both(text: &str, path: &str, without: &[&str]) -> [Vec<String>; 2] {
        let value = raw::read(text.as_bytes()).unwrap_or(Value::Null);
        let document = Document::read(text.as_bytes());
        [said(&raw::items(&value, path), without), said(&document.items(path), without)]
    }

    #[test]
    fn what_is_read_without_a_copy_is_what_is_read_with_one() {
        let answers = [
            "<r><G><P><n>1</n></P><P><n>2</n></P></G></r>",
            "<r><G><P><n>b</n><n>a</n><m/><n>c&amp;&#33;</n></P><P y='1' xmlns:z='q' w=\"2\">t</P></G></r>",
            "<r><G><P><item>1</item><k>2</k><item>0</item></P><P>  x <![CDATA[<y>]]> \"</P><P/></G></r>",
            "<r><G><P><item/><item>2</item></P></G></r>",
            "<r><G><item><P>1</P></item><item><P><member>z</member><member>a</member></P></item></G></r>",
            "<r><G><a/><b/><c/><d/><e/><f/><g/><h/><i/><j/><a>1</a><item>2</item><k/><a/></G></r>",
            "<r><G><P><a/><b/><c/><d/><e/><f/><g/><h/><i/><j/><k/></P></G></r>",
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
