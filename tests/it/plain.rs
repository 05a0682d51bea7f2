//! Owns an upstream that is no provider of models: it takes any path, remembers what it got, and answers as its
//! test says. Must never answer before it has read the whole request, unless it is told to.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::BytesMut;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::harness::anywhere;

/// What a request looked like.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// The head in lower case but for its first line.
    pub(crate) head: String,
    pub(crate) length: usize,
    pub(crate) hash: Vec<u8>,
}

/// What is done with a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Manner {
    /// 200 with `ok`.
    Well,
    /// As `Well`, and any page may read it.
    Sharing,
    /// This status with an empty body.
    Status(u16),
    /// Three events, with a pause between them.
    Events(Duration),
    /// Switches protocols, then returns every byte.
    Echo,
    /// Closes once some of the body has come, if there is one.
    Break,
    /// 200 with `ok` to the first request of a connection; closes when a second one comes.
    Once,
    /// One event, then the connection closes without the end of the body.
    Cut,
    /// Never answers.
    Silent,
    /// An event every few milliseconds, without end.
    Drip,
}

/// What a check asks for: not remembered, and answered as [`Plain::set_healthy`] says.
pub(crate) const HEALTH: &str = "/health";

/// A running upstream. Dropping it closes its connections.
#[derive(Debug)]
pub(crate) struct Plain {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    health: Health,
    _accepting: JoinSet<()>,
}

/// Whether checks pass, and how many there were.
#[derive(Clone, Debug)]
struct Health {
    is_up: Arc<AtomicBool>,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Plain {
    pub(crate) async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind(anywhere()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut accepting = JoinSet::new();
        let health = Health {
            is_up: Arc::new(AtomicBool::new(true)),
            heads: Arc::default(),
        };
        let (record, checks) = (seen.clone(), health.clone());
        accepting.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, manner, record.clone(), checks.clone()));
            }
        });
        Self {
            address,
            seen,
            health,
            _accepting: accepting,
        }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn set_healthy(&self, is_up: bool) {
        self.health.is_up.store(is_up, Relaxed);
    }

    /// The heads of the checks so far.
    pub(crate) fn checks(&self) -> Vec<String> {
        self.health.heads.lock().unwrap().clone()
    }
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

async fn serve(
    mut stream: TcpStream,
    manner: Manner,
    record: Arc<Mutex<Vec<Seen>>>,
    health: Health,
) {
    let mut buffer = BytesMut::new();
    let mut answered = 0;
    while let Some(head) = read_head(&mut stream, &mut buffer).await {
        if head.starts_with(&format!("GET {HEALTH} ")) {
            health.heads.lock().unwrap().push(head);
            let status = if health.is_up.load(Relaxed) { 204 } else { 503 };
            let manner = Manner::Status(status);
            answer(&mut stream, manner).await.ok();
            continue;
        }
        answered += 1;
        let mut seen = Seen {
            head,
            ..Seen::default()
        };
        if matches!(manner, Manner::Break) {
            let awaits = seen.header("content-length").is_some();
            while awaits
                && buffer.is_empty()
                && stream.read_buf(&mut buffer).await.is_ok_and(|n| n > 0)
            {}
            record.lock().unwrap().push(seen);
            return;
        }
        let body = read_body(&mut stream, &mut buffer, &seen).await;
        (seen.length, seen.hash) = (body.len(), Sha256::digest(&body).to_vec());
        record.lock().unwrap().push(seen);
        if matches!(manner, Manner::Once) && answered > 1 {
            return;
        }
        if answer(&mut stream, manner).await.is_err() || matches!(manner, Manner::Cut) {
            return;
        }
        if matches!(manner, Manner::Echo) {
            return echo(stream, buffer).await;
        }
    }
}

async fn read_head(stream: &mut TcpStream, buffer: &mut BytesMut) -> Option<String> {
    loop {
        if let Some(end) = memchr::memmem::find(buffer, b"\r\n\r\n") {
            let head = String::from_utf8(buffer.split_to(end + 4).to_vec()).unwrap();
            let (first, rest) = head.split_once("\r\n").unwrap();
            let named = rest.lines().map(|line| match line.split_once(": ") {
                Some((name, value)) => format!("{}: {value}\n", name.to_ascii_lowercase()),
                None => String::new(),
            });
            return Some(format!("{first}\n{}", named.collect::<String>()));
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

async fn read_body(stream: &mut TcpStream, buffer: &mut BytesMut, seen: &Seen) -> BytesMut {
    let mut body = BytesMut::new();
    if seen.header("transfer-encoding").is_some() {
        loop {
            let line = loop {
                if let Some(end) = memchr::memchr(b'\n', buffer) {
                    break buffer.split_to(end + 1);
                }
                stream.read_buf(buffer).await.unwrap();
            };
            let size = std::str::from_utf8(&line).unwrap().trim();
            let size = usize::from_str_radix(size, 16).unwrap();
            fill(stream, buffer, size + 2).await;
            body.extend_from_slice(&buffer.split_to(size));
            let _end_of_chunk = buffer.split_to(2);
            if size == 0 {
                return body;
            }
        }
    }
    let length = seen
        .header("content-length")
        .map_or(0, |text| text.parse().unwrap());
    fill(stream, buffer, length).await;
    buffer.split_to(length)
}

async fn fill(stream: &mut TcpStream, buffer: &mut BytesMut, length: usize) {
    while buffer.len() < length {
        assert!(
            stream.read_buf(buffer).await.unwrap() > 0,
            "the body is cut"
        );
    }
}

async fn answer(stream: &mut TcpStream, manner: Manner) -> std::io::Result<()> {
    match manner {
        Manner::Well | Manner::Once => {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nset-cookie: a=b\r\n\r\nok")
                .await
        }
        Manner::Sharing => {
            let head = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\naccess-control-allow-origin: *\r\n\
                access-control-allow-credentials: true\r\nvary: Accept\r\n\r\nok";
            stream.write_all(head.as_bytes()).await
        }
        Manner::Status(status) => {
            let head = format!("HTTP/1.1 {status} Told\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(head.as_bytes()).await
        }
        Manner::Echo => {
            // One that answers at once can meet Pingora's issue 946: the conversation ends as it begins.
            tokio::time::sleep(Duration::from_millis(50)).await;
            let head = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
            stream.write_all(head.as_bytes()).await
        }
        Manner::Events(pause) => {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
            stream.write_all(head.as_bytes()).await?;
            for event in ["data: 1\n\n", "data: 2\n\n", "data: 3\n\n"] {
                stream
                    .write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes())
                    .await?;
                tokio::time::sleep(pause).await;
            }
            stream.write_all(b"0\r\n\r\n").await
        }
        Manner::Cut | Manner::Drip => {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
            stream.write_all(head.as_bytes()).await?;
            let event = b"9\r\ndata: 1\n\n\r\n";
            stream.write_all(event).await?;
            if matches!(manner, Manner::Cut) {
                return Ok(());
            }
            loop {
                tokio::time::sleep(Duration::from_millis(20)).await;
                stream.write_all(event).await?;
            }
        }
        Manner::Silent => std::future::pending().await,
        Manner::Break => Ok(()),
    }
}

async fn echo(mut stream: TcpStream, mut buffer: BytesMut) {
    loop {
        if stream.write_all(&buffer.split()).await.is_err() {
            return;
        }
        if !matches!(stream.read_buf(&mut buffer).await, Ok(1..)) {
            return;
        }
    }
}
