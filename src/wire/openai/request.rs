//! Owns the reading of a request: which fields of its top level matter, and the facts of them.
//! In reading order: this file, `usage_option` (what a stream's usage needs), `signed` (what binds a chat to who answered).
//! Must never look inside a value but for what routing depends on.

mod usage_option;
mod signed;

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::core::plan::RequestFacts;
use crate::wire::client_error::RequestError;
use crate::wire::client_request::messages::Messages;
use crate::wire::client_request::operation::Operation;
use crate::wire::client_request::top_level::{self, ROUTER_ONLY, TopLevel, is_filled, once};
use crate::wire::client_request::{ClientRequest, Expects, Spoken};
use signed::is_signed;
use usage_option::{BEHIND_MODEL, usage_option};

/// A part of a message with an image; a text that quotes it has a backslash before its last quote.
const IMAGE_PART: &[u8] = br#""image_url""#;
/// Parts with sound or a file.
const FILE_PARTS: [&[u8]; 2] = [br#""input_audio""#, br#""file""#];

/// Whether a field speaks to a router, not to a model: OpenRouter's older way to ask for usage does too.
pub(in crate::wire) fn is_for_router(key: &str) -> bool {
    key == "usage" || ROUTER_ONLY.contains(&key)
}

/// Reads the body of a request for `operation`.
///
/// # Errors
/// The body is not one JSON object, or a field that routing needs is missing, mistyped or repeated.
pub fn scan(operation: Operation, body: &Bytes) -> Result<ClientRequest, RequestError> {
    let mut fields = Fields {
        operation,
        ..Fields::default()
    };
    let top = TopLevel::read(body, &mut fields)?;
    fields.into_request(top)
}

/// The top-level fields that matter, borrowed from the body.
#[derive(Default)]
struct Fields<'a> {
    operation: Operation,
    stream_options: Option<&'a RawValue>,
    /// What the model is to work on, under the operation's name for it.
    input: Option<Messages<'a>>,
    tools: Option<&'a RawValue>,
    functions: Option<&'a RawValue>,
    response_format: Option<&'a RawValue>,
    max_tokens: Option<&'a RawValue>,
    max_completion_tokens: Option<&'a RawValue>,
    reasoning: Option<&'a RawValue>,
    reasoning_effort: Option<&'a RawValue>,
    n: Option<&'a RawValue>,
    prompt_cache_key: Option<&'a RawValue>,
    user: Option<&'a RawValue>,
}

// === impl Fields ===

impl<'a> top_level::Fields<'a> for Fields<'a> {
    fn is_for_router(&self, key: &str) -> bool {
        is_for_router(key)
    }

    fn streams(&self) -> bool {
        self.operation.may_stream()
    }

    fn messages_in(&self) -> Option<&'static str> {
        (self.operation == Operation::Chat).then(|| self.operation.input())
    }

    fn take_messages(&mut self, messages: Messages<'a>) -> Result<(), &'static str> {
        once(&mut self.input, messages, self.operation.input())
    }

    fn take(&mut self, key: &str, value: &'a RawValue) -> Result<(), &'static str> {
        let input = self.operation.input();
        match key {
            "stream_options" if self.operation.may_stream() => {
                return once(&mut self.stream_options, value, "stream_options");
            }
            key if key == input => {
                return once(&mut self.input, Messages::unread(value.get()), input);
            }
            "tools" => self.tools = Some(value),
            "functions" => self.functions = Some(value),
            "response_format" => self.response_format = Some(value),
            "max_tokens" => self.max_tokens = Some(value),
            "max_completion_tokens" => self.max_completion_tokens = Some(value),
            "reasoning" => self.reasoning = Some(value),
            "reasoning_effort" => self.reasoning_effort = Some(value),
            "n" => self.n = Some(value),
            "prompt_cache_key" => self.prompt_cache_key = Some(value),
            "user" => self.user = Some(value),
            _ => {}
        }
        Ok(())
    }
}

impl Fields<'_> {
    fn into_request(self, top: TopLevel<'_>) -> Result<ClientRequest, RequestError> {
        self.check_input()?;
        let option = usage_option(top.text, self.stream_options)?;
        let added = top.stream && self.stream_options.is_none();
        let changed = option.edit.filter(|_| top.stream);
        Ok(ClientRequest {
            facts: self.facts(&top),
            expects: Expects {
                operation: self.operation,
                choices: self.operation.choices(
                    self.n.and_then(number),
                    self.input.as_ref().map(|it| it.json),
                ),
                usage: option.asked,
                structured: self.response_format.is_some_and(asks_for_json),
            },
            model: top.model_at.clone(),
            behind_model: if added { BEHIND_MODEL } else { "" },
            spoken: self.spoken(&top),
            edits: top.edits(changed),
        })
    }

    fn spoken(&self, top: &TopLevel<'_>) -> Spoken {
        let chat = self.operation == Operation::Chat;
        let messages = self.input.as_ref().filter(|_| chat);
        Spoken {
            session_id: top.span(top.session_id),
            prompt_cache_key: top.span(self.prompt_cache_key),
            user: top.span(self.user),
            earlier_answer: None,
            instructions: None,
            message: messages.and_then(|messages| messages.text(top.text)),
            beginning: messages.map(|it| it.beginning.clone()).unwrap_or_default(),
        }
    }

    fn facts(&self, top: &TopLevel<'_>) -> RequestFacts {
        let limit = self.max_completion_tokens.and_then(number);
        let input = self.input.as_ref();
        let holds = |part: &[u8]| input.is_some_and(|input| input.hold(part));
        RequestFacts {
            model: top.model.clone(),
            // A provider that chats with a model may not have it for the rest, and the file does not say.
            unproven: self.operation != Operation::Chat,
            stream: top.stream,
            reasons: [self.reasoning, self.reasoning_effort]
                .into_iter()
                .flatten()
                .any(|asked| !matches!(asked.get(), "null" | r#""none""#)),
            tools: is_filled(self.tools) || is_filled(self.functions),
            images: holds(IMAGE_PART),
            files: FILE_PARTS.into_iter().any(holds),
            json_schema: self.response_format.is_some_and(asks_for_a_schema),
            signed: self.operation == Operation::Chat && input.is_some_and(is_signed),
            body_bytes: top.text.len() as u64,
            max_tokens: limit.or_else(|| self.max_tokens.and_then(number)),
            ..RequestFacts::default()
        }
    }

    fn check_input(&self) -> Result<(), RequestError> {
        let name = self.operation.input();
        match self.input {
            None if self.operation.needs_input() => Err(RequestError::about(
                name,
                format!("you must provide '{name}'"),
            )),
            Some(_) | None => Ok(()),
        }
    }
}

fn number<'a, T: serde::Deserialize<'a>>(value: &'a RawValue) -> Option<T> {
    serde_json::from_str(value.get()).ok()
}

/// The beginning of a `response_format`.
#[derive(serde::Deserialize)]
struct Format<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
}

/// Whether a `response_format` is one of the JSON kinds.
fn asks_for_json(format: &RawValue) -> bool {
    serde_json::from_str::<Format<'_>>(format.get()).is_ok_and(|format| format.kind != "text")
}

/// Whether a `response_format` gives a schema.
fn asks_for_a_schema(format: &RawValue) -> bool {
    let read = serde_json::from_str::<Format<'_>>(format.get());
    read.is_ok_and(|format| format.kind == "json_schema")
}

#[cfg(test)]
mod tests;
