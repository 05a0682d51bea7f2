//! Owns what sellers want in the body who take the model in the path: the version, which Anthropic itself takes as a header
//! (<https://docs.claude.com/en/api/claude-on-vertex-ai>, 2026-11-22). Must never leave a model in an answer's request.

use bytes::Bytes;

/// The members that stand in the place of the model's. Only where tokens are counted the `model` is still one of them.
pub fn members(version: &str, model: Option<&str>) -> String {
    let text = |text: &str| serde_json::to_string(text).expect("a string always serialises");
    let version = text(version);
    match model {
        Some(model) => format!(r#""anthropic_version":{version},"model":{}"#, text(model)),
        None => format!(r#""anthropic_version":{version}"#),
    }
}

/// A body as [`super::Messages`] writes it for `model`, with the version in the model's place.
pub fn with_version(body: &Bytes, model: &str, version: &str) -> Bytes {
    let model = serde_json::to_string(model).expect("a string always serialises");
    let named = format!(r#"{{"model":{model}"#);
    match body.strip_prefix(named.as_bytes()) {
        Some(rest) => [b"{", members(version, None).as_bytes(), rest]
            .concat()
            .into(),
        None => body.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::wire::anthropic::Messages;
    use crate::wire::dialect::Upstream as _;
    use crate::wire::hub::{Message, Part, Request, Role};

    #[test]
    fn a_written_body_names_the_version_and_no_model() {
        let request = Request {
            messages: vec![Message {
                role: Role::User,
                parts: vec![Part::text("hi")],
            }],
            max_tokens: Some(5),
            ..Request::default()
        };
        let model = "claude-sonnet-4-5@20250929";
        let body = with_version(&Messages.write_request(&request, model), model, "vertex-1");
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["anthropic_version"], "vertex-1");
        assert_eq!(body["max_tokens"], 5);
        assert_eq!(body.get("model"), None);
    }

    #[test]
    fn where_tokens_are_counted_the_model_stays() {
        let members: serde_json::Value =
            serde_json::from_str(&format!("{{{}}}", members("v", Some("m\"")))).unwrap();
        assert_eq!(members, json!({"anthropic_version": "v", "model": "m\""}));
    }
}
