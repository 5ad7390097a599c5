//! Which event is the n-th, and how long the pause before it is.

use std::time::Duration;

use serde_json::{Map, Value};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::options::GenericOptions;
use crate::sources::seconds;

/// Everything that `generic` will ever give.
pub(super) struct Script {
    items: Vec<Map<String, Value>>,
    pub(super) options: GenericOptions,
}

/// Where in the script an event stands.
struct Turn {
    round: u64,
    item: usize,
    last_of_item: bool,
    last_of_round: bool,
}

impl Script {
    pub(super) fn new(items: Vec<Map<String, Value>>, options: GenericOptions) -> Self {
        Self { items, options }
    }

    /// One event of each form, for inference.
    pub(super) fn samples(&self) -> Vec<Map<String, Value>> {
        self.items.iter().chain(&self.options.final_payload).map(|item| self.dressed(item, 0)).collect()
    }

    /// Event number `number`, from 0; `None` behind the last.
    pub(super) fn event(&self, number: u64) -> Option<Map<String, Value>> {
        if let Some(turn) = self.turn(number) {
            let item = if self.options.randomize { self.shuffled(turn.round, turn.item) } else { turn.item };
            return self.items.get(item).map(|item| self.dressed(item, number));
        }
        let last = self.options.final_payload.as_ref().filter(|_| Some(number) == self.turns())?;
        Some(self.dressed(last, number))
    }

    /// The pause before event `number`, or before the end.
    pub(super) fn pause_before(&self, number: u64) -> Duration {
        let options = &self.options;
        let mut pause = if number == 0 { options.startup_delay } else { 0.0 };
        if let Some(before) = number.checked_sub(1).and_then(|before| self.turn(before)) {
            pause += options.repeat_delay;
            pause += if before.last_of_item { options.event_delay } else { 0.0 };
            pause += if before.last_of_round { options.loop_delay } else { 0.0 };
        }
        let end = self.turns().map(|turns| turns + u64::from(options.final_payload.is_some()));
        if end == Some(number) {
            pause += options.shutdown_after;
        }
        seconds(pause).unwrap_or_default()
    }

    /// How many events there are before the final one; `None` for ever.
    fn turns(&self) -> Option<u64> {
        let round = self.items.len() as u64 * self.options.repeat_count;
        if round == 0 {
            return Some(0);
        }
        u64::try_from(self.options.loop_count).ok().map(|loops| loops.saturating_mul(round))
    }

    /// How many events there will be, and when the first comes.
    pub(super) fn told(&self) -> String {
        let last = u64::from(self.options.final_payload.is_some());
        let first = match self.pause_before(0) {
            Duration::ZERO => "the first at once".to_owned(),
            pause => format!("the first after {pause:?}"),
        };
        match self.turns().map(|turns| turns.saturating_add(last)) {
            Some(0) => "none: it ends at once".to_owned(),
            Some(1) => format!("1, {first}; then it ends"),
            Some(all) => format!("{all}, {first}; then it ends"),
            None => format!("{first}, for ever"),
        }
    }

    fn turn(&self, number: u64) -> Option<Turn> {
        if self.turns().is_some_and(|turns| number >= turns) {
            return None;
        }
        let repeats = self.options.repeat_count;
        let round = self.items.len() as u64 * repeats;
        let within = number % round;
        let last_of_item = within % repeats == repeats - 1;
        Some(Turn {
            round: number / round,
            item: usize::try_from(within / repeats).unwrap_or(0),
            last_of_item,
            last_of_round: within == round - 1,
        })
    }

    /// The item that takes place `place` in a shuffled round.
    fn shuffled(&self, round: u64, place: usize) -> usize {
        let mut order: Vec<usize> = (0..self.items.len()).collect();
        for at in (1..order.len()).rev() {
            let draw = xxh3_64_with_seed(&[round.to_le_bytes(), (at as u64).to_le_bytes()].concat(), self.options.seed);
            order.swap(at, usize::try_from(draw % (at as u64 + 1)).unwrap_or(at));
        }
        order.get(place).copied().unwrap_or(place)
    }

    /// The payload with what is added to it: index, blob, timestamp; the payload's own names win.
    fn dressed(&self, item: &Map<String, Value>, number: u64) -> Map<String, Value> {
        let mut event = Map::new();
        if !self.options.create_index.is_empty() {
            event.insert(self.options.create_index.clone(), number.into());
        }
        if self.options.blob_size > 0 {
            event.insert("blob".to_owned(), "x".repeat(self.options.blob_size).into());
        }
        if self.options.timestamp {
            event.insert("timestamp".to_owned(), now(&self.options.time_format));
        }
        event.extend(item.clone());
        event
    }
}

fn now(format: &str) -> Value {
    let now = jiff::Timestamp::now();
    match format {
        "epoch" => now.as_second().into(),
        "iso8601" => now.to_string().into(),
        _ => now.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S%.6f").to_string().into(),
    }
}
