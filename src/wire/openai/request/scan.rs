//! Owns the one pass over a request's top level: its fields as borrowed spans, then the facts.
//! Nested values are skipped without recursion, so depth costs nothing here; whoever translates a body
//! bounds it. Must never take a duplicate of a field that the routing depends on.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;
use memchr::memmem;
use serde::de::{DeserializeSeed, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::conversation::is_signed;
use super::{ClientRequest, Expects, Spoken};
use crate::core::plan::RequestFacts;
use crate::wire::client_error::RequestError;
use crate::wire::openai::operation::Operation;
use crate::wire::openai::shape::present;
use crate::wire::splice::{Edit, span_of};

/// Fields that speak to a router, not to a model: `contracts/openrouter.md` section 1.
const ROUTER_ONLY: [&str; 8] = [
    "models",
    "route",
    "provider",
    "preset",
    "transforms",
    "plugins",
    "session_id",
    "usage",
];

/// A part of a message with an image; a text that quotes it has a backslash before its last quote.
const IMAGE_PART: &[u8] = br#""image_url""#;
/// Parts with sound or a file.
const FILE_PARTS: [&[u8]; 2] = [br#""input_audio""#, br#""file""#];

/// Reads the body of a request for `operation`.
///
/// # Errors
/// The body is not one JSON object, or a field that routing needs is missing, mistyped or repeated.
pub fn scan(operation: Operation, body: &Bytes) -> Result<ClientRequest, RequestError> {
    let text = std::str::from_utf8(body).map_err(|_| invalid("the body is not valid UTF-8"))?;
    let mut json = serde_json::Deserializer::from_str(text);
    let mut fields = Fields {
        operation,
        ..Fields::default()
    };
    let read = FieldsOf {
        text,
        fields: &mut fields,
    }
    .deserialize(&mut json)
    .and_then(|()| json.end());
    if let Some(field) = fields.repeated {
        let message = format!("'{field}' stands more than once in the body");
        return Err(bad(message, Some(field)));
    }
    read.map_err(|error| invalid(&error.to_string()))?;
    fields.into_request(text)
}

fn invalid(why: &str) -> RequestError {
    RequestError {
        message: format!("could not parse the JSON body of the request: {why}"),
        param: None,
        code: Some("invalid_json"),
    }
}

fn bad(message: String, param: Option<&'static str>) -> RequestError {
    RequestError {
        message,
        param,
        code: None,
    }
}

/// The top-level fields that matter, borrowed from the body.
#[derive(Default)]
struct Fields<'a> {
    operation: Operation,
    model: Option<&'a RawValue>,
    stream: Option<&'a RawValue>,
    stream_options: Option<&'a RawValue>,
    /// What the model is to work on, under the operation's name for it.
    input: Option<&'a RawValue>,
    tools: Option<&'a RawValue>,
    functions: Option<&'a RawValue>,
    response_format: Option<&'a RawValue>,
    max_tokens: Option<&'a RawValue>,
    max_completion_tokens: Option<&'a RawValue>,
    reasoning: Option<&'a RawValue>,
    reasoning_effort: Option<&'a RawValue>,
    n: Option<&'a RawValue>,
    session_id: Option<&'a RawValue>,
    prompt_cache_key: Option<&'a RawValue>,
    user: Option<&'a RawValue>,
    /// Spans of router-only fields with the comma that goes with each.
    router_only: Vec<Range<usize>>,
    repeated: Option<&'static str>,
}

struct FieldsOf<'f, 'a> {
    text: &'a str,
    fields: &'f mut Fields<'a>,
}

// === impl FieldsOf ===

impl<'de> DeserializeSeed<'de> for FieldsOf<'_, 'de> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for FieldsOf<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let open = self.text.find('{').unwrap_or_default();
        let mut cut = Cut {
            text: self.text,
            from: open + 1,
            kept_one: false,
        };
        while let Some(Key(key)) = map.next_key()? {
            let value: &'de RawValue = map.next_value()?;
            let end = span_of(self.text, value.get()).end;
            if ROUTER_ONLY.contains(&&*key) {
                if key == "session_id" {
                    self.fields.session_id = Some(value);
                }
                self.fields.router_only.push(cut.remove(end));
                continue;
            }
            cut.keep(end);
            if let Some(field) = self.fields.misspelt(&key) {
                self.fields.repeated = Some(field);
                return Err(A::Error::custom("repeated field"));
            }
            if let Err(repeated) = self.fields.take(&key, value) {
                self.fields.repeated = Some(repeated);
                return Err(A::Error::custom("repeated field"));
            }
        }
        Ok(())
    }
}

