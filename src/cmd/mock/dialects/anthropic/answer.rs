//! Owns the answers of the Messages API: a message, its stream, a count.
//! Format: <https://docs.anthropic.com/en/api/messages-streaming>.

use bytes::Bytes;
use serde_json::{Value, json};

use super::ORIGIN;
use crate::cmd::mock::dialects::frames::{Frame, Frames, Mark, sse};
use crate::cmd::mock::dialects::plan::{Finish, Plan, Said, Usage};
use crate::cmd::mock::dialects::seal;
use crate::cmd::mock::dialects::understood::Understood;

/// The whole message.
pub(crate) fn whole(plan: &Plan, asked: &Understood) -> Value {
    let blocks: Vec<Value> = plan
        .parts
        .iter()
        .filter_map(|said| block(said, asked))
        .collect();
    let mut message = shell(plan, &blocks, &plan.finish);
    if plan.tells_usage {
        message["usage"] = usage(&plan.usage, plan.usage.output);
    }
    message
}

fn shell(plan: &Plan, blocks: &[Value], finish: &Finish) -> Value {
    json!({
        "model": plan.model, "id": plan.id("msg_"), "type": "message", "role": "assistant", "content": blocks,
        "stop_reason": reason(finish), "stop_sequence": sequence(finish),
        "stop_details": details(plan),
    })
}

fn block(said: &Said, asked: &Understood) -> Option<Value> {
    Some(match said {
        Said::Thought(tokens) => {
            let text = tokens.concat();
            let shown = if asked.shows_reasoning {
                text.as_str()
            } else {
                ""
            };
            json!({"type": "thinking", "thinking": shown, "signature": seal::seal(ORIGIN, &text)})
        }
        Said::Text(tokens) => json!({"type": "text", "text": tokens.concat()}),
        Said::Call {
            id,
            name,
            arguments,
        } => {
            let input: Value = serde_json::from_str(&arguments.concat()).unwrap_or_default();
            json!({"type": "tool_use", "id": format!("toolu_{id}"), "name": name, "input": input})
        }
        Said::Refusal(_) => return None,
    })
}

fn reason(finish: &Finish) -> &'static str {
    match finish {
        Finish::Stop => "end_turn",
        Finish::Sequence(_) => "stop_sequence",
        Finish::Length => "max_tokens",
        Finish::Calls => "tool_use",
        Finish::Refusal | Finish::Filtered => "refusal",
    }
}

fn sequence(finish: &Finish) -> Option<&str> {
    match finish {
        Finish::Sequence(sequence) => Some(sequence),
        _ => None,
    }
}

fn details(plan: &Plan) -> Value {
    let refusal = plan.parts.iter().find_map(|said| match said {
        Said::Refusal(tokens) => Some(tokens.concat()),
        _ => None,
    });
    refusal.map_or(
        Value::Null,
        |text| json!({"type": "refusal", "category": null, "explanation": text}),
    )
}

/// Cached and written tokens are not among those of the input here.
fn usage(usage: &Usage, output: u64) -> Value {
    json!({
        "input_tokens": usage.input - usage.cached - usage.written,
        "cache_creation_input_tokens": usage.written, "cache_read_input_tokens": usage.cached,
        "cache_creation": {"ephemeral_5m_input_tokens": usage.written, "ephemeral_1h_input_tokens": 0},
        "output_tokens": output, "service_tier": "standard",
    })
}

/// The stream, event by event.
pub(crate) fn stream(plan: &Plan, asked: &Understood) -> Vec<Frame> {
    let mut frames = Frames::default();
    let mut message = shell(plan, &[], &plan.finish);
    (message["stop_reason"], message["stop_sequence"]) = (Value::Null, Value::Null);
    message["stop_details"] = Value::Null;
    if plan.tells_usage {
        message["usage"] = usage(&plan.usage, 1);
    }
    frames.push(
        Mark::Opening,
        event("message_start", json!({"message": message})),
    );
    frames.push(Mark::Opening, ping());
    let spoken = plan
        .parts
        .iter()
        .filter(|said| !matches!(said, Said::Refusal(_)));
    for (index, said) in spoken.enumerate() {
        stream_block(&mut frames, said, index, asked);
    }
    let mut last = json!({"delta": {"stop_reason": reason(&plan.finish), "stop_sequence": sequence(&plan.finish)}});
    if plan.finish == Finish::Refusal {
        last["delta"]["stop_details"] = details(plan);
    }
    if plan.tells_usage {
        last["usage"] = usage(&plan.usage, plan.usage.output);
        // Only the message itself tells these.
        if let Some(usage) = last["usage"].as_object_mut() {
            usage.remove("cache_creation");
            usage.remove("service_tier");
        }
    }
    frames.push(Mark::Finish, event("message_delta", last));
    frames.push(Mark::Done, event("message_stop", json!({})));
    frames.finish()
}

fn stream_block(frames: &mut Frames, said: &Said, index: usize, asked: &Understood) {
    let start = match said {
        Said::Thought(_) => json!({"type": "thinking", "thinking": "", "signature": ""}),
        Said::Text(_) | Said::Refusal(_) => json!({"type": "text", "text": ""}),
        Said::Call { id, name, .. } => {
            json!({"type": "tool_use", "id": format!("toolu_{id}"), "name": name, "input": {}})
        }
    };
    frames.push(
        Mark::Between,
        event(
            "content_block_start",
            json!({"index": index, "content_block": start}),
        ),
    );
    let delta = |delta: Value| {
        event(
            "content_block_delta",
            json!({"index": index, "delta": delta}),
        )
    };
    match said {
        Said::Thought(tokens) => {
            for token in tokens.iter().filter(|_| asked.shows_reasoning) {
                frames.token(delta(json!({"type": "thinking_delta", "thinking": token})));
            }
            let signature = seal::seal(ORIGIN, &tokens.concat());
            frames.push(
                Mark::Between,
                delta(json!({"type": "signature_delta", "signature": signature})),
            );
        }
        Said::Text(tokens) | Said::Refusal(tokens) => {
            for token in tokens {
                frames.token(delta(json!({"type": "text_delta", "text": token})));
            }
        }
        Said::Call { arguments, .. } => {
            // The first one is empty, as the API's is.
            for part in std::iter::once("").chain(arguments.iter().map(String::as_str)) {
                frames.token(delta(
                    json!({"type": "input_json_delta", "partial_json": part}),
                ));
            }
        }
    }
    frames.push(
        Mark::Between,
        event("content_block_stop", json!({"index": index})),
    );
}

/// An event, whose name is its type too.
pub(crate) fn event(name: &str, mut data: Value) -> Bytes {
    data["type"] = name.into();
    sse(Some(name), &data)
}

/// What the API says when it has nothing to say.
pub(crate) fn ping() -> Bytes {
    event("ping", json!({}))
}
