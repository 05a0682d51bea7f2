//! Amazon Bedrock's Converse and ConverseStream: one face, to upstreams.
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html> and the service's own model in its
//! SDKs, of 2026-11-22. In reading order: `losses` (what it cannot say), `request`, `blocks`, `family` (the body written),
//! `shape` (what answers and events are made of), `answer`, `stream`.
//!
//! A stream is AWS's binary framing; its events have names, and it ends with `messageStop` and `metadata`. Requests are
//! signed (or have a bearer key) outside of here.
//! Must never send a tool's result, a picture or a thought where Converse has no place for it.

mod losses;
mod request;
mod blocks;
mod family;
mod shape;
mod answer;
mod stream;

use bytes::Bytes;

use crate::wire::dialect::{Framing, ReadEvents, Target, Unsupported, Upstream, Whole};
use crate::wire::hub::Request;
use crate::wire::path_segment::path_segment;

/// The origin of signed and sealed thoughts: Claude's are the same at every seller
/// (<https://docs.claude.com/en/docs/build-with-claude/extended-thinking>, 2026-11-22).
const FORMAT: &str = "anthropic-claude-v1";
/// The tool that a model is made to call where any JSON object is wanted: its input is the answer's text.
const FORM: &str = "mainstay_answer_as_json";

/// The dialect.
#[derive(Clone, Copy, Debug)]
pub struct Bedrock;

// === impl Bedrock ===

impl Upstream for Bedrock {
    /// The model's id or ARN is one segment, its `:` and `/` written `%3A` and `%2F`. This is the path that goes
    /// over the wire; Signature Version 4 encodes each segment of it once more in its canonical request (`%253A`), as it
    /// does for every service but S3.
    fn path(&self, target: &Target<'_>) -> String {
        let model = path_segment(target.model);
        match target.stream {
            true => format!("/model/{model}/converse-stream"),
            false => format!("/model/{model}/converse"),
        }
    }

    fn framing(&self) -> Framing {
        Framing::EventStream
    }

    fn losses(&self, request: &Request) -> Result<Vec<&'static str>, Unsupported> {
        losses::losses(request)
    }

    fn losses_for(&self, request: &Request, model: &str) -> Result<Vec<&'static str>, Unsupported> {
        losses::losses_for(request, model)
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
