//! How a value lies in sled: a version, a checksum over key and value, the value. And one digest over all of
//! them: single values that are old, lost or back again are found out by it.

use std::collections::BTreeMap;

use xxhash_rust::xxh3::Xxh3;

use crate::checkpoint::store::StoreBatch;

/// The version byte of every value.
const VERSION: u8 = 1;
/// The key of the digest.
pub(super) const DIGEST: &str = "digest";

/// The value as it is stored.
pub(super) fn seal(key: &str, value: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(5 + value.len());
    sealed.push(VERSION);
    sealed.extend_from_slice(&checksum(key, value).to_le_bytes());
    sealed.extend_from_slice(value);
    sealed
}

/// The value that was stored under a key, or why it is none.
pub(super) fn unseal(key: &str, sealed: &[u8]) -> Result<Vec<u8>, String> {
    match sealed {
        [VERSION, a, b, c, d, value @ ..] if checksum(key, value) == u32::from_le_bytes([*a, *b, *c, *d]) => {
            Ok(value.to_vec())
        }
        [VERSION, ..] | [] => Err("its checksum is wrong".to_owned()),
        [version, ..] => Err(format!("it has version {version}, this program reads version {VERSION}")),
    }
}

fn checksum(key: &str, value: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key.as_bytes());
    hasher.update(value);
    hasher.finalize()
}

/// A digest over keys and values in no particular order: it is kept up to date change by change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Digest(u64);

impl Digest {
    /// The digest of all values.
    pub(super) fn of(values: &BTreeMap<String, Vec<u8>>) -> Self {
        values.iter().fold(Self::default(), |digest, (key, value)| digest.with(key, value))
    }

    /// The digest after a batch is made to `values`.
    pub(super) fn after(self, values: &BTreeMap<String, Vec<u8>>, batch: &StoreBatch) -> Self {
        let mut digest = self;
        // A key may be changed more than once in a batch: the last change counts.
        let changes: BTreeMap<&String, &Option<Vec<u8>>> =
            batch.changes().iter().map(|(key, value)| (key, value)).collect();
        for (key, value) in changes {
            if let Some(before) = values.get(key) {
                digest = digest.with(key, before);
            }
            if let Some(value) = value {
                digest = digest.with(key, value);
            }
        }
        digest
    }

    /// With a value, or again without it.
    fn with(self, key: &str, value: &[u8]) -> Self {
        let mut hasher = Xxh3::new();
        hasher.update(&(key.len() as u64).to_le_bytes());
        hasher.update(key.as_bytes());
        hasher.update(value);
        Self(self.0 ^ hasher.digest())
    }

    /// As it is stored.
    pub(super) fn to_bytes(self) -> Vec<u8> {
        self.0.to_le_bytes().to_vec()
    }
}
