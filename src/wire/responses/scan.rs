//! Owns the one pass over a request that is passed on as it is: what routing needs to know of it, and where the bytes
//! stand that change for an upstream. Must never take a duplicate of a field that routing depends on.

use std::borrow::Cow;
use std::hash::Hasher;
use std::ops::Range;

use bytes::Bytes;
use memchr::memmem;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::sealed::{MARK, UNPROVEN};
use crate::core::plan::RequestFacts;
use crate::wire::client_error::RequestError;
use crate::wire::openai::hub::fields::{Word, as_text, bad, invalid};
use crate::wire::splice::{Cut, span_of};

/// Fields that speak to a router, not to a model: `contracts/openrouter.md` section 1.
const ROUTER_ONLY: [&str; 7] = [
    "models",
    "route",
    "provider",
    "preset",
    "transforms",
    "plugins",
    "session_id",
];

/// Fields that lean on what one provider keeps.
const STATEFUL: [&str; 3] = ["previous_response_id", "conversation", "background"];

/// Parts of the input; a text that quotes one has a backslash before its last quote.
const IMAGE_PART: &[u8] = br#""input_image""#;
const FILE_PARTS: [&[u8]; 2] = [br#""input_file""#, br#""input_audio""#];
const ENCRYPTED: &[u8] = br#""encrypted_content""#;

/// A request that was read. It goes with the body that it was read from.
#[derive(Clone, Debug, Default)]
pub struct Scanned {
    pub facts: RequestFacts,
    /// The answer is to follow a schema, or to be JSON.
    pub structured: bool,
    /// The field by which it leans on what a provider keeps: only that provider can answer it.
    pub stateful: Option<&'static str>,
    /// The value of `model`.
    pub model: Range<usize>,
    /// What no upstream gets, with the comma that goes with each, in order: router-only fields, and reasoning items
    /// that carry what another dialect's provider made, which none of this dialect takes.
    pub cuts: Vec<Range<usize>>,
    pub session_id: Option<Range<usize>>,
    pub prompt_cache_key: Option<Range<usize>>,
    pub user: Option<Range<usize>>,
    instructions: Option<Range<usize>>,
    input: Option<Range<usize>>,
}

/// Reads the body of a request.
///
/// # Errors
/// The body is not one JSON object, or a field that routing needs is missing, mistyped or repeated.
pub fn facts(body: &Bytes) -> Result<Scanned, RequestError> {
    let text = as_text(body)?;
    let mut json = serde_json::Deserializer::from_str(text);
    let mut fields = Fields::default();
    let read = FieldsOf {
        text,
        fields: &mut fields,
    }
    .deserialize(&mut json)
    .and_then(|()| json.end());
    if let Some(field) = fields.repeated {
        let message = format!("'{field}' stands more than once in the body");
        return Err(bad(message, field));
    }
    read.map_err(|error| invalid(&error.to_string()))?;
    fields.into_scanned(text)
}

/// The top-level fields that matter, borrowed from the body.
#[derive(Default)]
struct Fields<'a> {
    model: Option<&'a RawValue>,
    stream: Option<&'a RawValue>,
    input: Option<&'a RawValue>,
    instructions: Option<&'a RawValue>,
    tools: Option<&'a RawValue>,
    text: Option<&'a RawValue>,
    reasoning: Option<&'a RawValue>,
    max_output_tokens: Option<&'a RawValue>,
    session_id: Option<&'a RawValue>,
    prompt_cache_key: Option<&'a RawValue>,
    user: Option<&'a RawValue>,
    stateful: Option<&'static str>,
    cuts: Vec<Range<usize>>,
    repeated: Option<&'static str>,
}

struct FieldsOf<'f, 'a> {
    text: &'a str,
    fields: &'f mut Fields<'a>,
}

// === impl FieldsOf ===

impl<'de> DeserializeSeed<'de> for FieldsOf<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
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
        let mut cut = Cut::behind(self.text, open);
        while let Some(key) = map.next_key::<Word<'de>>()? {
            let value: &'de RawValue = map.next_value()?;
            let end = span_of(self.text, value.get()).end;
            if ROUTER_ONLY.contains(&&*key) {
                if &*key == "session_id" {
                    self.fields.session_id = Some(value);
                }
                self.fields.cuts.push(cut.remove(end));
                continue;
            }
            cut.keep(end);
            if let Err(repeated) = self.fields.take(&key, value) {
                self.fields.repeated = Some(repeated);
                return Err(A::Error::custom("repeated field"));
            }
        }
        Ok(())
    }
}

