//! How far back the journal reaches.

use super::recover::PlacedFile;
use crate::step::{StepNumber, StepTime};

/// What decides how far the journal reaches back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// The step of the newest checkpoint: nothing from it on is ever given up.
    pub needed: StepNumber,
    /// The step of the oldest of the checkpoints that the journal goes with (`checkpoint.keep.last`).
    pub wanted: StepNumber,
    /// Steps at or after this time are kept, too (`journal.keep`).
    pub since: Option<StepTime>,
    /// How long all files together may be (`journal.bytes`); weighs more than `wanted` and `since`.
    pub bytes: Option<u64>,
}

/// How many of the oldest files may go. A file goes as a whole, and the last one never.
pub(super) fn removable(files: &[PlacedFile], reach: &Reach) -> usize {
    let mut left: u64 = files.iter().map(|file| file.length).sum();
    let goes = |pair: &&[PlacedFile]| {
        let [file, next] = pair else { return false };
        // What the file holds ends before the first step of the next one.
        let unneeded = next.first_step <= reach.needed;
        let unwanted = next.first_step <= reach.wanted;
        let old = reach.since.is_none_or(|since| next.first_time.is_some_and(|first| first < since));
        let too_much = reach.bytes.is_some_and(|bytes| left > bytes);
        left -= file.length;
        unneeded && (unwanted && old || too_much)
    };
    files.windows(2).take_while(goes).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::JournalPosition;

    /// Files of 100 bytes that begin with the steps 1, 11, 21, …, each step a second after the one before.
    fn files(count: u64) -> Vec<PlacedFile> {
        let file = |index: u64| PlacedFile {
            first_step: StepNumber(index * 10 + 1),
            first_time: Some(StepTime((index as i64 * 10 + 1) * 1_000)),
            path: String::new().into(),
            start: JournalPosition(index * 100),
            length: 100,
        };
        (0..count).map(file).collect()
    }

    fn removed(reach: Reach) -> usize {
        removable(&files(10), &reach)
    }

    const REACH: Reach = Reach { needed: StepNumber(95), wanted: StepNumber(45), since: None, bytes: None };

    #[test]
    fn the_journal_reaches_back_to_the_oldest_of_the_last_checkpoints() {
        assert_eq!(removed(REACH), 4);
        assert_eq!(removed(Reach { wanted: StepNumber(40), ..REACH }), 3);
        assert_eq!(removed(Reach { wanted: StepNumber(41), ..REACH }), 4, "step 41 stands in the fifth file");
        assert_eq!(removed(Reach { wanted: StepNumber(0), needed: StepNumber(0), ..REACH }), 0);
    }

    #[test]
    fn keep_extends_it_and_never_shortens_it() {
        let since = |seconds: i64| Reach { since: Some(StepTime(seconds * 1_000)), ..REACH };
        assert_eq!(removed(since(25)), 2, "step 25 stands in the third file");
        assert_eq!(removed(since(-5)), 0);
        assert_eq!(removed(since(90)), 4);
        let mut unknown = files(10);
        unknown[1].first_time = None;
        assert_eq!(removable(&unknown, &since(90)), 0, "of what age it is nobody knows: it stays");
    }

    #[test]
    fn bytes_bound_it_but_never_below_the_newest_checkpoint() {
        let bytes = |bytes| Reach { bytes: Some(bytes), since: Some(StepTime(0)), ..REACH };
        assert_eq!(removed(bytes(1_000)), 0);
        assert_eq!(removed(bytes(999)), 1);
        assert_eq!(removed(bytes(250)), 8);
        assert_eq!(removed(bytes(0)), 9, "the file of the newest checkpoint stays");
        assert_eq!(removed(Reach { needed: StepNumber(33), wanted: StepNumber(12), ..bytes(0) }), 3);
    }

    #[test]
    fn the_last_file_stays() {
        let all = Reach { needed: StepNumber(9_999), wanted: StepNumber(9_999), ..REACH };
        assert_eq!(removed(all), 9);
        assert_eq!(removable(&[], &all), 0);
    }
}
