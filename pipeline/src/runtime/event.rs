//! What the engine says to nodes: steps that belong to no connector.

use std::sync::Arc;

/// An engine step as nodes see it.
#[derive(Debug)]
pub(crate) enum Event {
    /// The contents of a file that a node reads.
    Lookup {
        /// The node.
        node: Arc<str>,
        /// The name under which it reads the file.
        name: String,
        /// The contents.
        contents: Vec<u8>,
    },
    /// Every source has ended: emit what is still held.
    EndOfInput,
}
