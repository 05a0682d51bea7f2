//! Owns the answers of the Responses API: a response, and its stream.
//! Format: <https://platform.openai.com/docs/api-reference/responses-streaming>.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{ORIGIN, facts};
use crate::cmd::mock::dialects::frames::{Frame, Frames, Mark, sse};
use crate::cmd::mock::dialects::plan::{Finish, Plan, Said, Usage};
use crate::cmd::mock::dialects::seal;
use crate::cmd::mock::dialects::trouble::Trouble;
use crate::cmd::mock::dialects::understood::{Choice, Format, Understood};

/// The events, counted as they are written.
struct Writer<'a> {
    plan: &'a Plan,
    asked: &'a Understood,
    frames: Frames,
    sequence: u64,
}

/// The whole response.
pub(crate) fn whole(plan: &Plan, asked: &Understood) -> Value {
    let items = plan.parts.iter().enumerate();
    let items: Vec<Value> = items
        .map(|(index, said)| item(plan, asked, index, said))
        .collect();
    shell(plan, asked, status(plan), &items)
}

fn status(plan: &Plan) -> &'static str {
    match plan.finish {
        Finish::Length | Finish::Filtered => "incomplete",
        _ => "completed",
    }
}

fn shell(plan: &Plan, asked: &Understood, status: &str, output: &[Value]) -> Value {
    let is_over = status != "in_progress";
    let reason = match plan.finish {
        Finish::Filtered => "content_filter",
        _ => "max_output_tokens",
    };
    let incomplete = (status == "incomplete").then(|| json!({"reason": reason}));
    let usage = (is_over && plan.tells_usage).then(|| usage(&plan.usage));
    let effort = asked
        .reasoning
        .as_ref()
        .and_then(|reasoning| reasoning.effort.clone());
    json!({
        "id": plan.id("resp_"), "object": "response", "created_at": plan.created, "status": status, "background": false,
        "error": null, "incomplete_details": incomplete, "instructions": null, "max_output_tokens": asked.max_tokens, "max_tool_calls": null,
        "model": plan.model, "output": output, "parallel_tool_calls": asked.parallel != Some(false),
        "previous_response_id": null, "reasoning": {"effort": effort, "summary": null}, "service_tier": "default",
        "store": asked.hints.get("store").is_none_or(|store| store == true),
        "temperature": asked.sampling.get("temperature").cloned().unwrap_or(json!(1.0)),
        "text": {"format": format(asked)}, "tool_choice": choice(asked), "tools": tools(asked), "top_logprobs": 0,
        "top_p": asked.sampling.get("top_p").cloned().unwrap_or(json!(1.0)), "truncation": "disabled", "usage": usage,
        "user": null, "metadata": asked.hints.get("metadata").cloned().unwrap_or(json!({})),
    })
}

fn format(asked: &Understood) -> Value {
    match &asked.format {
        None => json!({"type": "text"}),
        Some(Format::Json) => json!({"type": "json_object"}),
        Some(Format::Schema(schema)) => {
            json!({"type": "json_schema", "name": "answer", "schema": schema})
        }
    }
}

fn choice(asked: &Understood) -> Value {
    match &asked.tool_choice {
        None | Some(Choice::Auto) => "auto".into(),
        Some(Choice::None) => "none".into(),
        Some(Choice::Required | Choice::OneOf(_)) => "required".into(),
        Some(Choice::Named(name)) => json!({"type": "function", "name": name}),
    }
}

fn tools(asked: &Understood) -> Vec<Value> {
    let tools = asked.tools.iter().map(|tool| match &tool.server {
        Some(kind) => json!({"type": kind}),
        None => json!({
            "type": "function", "name": tool.name, "description": tool.description, "parameters": tool.schema,
            "strict": tool.strict,
        }),
    });
    tools.collect()
}

fn usage(usage: &Usage) -> Value {
    json!({
        "input_tokens": usage.input, "input_tokens_details": {"cached_tokens": usage.cached, "cache_write_tokens": usage.written},
        "output_tokens": usage.output, "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.input + usage.output,
    })
}

