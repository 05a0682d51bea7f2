//! Owns the shapes of a stream's events and their numbers. Must never skip a number.

use serde::Serialize;

use crate::wire::client_error::ClientError;
use crate::wire::responses::output::{
    Body, OutputItem, WrittenAnnotation, WrittenItem, WrittenPart,
};
use crate::wire::responses::response::Written;

/// Writes events with their numbers.
#[derive(Debug)]
pub(super) struct Numbered {
    pub(super) next: u64,
}

#[derive(Serialize)]
pub(super) struct Envelope<'a, T> {
    #[serde(rename = "type")]
    pub(super) kind: &'a str,
    pub(super) sequence_number: u64,
    #[serde(flatten)]
    pub(super) body: T,
}

#[derive(Serialize)]
pub(super) struct OfResponse<'a> {
    pub(super) response: Written<'a>,
}

#[derive(Serialize)]
pub(super) struct OfItem<'a> {
    pub(super) output_index: usize,
    pub(super) item: WrittenItem<'a>,
}

/// Where a part stands.
#[derive(Clone, Copy, Serialize)]
pub(super) struct Place<'a> {
    pub(super) item_id: &'a str,
    pub(super) output_index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) content_index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) summary_index: Option<usize>,
}

#[derive(Serialize)]
pub(super) struct OfPart<'a> {
    #[serde(flatten)]
    pub(super) place: Place<'a>,
    pub(super) part: WrittenPart<'a>,
}

/// Text, or a piece of it; the field that does not apply is left out.
#[derive(Default, Serialize)]
pub(super) struct Words<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) delta: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) refusal: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) arguments: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) input: Option<&'a str>,
    /// Required where there is text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) logprobs: Option<[(); 0]>,
}

#[derive(Serialize)]
pub(super) struct OfWords<'a> {
    #[serde(flatten)]
    pub(super) place: Place<'a>,
    #[serde(flatten)]
    pub(super) words: Words<'a>,
}

#[derive(Serialize)]
pub(super) struct OfAnnotation<'a> {
    #[serde(flatten)]
    pub(super) place: Place<'a>,
    pub(super) annotation_index: usize,
    pub(super) annotation: WrittenAnnotation<'a>,
}

/// The fields stand twice: at the top as documented, and in `error` as OpenAI sends them and its client looks for them.
#[derive(Serialize)]
pub(super) struct OfError<'a> {
    pub(super) code: &'a str,
    pub(super) message: &'a str,
    pub(super) param: Option<&'a str>,
    pub(super) error: InnerError<'a>,
}

#[derive(Serialize)]
pub(super) struct InnerError<'a> {
    #[serde(rename = "type")]
    pub(super) kind: &'a str,
    pub(super) code: &'a str,
    pub(super) message: &'a str,
    pub(super) param: Option<&'a str>,
}

/// The event that says that a stream broke, as the `sequence`-th.
pub(in crate::wire::responses) fn write_error(
    error: &ClientError,
    sequence: u64,
    out: &mut Vec<u8>,
) {
    // A client that is strict drops an event whose code is null, and with it the error.
    let code = error.code.as_deref().unwrap_or(error.error_type);
    let param = error.param.as_deref();
    let message = error.message.as_str();
    let body = OfError {
        code,
        message,
        param,
        error: InnerError {
            kind: &error.kind,
            code,
            message,
            param,
        },
    };
    Numbered { next: sequence }.write("error", body, out);
}

/// Where the last part of an item stands.
pub(super) fn place(item: &OutputItem, output_index: usize) -> Place<'_> {
    let last = |count: usize| Some(count.saturating_sub(1));
    let (content_index, summary_index) = match &item.body {
        Body::Message(said) => (last(said.len()), None),
        Body::Reasoning { summary, .. } => (None, last(summary.len())),
        Body::Call { .. } | Body::Image(_) => (None, None),
    };
    Place {
        item_id: &item.id,
        output_index,
        content_index,
        summary_index,
    }
}

// === impl Numbered ===

impl Numbered {
    pub(super) fn write(&mut self, kind: &str, body: impl Serialize, out: &mut Vec<u8>) {
        let event = Envelope {
            kind,
            sequence_number: self.next,
            body,
        };
        self.next += 1;
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(kind.as_bytes());
        out.extend_from_slice(b"\ndata: ");
        serde_json::to_writer(&mut *out, &event)
            .expect("structs of strings and numbers always serialise");
        out.extend_from_slice(b"\n\n");
    }
}
