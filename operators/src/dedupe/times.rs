//! Times by key, in little memory.

use hashbrown::HashTable;

use crate::keys::Key;

/// How many entries a page holds.
const PAGE: usize = 1 << 16;

/// A key and the time at which it was last kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) key: Key,
    /// In ms.
    pub(super) time: i64,
}

/// Where an entry stands. Used again once the entry has been removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place(u32);

/// Times by key: entries of 24 bytes in pages that never move, found through a table of their places; so growing
/// copies places only (4 bytes each), and whoever remembers an entry needs 4 bytes. One bit an entry says that it
/// has changed.
#[derive(Debug, Default)]
pub(super) struct Times {
    places: HashTable<Place>,
    pages: Vec<Vec<Entry>>,
    free: Vec<Place>,
    changed: Vec<u64>,
}

impl Times {
    /// How many keys there are.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// Makes room for `more` keys at once.
    pub(super) fn reserve(&mut self, more: usize) {
        let Self { places, pages, .. } = self;
        places.reserve(more, |place| entry(pages, *place).key.hash());
    }

    /// The place of a key.
    pub(super) fn find(&self, key: Key) -> Option<Place> {
        self.places.find(key.hash(), |place| self.at(*place).key == key).copied()
    }

    /// What stands at a place, or stood there last.
    pub(super) fn at(&self, place: Place) -> Entry {
        entry(&self.pages, place)
    }

    /// Whether something stands at a place.
    pub(super) fn is_live(&self, place: Place) -> bool {
        self.places.find(self.at(place).key.hash(), |found| *found == place).is_some()
    }

    /// Another time for what stands at a place.
    pub(super) fn set(&mut self, place: Place, time: i64) {
        let (page, index) = split(place);
        self.pages[page][index].time = time;
        self.mark(place);
    }

    /// A key that is not there yet.
    pub(super) fn insert(&mut self, key: Key, time: i64) -> Place {
        let place = self.room(Entry { key, time });
        let Self { places, pages, .. } = self;
        places.insert_unique(key.hash(), place, |place| entry(pages, *place).key.hash());
        self.mark(place);
        place
    }

    fn room(&mut self, new: Entry) -> Place {
        if let Some(place) = self.free.pop() {
            let (page, index) = split(place);
            self.pages[page][index] = new;
            return place;
        }
        match self.pages.last_mut() {
            Some(last) if last.len() < PAGE => last.push(new),
            // Small states have one page, which grows with them.
            last => {
                let capacity = if last.is_some() { PAGE } else { 0 };
                let mut page = Vec::with_capacity(capacity);
                page.push(new);
                self.pages.push(page);
            }
        }
        let before = (self.pages.len() - 1) * PAGE;
        let last = self.pages.last().map_or(0, |page| page.len() - 1);
        // Places are 32 bits: four thousand million entries would need a hundred GB first.
        Place(u32::try_from(before + last).unwrap_or(u32::MAX))
    }

    /// Removes what stands at a place; whether there was anything.
    pub(super) fn remove(&mut self, place: Place) -> bool {
        let hash = self.at(place).key.hash();
        let Ok(found) = self.places.find_entry(hash, |found| *found == place) else { return false };
        found.remove();
        self.free.push(place);
        let (word, bit) = bit(place);
        if let Some(word) = self.changed.get_mut(word) {
            *word &= !bit;
        }
        true
    }

    fn mark(&mut self, place: Place) {
        let (word, bit) = bit(place);
        if word >= self.changed.len() {
            self.changed.resize(word + 1, 0);
        }
        self.changed[word] |= bit;
    }

    /// The entries that have changed since this was last asked, in the order of their places.
    pub(super) fn take_changed(&mut self) -> Vec<Entry> {
        let mut changed = Vec::new();
        for (number, word) in self.changed.iter_mut().enumerate() {
            while *word != 0 {
                let place = number * 64 + word.trailing_zeros() as usize;
                changed.push(self.pages[place / PAGE][place % PAGE]);
                *word &= *word - 1;
            }
        }
        changed
    }

    /// Forgets what has changed.
    pub(super) fn unmark(&mut self) {
        self.changed.fill(0);
    }

    /// The places of all entries, in order.
    pub(super) fn places(&self) -> Vec<Place> {
        let mut all: Vec<Place> = self.places.iter().copied().collect();
        all.sort_unstable();
        all
    }
}

fn split(place: Place) -> (usize, usize) {
    (place.0 as usize / PAGE, place.0 as usize % PAGE)
}

fn entry(pages: &[Vec<Entry>], place: Place) -> Entry {
    let (page, index) = split(place);
    pages[page][index]
}

fn bit(place: Place) -> (usize, u64) {
    (place.0 as usize / 64, 1 << (place.0 % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u128) -> Key {
        Key::from(n.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
    }

    #[test]
    fn keys_are_found_replaced_and_removed_beyond_one_page() {
        let mut times = Times::default();
        let count = PAGE as u128 + 10;
        for n in 0..count {
            times.insert(key(n), n as i64);
        }
        for n in (0..count).step_by(2) {
            let place = times.find(key(n)).unwrap();
            assert!(times.remove(place) && !times.remove(place) && !times.is_live(place));
        }
        assert_eq!(times.len(), PAGE / 2 + 5);
        for n in 0..count {
            assert_eq!(times.find(key(n)).map(|place| times.at(place).time), (n % 2 == 1).then_some(n as i64));
        }
        let pages = times.pages.len();
        for n in 0..count / 2 {
            times.insert(key(count + n), -1);
        }
        assert_eq!(times.pages.len(), pages, "what was removed makes room");
        assert_eq!(times.places().len(), times.len());
    }

    #[test]
    fn each_change_is_given_once_and_none_of_what_has_gone() {
        let mut times = Times::default();
        let places: Vec<Place> = (0..200).map(|n| times.insert(key(n), 0)).collect();
        assert_eq!(times.take_changed().len(), 200);
        times.set(places[7], 1);
        times.set(places[7], 2);
        times.set(places[9], 3);
        times.remove(places[9]);
        let changed: Vec<i64> = times.take_changed().iter().map(|entry| entry.time).collect();
        assert_eq!(changed, [2]);
        assert!(times.take_changed().is_empty());
    }
}
