//! Owns the tests of the dialects beside chat, on the wire: one conversation means one thing in all of them, and every
//! fault breaks each in its own words.

use aws_smithy_eventstream::frame::read_message_from;
use serde_json::{Value, json};

use super::*;
use crate::cmd::mock::{Cut, ErrorBody, Fault, Kind};

const NAMES: [&str; 6] = [
    "chat",
    "responses",
    "anthropic",
    "gemini",
    "bedrock",
    "cohere",
];

/// A request of a dialect as path and body: `text` asked of `model`, in a stream or not, with a tool or not.
fn asking(dialect: &str, text: &str, stream: bool, tools: bool) -> (String, Value) {
    let schema = json!({"type": "object", "properties": {"q": {"type": "string"}}});
    let chat_tool = json!({"type": "function", "function": {"name": "look", "description": "d", "parameters": schema}});
    let (path, mut body, tool) = match dialect {
        "chat" => (
            "/v1/chat/completions".to_owned(),
            json!({"model": "m", "stream": stream, "messages": [{"role": "user", "content": text}]}),
            ("tools", json!([chat_tool])),
        ),
        "responses" => (
            "/v1/responses".to_owned(),
            json!({"model": "m", "stream": stream, "input": text}),
            (
                "tools",
                json!([{"type": "function", "name": "look", "description": "d", "parameters": schema}]),
            ),
        ),
        "anthropic" => (
            "/v1/messages".to_owned(),
            json!({"model": "m", "stream": stream, "max_tokens": 500, "messages": [{"role": "user", "content": text}]}),
            (
                "tools",
                json!([{"name": "look", "description": "d", "input_schema": schema}]),
            ),
        ),
        "gemini" => (
            match stream {
                true => "/v1beta/models/m:streamGenerateContent?alt=sse".to_owned(),
                false => "/v1beta/models/m:generateContent".to_owned(),
            },
            json!({"contents": [{"role": "user", "parts": [{"text": text}]}]}),
            (
                "tools",
                json!([{"functionDeclarations": [{"name": "look", "description": "d", "parametersJsonSchema": schema}]}]),
            ),
        ),
        "bedrock" => (
            format!("/model/m/converse{}", if stream { "-stream" } else { "" }),
            json!({"messages": [{"role": "user", "content": [{"text": text}]}]}),
            (
                "toolConfig",
                json!({"tools": [{"toolSpec": {"name": "look", "description": "d", "inputSchema": {"json": schema}}}]}),
            ),
        ),
        _ => (
            "/v2/chat".to_owned(),
            json!({"model": "m", "stream": stream, "messages": [{"role": "user", "content": text}]}),
            ("tools", json!([chat_tool])),
        ),
    };
    if tools {
        body[tool.0] = tool.1;
    }
    (path, body)
}

fn post(path: &str, body: &Value, headers: &str) -> String {
    let body = body.to_string();
    format!(
        "POST {path} HTTP/1.1\r\nhost: mock\r\nanthropic-version: 2023-06-01\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

async fn ask(mock: &Mock, dialect: &str, text: &str, stream: bool, tools: bool) -> Answer {
    let (path, body) = asking(dialect, text, stream, tools);
    once(mock, post(&path, &body, "")).await
}

/// All text of an answer's body, stream or not: every string of a field that dialects put text in.
fn said(answer: &Answer) -> String {
    let mut text = String::new();
    for value in values(answer) {
        match value["type"].as_str().unwrap_or("") {
            // These tell again what deltas told, or what the answer will be.
            kind if kind.starts_with("response.") && !kind.contains(".delta") => {}
            _ => collect(&value, &mut text),
        }
    }
    text
}

fn collect(value: &Value, text: &mut String) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(more)
                        if matches!(name.as_str(), "text" | "content" | "delta") =>
                    {
                        text.push_str(more);
                    }
                    _ => collect(value, text),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, text)),
        _ => {}
    }
}

