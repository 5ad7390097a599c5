//! The segments that make up the state of each node, and what is not yet in any.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use arrow::array::RecordBatch;

use super::checkpointing::PIPELINE_SECTIONS;
use crate::checkpoint::{Content, Held, Manifest, Section};
use crate::step::ContentHash;

/// A chain this long is merged, or written anew where the state is small.
const LONG: usize = 16;
/// A chain this long is written anew as a whole if merging has not shortened it.
const LONGEST: usize = 64;
/// A state of fewer bytes, changes included, is written anew rather than merged: that costs no files of its own.
const SMALL: u64 = 256 * 1024;
/// After so many failed checkpoints in a row nodes write everything, so that what waits does not outgrow the state.
const MANY_UNSAVED: usize = 16;

/// A segment of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) segment: ContentHash,
    /// How many bytes the sections of the node have in it.
    pub(crate) bytes: u64,
}

/// The chains of all nodes, base first, and changes not yet in any.
#[derive(Default)]
pub(crate) struct Chains {
    links: HashMap<Arc<str>, Vec<Link>>,
    unsaved: BTreeMap<Arc<str>, Unsaved>,
    /// Merged pieces of chains, to be named by the next manifest.
    merged: Vec<Merged>,
}

#[derive(Default)]
struct Unsaved {
    full: bool,
    batches: Vec<(String, RecordBatch)>,
    /// How many checkpoints it comes from.
    rounds: usize,
}

/// A part of a chain and what it was merged into.
#[derive(Debug, Clone)]
pub(crate) struct Merged {
    pub(crate) node: Arc<str>,
    pub(crate) from: Vec<Link>,
    /// `None`: nothing was left.
    pub(crate) into: Option<Link>,
    /// It stays until a manifest names it.
    pub(crate) _held: Option<Held>,
}

/// A part of a chain that is worth merging.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Worthwhile {
    pub(crate) node: Arc<str>,
    pub(crate) links: Vec<Link>,
    /// Whether the base is among them.
    pub(crate) whole: bool,
}

impl Chains {
    /// The chains as a manifest names them; `bytes` says how long the sections of a node are in a segment.
    pub(crate) fn of(manifest: &Manifest, bytes: impl Fn(&ContentHash, &str) -> u64) -> Self {
        let nodes = manifest.nodes.iter();
        let tables = manifest.sources.iter().map(|(node, state)| (node, &state.tables));
        let effects = (PIPELINE_SECTIONS, &manifest.effects);
        let chain = |(node, state): (&str, &crate::checkpoint::NodeState)| {
            let link = |segment: &ContentHash| Link { segment: segment.clone(), bytes: bytes(segment, node) };
            (Arc::from(node), state.segments.iter().map(link).collect())
        };
        Self {
            links: nodes
                .chain(tables)
                .map(|(node, state)| (node.as_str(), state))
                .chain([effects])
                .map(chain)
                .collect(),
            ..Self::default()
        }
    }

    /// Takes the state of a node; a full one replaces what was not saved yet.
    pub(super) fn take(&mut self, node: Arc<str>, full: bool, batches: Vec<(String, RecordBatch)>) {
        let unsaved = self.unsaved.entry(node).or_default();
        if full {
            *unsaved = Unsaved { full: true, batches, rounds: 1 };
        } else {
            unsaved.batches.extend(batches);
            unsaved.rounds += 1;
        }
    }

    /// What is not saved yet.
    pub(super) fn sections(&self) -> Vec<Section> {
        let section = |node: &Arc<str>, name: &String, batch: &RecordBatch| Section {
            node: node.to_string(),
            name: name.clone(),
            content: Content::Batch(batch.clone()),
        };
        let of = |(node, unsaved): (&Arc<str>, &Unsaved)| {
            unsaved.batches.iter().map(|(name, batch)| section(node, name, batch)).collect::<Vec<_>>()
        };
        self.unsaved.iter().flat_map(of).collect()
    }

