//! Owns the one pass over a body that goes to an upstream of the same dialect as it is: what routing needs to know of it, and
//! the few places where bytes change. In reading order: this file (the top level), `said` (what the messages hold),
//! `foreign` (blocks of ours in another provider's name), `conversation` (which one it goes on with).
//! Must never take a duplicate of a field that routing depends on, or change a byte that no rule names: the model, router-only
//! fields, and blocks of ours that no provider takes back.

mod said;
mod foreign;
mod conversation;

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::core::plan::RequestFacts;
use crate::wire::client_error::RequestError;
use crate::wire::rope::Rope;
use crate::wire::splice::{Edit, span_of, splice};
use foreign::Foreign;
use said::Said;

/// Fields that speak to a router, not to a model.
pub(super) const ROUTER_ONLY: [&str; 7] = [
    "models",
    "route",
    "provider",
    "preset",
    "transforms",
    "plugins",
    "session_id",
];
/// What stands in the place of thinking that cannot go on.
const NO_THINKING: &[u8] = br#"{"type":"disabled"}"#;

/// A request that was read for an upstream of its own dialect. It goes with the body that it was read from.
#[derive(Clone, Debug)]
pub struct Passed {
    pub facts: RequestFacts,
    /// Where the model's name stands, with its quotes.
    pub model: Range<usize>,
    /// Where what speaks to the router stands, with a comma each, in order.
    pub router_only: Vec<Range<usize>>,
    /// The value of `session_id`, of any type.
    pub(in crate::wire) session_id: Option<Range<usize>>,
    /// The value of `metadata.user_id`, of any type.
    pub(in crate::wire) user: Option<Range<usize>>,
    system: Option<Range<usize>>,
    pub(in crate::wire) messages: Option<Range<usize>>,
    /// All that changes but the model, in order.
    pub(in crate::wire) edits: Vec<Edit>,
}

/// What a body asks for, for [`scan`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Answer,
    /// Only the number of its tokens.
    Count,
}

// === impl Passed ===

impl Passed {
    /// The body for an upstream that calls the model `upstream_model`. `body` is the one that was scanned.
    pub fn rewrite(&self, body: &Bytes, upstream_model: &str) -> Rope {
        let name = serde_json::to_string(upstream_model).expect("a string always serialises");
        let model = Edit {
            at: self.model.clone(),
            with: name.into(),
        };
        let after = self
            .edits
            .partition_point(|edit| edit.at.start < model.at.start);
        let (before, behind) = self.edits.split_at(after);
        splice(body, before.iter().chain([&model]).chain(behind))
    }
}

/// Reads a body.
///
/// # Errors
/// It is not one JSON object, or a field that routing needs is missing, mistyped or repeated.
pub fn scan(purpose: Purpose, body: &Bytes) -> Result<Passed, RequestError> {
    let text = std::str::from_utf8(body).map_err(|_| invalid("the body is not valid UTF-8"))?;
    let mut json = serde_json::Deserializer::from_str(text);
    let mut fields = Fields::default();
    let top = Top {
        text,
        fields: &mut fields,
    };
    let read = top.deserialize(&mut json).and_then(|()| json.end());
    if let Some(field) = fields.repeated {
        let message = format!("'{field}' stands more than once in the body");
        return Err(bad(message, field));
    }
    read.map_err(|error| invalid(&error.to_string()))?;
    fields.into_request(purpose, text)
}

fn invalid(why: &str) -> RequestError {
    RequestError {
        message: format!("could not parse the JSON body of the request: {why}"),
        param: None,
        code: Some("invalid_json"),
    }
}

fn bad(message: String, param: &'static str) -> RequestError {
    RequestError {
        message,
        param: Some(param),
        code: None,
    }
}

/// The top-level fields that matter, borrowed from the body.
#[derive(Default)]
struct Fields<'a> {
    model: Option<&'a RawValue>,
    stream: Option<&'a RawValue>,
    system: Option<&'a RawValue>,
    messages: Option<&'a RawValue>,
    tools: Option<&'a RawValue>,
    thinking: Option<&'a RawValue>,
    output_config: Option<&'a RawValue>,
    output_format: Option<&'a RawValue>,
    max_tokens: Option<&'a RawValue>,
    metadata: Option<&'a RawValue>,
    session_id: Option<&'a RawValue>,
    router_only: Vec<Range<usize>>,
    repeated: Option<&'static str>,
}

struct Top<'f, 'a> {
    text: &'a str,
    fields: &'f mut Fields<'a>,
}

/// A key, unescaped.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

// === impl Top ===

impl<'de> DeserializeSeed<'de> for Top<'_, 'de> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Top<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let open = self.text.find('{').unwrap_or_default();
        let mut removal = Removal::new(self.text, open + 1);
        while let Some(Key(key)) = map.next_key()? {
            let value: &'de RawValue = map.next_value()?;
            let end = span_of(self.text, value.get()).end;
            if ROUTER_ONLY.contains(&&*key) {
                if key == "session_id" {
                    self.fields.session_id = Some(value);
                }
                self.fields.router_only.push(removal.remove(end));
                continue;
            }
            removal.keep(end);
            if let Err(repeated) = self.fields.take(&key, value) {
                self.fields.repeated = Some(repeated);
                return Err(A::Error::custom("repeated field"));
            }
        }
        Ok(())
    }
}

