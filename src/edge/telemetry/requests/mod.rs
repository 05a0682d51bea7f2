//! Owns the latest exchanges, each explained, for operators: bounded in count and in bytes. In reading order: `names`,
//! `mask`, `kept` (one exchange), then the ring. Must never hold content or secrets, or make a request wait for a reader:
//! its lock is held for a few moves.

mod names;
mod mask;
mod kept;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(crate) use kept::{Kept, MOST_CONSIDERED, Met};
pub use names::Names;

/// Bytes that all kept exchanges may take together, however many may be kept.
const MOST_BYTES: usize = 16 * 1024 * 1024;

/// The latest exchanges.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    ring: Mutex<Ring>,
}

/// Plain successes and the rest, each with its number, the oldest first.
#[derive(Debug, Default)]
struct Ring {
    plain: VecDeque<(u64, Arc<Kept>)>,
    notable: VecDeque<(u64, Arc<Kept>)>,
    bytes: usize,
    next: u64,
}

// === impl Requests ===

impl Requests {
    /// Keeps an exchange, and at most so many in all.
    pub(super) fn keep(&self, kept: Kept, most: usize) {
        let kept = Arc::new(kept);
        // What goes is freed behind the lock.
        let _gone = self.lock().push(kept, most);
    }

    /// Keeps at most so many from now on.
    pub(crate) fn shrink(&self, most: usize) {
        let mut ring = self.lock();
        while ring.is_over(most) {
            ring.evict(most);
        }
    }

    /// The latest exchanges, the last one first.
    pub(crate) fn latest(&self, most: usize, wanted: impl Fn(&Kept) -> bool) -> Vec<Arc<Kept>> {
        let ring = self.lock();
        let (mut plain, mut notable) = (ring.plain.iter().rev(), ring.notable.iter().rev());
        let (mut one, mut other) = (plain.next(), notable.next());
        let mut latest = Vec::new();
        while latest.len() < most {
            let number = |of: Option<&(u64, Arc<Kept>)>| of.map(|(number, _)| *number);
            let next = match number(one) > number(other) {
                true => std::mem::replace(&mut one, plain.next()),
                false => std::mem::replace(&mut other, notable.next()),
            };
            match next {
                Some((_, kept)) if wanted(kept) => latest.push(kept.clone()),
                Some(_) => {}
                None => break,
            }
        }
        latest
    }

    /// The latest exchange of this id, its own or that of its answer.
    pub(crate) fn find(&self, id: &str) -> Option<Arc<Kept>> {
        let is_it = |kept: &Kept| *kept.id == *id || *kept.generation_id == *id;
        self.latest(1, is_it).pop()
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Ring ===

impl Ring {
    /// Takes one in. Returns the first that had to go.
    fn push(&mut self, kept: Arc<Kept>, most: usize) -> Option<Arc<Kept>> {
        self.bytes += kept.bytes();
        let number = self.next;
        self.next += 1;
        match kept.is_notable() {
            true => self.notable.push_back((number, kept)),
            false => self.plain.push_back((number, kept)),
        }
        let gone = self.is_over(most).then(|| self.evict(most)).flatten();
        while self.is_over(most) {
            self.evict(most);
        }
        gone
    }

    fn is_over(&self, most: usize) -> bool {
        self.plain.len() + self.notable.len() > most || self.bytes > MOST_BYTES
    }

    /// Lets the oldest plain success go; the oldest of the rest where only a quarter of the room has plain ones.
    fn evict(&mut self, most: usize) -> Option<Arc<Kept>> {
        let plain = self.plain.len() > most / 4 || self.notable.is_empty();
        let from = match plain {
            true => &mut self.plain,
            false => &mut self.notable,
        };
        let (_, gone) = from.pop_front()?;
        self.bytes = self.bytes.saturating_sub(gone.bytes());
        Some(gone)
    }
}
