//! Owns the answers of Cohere's second chat API: a message, and its stream.
//! Format: <https://docs.cohere.com/v2/docs/streaming>.

use bytes::Bytes;
use serde_json::{Value, json};

use super::error;
use crate::cmd::mock::dialects::frames::{Frame, Frames, Mark, sse};
use crate::cmd::mock::dialects::plan::{Finish, Plan, Said};
use crate::cmd::mock::dialects::trouble::Trouble;

/// What a model says before it calls tools.
const TOOL_PLAN: &str = "I will look it up.";

/// The id of an answer.
pub(crate) fn id(plan: &Plan) -> String {
    format!("00000000-0000-4000-8000-{:012}", plan.number)
}

/// The whole answer.
pub(crate) fn whole(plan: &Plan) -> Value {
    let mut message = json!({"role": "assistant"});
    let content: Vec<Value> = plan.parts.iter().filter_map(content).collect();
    if !content.is_empty() {
        message["content"] = content.into();
    }
    let calls: Vec<Value> = plan.parts.iter().filter_map(call).collect();
    if !calls.is_empty() {
        message["tool_plan"] = TOOL_PLAN.into();
        message["tool_calls"] = calls.into();
    }
    let mut answer =
        json!({"id": id(plan), "message": message, "finish_reason": reason(&plan.finish)});
    if plan.tells_usage {
        answer["usage"] = usage(plan);
    }
    answer
}

fn content(said: &Said) -> Option<Value> {
    match said {
        Said::Thought(tokens) => Some(json!({"type": "thinking", "thinking": tokens.concat()})),
        Said::Text(tokens) | Said::Refusal(tokens) => {
            Some(json!({"type": "text", "text": tokens.concat()}))
        }
        Said::Call { .. } => None,
    }
}

fn call(said: &Said) -> Option<Value> {
    let Said::Call {
        id,
        name,
        arguments,
    } = said
    else {
        return None;
    };
    let function = json!({"name": name, "arguments": arguments.concat()});
    Some(json!({"id": format!("{name}_{id}"), "type": "function", "function": function}))
}

fn reason(finish: &Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::Refusal => "COMPLETE",
        Finish::Sequence(_) => "STOP_SEQUENCE",
        Finish::Length => "MAX_TOKENS",
        Finish::Calls => "TOOL_CALL",
        Finish::Filtered => "ERROR_TOXIC",
    }
}

fn usage(plan: &Plan) -> Value {
    let usage = &plan.usage;
    json!({
        "billed_units": {"input_tokens": usage.input - usage.cached, "output_tokens": usage.output},
        "tokens": {"input_tokens": usage.input, "output_tokens": usage.output}, "cached_tokens": usage.cached,
    })
}

/// The stream, event by event. Contents and calls are counted apart.
pub(crate) fn stream(plan: &Plan) -> Vec<Frame> {
    let mut frames = Frames::default();
    let message = json!({"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []});
    let start = json!({"id": id(plan), "delta": {"message": message}});
    frames.push(Mark::Opening, event("message-start", start));
    let (mut contents, mut calls) = (0, 0);
    for said in &plan.parts {
        match said {
            Said::Thought(tokens) => {
                stream_content(&mut frames, contents, "thinking", tokens);
                contents += 1;
            }
            Said::Text(tokens) | Said::Refusal(tokens) => {
                stream_content(&mut frames, contents, "text", tokens);
                contents += 1;
            }
            Said::Call { arguments, .. } => {
                if calls == 0 {
                    let delta = json!({"delta": {"message": {"tool_plan": TOOL_PLAN}}});
                    frames.push(Mark::Between, event("tool-plan-delta", delta));
                }
                stream_call(&mut frames, calls, said, arguments);
                calls += 1;
            }
        }
    }
    let mut delta = json!({"finish_reason": reason(&plan.finish)});
    if plan.tells_usage {
        delta["usage"] = usage(plan);
    }
    frames.push(Mark::Finish, event("message-end", json!({"delta": delta})));
    frames.finish()
}

fn stream_content(frames: &mut Frames, index: usize, kind: &str, tokens: &[String]) {
    let delta =
        |content: Value| json!({"index": index, "delta": {"message": {"content": content}}});
    let start = delta(json!({"type": kind, kind: ""}));
    frames.push(Mark::Between, event("content-start", start));
    for token in tokens {
        frames.token(event("content-delta", delta(json!({kind: token}))));
    }
    frames.push(Mark::Between, event("content-end", json!({"index": index})));
}

fn stream_call(frames: &mut Frames, index: usize, said: &Said, arguments: &[String]) {
    let delta = |calls: Value| json!({"index": index, "delta": {"message": {"tool_calls": calls}}});
    let mut start = call(said).unwrap_or_default();
    start["function"]["arguments"] = "".into();
    frames.push(Mark::Between, event("tool-call-start", delta(start)));
    for part in arguments {
        frames.token(event(
            "tool-call-delta",
            delta(json!({"function": {"arguments": part}})),
        ));
    }
    frames.push(
        Mark::Between,
        event("tool-call-end", json!({"index": index})),
    );
}

fn event(name: &str, mut data: Value) -> Bytes {
    data["type"] = name.into();
    sse(Some(name), &data)
}

/// The event that ends a stream that breaks.
pub(crate) fn failure(trouble: &Trouble) -> Bytes {
    let message = error(trouble, "")["message"].clone();
    event(
        "message-end",
        json!({"delta": {"error": message, "finish_reason": "ERROR"}}),
    )
}
