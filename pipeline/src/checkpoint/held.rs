//! Segments that nobody names yet and that shall stay all the same.

use std::sync::Arc;

use parking_lot::Mutex;

use super::known::Known;
use crate::step::ContentHash;

/// A segment on its way to the step or manifest that will name it: it stays for as long as this lives, however many
/// checkpoints are committed meanwhile. To be dropped once the segment is named.
pub struct Held {
    hash: ContentHash,
    known: Arc<Mutex<Known>>,
}

impl Held {
    pub(super) fn new(known: &Arc<Mutex<Known>>, hash: &ContentHash) -> Self {
        known.lock().hold(hash);
        Self { hash: hash.clone(), known: Arc::clone(known) }
    }

    /// What names the segment.
    pub fn hash(&self) -> &ContentHash {
        &self.hash
    }
}

impl Clone for Held {
    fn clone(&self) -> Self {
        Self::new(&self.known, &self.hash)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.known.lock().let_go(&self.hash);
    }
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Held").field(&self.hash).finish()
    }
}
