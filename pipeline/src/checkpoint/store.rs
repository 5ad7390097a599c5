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
    /// When a key that the batch wants absent is there, or the disk fails.
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
    changes: Vec<(String, Option<Vec<u8>>)>,
}

impl StoreBatch {
    /// Wants a key to be absent: otherwise nothing is changed.
    pub fn absent(&mut self, key: impl Into<String>) {
        self.absent.push(key.into());
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

    /// The keys that must be absent.
    pub(super) fn wanted_absent(&self) -> &[String] {
        &self.absent
    }

    /// The changes, in order: a value, or `None` to remove the key.
    pub(super) fn changes(&self) -> &[(String, Option<Vec<u8>>)] {
        &self.changes
    }
}

/// The error of a batch that wanted a key absent which is there.
pub(super) fn present(key: &str) -> Error {
    Error::internal(format!("`{key}` is in the store already"))
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
        if let Some(key) = batch.absent.iter().find(|key| values.contains_key(*key)) {
            return Err(present(key));
        }
        for (key, value) in &batch.changes {
            match value {
                Some(value) => values.insert(key.clone(), value.clone()),
                None => values.remove(key),
            };
        }
        Ok(())
    }

    fn scan(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>> {
        let values = self.values.lock();
        let from = values.range(prefix.to_owned()..);
        let matching = from.take_while(|(key, _)| key.starts_with(prefix));
        Ok(matching.map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    fn flush(&self) -> Result<()> {
        Ok(())
    }
}
