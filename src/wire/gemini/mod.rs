//! Gemini's `generateContent`, as Google's Gemini API and Vertex AI speak it: one face, to upstreams.
//! <https://ai.google.dev/api/generate-content>, <https://ai.google.dev/gemini-api/docs/thought-signatures> (2026-11-22).
//! In reading order: `losses` (what it cannot say), `request`, `contents` and `thinking` (the body written),
//! `shape` (what an answer and a chunk are made of), `finish` (how they end), `answer`, `stream`.
//!
//! A stream is whole answers, each with the next pieces; it has no end marker, and a call of a tool comes in one piece.
//! Must never send one origin's thoughts as Google's own.

mod losses;
mod request;
mod contents;
mod thinking;
mod shape;
mod finish;
mod answer;
mod stream;

use bytes::Bytes;

use crate::wire::dialect::{ReadEvents, Target, Unsupported, Upstream, Whole};
use crate::wire::hub::Request;
use crate::wire::path_segment::path_segment;

/// The origin of thoughts, as `reasoning_details[].format` names it.
const FORMAT: &str = "google-gemini-v1";

/// The dialect.
#[derive(Clone, Copy, Debug)]
pub struct Gemini;

// === impl Gemini ===

impl Upstream for Gemini {
    fn path(&self, target: &Target<'_>) -> String {
        let model = path_segment(target.model);
        match target.stream {
            true => format!("/models/{model}:streamGenerateContent?alt=sse"),
            false => format!("/models/{model}:generateContent"),
        }
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
mod recorded_tests;
