//! The ids of what has been taken, so that a repetition is taken once.

use std::collections::HashSet;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use sha2::{Digest, Sha256};

/// How many bytes of an id's hash are kept.
const LENGTH: usize = 12;
/// How many letters they are in a position.
const LETTERS: usize = LENGTH / 3 * 4;

/// An id, hashed: senders choose how long theirs are.
pub(crate) type SeenId = [u8; LENGTH];

/// The last so many ids, oldest first. It is a fold of the steps of its source, kept in the source's position.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SeenIds {
    most: usize,
    /// In order, as positions have them: every step needs this text.
    text: String,
    known: HashSet<SeenId>,
}

impl SeenIds {
    /// Nothing yet; at most `most` are remembered.
    pub(crate) fn new(most: usize) -> Self {
        Self { most, ..Self::default() }
    }

    /// What `text` says, as [`SeenIds::text`] wrote it, perhaps with another bound; what cannot be read is nothing.
    pub(crate) fn read(text: &str, most: usize) -> Self {
        let mut seen = Self::new(most);
        for id in text.as_bytes().chunks_exact(LETTERS).filter_map(decoded) {
            seen.remember(id);
        }
        seen
    }

    /// The hash of the id that `scope` knows as `id`.
    pub(crate) fn id(scope: &str, id: &[u8]) -> SeenId {
        let hash = Sha256::new().chain_update(scope.as_bytes()).chain_update([0]).chain_update(id).finalize();
        let mut short = SeenId::default();
        short.copy_from_slice(&hash[..LENGTH]);
        short
    }

    /// Whether anything is remembered at all.
    pub(crate) fn is_wanted(&self) -> bool {
        self.most > 0
    }

    /// Whether it is remembered.
    pub(crate) fn knows(&self, id: &SeenId) -> bool {
        self.known.contains(id)
    }

    /// Remembers an id, and forgets the oldest beyond the bound. Says whether it was new; where nothing is
    /// remembered, everything is.
    pub(crate) fn remember(&mut self, id: SeenId) -> bool {
        if !self.known.insert(id) {
            return false;
        }
        BASE64.encode_string(id, &mut self.text);
        if self.known.len() > self.most {
            let oldest: String = self.text.drain(..LETTERS).collect();
            if let Some(oldest) = decoded(oldest.as_bytes()) {
                self.known.remove(&oldest);
            }
        }
        true
    }

    /// All of them, as text.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

fn decoded(letters: &[u8]) -> Option<SeenId> {
    BASE64.decode(letters).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ids_are_remembered_and_survive_as_text() {
        let id = |number: usize| SeenIds::id("in", number.to_string().as_bytes());
        let mut seen = SeenIds::new(3);
        assert!((0..5).all(|number| seen.remember(id(number))));
        assert!(!seen.remember(id(4)) && seen.remember(id(0)));
        let again = SeenIds::read(seen.text(), 3);
        assert_eq!(again, seen);
        assert!(again.knows(&id(3)) && again.knows(&id(4)) && again.knows(&id(0)) && !again.knows(&id(2)));
    }

    #[test]
    fn a_smaller_bound_keeps_the_newest_and_damage_is_nothing() {
        let mut seen = SeenIds::new(2);
        let (a, b) = (SeenIds::id("in", b"a"), SeenIds::id("in", b"b"));
        assert!(seen.remember(a) && seen.remember(b));
        let one = SeenIds::read(seen.text(), 1);
        assert!(one.knows(&b) && !one.knows(&a));
        assert_eq!(SeenIds::read("!", 1).text(), "");
        assert_ne!(a, SeenIds::id("other", b"a"));
    }
}
