//! What the engine says to nodes: steps that belong to no connector.

use std::sync::Arc;

use arrow::array::RecordBatch;

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
    /// Every source has ended, and the ports `dead_letter` that at most `depth` nodes lie behind will say nothing more:
    /// emit what is still held.
    EndOfInput {
        /// The nodes for which this is the end: those behind at most so many such ports.
        depth: u32,
    },
    /// A sink has given up effects.
    GivenUp {
        /// The node of the sink.
        sink: Arc<str>,
        /// What its port `dead_letter` tells.
        rows: RecordBatch,
    },
}
