//! Owns what a request says of the conversation that it goes on with: the names that clients give it, how it begins,
//! and whether it replays reasoning that is bound to who made it. Must never read further than it has to, or keep what
//! it read.

use std::borrow::Cow;
use std::hash::Hasher;
use std::marker::PhantomData;
use std::ops::Range;

use memchr::memmem;
use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::ClientRequest;

/// Where reasoning stands that is sent back; a text that quotes it has a backslash before its last quote.
const DETAILS: &[u8] = br#""reasoning_details""#;

impl ClientRequest {
    /// The body's `session_id`, where it is text. As with the others, `body` is the one that was scanned.
    pub fn session_id<'b>(&self, body: &'b [u8]) -> Option<Cow<'b, str>> {
        text(body, self.spoken.session_id.clone()?)
    }

    /// The body's `prompt_cache_key`, where it is text.
    pub fn prompt_cache_key<'b>(&self, body: &'b [u8]) -> Option<Cow<'b, str>> {
        text(body, self.spoken.prompt_cache_key.clone()?)
    }

    /// The body's `user`, where it is text.
    pub fn user<'b>(&self, body: &'b [u8]) -> Option<Cow<'b, str>> {
        text(body, self.spoken.user.clone()?)
    }

    /// Hands the beginning of a chat to `hasher`: its first instruction and its first other message, without what
    /// clients move from turn to turn (marks of what to cache). Returns whether there is one.
    pub fn hash_beginning(&self, body: &[u8], hasher: &mut impl Hasher) -> bool {
        let span = self.spoken.messages.clone();
        let Some(messages) = span.and_then(|span| body.get(span)) else {
            return false;
        };
        let mut beginning = Beginning {
            hasher,
            instructed: false,
            found: false,
        };
        let mut json = serde_json::Deserializer::from_slice(messages);
        // An error is also how reading ends once enough was read.
        json.deserialize_seq(&mut beginning).ok();
        beginning.found
    }
}

/// A string of the body that is not empty.
fn text(body: &[u8], span: Range<usize>) -> Option<Cow<'_, str>> {
    let Text(text) = serde_json::from_slice(body.get(span)?).ok()?;
    (!text.is_empty()).then_some(text)
}

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// A message as far as it tells conversations apart.
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    role: Cow<'a, str>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
}

/// A part of a message.
#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow)]
    text: Option<Cow<'a, str>>,
    #[serde(borrow)]
    image_url: Option<&'a RawValue>,
    #[serde(borrow)]
    input_audio: Option<&'a RawValue>,
    #[serde(borrow)]
    file: Option<&'a RawValue>,
}

struct Beginning<'h, H> {
    hasher: &'h mut H,
    instructed: bool,
    found: bool,
}

// === impl Beginning ===

impl<'de, H: Hasher> Visitor<'de> for &mut Beginning<'_, H> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("messages")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut messages: A) -> Result<(), A::Error> {
        while let Some(message) = messages.next_element::<Message<'de>>()? {
            match matches!(&*message.role, "system" | "developer") {
                true if self.instructed => {}
                true => {
                    self.instructed = true;
                    self.take(&message);
                }
                false => {
                    self.take(&message);
                    self.found = true;
                    return Err(A::Error::custom("enough was read"));
                }
            }
        }
        Ok(())
    }
}

impl<H: Hasher> Beginning<'_, H> {
    fn take(&mut self, message: &Message<'_>) {
        self.write(message.role.as_bytes());
        let Some(content) = message.content.map(RawValue::get) else {
            return self.write(b"");
        };
        if let Ok(Text(text)) = serde_json::from_str(content) {
            return self.write(text.as_bytes());
        }
        let parts = each(content, |part: Part<'_>| {
            self.write(part.text.as_deref().unwrap_or("").as_bytes());
            let others = [part.image_url, part.input_audio, part.file];
            for other in others.into_iter().flatten() {
                self.write(other.get().as_bytes());
            }
        });
        if parts.is_err() {
            self.write(content.as_bytes());
        }
    }

    /// With its length, so that two texts cannot be cut elsewhere and be the same.
    fn write(&mut self, bytes: &[u8]) {
        self.hasher.write_usize(bytes.len());
        self.hasher.write(bytes);
    }
}

/// Whether messages hold reasoning with a signature, or reasoning that is encrypted. What has another shape is not
/// ours to judge: the upstream will.
pub(super) fn is_signed(messages: &RawValue) -> bool {
    let messages = messages.get();
    if memmem::find(messages.as_bytes(), DETAILS).is_none() {
        return false;
    }
    let mut signed = false;
    each(messages, |message: Replayed| signed |= message.details.0).is_ok() && signed
}

/// A message, as far as it matters here.
#[derive(Deserialize)]
struct Replayed {
    #[serde(default, rename = "reasoning_details")]
    details: Bound,
}

/// Whether any piece of a list of reasoning is bound to who made it.
#[derive(Default)]
struct Bound(bool);

/// One piece of reasoning.
#[derive(Deserialize)]
struct Detail<'a> {
    #[serde(borrow)]
    signature: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

impl Detail<'_> {
    fn is_bound(&self) -> bool {
        let filled = |value: &RawValue| !matches!(value.get(), "null" | r#""""#);
        [self.signature, self.data]
            .into_iter()
            .flatten()
            .any(filled)
    }
}

