//! Owns the tools that a request offers and which of them must be called. Must never offer one that was not given, but for the
//! one that stands for a schema.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use super::AnswerForm;
use crate::wire::anthropic::generation::Generation;
use crate::wire::anthropic::schema;
use crate::wire::anthropic::shape::{ANSWER_TOOL, CacheControl};
use crate::wire::dialect::Unsupported;
use crate::wire::hub::{Part, Request, Schema, Tool, ToolChoice};

/// A tool without arguments, and one whose arguments nobody knows any more.
const NO_ARGUMENTS: &str = r#"{"type":"object","properties":{}}"#;
/// What the tool that stands for a schema says of itself.
const ANSWER_WORDS: &str =
    "Takes the final answer: its input is the whole answer, as the JSON object that was asked for.";
/// Tools of one request that may be strict (structured outputs, limits).
const STRICT_TOOLS_MAX: usize = 20;

/// A tool as the dialect has it.
#[derive(Serialize)]
pub(super) struct ToolOut<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    input_schema: Cow<'a, RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_control: Option<CacheControl<'a>>,
}

/// Which tool must be called.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Choice<'a> {
    Auto {
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        disable_parallel_tool_use: bool,
    },
    Any {
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        disable_parallel_tool_use: bool,
    },
    Tool {
        name: &'a str,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        disable_parallel_tool_use: bool,
    },
    None,
}

// === impl Choice ===

impl Choice<'_> {
    /// Whether the model has no choice but to call one.
    pub(super) fn forces(&self) -> bool {
        matches!(self, Choice::Any { .. } | Choice::Tool { .. })
    }
}

/// Whether the tools can be offered to a generation.
///
/// # Errors
/// One takes arguments that Anthropic's models do not.
pub(super) fn check(request: &Request, generation: Generation) -> Result<(), Unsupported> {
    let several = |tool: &Tool| {
        let schema = tool.parameters.as_deref();
        schema.is_some_and(schema::is_of_several_kinds)
    };
    match generation != Generation::UNKNOWN && request.tools.iter().any(several) {
        true => Err(Unsupported("tools")),
        false => Ok(()),
    }
}

/// All tools that are declared.
pub(super) fn tools<'a>(
    request: &'a Request,
    form: &AnswerForm<'a>,
    generation: Generation,
) -> Vec<ToolOut<'a>> {
    let none = no_arguments();
    let strict = |tool| is_strict(tool, request, generation).then_some(true);
    let own = request.tools.iter().map(|tool| ToolOut {
        name: &tool.name,
        description: tool.description.as_deref(),
        input_schema: tool
            .parameters
            .as_deref()
            .map_or(Cow::Borrowed(none), schema::of_arguments),
        strict: strict(tool),
        cache_control: CacheControl::of(tool.cache.as_ref()),
    });
    let answer = match form {
        AnswerForm::Tool(schema) => Some(answer_tool(*schema)),
        AnswerForm::Text | AnswerForm::Native(_) => None,
    };
    let bare = |name| ToolOut {
        name,
        description: None,
        input_schema: Cow::Borrowed(none),
        strict: None,
        cache_control: None,
    };
    let called = called_only(request).into_iter().map(bare);
    own.chain(called).chain(answer).collect()
}

/// Which of them must be called; `None`: the dialect's default.
pub(super) fn choice<'a>(request: &'a Request, form: &AnswerForm<'_>) -> Option<Choice<'a>> {
    let disable_parallel_tool_use = request.parallel_tools == Some(false);
    let asked = request.tool_choice.as_ref();
    if matches!(form, AnswerForm::Tool(_)) {
        // One call: a second would be a second answer.
        return Some(match asked {
            Some(ToolChoice::None) => only_answer(),
            _ if request.tools.is_empty() => only_answer(),
            _ => Choice::Any {
                disable_parallel_tool_use: true,
            },
        });
    }
    if request.tools.is_empty() {
        // Tools of the past must be declared, and stay there.
        return (!called_only(request).is_empty()).then_some(Choice::None);
    }
    match asked {
        None | Some(ToolChoice::Auto) => {
            (asked.is_some() || disable_parallel_tool_use).then_some(Choice::Auto {
                disable_parallel_tool_use,
            })
        }
        Some(ToolChoice::None) => Some(Choice::None),
        Some(ToolChoice::Required) => Some(Choice::Any {
            disable_parallel_tool_use,
        }),
        Some(ToolChoice::Named(name)) => Some(Choice::Tool {
            name,
            disable_parallel_tool_use,
        }),
    }
}

fn only_answer<'a>() -> Choice<'a> {
    Choice::Tool {
        name: ANSWER_TOOL,
        disable_parallel_tool_use: true,
    }
}

fn answer_tool(schema: Option<&Schema>) -> ToolOut<'_> {
    let described = schema.and_then(|schema| schema.description.as_deref());
    ToolOut {
        name: ANSWER_TOOL,
        description: Some(described.unwrap_or(ANSWER_WORDS)),
        input_schema: schema.map_or(Cow::Borrowed(any_object()), |schema| {
            schema::of_arguments(&schema.schema)
        }),
        strict: None,
        cache_control: None,
    }
}

fn no_arguments() -> &'static RawValue {
    serde_json::from_str(NO_ARGUMENTS).expect("a constant that is JSON")
}

fn any_object() -> &'static RawValue {
    let any = r#"{"type":"object","additionalProperties":true}"#;
    serde_json::from_str(any).expect("a constant that is JSON")
}

/// The names of tools that were called and are offered no more. The API wants every tool of a conversation declared.
fn called_only(request: &Request) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    if !request.tools.is_empty() {
        return names;
    }
    for part in request.messages.iter().flat_map(|message| &message.parts) {
        if let Part::ToolCall(call) = part
            && !names.contains(&call.name.as_str())
        {
            names.push(&call.name);
        }
    }
    names
}

/// Whether a tool is declared strict.
pub(super) fn is_strict(tool: &Tool, request: &Request, generation: Generation) -> bool {
    let asked = generation.schema && tool.strict == Some(true);
    let schema = tool.parameters.as_deref();
    asked && request.tools.len() <= STRICT_TOOLS_MAX && schema.is_some_and(schema::is_native)
}