/// The JSON of a body, or of each of its events.
fn values(answer: &Answer) -> Vec<Value> {
    match answer.header("content-type").unwrap_or("") {
        "application/vnd.amazon.eventstream" => {
            let mut rest = &answer.body[..];
            let mut values = Vec::new();
            while let Ok(message) = read_message_from(&mut rest) {
                let kind = message.headers()[0]
                    .value()
                    .as_string()
                    .unwrap()
                    .as_str()
                    .to_owned();
                values.push(json!({kind: serde_json::from_slice::<Value>(message.payload()).unwrap_or_default()}));
            }
            values
        }
        kind if kind.starts_with("text/event-stream") => {
            let lines = answer
                .text()
                .lines()
                .filter_map(|line| line.strip_prefix("data: "));
            lines
                .filter_map(|data| serde_json::from_str(data).ok())
                .collect()
        }
        _ => vec![answer.json()],
    }
}

#[tokio::test]
async fn one_conversation_means_one_thing_in_every_dialect() {
    let mock = start(fast()).await;
    let calls = json!({"a": 1});
    let arguments = calls.to_string();
    let function = json!({"name": "f", "parameters": {"type": "object"}});
    let bodies = [
        (
            "/v1/chat/completions",
            json!({
                "model": "a", "max_tokens": 900, "temperature": 0.5, "top_p": 0.9, "stop": ["END"],
                "messages": [
                    {"role": "system", "content": "Be brief."},
                    {"role": "user", "content": [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAEC"}}]},
                    {"role": "assistant", "content": null, "tool_calls": [{"id": "x1", "type": "function", "function": {"name": "f", "arguments": arguments}}]},
                    {"role": "tool", "tool_call_id": "x1", "content": "fine"},
                    {"role": "user", "content": "so?"},
                ],
                "tools": [{"type": "function", "function": function}], "tool_choice": "required",
            }),
        ),
        (
            "/v1/messages",
            json!({
                "model": "b", "max_tokens": 900, "temperature": 0.5, "top_p": 0.9, "stop_sequences": ["END"], "system": "Be brief.",
                "messages": [
                    {"role": "user", "content": [{"type": "text", "text": "look"}, {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAEC"}}]},
                    {"role": "assistant", "content": [{"type": "tool_use", "id": "x2", "name": "f", "input": calls}]},
                    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "x2", "content": "fine"}, {"type": "text", "text": "so?"}]},
                ],
                "tools": [{"name": "f", "input_schema": {"type": "object", "properties": {}}}], "tool_choice": {"type": "any"},
            }),
        ),
        (
            "/v1beta/models/c:generateContent",
            json!({
                "systemInstruction": {"parts": [{"text": "Be brief."}]},
                "contents": [
                    {"role": "user", "parts": [{"text": "look"}, {"inlineData": {"mimeType": "image/png", "data": "AAEC"}}]},
                    {"role": "model", "parts": [{"functionCall": {"name": "f", "args": calls}}]},
                    {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"output": "fine"}}}, {"text": "so?"}]},
                ],
                "tools": [{"functionDeclarations": [{"name": "f"}]}], "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
                "generationConfig": {"maxOutputTokens": 900, "temperature": 0.5, "topP": 0.9, "stopSequences": ["END"]},
            }),
        ),
        (
            "/model/d/converse",
            json!({
                "system": [{"text": "Be brief."}],
                "messages": [
                    {"role": "user", "content": [{"text": "look"}, {"image": {"format": "png", "source": {"bytes": "AAEC"}}}]},
                    {"role": "assistant", "content": [{"toolUse": {"toolUseId": "x3", "name": "f", "input": calls}}]},
                    {"role": "user", "content": [{"toolResult": {"toolUseId": "x3", "content": [{"text": "fine"}]}}, {"text": "so?"}]},
                ],
                "toolConfig": {"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": {"type": "object"}}}}], "toolChoice": {"any": {}}},
                "inferenceConfig": {"maxTokens": 900, "temperature": 0.5, "topP": 0.9, "stopSequences": ["END"]},
            }),
        ),
        (
            "/v2/chat",
            json!({
                "model": "e", "max_tokens": 900, "temperature": 0.5, "p": 0.9, "stop_sequences": ["END"],
                "messages": [
                    {"role": "system", "content": "Be brief."},
                    {"role": "user", "content": [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAEC"}}]},
                    {"role": "assistant", "tool_calls": [{"id": "x4", "type": "function", "function": {"name": "f", "arguments": arguments}}]},
                    {"role": "tool", "tool_call_id": "x4", "content": "fine"},
                    {"role": "user", "content": "so?"},
                ],
                "tools": [{"type": "function", "function": function}], "tool_choice": "REQUIRED",
            }),
        ),
    ];
    let mut digests = Vec::new();
    for (path, body) in &bodies {
        let answer = once(&mock, post(path, body, "")).await;
        assert_eq!(answer.status(), 200, "{path}: {}", answer.text());
        digests.push(answer.header("x-mock-digest").map(str::to_owned));
    }
    let received = mock.received();
    let understood = |index: usize| {
        received[index]
            .meaning
            .as_ref()
            .unwrap()
            .understood
            .clone()
            .unwrap()
    };
    for (index, (path, _)) in bodies.iter().enumerate() {
        assert_eq!(understood(index), understood(0), "{path}");
        assert_eq!(
            digests[index],
            received[index].meaning.as_ref().unwrap().digest
        );
    }
    assert!(digests[0].is_some() && digests.iter().all(|digest| digest == &digests[0]));
    // Responses has no stop sequences; all else is the same.
    let responses = json!({
        "model": "f", "max_output_tokens": 900, "temperature": 0.5, "top_p": 0.9, "instructions": "Be brief.",
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "look"}, {"type": "input_image", "image_url": "data:image/png;base64,AAEC"}]},
            {"type": "function_call", "call_id": "x5", "name": "f", "arguments": arguments},
            {"type": "function_call_output", "call_id": "x5", "output": "fine"}, {"role": "user", "content": "so?"},
        ],
        "tools": [{"type": "function", "name": "f"}], "tool_choice": "required",
    });
    once(&mock, post("/v1/responses", &responses, "")).await;
    let meaning = mock.received().pop().unwrap().meaning.unwrap();
    let mut wanted = understood(0);
    wanted.as_object_mut().unwrap().remove("stop");
    assert_eq!(
        (meaning.understood, meaning.ids),
        (Some(wanted), vec!["x5".to_owned()])
    );
}

