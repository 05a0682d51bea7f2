//! Owns `mainstay demo --dialects`: one question with a picture, from each kind of client to each kind of provider, as JSON and as a
//! stream, while each model's first provider is overloaded. The fake provider reads what it gets with a schema of its own and
//! tells a digest of what it understood. Must never call two requests the same without comparing what was understood.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::cmd::client::Client;
use crate::cmd::demo::call::read_all;
use crate::cmd::demo::proxy::Proxy;
use crate::cmd::demo::screen::Screen;
use crate::cmd::demo::text::{Line, Style};
use crate::cmd::mock::{Fault, Kind, Mock, Script};
use crate::config::{self, Loaded, Source};

/// A kind of provider: its dialect, where its paths begin, and a model that is sold there.
const PROVIDERS: [(&str, &str, &str); 6] = [
    ("openai", "/v1", "gpt-5-mini"),
    ("openai-responses", "/v1", "gpt-5-mini"),
    ("anthropic", "/v1", "claude-sonnet-4-5"),
    ("gemini", "/v1beta", "gemini-2.5-flash"),
    ("bedrock", "", "anthropic.claude-sonnet-4-5-20250929-v1:0"),
    ("cohere", "/v2", "command-a-vision-07-2025"),
];
/// Nobody waits longer for an answer of a provider on the same machine.
const PATIENCE: Duration = Duration::from_secs(30);

