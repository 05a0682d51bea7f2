//! Owns the reading of a complete JSON answer. Must never take an error for an answer because its
//! status was 200.

use std::borrow::Cow;

use bytes::Bytes;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer as _};
use serde_json::value::RawValue;

use super::shape::{Finish, Message, ModelValue, is_error, is_filled, usage};
use crate::core::exchange::{AnswerFacts, Usage};
use crate::core::outcome::ErrorFacts;
use crate::wire::client_request::operation::Operation;
use crate::wire::error_facts;
use crate::wire::rope::Rope;
use crate::wire::splice::splice;

/// What a complete body of status 200 was.
#[derive(Clone, Debug)]
pub enum Answer {
    /// An answer, and its bytes with the catalogue's model name.
    Good { facts: AnswerFacts, body: Rope },
    /// An error inside a 200.
    Error(Box<ErrorFacts>),
    /// Not the dialect's format.
    Malformed,
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    object: Option<&'a RawValue>,
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    #[serde(borrow)]
    choices: Option<Vec<Choice<'a>>>,
    /// What embeddings bring in the choices' place.
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    detail: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow)]
    message: Option<Message<'a>>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    finish_reason: Option<&'a RawValue>,
}

/// Reads a complete answer of `operation` to a request for the catalogue's `model`.
pub fn read(operation: Operation, body: &Bytes, model: &str) -> Answer {
    let Ok(text) = std::str::from_utf8(body) else {
        return Answer::Malformed;
    };
    let Ok(answer) = serde_json::from_str::<Body<'_>>(text) else {
        return Answer::Malformed;
    };
    if answer.is_error() {
        return Answer::Error(Box::new(error_facts::error_in_answer(body)));
    }
    if answer.has_failed_choice() {
        return Answer::Error(Box::new(error_facts::error_in_choice(body)));
    }
    let usage = usage(answer.usage);
    let Some(empty) = answer.is_empty(operation, usage) else {
        return Answer::Malformed;
    };
    let edit = ModelValue::new(model).edit(text, answer.model);
    Answer::Good {
        facts: AnswerFacts { empty, usage },
        body: splice(body, &edit).coalesce(),
    }
}

/// The beginning of an answer that is too long to hold, with the catalogue's `model` where the model stands
/// in it; providers name it before the choices.
pub fn read_beginning(start: &Bytes, model: &str) -> Rope {
    let text = match std::str::from_utf8(start) {
        Ok(text) => text,
        Err(error) => start
            .get(..error.valid_up_to())
            .and_then(|valid| std::str::from_utf8(valid).ok())
            .unwrap_or_default(),
    };
    let mut named = Named::default();
    // The text stops in the middle, so that reading it ends in an error: what came before it counts.
    serde_json::Deserializer::from_str(text)
        .deserialize_map(&mut named)
        .ok();
    let edit = named
        .0
        .and_then(|value| ModelValue::new(model).edit(text, Some(value)));
    splice(start, &edit).coalesce()
}

/// The value of the first `model` at the top.
#[derive(Default)]
struct Named<'a>(Option<&'a RawValue>);

impl<'de> Visitor<'de> for &mut Named<'de> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            if key == "model" {
                self.0 = Some(map.next_value()?);
                return Ok(());
            }
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

// === impl Body ===

impl Body<'_> {
    fn is_error(&self) -> bool {
        let nothing = self.choices.is_none() && self.data.is_none();
        let bare = nothing && (self.message.is_some() || self.detail.is_some());
        bare || is_error(self.error, self.object)
    }

    fn has_failed_choice(&self) -> bool {
        let mut choices = self.choices.iter().flatten();
        choices.any(|choice| choice.finish() == Finish::Error)
    }

    /// Whether nothing is in it; `None` where that which the operation brings is not even there.
    fn is_empty(&self, operation: Operation, usage: Option<Usage>) -> Option<bool> {
        if operation == Operation::Embeddings {
            let list = self.data.filter(|data| data.get().starts_with('['))?;
            return Some(!is_filled(Some(list)));
        }
        // No choice has content or says why it has none, and no token was counted.
        let choices = self.choices.as_ref()?;
        let counted = usage.is_some_and(|usage| usage.completion_tokens > 0);
        Some(!counted && choices.iter().all(|choice| choice.is_empty(operation)))
    }
}