/// A key; escaped ones are unescaped, so that `mod\u0065l` is the model.
#[derive(serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// Finds what to remove with a field so that the commas still fit: the comma before it, or, as long
/// as no field was kept, the one after it.
struct Cut<'a> {
    text: &'a str,
    /// Where the field before ended.
    from: usize,
    kept_one: bool,
}

// === impl Cut ===

impl Cut<'_> {
    fn keep(&mut self, end: usize) {
        self.from = end;
        self.kept_one = true;
    }

    fn remove(&mut self, end: usize) -> Range<usize> {
        let mut until = end;
        if !self.kept_one {
            let rest = self.text.as_bytes().get(end..).unwrap_or_default();
            let blanks = rest.iter().take_while(|byte| byte.is_ascii_whitespace());
            let comma = blanks.count();
            if rest.get(comma) == Some(&b',') {
                until = end + comma + 1;
            }
        }
        std::mem::replace(&mut self.from, until)..until
    }
}

// === impl Fields ===

impl<'a> Fields<'a> {
    /// Notes one field; `Err` names one that must not stand twice.
    fn take(&mut self, key: &str, value: &'a RawValue) -> Result<(), &'static str> {
        let once = |slot: &mut Option<&'a RawValue>, name| match slot.replace(value) {
            Some(_) => Err(name),
            None => Ok(()),
        };
        let input = self.operation.input();
        let streams = self.operation.may_stream();
        match key {
            "model" => return once(&mut self.model, "model"),
            "stream" if streams => return once(&mut self.stream, "stream"),
            "stream_options" if streams => return once(&mut self.stream_options, "stream_options"),
            key if key == input => return once(&mut self.input, input),
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

    /// A field that some upstreams, which match keys without regard to case, would take for one that routing and
    /// permission depend on.
    fn misspelt(&self, key: &str) -> Option<&'static str> {
        let stream = self.operation.may_stream().then_some("stream");
        let mut exact = ["model"].into_iter().chain(stream);
        exact.find(|field| key != *field && key.eq_ignore_ascii_case(field))
    }

    fn into_request(self, text: &str) -> Result<ClientRequest, RequestError> {
        let model = self.model_name()?;
        let stream = self.is_stream()?;
        self.check_input()?;
        let option = usage_option(text, self.stream_options)?;
        let mut edits: Vec<Edit> = self.router_only.iter().cloned().map(removal).collect();
        if stream {
            edits.extend(option.edit);
        }
        edits.sort_by_key(|edit| edit.at.start);
        Ok(ClientRequest {
            model: span_of(text, self.model.map_or("", RawValue::get)),
            add_usage_option: stream && self.stream_options.is_none(),
            expects: Expects {
                operation: self.operation,
                choices: self.operation.choices(self.n.and_then(number), self.input),
                usage: option.asked,
                structured: self.response_format.is_some_and(asks_for_json),
            },
            facts: self.facts(model, stream, text.len()),
            spoken: self.spoken(text),
            edits,
        })
    }

    fn spoken(&self, text: &str) -> Spoken {
        let span = |value: Option<&RawValue>| Some(span_of(text, value?.get()));
        let chat = self.operation == Operation::Chat;
        Spoken {
            session_id: span(self.session_id),
            prompt_cache_key: span(self.prompt_cache_key),
            user: span(self.user),
            messages: span(self.input.filter(|_| chat)),
        }
    }

    fn facts(&self, model: String, stream: bool, body_bytes: usize) -> RequestFacts {
        let limit = self.max_completion_tokens.and_then(number);
        let holds = |part: &[u8]| {
            self.input
                .is_some_and(|input| memmem::find(input.get().as_bytes(), part).is_some())
        };
        RequestFacts {
            model,
            // A provider that chats with a model may not have it for the rest, and the file does not say.
            unproven: self.operation != Operation::Chat,
            stream,
            reasons: [self.reasoning, self.reasoning_effort]
                .into_iter()
                .flatten()
                .any(|asked| !matches!(asked.get(), "null" | r#""none""#)),
            tools: [self.tools, self.functions]
                .into_iter()
                .any(|list| list.is_some_and(|list| !matches!(list.get(), "null" | "[]"))),
            images: holds(IMAGE_PART),
            files: FILE_PARTS.into_iter().any(holds),
            json_schema: self.response_format.is_some_and(asks_for_a_schema),
            signed: self.operation == Operation::Chat && self.input.is_some_and(is_signed),
            body_bytes: body_bytes as u64,
            max_tokens: limit.or_else(|| self.max_tokens.and_then(number)),
            ..RequestFacts::default()
        }
    }

    fn model_name(&self) -> Result<String, RequestError> {
        let Some(model) = self.model else {
            return Err(bad("you must provide a model".to_owned(), Some("model")));
        };
        match serde_json::from_str::<String>(model.get()) {
            Ok(name) if !name.is_empty() => Ok(name),
            _ => Err(bad(
                "'model' must be a string that is not empty".to_owned(),
                Some("model"),
            )),
        }
    }

    fn check_input(&self) -> Result<(), RequestError> {
        let name = self.operation.input();
        match self.input {
            None if self.operation.needs_input() => {
                Err(bad(format!("you must provide '{name}'"), Some(name)))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn is_stream(&self) -> Result<bool, RequestError> {
        match self.stream.map(RawValue::get) {
            None | Some("null" | "false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(bad(
                "'stream' must be true or false".to_owned(),
                Some("stream"),
            )),
        }
    }
}

fn removal(at: Range<usize>) -> Edit {
    Edit {
        at,
        with: Bytes::new(),
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

/// What `stream_options` says of usage, and the change that makes it say yes.
#[derive(Default)]
struct UsageOption {
    asked: bool,
    edit: Option<Edit>,
}

#[derive(serde::Deserialize)]
struct StreamOptions<'a> {
    /// `Some` for a null too: the key stands there.
    #[serde(borrow, default, deserialize_with = "present")]
    include_usage: Option<&'a RawValue>,
}

/// Anything of another type is left to the upstream to refuse.
fn usage_option(text: &str, options: Option<&RawValue>) -> Result<UsageOption, RequestError> {
    let Some(options) = options else {
        return Ok(UsageOption::default());
    };
    let at = span_of(text, options.get());
    if options.get() == "null" {
        return Ok(change(at, r#"{"include_usage":true}"#));
    }
    let Some(inner) = options.get().strip_prefix('{') else {
        return Ok(UsageOption::default());
    };
    let read: StreamOptions<'_> = serde_json::from_str(options.get()).map_err(|_| {
        let message = "'include_usage' stands more than once in 'stream_options'";
        bad(message.to_owned(), Some("stream_options"))
    })?;
    let inside = at.start + 1..at.start + 1;
    Ok(match read.include_usage {
        None if inner.trim_start() == "}" => change(inside, r#""include_usage":true"#),
        None => change(inside, r#""include_usage":true,"#),
        Some(value) => match value.get() {
            "true" => UsageOption {
                asked: true,
                edit: None,
            },
            "false" | "null" => change(span_of(text, value.get()), "true"),
            _ => UsageOption::default(),
        },
    })
}

fn change(at: Range<usize>, with: &'static str) -> UsageOption {
    UsageOption {
        asked: false,
        edit: Some(Edit {
            at,
            with: Bytes::from_static(with.as_bytes()),
        }),
    }
}