// === impl Fields ===

impl<'a> Fields<'a> {
    /// Notes one field; `Err` names one that must not stand twice, or that an upstream which matches keys without
    /// regard to case would take for such a one.
    fn take(&mut self, key: &str, value: &'a RawValue) -> Result<(), &'static str> {
        let once = |slot: &mut Option<&'a RawValue>, name| match slot.replace(value) {
            Some(_) => Err(name),
            None => Ok(()),
        };
        match key {
            "model" => return once(&mut self.model, "model"),
            "stream" => return once(&mut self.stream, "stream"),
            "input" => return once(&mut self.input, "input"),
            "instructions" => self.instructions = Some(value),
            "tools" => self.tools = Some(value),
            "text" => self.text = Some(value),
            "reasoning" => self.reasoning = Some(value),
            "max_output_tokens" => self.max_output_tokens = Some(value),
            "prompt_cache_key" => self.prompt_cache_key = Some(value),
            "user" => self.user = Some(value),
            _ => {}
        }
        let stateful = STATEFUL.into_iter().find(|field| *field == key);
        if !matches!(value.get(), "null" | "false") {
            self.stateful = self.stateful.or(stateful);
        }
        let misspelt = |field: &&str| key != *field && key.eq_ignore_ascii_case(field);
        match ["model", "stream"].into_iter().find(misspelt) {
            Some(field) => Err(field),
            None => Ok(()),
        }
    }

    fn into_scanned(mut self, text: &str) -> Result<Scanned, RequestError> {
        let span = |value: Option<&RawValue>| Some(span_of(text, value?.get()));
        let model = self.model_name()?;
        let stream = self.is_stream()?;
        let input = self
            .input
            .ok_or_else(|| bad("you must provide 'input'".to_owned(), "input"))?;
        let format = self.text.and_then(format_of);
        let replayed = replayed(text, input);
        self.cuts.extend(replayed.foreign);
        self.cuts.sort_by_key(|cut| cut.start);
        Ok(Scanned {
            structured: format.as_deref().is_some_and(|kind| kind != "text"),
            facts: RequestFacts {
                json_schema: format.as_deref() == Some("json_schema"),
                signed: replayed.signed,
                ..self.facts(model, stream, text.len())
            },
            stateful: self.stateful,
            model: span(self.model).unwrap_or_default(),
            session_id: span(self.session_id),
            prompt_cache_key: span(self.prompt_cache_key),
            user: span(self.user),
            instructions: span(self.instructions),
            input: span(self.input),
            cuts: self.cuts,
        })
    }

    fn facts(&self, model: String, stream: bool, body_bytes: usize) -> RequestFacts {
        let input = self.input.map_or("", RawValue::get).as_bytes();
        let holds = |part: &[u8]| memmem::find(input, part).is_some();
        let empty = |list: &RawValue| matches!(list.get(), "null" | "[]");
        RequestFacts {
            model,
            stream,
            reasons: self.reasoning.is_some_and(asks_to_reason),
            tools: self.tools.is_some_and(|list| !empty(list)),
            images: holds(IMAGE_PART),
            files: FILE_PARTS.into_iter().any(holds),
            body_bytes: body_bytes as u64,
            max_tokens: self
                .max_output_tokens
                .and_then(|most| most.get().parse().ok()),
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
    /// Spans of items that another dialect's provider made, with their commas.
    foreign: Vec<Range<usize>>,
}

#[derive(Deserialize)]
struct Reasoning<'a> {
    #[serde(borrow)]
    encrypted_content: Option<Word<'a>>,
}

fn replayed(text: &str, input: &RawValue) -> Replayed {
    let mut replayed = Replayed::default();
    if memmem::find(input.get().as_bytes(), ENCRYPTED).is_none() {
        return replayed;
    }
    let start = span_of(text, input.get()).start;
    let mut cut = Cut::behind(text, start);
    let each = Each(|item: &RawValue| {
        let end = span_of(text, item.get()).end;
        let read: Option<Reasoning<'_>> = serde_json::from_str(item.get()).ok();
        let content = read.and_then(|reasoning| reasoning.encrypted_content);
        let content = content.as_deref().unwrap_or_default();
        replayed.signed |= !content.is_empty() && content != UNPROVEN;
        match content.starts_with(MARK) {
            true => replayed.foreign.push(cut.remove(end)),
            false => cut.keep(end),
        }
        true
    });
    let mut json = serde_json::Deserializer::from_str(input.get());
    // What is no list is not ours to judge: the upstream will.
    json.deserialize_seq(each).ok();
    replayed
}

/// Hands each element of a list on, one at a time, as long as it is wanted.
struct Each<F>(F);

// === impl Each ===

impl<'de, F: FnMut(&'de RawValue) -> bool> Visitor<'de> for Each<F> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        while let Some(element) = list.next_element()? {
            if !(self.0)(element) {
                return Err(A::Error::custom("enough was read"));
            }
        }
        Ok(())
    }
}

