//! Anthropic Messages, to upstreams and to clients (<https://platform.claude.com/docs/en/api/messages>). In reading
//! order: `generation` (what tells the dialect's models apart), `origin` (whose thoughts a block holds), `shape` (the blocks that
//! requests and answers share), then towards upstreams `schema`, `thinking`, `request_write`, `version`, `answer_shape`, `answer_read`, `stream_read`, and
//! towards clients `scan` (a body passed on as it is), `request_read`, `answer_write`, `stream_write`, `errors`, `count`.
//! Must never replay a thought to a provider that did not make it.

mod generation;
mod origin;
mod shape;
mod schema;
mod thinking;
mod request_write;
pub mod version;
mod answer_shape;
mod answer_read;
mod stream_read;
pub mod scan;
mod request_read;
mod answer_write;
mod stream_write;
mod errors;
pub mod count;

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::wire::client_error::{ClientError, RequestError};
use crate::wire::dialect::{
    Downstream, ReadEvents, Reply, Target, Unsupported, Upstream, Whole, WriteEvents,
};
use crate::wire::hub::{Answer, Request};

use generation::Generation;

/// The API's version that requests name; every documented field and event here is that version's.
const VERSION: (&str, &str) = ("anthropic-version", "2023-06-01");

/// The dialect.
#[derive(Clone, Copy, Debug)]
pub struct Messages;

// === impl Messages ===

impl Upstream for Messages {
    fn path(&self, _target: &Target<'_>) -> String {
        "/messages".to_owned()
    }

    fn headers(&self) -> &'static [(&'static str, &'static str)] {
        const { &[VERSION] }
    }

    fn losses(&self, request: &Request) -> Result<Vec<&'static str>, Unsupported> {
        request_write::losses(request, Generation::UNKNOWN)
    }

    /// The newest models take no sampling, the older ones no schema of their own.
    fn losses_for(&self, request: &Request, model: &str) -> Result<Vec<&'static str>, Unsupported> {
        request_write::losses(request, Generation::of(model))
    }

    fn write_request(&self, request: &Request, model: &str) -> Bytes {
        request_write::write(request, model)
    }

    fn read_answer(&self, body: &[u8]) -> Whole {
        answer_read::read(body)
    }

    fn reader(&self) -> Box<dyn ReadEvents> {
        Box::new(stream_read::Reader::default())
    }
}

impl Downstream for Messages {
    fn read_request(&self, body: &Bytes) -> Result<Request, RequestError> {
        request_read::read(body)
    }

    fn write_answer(&self, answer: &Answer, reply: &Reply<'_>) -> Bytes {
        answer_write::write(answer, reply)
    }

    fn writer(&self, reply: &Reply<'_>) -> Box<dyn WriteEvents> {
        Box::new(stream_write::Writer::new(reply))
    }

    fn write_error(&self, error: &ClientError) -> Bytes {
        errors::body(error).into()
    }

    fn stream_error(&self, error: &ClientError, _sequence: u64) -> Bytes {
        errors::event(error).into()
    }

    fn model_in<'a>(&self, json: &'a str) -> Option<&'a RawValue> {
        answer_read::model_in(json)
    }
}

#[cfg(test)]
mod recorded_tests;
#[cfg(test)]
mod property_tests;
