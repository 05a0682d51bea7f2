//! Owns the tests of the older completions and of embeddings.

use super::*;
use crate::cmd::mock::{Cut, Fault, Kind};

fn ask(path: &str, fields: &str) -> String {
    request("POST", path, &format!(r#"{{"model":"m",{fields}}}"#))
}

#[tokio::test]
async fn completions_tell_the_words_as_text() {
    let mock = start(fast()).await;
    let words = Script::default().answer();
    let answer = once(&mock, ask("/v1/completions", r#""prompt":["a","b"],"n":2"#)).await;
    let json = answer.json();
    assert_eq!(json["object"], "text_completion");
    assert_eq!(json["choices"].as_array().unwrap().len(), 4);
    assert_eq!(json["choices"][3]["text"], words);
    assert_eq!(json["usage"]["completion_tokens"], 240);
    let answer = once(
        &mock,
        ask("/v1/completions", r#""prompt":"a","stream":true"#),
    )
    .await;
    let text = |event: &serde_json::Value| event["choices"][0]["text"].as_str().map(str::to_owned);
    let told: String = answer.events().iter().filter_map(text).collect();
    assert_eq!(told, words);
    assert!(answer.text().ends_with("data: [DONE]\n\n"));
}

#[tokio::test]
async fn embeddings_are_vectors_of_ones() {
    let mock = start(fast()).await;
    let vector = |answer: &Answer| answer.json()["data"][0]["embedding"].clone();
    let numbers = once(
        &mock,
        ask("/v1/embeddings", r#""input":"a","dimensions":3"#),
    )
    .await;
    assert_eq!(vector(&numbers), serde_json::json!([1.0, 1.0, 1.0]));
    for (dimensions, base64) in [
        (1, "AACAPw=="),
        (2, "AACAPwAAgD8="),
        (4, "AACAPwAAgD8AAIA/AACAPw=="),
    ] {
        let fields = format!(
            r#""input":[[1],[2]],"dimensions":{dimensions},"encoding_format":"base64","stream":true"#
        );
        let answer = once(&mock, ask("/v1/embeddings", &fields)).await;
        assert_eq!(vector(&answer), base64);
        assert_eq!(answer.json()["data"].as_array().unwrap().len(), 2);
    }
}

#[tokio::test]
async fn faults_break_them_as_they_break_chat() {
    let cut = Kind::CutAfter {
        tokens: 0,
        how: Cut::Close,
    };
    let fault = Some(Fault::always(cut));
    let mock = start(Script { fault, ..fast() }).await;
    let stream = ask("/v1/completions", r#""prompt":"a","stream":true"#);
    for request in [stream, ask("/v1/embeddings", r#""input":"a""#)] {
        let answer = once(&mock, request).await;
        assert_eq!((answer.status(), &answer.end), (200, &Ended::Closed));
        assert_eq!(answer.text(), "");
    }
}
