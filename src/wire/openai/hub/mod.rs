//! OpenAI Chat to and from the hub, as OpenRouter extends it:
//! <https://platform.openai.com/docs/api-reference/chat> and <https://openrouter.ai/docs/api-reference/overview>.
//! In reading order: `said` (messages and deltas as they are read), `fields` (a request's top level), `detail` (pieces of reasoning), `request_read`,
//! `request_write`, `losses` (what cannot be written), `written` (what answers and chunks share), `answer_read`, `answer_write`, `stream_read`,
//! `stream_write`.
//!
//! Only bodies whose other side speaks another dialect come here: chat to chat is spliced, next door.
//! Must never keep a stream: a reader remembers which calls are open, a writer the kind of the last part.

mod said;
pub(in crate::wire) mod fields;
mod detail;
mod request_read;
mod request_write;
pub(in crate::wire) mod losses;
pub(in crate::wire) mod written;
mod answer_read;
mod answer_write;
mod stream_read;
mod stream_write;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::wire::client_error::{ClientError, RequestError, Skin};
use crate::wire::client_request::operation::Operation;
use crate::wire::dialect::{
    Downstream, ReadEvents, Reply, Target, Unsupported, Upstream, Whole, WriteEvents,
};
use crate::wire::hub::{Answer, Request};
use crate::wire::openai::stream::StreamHead;
use crate::wire::openai::write;

pub(in crate::wire) use detail::known_format;
pub(in crate::wire) use request_read::hides_thoughts;
pub(in crate::wire) use request_write::reasoning_effort;

/// Chat Completions, spoken with providers and with OpenAI's clients.
#[derive(Clone, Copy, Debug)]
pub struct Chat;

// === impl Chat ===

impl Upstream for Chat {
    fn path(&self, _target: &Target<'_>) -> String {
        Operation::Chat.path().to_owned()
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

impl Downstream for Chat {
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

    fn stream_error(&self, error: &ClientError, _sequence: u64) -> Bytes {
        write::stream_error(error, Skin::OpenAi, Operation::Chat, &StreamHead::default())
    }

    fn model_in<'a>(&self, json: &'a str) -> Option<&'a RawValue> {
        model_in(json)
    }
}

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    model: Option<&'a RawValue>,
}

fn model_in(json: &str) -> Option<&RawValue> {
    serde_json::from_str::<Named<'_>>(json).ok()?.model
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod recorded_tests;
