//! Owns the load: closed-loop clients on raw sockets, bounded in number. Must never count an answer that was
//! not whole.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::upstream::{HOLD, STREAM, length};

/// An answer that takes longer is a fault of the run.
const PATIENCE: Duration = Duration::from_secs(30);

/// The bytes of a chat request.
#[derive(Clone)]
pub(crate) struct Request(Arc<[u8]>);

impl Request {
    /// A request for JSON whose body has about so many bytes.
    pub(crate) fn json(bytes: usize) -> Self {
        Self::with("", bytes)
    }

    /// A request of 2 KB for a stream.
    pub(crate) fn stream() -> Self {
        Self::with(&format!("{STREAM},"), 2048)
    }

    /// A request of 2 KB for a stream that stays open.
    pub(crate) fn held() -> Self {
        Self::with(&format!("{STREAM},{HOLD},"), 2048)
    }

    /// A small one whose trace is recorded by those who record any.
    pub(crate) fn traced() -> Self {
        let parent = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n";
        Self::written("", 2048, parent)
    }

    fn with(fields: &str, bytes: usize) -> Self {
        Self::written(fields, bytes, "")
    }

    fn written(fields: &str, bytes: usize, header: &str) -> Self {
        let text = "What a prompt says, one more time. ".repeat(bytes / 35);
        let body = format!(
            r#"{{"model":"bench/model",{fields}"messages":[{{"role":"user","content":"{text}"}}]}}"#
        );
        let request = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nuser-agent: bench\r\n\
             content-type: application/json\r\n{header}content-length: {}\r\n\r\n{body}",
            body.len()
        );
        Self(Arc::from(request.into_bytes()))
    }
}

/// A connection of a client.
pub(crate) struct Client {
    socket: TcpStream,
    answer: Vec<u8>,
}

#[derive(Clone, Copy)]
enum Framing {
    /// Where the message ends.
    Length(usize),
    Chunked,
}

impl Client {
    pub(crate) async fn connect(to: SocketAddr) -> anyhow::Result<Self> {
        let socket = TcpStream::connect(to).await?;
        socket.set_nodelay(true)?;
        Ok(Self {
            socket,
            answer: Vec::new(),
        })
    }

    /// Asks once and reads the whole answer.
    pub(crate) async fn ask(&mut self, request: &Request) -> anyhow::Result<()> {
        self.answer.clear();
        self.socket.write_all(&request.0).await?;
        self.read_to_end().await
    }

    /// Asks for a stream and reads its first event.
    async fn open(&mut self, request: &Request) -> anyhow::Result<()> {
        self.answer.clear();
        self.socket.write_all(&request.0).await?;
        while memmem::find(&self.answer, b"data:").is_none() {
            self.read_more().await?;
        }
        Ok(())
    }

    async fn read_to_end(&mut self) -> anyhow::Result<()> {
        let mut framing = self.framing()?;
        while !self.is_whole(framing) {
            self.read_more().await?;
            if framing.is_none() {
                framing = self.framing()?;
            }
        }
        let end: &[u8] = match framing {
            Some(Framing::Chunked) => b"[DONE]",
            Some(Framing::Length(_)) | None => b"usage",
        };
        ensure!(
            memmem::rfind(&self.answer, end).is_some(),
            "an answer without its end"
        );
        Ok(())
    }

    fn is_whole(&self, framing: Option<Framing>) -> bool {
        match framing {
            Some(Framing::Length(end)) => self.answer.len() >= end,
            Some(Framing::Chunked) => self.answer.ends_with(b"\r\n0\r\n\r\n"),
            None => false,
        }
    }

    async fn read_more(&mut self) -> anyhow::Result<()> {
        self.answer.reserve(4096);
        let read = tokio::time::timeout(PATIENCE, self.socket.read_buf(&mut self.answer));
        ensure!(
            read.await.context("an answer did not come")?? > 0,
            "cut off"
        );
        Ok(())
    }

    fn framing(&self) -> anyhow::Result<Option<Framing>> {
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut response = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(head) = response.parse(&self.answer)? else {
            return Ok(None);
        };
        let status = response.code.unwrap_or(0);
        if status != 200 {
            bail!(
                "answered with {status}: {}",
                String::from_utf8_lossy(&self.answer)
            );
        }
        Ok(Some(match length(response.headers) {
            Some(length) => Framing::Length(head + length),
            None => Framing::Chunked,
        }))
    }
}

/// Sends so many requests over so many connections. Returns how long each took.
pub(crate) async fn drive(
    to: SocketAddr,
    request: &Request,
    connections: usize,
    total: usize,
) -> anyhow::Result<Vec<Duration>> {
    let left = Arc::new(AtomicUsize::new(total));
    let mut clients = JoinSet::new();
    for _ in 0..connections {
        clients.spawn(ask_on(to, request.clone(), left.clone()));
    }
    let mut took = Vec::with_capacity(total);
    while let Some(client) = clients.join_next().await {
        took.extend(client??);
    }
    Ok(took)
}

async fn ask_on(
    to: SocketAddr,
    request: Request,
    left: Arc<AtomicUsize>,
) -> anyhow::Result<Vec<Duration>> {
    let mut client = Client::connect(to).await?;
    let mut took = Vec::new();
    let take = |left: usize| left.checked_sub(1);
    while left
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
        .is_ok()
    {
        let begun = Instant::now();
        client.ask(&request).await?;
        took.push(begun.elapsed());
    }
    Ok(took)
}

/// Opens so many streams that stay open.
pub(crate) async fn open(to: SocketAddr, streams: usize) -> anyhow::Result<Vec<Client>> {
    const OPENERS: usize = 20;
    let mut openers = JoinSet::new();
    for _ in 0..OPENERS {
        openers.spawn(async move {
            let mut opened: Vec<Client> = Vec::new();
            for _ in 0..streams / OPENERS {
                let mut client = Client::connect(to).await?;
                client.open(&Request::held()).await?;
                opened.push(client);
            }
            anyhow::Ok(opened)
        });
    }
    let mut opened = Vec::new();
    while let Some(clients) = openers.join_next().await {
        opened.extend(clients??);
    }
    Ok(opened)
}

/// Reads open streams to their ends.
pub(crate) async fn close(streams: Vec<Client>) -> anyhow::Result<()> {
    for mut client in streams {
        client.read_to_end().await?;
    }
    Ok(())
}
