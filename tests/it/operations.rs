//! The older completions and embeddings: the same recovery, commit and errors as chat has, in their own format.

use mainstay::cmd::mock::{Cut, Fault, Kind, Mock, Script};
use serde_json::Value;

use crate::harness::{Config, Proxy, failing, fast, mock};
use crate::raw::{self, Answer, BOTH, Ended, Request, Via};

const PROMPT: &str = r#""prompt":"Once""#;
const STREAM: &str = r#""prompt":"Once","stream":true"#;
const INPUT: &str = r#""input":["one","two"],"encoding_format":"base64""#;

fn ask(path: &str, fields: &str) -> Request {
    Request::post(path, format!(r#"{{"model":"acme/m-1",{fields}}}"#))
}

/// A proxy before a provider that fails so, and one that does not.
async fn beside(kind: Kind) -> (Mock, Mock, Proxy) {
    let bad = mock(failing(kind)).await;
    let good = mock(fast()).await;
    let proxy = Config::new()
        .provider("bad", bad.addr())
        .provider("good", good.addr())
        .model("acme/m-1", &["bad", "good"])
        .start();
    (bad, good, proxy)
}

/// The text of a stream's or a JSON answer's first choice.
fn text(answer: &Answer) -> String {
    let of = |value: &Value| {
        let text = value.pointer("/choices/0/text")?;
        text.as_str().map(str::to_owned)
    };
    match answer.is_stream() {
        true => answer.events().iter().filter_map(of).collect(),
        false => of(&answer.json()).unwrap_or_default(),
    }
}

fn recovered(answer: &Answer, what: &str) {
    let whole = (answer.status, answer.end);
    assert_eq!(whole, (200, Ended::Whole), "{what}: {answer:?}");
    assert_eq!(answer.header("x-mainstay-attempts"), Some("2"), "{what}");
    assert_eq!(answer.model(), "acme/m-1", "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn completions_fail_over() {
    let cut = Kind::CutAfter {
        tokens: 0,
        how: Cut::Close,
    };
    let table = [
        Kind::status(500),
        Kind::Reset,
        Kind::TruncatedJson,
        Kind::Empty,
        cut,
    ];
    for kind in table {
        for (via, fields) in BOTH.into_iter().zip([PROMPT, STREAM]) {
            let what = format!("{kind:?} {via:?}");
            let stops = fields == STREAM && kind == Kind::TruncatedJson;
            if stops {
                continue; // That stream breaks after its first words.
            }
            for path in ["/v1/completions", "/api/v1/completions"] {
                // A pair of its own: the next request would be kept from a provider that has just failed.
                let (bad, good, proxy) = beside(kind.clone()).await;
                let answer = proxy.call(via, &ask(path, fields)).await;
                recovered(&answer, &what);
                assert_eq!(text(&answer), Script::default().answer(), "{what}");
                assert_eq!(answer.is_stream(), fields == STREAM);
                for mock in [bad, good] {
                    let received = mock.received();
                    assert_eq!(received[0].path, "/v1/completions", "{what}");
                    assert_eq!(received[0].model.as_deref(), Some("m-1"));
                }
                let log = proxy.access_log(1).await;
                assert_eq!(log[0]["path"], path);
                assert_eq!(log[0]["completion_tokens"], 60);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn embeddings_fail_over() {
    let cut = Kind::CutAfter {
        tokens: 30,
        how: Cut::Close,
    };
    let table = [
        Kind::status(503),
        Kind::Close,
        Kind::TruncatedJson,
        Kind::Empty,
        cut,
    ];
    for kind in table {
        let what = format!("{kind:?}");
        for (via, path) in BOTH
            .into_iter()
            .zip(["/v1/embeddings", "/api/v1/embeddings"])
        {
            let (_bad, good, proxy) = beside(kind.clone()).await;
            let answer = proxy.call(via, &ask(path, INPUT)).await;
            recovered(&answer, &what);
            let vectors = answer.json()["data"].clone();
            assert_eq!(vectors.as_array().unwrap().len(), 2, "{what}");
            assert!(vectors[1]["embedding"].is_string(), "base64 stays");
            assert_eq!(good.received()[0].path, "/v1/embeddings");
            let log = proxy.access_log(1).await;
            assert!(log[0]["prompt_tokens"].as_u64().unwrap() > 0, "{what}");
            assert_eq!(log[0]["path"], path);
        }
    }
}

/// Longer than any other answer may be held: a part of the vectors is of no use, and the model's name and the
/// usage stand behind them.
#[tokio::test(flavor = "multi_thread")]
async fn long_embeddings_are_held_whole_so_that_a_cut_is_recovered() {
    let cut = Kind::CutAfter {
        tokens: 55,
        how: Cut::Reset,
    };
    let fields = r#""input":["a","b","c"],"dimensions":90000"#;
    for via in BOTH {
        let (_bad, good, proxy) = beside(cut.clone()).await;
        let answer = proxy.call(via, &ask("/v1/embeddings", fields)).await;
        recovered(&answer, "long");
        assert!(answer.body.len() > 1_000_000);
        let direct = Request::post("/v1/embeddings", format!(r#"{{"model":"m-1",{fields}}}"#));
        let direct = raw::call(Via::H1, good.addr(), &direct).await;
        let tail = |answer: &Answer| answer.text().rsplit_once("]}],").unwrap().1.to_owned();
        let usage = format!(r#""usage":{}"#, answer.json()["usage"]);
        assert!(tail(&answer).contains(&usage) && answer.json()["usage"].is_object());
        assert!(tail(&direct).contains(r#""model":"m-1""#));
        assert_eq!(answer.json()["data"], direct.json()["data"]);
        let log = proxy.access_log(1).await;
        assert!(log[0]["prompt_tokens"].as_u64().unwrap() > 0);
    }
}

/// Memory is bounded: beyond the hold they pass as they come, whole, with the name that the provider gives.
#[tokio::test(flavor = "multi_thread")]
async fn embeddings_too_long_to_hold_pass_as_they_come() {
    let mock = mock(fast()).await;
    let proxy = Config::new()
        .provider("one", mock.addr())
        .model("acme/m-1", &["one"])
        .start();
    let inputs = [r#""a""#; 30].join(",");
    let fields = format!(r#""input":[{inputs}],"dimensions":90000"#);
    for via in BOTH {
        let answer = proxy.call(via, &ask("/v1/embeddings", &fields)).await;
        assert_eq!((answer.status, answer.end), (200, Ended::Whole));
        assert!(answer.body.len() > 10_000_000);
        assert_eq!(answer.header("content-length"), None);
        assert_eq!(answer.model(), "m-1");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_text_that_breaks_ends_in_a_typed_error() {
    for how in [Cut::Close, Cut::Reset, Cut::CleanEnd] {
        let fault = Some(Fault::always(Kind::CutAfter { tokens: 5, how }));
        let bad = mock(Script { fault, ..fast() }).await;
        let proxy = Config::new()
            .provider("bad", bad.addr())
            .model("acme/m-1", &["bad"])
            .start();
        for via in BOTH {
            let answer = proxy.call(via, &ask("/v1/completions", STREAM)).await;
            assert_ne!(answer.end, Ended::Whole, "{how:?}");
            assert!(!answer.is_done(), "{how:?}");
            let events = answer.events();
            let last = events.last().unwrap();
            assert_eq!(last["object"], "text_completion", "{how:?}: {last}");
            assert_eq!(last["id"], events[0]["id"]);
            assert_eq!(last["model"], "acme/m-1");
            assert_eq!(last["choices"][0]["text"], "");
            assert_eq!(last["choices"][0]["finish_reason"], "error");
            assert!(last["error"]["type"].is_string());
            assert!(text(&answer).starts_with("A harbour pilot"));
        }
    }
}

/// The answer, and what the provider says to the same request, with the same id, time and name.
async fn both(path: &str, fields: &str, via: Via) -> (String, String) {
    let mock = mock(fast()).await;
    let proxy = Config::new()
        .provider("one", mock.addr())
        .model("acme/m-1", &["one"])
        .start();
    let answer = proxy.call(via, &ask(path, fields)).await;
    assert_eq!((answer.status, answer.end), (200, Ended::Whole));
    let sent = mock.received().pop().unwrap().body.unwrap();
    let direct = raw::call(Via::H1, mock.addr(), &Request::post(path, sent)).await;
    (
        plain(&answer),
        plain(&direct).replace(r#""m-1""#, r#""acme/m-1""#),
    )
}

/// The text without the numbers of its answer and its time.
fn plain(answer: &Answer) -> String {
    let mut text = answer.text().to_owned();
    for mark in [r#""id":"cmpl-mock"#, r#""created":"#] {
        let parts: Vec<&str> = text.split(mark).collect();
        let rest = parts[1..]
            .iter()
            .map(|part| part.trim_start_matches(|digit: char| digit.is_ascii_digit()));
        text = [parts[0]]
            .into_iter()
            .chain(rest)
            .collect::<Vec<_>>()
            .join(mark);
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn text_and_vectors_arrive_byte_for_byte_with_the_catalogues_name() {
    let usage =
        r#""prompt":["a","b","c"],"n":2,"stream":true,"stream_options":{"include_usage":true}"#;
    let table = [
        ("/v1/completions", PROMPT),
        ("/v1/completions", usage),
        ("/v1/completions", r#""prompt":[1,2,3],"echo":true"#),
        ("/v1/embeddings", INPUT),
        ("/v1/embeddings", r#""input":"one","stream":true"#),
    ];
    for (path, fields) in table {
        for via in BOTH {
            let (answer, direct) = both(path, fields, via).await;
            assert_eq!(answer, direct, "{fields}");
        }
    }
}

/// One prompt of two is answered whole, then the stream ends as if it were over.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_lacks_a_prompts_answer_is_never_ended_cleanly() {
    let chunk = r#"data: {"id":"c","object":"text_completion","created":1,"model":"m","choices":[{"index":0,"text":"hi","finish_reason":"stop"}]}"#;
    for (ending, fields, end) in [
        ("\n\n", r#""prompt":["a","b"],"stream":true"#, None),
        ("\n\n", STREAM, Some("data: [DONE]\n\n")),
    ] {
        let upstream =
            crate::upstream::Literal::of("text/event-stream", &format!("{chunk}{ending}")).await;
        let proxy = Config::new()
            .provider("one", upstream.address)
            .model("acme/m-1", &["one"])
            .start();
        let answer = proxy.send(&ask("/v1/completions", fields)).await;
        match end {
            Some(marker) => assert!(answer.text().ends_with(marker), "{answer:?}"),
            None => assert_ne!(answer.end, Ended::Whole, "{answer:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_without_their_input_and_unknown_models_are_refused() {
    let (bad, good, proxy) = beside(Kind::status(500)).await;
    for root in ["/v1", "/api/v1"] {
        for (operation, field, input) in [
            ("completions", "prompt", PROMPT),
            ("embeddings", "input", INPUT),
        ] {
            let path = format!("{root}/{operation}");
            let answer = proxy.send(&ask(&path, r#""user":"u""#)).await;
            assert_eq!((answer.status, answer.end), (400, Ended::Whole));
            assert_eq!(answer.error()["param"], field);
            let unknown = Request::post(&path, format!(r#"{{"model":"acme/m-2",{input}}}"#));
            let answer = proxy.call(Via::H2, &unknown).await;
            assert_eq!(answer.status, 404);
            assert!(answer.text().contains("acme/m-1"));
            let answer = proxy.send(&Request::get(&path)).await;
            assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")));
        }
    }
    assert_eq!(bad.received().len() + good.received().len(), 0);
}