    /// The chain of each node once `segment` holds what was not saved: with how many bytes of each node.
    pub(super) fn with(&self, segment: Option<&(ContentHash, BTreeMap<String, u64>)>) -> HashMap<Arc<str>, Vec<Link>> {
        let mut links = self.links.clone();
        for merged in &self.merged {
            if let Some(chain) = links.get_mut(&merged.node) {
                replace(chain, merged);
            }
        }
        for (node, unsaved) in &self.unsaved {
            let chain = links.entry(Arc::clone(node)).or_default();
            if unsaved.full {
                chain.clear();
            }
            if let (false, Some((segment, bytes))) = (unsaved.batches.is_empty(), segment) {
                let bytes = bytes.get(&**node).copied().unwrap_or_default();
                chain.push(Link { segment: segment.clone(), bytes });
            }
        }
        links
    }

    /// A manifest names these chains now.
    pub(super) fn saved(&mut self, links: HashMap<Arc<str>, Vec<Link>>) {
        self.links = links;
        self.unsaved.clear();
        self.merged.clear();
    }

    /// A part of a chain has been merged: the next manifest names the result.
    pub(super) fn merged(&mut self, merged: Merged) {
        self.merged.push(merged);
    }

    /// The nodes that shall write everything next time; those of `mergeable` have their chains merged instead
    /// where their state is large.
    pub(crate) fn full_next(&self, mergeable: &dyn Fn(&str) -> bool) -> HashSet<Arc<str>> {
        let long = self.links.iter().filter(|(node, chain)| {
            let small = chain.iter().map(|link| link.bytes).sum::<u64>() <= SMALL;
            chain.len() >= if small && mergeable(node) { LONG } else { LONGEST }
        });
        let waiting = self.unsaved.iter().filter(|(_, unsaved)| unsaved.rounds >= MANY_UNSAVED);
        long.map(|(node, _)| Arc::clone(node)).chain(waiting.map(|(node, _)| Arc::clone(node))).collect()
    }

    /// The part of a chain whose merging saves most, among those that are worth it: the changes have half the size
    /// of the base, or there are many.
    pub(crate) fn worthwhile(&self, mergeable: &dyn Fn(&str) -> bool) -> Option<Worthwhile> {
        let all = self.links.iter().filter(|(node, _)| mergeable(node));
        let worth = all.filter_map(|(node, chain)| {
            let (base, changes) = chain.split_first()?;
            let changed: u64 = changes.iter().map(|link| link.bytes).sum();
            if base.bytes + changed <= SMALL {
                return None;
            }
            let (whole, links) = match changed * 2 >= base.bytes {
                true => (true, chain.as_slice()),
                false if chain.len() >= LONG => (false, newest_alike(changes)),
                false => return None,
            };
            Some((changed, Worthwhile { node: Arc::clone(node), links: links.to_vec(), whole }))
        });
        worth.max_by(|a, b| (a.0, &b.1.node).cmp(&(b.0, &a.1.node))).map(|(_, worthwhile)| worthwhile)
    }
}

/// The newest changes up to one that is much larger than all after it: what was merged once is not merged again
/// with each few changes that follow.
fn newest_alike(changes: &[Link]) -> &[Link] {
    let mut after = 0;
    let mut first = changes.len();
    for (at, link) in changes.iter().enumerate().rev() {
        if changes.len() - first >= LONG / 2 && link.bytes > 2 * after {
            break;
        }
        after += link.bytes;
        first = at;
    }
    &changes[first..]
}

