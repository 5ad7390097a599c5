//! The secrets that a pipeline refers to: what must never be written anywhere.

use std::sync::Arc;

use parking_lot::Mutex;

use super::diagnostic::Place;
use super::{NOWHERE, Secret};

/// The most references that are kept; a pipeline has a handful.
const MOST: usize = 4_096;

/// The secrets that the nodes of a pipeline refer to, as far as their kinds have read their options: when a node opens
/// these are all. Clones share one list. It holds references; a value is read by [`Secret::resolve`] and not kept.
#[derive(Debug, Clone, Default)]
pub struct Secrets(Arc<Mutex<Vec<(Place, Secret)>>>);

impl Secrets {
    /// All of them.
    pub fn all(&self) -> Vec<Secret> {
        self.0.lock().iter().map(|(_, secret)| secret.clone()).collect()
    }

    /// Adds one that stands at a place, unless the one of that place is known.
    pub fn note(&self, place: Place, secret: Secret) {
        let mut known = self.0.lock();
        let again = place != NOWHERE && known.iter().any(|(other, _)| *other == place);
        if !again && known.len() < MOST {
            known.push((place, secret));
        }
    }
}