#[tokio::test]
async fn every_dialect_tells_the_words_and_the_digest() {
    let mock = start(fast()).await;
    for dialect in NAMES {
        for stream in [false, true] {
            let answer = ask(&mock, dialect, "hi", stream, false).await;
            assert_eq!(
                (answer.status(), &answer.end),
                (200, &Ended::Whole),
                "{dialect}: {}",
                answer.head
            );
            assert_eq!(said(&answer), fast().answer(), "{dialect} {stream}");
            let answer = ask(&mock, dialect, "your digest", stream, true).await;
            let meaning = mock.received().pop().unwrap().meaning.unwrap();
            assert_eq!(meaning.dialect, dialect);
            let told: Value = serde_json::from_str(&said(&answer)).unwrap();
            assert_eq!(Some(told), meaning.understood, "{dialect} {stream}");
            assert_eq!(answer.header("x-mock-digest"), meaning.digest.as_deref());
        }
    }
}

#[tokio::test]
async fn every_dialect_calls_tools() {
    let mock = start(fast()).await;
    for dialect in NAMES {
        for stream in [false, true] {
            let answer = ask(&mock, dialect, "call look and look", stream, true).await;
            let text = Value::from(values(&answer)).to_string();
            let is_told = ["\"name\":\"look\"", "café"]
                .iter()
                .all(|part| text.contains(part));
            assert!(
                is_told || stream && text.contains("\"name\":\"look\""),
                "{dialect} {stream}: {text}"
            );
            let ends = [
                "tool_calls",
                "tool_use",
                "TOOL_CALL",
                "functionCall",
                "function_call",
            ];
            assert!(
                ends.iter().any(|end| text.contains(end)),
                "{dialect}: {text}"
            );
        }
    }
}

