//! Owns whether a chat replays reasoning that is bound to who made it. Must never judge what has another shape: the upstream will.

use std::ops::ControlFlow;

use serde::Deserialize;
use serde::de::{Deserializer, Error};
use serde_json::value::RawValue;

use crate::wire::client_request::messages::Messages;
use crate::wire::json::each;

/// Where reasoning stands that is sent back; a text that quotes it has a backslash before its last quote.
const DETAILS: &[u8] = br#""reasoning_details""#;

/// Whether messages hold reasoning with a signature, or reasoning that is encrypted.
pub(super) fn is_signed(messages: &Messages<'_>) -> bool {
    if !messages.hold(DETAILS) {
        return false;
    }
    let mut signed = false;
    let read = each(messages.json, |message: Replayed| {
        signed |= message.details.0;
        ControlFlow::Continue(())
    });
    read.is_ok() && signed
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
            let read = each(list.get(), |detail: Detail<'_>| {
                bound |= detail.is_bound();
                ControlFlow::Continue(())
            });
            read.map_err(D::Error::custom)?;
        }
        Ok(Self(bound))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasoning_is_bound_by_a_signature_or_by_encryption() {
        let is = |messages: &str| {
            let value = serde_json::from_str(messages).unwrap();
            is_signed(&Messages::of(messages, value))
        };
        let signed = |details: &str| {
            is(&format!(
                r#"[{{"role":"user","content":"hi"}},{{"role":"assistant","content":"yes","reasoning_details":{details}}}]"#
            ))
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
        assert!(!is(
            r#"[{"role":"user","content":"\"reasoning_details\":[{\"data\":\"x\"}]"}]"#
        ));
    }
}
