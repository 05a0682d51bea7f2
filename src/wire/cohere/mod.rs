//! Cohere's chat, version 2: one face, to upstreams. <https://docs.cohere.com/v2/reference/chat> and the types of Cohere's own
//! SDK (2026-11-22). In reading order: `losses` (what it cannot say), `request`, `messages` (the body written), `shape` (what
//! answers and events are made of), `answer`, `stream`.
//!
//! What a model says before it calls tools is its `tool_plan` there; the hub has it as text, and writes text beside
//! calls as a plan. Must never send a thought back: Cohere's have nothing that proves their origin.

mod losses;
mod request;
mod messages;
mod shape;
mod answer;
mod stream;

use bytes::Bytes;

use crate::wire::dialect::{ReadEvents, Target, Unsupported, Upstream, Whole};
use crate::wire::hub::Request;

/// The dialect.
#[derive(Clone, Copy, Debug)]
pub struct Cohere;

// === impl Cohere ===

impl Upstream for Cohere {
    fn path(&self, _: &Target<'_>) -> String {
        "/chat".to_owned()
    }

    fn losses(&self, request: &Request) -> Result<Vec<&'static str>, Unsupported> {
        losses::losses(request)
    }

    fn write_request(&self, request: &Request, model: &str) -> Bytes {
        request::write(request, model)
    }

    fn read_answer(&self, body: &[u8]) -> Whole {
        answer::read(body)
    }

    fn reader(&self) -> Box<dyn ReadEvents> {
        Box::new(stream::Reader::default())
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod stream_tests;
#[cfg(test)]
mod recorded_tests;
