//! Owns the way from an exchange to its spans: which trace it is part of, whether that is recorded, and the bounded queue of what
//! waits to be sent. In reading order: `context`, `names`, `spans`. Must never make a request wait: what finds no room is
//! counted and forgotten.

mod context;
mod names;
mod spans;

use std::sync::{Mutex, PoisonError};

use tokio::sync::mpsc::{Receiver, Sender, channel};

pub(crate) use context::{TRACEPARENT, TRACESTATE, Trace};
pub(crate) use spans::Finished;

/// Exchanges that may wait to be sent, at some 2 KiB each.
const QUEUE: usize = 2048;

/// What waits to be sent.
#[derive(Debug)]
pub(crate) struct Traces {
    finished: Sender<Finished>,
    queue: Mutex<Option<Receiver<Finished>>>,
}

// === impl Traces ===

impl Traces {
    pub(super) fn new() -> Self {
        let (finished, queue) = channel(QUEUE);
        Self {
            finished,
            queue: Mutex::new(Some(queue)),
        }
    }

    /// Queues an exchange. Returns how many spans found no room.
    pub(super) fn queue(&self, finished: Finished) -> u64 {
        let refused = self.finished.try_send(finished);
        refused.map_or_else(|back| back.into_inner().spans(), |()| 0)
    }

    /// What waits, for the one who sends it; `None` where someone does already.
    pub(crate) fn take_queue(&self) -> Option<Receiver<Finished>> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.take()
    }
}