// === impl Scanned ===

#[derive(Deserialize)]
struct Spoken<'a> {
    #[serde(borrow)]
    role: Option<Word<'a>>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
}

impl Scanned {
    /// Hands the beginning of the conversation to `hasher`: its instructions and its first message that is none.
    /// Returns whether there is one. `body` is the one that was scanned.
    pub fn hash_beginning(&self, body: &[u8], hasher: &mut impl Hasher) -> bool {
        let part = |span: Option<&Range<usize>>| body.get(span?.clone());
        if let Some(instructions) = part(self.instructions.as_ref()) {
            write(hasher, instructions);
        }
        let Some(input) = part(self.input.as_ref()) else {
            return false;
        };
        if input.starts_with(b"\"") {
            write(hasher, input);
            return true;
        }
        let mut found = false;
        let each = Each(|item: &RawValue| {
            let Ok(spoken) = serde_json::from_str::<Spoken<'_>>(item.get()) else {
                return true;
            };
            let content = spoken.content.map_or("", RawValue::get);
            match spoken.role.as_deref() {
                None | Some("system" | "developer") => {}
                Some(_) => {
                    write(hasher, content.as_bytes());
                    found = true;
                }
            }
            !found
        });
        let mut json = serde_json::Deserializer::from_slice(input);
        // An error is also how reading ends once enough was read.
        json.deserialize_seq(each).ok();
        found
    }
}

/// With its length, so that two texts cannot be cut elsewhere and be the same.
fn write(hasher: &mut impl Hasher, bytes: &[u8]) {
    hasher.write_usize(bytes.len());
    hasher.write(bytes);
}

#[cfg(test)]
mod tests {
    use std::hash::DefaultHasher;

    use super::*;
    use crate::wire::splice::{Edit, splice};

    fn scanned(body: &str) -> Scanned {
        facts(&Bytes::copy_from_slice(body.as_bytes())).unwrap()
    }

    fn refused(body: &str) -> RequestError {
        facts(&Bytes::copy_from_slice(body.as_bytes())).unwrap_err()
    }

    /// The body without its cuts.
    fn cut(body: &str) -> String {
        let scanned = scanned(body);
        let edits: Vec<Edit> = scanned
            .cuts
            .into_iter()
            .map(|at| Edit {
                at,
                with: Bytes::new(),
            })
            .collect();
        let body = Bytes::copy_from_slice(body.as_bytes());
        String::from_utf8(splice(&body, &edits).segments().concat()).unwrap()
    }

