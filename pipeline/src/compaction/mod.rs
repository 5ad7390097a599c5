//! Compaction: what a node has written of its state, a base and changes, merged into less without the node.
//!
//! A node says once how its sections are to be read ([`StateLayout`]); `merge` then goes through them with
//! memory for a bounded number of keys, whatever the size of the state. What it gives restores exactly the
//! state that its input restores.

mod keyed;
mod merge;
mod pages;
#[cfg(test)]
mod tests;

use arrow::array::RecordBatch;

use crate::error::{Error, Result};

pub(crate) use merge::{Extent, merge};

/// The most rows of a batch that merging or a node writes: what a reader must hold at a time.
pub const BATCH_ROWS: usize = 65_536;

/// How the sections of a node's state are merged.
#[derive(Debug, Clone, Default)]
pub struct StateLayout {
    sections: Vec<SectionLayout>,
}

/// How the sections of one name are merged.
#[derive(Debug, Clone)]
struct SectionLayout {
    name: String,
    rule: Rule,
}

/// What later sections of a name do to earlier ones.
#[derive(Debug, Clone)]
enum Rule {
    Newest,
    Keyed(Keyed),
    Pages(Pages),
}

/// Rows by key: of several rows with the same key the last one counts.
#[derive(Debug, Clone)]
pub struct Keyed {
    /// The columns that identify a row.
    pub key: Vec<String>,
    /// Which rows say that there is none any more.
    pub gone: Gone,
    /// When rows count as gone although nothing says so.
    pub expires: Option<Expires>,
}

/// Which rows say that the row of their key is gone.
#[derive(Debug, Clone)]
pub enum Gone {
    /// Those with a NULL in this column.
    Null(String),
    /// Those with `false` in this Boolean column.
    False(String),
    /// Those with this text in this Utf8 column.
    Is(String, String),
    /// All rows of another section, which has the key columns too.
    In(String),
    /// None.
    Never,
}

/// Rows count as gone once a clock is past their time. A node that gives a key an earlier time than before says first
/// that the key is gone.
#[derive(Debug, Clone)]
pub struct Expires {
    /// The Int64 column with a row's time, in ms.
    pub time: String,
    /// The section whose newest batch has the clock in its first column (Int64, ms; NULL: nothing expires).
    pub clock: String,
    /// How far the clock must be past the time, in ms.
    pub after: i64,
}

/// Batches in the order in which they came; each belongs to the scope that its first row names, until a later row
/// of another section names that scope.
#[derive(Debug, Clone)]
pub struct Pages {
    /// The section whose rows end what came before them.
    pub ended_by: String,
    /// The Utf8 columns that name the scope, the same in both sections.
    pub scope: Vec<String>,
    /// A Utf8 column of the ending section, and the value that it must have to mean these pages.
    pub only: (String, String),
}

impl StateLayout {
    /// Of the sections of this name only the last batch counts.
    #[must_use]
    pub fn newest(self, name: impl Into<String>) -> Self {
        self.with(name, Rule::Newest)
    }

    /// The sections of this name hold rows by key.
    #[must_use]
    pub fn keyed(self, name: impl Into<String>, keyed: Keyed) -> Self {
        self.with(name, Rule::Keyed(keyed))
    }

    /// The sections of this name are pages.
    #[must_use]
    pub fn pages(self, name: impl Into<String>, pages: Pages) -> Self {
        self.with(name, Rule::Pages(pages))
    }

    fn with(mut self, name: impl Into<String>, rule: Rule) -> Self {
        self.sections.push(SectionLayout { name: name.into(), rule });
        self
    }

    /// Whether it says what a section of this name is.
    fn knows(&self, name: &str) -> bool {
        let named = |section: &SectionLayout| match &section.rule {
            Rule::Keyed(Keyed { gone: Gone::In(other), .. }) => section.name == name || other == name,
            _ => section.name == name,
        };
        self.sections.iter().any(named)
    }
}

/// The sections of one node in the segments of its chain, oldest segment first.
pub(crate) trait Sections {
    /// How many segments there are.
    fn segments(&self) -> usize;

    /// The names of the node's sections in a segment, in the order in which they were written.
    fn names(&self, segment: usize) -> &[String];

    /// Reads one section.
    fn batch(&self, segment: usize, section: usize) -> Result<RecordBatch>;
}

/// Takes what merging gives, section by section.
pub(crate) trait Sink {
    /// Takes a batch of the section `name`.
    ///
    /// # Errors
    /// When it cannot be written, or nobody wants the rest.
    fn put(&mut self, name: &str, batch: RecordBatch) -> Result<()>;
}

/// A column that must be there.
fn column<'a>(batch: &'a RecordBatch, section: &str, name: &str) -> Result<&'a arrow::array::ArrayRef> {
    batch.column_by_name(name).ok_or_else(|| Error::internal(format!("the section `{section}` has no column `{name}`")))
}

fn unexpected(section: &str, name: &str) -> Error {
    Error::internal(format!("the column `{name}` of the section `{section}` has another type than it should"))
}
