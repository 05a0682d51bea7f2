use serde_json::json;

use super::*;
use crate::wire::anthropic::origin::FORMAT;
use crate::wire::hub::{Document, Image, Source, Thought, ThoughtKind, ToolCall, ToolResult};

fn request(body: &serde_json::Value) -> Request {
    read(&Bytes::from(body.to_string())).unwrap()
}

fn error(body: &serde_json::Value) -> RequestError {
    read(&Bytes::from(body.to_string())).unwrap_err()
}

fn of_parts(role: &str, content: &serde_json::Value) -> Vec<Part> {
    let body = json!({"model": "m", "messages": [{"role": role, "content": content}]});
    let mut request = request(&body);
    request.messages.remove(0).parts
}

fn cached(part: Part) -> Part {
    match part {
        Part::Text {
            text, citations, ..
        } => Part::Text {
            text,
            citations,
            cache: Some(Cache::default()),
        },
        other => other,
    }
}

#[test]
fn settings_are_read() {
    let found = request(&json!({
        "model": "m", "max_tokens": 10, "temperature": 0.5, "top_k": 40, "top_p": 0.9, "stream": true,
        "stop_sequences": ["END"], "metadata": {"user_id": "u", "team": 7}, "service_tier": "standard_only",
        "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
        "messages": [{"role": "user", "content": "hi"}, {"role": "system", "content": "t"}],
        "tools": [
            {"name": "look", "description": "d", "input_schema": {"type": "object", "n": 1.0}, "strict": true, "defer_loading": true,
             "cache_control": {"type": "ephemeral", "ttl": "1h"}},
            {"type": "web_search_20250305", "name": "web_search", "max_uses": 5},
        ],
        "tool_choice": {"type": "tool", "name": "look", "disable_parallel_tool_use": true},
        "thinking": {"type": "enabled", "budget_tokens": 2000, "display": "omitted"},
        "output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}, "task_budget": {}},
        "container": "c", "models": ["x"], "provider": {}, "session_id": "s",
    }));
    let system = cached(Part::text("s"));
    let messages = [
        (Role::System, vec![system]),
        (Role::User, vec![Part::text("hi")]),
        (Role::System, vec![Part::text("t")]),
    ];
    let messages = messages.map(|(role, parts)| Message { role, parts });
    assert_eq!(found.messages, messages);
    assert_eq!((found.max_tokens, found.stream), (Some(10), true));
    let sampling = Sampling {
        temperature: Some(0.5),
        top_p: Some(0.9),
        top_k: Some(40),
        ..Sampling::default()
    };
    assert_eq!(found.sampling, sampling);
    assert_eq!(found.stop, ["END"]);
    assert_eq!(found.user.as_deref(), Some("u"));
    assert_eq!(found.service_tier.as_deref(), Some("default"));
    assert_eq!(found.tools.len(), 1);
    let tool = &found.tools[0];
    let schema = tool.parameters.as_deref().unwrap().get();
    assert_eq!(
        schema, r#"{"n":1.0,"type":"object"}"#,
        "as the client wrote it"
    );
    assert_eq!(tool.cache.as_ref().unwrap().ttl.as_deref(), Some("1h"));
    assert_eq!(
        found.tool_choice,
        Some(ToolChoice::Named("look".to_owned()))
    );
    assert_eq!(found.parallel_tools, Some(false));
    let reasoning = Reasoning {
        max_tokens: Some(2000),
        hidden: true,
        ..Reasoning::default()
    };
    assert_eq!(found.reasoning, Some(reasoning));
    assert!(matches!(found.format, Format::Schema(_)));
    assert_eq!(
        found.unknown,
        [
            "tools.defer_loading",
            "tools.web_search_20250305",
            "container",
            "output_config.task_budget",
            "metadata.team",
        ]
    );
}

