//! Owns the answers of Gemini: a response, and its stream as events or as an array.
//! Format: <https://ai.google.dev/api/generate-content#v1beta.GenerateContentResponse>.

use bytes::Bytes;
use serde_json::{Value, json};

use super::ORIGIN;
use crate::cmd::mock::dialects::frames::{Frame, Frames, Mark};
use crate::cmd::mock::dialects::plan::{Finish, Plan, Said};
use crate::cmd::mock::dialects::seal;
use crate::cmd::mock::dialects::understood::Understood;

/// How a stream is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Server-sent events, with `alt=sse`.
    Events,
    /// One JSON array that grows.
    Array,
}

/// The whole response.
pub(crate) fn whole(plan: &Plan, asked: &Understood) -> Value {
    if is_blocked(plan) {
        return blocked(plan);
    }
    let mut signs = signs(plan, asked);
    let mut parts: Vec<Value> = Vec::new();
    for said in &plan.parts {
        match said {
            Said::Thought(tokens) if asked.shows_reasoning => {
                parts.push(json!({"text": tokens.concat(), "thought": true}));
            }
            Said::Thought(_) | Said::Refusal(_) => {}
            Said::Text(tokens) => {
                parts.push(signed(json!({"text": tokens.concat()}), signs.take()));
            }
            Said::Call { .. } => parts.push(signed(call(said), signs.take())),
        }
    }
    let candidate = |index| {
        let mut candidate = json!({"content": {"role": "model"}, "finishReason": reason(&plan.finish), "index": index});
        if !parts.is_empty() {
            candidate["content"]["parts"] = parts.clone().into();
        }
        candidate
    };
    response(
        plan,
        plan.usage.output,
        &(0..asked.n).map(candidate).collect::<Vec<_>>(),
    )
}

/// Whether the prompt was filtered, and not what was said.
fn is_blocked(plan: &Plan) -> bool {
    plan.finish == Finish::Filtered && plan.parts.is_empty()
}

/// A prompt that was blocked: no candidate, and why.
fn blocked(plan: &Plan) -> Value {
    let mut response = response(plan, 0, &[]);
    if let Some(fields) = response.as_object_mut() {
        fields.remove("candidates");
    }
    response["promptFeedback"] = json!({"blockReason": "PROHIBITED_CONTENT"});
    response
}

fn response(plan: &Plan, output: u64, candidates: &[Value]) -> Value {
    let mut response =
        json!({"candidates": candidates, "modelVersion": plan.model, "responseId": plan.id("")});
    if plan.tells_usage {
        response["usageMetadata"] = usage(plan, output);
    }
    response
}

/// Thoughts are not among the candidates' tokens here, and numbers of zero are left out.
fn usage(plan: &Plan, output: u64) -> Value {
    let usage = &plan.usage;
    let thoughts = usage.reasoning.min(output);
    let mut told = json!({
        "promptTokenCount": usage.input, "totalTokenCount": usage.input + output,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": usage.input}],
    });
    let counts = [
        ("candidatesTokenCount", output - thoughts),
        ("thoughtsTokenCount", thoughts),
        ("cachedContentTokenCount", usage.cached),
    ];
    for (name, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        told[name] = count.into();
    }
    told
}

fn reason(finish: &Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::Sequence(_) | Finish::Calls => "STOP",
        Finish::Length => "MAX_TOKENS",
        Finish::Refusal | Finish::Filtered => "SAFETY",
    }
}

/// The signature of the answer, where the model thinks: always, since its third generation.
fn signs(plan: &Plan, asked: &Understood) -> Option<String> {
    let thinks = asked
        .reasoning
        .as_ref()
        .is_some_and(|reasoning| reasoning.on);
    (thinks || plan.model.starts_with("gemini-3")).then(|| seal::seal(ORIGIN, &plan.id("thought-")))
}

fn signed(mut part: Value, signature: Option<String>) -> Value {
    if let Some(signature) = signature {
        part["thoughtSignature"] = signature.into();
    }
    part
}

fn call(said: &Said) -> Value {
    let Said::Call {
        id,
        name,
        arguments,
    } = said
    else {
        return Value::Null;
    };
    let args: Value = serde_json::from_str(&arguments.concat()).unwrap_or_default();
    json!({"functionCall": {"id": id, "name": name, "args": args}})
}

/// The stream, chunk by chunk; a call comes whole.
pub(crate) fn stream(plan: &Plan, asked: &Understood, framing: Framing) -> Vec<Frame> {
    let mut frames = Frames::default();
    if is_blocked(plan) {
        frames.push(Mark::Finish, framed(&blocked(plan), framing, true));
        if framing == Framing::Array {
            frames.push(Mark::Done, Bytes::from_static(b"\n]\n"));
        }
        return frames.finish();
    }
    let mut signs = signs(plan, asked);
    let mut output = 0;
    let mut is_first = true;
    let mut chunk = |output: u64, part: &Value, finish: Option<&str>| {
        let candidate = |index| {
            let mut candidate =
                json!({"content": {"parts": [part], "role": "model"}, "index": index});
            if let Some(finish) = finish {
                candidate["finishReason"] = finish.into();
            }
            candidate
        };
        let value = response(
            plan,
            output,
            &(0..asked.n).map(candidate).collect::<Vec<_>>(),
        );
        let bytes = framed(&value, framing, is_first);
        is_first = false;
        bytes
    };
    for said in &plan.parts {
        match said {
            Said::Thought(tokens) => {
                output += tokens.len() as u64;
                for token in tokens.iter().filter(|_| asked.shows_reasoning) {
                    frames.token(chunk(
                        output,
                        &json!({"text": token, "thought": true}),
                        None,
                    ));
                }
            }
            Said::Text(tokens) => {
                for token in tokens {
                    output += 1;
                    frames.token(chunk(output, &json!({"text": token}), None));
                }
            }
            Said::Call { arguments, .. } => {
                output += arguments.len() as u64;
                frames.token(chunk(output, &signed(call(said), signs.take()), None));
            }
            Said::Refusal(_) => {}
        }
    }
    let last = signed(json!({"text": ""}), signs.take());
    frames.push(
        Mark::Finish,
        chunk(plan.usage.output, &last, Some(reason(&plan.finish))),
    );
    if framing == Framing::Array {
        frames.push(Mark::Done, Bytes::from_static(b"\n]\n"));
    }
    frames.finish()
}

/// A chunk as it goes out.
pub(crate) fn framed(value: &Value, framing: Framing, is_first: bool) -> Bytes {
    match (framing, is_first) {
        (Framing::Events, _) => format!("data: {value}\r\n\r\n"),
        (Framing::Array, true) => format!("[{value}"),
        (Framing::Array, false) => format!("\n,\r\n{value}"),
    }
    .into()
}

/// How many tokens a request has.
pub(crate) fn count(plan: &Plan) -> Value {
    let tokens = plan.usage.input;
    json!({"totalTokens": tokens, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": tokens}]})
}
