//! Owns what the reading of JSON shares among OpenAI's dialects: texts that may be lists, and of a request's
//! top level the errors, the fields that are not known, the words for efforts. Must never let a field that nobody reads pass unnamed.

use std::fmt;
use std::marker::PhantomData;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::wire::client_error::RequestError;
use crate::wire::hub::Effort;
use crate::wire::json::Word;
use crate::wire::openai::request::is_for_router;

/// A text or a list.
#[derive(Debug, Default)]
pub(in crate::wire) enum Content<T> {
    #[default]
    None,
    Text(String),
    List(Vec<T>),
}

/// The body as text.
pub(in crate::wire) fn as_text(body: &Bytes) -> Result<&str, RequestError> {
    std::str::from_utf8(body).map_err(|_| invalid("the body is not valid UTF-8"))
}

/// The body's fields. The error names the line and the column.
pub(in crate::wire) fn from_str<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, RequestError> {
    serde_json::from_str(text).map_err(|error| invalid(&error.to_string()))
}

/// What is said of a body that is not what the dialect calls a request.
pub(in crate::wire) const UNREADABLE: &str = "could not read the body of the request";

fn invalid(why: &str) -> RequestError {
    RequestError::unreadable(UNREADABLE, why)
}

/// The step of a word, which stands in `field`.
pub(in crate::wire) fn effort(
    word: Option<&str>,
    field: &'static str,
) -> Result<Option<Effort>, RequestError> {
    match word {
        None => Ok(None),
        // OpenRouter's newest step; nobody else has one above.
        Some("max") => Ok(Some(Effort::XHigh)),
        Some(word) => Effort::of(word).map(Some).ok_or_else(|| {
            let steps = Effort::ALL.map(Effort::as_str).join(", ");
            RequestError::about(
                field,
                format!("'{field}' knows no effort '{word}', but {steps}"),
            )
        }),
    }
}

/// The tier that served an answer, in OpenAI's words, which its SDKs take no other for; `None`: it has none for it.
pub(in crate::wire) fn tier(said: &str) -> Option<&str> {
    match said {
        "standard" => Some("default"),
        "auto" | "default" | "flex" | "scale" | "priority" => Some(said),
        _ => None,
    }
}

/// Notes a name once.
pub(in crate::wire) fn note(unknown: &mut Vec<String>, name: &str) {
    if !unknown.iter().any(|known| known == name) {
        unknown.push(name.to_owned());
    }
}

/// The top level's fields that are not `known`, but for those that only speak to a router, are null, or switched off.
pub(in crate::wire) fn unknown_fields(
    text: &str,
    known: &[&str],
) -> Result<Vec<String>, RequestError> {
    let mut json = serde_json::Deserializer::from_str(text);
    let unknown = Unknown { known }.deserialize(&mut json);
    unknown.map_err(|error| invalid(&error.to_string()))
}

struct Unknown<'k> {
    known: &'k [&'k str],
}

// === impl Unknown ===

impl<'de> DeserializeSeed<'de> for Unknown<'_> {
    type Value = Vec<String>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Vec<String>, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Unknown<'_> {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<String>, A::Error> {
        let mut unknown = Vec::new();
        while let Some(key) = map.next_key::<Word<'de>>()? {
            let value: &RawValue = map.next_value()?;
            let read = self.known.contains(&&*key) || is_for_router(&key);
            if !read && !matches!(value.get(), "null" | "false") {
                note(&mut unknown, &key);
            }
        }
        Ok(unknown)
    }
}

// === impl Content ===

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Content<T> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_any(ContentVisitor(PhantomData))
    }
}

struct ContentVisitor<T>(PhantomData<T>);

// === impl ContentVisitor ===

impl<'de, T: Deserialize<'de>> Visitor<'de> for ContentVisitor<T> {
    type Value = Content<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or a list")
    }

    fn visit_unit<E>(self) -> Result<Content<T>, E> {
        Ok(Content::None)
    }

    fn visit_str<E>(self, text: &str) -> Result<Content<T>, E> {
        Ok(Content::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Content<T>, E> {
        Ok(Content::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Content<T>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Content::List(items))
    }
}