#[test]
fn thinking_is_read_in_each_form() {
    let read = |thinking: serde_json::Value, effort: Option<&str>| {
        let found = request(&json!({
            "messages": [], "thinking": thinking, "output_config": {"effort": effort},
        }));
        (found.reasoning, found.verbosity)
    };
    let effort = |effort| {
        Some(Reasoning {
            effort: Some(effort),
            ..Reasoning::default()
        })
    };
    let adaptive = || json!({"type": "adaptive"});
    assert_eq!(read(adaptive(), None), (effort(Effort::High), None));
    assert_eq!(read(adaptive(), Some("max")), (effort(Effort::XHigh), None));
    assert_eq!(
        read(json!({"type": "disabled"}), None),
        (effort(Effort::None), None)
    );
    assert_eq!(
        read(json!(null), Some("max")),
        (None, Some("high".to_owned()))
    );
    assert_eq!(read(json!(null), None), (None, None));
}

#[test]
fn every_block_of_a_users_is_read() {
    let parts = of_parts(
        "user",
        &json!([
            {"type": "tool_result", "tool_use_id": "a", "content": "x", "is_error": true},
            {"type": "tool_result", "tool_use_id": "b", "content": [
                {"type": "text", "text": "y"},
                {"type": "image", "source": {"type": "url", "url": "https://example.test/a.png"}}]},
            {"type": "tool_result", "tool_use_id": "c"},
            {"type": "text", "text": "t", "cache_control": {"type": "ephemeral"}},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
            {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "BBBB"},
             "title": "d", "context": "read it"},
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "plain"}},
            {"type": "document", "source": {"type": "content", "content": "held"}},
            {"type": "search_result", "source": "https://example.test", "title": "found",
             "content": [{"type": "text", "text": "words"}]},
        ]),
    );
    let result = |id: &str, parts, failed| {
        Part::ToolResult(ToolResult {
            id: id.to_owned(),
            parts,
            failed,
            ..ToolResult::default()
        })
    };
    let image = |source| {
        Part::Image(Image {
            source,
            detail: None,
            cache: None,
        })
    };
    let document = |source, name: Option<&str>| {
        Part::Document(Document {
            source,
            name: name.map(str::to_owned),
            cache: None,
        })
    };
    let base64 = |media_type: &str, data: &str| Source::Base64 {
        media_type: media_type.to_owned(),
        data: data.to_owned(),
    };
    let url = image(Source::Url("https://example.test/a.png".to_owned()));
    let expected = [
        result("a", vec![Part::text("x")], true),
        result("b", vec![Part::text("y"), url], false),
        result("c", vec![], false),
        cached(Part::text("t")),
        image(base64("image/png", "AAAA")),
        Part::text("read it"),
        document(base64("application/pdf", "BBBB"), Some("d")),
        document(Source::Text("plain".to_owned()), None),
        Part::text("held"),
        Part::text("found\nhttps://example.test\nwords"),
    ];
    assert_eq!(parts, expected);
}

