//! Messages that were too long for one notification, put together again.

use std::collections::{BTreeMap, HashMap, VecDeque};

use serde::Deserialize;
use xxhash_rust::xxh32::xxh32;

/// The most messages that wait for their other chunks.
const MESSAGES: usize = 64;
/// The most bytes that wait.
const BYTES: usize = 64 * 1024 * 1024;
/// The most chunks of a message.
const CHUNKS: usize = 65_536;

/// A part of a message.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Chunk {
    #[serde(rename = "_message_chunked_uuid")]
    id: String,
    #[serde(rename = "_message_chunk_count")]
    count: usize,
    #[serde(rename = "_message_chunk_sequence")]
    sequence: u64,
    #[serde(rename = "_chunk")]
    text: String,
    /// xxh32 of the whole text, in hexadecimal digits.
    #[serde(rename = "_message_xx_hash")]
    hash: Option<String>,
}

impl Chunk {
    /// The chunk that a payload is, if it is one.
    pub(super) fn of(payload: &str) -> Option<Self> {
        // Nearly no payload is one: the name tells.
        payload.contains("_message_chunked_uuid").then(|| serde_json::from_str(payload).ok()).flatten()
    }
}

/// What came of a chunk.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// A whole message.
    Whole(String),
    /// A message that is given up, and as much of it as there is.
    Given { reason: String, text: String },
}

/// Messages that wait for their other chunks.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    waiting: HashMap<String, Waiting>,
    /// Their ids, the oldest first.
    order: VecDeque<String>,
    bytes: usize,
}

#[derive(Debug)]
struct Waiting {
    count: usize,
    hash: Option<String>,
    parts: BTreeMap<u64, String>,
}

impl Chunks {
    /// Takes a chunk. Chunks may come in any order: their numbers say where they belong. Beyond the bounds the oldest
    /// messages are given up.
    pub(super) fn take(&mut self, chunk: Chunk) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        if chunk.count == 0 || chunk.count > CHUNKS {
            let reason = format!("a message of {} chunks cannot be put together", chunk.count);
            return vec![Outcome::Given { reason, text: chunk.text }];
        }
        let id = chunk.id;
        let waiting = self.waiting.entry(id.clone()).or_insert_with(|| {
            self.order.push_back(id.clone());
            Waiting { count: chunk.count, hash: chunk.hash, parts: BTreeMap::new() }
        });
        self.bytes += chunk.text.len();
        if let Some(before) = waiting.parts.insert(chunk.sequence, chunk.text) {
            self.bytes -= before.len();
        }
        if waiting.parts.len() >= waiting.count {
            outcomes.extend(self.remove(&id).map(Waiting::joined));
        }
        while self.waiting.len() > MESSAGES || self.bytes > BYTES {
            let Some(oldest) = self.order.front().cloned() else { break };
            outcomes.extend(self.remove(&oldest).map(|waiting| {
                let reason = format!("only {} of {} chunks came", waiting.parts.len(), waiting.count);
                Outcome::Given { reason, text: waiting.text() }
            }));
        }
        outcomes
    }

    fn remove(&mut self, id: &str) -> Option<Waiting> {
        self.order.retain(|known| known != id);
        let waiting = self.waiting.remove(id)?;
        self.bytes -= waiting.parts.values().map(String::len).sum::<usize>();
        Some(waiting)
    }
}

impl Waiting {
    fn text(&self) -> String {
        self.parts.values().map(String::as_str).collect()
    }

    fn joined(self) -> Outcome {
        let text = self.text();
        let found = format!("{:08x}", xxh32(text.as_bytes(), 0));
        match self.hash {
            Some(hash) if !hash.eq_ignore_ascii_case(&found) => Outcome::Given {
                reason: format!("its hash is {found}, not {hash}: chunks are missing or damaged"),
                text,
            },
            _ => Outcome::Whole(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(id: &str, sequence: u64, count: usize, text: &str, whole: &str) -> Chunk {
        let hash = Some(format!("{:x}", xxh32(whole.as_bytes(), 0)));
        Chunk { id: id.to_owned(), count, sequence, text: text.to_owned(), hash }
    }

    #[test]
    fn chunks_in_any_order_become_the_message_by_their_numbers() {
        let mut chunks = Chunks::default();
        assert_eq!(chunks.take(chunk("a", 3, 3, "c", "abc")), []);
        assert_eq!(chunks.take(chunk("a", 1, 3, "a", "abc")), []);
        // One that comes twice counts once.
        assert_eq!(chunks.take(chunk("a", 1, 3, "a", "abc")), []);
        assert_eq!(chunks.take(chunk("a", 2, 3, "b", "abc")), [Outcome::Whole("abc".to_owned())]);
        assert_eq!(chunks.bytes, 0);
    }

    #[test]
    fn a_message_with_another_hash_is_given_up_with_the_reason() {
        let outcome = Chunks::default().take(chunk("a", 1, 1, "abd", "abc"));
        assert!(matches!(&outcome[..], [Outcome::Given { reason, text }] if reason.contains("hash") && text == "abd"));
    }

    #[test]
    fn incomplete_messages_beyond_the_bound_are_given_up_the_oldest_first() {
        let mut chunks = Chunks::default();
        let given = (0..=MESSAGES).flat_map(|n| chunks.take(chunk(&n.to_string(), 1, 2, &format!("first of {n}"), "")));
        let given: Vec<Outcome> = given.collect();
        let expected = Outcome::Given { reason: "only 1 of 2 chunks came".to_owned(), text: "first of 0".to_owned() };
        assert_eq!(given, [expected]);
    }

    #[test]
    fn a_payload_is_a_chunk_when_it_has_all_that_a_chunk_has() {
        let given = r#"{"_message_chunked_uuid":"u","_message_chunk_count":2,"_message_chunk_sequence":1,"_chunk":"x","_message_length":9}"#;
        assert!(Chunk::of(given).is_some());
        assert!(Chunk::of(r#"{"_message_chunked_uuid":"u"}"#).is_none());
    }
}
