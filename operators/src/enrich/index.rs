//! Rows of a table by their key.

use arrow::array::ArrayRef;
use hashbrown::HashTable;
use tidegate_pipeline::error::{Error, Result};

use crate::keys::{Key, keys};

/// The rows of each key, in the order of the table.
#[derive(Debug, Default)]
pub(super) struct Index {
    groups: HashTable<Group>,
    /// The rows of all groups, group by group.
    rows: Vec<u32>,
}

#[derive(Debug)]
struct Group {
    key: Key,
    start: u32,
    length: u32,
}

impl Index {
    /// Indexes `length` rows by `columns`. Rows with a NULL in their key are not found by any key.
    pub(super) fn new(columns: &[ArrayRef], length: usize) -> Result<Self> {
        let length = u32::try_from(length).map_err(|_| Error::user("a table of over 4,294,967,295 rows"))?;
        let keys = keys(columns, length as usize)?;
        let mut groups: HashTable<Group> = HashTable::with_capacity(length as usize);
        let present = || (0..length).filter(|row| !keys.nulls.get(*row as usize).is_some_and(|null| *null));
        // First how long each group is, then where it begins, then its rows.
        for row in present() {
            let key = keys.keys[row as usize];
            groups
                .entry(key.hash(), |group| group.key == key, |group| group.key.hash())
                .and_modify(|group| group.length += 1)
                .or_insert(Group { key, start: 0, length: 1 });
        }
        let mut start = 0;
        for group in groups.iter_mut() {
            group.start = start;
            start += group.length;
            group.length = 0;
        }
        let mut rows = vec![0; start as usize];
        for row in present() {
            let key = keys.keys[row as usize];
            if let Some(group) = groups.find_mut(key.hash(), |group| group.key == key) {
                rows[(group.start + group.length) as usize] = row;
                group.length += 1;
            }
        }
        Ok(Self { groups, rows })
    }

    /// The rows of a key, in the order of the table.
    pub(super) fn find(&self, key: Key) -> &[u32] {
        match self.groups.find(key.hash(), |group| group.key == key) {
            Some(group) => &self.rows[group.start as usize..(group.start + group.length) as usize],
            None => &[],
        }
    }
}
