//! Owns the tests of Gemini.

use super::answer::{Framing, stream, whole};
use super::*;
use crate::cmd::mock::dialects::plan::Plan;
use crate::cmd::mock::dialects::plan::tests::told;
use crate::cmd::mock::dialects::seal;
use crate::cmd::mock::dialects::trouble::Trouble;
use serde_json::json;

fn read_json(body: &Value) -> Result<Understood, Refused> {
    understand(body.to_string().as_bytes(), "gemini-2.5-flash", false)
}

fn request(more: &Value) -> Value {
    let mut body = json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

fn chunks(plan: &Plan, asked: &Understood) -> Vec<Value> {
    let data = |frame: &super::super::frames::Frame| {
        let text = std::str::from_utf8(&frame.bytes).unwrap().to_owned();
        serde_json::from_str(text.strip_prefix("data: ").unwrap()).unwrap()
    };
    stream(plan, asked, Framing::Events)
        .iter()
        .map(data)
        .collect()
}

#[test]
fn everything_that_is_asked_is_in_the_digest() {
    let body = request(&json!({
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "contents": [
            {"role": "user", "parts": [
                {"text": "look"}, {"inlineData": {"mimeType": "image/png", "data": "AAEC"}},
                {"fileData": {"mimeType": "application/pdf", "fileUri": "https://x/y.pdf"}},
            ]},
            {"role": "model", "parts": [
                {"text": "hm", "thought": true},
                {"functionCall": {"name": "f", "args": {"a": 1.0}}, "thoughtSignature": seal::seal(ORIGIN, "x")},
                {"functionCall": {"name": "f", "args": {"a": 2}}},
            ]},
            {"role": "user", "parts": [
                {"functionResponse": {"name": "f", "response": {"output": "fine"}}},
                {"functionResponse": {"name": "f", "response": {"error": "no"}}},
            ]},
        ],
        "tools": [{"functionDeclarations": [
            {"name": "f", "description": "d", "parameters": {"type": "OBJECT", "properties": {
                "a": {"type": "INTEGER", "nullable": true}, "l": {"type": "ARRAY", "minItems": "2", "items": {"type": "STRING"}}}}},
            {"name": "g", "parametersJsonSchema": {"type": "object", "additionalProperties": false}},
        ]}, {"googleSearch": {}}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
        "generationConfig": {"temperature": 0.5, "topK": 4.0, "maxOutputTokens": 99, "stopSequences": ["END"], "candidateCount": 2,
            "thinkingConfig": {"thinkingBudget": 100, "includeThoughts": true}},
        "safetySettings": [],
    }));
    let asked = read_json(&body).unwrap();
    let hash = super::super::understood::sha256(&[0, 1, 2]);
    let wanted = json!({
        "system": ["Be brief."],
        "turns": [
            {"role": "user", "parts": [
                {"text": "look"}, {"image": {"media_type": "image/png", "sha256": hash}}, {"document": {"url": "https://x/y.pdf"}},
            ]},
            {"role": "assistant", "parts": [
                {"reasoning": "hm"}, {"call": {"id": 0, "name": "f", "arguments": {"a": 1}}},
                {"call": {"id": 1, "name": "f", "arguments": {"a": 2}}},
            ]},
            {"role": "user", "parts": [
                {"result": {"id": 0, "content": [{"text": "fine"}]}},
                {"result": {"id": 1, "content": [{"text": "no"}], "error": true}},
            ]},
        ],
        "tools": [
            {"name": "f", "description": "d", "schema": {"type": "object", "properties": {
                "a": {"type": ["integer", "null"]}, "l": {"type": "array", "minItems": 2, "items": {"type": "string"}}}}},
            {"name": "g", "schema": {"type": "object", "additionalProperties": false}},
            {"name": "google_search", "schema": {"type": "object"}, "server": "google_search"},
        ],
        "tool_choice": {"named": "f"}, "sampling": {"temperature": 0.5, "top_k": 4}, "stop": ["END"], "max_tokens": 99,
        "reasoning": {"on": true, "budget": 100}, "stream": false, "n": 2,
    });
    assert_eq!(
        serde_json::from_str::<Value>(&asked.digest()).unwrap(),
        wanted
    );
}

#[test]
fn what_the_api_refuses_is_refused_in_its_words() {
    let call = json!({"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}}]});
    let user = json!({"role": "user", "parts": [{"text": "x"}]});
    let tool = |parameters: Value| json!([{"functionDeclarations": [{"name": "f", "parameters": parameters}]}]);
    let cases = [
        (
            json!({"odd": 1}),
            "Invalid JSON payload received. Unknown name \"odd\": Cannot find field.",
        ),
        (
            json!({"generationConfig": {"n": 1}}),
            "Invalid JSON payload received. Unknown name \"n\" at 'generationConfig'",
        ),
        (
            json!({"contents": []}),
            "* GenerateContentRequest.contents: contents is not specified",
        ),
        (
            json!({"contents": [{"role": "assistant", "parts": [{"text": "x"}]}]}),
            "Please use a valid role",
        ),
        (
            json!({"contents": [{"role": "user", "parts": [{}]}]}),
            "* GenerateContentRequest.contents[0].parts[0].data: required oneof",
        ),
        (
            json!({"contents": [user, call, user]}),
            "The number of function response parts",
        ),
        (json!({"contents": [call]}), "A function call turn"),
        (
            json!({"contents": [{"parts": [{"text": "x", "thoughtSignature": "AAAA"}]}]}),
            "Corrupted thought signature.",
        ),
        (
            json!({"tools": tool(json!({"type": "OBJECT", "$schema": "x"}))}),
            "Invalid JSON payload received. Unknown name \"$schema\" at 'tools[0].function_declarations[0].parameters'",
        ),
        (
            json!({"tools": tool(json!({"type": "OBJECT", "properties": {"a": {"const": 1}}}))}),
            "Invalid JSON payload received. Unknown name \"const\" at 'tools[0].function_declarations[0].parameters.properties.a'",
        ),
        (
            json!({"tools": [{"functionDeclarations": [{"name": "1f"}]}]}),
            "* GenerateContentRequest.tools[0].function_declarations[0].name: Invalid function name",
        ),
        (
            json!({"generationConfig": {"responseSchema": {"type": "STRING"}}}),
            "* GenerateContentRequest.generation_config.response_schema: only allowed",
        ),
        (
            json!({"generationConfig": {"thinkingConfig": {"thinkingBudget": 1, "thinkingLevel": "low"}}}),
            "* GenerateContentRequest.generation_config.thinking_config",
        ),
        (
            json!({"generationConfig": {"maxOutputTokens": "x"}}),
            "Invalid value at 'generationConfig.maxOutputTokens'",
        ),
    ];
    for (more, wanted) in cases {
        let refused = read_json(&request(&more)).unwrap_err();
        let body = error(&Trouble::Refused(refused), 400, None);
        let said = body["error"]["message"].as_str().unwrap();
        assert!(said.starts_with(wanted), "{more}: {said}");
        assert_eq!(body["error"]["status"], "INVALID_ARGUMENT");
    }
    let third = json!({"contents": [user, call, {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {}}}]}]});
    let refused = understand(third.to_string().as_bytes(), "gemini-3-pro", false).unwrap_err();
    assert!(refused.message.contains("missing a thought_signature"));
}

#[test]
fn a_stream_tells_what_the_response_tells() {
    let thinking = json!({"includeThoughts": true});
    let body = request(&json!({
        "contents": [{"parts": [{"text": "call f and f"}]}], "generationConfig": {"thinkingConfig": thinking},
        "tools": [{"functionDeclarations": [{"name": "f", "parameters": {"type": "OBJECT", "properties": {"q": {"type": "STRING"}}}}]}],
    }));
    for body in [
        body,
        request(&json!({"generationConfig": {"thinkingConfig": thinking}})),
        request(&json!({})),
    ] {
        let asked = read_json(&body).unwrap();
        let plan = Plan::new(&asked, &told());
        let response = whole(&plan, &asked);
        let chunks = chunks(&plan, &asked);
        let parts = |value: &Value| {
            value["candidates"][0]["content"]["parts"]
                .as_array()
                .unwrap()
                .clone()
        };
        let text = |parts: &[Value], thought: bool| -> String {
            let of = parts
                .iter()
                .filter(|part| part["thought"].as_bool().unwrap_or(false) == thought);
            of.filter_map(|part| part["text"].as_str()).collect()
        };
        let streamed: Vec<_> = chunks.iter().flat_map(parts).collect();
        for thought in [true, false] {
            assert_eq!(text(&streamed, thought), text(&parts(&response), thought));
        }
        let calls = |parts: &[Value]| {
            parts
                .iter()
                .filter(|part| part["functionCall"].is_object())
                .cloned()
                .collect::<Value>()
        };
        assert_eq!(calls(&streamed), calls(&parts(&response)));
        let last = chunks.last().unwrap();
        assert_eq!(last["usageMetadata"], response["usageMetadata"]);
        assert_eq!(
            (&last["candidates"][0]["finishReason"], chunks.len() > 1),
            (&json!("STOP"), true)
        );
        let array: Vec<u8> = stream(&plan, &asked, Framing::Array)
            .iter()
            .flat_map(|frame| frame.bytes.to_vec())
            .collect();
        assert_eq!(
            serde_json::from_slice::<Vec<Value>>(&array).unwrap(),
            chunks
        );
    }
}

#[test]
fn what_was_signed_is_taken_back() {
    let contents = json!([{"role": "user", "parts": [{"text": "call f"}]}]);
    let tools = json!([{"functionDeclarations": [{"name": "f"}]}]);
    let read = |contents: &Value| {
        let body = json!({"contents": contents, "tools": tools});
        understand(body.to_string().as_bytes(), "gemini-3-pro", false)
    };
    let asked = read(&contents).unwrap();
    let response = whole(&Plan::new(&asked, &told()), &asked);
    let said = &response["candidates"][0]["content"];
    assert!(said["parts"][0]["thoughtSignature"].is_string());
    let answered = json!({"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"x": 1}}}]});
    let again = read(&json!([contents[0], said, answered])).unwrap();
    assert_eq!(
        again.turns[2].parts,
        [Part::Result {
            id: 0,
            content: vec![Part::Json(json!({"x": 1}))],
            error: false
        }]
    );
}

#[test]
fn errors_have_google_details() {
    let limited = error(&Trouble::RateLimit, 429, Some("7"));
    assert_eq!(limited["error"]["status"], "RESOURCE_EXHAUSTED");
    assert_eq!(limited["error"]["details"][1]["retryDelay"], "7s");
    assert_eq!(
        error(&Trouble::WrongKey, 400, None)["error"]["details"][0]["reason"],
        "API_KEY_INVALID"
    );
    assert_eq!(
        error(&Trouble::Overloaded, 503, None)["error"]["status"],
        "UNAVAILABLE"
    );
}