    #[test]
    fn routing_learns_what_it_needs() {
        let body = r#"{"model":"a/m","stream":true,"input":[{"role":"user","content":[{"type":"input_image"},{"type":"input_file"}]}],
            "tools":[{"type":"function"}],"text":{"format":{"type":"json_schema"}},"reasoning":{"effort":"low"},"max_output_tokens":9,
            "prompt_cache_key":"k","user":"u"}"#;
        let found = scanned(body);
        let expected = RequestFacts {
            model: "a/m".to_owned(),
            stream: true,
            reasons: true,
            tools: true,
            images: true,
            files: true,
            json_schema: true,
            body_bytes: body.len() as u64,
            max_tokens: Some(9),
            ..RequestFacts::default()
        };
        assert_eq!(found.facts, expected);
        assert!(found.structured);
        assert_eq!(body.get(found.model), Some("\"a/m\""));
        assert_eq!(body.get(found.prompt_cache_key.unwrap()), Some("\"k\""));
        let plain = scanned(
            r#"{"model":"m","input":"\"input_image\"","tools":[],"reasoning":{"effort":"none"},"text":{"format":{"type":"text"}}}"#,
        );
        assert!(
            !plain.facts.images && !plain.facts.tools && !plain.facts.reasons && !plain.structured
        );
    }

    #[test]
    fn what_is_for_the_router_is_cut() {
        let body = r#"{"provider":{"order":["x"]} , "model":"m","models":["a"],"input":"hi","session_id":"s"}"#;
        assert_eq!(cut(body), r#"{ "model":"m","input":"hi"}"#);
        assert_eq!(body.get(scanned(body).session_id.unwrap()), Some("\"s\""));
    }

    #[test]
    fn reasoning_of_another_dialect_is_cut_and_encrypted_reasoning_is_signed() {
        let ours =
            r#"{"type":"reasoning","summary":[],"encrypted_content":"mainstay:v1:data:f:0:x"}"#;
        let words =
            r#"{"type":"reasoning","summary":[],"encrypted_content":"mainstay:v1:words::0:"}"#;
        let own = r#"{"type":"reasoning","summary":[],"encrypted_content":"gAAA"}"#;
        let bare = r#"{"type":"reasoning","summary":[],"encrypted_content":null}"#;
        let user = r#"{"role":"user","content":"hi"}"#;
        let body = |items: &[&str]| {
            format!(
                r#"{{"model":"m","input":[{}],"user":"u"}}"#,
                items.join(" , ")
            )
        };
        let signed = |items: &[&str]| scanned(&body(items)).facts.signed;
        assert_eq!(
            cut(&body(&[ours, user, ours, own, ours])),
            r#"{"model":"m","input":[ {"role":"user","content":"hi"} , {"type":"reasoning","summary":[],"encrypted_content":"gAAA"}],"user":"u"}"#
        );
        assert_eq!(
            cut(&body(&[ours])),
            r#"{"model":"m","input":[],"user":"u"}"#
        );
        assert_eq!(
            cut(&body(&[words])),
            r#"{"model":"m","input":[],"user":"u"}"#
        );
        assert!(signed(&[user, own]) && signed(&[ours]));
        assert!(!signed(&[user, bare]) && !signed(&[words]));
        let quoted = r#"{"role":"user","content":"\"encrypted_content\":\"x\""}"#;
        assert!(!signed(&[quoted]));
    }

    #[test]
    fn what_leans_on_a_provider_is_named() {
        let stateful =
            |more: &str| scanned(&format!(r#"{{"model":"m","input":"hi"{more}}}"#)).stateful;
        assert_eq!(stateful(""), None);
        assert_eq!(
            stateful(r#","previous_response_id":null,"background":false"#),
            None
        );
        assert_eq!(
            stateful(r#","previous_response_id":"resp_1""#),
            Some("previous_response_id")
        );
        assert_eq!(stateful(r#","background":true"#), Some("background"));
    }

    #[test]
    fn what_routing_cannot_rely_on_is_refused() {
        for (body, param) in [
            (r#"{"model":"a","model":"b","input":"x"}"#, Some("model")),
            (
                r#"{"model":"a","mod\u0065l":"b","input":"x"}"#,
                Some("model"),
            ),
            (r#"{"model":"a","Model":"b","input":"x"}"#, Some("model")),
            (
                r#"{"model":"a","stream":true,"stream":false,"input":"x"}"#,
                Some("stream"),
            ),
            (r#"{"input":"x"}"#, Some("model")),
            (r#"{"model":"","input":"x"}"#, Some("model")),
            (r#"{"model":7,"input":"x"}"#, Some("model")),
            (
                r#"{"model":"m","input":"x","stream":"yes"}"#,
                Some("stream"),
            ),
            (r#"{"model":"m"}"#, Some("input")),
            (r#"{"model":"m","input":"x"} x"#, None),
            ("[]", None),
            ("", None),
        ] {
            assert_eq!(refused(body).param, param, "{body}");
        }
    }

    #[test]
    fn a_conversation_begins_the_same_in_every_turn() {
        let beginning = |body: &str| {
            let mut hasher = DefaultHasher::new();
            let found = scanned(body).hash_beginning(body.as_bytes(), &mut hasher);
            found.then(|| hasher.finish())
        };
        let first = beginning(
            r#"{"model":"m","instructions":"i","input":[{"role":"user","content":"hi"}]}"#,
        );
        assert!(first.is_some());
        assert_eq!(
            beginning(
                r#"{"model":"m","instructions":"i","input":[{"role":"developer","content":"x"},{"role":"user","content":"hi"},{"role":"assistant","content":"yes"}]}"#
            ),
            first
        );
        assert_ne!(
            beginning(
                r#"{"model":"m","instructions":"j","input":[{"role":"user","content":"hi"}]}"#
            ),
            first
        );
        assert_ne!(beginning(r#"{"model":"m","input":"hi"}"#), first);
        assert_eq!(beginning(r#"{"model":"m","input":[]}"#), None);
        assert_eq!(beginning(r#"{"model":"m","input":7}"#), None);
    }
}
