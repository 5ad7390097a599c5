//! Marks in the store: one per sink, cut into pieces where a sink has much to say.

use std::collections::BTreeMap;

use crate::error::Result;
use crate::sink::Mark;

use super::keys::{from_json, to_json};
use super::store::{MAX_VALUE, Store, StoreBatch};

/// Keys of marks: `mark/`, the sink, `/` and the number of the piece in four digits.
const MARK: &str = "mark/";

/// Adds the marks to a batch.
pub(super) fn put(store: &dyn Store, batch: &mut StoreBatch, marks: &BTreeMap<String, Mark>) -> Result<()> {
    for (sink, mark) in marks {
        let json = to_json(mark)?;
        let mut count = 0;
        for piece in json.chunks(MAX_VALUE) {
            batch.put(format!("{MARK}{sink}/{count:04}"), piece.to_vec())?;
            count += 1;
        }
        // A longer mark may have been there.
        for (key, _) in store.scan(&format!("{MARK}{sink}/"))?.into_iter().skip(count) {
            batch.delete(key);
        }
    }
    Ok(())
}

/// Adds the removal of all marks to a batch.
pub(super) fn forget_all(store: &dyn Store, batch: &mut StoreBatch) -> Result<()> {
    store.scan(MARK)?.into_iter().for_each(|(key, _)| batch.delete(key));
    Ok(())
}

/// All marks, by sink.
pub(super) fn all(store: &dyn Store) -> Result<BTreeMap<String, Mark>> {
    let mut texts = BTreeMap::<String, Vec<u8>>::new();
    for (key, piece) in store.scan(MARK)? {
        let sink = key.strip_prefix(MARK).and_then(|rest| rest.rsplit_once('/')).map_or("", |(sink, _)| sink);
        texts.entry(sink.to_owned()).or_default().extend(piece);
    }
    texts.into_iter().map(|(sink, json)| from_json(&sink, &json).map(|mark| (sink, mark))).collect()
}