#[tokio::test]
async fn errors_are_in_the_words_of_each_dialect() {
    let mock = start(fast()).await;
    let kinds = [
        (
            429,
            ErrorBody::RateLimit,
            [
                "requests",
                "requests",
                "rate_limit_error",
                "RESOURCE_EXHAUSTED",
                "throttlingexception",
                "rate limit",
            ],
        ),
        (
            503,
            ErrorBody::Auto,
            [
                "server_error",
                "server_is_overloaded",
                "overloaded_error",
                "UNAVAILABLE",
                "serviceunavailableexception",
                "overloaded",
            ],
        ),
        (
            500,
            ErrorBody::Server,
            [
                "server_error",
                "server_error",
                "api_error",
                "INTERNAL",
                "internalserverexception",
                "had an error",
            ],
        ),
        (
            400,
            ErrorBody::ContextLength,
            [
                "context_length_exceeded",
                "context_length_exceeded",
                "prompt is too long",
                "input token count",
                "Input is too long",
                "TOO_MANY_TOKENS",
            ],
        ),
    ];
    for (status, body, words) in kinds {
        mock.update(|script| script.fault = Some(Fault::always(Kind::error(status, body))));
        for (dialect, word) in NAMES.into_iter().zip(words) {
            let answer = ask(&mock, dialect, "hi", true, false).await;
            assert_eq!(answer.status(), status, "{dialect}");
            let text = format!("{}\n{}", answer.head, answer.json());
            assert!(text.contains(word), "{dialect} {status}: {text}");
            assert_eq!(
                answer.header("content-type").unwrap().split(';').next(),
                Some("application/json")
            );
        }
    }
}

#[tokio::test]
async fn a_wrong_key_is_refused_by_each_dialect() {
    let keys = vec!["good".to_owned()];
    let mock = start(Script { keys, ..fast() }).await;
    let headers = [
        "authorization: Bearer ",
        "authorization: Bearer ",
        "x-api-key: ",
        "x-goog-api-key: ",
        "authorization: Bearer ",
        "authorization: Bearer ",
    ];
    let refused = [
        (401, 401),
        (401, 401),
        (401, 401),
        (400, 403),
        (403, 403),
        (401, 401),
    ];
    for ((dialect, header), (wrong, none)) in NAMES.into_iter().zip(headers).zip(refused) {
        let (path, body) = asking(dialect, "hi", false, false);
        for (headers, status) in [
            (format!("{header}good\r\n"), 200),
            (format!("{header}bad\r\n"), wrong),
            (String::new(), none),
        ] {
            let answer = once(&mock, post(&path, &body, &headers)).await;
            assert_eq!(answer.status(), status, "{dialect} {headers}");
        }
    }
}

#[tokio::test]
async fn an_error_ends_a_stream_as_each_dialect_ends_it() {
    let kind = Kind::ErrorEvent {
        at: 4,
        body: ErrorBody::Overloaded,
    };
    let mock = start(Script {
        fault: Some(Fault::always(kind)),
        ..fast()
    })
    .await;
    let last = [
        "\"error\":{",
        "response.failed",
        "overloaded_error",
        "\"status\":\"UNAVAILABLE\"",
        "serviceUnavailableException",
        "\"finish_reason\":\"ERROR\"",
    ];
    for (dialect, word) in NAMES.into_iter().zip(last) {
        let answer = ask(&mock, dialect, "hi", true, false).await;
        assert_eq!((answer.status(), &answer.end), (200, &Ended::Whole));
        let values = values(&answer);
        let end = values.last().unwrap().to_string();
        assert!(end.contains(word), "{dialect}: {end}");
        let json = ask(&mock, dialect, "hi", false, false).await;
        assert!(
            json.status() == 200 && json.text().to_lowercase().contains("overloaded"),
            "{dialect}: {}",
            json.text()
        );
    }
}

