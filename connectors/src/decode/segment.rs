//! Decoded stretches of input.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use serde::{Deserialize, Serialize};
use tidegate_pipeline::rows::Rejected;

/// A place in a text: everything before it has been taken. Offsets are in the decompressed text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct TextPosition {
    /// Bytes before it.
    pub(crate) offset: u64,
    /// Lines before it.
    pub(crate) line: u64,
}

/// A stretch of input whose rows share a schema.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    /// Its rows.
    pub(crate) batch: RecordBatch,
    /// What never became rows.
    pub(crate) rejected: Vec<Rejected>,
    /// Where it begins.
    pub(crate) from: TextPosition,
    /// Where it ends, exclusive.
    pub(crate) to: TextPosition,
    /// xxh3-128 of its raw bytes.
    pub(crate) hash: u128,
}

/// The longest line, the most columns and the name that positions begin with.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    /// The longest line, in bytes without its end.
    pub(crate) max_line: usize,
    /// The most columns, nested ones counted.
    pub(crate) max_columns: usize,
    /// Columns whose type was declared: never widened.
    pub(crate) fixed: Arc<[Arc<str>]>,
    /// How positions name the input.
    pub(crate) naming: Naming,
}

/// How positions name the input.
#[derive(Debug, Clone)]
pub(crate) enum Naming {
    /// `PATH:LINE`.
    File(Arc<str>),
    /// Several files whose events follow one another: the number of the first event of each, and its path.
    Events(Arc<[(u64, Arc<str>)]>),
    /// A name for each line.
    Each(Arc<[Arc<str>]>),
}

impl Naming {
    /// The name of the line after `before` lines.
    pub(crate) fn of(&self, before: u64) -> String {
        match self {
            Self::File(path) => format!("{path}:{}", before + 1),
            Self::Each(names) => {
                usize::try_from(before).ok().and_then(|at| names.get(at)).map_or_else(String::new, ToString::to_string)
            }
            Self::Events(files) => {
                let after = files.partition_point(|(first, _)| *first <= before);
                match after.checked_sub(1).and_then(|at| files.get(at)) {
                    Some((first, path)) => format!("{path}#{}", before - first + 1),
                    None => format!("#{}", before + 1),
                }
            }
        }
    }
}

/// An empty batch of `schema` with `rows` rows where it has no columns.
pub(crate) fn empty_batch(schema: &SchemaRef) -> RecordBatch {
    RecordBatch::new_empty(Arc::clone(schema))
}
