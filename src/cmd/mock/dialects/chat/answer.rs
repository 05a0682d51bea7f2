//! Owns the answers of chat that are planned like those of the other dialects: for a script that is strict, and for
//! prompts that ask for something. All others are in `cmd/mock/chat`.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::cmd::mock::dialects::frames::{Frame, Frames, Mark, sse};
use crate::cmd::mock::dialects::plan::{Finish, Plan, Said};
use crate::cmd::mock::dialects::understood::Understood;

/// The whole answer.
pub(crate) fn whole(plan: &Plan, asked: &Understood) -> Value {
    let message = message(plan);
    let choice = |index| json!({"index": index, "message": message, "logprobs": null, "finish_reason": reason(&plan.finish)});
    let mut answer = shell(
        plan,
        "chat.completion",
        &(0..asked.n).map(choice).collect::<Vec<_>>(),
    );
    if plan.tells_usage {
        answer["usage"] = usage(plan);
    }
    answer
}

fn shell(plan: &Plan, object: &str, choices: &[Value]) -> Value {
    json!({
        "id": plan.id("chatcmpl-"), "object": object, "created": plan.created, "model": plan.model,
        "system_fingerprint": "fp_mock", "choices": choices,
    })
}

fn message(plan: &Plan) -> Value {
    let mut message = json!({"role": "assistant", "content": null, "refusal": null});
    let mut calls = Vec::new();
    for said in &plan.parts {
        match said {
            Said::Thought(tokens) => message["reasoning_content"] = tokens.concat().into(),
            Said::Text(tokens) => message["content"] = tokens.concat().into(),
            Said::Refusal(tokens) => message["refusal"] = tokens.concat().into(),
            Said::Call {
                id,
                name,
                arguments,
            } => calls.push(call(id, name, &arguments.concat())),
        }
    }
    if !calls.is_empty() {
        message["tool_calls"] = calls.into();
    }
    message
}

fn call(id: &str, name: &str, arguments: &str) -> Value {
    json!({"id": format!("call_{id}"), "type": "function", "function": {"name": name, "arguments": arguments}})
}

fn reason(finish: &Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::Sequence(_) | Finish::Refusal => "stop",
        Finish::Length => "length",
        Finish::Calls => "tool_calls",
        Finish::Filtered => "content_filter",
    }
}

fn usage(plan: &Plan) -> Value {
    let usage = &plan.usage;
    json!({
        "prompt_tokens": usage.input, "completion_tokens": usage.output, "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": {"cached_tokens": usage.cached},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    })
}

/// The stream, chunk by chunk.
pub(crate) fn stream(plan: &Plan, asked: &Understood) -> Vec<Frame> {
    let mut frames = Frames::default();
    let tells = plan.tells_usage && asked.include_usage;
    let chunk = |delta: &Value, finish: Option<&str>| {
        let choice = |index| json!({"index": index, "delta": delta, "logprobs": null, "finish_reason": finish});
        let mut chunk = shell(
            plan,
            "chat.completion.chunk",
            &(0..asked.n).map(choice).collect::<Vec<_>>(),
        );
        if tells {
            chunk["usage"] = Value::Null;
        }
        sse(None, &chunk)
    };
    let role = json!({"role": "assistant", "content": "", "refusal": null});
    frames.push(Mark::Opening, chunk(&role, None));
    let mut calls = 0;
    for said in &plan.parts {
        let field = match said {
            Said::Thought(_) => "reasoning_content",
            Said::Text(_) => "content",
            Said::Refusal(_) => "refusal",
            Said::Call { id, name, .. } => {
                let mut begun = call(id, name, "");
                begun["index"] = calls.into();
                frames.push(Mark::Between, chunk(&json!({"tool_calls": [begun]}), None));
                calls += 1;
                ""
            }
        };
        for token in said.tokens() {
            let delta = match said {
                Said::Call { .. } => {
                    json!({"tool_calls": [{"index": calls - 1, "function": {"arguments": token}}]})
                }
                _ => json!({field: token}),
            };
            frames.token(chunk(&delta, None));
        }
    }
    frames.push(Mark::Finish, chunk(&json!({}), Some(reason(&plan.finish))));
    if tells {
        let mut last = shell(plan, "chat.completion.chunk", &[]);
        last["usage"] = usage(plan);
        frames.push(Mark::Between, sse(None, &last));
    }
    frames.push(Mark::Done, Bytes::from_static(b"data: [DONE]\n\n"));
    frames.finish()
}
