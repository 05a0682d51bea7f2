//! Owns what a request says of the conversation that it goes on with: the names that clients give it, and how it begins.
//! Must never read further than it has to, or keep what it read.

use std::borrow::Cow;
use std::fmt;
use std::hash::Hasher;
use std::ops::Range;

use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::Passed;

impl Passed {
    /// The body's `session_id`, where it is text. As with the others, `body` is the one that was scanned.
    pub fn session_id<'b>(&self, body: &'b [u8]) -> Option<Cow<'b, str>> {
        text(body, self.session_id.clone()?)
    }

    /// The body's `metadata.user_id`, where it is text. Claude Code's names the session too.
    pub fn user<'b>(&self, body: &'b [u8]) -> Option<Cow<'b, str>> {
        text(body, self.user.clone()?)
    }

    /// Hands the beginning of the conversation to `hasher`: the system's words and the first message, without what clients move
    /// from turn to turn (marks of what to cache). Returns whether there is one.
    pub fn hash_beginning(&self, body: &[u8], hasher: &mut impl Hasher) -> bool {
        let at = |span: &Option<Range<usize>>| body.get(span.clone()?);
        let Some(messages) = at(&self.messages) else {
            return false;
        };
        let mut first = None;
        let mut json = serde_json::Deserializer::from_slice(messages);
        // An error is also how reading ends once enough was read.
        json.deserialize_seq(First(&mut first)).ok();
        let Some(first) = first else { return false };
        let system = at(&self.system).and_then(|json| serde_json::from_slice(json).ok());
        let Content(system) = system.unwrap_or_default();
        write(hasher, "system", &system);
        let Content(content) = first.content;
        write(hasher, &first.role, &content);
        true
    }
}

/// A string of the body that is not empty.
fn text(body: &[u8], span: Range<usize>) -> Option<Cow<'_, str>> {
    let Text(text) = serde_json::from_slice(body.get(span)?).ok()?;
    (!text.is_empty()).then_some(text)
}

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    role: Cow<'a, str>,
    #[serde(borrow, default)]
    content: Content<'a>,
}

/// Texts, and what stands for other blocks.
#[derive(Default)]
struct Content<'a>(Vec<Cow<'a, str>>);

#[derive(Deserialize)]
struct Block<'a> {
    text: Option<String>,
    #[serde(borrow)]
    source: Option<&'a RawValue>,
}

/// With lengths, so that two conversations cannot be cut elsewhere and be the same.
fn write(hasher: &mut impl Hasher, role: &str, texts: &[Cow<'_, str>]) {
    hasher.write_usize(role.len());
    hasher.write(role.as_bytes());
    hasher.write_usize(texts.len());
    for text in texts {
        hasher.write_usize(text.len());
        hasher.write(text.as_bytes());
    }
}

/// Reads the first message alone.
struct First<'f, 'a>(&'f mut Option<Message<'a>>);

impl<'de> Visitor<'de> for First<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("messages")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut messages: A) -> Result<(), A::Error> {
        *self.0 = messages.next_element()?;
        Err(A::Error::custom("enough was read"))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Content<'a> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("content")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Content<'de>, E> {
        Ok(Content(vec![Cow::Borrowed(text)]))
    }

    fn visit_str<E>(self, text: &str) -> Result<Content<'de>, E> {
        Ok(Content(vec![Cow::Owned(text.to_owned())]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut blocks: A) -> Result<Content<'de>, A::Error> {
        let mut texts = Vec::new();
        while let Some(block) = blocks.next_element::<Block<'de>>()? {
            let source = block.source.map(|source| Cow::Borrowed(source.get()));
            texts.extend(block.text.map(Cow::Owned).or(source));
        }
        Ok(Content(texts))
    }
}

#[cfg(test)]
mod tests {
    use std::hash::DefaultHasher;

    use bytes::Bytes;
    use serde_json::{Value, json};

    use super::*;
    use crate::wire::anthropic::scan::{Purpose, scan};

    fn beginning(system: &Value, messages: &Value) -> Option<u64> {
        let body = json!({"model": "m", "system": system, "messages": messages});
        let body = Bytes::from(body.to_string());
        let mut hasher = DefaultHasher::new();
        let found = scan(Purpose::Answer, &body)
            .unwrap()
            .hash_beginning(&body, &mut hasher);
        found.then(|| hasher.finish())
    }

    #[test]
    fn names_are_texts_that_are_not_empty() {
        let names = |body: &Value| {
            let body = Bytes::from(body.to_string());
            let passed = scan(Purpose::Answer, &body).unwrap();
            let owned = |name: Option<Cow<'_, str>>| name.map(Cow::into_owned);
            (owned(passed.session_id(&body)), owned(passed.user(&body)))
        };
        let body = json!({"model": "m", "messages": [], "session_id": "s\n", "metadata": {"user_id": "u"}});
        assert_eq!(names(&body), (Some("s\n".to_owned()), Some("u".to_owned())));
        let body =
            json!({"model": "m", "messages": [], "session_id": 7, "metadata": {"user_id": ""}});
        assert_eq!(names(&body), (None, None));
        assert_eq!(
            names(&json!({"model": "m", "messages": [], "metadata": 7})),
            (None, None)
        );
    }

    #[test]
    fn a_conversation_begins_the_same_in_every_turn() {
        let system = json!("be brief");
        let user = json!({"role": "user", "content": "hi"});
        let first = beginning(&system, &json!([user]));
        assert!(first.is_some());
        let later = json!([user, {"role": "assistant", "content": "yes"}, user]);
        assert_eq!(beginning(&system, &later), first);
        let marked =
            json!([{"type": "text", "text": "be brief", "cache_control": {"type": "ephemeral"}}]);
        let block = json!([{"role": "user", "content": [{"type": "text", "text": "hi", "cache_control": {}}]}]);
        assert_eq!(beginning(&marked, &block), first);
        for (system, messages) in [
            (json!(null), json!([user])),
            (
                json!("be brie"),
                json!([{"role": "user", "content": "fhi"}]),
            ),
            (
                json!("be brief"),
                json!([{"role": "user", "content": "ho"}]),
            ),
            (
                json!("be brief"),
                json!([{"role": "user", "content": [{"type": "image", "source": {"url": "a"}}]}]),
            ),
        ] {
            let other = beginning(&system, &messages);
            assert!(other.is_some() && other != first, "{messages}");
        }
        for none in [json!([]), json!([7]), json!("hi"), json!({"a": 1})] {
            assert_eq!(beginning(&system, &none), None, "{none}");
        }
    }
}
