//! X11: an answer that its provider sends in two pieces, split at every byte in turn: within a character, within a
//! field's name, within a line's end, and within the framing around them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::harness::{Config, Proxy, anywhere};
use crate::raw::{Ended, Request};

/// Lines end as some servers end them; characters of one to four bytes; a comment, an id, a name of an event.
const STREAM: &str = ": hi\r\n\r\n\
    id: 1\r\nevent: message\r\ndata: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"MODEL\",\
    \"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"a\u{e9}\u{20ac}\u{1f6a2}\"},\"finish_reason\":null}]}\r\n\r\n\
    data:{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"MODEL\",\
    \"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n\
    data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"MODEL\",\"choices\":[],\
    \"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2,\"total_tokens\":3}}\r\n\r\n\
    data: [DONE]\r\n\r\n";
const JSON: &str = "{\"id\":\"c\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"MODEL\",\"choices\":[{\"index\":0,\
    \"message\":{\"role\":\"assistant\",\"content\":\"a\u{e9}\u{20ac}\u{1f6a2}\"},\"finish_reason\":\"stop\"}],\
    \"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2,\"total_tokens\":3}}";
/// Between the pieces, so that they are read apart.
const PAUSE: Duration = Duration::from_millis(2);
/// Requests under way at once.
const AT_ONCE: usize = 16;

/// What is split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Cut {
    /// The body, into two chunks.
    Chunks,
    /// The bytes on the wire, head and framing included.
    Wire,
}

/// The body in two chunks, or in one, and where the wire is cut.
fn said(body: &str, kind: &str, cut: Cut, at: usize) -> (Vec<u8>, usize) {
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    );
    let chunk = |part: &[u8]| [format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat();
    let body = body.as_bytes();
    match cut {
        Cut::Wire => {
            let all = [head.as_bytes(), &chunk(body), b"0\r\n\r\n"].concat();
            (all, at)
        }
        Cut::Chunks => {
            let (first, second) = body.split_at(at);
            let begin = [head.as_bytes(), &chunk(first)].concat();
            let cut_at = begin.len();
            ([&begin, &chunk(second)[..], b"0\r\n\r\n"].concat(), cut_at)
        }
    }
}

/// Splits its answers where the model's name says: `c123` at the body's byte 123, `w123` at the wire's.
async fn splitting(body: &'static str, kind: &'static str) -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind(anywhere()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut accepting = JoinSet::new();
    accepting.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            connections.spawn(answer(stream, body, kind));
        }
    });
    (address, accepting)
}

async fn answer(mut stream: TcpStream, body: &str, kind: &str) {
    stream.set_nodelay(true).unwrap();
    let mut request = Vec::new();
    let model = loop {
        if !matches!(stream.read_buf(&mut request).await, Ok(1..)) {
            return;
        }
        let text = String::from_utf8_lossy(&request);
        let named = text.split("\"model\":\"").nth(1);
        if let Some((model, _)) = named.and_then(|rest| rest.split_once('"')) {
            break model.to_owned();
        }
    };
    let (cut, at) = model.split_at(1);
    let cut = if cut == "c" { Cut::Chunks } else { Cut::Wire };
    let body = body.replace("MODEL", "m");
    let (bytes, at) = said(&body, kind, cut, at.parse().unwrap());
    let (first, second) = bytes.split_at(at);
    stream.write_all(first).await.unwrap();
    tokio::time::sleep(PAUSE).await;
    stream.write_all(second).await.unwrap();
    stream.shutdown().await.ok();
    while matches!(stream.read_buf(&mut request).await, Ok(1..)) {}
}

/// Asks once for every byte, and compares each answer with what was said.
async fn check(body: &'static str, kind: &'static str, request: fn(&str) -> Request) {
    let (address, _accepting) = splitting(body, kind).await;
    let proxy = Config::new()
        .provider("p", address)
        .model("t/*", &["p"])
        .start();
    let proxy = Arc::new(proxy);
    let direct = body.replace("MODEL", "m");
    let (wire, _) = said(&direct, kind, Cut::Wire, 0);
    let chunks = (1..direct.len()).map(|at| format!("c{at}"));
    let wires = (1..wire.len()).map(|at| format!("w{at}"));
    let mut splits = chunks.chain(wires);
    let mut under_way = JoinSet::new();
    let mut wrong: BTreeMap<String, String> = BTreeMap::new();
    let mut asked = 0;
    loop {
        while under_way.len() < AT_ONCE
            && let Some(split) = splits.next()
        {
            asked += 1;
            under_way.spawn(ask(proxy.clone(), body, split, request));
        }
        let Some(result) = under_way.join_next().await else {
            break;
        };
        if let Err((split, told)) = result.unwrap() {
            wrong.insert(split, told);
        }
    }
    assert!(asked > direct.len() + wire.len() - 3);
    let first = wrong.iter().next();
    assert!(
        first.is_none(),
        "{} of {asked} differ: {first:?}",
        wrong.len()
    );
}

async fn ask(
    proxy: Arc<Proxy>,
    body: &str,
    split: String,
    request: fn(&str) -> Request,
) -> Result<(), (String, String)> {
    let model = format!("t/{split}");
    let answer = proxy.send(&request(&model)).await;
    let expected = body.replace("MODEL", &model);
    let sound = answer.status == 200 && answer.end == Ended::Whole;
    match sound && answer.body == expected.as_bytes() {
        true => Ok(()),
        false => Err((
            split,
            format!("{} {:?} {:?}", answer.status, answer.end, answer.body),
        )),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_may_be_split_at_any_byte() {
    check(STREAM, "text/event-stream", Request::stream).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_json_answer_may_be_split_at_any_byte() {
    check(JSON, "application/json", Request::chat).await;
}
