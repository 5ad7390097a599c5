//! The small values beside the segments: which checkpoints there are, marks, the incarnation.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use crate::error::{Error, Result};

/// The longest value, in bytes. sled writes larger ones in a way that lets its file grow a hundredfold.
pub const MAX_VALUE: usize = 4 * 1024 - 8;

/// Keys and small values, in order of the keys.
pub trait Store: Send + Sync {
    /// The value of a key.
    ///
    /// # Errors
    /// When it is damaged or the disk fails.
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>>;

    /// Makes all changes of a batch, or none. Not durable before [`Store::flush`].
    ///
    /// # Errors
    /// When a key is there that the batch wants absent or otherwise, or the disk fails.
    fn apply(&self, batch: &StoreBatch) -> Result<()>;

    /// All keys that begin with `prefix`, in order, with their values.
    ///
    /// # Errors
    /// When one is damaged or the disk fails.
    fn scan(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>>;

    /// Makes everything applied so far durable.
    ///
    /// # Errors
    /// When the disk fails.
    fn flush(&self) -> Result<()>;
}

/// Changes that are made together.
#[derive(Debug, Clone, Default)]
pub struct StoreBatch {
    absent: Vec<String>,
    expected: Vec<(String, Vec<u8>)>,
    changes: Vec<(String, Option<Vec<u8>>)>,
}

impl StoreBatch {
    /// Wants a key to be absent: otherwise nothing is changed.
    pub fn absent(&mut self, key: impl Into<String>) {
        self.absent.push(key.into());
    }

    /// Wants a key to have this value: otherwise nothing is changed.
    pub fn expect(&mut self, key: impl Into<String>, value: Vec<u8>) {
        self.expected.push((key.into(), value));
    }

    /// Sets a value.
    ///
    /// # Errors
    /// When it is longer than [`MAX_VALUE`].
    pub fn put(&mut self, key: impl Into<String>, value: Vec<u8>) -> Result<()> {
        let key = key.into();
        if value.len() > MAX_VALUE {
            return Err(Error::internal(format!(
                "the value `{key}` has {} bytes, the store takes at most {MAX_VALUE}: larger ones belong in a segment",
                value.len()
            )));
        }
        self.changes.push((key, Some(value)));
        Ok(())
    }

    /// Removes a key.
    pub fn delete(&mut self, key: impl Into<String>) {
        self.changes.push((key.into(), None));
    }

    /// Whether the values that there are let the batch be made.
    ///
    /// # Errors
    /// When a key that must be absent is there, or one has another value than it must have.
    pub(super) fn check(&self, values: &BTreeMap<String, Vec<u8>>) -> Result<()> {
        if let Some(key) = self.absent.iter().find(|key| values.contains_key(*key)) {
            return Err(Error::internal(format!("`{key}` is in the store already")));
        }
        if let Some((key, _)) = self.expected.iter().find(|(key, value)| values.get(key) != Some(value)) {
            return Err(Error::internal(format!("`{key}` of the store is not what it was")));
        }
        Ok(())
    }

    /// The changes, in order: a value, or `None` to remove the key.
    pub(super) fn changes(&self) -> &[(String, Option<Vec<u8>>)] {
        &self.changes
    }
}

/// Makes the changes of a batch to values in memory.
pub(super) fn change(values: &mut BTreeMap<String, Vec<u8>>, batch: &StoreBatch) {
    for (key, value) in batch.changes() {
        match value {
            Some(value) => values.insert(key.clone(), value.clone()),
            None => values.remove(key),
        };
    }
}

/// The values whose keys begin with `prefix`, in order.
pub(super) fn matching(values: &BTreeMap<String, Vec<u8>>, prefix: &str) -> Vec<(String, Vec<u8>)> {
    let from = values.range(prefix.to_owned()..);
    let matching = from.take_while(|(key, _)| key.starts_with(prefix));
    matching.map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// A store in memory: for tests, and for pipelines that leave nothing behind.
#[derive(Debug, Default)]
pub struct MemoryStore {
    values: Mutex<BTreeMap<String, Vec<u8>>>,
}

impl Store for MemoryStore {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.values.lock().get(key).cloned())
    }

    fn apply(&self, batch: &StoreBatch) -> Result<()> {
        let mut values = self.values.lock();
        batch.check(&values)?;
        change(&mut values, batch);
        Ok(())
    }

    fn scan(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>> {
        Ok(matching(&self.values.lock(), prefix))
    }

    fn flush(&self) -> Result<()> {
        Ok(())
    }
}