#[test]
fn a_models_turn_comes_back_with_its_origins() {
    let parts = of_parts(
        "assistant",
        &json!([
            {"type": "thinking", "thinking": "own", "signature": "c2ln"},
            {"type": "thinking", "thinking": "theirs",
             "signature": r#"mainstay:{"format":"openai-responses-v1","id":"rs_1","summary":true}"#},
            {"type": "thinking", "thinking": "nobody's", "signature": ""},
            {"type": "redacted_thinking", "data": "ZW5j"},
            {"type": "redacted_thinking", "data": r#"mainstay:{"signature":"tsig","call":"t1"}"#},
            {"type": "text", "text": "so", "citations": [{"type": "char_location", "cited_text": "x"}]},
            {"type": "tool_use", "id": "t1", "name": "look", "input": {"a": 1.0}},
        ]),
    );
    let thought = |kind, text: &str, signature: Option<&str>, format: Option<&str>| Thought {
        kind,
        text: text.to_owned(),
        signature: signature.map(str::to_owned),
        id: None,
        format: format.map(str::to_owned),
    };
    let theirs = Thought {
        id: Some("rs_1".to_owned()),
        ..thought(
            ThoughtKind::Summary,
            "theirs",
            None,
            Some("openai-responses-v1"),
        )
    };
    let expected = [
        Part::Thought(thought(
            ThoughtKind::Text,
            "own",
            Some("c2ln"),
            Some(FORMAT),
        )),
        Part::Thought(theirs),
        Part::Thought(thought(ThoughtKind::Text, "nobody's", None, None)),
        Part::Thought(thought(ThoughtKind::Encrypted, "ZW5j", None, Some(FORMAT))),
        Part::text("so"),
        Part::ToolCall(ToolCall {
            id: "t1".to_owned(),
            name: "look".to_owned(),
            arguments: r#"{"a":1.0}"#.to_owned(),
            cache: None,
            signature: Some("tsig".to_owned()),
        }),
    ];
    assert_eq!(parts, expected);
}

#[test]
fn blocks_of_the_providers_own_tools_are_named() {
    let found = request(&json!({"messages": [
        {"role": "assistant", "content": [
            {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
            {"type": "web_search_tool_result", "tool_use_id": "s", "content": {"type": "error", "code": "x"}},
            {"type": "web_search_tool_result", "tool_use_id": "s", "content": []},
            {"type": "text", "text": "so"},
        ]},
    ]}));
    assert_eq!(found.messages[0].parts, [Part::text("so")]);
    let expected = [
        "messages.server_tool_use",
        "messages.web_search_tool_result",
    ];
    assert_eq!(found.unknown, expected);
}

#[test]
fn a_mark_on_the_whole_is_one_on_its_last_part() {
    let found = request(&json!({
        "cache_control": {"type": "ephemeral"},
        "messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}],
    }));
    assert_eq!(
        found.messages[0].parts,
        [Part::text("a"), cached(Part::text("b"))]
    );
}

#[test]
fn mistakes_are_told_with_their_place() {
    assert_eq!(error(&json!({"model": "m"})).param, Some("messages"));
    let message = |content| json!({"messages": [{"role": "user", "content": content}]});
    let of = |content| error(&message(content)).message;
    assert_eq!(of(json!([{"text": "a"}])), "a content block has no 'type'");
    assert_eq!(
        of(json!([{"type": "image", "source": {"type": "base64"}}])),
        "a block of type 'image' has no 'source' that can be read"
    );
    assert_eq!(
        of(json!([{"type": "tool_result"}])),
        "a 'tool_result' has no 'tool_use_id'"
    );
    let found = error(&message(json!(7))).message;
    assert!(
        found.contains("text or a list of content blocks at line 1 column"),
        "{found}"
    );
    let found = error(&json!({"messages": [{"role": "tool", "content": "a"}]})).message;
    assert!(found.contains("unknown variant `tool`"), "{found}");
    let choice = json!({"messages": [], "tool_choice": {"type": "tool"}});
    assert_eq!(error(&choice).param, Some("tool_choice"));
    assert!(read(&Bytes::from_static(b"[1")).is_err());
}

#[test]
fn blocks_within_blocks_end_at_the_parsers_depth() {
    let of = |open: &str, close: &str| {
        let (open, close) = (open.repeat(50_000), close.repeat(50_000));
        let body = format!(r#"{{"messages":[{{"role":"user","content":[{open}{close}]}}]}}"#);
        read(&Bytes::from(body)).unwrap_err().message
    };
    let documents = of(
        r#"{"type":"document","source":{"type":"content","content":["#,
        "]}}",
    );
    assert!(documents.contains("recursion limit"), "{documents}");
    let results = of(
        r#"{"type":"tool_result","tool_use_id":"a","content":["#,
        "]}",
    );
    assert!(results.contains("recursion limit"), "{results}");
}
