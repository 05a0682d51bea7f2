//! Owns what a request means, whatever dialect it came in, and the canonical JSON of it: the digest.
//! Must never know a dialect, nor share a type with what Mainstay translates by: it is the judge of that.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

/// A request as it was understood. What is serialized is the digest; the rest serves the answer alone.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Understood {
    /// The lines of all system texts, in order, blank ones left out: dialects join texts differently.
    pub(crate) system: Vec<String>,
    /// The turns, those of one side in a row as one.
    pub(crate) turns: Vec<Turn>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) tools: Vec<Tool>,
    /// Only where there are tools; said or not, `auto` is `auto`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tool_choice: Option<Choice>,
    /// Only where parallel calls are switched off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) parallel: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) format: Option<Format>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) sampling: BTreeMap<&'static str, Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) stop: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reasoning: Option<Reasoning>,
    pub(crate) stream: bool,
    pub(crate) n: u64,
    /// What changes no meaning (user, metadata, tier) or has no word in other dialects. Not in the digest.
    #[serde(skip)]
    pub(crate) hints: BTreeMap<String, Value>,
    /// The ids of tool calls as they were sent; the digest counts them instead.
    #[serde(skip)]
    pub(crate) ids: Vec<String>,
    /// The names of the tools called, by the same numbers.
    #[serde(skip)]
    pub(crate) called: Vec<String>,
    #[serde(skip)]
    pub(crate) model: String,
    /// How many marks for a prompt cache there are.
    #[serde(skip)]
    pub(crate) cache_marks: u64,
    /// Whether the reasoning's text is to be shown.
    #[serde(skip)]
    pub(crate) shows_reasoning: bool,
    /// Whether sealed reasoning is to be sent along.
    #[serde(skip)]
    pub(crate) seals_reasoning: bool,
    /// Whether a stream is to tell usage.
    #[serde(skip)]
    pub(crate) include_usage: bool,
}

/// What one side says.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Turn {
    pub(crate) role: Role,
    pub(crate) parts: Vec<Part>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// The user, and the tools that answer in the user's turn.
    User,
    Assistant,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Part {
    Text(String),
    Image(Blob),
    Document(Blob),
    Audio(Blob),
    Video(Blob),
    Reasoning(String),
    Call {
        /// The number of the call in the conversation.
        id: usize,
        name: String,
        arguments: Value,
    },
    Result {
        /// The number of the call that it answers.
        id: usize,
        content: Vec<Part>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        error: bool,
    },
    /// What a tool said, when it is a JSON object.
    Json(Value),
}

/// Something that is not text: by the hash of its bytes, by its address, or by a provider's id.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Blob {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) media_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Tool {
    pub(crate) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
    pub(crate) schema: Value,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) strict: bool,
    /// The provider's own tool of this kind, instead of a function.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) server: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Choice {
    Auto,
    None,
    Required,
    Named(String),
    /// One of these, required.
    OneOf(Vec<String>),
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Format {
    Json,
    Schema(Value),
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Reasoning {
    pub(crate) on: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) effort: Option<String>,
    /// In tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) budget: Option<u64>,
}

// === impl Understood ===

impl Understood {
    /// A request that has said nothing yet.
    pub(crate) fn new(model: &str) -> Self {
        Self {
            model: model.to_owned(),
            n: 1,
            ..Self::default()
        }
    }

    /// The canonical JSON: sorted keys, no white space, whole numbers without a fraction.
    pub(crate) fn digest(&self) -> String {
        let value = serde_json::to_value(self).unwrap_or_default();
        canonical(value).to_string()
    }

    /// Adds a system text.
    pub(crate) fn instruct(&mut self, text: &str) {
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        self.system.extend(lines.map(str::to_owned));
    }