/// Puts what was merged in the place of what it was made of; nothing where that is not there any more.
fn replace(chain: &mut Vec<Link>, merged: &Merged) {
    let count = merged.from.len();
    if let Some(at) = chain.windows(count.max(1)).position(|window| window == merged.from) {
        chain.splice(at..at + count, merged.into.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: fn(&str) -> bool = |_| true;

    fn link(name: &str, bytes: u64) -> Link {
        Link { segment: ContentHash(name.into()), bytes }
    }

    fn chain(lengths: &[u64]) -> Chains {
        let links = lengths.iter().enumerate().map(|(at, bytes)| link(&format!("s{at}"), *bytes)).collect();
        Chains { links: HashMap::from([("n".into(), links)]), ..Chains::default() }
    }

    fn names(links: &[Link]) -> Vec<&str> {
        links.iter().map(|link| link.segment.0.as_ref()).collect()
    }

    #[test]
    fn changes_of_half_the_size_of_the_base_are_merged_into_it() {
        let found = chain(&[1_000_000, 300_000, 200_000]).worthwhile(&ANY).unwrap();
        assert!(found.whole);
        assert_eq!(names(&found.links), ["s0", "s1", "s2"]);
        assert_eq!(chain(&[1_000_000, 300_000, 199_999]).worthwhile(&ANY), None);
    }

    #[test]
    fn many_small_changes_are_merged_among_themselves() {
        let found = chain(&[[10_000_000].as_slice(), &[1_000; 15]].concat()).worthwhile(&ANY).unwrap();
        assert!(!found.whole);
        assert_eq!(found.links.len(), 15);
        assert_eq!(found.links[0].segment.0.as_ref(), "s1");
    }

    #[test]
    fn what_was_merged_once_is_left_alone_until_as_much_has_followed() {
        let merged =
            |size: u64| chain(&[[10_000_000, size].as_slice(), &[1_000; 14]].concat()).worthwhile(&ANY).unwrap();
        assert_eq!(merged(28_001).links.len(), 14);
        assert_eq!(merged(28_000).links.len(), 15);
        let growing = chain(&[10_000_000, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 2_048, 4_096, 8_192, 16_384]);
        assert_eq!(growing.worthwhile(&ANY).unwrap().links.len(), 15);
        let shrinking = chain(&[10_000_000, 16_384, 8_192, 4_096, 2_048, 1_024, 512, 256, 128, 64, 32, 16, 8, 4, 2, 1]);
        assert!(shrinking.worthwhile(&ANY).unwrap().links.len() >= LONG / 2, "each merging shortens the chain");
    }

    #[test]
    fn a_small_state_is_written_anew_and_never_merged() {
        let small = chain(&[100; 16]);
        assert_eq!(small.worthwhile(&ANY), None);
        assert_eq!(small.full_next(&ANY), HashSet::from(["n".into()]));
        assert!(chain(&[100; 15]).full_next(&ANY).is_empty());
        assert!(chain(&[1_000_000; 63]).full_next(&ANY).is_empty(), "a large one is merged");
        assert!(!chain(&[1_000_000; 64]).full_next(&|_| false).is_empty(), "unless nobody says how");
    }

    #[test]
    fn what_was_merged_takes_the_place_of_its_parts_and_later_changes_follow() {
        let mut chains = chain(&[9, 1, 1, 1]);
        let from = chains.links["n"][1..3].to_vec();
        chains.merged(Merged { node: "n".into(), from, into: Some(link("m", 2)), _held: None });
        assert_eq!(names(&chains.with(None)["n"]), ["s0", "m", "s3"]);
        let gone = vec![link("elsewhere", 1)];
        chains.merged(Merged { node: "n".into(), from: gone, into: Some(link("x", 2)), _held: None });
        assert_eq!(names(&chains.with(None)["n"]), ["s0", "m", "s3"], "a part that is not there replaces nothing");
        let saved = chains.with(None);
        chains.saved(saved);
        assert_eq!(names(&chains.links["n"]), ["s0", "m", "s3"]);
    }

    #[test]
    fn when_checkpoints_keep_failing_nodes_write_everything_and_that_replaces_what_waits() {
        let batch = RecordBatch::new_empty(Arc::new(arrow::datatypes::Schema::empty()));
        let mut chains = chain(&[1]);
        for _ in 0..MANY_UNSAVED {
            assert!(chains.full_next(&ANY).is_empty());
            chains.take("n".into(), false, vec![("a.v1".into(), batch.clone())]);
        }
        assert_eq!(chains.full_next(&ANY), HashSet::from(["n".into()]));
        assert_eq!(chains.sections().len(), MANY_UNSAVED, "nothing that waits is lost meanwhile");
        chains.take("n".into(), true, vec![("a.v1".into(), batch)]);
        assert_eq!(chains.sections().len(), 1);
    }
}
