//! Owns the provider behind every proxy: canned bytes on raw sockets, in a thread of its own. Must never cost
//! so much that it is the slowest part.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::{Buf, BytesMut};
use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Events of a stream, and the time between two of them.
pub(crate) const EVENTS: usize = 60;
const PACE: Duration = Duration::from_millis(4);
/// What in a request asks for a stream, and for one that stays open after its first event.
pub(crate) const STREAM: &str = r#""stream":true"#;
pub(crate) const HOLD: &str = r#""user":"hold""#;
/// Both stand in the first bytes of a body.
const SCANNED: usize = 512;

/// A provider that runs.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    release: watch::Sender<u64>,
}

struct Canned {
    json: Vec<u8>,
    head: Vec<u8>,
    event: Vec<u8>,
    end: Vec<u8>,
}

impl Upstream {
    /// Starts one on a free port. It ends with the process.
    pub(crate) fn start() -> anyhow::Result<Self> {
        Self::answering(Canned::new())
    }

    /// Starts a collector of traces, which takes everything.
    pub(crate) fn collector() -> anyhow::Result<Self> {
        Self::answering(Canned {
            json: b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec(),
            ..Canned::new()
        })
    }

    fn answering(canned: Canned) -> anyhow::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (release, held) = watch::channel(0);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("no runtime for the upstream")?;
        std::thread::Builder::new()
            .name("upstream".to_owned())
            .spawn(move || runtime.block_on(accept(listener, canned, held)))?;
        Ok(Self { address, release })
    }

    /// Lets every stream that is held end.
    pub(crate) fn release(&self) {
        self.release.send_modify(|wave| *wave += 1);
    }
}

async fn accept(
    listener: std::net::TcpListener,
    canned: Canned,
    held: watch::Receiver<u64>,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let canned = Arc::new(canned);
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        tokio::spawn(serve(socket, canned.clone(), held.clone()));
    }
}

async fn serve(
    mut socket: TcpStream,
    canned: Arc<Canned>,
    held: watch::Receiver<u64>,
) -> io::Result<()> {
    let mut buffer = BytesMut::new();
    while let Some((begin, end)) = read_request(&mut socket, &mut buffer).await? {
        let body = buffer
            .get(begin..end.min(begin + SCANNED))
            .unwrap_or_default();
        let asks = |words: &str| memmem::find(body, words.as_bytes()).is_some();
        let (stream, hold) = (asks(STREAM), asks(HOLD));
        buffer.advance(end);
        match (stream, hold) {
            (false, _) => socket.write_all(&canned.json).await?,
            (true, true) => canned.hold(&mut socket, held.clone()).await?,
            (true, false) => canned.stream(&mut socket).await?,
        }
    }
    Ok(())
}

/// Reads one request whole. Returns where its body begins and ends, `None` where the peer has left.
async fn read_request(
    socket: &mut TcpStream,
    buffer: &mut BytesMut,
) -> io::Result<Option<(usize, usize)>> {
    let mut bounds = None;
    loop {
        if bounds.is_none() {
            bounds = parse_head(buffer)?;
        }
        if let Some((begin, end)) = bounds
            && buffer.len() >= end
        {
            return Ok(Some((begin, end)));
        }
        let missing = bounds.map_or(4096, |(_, end)| end - buffer.len());
        buffer.reserve(missing);
        if socket.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
}

fn parse_head(bytes: &[u8]) -> io::Result<Option<(usize, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut request = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(begin) = request.parse(bytes).map_err(io::Error::other)? else {
        return Ok(None);
    };
    let length =
        length(request.headers).ok_or_else(|| io::Error::other("a request without its length"))?;
    Ok(Some((begin, begin + length)))
}

/// The declared length of a message.
pub(crate) fn length(headers: &[httparse::Header<'_>]) -> Option<usize> {
    let header = headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-length"))?;
    std::str::from_utf8(header.value).ok()?.parse().ok()
}

impl Canned {
    fn new() -> Self {
        let words = "a word or two of an answer, ".repeat(26);
        let json = format!(
            r#"{{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"model","choices":[{{"index":0,"message":{{"role":"assistant","content":"{words}"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":400,"completion_tokens":180,"total_tokens":580}}}}"#
        );
        let of_stream = |rest: &str| {
            format!(
                "data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"model\",{rest}}}\n\n"
            )
        };
        let event = of_stream(
            r#""choices":[{"index":0,"delta":{"content":" word"},"finish_reason":null}]"#,
        );
        let last = of_stream(r#""choices":[{"index":0,"delta":{},"finish_reason":"stop"}]"#);
        let usage = of_stream(
            r#""choices":[],"usage":{"prompt_tokens":400,"completion_tokens":60,"total_tokens":460}"#,
        );
        let chunk = |bytes: &str| format!("{:x}\r\n{bytes}\r\n", bytes.len());
        let end = format!(
            "{}0\r\n\r\n",
            chunk(&format!("{last}{usage}data: [DONE]\n\n"))
        );
        Self {
            json: format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{json}",
                json.len()
            )
            .into_bytes(),
            head: b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
                .to_vec(),
            event: chunk(&event).into_bytes(),
            end: end.into_bytes(),
        }
    }

    async fn begin(&self, socket: &mut TcpStream) -> io::Result<()> {
        let first = [self.head.as_slice(), self.event.as_slice()].concat();
        socket.write_all(&first).await
    }

    async fn stream(&self, socket: &mut TcpStream) -> io::Result<()> {
        self.begin(socket).await?;
        for _ in 1..EVENTS {
            tokio::time::sleep(PACE).await;
            socket.write_all(&self.event).await?;
        }
        socket.write_all(&self.end).await
    }

    async fn hold(&self, socket: &mut TcpStream, mut held: watch::Receiver<u64>) -> io::Result<()> {
        held.mark_unchanged();
        self.begin(socket).await?;
        // An error means that the driver is ending.
        held.changed().await.ok();
        socket.write_all(&self.end).await
    }
}
