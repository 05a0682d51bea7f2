//! Owns the way from an exchange to its spans: which trace it is part of, whether that is recorded, and the bounded queue of what
//! waits to be sent. In reading order: `context`, `names`, `otlp` (how spans are written), `spans`. Must never make a request wait:
//! what finds no room is counted and forgotten.

mod context;
mod names;
mod otlp;
mod spans;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

pub(crate) use context::{TRACEPARENT, TRACESTATE, Trace};
pub(crate) use otlp::Envelope;
pub(crate) use spans::Finished;

/// Exchanges that are sent together, at some 2 KiB each.
const BATCH: usize = 256;
/// Batches that may wait to be sent: 2048 exchanges.
const BATCHES: usize = 8;

thread_local! {
    /// Where a thread writes its spans, one exchange after the other.
    static SPANS: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// What waits to be sent.
#[derive(Debug, Default)]
pub(crate) struct Traces {
    /// The oldest first; all but the last are full.
    waiting: Mutex<VecDeque<Batch>>,
    /// The first exchange came, or a batch is full.
    came: Notify,
    is_sent: AtomicBool,
}

/// Spans that are sent together.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// As [`Envelope::around`] takes them.
    pub(crate) spans: Vec<u8>,
    pub(crate) count: u64,
    exchanges: usize,
}

// === impl Traces ===

impl Traces {
    /// Queues an exchange. Returns how many spans found no room.
    pub(super) fn queue(&self, finished: &Finished<'_>) -> u64 {
        let queued = SPANS.with_borrow_mut(|spans| {
            spans.clear();
            finished.append_to(spans);
            self.push(spans, finished.spans())
        });
        if queued { 0 } else { finished.spans() }
    }

    /// Takes the spans of an exchange in. Returns whether there was room.
    fn push(&self, spans: &[u8], count: u64) -> bool {
        let mut waiting = self.lock();
        let was_empty = waiting.is_empty();
        if waiting.back().is_none_or(Batch::is_full) {
            if waiting.len() == BATCHES {
                return false;
            }
            waiting.push_back(Batch::default());
        }
        let Some(last) = waiting.back_mut() else {
            return false;
        };
        last.spans.extend_from_slice(spans);
        last.count += count;
        last.exchanges += 1;
        let is_news = was_empty || last.is_full();
        drop(waiting);
        if is_news {
            self.came.notify_one();
        }
        true
    }

    /// Whether the caller is the one who sends what waits: the first who asks is.
    pub(crate) fn begin_sending(&self) -> bool {
        !self.is_sent.swap(true, Ordering::Relaxed)
    }

    /// Waits until something waits.
    pub(crate) async fn some(&self) {
        while self.lock().is_empty() {
            self.came.notified().await;
        }
    }

    /// Waits until a batch is full.
    pub(crate) async fn full(&self) {
        while !self.lock().front().is_some_and(Batch::is_full) {
            self.came.notified().await;
        }
    }

    /// Takes the oldest batch, full or not.
    pub(crate) fn take(&self) -> Option<Batch> {
        self.lock().pop_front()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Batch>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Batch ===

impl Batch {
    fn is_full(&self) -> bool {
        self.exchanges >= BATCH
    }

    /// Takes another batch's spans in, however many those are.
    pub(crate) fn join(&mut self, other: &Batch) {
        self.spans.extend_from_slice(&other.spans);
        self.count += other.count;
        self.exchanges += other.exchanges;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_waits_is_taken_in_full_batches_and_what_finds_no_room_is_refused() {
        let traces = Traces::default();
        assert!(traces.begin_sending() && !traces.begin_sending());
        assert!(traces.take().is_none());
        assert!((0..BATCH * BATCHES).all(|_| traces.push(b"ab", 2)));
        assert!(!traces.push(b"ab", 2), "there is no room");
        traces.some().await;
        traces.full().await;
        let mut all = traces.take().unwrap();
        assert_eq!((all.count, all.spans.len()), (2 * BATCH as u64, 2 * BATCH));
        assert!(traces.push(b"last", 1), "there is room again");
        while let Some(batch) = traces.take() {
            all.join(&batch);
        }
        assert_eq!(all.count, (2 * BATCH * BATCHES) as u64 + 1);
        assert!(all.spans.ends_with(b"ablast"), "in their order");
    }

    #[tokio::test]
    async fn whoever_sends_is_woken_for_the_first_exchange_and_for_a_full_batch() {
        let traces = Traces::default();
        let pushing = async {
            tokio::task::yield_now().await;
            traces.push(b"a", 1);
            tokio::task::yield_now().await;
            assert!((1..BATCH).all(|_| traces.push(b"a", 1)));
        };
        let waiting = async {
            traces.some().await;
            traces.full().await;
            traces.take().unwrap().count
        };
        let (count, ()) = tokio::join!(waiting, pushing);
        assert_eq!(count, BATCH as u64);
    }
}