fn item_id(plan: &Plan, prefix: &str, index: usize) -> String {
    format!("{}_{index}", plan.id(prefix))
}

fn item(plan: &Plan, asked: &Understood, index: usize, said: &Said) -> Value {
    match said {
        Said::Thought(tokens) => {
            let text = tokens.concat();
            let summary: Vec<_> = asked
                .shows_reasoning
                .then(|| summary(&text))
                .into_iter()
                .collect();
            let mut item =
                json!({"id": item_id(plan, "rs_", index), "type": "reasoning", "summary": summary});
            if asked.seals_reasoning {
                item["encrypted_content"] = seal::seal(ORIGIN, &text).into();
            }
            item
        }
        Said::Text(tokens) => message(plan, index, "completed", &[output_text(&tokens.concat())]),
        Said::Refusal(tokens) => message(plan, index, "completed", &[refusal(&tokens.concat())]),
        Said::Call {
            id,
            name,
            arguments,
        } => call(plan, index, "completed", (id, name, &arguments.concat())),
    }
}

fn message(plan: &Plan, index: usize, status: &str, content: &[Value]) -> Value {
    let ended = matches!(plan.finish, Finish::Length | Finish::Filtered);
    let cut = ended && status == "completed";
    let status = if cut { "incomplete" } else { status };
    json!({
        "id": item_id(plan, "msg_", index), "type": "message", "status": status, "content": content, "role": "assistant",
    })
}

fn call(
    plan: &Plan,
    index: usize,
    status: &str,
    (id, name, arguments): (&str, &str, &str),
) -> Value {
    json!({
        "id": item_id(plan, "fc_", index), "type": "function_call", "status": status, "arguments": arguments,
        "call_id": format!("call_{id}"), "name": name,
    })
}

fn output_text(text: &str) -> Value {
    json!({"type": "output_text", "annotations": [], "logprobs": [], "text": text})
}

fn refusal(text: &str) -> Value {
    json!({"type": "refusal", "refusal": text})
}

fn summary(text: &str) -> Value {
    json!({"type": "summary_text", "text": text})
}

/// The stream, event by event.
pub(crate) fn stream(plan: &Plan, asked: &Understood) -> Vec<Frame> {
    let mut writer = Writer {
        plan,
        asked,
        frames: Frames::default(),
        sequence: 0,
    };
    let begun = shell(plan, asked, "in_progress", &[]);
    for name in ["response.created", "response.in_progress"] {
        writer.put(Mark::Opening, name, json!({"response": begun}));
    }
    for (index, said) in plan.parts.iter().enumerate() {
        writer.item(index, said);
    }
    let name = format!("response.{}", status(plan));
    writer.put(Mark::Finish, &name, json!({"response": whole(plan, asked)}));
    writer.frames.finish()
}

// === impl Writer ===