/// Finds what goes with an element of a list or an object when it is removed, so that the commas still fit: the one before
/// it, or, as long as none was kept, the one behind.
struct Removal<'a> {
    text: &'a str,
    /// Where the element before ended.
    from: usize,
    kept: bool,
}

// === impl Removal ===

impl<'a> Removal<'a> {
    /// `from` is right behind the bracket that opens the list or the object.
    fn new(text: &'a str, from: usize) -> Self {
        Self {
            text,
            from,
            kept: false,
        }
    }

    fn keep(&mut self, end: usize) {
        self.from = end;
        self.kept = true;
    }

    fn remove(&mut self, end: usize) -> Range<usize> {
        let mut until = end;
        if !self.kept {
            let rest = self.text.as_bytes().get(end..).unwrap_or_default();
            let blanks = rest
                .iter()
                .take_while(|byte| byte.is_ascii_whitespace())
                .count();
            if rest.get(blanks) == Some(&b',') {
                until = end + blanks + 1;
            }
        }
        std::mem::replace(&mut self.from, until)..until
    }
}

// === impl Fields ===

impl<'a> Fields<'a> {
    /// Notes one field; `Err` names one that must not stand twice, or in other letters: there are upstreams that match keys
    /// without regard to case.
    fn take(&mut self, key: &str, value: &'a RawValue) -> Result<(), &'static str> {
        let once = |slot: &mut Option<&'a RawValue>, name| match slot.replace(value) {
            Some(_) => Err(name),
            None => Ok(()),
        };
        let exact = ["model", "stream"].into_iter();
        if let Some(name) = exact
            .into_iter()
            .find(|it| key != *it && key.eq_ignore_ascii_case(it))
        {
            return Err(name);
        }
        match key {
            "model" => return once(&mut self.model, "model"),
            "stream" => return once(&mut self.stream, "stream"),
            "messages" => return once(&mut self.messages, "messages"),
            "thinking" => return once(&mut self.thinking, "thinking"),
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

    fn into_request(self, purpose: Purpose, text: &str) -> Result<Passed, RequestError> {
        let name = self.model_name()?;
        let stream = purpose == Purpose::Answer && self.is_stream()?;
        if self.messages.is_none() {
            return Err(bad("you must provide 'messages'".to_owned(), "messages"));
        }
        let said = self.messages.map(Said::of).unwrap_or_default();
        let foreign = self.messages.map(|messages| Foreign::of(text, messages));
        let foreign = foreign.unwrap_or_default();
        let span = |value: Option<&RawValue>| Some(span_of(text, value?.get()));
        let mut edits: Vec<Edit> = self.router_only.iter().cloned().map(removed).collect();
        edits.extend(foreign.edits);
        if foreign.lost_its_thought && self.thinking_kind() == Some("enabled".into()) {
            edits.extend(span(self.thinking).map(|at| Edit {
                at,
                with: Bytes::from_static(NO_THINKING),
            }));
        }
        edits.sort_by_key(|edit| edit.at.start);
        Ok(Passed {
            facts: self.facts(purpose, name, stream, said, text.len()),
            model: span(self.model).unwrap_or_default(),
            session_id: span(self.session_id),
            user: span(self.user()),
            system: span(self.system),
            messages: span(self.messages),
            router_only: self.router_only,
            edits,
        })
    }

    fn facts(
        &self,
        purpose: Purpose,
        model: String,
        stream: bool,
        said: Said,
        body_bytes: usize,
    ) -> RequestFacts {
        let kind = self.thinking_kind();
        RequestFacts {
            model,
            // Who serves a model need not count its tokens.
            unproven: purpose == Purpose::Count,
            stream,
            reasons: kind.is_some_and(|kind| kind != "disabled"),
            tools: self
                .tools
                .is_some_and(|list| !matches!(list.get(), "null" | "[]")),
            images: said.images,
            files: said.files,
            json_schema: self.asks_for_a_schema(),
            signed: said.signed,
            body_bytes: body_bytes as u64,
            max_tokens: self
                .max_tokens
                .and_then(|json| serde_json::from_str(json.get()).ok()),
            ..RequestFacts::default()
        }
    }

    fn model_name(&self) -> Result<String, RequestError> {
        let Some(model) = self.model else {
            return Err(bad("you must provide a model".to_owned(), "model"));
        };
        match serde_json::from_str::<String>(model.get()) {
            Ok(name) if !name.is_empty() => Ok(name),
            _ => Err(bad(
                "'model' must be a string that is not empty".to_owned(),
                "model",
            )),
        }
    }

    fn is_stream(&self) -> Result<bool, RequestError> {
        match self.stream.map(RawValue::get) {
            None | Some("null" | "false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(bad("'stream' must be true or false".to_owned(), "stream")),
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

fn removed(at: Range<usize>) -> Edit {
    Edit {
        at,
        with: Bytes::new(),
    }
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
