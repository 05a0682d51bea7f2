//! Owns the reading of a body that goes to an upstream of the same dialect as it is: what routing needs to know of it, and
//! the few places where bytes change. In reading order: this file (the top level), `said` (what the messages hold),
//! `foreign` (blocks of ours in another provider's name).
//! Must never change a byte that no rule names: the model, router-only fields, and blocks of ours that no provider takes back.

mod said;
mod foreign;

use std::borrow::Cow;

use bytes::Bytes;
use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::core::plan::RequestFacts;
use crate::wire::client_error::RequestError;
use crate::wire::client_request::messages::Messages;
use crate::wire::client_request::top_level::{self, TopLevel, is_filled, once};
use crate::wire::client_request::{ClientRequest, Expects, Spoken};
use crate::wire::splice::Edit;
use foreign::Foreign;
use said::Said;

/// What stands in the place of thinking that cannot go on.
const NO_THINKING: &[u8] = br#"{"type":"disabled"}"#;

/// How a `metadata.user_id` names a session: Claude Code's ends in `_session_` and its id, and is since 2.1.78 JSON with a
/// `session_id` (2026-03).
const SESSIONS: [&[u8]; 2] = [b"_session_", b"session_id"];

/// What a body asks for, for [`scan`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Purpose {
    #[default]
    Answer,
    /// Only the number of its tokens.
    Count,
}

/// Reads a body.
///
/// # Errors
/// It is not one JSON object, or a field that routing needs is missing, mistyped or repeated.
pub fn scan(purpose: Purpose, body: &Bytes) -> Result<ClientRequest, RequestError> {
    let mut fields = Fields {
        purpose,
        ..Fields::default()
    };
    let top = TopLevel::read(body, &mut fields)?;
    fields.into_request(top)
}

/// The top-level fields that matter, borrowed from the body.
#[derive(Default)]
struct Fields<'a> {
    purpose: Purpose,
    system: Option<&'a RawValue>,
    messages: Option<Messages<'a>>,
    tools: Option<&'a RawValue>,
    thinking: Option<&'a RawValue>,
    output_config: Option<&'a RawValue>,
    output_format: Option<&'a RawValue>,
    max_tokens: Option<&'a RawValue>,
    metadata: Option<&'a RawValue>,
}

// === impl Fields ===

impl<'a> top_level::Fields<'a> for Fields<'a> {
    fn streams(&self) -> bool {
        self.purpose == Purpose::Answer
    }

    fn messages_in(&self) -> Option<&'static str> {
        Some("messages")
    }

    fn take_messages(&mut self, messages: Messages<'a>) -> Result<(), &'static str> {
        once(&mut self.messages, messages, "messages")
    }

    fn take(&mut self, key: &str, value: &'a RawValue) -> Result<(), &'static str> {
        match key {
            "thinking" => return once(&mut self.thinking, value, "thinking"),
            "system" => self.system = Some(value),
            "tools" => self.tools = Some(value),
            "output_config" => self.output_config = Some(value),
            "output_format" => self.output_format = Some(value),
            "max_tokens" => self.max_tokens = Some(value),
            "metadata" => self.metadata = Some(value),
            _ => {}
        }
        Ok(())
    }
}

impl<'a> Fields<'a> {
    fn into_request(self, top: TopLevel<'a>) -> Result<ClientRequest, RequestError> {
        let Some(messages) = &self.messages else {
            return Err(RequestError::about(
                "messages",
                "you must provide 'messages'",
            ));
        };
        let foreign = Foreign::of(top.text, messages);
        let stops = foreign.lost_its_thought && self.thinking_kind() == Some("enabled".into());
        let thinking = top.span(self.thinking).filter(|_| stops);
        let stopped = thinking.map(|at| Edit {
            at,
            with: Bytes::from_static(NO_THINKING),
        });
        let json_schema = self.asks_for_a_schema();
        Ok(ClientRequest {
            facts: RequestFacts {
                json_schema,
                ..self.facts(&top, Said::of(messages))
            },
            expects: Expects::one_answer(json_schema),
            model: top.model_at.clone(),
            behind_model: "",
            spoken: self.spoken(&top, messages),
            edits: top.edits(foreign.edits.into_iter().chain(stopped)),
        })
    }

    fn spoken(&self, top: &TopLevel<'a>, messages: &Messages<'a>) -> Spoken {
        let user = self.user();
        let session = user.filter(|user| names_a_session(user));
        Spoken {
            session_id: top.span(top.session_id.or(session)),
            prompt_cache_key: None,
            user: top.span(user),
            earlier_answer: None,
            instructions: top.span(self.system),
            // It is always a list.
            message: None,
            beginning: messages.beginning.clone(),
        }
    }

    fn facts(&self, top: &TopLevel<'a>, said: Said) -> RequestFacts {
        let kind = self.thinking_kind();
        RequestFacts {
            model: top.model.clone(),
            // Who serves a model need not count its tokens.
            unproven: self.purpose == Purpose::Count,
            stream: top.stream,
            reasons: kind.is_some_and(|kind| kind != "disabled"),
            tools: is_filled(self.tools),
            images: said.images,
            files: said.files,
            signed: said.signed,
            body_bytes: top.text.len() as u64,
            max_tokens: self
                .max_tokens
                .and_then(|json| serde_json::from_str(json.get()).ok()),
            ..RequestFacts::default()
        }
    }

    fn thinking_kind(&self) -> Option<Cow<'a, str>> {
        let kind: Kind<'a> = serde_json::from_str(self.thinking?.get()).ok()?;
        Some(kind.kind)
    }

    fn asks_for_a_schema(&self) -> bool {
        let config = self.output_config.map(RawValue::get);
        let config = config.and_then(|json| serde_json::from_str::<Config<'_>>(json).ok());
        let format = config
            .and_then(|config| config.format)
            .or(self.output_format);
        format.is_some_and(|format| format.get() != "null")
    }

    fn user(&self) -> Option<&'a RawValue> {
        let metadata: Metadata<'a> = serde_json::from_str(self.metadata?.get()).ok()?;
        metadata.user_id
    }
}

/// Whether a `user_id` tells a session, and not only who speaks: one user has many conversations.
fn names_a_session(user: &RawValue) -> bool {
    let user = user.get().as_bytes();
    SESSIONS
        .into_iter()
        .any(|mark| memmem::find(user, mark).is_some())
}

#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Config<'a> {
    #[serde(borrow)]
    format: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Metadata<'a> {
    #[serde(borrow)]
    user_id: Option<&'a RawValue>,
}

#[cfg(test)]
mod tests;
