//! Owns the one pass over the top level of a request's body: its fields as borrowed spans, what speaks to a router cut out.
//! Nested values are skipped without recursion, so depth costs nothing here; whoever translates a body bounds it.
//! Must never take a duplicate of a field that the routing depends on.

use std::ops::Range;

use bytes::Bytes;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::wire::client_error::RequestError;
use crate::wire::client_request::messages::{At, Messages};
use crate::wire::json::Word;
use crate::wire::splice::{Cut, Edit, span_of};

/// Fields that speak to a router, not to a model, in every dialect: OpenRouter's
/// (<https://openrouter.ai/docs/api-reference/overview>).
pub(in crate::wire) const ROUTER_ONLY: [&str; 7] = [
    "models",
    "route",
    "provider",
    "preset",
    "transforms",
    "plugins",
    "session_id",
];

/// The fields that a dialect takes of a body, each borrowed from it. Every dialect has `model` and `stream`, which are taken
/// here.
pub(in crate::wire) trait Fields<'a> {
    /// What is said of a body that is no JSON object.
    const UNREADABLE: &'static str = "could not parse the JSON body of the request";

    /// Whether a field speaks to a router alone.
    fn is_for_router(&self, key: &str) -> bool {
        ROUTER_ONLY.contains(&key)
    }

    /// Whether `stream` asks for events. Where it does not, it is a field as any other.
    fn streams(&self) -> bool {
        true
    }

    /// The field whose list of messages is noted on the way, if the dialect has one.
    fn messages_in(&self) -> Option<&'static str>;

    /// Notes that field; `Err` names one that must not stand twice.
    fn take_messages(&mut self, messages: Messages<'a>) -> Result<(), &'static str>;

    /// Notes one of the other fields that are not for a router.
    ///
    /// # Errors
    /// As for [`Fields::take_messages`].
    fn take(&mut self, key: &str, value: &'a RawValue) -> Result<(), &'static str>;
}

/// The top level of a body, without what its dialect alone has.
pub(in crate::wire) struct TopLevel<'a> {
    pub(in crate::wire) text: &'a str,
    pub(in crate::wire) model: String,
    /// Where the model's name stands, with its quotes.
    pub(in crate::wire) model_at: Range<usize>,
    pub(in crate::wire) stream: bool,
    pub(in crate::wire) session_id: Option<&'a RawValue>,
    /// What speaks to the router, with a comma each, in order.
    pub(in crate::wire) cuts: Vec<Edit>,
}

/// Takes the value of a field that must not stand twice.
pub(in crate::wire) fn once<T>(
    slot: &mut Option<T>,
    value: T,
    name: &'static str,
) -> Result<(), &'static str> {
    match slot.replace(value) {
        Some(_) => Err(name),
        None => Ok(()),
    }
}

/// Whether a list is there, and not empty.
pub(in crate::wire) fn is_filled(list: Option<&RawValue>) -> bool {
    list.is_some_and(|list| !matches!(list.get(), "null" | "[]"))
}

// === impl TopLevel ===

impl<'a> TopLevel<'a> {
    /// Reads a body, and hands what the dialect takes of it to `fields`.
    ///
    /// # Errors
    /// It is not one JSON object, or a field that routing needs is missing, mistyped or repeated.
    pub(in crate::wire) fn read<F: Fields<'a>>(
        body: &'a Bytes,
        fields: &mut F,
    ) -> Result<Self, RequestError> {
        let unreadable = |why: &str| RequestError::unreadable(F::UNREADABLE, why);
        let text =
            std::str::from_utf8(body).map_err(|_| unreadable("the body is not valid UTF-8"))?;
        let mut pass = Pass {
            text,
            fields,
            model: None,
            stream: None,
            session_id: None,
            cuts: Vec::new(),
            repeated: None,
        };
        let mut json = serde_json::Deserializer::from_str(text);
        let read = pass.deserialize(&mut json).and_then(|()| json.end());
        if let Some(field) = pass.repeated {
            let message = format!("'{field}' stands more than once in the body");
            return Err(RequestError::about(field, message));
        }
        read.map_err(|error| unreadable(&error.to_string()))?;
        let (model, model_at) = pass.model()?;
        Ok(Self {
            text,
            model,
            model_at,
            stream: pass.is_stream()?,
            session_id: pass.session_id,
            cuts: pass.cuts,
        })
    }

    /// Where a value stands in the body.
    pub(in crate::wire) fn span(&self, value: Option<&RawValue>) -> Option<Range<usize>> {
        Some(span_of(self.text, value?.get()))
    }

    /// What is cut out of the body together with what `more` changes, in order.
    pub(in crate::wire) fn edits(self, more: impl IntoIterator<Item = Edit>) -> Vec<Edit> {
        let mut edits = self.cuts;
        edits.extend(more);
        edits.sort_by_key(|edit| edit.at.start);
        edits
    }
}

