//! What AWS wrote in XML, an element of a list at a time and without a copy of it: for listings of which there is a lot
//! to be read. What [`super::raw`] makes of the same text is the same.

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

/// An element of a list, with all that is in it.
#[derive(Debug, Default)]
pub(crate) struct Document<'t>(Vec<Node<'t>>);

/// An element that is in another, or that itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part<'d> {
    document: &'d Document<'d>,
    node: &'d Node<'d>,
}

impl<'t> Document<'t> {
    /// All of it; nothing where there is nothing.
    pub(crate) fn whole(&self) -> Option<Part<'_>> {
        self.0.first().map(|node| Part { document: self, node })
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

/// Goes through the elements of the list at `path`, whose names are separated by `/`: what stands in `item` or `member`
/// there. Lists on the way are gone through. `None` where the text is no XML, or ends too early: then not all elements have
/// been visited.
pub(super) fn each<'t>(text: &'t str, path: &str, mut visit: impl FnMut(&Document<'t>)) -> Option<()> {
    let path: Vec<&str> = path.split('/').collect();
    let mut reader = Reader::from_str(text);
    let mut document = Document::default();
    // Of each element that is open, how much of the path leads to it.
    let mut open: Vec<usize> = Vec::new();
    loop {
        let (start, is_empty) = match reader.read_event().ok()? {
            Event::Start(start) => (start, false),
            Event::Empty(start) => (start, true),
            Event::End(_) => {
                open.pop()?;
                continue;
            }
            Event::Eof => return open.is_empty().then_some(()),
            _ => continue,
        };
        let name = start.local_name().into_inner();
        let Some(&way) = open.last() else {
            open.push(0);
            continue;
        };
        let is_in_list = matches!(name, "item" | "member");
        if is_in_list && way == path.len() {
            document.fill(text, &mut reader, start, is_empty)?;
            visit(&document);
        } else if !is_empty {
            let leads = path.get(way) == Some(&name);
            if is_in_list || leads {
                open.push(way + usize::from(leads));
            } else {
                reader.read_to_end(start.to_end().into_owned().name()).ok()?;
            }
        }
        if open.len() >= DEEPEST {
            return None;
        }
    }
}

impl<'t> Document<'t> {
    /// Reads an element that has begun to its end.
    fn fill(
        &mut self,
        text: &'t str,
        reader: &mut Reader<&'t [u8]>,
        start: BytesStart<'t>,
        is_empty: bool,
    ) -> Option<()> {
        let (nodes, mut open) = (&mut self.0, Vec::new());
        nodes.clear();
        open.push(begin(text, start, &open, nodes)?);
        if is_empty {
            return Some(());
        }
        while !open.is_empty() {
            match reader.read_event().ok()? {
                Event::Start(start) => {
                    open.push(begin(text, start, &open, nodes)?);
                    if open.len() >= DEEPEST {
                        return None;
                    }
                }
                Event::Empty(start) => drop(begin(text, start, &open, nodes)?),
                Event::End(_) => drop(open.pop()?),
                Event::Text(said) => add(said.into_inner(), &open, nodes),
                Event::CData(said) => add(said.into_inner(), &open, nodes),
                Event::GeneralRef(reference) => add(resolved(&reference)?.into(), &open, nodes),
                Event::Eof => return None,
                _ => {}
            }
        }
        Some(())
    }
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

    const ANSWERS: [&str; 9] = [
        "<r><G><item><n>1</n></item><item><n>2</n></item></G></r>",
        "<r><G><item><n>b</n><n>a</n><m/><n>c&amp;&#33;</n></item><item y='1' xmlns:z='q' w=\"2\">t</item></G></r>",
        "<r><G><item><item>1</item><k>2</k><item>0</item></item><item>  x <![CDATA[<y>]]> \"</item><item/></G></r>",
        "<r><x><G><item>0</item></G></x><G><member><P><item><q>1</q></item></P></member></G><y/></r>",
        "<r><G><item><P><member>z</member><member>a</member></P></item></G></r>",
        "<r><G><item><a/><b/><c/><d/><e/><f/><g/><h/><i/><j/><a>1</a><item>2</item><k/><a/></item></G></r>",
        "<r><G><item><a/><b/><c/><d/><e/><f/><g/><h/><i/><j/><k/></item></G></r>",
        "<?xml version='1.0'?><r><!-- c --><G/></r>",
        "<r><G></G></r>",
    ];

    #[test]
    fn what_is_read_an_element_at_a_time_is_what_is_read_as_a_whole() {
        for text in ANSWERS {
            let value = raw::read(text.as_bytes()).unwrap_or(Value::Null);
            for without in [[].as_slice(), &["n", "item"]] {
                let mut found = Vec::new();
                each(text, "G", |document| found.extend(said(&[document.whole().unwrap()], without))).unwrap();
                assert_eq!(found, said(&raw::items(&value, "G"), without), "{text}");
            }
        }
    }

    #[test]
    fn what_is_nested_in_an_element_is_found_in_it() {
        for text in ANSWERS {
            let value = raw::read(text.as_bytes()).unwrap_or(Value::Null);
            for path in ["P", "n", "nothing", "P/q"] {
                let mut found = Vec::new();
                each(text, "G", |document| found.extend(said(&document.items(path), &[]))).unwrap();
                assert_eq!(found, said(&raw::items(&value, &format!("G/{path}")), &[]), "{path} in {text}");
            }
        }
    }

    #[test]
    fn an_answer_that_is_cut_off_is_not_taken_for_a_whole_one() {
        for text in ["<r><G><item><n>1</n>", "<r><G><item/>", "<r><G><item>&nope;</item></G></r>", "<r></q></r>"] {
            assert_eq!(each(text, "G", |_| {}), None, "{text}");
        }
    }
}
