//! What two replays of one recording gave a sink, compared as sets of rows.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind};
use std::path::Path;

use serde::Serialize;
use serde_json::Value;
use xxhash_rust::xxh3::xxh3_128;

use crate::exit::Failure;

/// How many rows that only one side has are kept to be shown.
const SHOWN: usize = 20;

/// The difference at one sink.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct SinkDifference {
    /// The sink; for one that dispatches, with the index of its input.
    pub(super) sink: String,
    /// Rows that both gave it.
    pub(super) same: u64,
    /// Rows that only the pipeline as it was gave it.
    pub(super) only_before: u64,
    /// Rows that only the other pipeline gives it.
    pub(super) only_after: u64,
    /// The first of the former.
    pub(super) removed: Vec<Value>,
    /// The first of the latter.
    pub(super) added: Vec<Value>,
}

impl SinkDifference {
    /// Compares two files of JSON lines; one that is missing has no rows. Needs 32 bytes of memory for each
    /// different row.
    pub(super) fn between(sink: &str, before: &Path, after: &Path) -> Result<Self, Failure> {
        let mut counts: HashMap<u128, i64> = HashMap::new();
        let (mut total_before, mut total_after) = (0_u64, 0_u64);
        each_line(before, |line| {
            total_before += 1;
            *counts.entry(xxh3_128(line.as_bytes())).or_default() -= 1;
        })?;
        each_line(after, |line| {
            total_after += 1;
            *counts.entry(xxh3_128(line.as_bytes())).or_default() += 1;
        })?;
        let only_before: u64 = counts.values().filter(|count| **count < 0).map(|count| count.unsigned_abs()).sum();
        let only_after: u64 = counts.values().filter(|count| **count > 0).map(|count| count.unsigned_abs()).sum();
        let removed = first_lines(before, |hash| counts.get(&hash).is_some_and(|count| *count < 0))?;
        let added = first_lines(after, |hash| counts.get(&hash).is_some_and(|count| *count > 0))?;
        let same = total_after - only_after;
        debug_assert_eq!(same, total_before - only_before);
        Ok(Self { sink: sink.to_owned(), same, only_before, only_after, removed, added })
    }

    /// Whether both gave the same rows.
    pub(super) fn is_none(&self) -> bool {
        self.only_before == 0 && self.only_after == 0
    }
}

fn first_lines(path: &Path, wanted: impl Fn(u128) -> bool) -> Result<Vec<Value>, Failure> {
    let mut found = Vec::new();
    each_line(path, |line| {
        if found.len() < SHOWN && wanted(xxh3_128(line.as_bytes())) {
            found.push(serde_json::from_str(line).unwrap_or_else(|_| Value::from(line)));
        }
    })?;
    Ok(found)
}

fn each_line(path: &Path, mut take: impl FnMut(&str)) -> Result<(), Failure> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let mut reader = BufReader::new(file);
    let mut line = String::new();
    while reader.read_line(&mut line)? > 0 {
        take(line.trim_end_matches('\n'));
        line.clear();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_compared_as_sets_whatever_their_order() {
        let folder = tempfile::tempdir().unwrap();
        let (before, after) = (folder.path().join("a"), folder.path().join("b"));
        std::fs::write(&before, "{\"n\":1}\n{\"n\":2}\n{\"n\":2}\n").unwrap();
        std::fs::write(&after, "{\"n\":2}\n{\"n\":3}\n{\"n\":1}\n").unwrap();
        let difference = SinkDifference::between("s", &before, &after).unwrap();
        assert_eq!((difference.same, difference.only_before, difference.only_after), (2, 1, 1));
        assert_eq!(difference.added, [serde_json::json!({"n": 3})]);
        let nothing = SinkDifference::between("s", &before, &folder.path().join("missing")).unwrap();
        assert_eq!((nothing.same, nothing.only_before), (0, 3));
        assert!(SinkDifference::between("s", &before, &before).unwrap().is_none());
    }
}
