//! OpenAI Responses, stateless: <https://platform.openai.com/docs/api-reference/responses>. In reading order: `scan` (what
//! routing needs of a body that is passed on), `item` (items as they are read), `sealed` (what a reasoning item carries of
//! other makers), `custom` (tools that take a text), `request_read`, `request_write`, `losses` (what cannot be written), `answer_read`, `stream_read`, `output` (items as they are
//! written), `response` (the object around them), `answer_write`, `stream_write`.
//!
//! Must never keep a conversation: what leans on an earlier answer is refused. The writer of a stream holds the
//! answer's text once, because the dialect's last events repeat it.

pub mod scan;
mod item;
mod sealed;
mod custom;
mod request_read;
mod request_write;
mod losses;
mod answer_read;
mod stream_read;
mod output;
mod response;
mod answer_write;
mod stream_write;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::wire::client_error::{ClientError, RequestError, Skin};
use crate::wire::dialect::{
    Downstream, ReadEvents, Reply, Target, Unsupported, Upstream, Whole, WriteEvents,
};
use crate::wire::hub::{Answer, Request};
use crate::wire::openai::write;

/// The Responses API.
#[derive(Clone, Copy, Debug)]
pub struct Responses;

// === impl Responses ===

impl Upstream for Responses {
    fn path(&self, _target: &Target<'_>) -> String {
        "/responses".to_owned()
    }

    fn losses(&self, request: &Request) -> Result<Vec<&'static str>, Unsupported> {
        losses::losses(request)
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

impl Downstream for Responses {
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
        write::body(error, Skin::OpenAi)
    }

    fn stream_error(&self, error: &ClientError, sequence: u64) -> Bytes {
        let mut out = Vec::new();
        stream_write::write_error(error, sequence, &mut out);
        out.into()
    }

    fn model_in<'a>(&self, json: &'a str) -> Option<&'a RawValue> {
        let named: Named<'_> = serde_json::from_str(json).ok()?;
        let inner = named.response.and_then(|response| response.model);
        named.model.or(inner)
    }
}

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    #[serde(borrow)]
    response: Option<NamedResponse<'a>>,
}

#[derive(Deserialize)]
struct NamedResponse<'a> {
    #[serde(borrow)]
    model: Option<&'a RawValue>,
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod recorded_tests;
