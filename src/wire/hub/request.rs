//! Owns what a client asks, whatever it asked in. Must never hold what only routing needs: those are the facts.

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::content::{Cache, Part, ToolResult};

/// A request for a chat answer.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// In order. System messages may stand anywhere: targets that have one place for them gather them there.
    pub messages: Vec<Message>,
    pub tools: Vec<Tool>,
    pub tool_choice: Option<ToolChoice>,
    /// Whether the model may call several tools at once; `None`: the target's default.
    pub parallel_tools: Option<bool>,
    pub format: Format,
    pub sampling: Sampling,
    pub stop: Vec<String>,
    /// Completion tokens at most.
    pub max_tokens: Option<u64>,
    pub reasoning: Option<Reasoning>,
    pub stream: bool,
    /// Answers asked for; 0 and 1 are one.
    pub choices: u32,
    /// Who asks, in the client's words.
    pub user: Option<String>,
    pub metadata: Option<Map<String, Value>>,
    pub service_tier: Option<String>,
    pub prompt_cache_key: Option<String>,
    /// `low`, `medium`, `high`: how long an answer is wanted.
    pub verbosity: Option<String>,
    /// Log-probabilities: of how many tokens beside the chosen one.
    pub logprobs: Option<u32>,
    /// Top-level fields that the hub has no name for, by their names in the client's dialect: a target leaves
    /// them out and says so.
    pub unknown: Vec<String>,
}

/// A turn, or a part of one: neighbours may have the same role.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    pub role: Role,
    /// Results of tools are parts of a user's message.
    pub parts: Vec<Part>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The developer's too.
    System,
    User,
    Assistant,
}

/// A function that the model may call.
#[derive(Clone, Debug)]
pub struct Tool {
    pub name: String,
    pub description: Option<String>,
    /// JSON Schema of its arguments. `None`: it takes none.
    pub parameters: Option<Box<RawValue>>,
    pub strict: Option<bool>,
    pub cache: Option<Cache>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToolChoice {
    Auto,
    None,
    Required,
    Named(String),
}

/// The form that the answer's text must have.
#[derive(Clone, Debug, Default)]
pub enum Format {
    #[default]
    Text,
    /// Any JSON object.
    Json,
    Schema(Schema),
}

#[derive(Clone, Debug)]
pub struct Schema {
    pub name: String,
    pub description: Option<String>,
    pub schema: Box<RawValue>,
    pub strict: Option<bool>,
}

/// How the next token is drawn; `None` is the target's default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sampling {
    pub temperature: Option<f64>,
    pub top_p: Option<f64>,
    pub top_k: Option<u64>,
    pub min_p: Option<f64>,
    pub frequency_penalty: Option<f64>,
    pub presence_penalty: Option<f64>,
    pub repetition_penalty: Option<f64>,
    pub seed: Option<i64>,
    pub logit_bias: Option<Map<String, Value>>,
}

/// How the model is to think first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reasoning {
    pub effort: Option<Effort>,
    /// Tokens that thinking may take.
    pub max_tokens: Option<u64>,
    /// The client does not want to see it.
    pub hidden: bool,
    /// `auto`, `concise`, `detailed`: a summary of it is wanted.
    pub summary: Option<String>,
}

/// OpenAI's and OpenRouter's steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effort {
    None,
    Minimal,
    Low,
    Medium,
    High,
    XHigh,
}

// === impl Request ===

impl Request {
    /// The name of the tool that a call of this id was for, as some dialects want it with the result.
    pub fn tool_named<'a>(&'a self, result: &'a ToolResult) -> Option<&'a str> {
        if let Some(name) = &result.name {
            return Some(name);
        }
        let parts = self.messages.iter().flat_map(|message| &message.parts);
        parts
            .filter_map(|part| match part {
                Part::ToolCall(call) => Some(call),
                _ => None,
            })
            .find(|call| call.id == result.id)
            .map(|call| call.name.as_str())
    }

