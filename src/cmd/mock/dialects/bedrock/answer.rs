//! Owns the answers of Converse: a message, and its stream of binary events.
//! Format: <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html>.

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use bytes::Bytes;
use serde_json::{Value, json};

use super::{error, exception};
use crate::cmd::mock::dialects::anthropic::ORIGIN;
use crate::cmd::mock::dialects::frames::{Frame, Frames, Mark};
use crate::cmd::mock::dialects::plan::{Finish, Plan, Said, Usage};
use crate::cmd::mock::dialects::seal;
use crate::cmd::mock::dialects::trouble::Trouble;

/// Padding that hides the length of a token, as the API's does.
const PADDING: &str = "abcdefghijklmnopqrstuvwxyz";

/// The whole answer.
pub(crate) fn whole(plan: &Plan) -> Value {
    let blocks: Vec<Value> = plan.parts.iter().map(block).collect();
    let mut answer = json!({
        "metrics": {"latencyMs": 250}, "output": {"message": {"role": "assistant", "content": blocks}},
        "stopReason": reason(&plan.finish),
    });
    if plan.tells_usage {
        answer["usage"] = usage(&plan.usage);
    }
    answer
}

fn block(said: &Said) -> Value {
    match said {
        Said::Thought(tokens) => {
            let text = tokens.concat();
            let signature = seal::seal(ORIGIN, &text);
            json!({"reasoningContent": {"reasoningText": {"text": text, "signature": signature}}})
        }
        Said::Text(tokens) | Said::Refusal(tokens) => json!({"text": tokens.concat()}),
        Said::Call {
            id,
            name,
            arguments,
        } => {
            let input: Value = serde_json::from_str(&arguments.concat()).unwrap_or_default();
            json!({"toolUse": {"toolUseId": format!("tooluse_{id}"), "name": name, "input": input}})
        }
    }
}

fn reason(finish: &Finish) -> &'static str {
    match finish {
        Finish::Stop => "end_turn",
        Finish::Sequence(_) => "stop_sequence",
        Finish::Length => "max_tokens",
        Finish::Calls => "tool_use",
        Finish::Refusal => "content_filtered",
        Finish::Filtered => "guardrail_intervened",
    }
}

/// Cached and written tokens are not among those of the input here, but in the total.
fn usage(usage: &Usage) -> Value {
    json!({
        "inputTokens": usage.input - usage.cached - usage.written, "outputTokens": usage.output,
        "totalTokens": usage.input + usage.output, "cacheReadInputTokens": usage.cached,
        "cacheWriteInputTokens": usage.written,
    })
}

/// The stream, event by event. Only calls announce their block.
pub(crate) fn stream(plan: &Plan) -> Vec<Frame> {
    let mut frames = Frames::default();
    frames.push(Mark::Opening, begin());
    for (index, said) in plan.parts.iter().enumerate() {
        let delta = |delta: Value| {
            event(
                "contentBlockDelta",
                json!({"contentBlockIndex": index, "delta": delta}),
            )
        };
        match said {
            Said::Thought(tokens) => {
                for token in tokens {
                    frames.token(delta(json!({"reasoningContent": {"text": token}})));
                }
                let signature = seal::seal(ORIGIN, &tokens.concat());
                frames.push(
                    Mark::Between,
                    delta(json!({"reasoningContent": {"signature": signature}})),
                );
            }
            Said::Text(tokens) | Said::Refusal(tokens) => {
                for token in tokens {
                    frames.token(delta(json!({"text": token})));
                }
            }
            Said::Call {
                id,
                name,
                arguments,
            } => {
                let start =
                    json!({"toolUse": {"toolUseId": format!("tooluse_{id}"), "name": name}});
                let start = json!({"contentBlockIndex": index, "start": start});
                frames.push(Mark::Between, event("contentBlockStart", start));
                for part in arguments {
                    frames.token(delta(json!({"toolUse": {"input": part}})));
                }
            }
        }
        frames.push(
            Mark::Between,
            event("contentBlockStop", json!({"contentBlockIndex": index})),
        );
    }
    let stop = json!({"stopReason": reason(&plan.finish)});
    frames.push(Mark::Finish, event("messageStop", stop));
    if plan.tells_usage {
        let metadata = json!({"usage": usage(&plan.usage), "metrics": {"latencyMs": 250}});
        frames.push(Mark::Done, event("metadata", metadata));
    }
    frames.finish()
}

/// The event that a message begins with.
pub(crate) fn begin() -> Bytes {
    event("messageStart", json!({"role": "assistant"}))
}

/// An event that says nothing: a delta of no text.
pub(crate) fn nothing() -> Bytes {
    event(
        "contentBlockDelta",
        json!({"contentBlockIndex": 0, "delta": {"text": ""}}),
    )
}

/// A binary event; its payload is padded.
fn event(kind: &str, mut payload: Value) -> Bytes {
    let length = 1 + payload.to_string().len() % PADDING.len();
    payload["p"] = PADDING.get(..length).unwrap_or(PADDING).into();
    message("event", ":event-type", kind, payload.to_string())
}

/// An event of a type that nobody knows.
pub(crate) fn unknown() -> Bytes {
    event("weatherReport", json!({"wind": 7}))
}

/// An event whose JSON stops in the middle; the frame around it is right.
pub(crate) fn broken() -> Bytes {
    let payload = "{\"contentBlockIndex\":0,\"delta\":{\"te".to_owned();
    message("event", ":event-type", "contentBlockDelta", payload)
}

/// The event that ends a stream that breaks.
pub(crate) fn failure(trouble: &Trouble) -> Bytes {
    let name = match exception(trouble) {
        "ThrottlingException" | "ServiceQuotaExceededException" => "throttlingException",
        "ServiceUnavailableException" => "serviceUnavailableException",
        "InternalServerException" => "internalServerException",
        "ModelTimeoutException" => "modelStreamErrorException",
        _ => "validationException",
    };
    message(
        "exception",
        ":exception-type",
        name,
        error(trouble).to_string(),
    )
}

fn message(kind: &str, type_header: &'static str, name: &str, payload: String) -> Bytes {
    let text = |text: &str| HeaderValue::String(text.to_owned().into());
    let message = Message::new(payload)
        .add_header(Header::new(type_header, text(name)))
        .add_header(Header::new(":content-type", text("application/json")))
        .add_header(Header::new(":message-type", text(kind)));
    let mut bytes = Vec::new();
    // Only headers or payloads that are too long fail, and these are neither.
    let written = write_message_to(&message, &mut bytes);
    debug_assert!(written.is_ok(), "{written:?}");
    bytes.into()
}
