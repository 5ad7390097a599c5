//! Golden files: state as earlier versions of this program have written it, which every later one must read.
//!
//! A golden file is a segment. `TIDEGATE_WRITE_GOLDEN=1` writes those that are not there yet, and never changes one:
//! a new format is a new name.

use std::fs;
use std::path::Path;

use arrow::array::RecordBatch;

use crate::checkpoint::{Content, Section, SegmentStore};
use crate::error::{Error, Result};
use crate::step::ContentHash;

/// The environment variable that has missing files written.
pub const VARIABLE: &str = "TIDEGATE_WRITE_GOLDEN";

/// The state in the golden file at `path`; `now` is what this program would write, for a file that is not there.
///
/// # Errors
/// When the file is not there (and is not to be written), or cannot be read.
pub fn golden_state(path: &Path, now: &[(String, RecordBatch)]) -> Result<Vec<(String, RecordBatch)>> {
    let place = std::env::temp_dir().join(format!("tidegate-golden-{}-{}", std::process::id(), hash_of_name(path)));
    let folder = place.join("segments");
    let failed = |error: std::io::Error| Error::external(format!("{}: {error}", path.display()));
    let store = SegmentStore::open(&place)?;
    if std::env::var_os(VARIABLE).is_some() && !path.exists() {
        let section = |(name, batch): &(String, RecordBatch)| Section {
            node: "node".to_owned(),
            name: name.clone(),
            content: Content::Batch(batch.clone()),
        };
        let hash = store.write(&now.iter().map(section).collect::<Vec<_>>())?;
        fs::create_dir_all(path.parent().unwrap_or(path)).map_err(failed)?;
        fs::copy(folder.join(format!("{hash}.segment")), path).map_err(failed)?;
    }
    let bytes = fs::read(path).map_err(failed)?;
    let hash = ContentHash::of(&bytes);
    fs::write(folder.join(format!("{hash}.segment")), bytes).map_err(failed)?;
    let sections = store.read(&hash);
    fs::remove_dir_all(&place).map_err(failed)?;
    let batch = |section: Section| match section.content {
        Content::Batch(batch) => Some((section.name, batch)),
        Content::Bytes(_) => None,
    };
    Ok(sections?.into_iter().filter_map(batch).collect())
}

fn hash_of_name(path: &Path) -> String {
    ContentHash::of(path.as_os_str().as_encoded_bytes()).0.get(..12).unwrap_or_default().to_owned()
}