    /// The parts of all system messages, in order.
    pub fn system(&self) -> impl Iterator<Item = &Part> {
        let system = self
            .messages
            .iter()
            .filter(|message| message.role == Role::System);
        system.flat_map(|message| &message.parts)
    }

    /// What user and model said by turns: neighbours of one role are one turn.
    pub fn turns(&self) -> Vec<(Role, Vec<&Part>)> {
        let mut turns: Vec<(Role, Vec<&Part>)> = Vec::new();
        for message in &self.messages {
            match (message.role, turns.last_mut()) {
                (Role::System, _) => {}
                (role, Some((last, parts))) if *last == role => parts.extend(&message.parts),
                (role, _) => turns.push((role, message.parts.iter().collect())),
            }
        }
        turns
    }
}

// === impl Effort ===

impl Effort {
    /// Every step, from none up.
    pub const ALL: [Self; 6] = [
        Self::None,
        Self::Minimal,
        Self::Low,
        Self::Medium,
        Self::High,
        Self::XHigh,
    ];

    /// The word in requests.
    pub const fn as_str(self) -> &'static str {
        match self {
            Effort::None => "none",
            Effort::Minimal => "minimal",
            Effort::Low => "low",
            Effort::Medium => "medium",
            Effort::High => "high",
            Effort::XHigh => "xhigh",
        }
    }

    /// The step of a word.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|effort| effort.as_str() == word)
    }

    /// The share of an answer's room that thinking may take, in percent: OpenRouter's table (10, 20, 50, 80, 95).
    pub const fn percent(self) -> u64 {
        match self {
            Effort::None => 0,
            Effort::Minimal => 10,
            Effort::Low => 20,
            Effort::Medium => 50,
            Effort::High => 80,
            Effort::XHigh => 95,
        }
    }
}

impl PartialEq for Tool {
    fn eq(&self, other: &Self) -> bool {
        let text = |tool: &Self| tool.parameters.as_deref().map(|json| json.get().to_owned());
        (
            &self.name,
            &self.description,
            text(self),
            self.strict,
            &self.cache,
        ) == (
            &other.name,
            &other.description,
            text(other),
            other.strict,
            &other.cache,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::hub::ToolCall;

    fn said(role: Role, text: &str) -> Message {
        Message {
            role,
            parts: vec![Part::text(text)],
        }
    }

    #[test]
    fn neighbours_of_one_role_are_one_turn_and_system_stands_apart() {
        let request = Request {
            messages: vec![
                said(Role::System, "s"),
                said(Role::User, "a"),
                said(Role::System, "t"),
                said(Role::User, "b"),
                said(Role::Assistant, "c"),
            ],
            ..Request::default()
        };
        let turns = request.turns();
        let found: Vec<_> = turns
            .iter()
            .map(|(role, parts)| {
                (
                    *role,
                    parts
                        .iter()
                        .filter_map(|part| part.as_text())
                        .collect::<String>(),
                )
            })
            .collect();
        assert_eq!(
            found,
            [
                (Role::User, "ab".to_owned()),
                (Role::Assistant, "c".to_owned())
            ]
        );
        let system: String = request.system().filter_map(Part::as_text).collect();
        assert_eq!(system, "st");
    }

    #[test]
    fn a_result_finds_the_name_of_its_tool() {
        let call = ToolCall {
            id: "c1".to_owned(),
            name: "look".to_owned(),
            ..ToolCall::default()
        };
        let request = Request {
            messages: vec![Message {
                role: Role::Assistant,
                parts: vec![Part::ToolCall(call)],
            }],
            ..Request::default()
        };
        let result = |id: &str, name: Option<&str>| ToolResult {
            id: id.to_owned(),
            name: name.map(str::to_owned),
            ..ToolResult::default()
        };
        assert_eq!(request.tool_named(&result("c1", None)), Some("look"));
        assert_eq!(request.tool_named(&result("c1", Some("own"))), Some("own"));
        assert_eq!(request.tool_named(&result("c2", None)), None);
    }
}
