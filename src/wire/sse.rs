//! Owns the cutting of a byte stream into server-sent events, with every byte kept: the events'
//! `raw` parts, joined, are the stream. In reading order: this file, `event`, `lines`.
//! Must never copy an event that lies within one chunk, or look at a byte twice while cutting.

mod event;
mod lines;

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

pub use event::{Data, Event};
use lines::Lines;

/// An event grew past the splitter's limit. The stream cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event of the stream is longer than {max_event_bytes} bytes")]
pub struct TooLong {
    pub max_event_bytes: usize,
}

/// Cuts a stream into events, chunk by chunk.
#[derive(Debug)]
pub struct Splitter {
    max_event_bytes: usize,
    /// Chunks not looked at yet.
    queue: VecDeque<Bytes>,
    /// The beginning of the present event, from chunks already looked at.
    carry: BytesMut,
    lines: Lines,
    /// The next event is the stream's first, which may begin with a byte order mark.
    first: bool,
    failed: bool,
}

// === impl Splitter ===

impl Splitter {
    /// Makes a splitter that refuses events longer than `max_event_bytes`.
    pub fn new(max_event_bytes: usize) -> Self {
        Self {
            max_event_bytes,
            queue: VecDeque::new(),
            carry: BytesMut::new(),
            lines: Lines::default(),
            first: true,
            failed: false,
        }
    }

    /// Takes the next chunk of the stream.
    pub fn push(&mut self, chunk: Bytes) {
        if !chunk.is_empty() && !self.failed {
            self.queue.push_back(chunk);
        }
    }

    /// The next complete event, `None` until more is pushed. After an error there is nothing more.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator ends at its first None; this goes on after the next push"
    )]
    pub fn next(&mut self) -> Option<Result<Event, TooLong>> {
        while let Some(mut chunk) = self.queue.pop_front() {
            let Some(end) = self.lines.event_end(&chunk) else {
                if self.carry.len() + chunk.len() > self.max_event_bytes {
                    return Some(Err(self.fail()));
                }
                self.carry.extend_from_slice(&chunk);
                continue;
            };
            let tail = chunk.split_to(end);
            if !chunk.is_empty() {
                self.queue.push_front(chunk);
            }
            return Some(self.complete(tail));
        }
        None
    }

    /// The last event, where the stream ended without the blank line that closes it. Call it when
    /// `next` has nothing more.
    pub fn finish(&mut self) -> Option<Event> {
        let rest = self.rest();
        self.queue.clear();
        if rest.is_empty() {
            return None;
        }
        Some(self.event(rest).unclosed())
    }

    /// The bytes of the event that is not complete yet.
    pub fn rest(&mut self) -> Bytes {
        for chunk in self.queue.drain(..) {
            self.carry.extend_from_slice(&chunk);
        }
        self.carry.split().freeze()
    }

    /// Whether every byte pushed so far was given out.
    pub fn is_empty(&self) -> bool {
        self.carry.is_empty() && self.queue.is_empty()
    }

    fn complete(&mut self, tail: Bytes) -> Result<Event, TooLong> {
        if self.carry.len() + tail.len() > self.max_event_bytes {
            return Err(self.fail());
        }
        let raw = if self.carry.is_empty() {
            tail
        } else {
            self.carry.extend_from_slice(&tail);
            self.carry.split().freeze()
        };
        Ok(self.event(raw))
    }

    fn event(&mut self, raw: Bytes) -> Event {
        Event::new(raw, std::mem::replace(&mut self.first, false))
    }

    fn fail(&mut self) -> TooLong {
        self.failed = true;
        self.queue.clear();
        self.carry = BytesMut::new();
        TooLong {
            max_event_bytes: self.max_event_bytes,
        }
    }
}

#[cfg(test)]
mod tests;