    /// Adds what a side says; empty texts say nothing.
    pub(crate) fn say(&mut self, role: Role, parts: Vec<Part>) {
        let said = |part: &Part| !matches!(part, Part::Text(text) if text.is_empty());
        let parts = parts.into_iter().filter(said);
        match self.turns.last_mut() {
            Some(turn) if turn.role == role => turn.parts.extend(parts),
            _ => self.turns.push(Turn {
                role,
                parts: parts.collect(),
            }),
        }
    }

    /// A tool call, which gets the next number.
    pub(crate) fn call(&mut self, id: &str, name: &str, arguments: Value) -> Part {
        self.ids.push(id.to_owned());
        self.called.push(name.to_owned());
        Part::Call {
            id: self.ids.len() - 1,
            name: name.to_owned(),
            arguments: canonical(arguments),
        }
    }

    /// The number of the call with this id; the latest, where an id was used twice.
    pub(crate) fn number_of(&self, id: &str) -> Option<usize> {
        self.ids.iter().rposition(|known| known == id)
    }

    /// Notes a number of the sampling, where there is one.
    pub(crate) fn sample(&mut self, name: &'static str, value: Option<f64>) {
        if let Some(value) = value {
            self.sampling.insert(name, canonical(Value::from(value)));
        }
    }

    /// Notes what is not in the digest, where it is said.
    pub(crate) fn hint(&mut self, name: &str, value: Option<Value>) {
        if let Some(value) = value.filter(|value| !value.is_null()) {
            self.hints.insert(name.to_owned(), value);
        }
    }

    /// Lays down the choice of tools: none where there are no tools, `auto` where nothing is said.
    pub(crate) fn choose(&mut self, choice: Option<Choice>, parallel: Option<bool>) {
        if !self.tools.is_empty() {
            self.tool_choice = Some(choice.unwrap_or(Choice::Auto));
            self.parallel = parallel.filter(|parallel| !parallel);
        }
    }

    /// The user's last text, when the user spoke last.
    pub(crate) fn last_text(&self) -> &str {
        let last = self.turns.last().filter(|turn| turn.role == Role::User);
        let texts = last.into_iter().flat_map(|turn| turn.parts.iter().rev());
        texts
            .into_iter()
            .find_map(|part| match part {
                Part::Text(text) => Some(text.as_str()),
                _ => None,
            })
            .unwrap_or("")
    }

    /// Whether the last word is the assistant's.
    pub(crate) fn is_prefilled(&self) -> bool {
        self.turns
            .last()
            .is_some_and(|turn| turn.role == Role::Assistant)
    }
}

// === impl Blob ===

impl Blob {
    /// Bytes, by their hash.
    pub(crate) fn bytes(media_type: &str, bytes: &[u8]) -> Self {
        Self {
            media_type: Some(media_type.to_ascii_lowercase()),
            sha256: Some(sha256(bytes)),
            ..Self::default()
        }
    }

    /// Something at an address.
    pub(crate) fn url(url: &str) -> Self {
        Self {
            url: Some(url.to_owned()),
            ..Self::default()
        }
    }

    /// Something that the provider holds.
    pub(crate) fn file(id: &str) -> Self {
        Self {
            file: Some(id.to_owned()),
            ..Self::default()
        }
    }

    /// The part that a blob of this type is.
    pub(crate) fn part(self) -> Part {
        match self.media_type.as_deref().unwrap_or("") {
            media if media.starts_with("image/") => Part::Image(self),
            media if media.starts_with("audio/") => Part::Audio(self),
            media if media.starts_with("video/") => Part::Video(self),
            _ => Part::Document(self),
        }
    }
}

// === impl Tool ===

impl Tool {
    /// A function. Schemas are compared without what says nothing.
    pub(crate) fn function(name: &str, description: Option<String>, schema: Option<Value>) -> Self {
        Self {
            name: name.to_owned(),
            description: description.filter(|text| !text.is_empty()),
            schema: plain_schema(schema.unwrap_or(Value::Null)),
            strict: false,
            server: None,
        }
    }