// === impl Choice ===

impl Choice<'_> {
    fn finish(&self) -> Finish {
        Finish::of(self.finish_reason)
    }

    fn is_empty(&self, operation: Operation) -> bool {
        let silent = matches!(self.finish(), Finish::Open | Finish::Stop);
        let content = match operation {
            Operation::Chat => self.message.as_ref().is_some_and(Message::has_content),
            Operation::Completions | Operation::Embeddings => is_filled(self.text),
        };
        silent && !content
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::outcome::Hint;

    fn answer_of(operation: Operation, body: &str) -> Answer {
        read(operation, &Bytes::copy_from_slice(body.as_bytes()), "a/m")
    }

    fn answer(body: &str) -> Answer {
        answer_of(Operation::Chat, body)
    }

    fn good(body: &str) -> (AnswerFacts, String) {
        let Answer::Good { facts, body } = answer(body) else {
            panic!("not good: {body}");
        };
        let body = String::from_utf8(body.segments().concat()).unwrap();
        (facts, body)
    }

    fn facts_of(body: &str) -> ErrorFacts {
        let Answer::Error(facts) = answer(body) else {
            panic!("not an error: {body}");
        };
        *facts
    }

    #[test]
    fn the_model_is_named_as_the_catalogue_does() {
        let body = r#"{"id":"x", "model" : "up-2025","choices":[{"message":{"content":"hi"},"finish_reason":"stop"}]}"#;
        let (facts, out) = good(body);
        assert_eq!(out, body.replace("up-2025", "a/m"));
        assert!(!facts.empty && facts.usage.is_none());
        let body = r#"{"choices":[{"message":{"content":"hi"}}]}"#;
        assert_eq!(good(body).1, body);
    }

    #[test]
    fn the_beginning_of_a_long_answer_is_renamed_wherever_it_stops() {
        let named = r#"{"id":"é", "a":{"model":1},"model":"up-2025""#;
        let rest = r#","choices":[{"message":{"content":"é"#;
        let whole = [named, rest].concat();
        for end in 0..=whole.len() {
            let start = Bytes::copy_from_slice(&whole.as_bytes()[..end]);
            let renamed = read_beginning(&start, "a/m").segments().concat();
            let expected = match end < named.len() {
                true => start.to_vec(),
                false => [
                    named.replace("up-2025", "a/m").as_bytes(),
                    &start[named.len()..],
                ]
                .concat(),
            };
            assert_eq!(renamed, expected, "{end}");
        }
        let other = Bytes::from_static(b"[1, 2");
        assert_eq!(read_beginning(&other, "a/m").segments().concat(), other);
    }

    #[test]
    fn an_answer_without_content_or_reason_is_empty() {
        let of = |choices: &str, usage: &str| {
            good(&format!(r#"{{"choices":[{choices}],"usage":{usage}}}"#))
                .0
                .empty
        };
        let none = r#"{"prompt_tokens":5,"completion_tokens":0}"#;
        let some = r#"{"prompt_tokens":5,"completion_tokens":7}"#;
        let blank = r#"{"message":{"content":null},"finish_reason":"stop"}"#;
        assert!(of("", "null"));
        assert!(of(blank, none));
        assert!(of(
            r#"{"message":{"content":"","tool_calls":[]},"finish_reason":null}"#,
            "null"
        ));
        assert!(!of(blank, some));
        assert!(!of(
            r#"{"message":{"content":null},"finish_reason":"content_filter"}"#,
            none
        ));
        assert!(!of(
            r#"{"message":{"refusal":"no"},"finish_reason":"stop"}"#,
            none
        ));
        assert!(!of(
            r#"{"message":{"tool_calls":[{}]},"finish_reason":"stop"}"#,
            none
        ));
        assert!(!of(
            &format!(r#"{blank},{{"message":{{"content":"b"}}}}"#),
            none
        ));
    }

    #[test]
    fn an_error_in_a_200_is_an_error() {
        let facts = facts_of(r#"{"error":{"message":"down","code":503}}"#);
        assert_eq!((facts.status, facts.hint), (200, Some(Hint::Overloaded)));
        assert_eq!(facts.message, "down");
        assert_eq!(facts_of(r#"{"error":"boom"}"#).message, "boom");
        let facts = facts_of(r#"{"object":"error","message":"broken","type":"x"}"#);
        assert_eq!(facts.message, "broken");
        let facts = facts_of(
            r#"{"choices":[{"message":{"content":"par"},"finish_reason":"error","error":{"message":"cut","code":502}}]}"#,
        );
        assert_eq!((facts.message.as_str(), facts.status), ("cut", 200));
        assert_eq!(facts_of(r#"{"detail":"gone"}"#).message, "gone");
        let body = r#"{"error":null,"choices":[{"message":{"content":"x"}}]}"#;
        assert!(!good(body).0.empty);
    }

    #[test]
    fn what_is_no_answer_is_malformed() {
        for body in [
            "",
            "{}",
            "[]",
            "<html>",
            r#"{"choices":7}"#,
            r#"{"choices":[{"message":{"con"#,
        ] {
            assert!(matches!(answer(body), Answer::Malformed), "{body}");
        }
        assert!(matches!(
            read(
                Operation::Chat,
                &Bytes::from_static(b"{\"choices\":[],\"a\":\"\xff\"}"),
                "m"
            ),
            Answer::Malformed
        ));
    }
    #[test]
    fn completions_and_embeddings_are_read_by_their_own_content() {
        let empty = |operation, body: &str| match answer_of(operation, body) {
            Answer::Good { facts, .. } => Some(facts.empty),
            Answer::Error(_) | Answer::Malformed => None,
        };
        let text = r#"{"choices":[{"text":"hi","finish_reason":"stop"}]}"#;
        assert_eq!(empty(Operation::Completions, text), Some(false));
        assert_eq!(empty(Operation::Chat, text), Some(true));
        assert_eq!(empty(Operation::Embeddings, text), None);
        let length = r#"{"choices":[{"text":"","finish_reason":"length"}]}"#;
        assert_eq!(empty(Operation::Completions, length), Some(false));
        let chat = r#"{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}]}"#;
        assert_eq!(empty(Operation::Completions, chat), Some(true));
        let vectors = r#"{"data":[{"embedding":"AACAPw=="}],"message":"a field of theirs"}"#;
        assert_eq!(empty(Operation::Embeddings, vectors), Some(false));
        assert_eq!(empty(Operation::Completions, vectors), None);
        assert_eq!(empty(Operation::Embeddings, r#"{"data":[ ]}"#), Some(true));
        assert_eq!(empty(Operation::Embeddings, r#"{"data":"all"}"#), None);
    }

    #[test]
    fn embeddings_name_their_model_and_usage_behind_the_vectors() {
        let body = r#"{"object":"list","data":[{"embedding":[0.10]}],"model":"up","usage":{"prompt_tokens":8,"total_tokens":8}}"#;
        let Answer::Good { facts, body: out } = answer_of(Operation::Embeddings, body) else {
            panic!("not good");
        };
        assert_eq!(
            out.segments().concat(),
            body.replace("\"up\"", "\"a/m\"").as_bytes()
        );
        let usage = facts.usage.unwrap();
        assert_eq!((usage.prompt_tokens, usage.completion_tokens), (8, 0));
    }
}
