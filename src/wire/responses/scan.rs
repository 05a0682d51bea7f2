//! Owns the reading of a request that is passed on as it is: what routing needs to know of it, and where the bytes
//! stand that change for an upstream. Must never change a byte that no rule names: the model, router-only fields, and
//! reasoning of other dialects.

use std::borrow::Cow;
use std::ops::ControlFlow;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::sealed::{MARK, UNPROVEN};
use crate::core::plan::RequestFacts;
use crate::wire::client_error::RequestError;
use crate::wire::client_request::messages::Messages;
use crate::wire::client_request::top_level::{self, TopLevel, is_filled, once};
use crate::wire::client_request::{ClientRequest, Expects, Spoken};
use crate::wire::json::{Word, each};
use crate::wire::openai::hub::fields::UNREADABLE;
use crate::wire::splice::{Cut, Edit, span_of};

/// Fields that name what one provider keeps: an earlier answer, or a list of them.
const KEPT: [&str; 2] = [PREVIOUS, "conversation"];
const PREVIOUS: &str = "previous_response_id";
/// An item of the input that stands for one of an earlier answer.
const REFERENCE: &str = "item_reference";

/// Parts of the input; a text that quotes one has a backslash before its last quote.
const IMAGE_PART: &[u8] = br#""input_image""#;
const FILE_PARTS: [&[u8]; 2] = [br#""input_file""#, br#""input_audio""#];
const REFERENCE_ITEM: &[u8] = br#""item_reference""#;
const ENCRYPTED: &[u8] = br#""encrypted_content""#;

/// Reads the body of a request.
///
/// # Errors
/// The body is not one JSON object, or a field that routing needs is missing, mistyped or repeated.
pub fn scan(body: &Bytes) -> Result<ClientRequest, RequestError> {
    let mut fields = Fields::default();
    let top = TopLevel::read(body, &mut fields)?;
    fields.into_request(top)
}

/// The top-level fields that matter, borrowed from the body.
#[derive(Default)]
struct Fields<'a> {
    input: Option<Messages<'a>>,
    instructions: Option<&'a RawValue>,
    tools: Option<&'a RawValue>,
    text: Option<&'a RawValue>,
    reasoning: Option<&'a RawValue>,
    max_output_tokens: Option<&'a RawValue>,
    prompt_cache_key: Option<&'a RawValue>,
    user: Option<&'a RawValue>,
    previous_response_id: Option<&'a RawValue>,
    /// The first that is there of [`KEPT`].
    kept: Option<&'static str>,
}

// === impl Fields ===

impl<'a> top_level::Fields<'a> for Fields<'a> {
    const UNREADABLE: &'static str = UNREADABLE;

    fn messages_in(&self) -> Option<&'static str> {
        Some("input")
    }

    fn take_messages(&mut self, messages: Messages<'a>) -> Result<(), &'static str> {
        once(&mut self.input, messages, "input")
    }

    fn take(&mut self, key: &str, value: &'a RawValue) -> Result<(), &'static str> {
        match key {
            "instructions" => self.instructions = Some(value),
            "tools" => self.tools = Some(value),
            "text" => self.text = Some(value),
            "reasoning" => self.reasoning = Some(value),
            "max_output_tokens" => self.max_output_tokens = Some(value),
            "prompt_cache_key" => self.prompt_cache_key = Some(value),
            "user" => self.user = Some(value),
            _ if value.get() != "null" => {
                let kept = KEPT.into_iter().find(|field| *field == key);
                self.kept = self.kept.or(kept);
                if key == PREVIOUS {
                    self.previous_response_id = Some(value);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl<'a> Fields<'a> {
    fn into_request(self, top: TopLevel<'a>) -> Result<ClientRequest, RequestError> {
        let Some(input) = &self.input else {
            return Err(RequestError::about("input", "you must provide 'input'"));
        };
        let format = self.text.and_then(format_of);
        let replayed = replayed(top.text, input);
        Ok(ClientRequest {
            facts: RequestFacts {
                json_schema: format.as_deref() == Some("json_schema"),
                signed: replayed.signed,
                ..self.facts(&top, input)
            },
            expects: Expects::one_answer(format.is_some_and(|kind| kind != "text")),
            model: top.model_at.clone(),
            behind_model: "",
            spoken: Spoken {
                session_id: top.span(top.session_id),
                prompt_cache_key: top.span(self.prompt_cache_key),
                user: top.span(self.user),
                earlier_answer: top.span(self.previous_response_id),
                instructions: top.span(self.instructions),
                message: input.text(top.text),
                beginning: input.beginning.clone(),
            },
            edits: top.edits(replayed.foreign),
        })
    }

    fn facts(&self, top: &TopLevel<'a>, input: &Messages<'a>) -> RequestFacts {
        let holds = |part: &[u8]| input.hold(part);
        let referred = holds(REFERENCE_ITEM).then_some(REFERENCE);
        RequestFacts {
            model: top.model.clone(),
            stream: top.stream,
            reasons: self.reasoning.is_some_and(asks_to_reason),
            tools: is_filled(self.tools),
            images: holds(IMAGE_PART),
            files: FILE_PARTS.into_iter().any(holds),
            leans_on: self.kept.or(referred),
            body_bytes: top.text.len() as u64,
            max_tokens: self
                .max_output_tokens
                .and_then(|most| most.get().parse().ok()),
            ..RequestFacts::default()
        }
    }
}

#[derive(Deserialize)]
struct Text<'a> {
    #[serde(borrow)]
    format: Option<Kind<'a>>,
}

#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
}

/// The type of the text's format; anything of another shape is left to the upstream to refuse.
fn format_of(text: &RawValue) -> Option<Cow<'_, str>> {
    let text: Text<'_> = serde_json::from_str(text.get()).ok()?;
    Some(text.format?.kind)
}

#[derive(Deserialize)]
struct Effort<'a> {
    #[serde(borrow)]
    effort: Option<Word<'a>>,
}

fn asks_to_reason(reasoning: &RawValue) -> bool {
    let read: Option<Effort<'_>> = serde_json::from_str(reasoning.get()).ok();
    let effort = read.and_then(|reasoning| reasoning.effort);
    reasoning.get() != "null" && effort.as_deref() != Some("none")
}

/// What the input brings back of earlier answers.
#[derive(Default)]
struct Replayed {
    /// Reasoning that is encrypted or signed.
    signed: bool,
    /// What takes items out that another dialect's provider made, which none of this dialect takes.
    foreign: Vec<Edit>,
}

#[derive(Deserialize)]
struct Reasoning<'a> {
    #[serde(borrow)]
    encrypted_content: Option<Word<'a>>,
}

fn replayed(text: &str, input: &Messages<'_>) -> Replayed {
    let mut replayed = Replayed::default();
    if !input.hold(ENCRYPTED) {
        return replayed;
    }
    let start = span_of(text, input.json).start;
    let mut cut = Cut::behind(text, start);
    let read = each(input.json, |item: &RawValue| {
        let end = span_of(text, item.get()).end;
        let read: Option<Reasoning<'_>> = serde_json::from_str(item.get()).ok();
        let content = read.and_then(|reasoning| reasoning.encrypted_content);
        let content = content.as_deref().unwrap_or_default();
        replayed.signed |= !content.is_empty() && content != UNPROVEN;
        match content.starts_with(MARK) {
            true => replayed.foreign.push(Edit::removal(cut.remove(end))),
            false => cut.keep(end),
        }
        ControlFlow::Continue(())
    });
    // What is no list is not ours to judge: the upstream will.
    read.ok();
    replayed
}

#[cfg(test)]
mod tests;
