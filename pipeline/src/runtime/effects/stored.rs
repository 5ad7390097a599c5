//! Effects in checkpoints: rows of an id and an entry, or none where the effect is gone. First everything, then
//! what has changed, as the state of a node.

use std::sync::Arc;

use arrow::array::{Array, AsArray, BinaryArray, RecordBatch, StringArray};

use serde::Deserialize;

use super::Effect;
use super::book::{Book, Entry, Standing};
use crate::checkpoint::{Content, Section};
use crate::error::{Error, Result};
use crate::journal::JournalPosition;
use crate::operator::SnapshotMode;

/// The name of the section, with the version of its format: two columns, the id and the entry as postcard.
const SECTION: &str = "effects.v3";
/// What it was before attempts in vain were kept, what dead letters have told, approvals, and reports of what is done.
const SECOND: &str = "effects.v2";
/// What it was before the attempts of intended effects were kept.
const FIRST: &str = "effects.v1";
/// Rows of one batch: what one section holds stays small.
const BATCH: usize = 4096;

/// An entry as `effects.v1` holds it.
#[derive(Deserialize)]
struct FirstEntry {
    effect: Arc<Effect>,
    standing: FirstStanding,
}

#[derive(Deserialize)]
enum FirstStanding {
    Intended,
    Dead { at: JournalPosition, attempts: u32, reason: Option<String> },
}

impl From<FirstEntry> for Entry {
    fn from(first: FirstEntry) -> Self {
        let standing = match first.standing {
            FirstStanding::Intended => Standing::NEW,
            FirstStanding::Dead { at, attempts, reason } => dead(at, attempts, reason),
        };
        Self { effect: first.effect, standing }
    }
}

/// An entry as `effects.v2` holds it.
#[derive(Deserialize)]
struct SecondEntry {
    effect: Arc<Effect>,
    standing: SecondStanding,
}

#[derive(Deserialize)]
enum SecondStanding {
    Intended { attempts: u32 },
    Dead { at: JournalPosition, attempts: u32, reason: Option<String> },
}

impl From<SecondEntry> for Entry {
    fn from(second: SecondEntry) -> Self {
        let standing = match second.standing {
            SecondStanding::Intended { attempts } => Standing::Intended { attempts, history: Vec::new() },
            SecondStanding::Dead { at, attempts, reason } => dead(at, attempts, reason),
        };
        Self { effect: second.effect, standing }
    }
}

/// What was dead before there were dead letters is told by none.
fn dead(at: JournalPosition, attempts: u32, reason: Option<String>) -> Standing {
    Standing::Dead { at, attempts, reason, time: 0, history: Vec::new(), told: true }
}

/// What a checkpoint writes: batches by the name of their section.
pub(super) fn snapshot(book: &mut Book, mode: SnapshotMode) -> Result<Vec<(String, RecordBatch)>> {
    let changes: Vec<(Arc<str>, Option<Entry>)> = match mode {
        SnapshotMode::Changes => book.take_changes(),
        SnapshotMode::Full => book.take_all(),
    };
    changes.chunks(BATCH).map(|chunk| Ok((SECTION.to_owned(), batch(chunk)?))).collect()
}

fn batch(changes: &[(Arc<str>, Option<Entry>)]) -> Result<RecordBatch> {
    let encode = |(_, entry): &(Arc<str>, Option<Entry>)| entry.as_ref().map(postcard::to_stdvec).transpose();
    let entries = changes.iter().map(encode).collect::<Result<Vec<_>, _>>().map_err(Error::internal)?;
    let ids = StringArray::from_iter_values(changes.iter().map(|(id, _)| id));
    Ok(RecordBatch::try_from_iter([
        ("id", Arc::new(ids) as _),
        ("entry", Arc::new(entries.into_iter().collect::<BinaryArray>()) as _),
    ])?)
}

/// Puts into a book what the sections of checkpoints hold, oldest first.
///
/// # Errors
/// When a section is in a form that this program does not know.
pub(super) fn restore(book: &mut Book, sections: Vec<Section>) -> Result<()> {
    for section in sections {
        let Content::Batch(batch) = section.content else { continue };
        if ![FIRST, SECOND, SECTION].contains(&section.name.as_str()) {
            let message =
                format!("the checkpoint holds effects as `{}`, which this program does not know", section.name);
            return Err(Error::user(message).with_remedy("a newer program is needed: run the one that wrote it"));
        }
        let (Some(ids), Some(entries)) = (
            batch.column(0).as_string_opt::<i32>(),
            batch.column_by_name("entry").and_then(|column| column.as_binary_opt::<i32>()),
        ) else {
            return Err(Error::internal("the effects of a checkpoint are not in the form of their version"));
        };
        for row in 0..batch.num_rows() {
            if entries.is_null(row) {
                book.take(&ids.value(row).into());
            } else {
                let bytes = entries.value(row);
                let entry = match section.name.as_str() {
                    FIRST => postcard::from_bytes::<FirstEntry>(bytes).map(Entry::from),
                    SECOND => postcard::from_bytes::<SecondEntry>(bytes).map(Entry::from),
                    _ => postcard::from_bytes(bytes),
                };
                book.put(entry.map_err(|error| Error::internal(format!("an effect cannot be decoded: {error}")))?);
            }
        }
    }
    // What was read is what the checkpoints hold.
    drop(book.take_all());
    Ok(())
}
