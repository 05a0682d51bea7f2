//! Owns what the process as a whole is doing: connections and exchanges under way, bytes of bodies held, and whether it
//! drains. Must never end anything itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};

use tokio::sync::Notify;

/// What the process is doing.
#[derive(Debug, Default)]
pub struct Lifecycle {
    connections: AtomicUsize,
    exchanges: AtomicUsize,
    streams: AtomicUsize,
    held_bytes: AtomicU64,
    draining: AtomicBool,
    handed_over: AtomicBool,
    idle: Notify,
}

impl Lifecycle {
    /// Connections of clients that are open.
    pub fn connections(&self) -> usize {
        self.connections.load(Relaxed)
    }

    /// A place among at most so many connections, given back when it is dropped; `None`: all are taken.
    pub fn enter(self: &Arc<Self>, most: usize) -> Option<Place> {
        let taken = self.connections.fetch_add(1, Relaxed);
        let place = Place {
            lifecycle: self.clone(),
        };
        (taken < most).then_some(place)
    }

    /// Exchanges under way.
    pub fn exchanges(&self) -> usize {
        self.exchanges.load(Relaxed)
    }

    /// Those whose clients asked for a stream.
    pub fn streams(&self) -> usize {
        self.streams.load(Relaxed)
    }

    /// Counts a stream until the guard is dropped.
    pub fn stream(self: &Arc<Self>) -> OpenStream {
        self.streams.fetch_add(1, Relaxed);
        OpenStream {
            lifecycle: self.clone(),
        }
    }

    /// Bytes of request bodies held at this moment.
    pub fn held_bytes(&self) -> u64 {
        self.held_bytes.load(Relaxed)
    }

    /// Whether new work should go elsewhere.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Relaxed)
    }

    /// From now on readiness fails and connections are not kept alive.
    pub fn drain(&self) {
        self.draining.store(true, Relaxed);
    }

    /// Whether a successor has taken over: what is left on disk is its own.
    pub fn is_handed_over(&self) -> bool {
        self.handed_over.load(Relaxed)
    }

    /// From now on nothing is written that a successor reads.
    pub fn hand_over(&self) {
        self.handed_over.store(true, Relaxed);
    }

    /// Returns when no exchange is under way.
    pub async fn until_idle(&self) {
        loop {
            let notified = self.idle.notified();
            if self.exchanges() == 0 {
                return;
            }
            notified.await;
        }
    }

    /// Counts an exchange until the guard is dropped.
    pub fn begin(self: &Arc<Self>) -> InFlight {
        self.exchanges.fetch_add(1, Relaxed);
        InFlight {
            lifecycle: self.clone(),
        }
    }

    /// Reserves nothing yet: a holder grows as bytes arrive, and gives them back when it is dropped.
    pub fn hold(self: &Arc<Self>) -> HeldBytes {
        HeldBytes {
            lifecycle: self.clone(),
            bytes: 0,
        }
    }
}

/// An open connection.
#[derive(Debug)]
pub struct Place {
    lifecycle: Arc<Lifecycle>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.lifecycle.connections.fetch_sub(1, Relaxed);
    }
}

/// An exchange under way.
#[derive(Debug)]
pub struct InFlight {
    lifecycle: Arc<Lifecycle>,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if self.lifecycle.exchanges.fetch_sub(1, Relaxed) == 1 {
            self.lifecycle.idle.notify_waiters();
        }
    }
}

/// An exchange under way whose client asked for a stream.
#[derive(Debug)]
pub struct OpenStream {
    lifecycle: Arc<Lifecycle>,
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.lifecycle.streams.fetch_sub(1, Relaxed);
    }
}

/// Bytes of one request's body, counted against the process's budget.
#[derive(Debug)]
pub struct HeldBytes {
    lifecycle: Arc<Lifecycle>,
    bytes: u64,
}

impl HeldBytes {
    /// Counts `more` bytes. Returns whether all bodies together stay within `budget`.
    pub fn grow(&mut self, more: u64, budget: u64) -> bool {
        self.bytes += more;
        self.lifecycle.held_bytes.fetch_add(more, Relaxed) + more <= budget
    }
}

impl Drop for HeldBytes {
    fn drop(&mut self) {
        self.lifecycle.held_bytes.fetch_sub(self.bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_given_back_when_the_holder_goes() {
        let lifecycle = Arc::new(Lifecycle::default());
        let mut one = lifecycle.hold();
        assert!(one.grow(60, 100));
        let mut two = lifecycle.hold();
        assert!(!two.grow(60, 100), "over the budget");
        drop(two);
        assert_eq!(lifecycle.held_bytes(), 60);
        drop(one);
        assert_eq!(lifecycle.held_bytes(), 0);
    }

    #[test]
    fn a_place_is_given_back_and_no_more_are_taken_than_there_are() {
        let lifecycle = Arc::new(Lifecycle::default());
        let (one, two) = (lifecycle.enter(2), lifecycle.enter(2));
        assert!(one.is_some() && two.is_some());
        assert!(lifecycle.enter(2).is_none(), "all are taken");
        assert_eq!(lifecycle.connections(), 2);
        drop(one);
        assert!(lifecycle.enter(1).is_none(), "the limit has fallen since");
        assert!(lifecycle.enter(2).is_some());
        drop(two);
        assert_eq!(lifecycle.connections(), 0);
    }

    #[tokio::test]
    async fn idle_is_awaited_until_the_last_exchange_ends() {
        let lifecycle = Arc::new(Lifecycle::default());
        let guard = lifecycle.begin();
        let waiting = lifecycle.until_idle();
        tokio::pin!(waiting);
        let early = tokio::time::timeout(std::time::Duration::from_millis(10), &mut waiting).await;
        assert!(early.is_err());
        drop(guard);
        waiting.await;
    }
}