impl Writer<'_> {
    fn bytes(&mut self, name: &str, mut data: Value) -> Bytes {
        data["type"] = name.into();
        data["sequence_number"] = self.sequence.into();
        self.sequence += 1;
        sse(Some(name), &data)
    }

    fn put(&mut self, mark: Mark, name: &str, data: Value) {
        let bytes = self.bytes(name, data);
        self.frames.push(mark, bytes);
    }

    /// One item, from its begin to its end.
    fn item(&mut self, index: usize, said: &Said) {
        let done = item(self.plan, self.asked, index, said);
        let begun = match said {
            Said::Thought(_) => {
                let mut begun = done.clone();
                begun["summary"] = json!([]);
                begun
            }
            Said::Text(_) | Said::Refusal(_) => message(self.plan, index, "in_progress", &[]),
            Said::Call { id, name, .. } => call(self.plan, index, "in_progress", (id, name, "")),
        };
        let id = done["id"].as_str().unwrap_or("").to_owned();
        self.put(
            Mark::Between,
            "response.output_item.added",
            json!({"output_index": index, "item": begun}),
        );
        let at = json!({"item_id": id, "output_index": index});
        match said {
            Said::Thought(tokens) if self.asked.shows_reasoning => self.thought(&at, tokens),
            Said::Thought(_) => {}
            Said::Text(tokens) => self.content(&at, tokens, "output_text", "text"),
            Said::Refusal(tokens) => self.content(&at, tokens, "refusal", "refusal"),
            Said::Call { arguments, .. } => self.arguments(&at, arguments),
        }
        self.put(
            Mark::Between,
            "response.output_item.done",
            json!({"output_index": index, "item": done}),
        );
    }

    fn thought(&mut self, at: &Value, tokens: &[String]) {
        let at = with(at, &json!({"summary_index": 0}));
        let part = |text: &str| with(&at, &json!({"part": summary(text)}));
        let text = tokens.concat();
        self.put(
            Mark::Between,
            "response.reasoning_summary_part.added",
            part(""),
        );
        for token in tokens {
            let bytes = self.bytes(
                "response.reasoning_summary_text.delta",
                with(&at, &json!({"delta": token})),
            );
            self.frames.token(bytes);
        }
        let done = with(&at, &json!({"text": text}));
        self.put(Mark::Between, "response.reasoning_summary_text.done", done);
        self.put(
            Mark::Between,
            "response.reasoning_summary_part.done",
            part(&text),
        );
    }

    fn content(&mut self, at: &Value, tokens: &[String], kind: &str, field: &str) {
        let at = with(at, &json!({"content_index": 0}));
        let make = if field == "text" {
            output_text
        } else {
            refusal
        };
        let text = tokens.concat();
        let added = with(&at, &json!({"part": make("")}));
        self.put(Mark::Between, "response.content_part.added", added);
        for token in tokens {
            let mut delta = with(&at, &json!({"delta": token}));
            if field == "text" {
                delta["logprobs"] = json!([]);
            }
            let bytes = self.bytes(&format!("response.{kind}.delta"), delta);
            self.frames.token(bytes);
        }
        let mut done = with(&at, &json!({}));
        done[field] = text.as_str().into();
        if field == "text" {
            done["logprobs"] = json!([]);
        }
        self.put(Mark::Between, &format!("response.{kind}.done"), done);
        let done = with(&at, &json!({"part": make(&text)}));
        self.put(Mark::Between, "response.content_part.done", done);
    }

    fn arguments(&mut self, at: &Value, tokens: &[String]) {
        for token in tokens {
            let delta = with(at, &json!({"delta": token, "obfuscation": "mock"}));
            let bytes = self.bytes("response.function_call_arguments.delta", delta);
            self.frames.token(bytes);
        }
        let done = with(at, &json!({"arguments": tokens.concat()}));
        self.put(Mark::Between, "response.function_call_arguments.done", done);
    }
}

/// One object with the fields of two.
fn with(one: &Value, two: &Value) -> Value {
    let fields = [one, two]
        .into_iter()
        .filter_map(Value::as_object)
        .flatten();
    Value::Object(
        fields
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
    )
}

/// What ends a stream that breaks: the error, and the response that failed of it. `sequence` events were before.
pub(crate) fn failure(plan: &Plan, asked: &Understood, trouble: &Trouble, sequence: u64) -> Bytes {
    let facts = facts(trouble, "input");
    let error = json!({"type": "error", "sequence_number": sequence, "error": facts});
    let mut failed = shell(plan, asked, "failed", &[]);
    let code = facts.get("code").filter(|code| !code.is_null()).cloned();
    failed["error"] =
        json!({"code": code.unwrap_or("server_error".into()), "message": facts["message"]});
    failed["usage"] = Value::Null;
    let failed =
        json!({"type": "response.failed", "sequence_number": sequence + 1, "response": failed});
    [
        sse(Some("error"), &error),
        sse(Some("response.failed"), &failed),
    ]
    .concat()
    .into()
}