/// The pass itself.
struct Pass<'f, 'a, F> {
    text: &'a str,
    fields: &'f mut F,
    model: Option<&'a RawValue>,
    stream: Option<&'a RawValue>,
    session_id: Option<&'a RawValue>,
    cuts: Vec<Edit>,
    repeated: Option<&'static str>,
}

// === impl Pass ===

impl<'a, F: Fields<'a>> Pass<'_, 'a, F> {
    /// Notes one field that stays.
    fn take(&mut self, key: &str, value: &'a RawValue) -> Result<(), &'static str> {
        if self.fields.messages_in() == Some(key) {
            return self.fields.take_messages(Messages::of(self.text, value));
        }
        match key {
            "model" => once(&mut self.model, value, "model"),
            "stream" if self.fields.streams() => once(&mut self.stream, value, "stream"),
            _ => match self.misspelt(key) {
                Some(field) => Err(field),
                None => self.fields.take(key, value),
            },
        }
    }

    /// The list of messages that is this key's value.
    fn list_behind(&self, key: &Word<'a>) -> Option<At<'a>> {
        let key = key.borrowed()?;
        let wanted = self.fields.messages_in() == Some(key);
        wanted.then(|| At::behind(self.text, key).list()).flatten()
    }

    /// A field that some upstreams, which match keys without regard to case, would take for one that routing and
    /// permission depend on.
    fn misspelt(&self, key: &str) -> Option<&'static str> {
        let stream = self.fields.streams().then_some("stream");
        let mut exact = ["model"].into_iter().chain(stream);
        exact.find(|field| key.eq_ignore_ascii_case(field))
    }

    /// The model's name, and where it stands.
    fn model(&self) -> Result<(String, Range<usize>), RequestError> {
        let Some(model) = self.model else {
            return Err(RequestError::about("model", "you must provide a model"));
        };
        match serde_json::from_str::<String>(model.get()) {
            Ok(name) if !name.is_empty() => Ok((name, span_of(self.text, model.get()))),
            _ => Err(RequestError::about(
                "model",
                "'model' must be a string that is not empty",
            )),
        }
    }

    fn is_stream(&self) -> Result<bool, RequestError> {
        match self.stream.map(RawValue::get) {
            None | Some("null" | "false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(RequestError::about(
                "stream",
                "'stream' must be true or false",
            )),
        }
    }
}

impl<'de, F: Fields<'de>> DeserializeSeed<'de> for &mut Pass<'_, 'de, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de, F: Fields<'de>> Visitor<'de> for &mut Pass<'_, 'de, F> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let open = self.text.find('{').unwrap_or_default();
        let mut cut = Cut::behind(self.text, open);
        while let Some(key) = map.next_key::<Word<'de>>()? {
            if let Some(list) = self.list_behind(&key) {
                let messages = map.next_value_seed(list)?;
                cut.keep(span_of(self.text, messages.json).end);
                self.repeated = self.fields.take_messages(messages).err();
            } else {
                let value: &'de RawValue = map.next_value()?;
                let end = span_of(self.text, value.get()).end;
                if self.fields.is_for_router(&key) {
                    if &*key == "session_id" {
                        self.session_id = Some(value);
                    }
                    self.cuts.push(Edit::removal(cut.remove(end)));
                    continue;
                }
                cut.keep(end);
                self.repeated = self.take(&key, value).err();
            }
            if self.repeated.is_some() {
                return Err(A::Error::custom("repeated field"));
            }
        }
        Ok(())
    }
}
