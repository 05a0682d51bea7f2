//! Owns the memory of all conversations in a fixed number of places: a key leads to one row of [`WAYS`], and where
//! those are taken, the conversation there that was silent longest is forgotten. Must never grow, or hold a lock
//! beyond one row's search.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::core::catalog::Fingerprint;
use crate::core::sticky::{Memory, Turn};
use crate::core::time::Time;

/// Parts with a lock each.
const SHARDS: usize = 64;
/// Rows of a part.
const ROWS: usize = 64;
/// Conversations of a row.
const WAYS: usize = 16;
/// Conversations in all: 3 MiB, taken in parts of 48 KiB as they are needed.
pub const CAPACITY: usize = SHARDS * ROWS * WAYS;

/// Conversations by key. A key must be a hash that nobody outside can aim at.
#[derive(Debug)]
pub struct Table {
    shards: Box<[Mutex<Vec<Option<Entry>>>]>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    key: u64,
    memory: Memory,
    last: Time,
    until: Time,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
        }
    }
}

impl Table {
    /// What is known of a conversation that is not over.
    pub fn find(&self, key: u64, now: Time) -> Option<Memory> {
        let shard = self.shard(key);
        let row = shard.get(row(key)..row(key) + WAYS)?;
        let mut known = row.iter().flatten();
        known
            .find(|entry| entry.key == key && entry.until > now)
            .map(|entry| entry.memory)
    }

    /// A turn of the conversation was answered at `place`; it is remembered for `ttl` from now.
    pub fn note(&self, key: u64, place: Fingerprint, turn: Turn, ttl: Duration, now: Time) {
        let mut shard = self.shard(key);
        if shard.is_empty() {
            shard.resize(ROWS * WAYS, None);
        }
        let row = &mut shard[row(key)..row(key) + WAYS];
        let own = |entry: &Option<Entry>| entry.is_some_and(|entry| entry.key == key);
        let own = row.iter().position(own);
        let position = own.unwrap_or_else(|| most_dispensable(row, now));
        let known = row[position].filter(|entry| entry.key == key && entry.until > now);
        row[position] = Some(Entry {
            key,
            memory: known.map_or_else(
                || Memory::begin(place, turn),
                |entry| entry.memory.after(place, turn),
            ),
            last: now,
            until: now + ttl,
        });
    }

    fn shard(&self, key: u64) -> MutexGuard<'_, Vec<Option<Entry>>> {
        let shard = &self.shards[slice(key, 0, SHARDS)];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An empty place, else one that is over, else the one silent longest.
fn most_dispensable(row: &[Option<Entry>], now: Time) -> usize {
    let rank = |entry: &Option<Entry>| match entry {
        None => (0, Time::ZERO),
        Some(entry) if entry.until <= now => (1, Time::ZERO),
        Some(entry) => (2, entry.last),
    };
    let ranked = row.iter().map(rank).enumerate();
    ranked
        .min_by_key(|(_, rank)| *rank)
        .map_or(0, |(position, _)| position)
}

/// Where the key's row begins in its part.
fn row(key: u64) -> usize {
    slice(key, 1, ROWS) * WAYS
}

/// A byte of the key below `bound`, which is a power of two of at most 8 bits.
fn slice(key: u64, byte: usize, bound: usize) -> usize {
    usize::from(key.to_le_bytes()[byte]) & (bound - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(600);
    const TURN: Turn = Turn {
        prompt_tokens: 10,
        cached_tokens: None,
    };

    fn at(seconds: u64) -> Time {
        Time::from_micros(seconds * 1_000_000)
    }

    fn place(name: &str) -> Fingerprint {
        Fingerprint::of(&name)
    }

    fn spread(number: u64) -> u64 {
        fastrand::Rng::with_seed(number).u64(..)
    }

    #[test]
    fn a_conversation_is_known_until_it_was_silent_for_its_time() {
        let table = Table::default();
        table.note(7, place("a"), TURN, TTL, at(0));
        assert_eq!(table.find(7, at(599)).unwrap().place, place("a"));
        assert_eq!(table.find(7, at(600)), None);
        assert_eq!(table.find(8, at(1)), None);
        table.note(7, place("b"), TURN, TTL, at(599));
        assert_eq!(table.find(7, at(1_198)).unwrap().place, place("b"));
    }

    #[test]
    fn what_is_over_is_begun_anew() {
        let table = Table::default();
        let cached = Turn {
            prompt_tokens: 2_000,
            cached_tokens: Some(2_000),
        };
        table.note(7, place("a"), cached, TTL, at(0));
        table.note(7, place("a"), TURN, TTL, at(700));
        let expected = Memory::begin(place("a"), TURN);
        assert_eq!(table.find(7, at(701)), Some(expected));
    }

    #[test]
    fn a_full_row_forgets_what_is_over_and_then_what_was_silent_longest() {
        let table = Table::default();
        let key = |nth: u64| nth << 32;
        for nth in 0..WAYS as u64 {
            table.note(key(nth + 1), place("a"), TURN, TTL, at(nth));
        }
        table.note(key(1), place("a"), TURN, TTL, at(20));
        table.note(key(99), place("b"), TURN, TTL, at(21));
        assert!(table.find(key(1), at(22)).is_some(), "it spoke again");
        assert_eq!(table.find(key(2), at(22)), None, "the silent one");
        assert!(table.find(key(3), at(22)).is_some());
        let short = Duration::from_secs(1);
        table.note(key(3), place("a"), TURN, short, at(23));
        table.note(key(98), place("b"), TURN, TTL, at(30));
        assert_eq!(table.find(key(3), at(23)), None, "it was over");
        assert!(table.find(key(4), at(30)).is_some());
    }

    #[test]
    fn it_never_holds_more_than_its_capacity_and_half_of_that_hardly_loses_any() {
        let table = Table::default();
        let kept = |of: u64| {
            let known = (0..of).filter(|nth| table.find(spread(*nth), at(2)).is_some());
            known.count()
        };
        let half = CAPACITY as u64 / 2;
        for nth in 0..half {
            table.note(spread(nth), place("a"), TURN, TTL, at(1));
        }
        assert!(kept(half) > CAPACITY / 2 * 99 / 100, "{}", kept(half));
        for nth in half..4 * half {
            table.note(spread(nth), place("a"), TURN, TTL, at(1));
        }
        assert!(kept(4 * half) <= CAPACITY);
        let sizes = table.shards.iter().map(|shard| shard.lock().unwrap().len());
        assert_eq!(sizes.sum::<usize>(), CAPACITY);
        assert!(size_of::<Option<Entry>>() <= 48);
    }
}