const SYSTEM: &str = "Answer in one sentence.";
const QUESTION: &str = "What is in the picture?";
/// One pixel, as PNG.
const PICTURE: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/// A kind of client.
struct Asker {
    name: &'static str,
    path: &'static str,
    /// The request, but for its model and whether it is for a stream.
    body: fn() -> Value,
    /// What a whole answer says of itself, and the end of a stream.
    ends: [&'static str; 2],
}

const ASKERS: [Asker; 3] = [
    Asker {
        name: "Chat Completions",
        path: "/v1/chat/completions",
        body: chat,
        ends: ["\"chat.completion\"", "data: [DONE]"],
    },
    Asker {
        name: "Responses",
        path: "/v1/responses",
        body: responses,
        ends: ["\"output\"", "event: response.completed"],
    },
    Asker {
        name: "Messages",
        path: "/v1/messages",
        body: messages,
        ends: ["\"end_turn\"", "event: message_stop"],
    },
];

fn chat() -> Value {
    let picture = json!({ "url": format!("data:image/png;base64,{PICTURE}") });
    json!({ "max_tokens": 200, "messages": [
        { "role": "system", "content": SYSTEM },
        { "role": "user", "content": [
            { "type": "text", "text": QUESTION },
            { "type": "image_url", "image_url": picture },
        ]},
    ]})
}

fn responses() -> Value {
    let picture = format!("data:image/png;base64,{PICTURE}");
    json!({ "max_output_tokens": 200, "instructions": SYSTEM, "input": [
        { "role": "user", "content": [
            { "type": "input_text", "text": QUESTION },
            { "type": "input_image", "image_url": picture },
        ]},
    ]})
}

fn messages() -> Value {
    let picture = json!({ "type": "base64", "media_type": "image/png", "data": PICTURE });
    json!({ "max_tokens": 200, "system": SYSTEM, "messages": [
        { "role": "user", "content": [
            { "type": "text", "text": QUESTION },
            { "type": "image", "source": picture },
        ]},
    ]})
}

/// Who plays.
struct Stage {
    mock: Mock,
    overloaded: Mock,
    proxy: Proxy,
    /// Of the proxy.
    client: Client,
}

/// What became of one request.
struct Told {
    attempts: u32,
    /// What the provider understood.
    digest: String,
}

/// What became of a client's requests to one kind of provider: JSON, then a stream.
type Cell = Result<[Told; 2], String>;

/// Runs to the end. Returns whether every provider understood every client, and every client got its answer.
pub(super) fn perform<W: Write>(runtime: &Runtime, screen: &mut Screen<W>) -> anyhow::Result<bool> {
    let mock = runtime.block_on(start(Script::default()))?;
    let script = Script {
        fault: Some(Fault::always(Kind::status(529))),
        ..Script::default()
    };
    let overloaded = runtime.block_on(start(script))?;
    let proxy = Proxy::start(runtime, load(overloaded.addr(), mock.addr())?)?;
    let stage = Stage {
        mock,
        overloaded,
        client: Client::of(proxy.address),
        proxy,
    };
    let played = play(runtime, &stage, screen);
    stage.proxy.end();
    runtime.block_on(async {
        stage.mock.stop().await;
        stage.overloaded.stop().await;
    });
    played
}

async fn start(script: Script) -> anyhow::Result<Mock> {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let started = Mock::start(any, script).await;
    started.context("a provider cannot start")
}

/// Each model has the overloaded provider first, which speaks whatever its clients do, then one of one dialect alone.
fn load(overloaded: SocketAddr, mock: SocketAddr) -> anyhow::Result<Loaded> {
    let provider = |(dialect, root, _)| {
        format!(
            "  {dialect}: {{ base_url: \"http://{mock}{root}\", dialects: [{dialect}], keys: [{{ value: demo }}] }}\n"
        )
    };
    let model = |(dialect, _, model)| {
        format!(
            "  demo/{dialect}: {{ endpoints: [{{ provider: overloaded }}, {{ provider: {dialect}, model: \"{model}\" }}] }}\n"
        )
    };
    let (providers, models) = (
        PROVIDERS.map(provider).concat(),
        PROVIDERS.map(model).concat(),
    );
    let text = format!(
        "server: {{ listen: [127.0.0.1:0], admin: {{ listen: 127.0.0.1:0 }}, threads: 1 }}\n\
         providers:\n  overloaded: {{ base_url: \"http://{overloaded}/v1\", dialects: [openai, openai-responses, anthropic], auth: none }}\n\
         {providers}models:\n{models}\
         policies: {{ default: {{ sort: ordered }} }}\n\
         telemetry: {{ access_log: off }}\n"
    );
    let source = Source {
        path: PathBuf::from("demo.yaml"),
        text,
    };
    Ok(config::parse(&source, &|_| None)?)
}

fn play<W: Write>(
    runtime: &Runtime,
    stage: &Stage,
    screen: &mut Screen<W>,
) -> anyhow::Result<bool> {
    for line in introduction() {
        screen.line(&line)?;
    }
    let direct = runtime.block_on(asked_directly(&stage.mock))?;
    let mut rows = Vec::new();
    for asker in &ASKERS {
        let mut row = Vec::new();
        for (dialect, _, _) in PROVIDERS {
            row.push(runtime.block_on(cell(stage, asker, dialect)));
        }
        screen.line(&shown(asker.name, &row, &direct))?;
        rows.extend(row);
    }
    for line in summary(&rows, &direct) {
        screen.line(&line)?;
    }
    Ok(rows.iter().all(|cell| is_same(cell, &direct)))
}

/// What the provider understands of the question where nobody is in between, as JSON and as a stream.
async fn asked_directly(mock: &Mock) -> anyhow::Result<[String; 2]> {
    let client = Client::of(mock.addr());
    let json = directly(mock, &client, false).await?;
    Ok([json, directly(mock, &client, true).await?])
}

async fn directly(mock: &Mock, client: &Client, stream: bool) -> anyhow::Result<String> {
    let [chat, _, _] = &ASKERS;
    let mut body = (chat.body)();
    body["model"] = "gpt-5-mini".into();
    body["stream"] = stream.into();
    let (status, text, _) = ask(client, chat, &body).await?;
    ensure!(status == 200, "the provider refuses the question: {text}");
    understood(mock)
}

async fn cell(stage: &Stage, asker: &Asker, dialect: &str) -> Cell {
    let json = exchange(stage, asker, dialect, false).await?;
    let stream = exchange(stage, asker, dialect, true).await?;
    Ok([json, stream])
}

async fn exchange(
    stage: &Stage,
    asker: &Asker,
    dialect: &str,
    stream: bool,
) -> Result<Told, String> {
    let mut body = (asker.body)();
    body["model"] = format!("demo/{dialect}").into();
    body["stream"] = stream.into();
    let asked = tokio::time::timeout(PATIENCE, ask(&stage.client, asker, &body)).await;
    let asked = asked.map_err(|_| "no answer".to_owned())?;
    let (status, text, attempts) = asked.map_err(|error| format!("{error:#}"))?;
    let [whole, end] = asker.ends;
    let wanted = if stream { end } else { whole };
    if status != 200 || !text.contains(wanted) {
        return Err(format!("{status} {text}"));
    }
    let digest = understood(&stage.mock).map_err(|error| error.to_string())?;
    Ok(Told { attempts, digest })
}

/// Asks. Returns the status, the whole body and the number of attempts.
async fn ask(client: &Client, asker: &Asker, body: &Value) -> anyhow::Result<(u16, String, u32)> {
    let headers = [
        ("content-type", "application/json"),
        ("authorization", "Bearer demo"),
        ("anthropic-version", "2023-06-01"),
    ];
    let body = Bytes::from(body.to_string());
    let mut answer = client.send("POST", asker.path, &headers, body).await?;
    let attempts = answer.header("x-mainstay-attempts");
    let attempts = attempts.and_then(|count| count.parse().ok()).unwrap_or(0);
    let text = read_all(&mut answer).await?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let status = answer.status;
    client.release(answer).await;
    Ok((status, text, attempts))
}

/// The digest of what came last.
fn understood(mock: &Mock) -> anyhow::Result<String> {
    let last = mock.received().pop().context("nothing came")?;
    let meaning = last.meaning.context("what came is no question")?;
    meaning.digest.context("what came was not understood")
}

fn is_same(cell: &Cell, direct: &[String; 2]) -> bool {
    let same = |told: &[Told; 2]| told.each_ref().map(|one| &one.digest) == direct.each_ref();
    cell.as_ref().is_ok_and(same)
}

fn introduction() -> [Line; 4] {
    let titles = PROVIDERS.map(|(dialect, _, _)| format!("{dialect:<18}"));
    [
        Line::default().with(
            Style::Bold,
            "One question with a picture, from three kinds of clients to six kinds of providers, as JSON and as a stream.",
        ),
        Line::default().with(
            Style::Dim,
            "The first provider of each model is overloaded (529). The second one tells what it understood.",
        ),
        Line::default(),
        Line::default().with(Style::Bold, format!("{:<18}{}", "client", titles.concat())),
    ]
}

/// A row: for each kind of provider, whether it understood the same, and in how many attempts.
fn shown(name: &str, row: &[Cell], direct: &[String; 2]) -> Line {
    let mut line = Line::default().with(Style::Plain, format!("{name:<18}"));
    for cell in row {
        let (style, text) = match cell {
            Ok([json, stream]) if is_same(cell, direct) => {
                let attempts = format!("same ({}, {})", json.attempts, stream.attempts);
                (Style::Good, attempts)
            }
            Ok(_) => (Style::Bad, "something else".to_owned()),
            Err(_) => (Style::Bad, "failed".to_owned()),
        };
        line = line.with(style, format!("{text:<18}"));
    }
    line
}

fn summary(rows: &[Cell], direct: &[String; 2]) -> Vec<Line> {
    let same = rows.iter().filter(|cell| is_same(cell, direct)).count();
    let told = || rows.iter().flatten().flatten();
    let recovered = told().filter(|one| one.attempts > 1).count();
    let begins = direct.each_ref().map(|digest| digest.get(..12));
    let [json, stream] = begins.map(Option::unwrap_or_default);
    let mut lines = vec![
        Line::default(),
        Line::from(format!(
            "{same} of {} understood what they understand when asked directly (digests {json}, {stream}); attempts in brackets.",
            rows.len(),
        )),
        Line::from(format!(
            "{recovered} of {} answers came after a failed attempt; the rest knew that the first provider was out.",
            told().count(),
        )),
    ];
    let failures = rows.iter().filter_map(|cell| cell.as_ref().err());
    lines.extend(failures.map(|why| Line::default().with(Style::Bad, why.as_str())));
    lines
}
