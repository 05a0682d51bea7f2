//! Owns what the one pass over a body notes of its messages: how the conversation begins, and from where on they are more
//! than a role and a text, so that nothing is looked for in the others.
//! Must never judge a message: what is of another shape is only passed over.

use std::fmt;
use std::ops::Range;

use memchr::memmem;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::wire::json::{Word, text};
use crate::wire::splice::span_of;

/// The messages of a body, borrowed from it.
#[derive(Clone, Debug)]
pub(in crate::wire) struct Messages<'a> {
    /// As they stand there.
    pub(in crate::wire) json: &'a str,
    /// All of `json` that can hold something else than roles and texts: from the first message that does to the end.
    pub(in crate::wire) rest: &'a str,
    pub(in crate::wire) beginning: Beginning,
}

/// The messages that a conversation begins with, as spans of the body.
#[derive(Clone, Debug, Default)]
pub(in crate::wire) struct Beginning {
    /// The first that instructs, where that stands before `first`.
    pub(super) instruction: Option<Opening>,
    /// The first that does not.
    pub(super) first: Option<Opening>,
}

/// One of them.
#[derive(Clone, Debug)]
pub(super) struct Opening {
    pub(super) role: Range<usize>,
    pub(super) content: Option<Range<usize>>,
}

// === impl Messages ===

impl<'a> Messages<'a> {
    /// Of a value of the body `whole` that was passed over; one that is no list begins nothing.
    pub(in crate::wire) fn of(whole: &'a str, value: &'a RawValue) -> Self {
        let at = span_of(whole, value.get()).start;
        let mut json = serde_json::Deserializer::from_str(value.get());
        let read = At { whole, at }.deserialize(&mut json);
        read.unwrap_or_else(|_| Self::unread(value.get()))
    }

    /// Of what is no list of messages, or was not gone through.
    pub(in crate::wire) fn unread(json: &'a str) -> Self {
        Self {
            json,
            rest: json,
            beginning: Beginning::default(),
        }
    }

    /// Where the one message stands that is a text and no list.
    pub(in crate::wire) fn text(&self, whole: &str) -> Option<Range<usize>> {
        let is_text = self.json.starts_with('"');
        is_text.then(|| span_of(whole, self.json))
    }

    /// Whether a part of them is `mark`. Only for marks that no message of a role and a text has.
    pub(in crate::wire) fn hold(&self, mark: &[u8]) -> bool {
        memmem::find(self.rest.as_bytes(), mark).is_some()
    }
}

// === impl Beginning ===

impl Beginning {
    /// Takes the next message. What has no role is none: a call of a tool, or its result.
    fn take(&mut self, whole: &str, (role, content): (Option<&RawValue>, Option<&RawValue>)) {
        let Some(role) = role.filter(|_| self.first.is_none()) else {
            return;
        };
        let Some(name) = text(role.get()) else {
            return;
        };
        let slot = match &*name {
            "system" | "developer" => &mut self.instruction,
            _ => &mut self.first,
        };
        if slot.is_none() {
            *slot = Some(Opening {
                role: span_of(whole, role.get()),
                content: content.map(|content| span_of(whole, content.get())),
            });
        }
    }
}

/// Where in a body the reader of its JSON stands.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    whole: &'a str,
    at: usize,
}

// === impl At ===

impl<'a> At<'a> {
    /// Behind a piece of the body.
    pub(super) fn behind(whole: &'a str, piece: &str) -> Self {
        let at = span_of(whole, piece).end;
        Self { whole, at }
    }

    /// Passes over what stands between two values. Returns what begins then.
    fn next(&mut self) -> Option<u8> {
        let between = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b',' | b':');
        let rest = self.whole.as_bytes().get(self.at..)?;
        let next = rest.iter().position(|byte| !between(byte))?;
        self.at += next;
        rest.get(next).copied()
    }

    /// The list that begins behind this key's quote.
    pub(super) fn list(mut self) -> Option<Self> {
        self.at += 1;
        (self.next() == Some(b'[')).then_some(self)
    }
}

/// Reads the list that begins there, with the body's own reader.
impl<'de> DeserializeSeed<'de> for At<'de> {
    type Value = Messages<'de>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Messages<'de>, D::Error> {
        json.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for At<'de> {
    type Value = Messages<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("messages")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Messages<'de>, A::Error> {
        let (whole, begin) = (self.whole, self.at);
        let mut pass = Pass {
            at: At {
                at: begin + 1,
                ..self
            },
            beginning: Beginning::default(),
            other: None,
        };
        while pass.take(&mut list)? {}
        // It stands at the list's bracket.
        let end = pass.at.at + 1;
        Ok(Messages {
            json: whole.get(begin..end).unwrap_or_default(),
            rest: whole
                .get(pass.other.unwrap_or(end)..end)
                .unwrap_or_default(),
            beginning: pass.beginning,
        })
    }
}

