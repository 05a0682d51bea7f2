//! Owns the latest exchanges, each explained, for operators: bounded in count and in bytes. In reading order: `names`,
//! `mask`, `kept` (one exchange), `refused` (one that had no plan), then the ring. Must never hold content or secrets, or make a request wait for a reader:
//! its lock is held for a few moves.

mod names;
mod mask;
mod kept;
mod refused;

use std::collections::VecDeque;
use std::iter::Peekable;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(crate) use kept::{Kept, MOST_CONSIDERED, Met};
pub use names::Names;
pub(crate) use refused::{Refusal, Refused};

/// Bytes that all kept exchanges may take together, however many may be kept.
const MOST_BYTES: usize = 16 * 1024 * 1024;

/// One of so many that are kept may be a refusal: somebody who guesses keys must not push what failed out.
const REFUSED_PART: usize = 4;

/// One of the latest.
#[derive(Clone, Debug)]
pub(crate) enum Latest {
    Exchange(Arc<Kept>),
    Refused(Arc<Refused>),
}

/// The latest exchanges.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    ring: Mutex<Ring>,
}

/// Plain successes, the rest, and what was refused before it was an exchange, each with its number, the oldest first.
#[derive(Debug, Default)]
struct Ring {
    plain: VecDeque<(u64, Arc<Kept>)>,
    notable: VecDeque<(u64, Arc<Kept>)>,
    refused: VecDeque<(u64, Arc<Refused>)>,
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

    /// Keeps a refusal; of all that are kept, a part may be refusals.
    pub(super) fn keep_refused(&self, refused: Refused, most: usize) {
        let refused = Arc::new(refused);
        let mut ring = self.lock();
        let number = ring.number();
        ring.refused.push_back((number, refused));
        ring.forget_refused(most);
    }

    /// Keeps at most so many from now on.
    pub(crate) fn shrink(&self, most: usize) {
        let mut ring = self.lock();
        ring.forget_refused(most);
        while ring.is_over(most) {
            ring.evict(most);
        }
    }

    /// The latest, the last one first.
    pub(crate) fn latest(&self, most: usize, wanted: impl Fn(&Latest) -> bool) -> Vec<Latest> {
        let ring = self.lock();
        let exchange =
            |(number, kept): &(u64, Arc<Kept>)| (*number, Latest::Exchange(kept.clone()));
        let refused = |(number, one): &(u64, Arc<Refused>)| (*number, Latest::Refused(one.clone()));
        let ways: [Box<dyn Iterator<Item = (u64, Latest)>>; 3] = [
            Box::new(ring.plain.iter().rev().map(exchange)),
            Box::new(ring.notable.iter().rev().map(exchange)),
            Box::new(ring.refused.iter().rev().map(refused)),
        ];
        let mut ways = ways.map(Iterator::peekable);
        let mut latest = Vec::new();
        while latest.len() < most {
            let number = |way: &mut Peekable<_>| way.peek().map(|(number, _): &(u64, _)| *number);
            let numbers = ways.each_mut().map(number);
            let newest = (0..ways.len()).max_by_key(|at| numbers[*at]);
            let next = newest.and_then(|at| ways.get_mut(at));
            match next.and_then(Iterator::next) {
                Some((_, one)) if wanted(&one) => latest.push(one),
                Some(_) => {}
                None => break,
            }
        }
        latest
    }

    /// The latest of this id, its own or that of its answer.
    pub(crate) fn find(&self, id: &str) -> Option<Latest> {
        let is_it = |one: &Latest| match one {
            Latest::Exchange(kept) => kept.id() == id || kept.generation_id() == id,
            Latest::Refused(refused) => *refused.id == *id || *refused.generation_id == *id,
        };
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
        let number = self.number();
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

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn forget_refused(&mut self, most: usize) {
        let surplus = self
            .refused
            .len()
            .saturating_sub(most.div_ceil(REFUSED_PART));
        self.refused.drain(..surplus);
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
