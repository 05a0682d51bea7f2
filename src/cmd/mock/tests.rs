//! Owns the socket-level tests of the mock, and the tiny raw client they share. In reading order: `scenarios`,
//! `faults`, `forms` (completions and embeddings), `protocol`, `scripting`, `dialects`. Must never parse more HTTP than the mock writes.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::cmd::mock::{Mock, Script};

mod scenarios;
mod faults;
mod forms;
mod protocol;
mod scripting;
mod dialects;

/// A raw client on one connection.
struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// What came back.
#[derive(Debug, Default)]
struct Answer {
    head: String,
    /// The body, without its chunk framing.
    body: Vec<u8>,
    /// The sizes of the chunks.
    chunks: Vec<usize>,
    end: Ended,
}

#[derive(Debug, Default, PartialEq)]
enum Ended {
    /// By its framing.
    #[default]
    Whole,
    /// By an orderly close before that.
    Closed,
    Reset,
}

// === impl Client ===

impl Client {
    async fn connect(mock: &Mock) -> Self {
        Self {
            stream: TcpStream::connect(mock.addr()).await.unwrap(),
            buffer: Vec::new(),
        }
    }

    async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    async fn call(&mut self, request: impl AsRef<[u8]>) -> Answer {
        self.send(request).await;
        self.answer().await
    }

    async fn answer(&mut self) -> Answer {
        let mut answer = Answer::default();
        let Some(head) = self.until(b"\r\n\r\n", &mut answer).await else {
            return answer;
        };
        answer.head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        if answer.head.starts_with("http/1.1 100") {
            return answer;
        }
        match answer.header("content-length") {
            Some(length) => self.sized(length.parse().unwrap(), &mut answer).await,
            None => self.chunked(&mut answer).await,
        }
        answer
    }

    async fn sized(&mut self, length: usize, answer: &mut Answer) {
        while self.buffer.len() < length && self.more(answer).await {}
        let here = self.buffer.len().min(length);
        answer.body = self.buffer.drain(..here).collect();
    }

    async fn chunked(&mut self, answer: &mut Answer) {
        while let Some(line) = self.until(b"\r\n", answer).await {
            let text = String::from_utf8(line).unwrap();
            let size = usize::from_str_radix(text.trim(), 16).unwrap();
            while self.buffer.len() < size + 2 && self.more(answer).await {}
            if size == 0 || self.buffer.len() < size + 2 {
                self.buffer.drain(..self.buffer.len().min(2));
                return;
            }
            answer.chunks.push(size);
            answer.body.extend(self.buffer.drain(..size));
            self.buffer.drain(..2);
        }
    }

    async fn until(&mut self, mark: &[u8], answer: &mut Answer) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = memchr::memmem::find(&self.buffer, mark) {
                return Some(self.buffer.drain(..at + mark.len()).collect());
            }
            if !self.more(answer).await {
                return None;
            }
        }
    }

    async fn more(&mut self, answer: &mut Answer) -> bool {
        let read = self.stream.read_buf(&mut self.buffer);
        match tokio::time::timeout(Duration::from_secs(5), read)
            .await
            .expect("the mock hangs")
        {
            Ok(0) => answer.end = Ended::Closed,
            Ok(_) => return true,
            Err(_) => answer.end = Ended::Reset,
        }
        false
    }
}

// === impl Answer ===

impl Answer {
    fn status(&self) -> u16 {
        self.head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .unwrap_or(0)
    }

    fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .into_iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The `data:` of each event.
    fn data(&self) -> Vec<&str> {
        self.text()
            .split("\n\n")
            .filter_map(|event| event.strip_prefix("data: "))
            .collect()
    }

    /// Each event that is JSON.
    fn events(&self) -> Vec<serde_json::Value> {
        self.data()
            .iter()
            .filter_map(|data| serde_json::from_str(data).ok())
            .collect()
    }

    /// The text of the stream's first choice.
    fn content(&self) -> String {
        let events = self.events();
        let deltas = events
            .iter()
            .filter(|event| event.pointer("/choices/0/index") == Some(&0.into()));
        deltas
            .filter_map(|event| {
                event
                    .pointer("/choices/0/delta/content")?
                    .as_str()
                    .map(str::to_owned)
            })
            .collect()
    }
}

/// A script without waits.
fn fast() -> Script {
    Script {
        first_token: Duration::ZERO,
        pace: Duration::ZERO,
        scale: 0.005,
        ..Script::default()
    }
}

async fn start(script: Script) -> Mock {
    Mock::start(([127, 0, 0, 1], 0).into(), script)
        .await
        .unwrap()
}

fn request(method: &str, path: &str, body: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: mock\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// A chat request for `model`; `more` are further JSON fields, each with a comma before it.
fn chat(model: &str, more: &str) -> String {
    let body =
        format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"hi"}}]{more}}}"#);
    request("POST", "/v1/chat/completions", &body)
}

fn stream(model: &str) -> String {
    chat(
        model,
        r#","stream":true,"stream_options":{"include_usage":true}"#,
    )
}

/// One request on a connection of its own.
async fn once(mock: &Mock, request: impl AsRef<[u8]>) -> Answer {
    Client::connect(mock).await.call(request).await
}

/// Waits until `holds`, for two seconds at most.
async fn eventually(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..400 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never: {what}");
}
