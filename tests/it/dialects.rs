//! Every dialect of clients against every dialect of providers: what the provider understood is what it understands of
//! the same request when it is asked directly, and the answer comes back in the client's dialect. In reading order: this
//! file, `cases` (the requests). The table of what goes and what does not is in `docs/dialects.md`, written by this test
//! where `MAINSTAY_WRITE_DOCS` is set.

#[path = "dialects/cases.rs"]
pub(crate) mod cases;

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

use mainstay::cmd::mock::{Kind, Mock};

use crate::answer::Answer;
use crate::config::Config;
use crate::harness::{Proxy, failing, fast, mock};
use crate::raw::{self, Request, Via};
use cases::{Case, Inbound};

/// Where a mock speaks a dialect: the dialect's name, its root, and a model that is sold there.
pub(crate) const UPSTREAMS: [(&str, &str, &str); 6] = [
    ("openai", "/v1", "gpt-5-mini"),
    ("openai-responses", "/v1", "gpt-5-mini"),
    ("anthropic", "/v1", "claude-sonnet-4-5"),
    ("gemini", "/v1beta", "gemini-2.5-flash"),
    (
        "bedrock",
        "",
        "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    ),
    ("cohere", "/v2", "command-a-reasoning-08-2025"),
];
const BEGIN: &str = "<!-- matrix: begin -->\n";
const END: &str = "<!-- matrix: end -->\n";

/// A proxy with a model `t/DIALECT` for each dialect, all at one mock.
fn proxy(mock: &Mock) -> Proxy {
    let mut config = Config::new();
    for (dialect, root, model) in UPSTREAMS {
        let at = mock.addr();
        let fields = format!(
            "dialects: [{dialect}], base_url: \"http://{at}{root}\", keys: [{{ value: sk-{dialect} }}]"
        );
        config = config.raw_provider(dialect, &fields).raw_model(
            &format!("t/{dialect}"),
            &format!("endpoints: [{{ provider: {dialect}, model: \"{model}\" }}]"),
        );
    }
    config.start()
}

/// What the mock understood last: its digest, and the whole of it.
fn understood(mock: &Mock) -> (Option<String>, Value) {
    let last = mock.received().pop().expect("a request came");
    let meaning = last.meaning.expect("it was understood");
    (meaning.digest, meaning.understood.unwrap_or_default())
}

/// What a request means, where dialects have no words for a difference: texts in a row are one text; the only tool that must be
/// called is a tool that must be called; a result that is a text is its own output; how much thought an effort is, each
/// model has its own numbers for.
fn normal(understood: &Value) -> Value {
    let mut asked = understood.clone();
    if asked["tools"]
        .as_array()
        .is_some_and(|tools| tools.len() == 1)
        && asked["tool_choice"].get("named").is_some()
    {
        asked["tool_choice"] = "required".into();
    }
    if let Some(reasoning) = asked.get_mut("reasoning") {
        *reasoning = reasoning["on"].clone();
    }
    for turn in asked["turns"].as_array_mut().into_iter().flatten() {
        let mut parts: Vec<Value> = Vec::new();
        for part in turn["parts"].as_array().into_iter().flatten() {
            let mut part = part.clone();
            for content in part["result"]["content"]
                .as_array_mut()
                .into_iter()
                .flatten()
            {
                if let Some(text) = content["json"]["output"].as_str() {
                    *content = serde_json::json!({ "text": text });
                }
            }
            match (parts.last_mut(), part["text"].as_str()) {
                (Some(last), Some(text)) if last["text"].is_string() => {
                    let joined = format!("{}\n\n{text}", last["text"].as_str().unwrap_or_default());
                    last["text"] = joined.into();
                }
                _ => parts.push(part),
            }
        }
        turn["parts"] = parts.into();
    }
    asked
}

/// What came of one case at one upstream; the error is a fault.
fn outcome(
    answer: &Answer,
    direct: &(Option<String>, Value),
    mock: &Mock,
) -> Result<String, String> {
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    if answer.status == 400 {
        let (_, rest) = text
            .split_once("cannot carry '")
            .ok_or_else(|| text.clone())?;
        return Ok(format!(
            "no: {}",
            rest.split('\'').next().unwrap_or_default()
        ));
    }
    if answer.status != 200 {
        return Err(format!("{}: {text}", answer.status));
    }
    if let Some(dropped) = answer.header("x-mainstay-dropped") {
        return Ok(format!("without {dropped}"));
    }
    let through = understood(mock);
    match through.0 == direct.0 || normal(&through.1) == normal(&direct.1) {
        true => Ok("yes".to_owned()),
        false => Err(format!("understood\n  {}\n  {}", direct.1, through.1)),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_means_the_same_in_every_dialect() {
    let mock = mock(fast()).await;
    let proxy = proxy(&mock);
    let (mut tables, mut faults) = (String::new(), Vec::new());
    for inbound in Inbound::ALL {
        writeln!(
            tables,
            "\n| {} | {} |",
            inbound.title(),
            UPSTREAMS.map(|it| it.0).join(" | ")
        )
        .unwrap();
        writeln!(tables, "|---{}|", "|---".repeat(UPSTREAMS.len())).unwrap();
        for case in Case::ALL {
            let mut cells = Vec::new();
            for (dialect, ..) in UPSTREAMS {
                let asked = (inbound, case, dialect);
                cells.push(cell((&proxy, &mock), asked, &mut faults).await);
            }
            writeln!(tables, "| {} | {} |", case.title(), cells.join(" | ")).unwrap();
        }
    }
    assert!(
        faults.is_empty(),
        "{} faults:\n{}",
        faults.len(),
        faults.join("\n")
    );
    check_document(&tables);
}

/// What comes of a case, for one answer and for a stream; faults go to their list.
async fn cell(
    (proxy, mock): (&Proxy, &Mock),
    (inbound, case, dialect): (Inbound, Case, &str),
    faults: &mut Vec<String>,
) -> String {
    let mut outcomes = Vec::new();
    for stream in [false, true] {
        let about = format!("{inbound:?} {case:?} {dialect}, stream: {stream}");
        // Directly: the mock is asked in the client's own dialect.
        let asked = inbound.request(&format!("t/{dialect}"), case, stream);
        let told = raw::call(Via::H1, mock.addr(), &asked).await;
        let text = String::from_utf8_lossy(&told.body).into_owned();
        assert_eq!(told.status, 200, "{about}, directly: {text}");
        let direct = understood(mock);
        let answer = proxy.send(&asked).await;
        let came = outcome(&answer, &direct, mock);
        let objection = match answer.status {
            200 => inbound.objection(case, stream, &answer),
            _ => None,
        };
        faults.extend(
            came.as_ref()
                .err()
                .into_iter()
                .chain(&objection)
                .map(|it| format!("{about}: {it}")),
        );
        outcomes.push(came.unwrap_or_default());
    }
    match outcomes[0] == outcomes[1] {
        true => outcomes.swap_remove(0),
        false => format!("{}; streams: {}", outcomes[0], outcomes[1]),
    }
}

fn check_document(tables: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/dialects.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("the table's beginning");
    let (written, after) = rest.split_once(END).expect("the table's end");
    if std::env::var_os("MAINSTAY_WRITE_DOCS").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{tables}\n{END}{after}")).unwrap();
        return;
    }
    assert_eq!(
        written.trim(),
        tables.trim(),
        "write it with MAINSTAY_WRITE_DOCS=1"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_goes_to_a_speaker_of_another_dialect_and_its_answer_comes_back() {
    let (down, up) = (mock(failing(Kind::status(529))).await, mock(fast()).await);
    for inbound in Inbound::ALL {
        for (dialect, root, _) in UPSTREAMS {
            let first = format!(
                "base_url: \"http://{}/v1\", keys: [{{ value: k }}]",
                down.addr()
            );
            let second = format!(
                "base_url: \"http://{}{root}\", keys: [{{ value: k }}]",
                up.addr()
            );
            let proxy = Config::new()
                .raw_provider(
                    "first",
                    &format!("dialects: [{}], {first}", inbound.dialect()),
                )
                .raw_provider("second", &format!("dialects: [{dialect}], {second}"))
                .model("t/m", &["first", "second"])
                .start();
            for stream in [false, true] {
                let about = format!("{inbound:?} to {dialect}, stream: {stream}");
                let answer = proxy
                    .send(&inbound.request("t/m", Case::Text, stream))
                    .await;
                assert_eq!(answer.status, 200, "{about}: {answer:?}");
                let endpoint = answer.header("x-mainstay-endpoint");
                assert_eq!(endpoint, Some("t/m@second/default"), "{about}");
                let objection = inbound.objection(Case::Text, stream, &answer);
                assert_eq!(objection, None, "{about}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_is_asked_below_its_own_path() {
    let one = mock(fast()).await;
    let proxy = Config::new()
        .raw_provider(
            "one",
            &format!(
                "base_url: \"http://{}\", path: \"/v1{{operation}}?api-version={{api_version}}&of={{model}}\", \
                 api_version: v7, auth: none",
                one.addr()
            ),
        )
        .raw_model("t/m", "endpoints: [{ provider: one, model: \"a b\" }]")
        .start();
    assert_eq!(proxy.send(&Request::chat("t/m")).await.status, 200);
    let path = one.received().pop().unwrap().path;
    assert_eq!(path, "/v1/chat/completions?api-version=v7&of=a%20b");
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_are_told_in_the_clients_dialect() {
    let one = mock(failing(Kind::status(500))).await;
    let proxy = Config::new()
        .provider("one", one.addr())
        .model("t/m", &["one"])
        .start();
    let answer = proxy
        .send(&Inbound::Messages.request("t/m", Case::Text, false))
        .await;
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((answer.status, &body["type"]), (502, &Value::from("error")));
    assert_eq!(body["error"]["type"], "api_error");
    let answer = proxy
        .send(&Inbound::Responses.request("t/m", Case::Text, false))
        .await;
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(
        (answer.status, &body["error"]["type"]),
        (502, &Value::from("server_error"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_counted_by_who_can_and_estimated_else() {
    let one = mock(fast()).await;
    let proxy = proxy(&one);
    for (model, counted) in [("t/anthropic", true), ("t/openai", false)] {
        let before = one.received().len();
        let body =
            format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"hi"}}]}}"#);
        let answer = proxy
            .send(&Request::post("/v1/messages/count_tokens", body))
            .await;
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        assert!(
            body["input_tokens"].as_u64().is_some_and(|it| it > 0),
            "{model}: {body}"
        );
        assert_eq!(one.received().len() > before, counted, "{model}");
    }
}