    /// A tool that the provider runs.
    pub(crate) fn server(kind: &str) -> Self {
        Self {
            server: Some(kind.to_owned()),
            ..Self::function(kind, None, None)
        }
    }
}

/// A schema without `$schema`, and without empty `properties` and `required` at its top; none is any object.
pub(crate) fn plain_schema(schema: Value) -> Value {
    let Value::Object(mut fields) = canonical(schema) else {
        return serde_json::json!({"type": "object"});
    };
    fields.remove("$schema");
    fields.entry("type").or_insert_with(|| "object".into());
    for name in ["properties", "required"] {
        let is_empty = match fields.get(name) {
            Some(Value::Object(inner)) => inner.is_empty(),
            Some(Value::Array(inner)) => inner.is_empty(),
            _ => false,
        };
        if is_empty {
            fields.remove(name);
        }
    }
    Value::Object(fields)
}

/// What a tool said: the object that the text is, or the text.
pub(crate) fn tool_text(text: &str) -> Part {
    match serde_json::from_str(text) {
        Ok(value @ Value::Object(_)) => Part::Json(canonical(value)),
        _ => Part::Text(text.to_owned()),
    }
}

/// The same JSON with sorted keys, and whole numbers without a fraction.
pub(crate) fn canonical(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let sorted: BTreeMap<String, Value> = fields.into_iter().collect();
            let fields = sorted.into_iter();
            Value::Object(
                fields
                    .map(|(name, value)| (name, canonical(value)))
                    .collect::<Map<_, _>>(),
            )
        }
        Value::Array(items) => items.into_iter().map(canonical).collect(),
        Value::Number(number) => whole(&number).map_or(Value::Number(number), Value::from),
        other => other,
    }
}

/// The whole number that a number with a fraction of zero is.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the bound is checked, and there is no fraction"
)]
fn whole(number: &serde_json::Number) -> Option<i64> {
    let float = number.as_f64().filter(|_| number.is_f64())?;
    (float.fract() == 0.0 && float.abs() < 9e15).then_some(float as i64)
}

/// SHA-256 in hex.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_digest_does_not_depend_on_spelling() {
        let mut one = Understood::new("a");
        one.instruct("Be brief.\n\nBe kind.");
        one.say(
            Role::User,
            vec![Part::Text("x".into()), Part::Text(String::new())],
        );
        one.say(Role::User, vec![Part::Text("y".into())]);
        one.sample("temperature", Some(1.0));
        let mut two = Understood::new("b");
        two.instruct("Be brief.");
        two.instruct("Be kind.");
        two.say(
            Role::User,
            vec![Part::Text("x".into()), Part::Text("y".into())],
        );
        two.sampling.insert("temperature", json!(1));
        assert_eq!(one.digest(), two.digest());
        assert_eq!(
            one.digest(),
            r#"{"n":1,"sampling":{"temperature":1},"stream":false,"system":["Be brief.","Be kind."],"turns":[{"parts":[{"text":"x"},{"text":"y"}],"role":"user"}]}"#
        );
    }

    #[test]
    fn schemas_that_say_the_same_are_the_same() {
        let long = json!({"$schema": "x", "type": "object", "required": [], "properties": {}});
        assert_eq!(plain_schema(long), plain_schema(Value::Null));
        let kept =
            json!({"type": "object", "properties": {"b": {"type": "integer", "minimum": 1.0}}});
        assert_eq!(plain_schema(kept)["properties"]["b"]["minimum"], json!(1));
    }

    #[test]
    fn calls_are_counted_and_found_again() {
        let mut asked = Understood::new("m");
        let first = asked.call("x", "look", json!({"b": 1, "a": 2.0}));
        assert!(matches!(first, Part::Call { id: 0, .. }));
        assert!(matches!(
            asked.call("y", "look", json!({})),
            Part::Call { id: 1, .. }
        ));
        assert_eq!(
            (asked.number_of("x"), asked.number_of("z")),
            (Some(0), None)
        );
    }
}