#[tokio::test]
async fn streams_are_cut_and_spoilt_in_each_dialect() {
    let mock = start(fast()).await;
    let spoil = |kind: Kind| mock.update(|script| script.fault = Some(Fault::always(kind)));
    for dialect in NAMES {
        spoil(Kind::CutAfter {
            tokens: 3,
            how: Cut::Close,
        });
        let cut = ask(&mock, dialect, "hi", true, false).await;
        assert_eq!(
            (said(&cut).split_whitespace().count(), &cut.end),
            (3, &Ended::Closed),
            "{dialect}"
        );
        spoil(Kind::NoFinish);
        let open = ask(&mock, dialect, "hi", true, false).await;
        assert_eq!(
            (said(&open), &open.end),
            (fast().answer(), &Ended::Whole),
            "{dialect}"
        );
        let ends = [
            "\"stop\"",
            "response.completed",
            "end_turn",
            "\"finishReason\"",
            "\"stopReason\"",
            "message-end",
        ];
        let text = Value::from(values(&open)).to_string();
        assert!(
            !ends.iter().any(|end| text.contains(end)),
            "{dialect}: {text}"
        );
        spoil(Kind::MalformedEvent { at: 10 });
        let torn = ask(&mock, dialect, "hi", true, false).await;
        assert_eq!(said(&torn), fast().answer(), "{dialect}");
        spoil(Kind::TruncatedJson);
        for stream in [true, false] {
            let half = ask(&mock, dialect, "hi", stream, false).await;
            assert_eq!(
                (half.status(), &half.end),
                (200, &Ended::Whole),
                "{dialect}"
            );
            assert!(stream || serde_json::from_slice::<Value>(&half.body).is_err());
        }
        spoil(Kind::Empty);
        for stream in [true, false] {
            let empty = ask(&mock, dialect, "hi", stream, false).await;
            assert_eq!(
                (said(&empty).as_str(), &empty.end),
                ("", &Ended::Whole),
                "{dialect}"
            );
        }
    }
}

#[tokio::test]
async fn a_filter_ends_an_answer_as_each_dialect_says_it() {
    let ends = [
        "\"content_filter\"",
        "\"content_filter\"",
        "\"refusal\"",
        "\"SAFETY\"",
        "\"guardrail_intervened\"",
        "\"ERROR_TOXIC\"",
    ];
    for tokens in [0, 3] {
        let kind = Fault::parse(&format!("{{ kind: filtered, tokens: {tokens} }}")).unwrap();
        let fault = Some(kind);
        let mock = start(Script { fault, ..fast() }).await;
        for (dialect, end) in NAMES.into_iter().zip(ends) {
            for stream in [true, false] {
                let answer = ask(&mock, dialect, "hi", stream, false).await;
                assert_eq!((answer.status(), &answer.end), (200, &Ended::Whole));
                let text = Value::from(values(&answer)).to_string();
                let end = match (dialect, tokens) {
                    ("gemini", 0) => "\"blockReason\"",
                    _ => end,
                };
                assert!(text.contains(end), "{dialect} {stream}: {text}");
                let words = said(&answer).split_whitespace().count();
                assert_eq!(words, tokens, "{dialect} {stream}: {text}");
            }
        }
    }
}