impl<'de> Deserialize<'de> for Bound {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        let mut bound = false;
        if let Some(list) = Option::<&RawValue>::deserialize(json)? {
            each(list.get(), |detail: Detail<'_>| bound |= detail.is_bound())
                .map_err(D::Error::custom)?;
        }
        Ok(Self(bound))
    }
}

/// Hands each element of a list on, one at a time: a list is as long as its client likes.
fn each<'de, T: Deserialize<'de>>(list: &'de str, take: impl FnMut(T)) -> serde_json::Result<()> {
    let mut json = serde_json::Deserializer::from_str(list);
    json.deserialize_seq(Each(take, PhantomData))
}

struct Each<F, T>(F, PhantomData<T>);

impl<'de, T: Deserialize<'de>, F: FnMut(T)> Visitor<'de> for Each<F, T> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        while let Some(element) = list.next_element()? {
            (self.0)(element);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::hash::DefaultHasher;

    use bytes::Bytes;

    use super::*;
    use crate::wire::openai::operation::Operation;
    use crate::wire::openai::request::scan;

    fn request(body: &str) -> (ClientRequest, Bytes) {
        let body = Bytes::from(body.to_owned());
        (scan(Operation::Chat, &body).unwrap(), body)
    }

    fn chat(messages: &str) -> String {
        format!(r#"{{"model":"m","messages":{messages}}}"#)
    }

    fn beginning(messages: &str) -> Option<u64> {
        let (request, body) = request(&chat(messages));
        let mut hasher = DefaultHasher::new();
        let found = request.hash_beginning(&body, &mut hasher);
        found.then(|| hasher.finish())
    }

    #[test]
    fn names_are_texts_that_are_not_empty() {
        let names = |more: &str| {
            let (request, body) = request(&format!(r#"{{{more}"model":"m","messages":[]}}"#));
            let owned = |name: Option<Cow<'_, str>>| name.map(Cow::into_owned);
            [
                owned(request.session_id(&body)),
                owned(request.prompt_cache_key(&body)),
                owned(request.user(&body)),
            ]
        };
        assert_eq!(names(""), [None, None, None]);
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            names(r#""user":"u","session_id":"s\u0031","prompt_cache_key":"p","#),
            [some("s1"), some("p"), some("u")]
        );
        assert_eq!(
            names(r#""user":null,"session_id":"","prompt_cache_key":7,"#),
            [None, None, None]
        );
    }

    #[test]
    fn a_conversation_begins_the_same_in_every_turn() {
        let system = r#"{"role":"system","content":"be brief"}"#;
        let user = r#"{"role":"user","content":"hi"}"#;
        let first = beginning(&format!("[{system},{user}]"));
        assert!(first.is_some());
        let later = format!(r#"[{system},{user},{{"role":"assistant","content":"yes"}},{user}]"#);
        assert_eq!(beginning(&later), first);
        let second_instruction =
            format!(r#"[{system},{{"role":"developer","content":"now"}},{user}]"#);
        assert_eq!(beginning(&second_instruction), first);
        for other in [
            format!("[{user}]"),
            format!(r#"[{system},{{"role":"user","content":"ho"}}]"#),
            r#"[{"role":"system","content":"be brie"},{"role":"user","content":"fhi"}]"#.to_owned(),
        ] {
            assert_ne!(beginning(&other), first, "{other}");
            assert!(beginning(&other).is_some());
        }
        for none in ["[]", &format!("[{system}]"), "[7]", "null", r#"{"a":1}"#] {
            assert_eq!(beginning(none), None, "{none}");
        }
    }

    #[test]
    fn marks_of_what_to_cache_do_not_tell_turns_apart_and_images_do() {
        let with = |part: &str| beginning(&format!(r#"[{{"role":"user","content":[{part}]}}]"#));
        let plain = with(r#"{"type":"text","text":"hi"}"#);
        assert!(plain.is_some());
        let marked = with(r#"{"type":"text","text":"hi","cache_control":{"type":"ephemeral"}}"#);
        assert_eq!(marked, plain);
        let image = |url: &str| {
            with(&format!(
                r#"{{"type":"image_url","image_url":{{"url":"{url}"}}}}"#
            ))
        };
        assert_ne!(image("a"), image("b"));
    }

    #[test]
    fn reasoning_is_bound_by_a_signature_or_by_encryption() {
        let signed = |details: &str| {
            let messages = format!(
                r#"[{{"role":"user","content":"hi"}},{{"role":"assistant","content":"yes","reasoning_details":{details}}}]"#
            );
            request(&chat(&messages)).0.facts.signed
        };
        assert!(signed(
            r#"[{"type":"reasoning.text","text":"so","signature":"c2ln"}]"#
        ));
        assert!(signed(
            r#"[{"type":"reasoning.summary","summary":"s"},{"type":"reasoning.encrypted","data":"ZW5j"}]"#
        ));
        for free in [
            "null",
            "[]",
            r#"[{"type":"reasoning.text","text":"so","signature":null}]"#,
            r#"[{"type":"reasoning.text","text":"so","signature":""}]"#,
            r#"[{"type":"reasoning.summary","summary":"\"signature\":\"x\""}]"#,
            r#""other""#,
            "[7]",
        ] {
            assert!(!signed(free), "{free}");
        }
        let quoted =
            chat(r#"[{"role":"user","content":"\"reasoning_details\":[{\"data\":\"x\"}]"}]"#);
        assert!(!request(&quoted).0.facts.signed);
    }
}