/// The pass over a list.
struct Pass<'a> {
    at: At<'a>,
    beginning: Beginning,
    /// Where the first message begins that is more than a role and a text.
    other: Option<usize>,
}

// === impl Pass ===

impl<'de> Pass<'de> {
    /// Takes the next message. Returns whether there was one.
    fn take<A: SeqAccess<'de>>(&mut self, list: &mut A) -> Result<bool, A::Error> {
        let is_object = self.at.next() == Some(b'{');
        let (start, whole) = (self.at.at, self.at.whole);
        if !is_object {
            let Some(value) = list.next_element::<&RawValue>()? else {
                return Ok(false);
            };
            self.other.get_or_insert(start);
            self.at = At::behind(whole, value.get());
            return Ok(true);
        }
        let Some(message) = list.next_element_seed(Message::at(self.at))? else {
            return Ok(false);
        };
        if !message.is_plain {
            self.other.get_or_insert(start);
        }
        self.beginning.take(whole, (message.role, message.content));
        self.at = message.end;
        Ok(true)
    }
}

/// An object of the list.
struct Message<'a> {
    role: Option<&'a RawValue>,
    content: Option<&'a RawValue>,
    /// It has a role and a text, and nothing else.
    is_plain: bool,
    end: At<'a>,
}

// === impl Message ===

impl<'a> Message<'a> {
    /// One that begins there, unread.
    fn at(at: At<'a>) -> Self {
        Self {
            role: None,
            content: None,
            is_plain: true,
            end: At {
                at: at.at + 1,
                ..at
            },
        }
    }
}

impl<'de> DeserializeSeed<'de> for Message<'de> {
    type Value = Self;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Message<'de> {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a message")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self, A::Error> {
        while let Some(key) = map.next_key::<Word<'de>>()? {
            let value: &'de RawValue = map.next_value()?;
            let slot = match &*key {
                "role" => Some(&mut self.role),
                "content" => Some(&mut self.content),
                _ => None,
            };
            self.is_plain &= slot.is_some() && value.get().starts_with('"');
            if let Some(slot) = slot {
                *slot = Some(value);
            }
            self.end = At::behind(self.end.whole, value.get());
        }
        // Its brace.
        self.end.next();
        self.end.at += 1;
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Messages<'_> {
        let at = At { whole: body, at: 0 };
        let mut json = serde_json::Deserializer::from_str(body);
        at.deserialize(&mut json).unwrap()
    }

    fn content<'a>(body: &'a str, opening: Option<&Opening>) -> Option<&'a str> {
        let content = opening?.content.clone()?;
        body.get(content)
    }

    #[test]
    fn the_rest_begins_with_the_first_message_that_is_more_than_a_text() {
        let plain = r#"{"role":"user", "content" : "\"image_url\""}"#;
        for (more, rest) in [
            ("", ""),
            (
                r#"{"role":"user","content":[]}"#,
                r#"{"role":"user","content":[]}]"#,
            ),
            (
                r#"{"role":"a","content":"x","name":"n"} "#,
                r#"{"role":"a","content":"x","name":"n"} ]"#,
            ),
            (
                r#"{"role":"a","content":null}"#,
                r#"{"role":"a","content":null}]"#,
            ),
            ("7", "7]"),
            (r#""{\"role\"}""#, r#""{\"role\"}"]"#),
            ("{ } , [] ", "[] ]"),
        ] {
            let comma = if more.is_empty() { "" } else { " , " };
            for list in [
                format!("[{plain},\n{plain}{comma}{more}]"),
                format!("[ {plain}{comma}{more}]"),
            ] {
                let messages = read(&list);
                assert_eq!(messages.json, list);
                assert_eq!(messages.rest, rest, "{list}");
                assert!(!messages.hold(b"\"image_url\""));
            }
        }
        assert_eq!(read("[ ]").json, "[ ]");
    }

    #[test]
    fn a_conversation_begins_with_an_instruction_and_a_message() {
        let body = r#"[7,{"type":"call"},{"role":"syst\u0065m","content":"a"},{"role":"developer","content":"b"},{"role":9,"content":"x"},
            {"role":"user","content":[1]},{"role":"user","content":"c"},{"role":"system","content":"d"}]"#;
        let beginning = read(body).beginning;
        assert_eq!(
            content(body, beginning.instruction.as_ref()),
            Some(r#""a""#)
        );
        assert_eq!(content(body, beginning.first.as_ref()), Some("[1]"));
        let late = r#"[{"role":"user"},{"role":"system","content":"late"}]"#;
        let beginning = read(late).beginning;
        assert!(beginning.instruction.is_none() && beginning.first.is_some());
    }
}