#[tokio::test]
async fn events_are_damaged_or_unknown_in_each_dialect() {
    let mock = start(fast()).await;
    let spoil = |fault: &str| {
        let fault = Some(Fault::parse(fault).unwrap());
        mock.update(|script| script.fault = fault);
    };
    for dialect in NAMES {
        spoil("{ kind: unknown_event, at: 5 }");
        let odd = ask(&mock, dialect, "hi", true, false).await;
        assert_eq!((said(&odd), &odd.end), (fast().answer(), &Ended::Whole));
        assert!(
            String::from_utf8_lossy(&odd.body).contains("eather"),
            "{dialect}"
        );
        let whole = ask(&mock, dialect, "hi", false, false).await;
        assert_eq!(said(&whole), fast().answer(), "{dialect}");
        for how in ["flipped", "cut"] {
            spoil(&format!("{{ kind: damaged_event, at: 12, how: {how} }}"));
            let torn = ask(&mock, dialect, "hi", true, false).await;
            assert_eq!(
                (torn.status(), &torn.end),
                (200, &Ended::Whole),
                "{dialect}"
            );
            assert!(torn.body.len() < odd.body.len() / 2, "{dialect} {how}");
            if dialect == "bedrock" {
                let mut rest = torn.body.as_slice();
                let mut read = 0;
                while read_message_from(&mut rest).is_ok() {
                    read += 1;
                }
                assert_eq!(read, 11, "{how}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_not_understood_is_refused_and_recorded() {
    let mock = start(fast()).await;
    for dialect in NAMES {
        let (path, mut body) = asking(dialect, "hi", false, false);
        body["odd"] = json!(1);
        let answer = once(&mock, post(&path, &body, "")).await;
        // Chat is lenient unless the script is strict.
        assert_eq!(
            answer.status(),
            if dialect == "chat" { 200 } else { 400 },
            "{dialect}"
        );
        let meaning = mock.received().pop().unwrap().meaning.unwrap();
        assert!(meaning.refused.unwrap().starts_with("odd: "), "{dialect}");
        assert!(meaning.digest.is_none() && answer.header("x-mock-digest").is_none());
    }
    mock.update(|script| script.strict = true);
    let (path, mut body) = asking("chat", "hi", false, false);
    let strict = once(&mock, post(&path, &body, "")).await;
    assert_eq!((strict.status(), said(&strict)), (200, fast().answer()));
    body["odd"] = json!(1);
    let refused = once(&mock, post(&path, &body, "")).await;
    assert_eq!(refused.json()["error"]["code"], "unknown_parameter");
    body.as_object_mut().unwrap().remove("odd");
    body["n"] = json!(4_000_000_000_u32);
    let many = once(&mock, post(&path, &body, "")).await;
    assert_eq!(many.json()["choices"].as_array().unwrap().len(), 16);
    let (path, body) = asking("anthropic", "hi", false, false);
    let bare = post(&path, &body, "").replacen("anthropic-version: 2023-06-01\r\n", "", 1);
    assert_eq!(
        once(&mock, bare).await.json()["error"]["type"],
        "invalid_request_error"
    );
}

#[tokio::test]
async fn tokens_are_counted_limits_are_told_and_scenarios_go_by_the_model_in_the_path() {
    let mock = start(fast()).await;
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    let count = once(&mock, post("/v1/messages/count_tokens", &body, "")).await;
    assert!(count.json()["input_tokens"].as_u64().unwrap() > 4);
    let body = json!({"contents": [{"parts": [{"text": "hi"}]}]});
    let count = once(&mock, post("/v1beta/models/m:countTokens", &body, "")).await;
    assert!(count.json()["totalTokens"].as_u64().unwrap() > 4);
    let scenario = once(
        &mock,
        post("/v1beta/models/m-s04:generateContent", &body, ""),
    )
    .await;
    assert_eq!(scenario.status(), 503);
    let received = mock.received().pop().unwrap();
    assert_eq!(
        (received.model.as_deref(), received.stream),
        (Some("m-s04"), false)
    );
    let limits = Script::parse("limits: { requests: 1 }").unwrap().limits;
    mock.set(Script { limits, ..fast() });
    assert_eq!(ask(&mock, "gemini", "hi", false, false).await.status(), 200);
    let limited = ask(&mock, "gemini", "hi", false, false).await;
    assert_eq!(
        (limited.status(), &limited.json()["error"]["status"]),
        (429, &json!("RESOURCE_EXHAUSTED"))
    );
    assert!(limited.json()["error"]["details"][1]["retryDelay"].is_string());
}

#[tokio::test]
async fn a_scripted_call_is_made_word_for_word_in_every_dialect() {
    let script = r#"{ calls: [{ tool: look, arguments: { q: "exactly this" } }], words: "and then words", tokens: 3 }"#;
    let mock = start(Script {
        first_token: Duration::ZERO,
        pace: Duration::ZERO,
        ..Script::parse(script).unwrap()
    })
    .await;
    for dialect in NAMES {
        for stream in [false, true] {
            let answer = ask(&mock, dialect, "hello", stream, true).await;
            let told: Vec<_> = values(&answer).iter().map(Value::to_string).collect();
            let letters = told.concat().replace(['"', '\\', ' '], "");
            assert!(letters.contains("name:look"), "{dialect}: {letters}");
            if !stream {
                assert!(letters.contains("q:exactlythis"), "{dialect}: {letters}");
            }
            let answer = ask(&mock, dialect, "hello", stream, false).await;
            assert_eq!(said(&answer).trim(), "and then words", "{dialect}: no tool");
        }
    }
}
