//! Owns the clients that judge answers from raw bytes: HTTP/1.1 by hand on a socket; `h2c` has the other.
//! Must never hide how an answer ended.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) use crate::answer::{Answer, Ended};
pub(crate) use crate::h2c::{H2, H2Body, h2_piece};

/// No read of these tests may wait longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The protocol a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Via {
    H1,
    H2,
}

pub(crate) const BOTH: [Via; 2] = [Via::H1, Via::H2];

/// A request, whatever protocol carries it.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
    pub(crate) framing: Framing,
}

/// How a body is announced. On h2 `Chunked` is a body without its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Length,
    Chunked,
    Expect,
}

// === impl Request ===

impl Request {
    pub(crate) fn get(path: &str) -> Self {
        Self {
            method: "GET",
            path: path.to_owned(),
            headers: Vec::new(),
            body: Bytes::new(),
            framing: Framing::Length,
        }
    }

    pub(crate) fn post(path: &str, body: impl Into<Bytes>) -> Self {
        Self {
            method: "POST",
            body: body.into(),
            ..Self::get(path)
        }
        .header("content-type", "application/json")
    }

    /// A chat request with these further JSON fields, each with a comma before it.
    pub(crate) fn chat_with(model: &str, more: &str) -> Self {
        let body =
            format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"hi"}}]{more}}}"#);
        Self::post("/v1/chat/completions", body)
    }

    /// A chat request for a JSON answer.
    pub(crate) fn chat(model: &str) -> Self {
        Self::chat_with(model, "")
    }

    /// A chat request for a stream, its usage included.
    pub(crate) fn stream(model: &str) -> Self {
        Self::chat_with(
            model,
            r#","stream":true,"stream_options":{"include_usage":true}"#,
        )
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn key(self, key: &str) -> Self {
        self.header("authorization", &format!("Bearer {key}"))
    }

    pub(crate) fn at(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    pub(crate) fn framed(mut self, framing: Framing) -> Self {
        self.framing = framing;
        self
    }
}

/// One request on a connection of its own.
pub(crate) async fn call(via: Via, address: SocketAddr, request: &Request) -> Answer {
    match via {
        Via::H1 => H1::connect(address).await.call(request).await,
        Via::H2 => H2::connect(address).await.call(request).await,
    }
}

pub(crate) async fn dial(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

// === HTTP/1.1 ===

/// A connection that speaks HTTP/1.1.
#[derive(Debug)]
pub(crate) struct H1<S = TcpStream> {
    pub(crate) stream: S,
    buffer: BytesMut,
    ended: Option<Ended>,
}

impl H1 {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::over(dial(address).await)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> H1<S> {
    pub(crate) fn over(stream: S) -> Self {
        Self {
            stream,
            buffer: BytesMut::new(),
            ended: None,
        }
    }

    pub(crate) async fn call(&mut self, request: &Request) -> Answer {
        let continued = self.send(request).await;
        Answer {
            continued,
            ..self.answer().await
        }
    }

    /// Sends a request. Returns whether it was told to go on with its body.
    pub(crate) async fn send(&mut self, request: &Request) -> bool {
        self.write(head_of(request).as_bytes()).await;
        let mut continued = false;
        if request.framing == Framing::Expect {
            while !self.has_head() && self.more().await {}
            if !self.buffer.starts_with(b"HTTP/1.1 100") {
                return false;
            }
            self.take_head();
            continued = true;
        }
        match request.framing {
            Framing::Chunked => {
                for piece in request.body.chunks(10_000) {
                    self.write(format!("{:x}\r\n", piece.len()).as_bytes())
                        .await;
                    self.write(piece).await;
                    self.write(b"\r\n").await;
                }
                self.write(b"0\r\n\r\n").await;
            }
            Framing::Length | Framing::Expect => self.write(&request.body).await,
        }
        continued
    }

    /// Writes; a peer that has closed is found out by the next read.
    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.ok();
    }

    pub(crate) async fn answer(&mut self) -> Answer {
        let mut answer = self.head().await;
        self.body(&mut answer).await;
        answer
    }

    /// Reads up to the end of the head. Status 0: none came.
    pub(crate) async fn head(&mut self) -> Answer {
        while !self.has_head() {
            if !self.more().await {
                return Answer {
                    end: self.ended.unwrap_or_default(),
                    ..Answer::default()
                };
            }
        }
        let head = self.take_head();
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1));
        let header = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        };
        Answer {
            status: status.and_then(|status| status.parse().ok()).unwrap(),
            headers: lines.filter_map(header).collect(),
            ..Answer::default()
        }
    }

    /// Reads the rest of an answer whose head was read.
    pub(crate) async fn body(&mut self, answer: &mut Answer) {
        let chunked = answer.header("transfer-encoding") == Some("chunked");
        let length = answer.header("content-length");
        let length = length.map(|length| length.parse().unwrap());
        answer.end = match (length, chunked, answer.status) {
            (_, _, 0) => answer.end,
            (None, false, 204) => Ended::Whole,
            (Some(length), ..) => self.sized(length, answer).await,
            (None, true, _) => self.chunks(answer).await,
            (None, false, _) => panic!("an answer without framing: {answer:?}"),
        };
    }

    /// Reads whatever is there next of a chunked body, and appends it. False at its end.
    pub(crate) async fn chunk(&mut self, answer: &mut Answer) -> bool {
        let Some(size) = self.chunk_size().await else {
            answer.end = self.ended.unwrap_or_default();
            return false;
        };
        while self.buffer.len() < size + 2 {
            if !self.more().await {
                answer.end = self.ended.unwrap_or_default();
                return false;
            }
        }
        answer.body.extend_from_slice(&self.buffer.split_to(size));
        assert_eq!(&self.buffer.split_to(2)[..], b"\r\n", "framing");
        answer.end = Ended::Whole;
        size > 0
    }

    async fn chunks(&mut self, answer: &mut Answer) -> Ended {
        while self.chunk(answer).await {}
        answer.end
    }

    async fn chunk_size(&mut self) -> Option<usize> {
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.buffer) {
                let line = self.buffer.split_to(end + 1);
                let text = std::str::from_utf8(&line).unwrap().trim();
                return Some(usize::from_str_radix(text, 16).unwrap());
            }
            if !self.more().await {
                return None;
            }
        }
    }

    async fn sized(&mut self, length: usize, answer: &mut Answer) -> Ended {
        while self.buffer.len() < length {
            if !self.more().await {
                answer.body.extend_from_slice(&self.buffer.split());
                return self.ended.unwrap_or_default();
            }
        }
        answer.body.extend_from_slice(&self.buffer.split_to(length));
        Ended::Whole
    }

    /// Reads until the peer closes.
    pub(crate) async fn read_out(&mut self, answer: &mut Answer) {
        while self.more().await {}
        answer.body.extend_from_slice(&self.buffer.split());
    }

    /// Whether the peer has closed, with nothing more to read.
    pub(crate) async fn is_closed(&mut self) -> bool {
        self.buffer.is_empty() && !self.more().await
    }

    fn has_head(&self) -> bool {
        memchr::memmem::find(&self.buffer, b"\r\n\r\n").is_some()
    }

    fn take_head(&mut self) -> String {
        let end = memchr::memmem::find(&self.buffer, b"\r\n\r\n").unwrap();
        String::from_utf8(self.buffer.split_to(end + 4).to_vec()).unwrap()
    }

    async fn more(&mut self) -> bool {
        self.buffer.reserve(64 * 1024);
        let read = self.stream.read_buf(&mut self.buffer);
        let read = tokio::time::timeout(PATIENCE, read).await;
        match read.expect("the proxy hangs") {
            Ok(0) => self.ended = Some(Ended::Cut),
            Ok(_) => return true,
            Err(_) => self.ended = Some(Ended::Reset),
        }
        false
    }
}

fn head_of(request: &Request) -> String {
    use std::fmt::Write as _;

    let mut head = format!(
        "{} {} HTTP/1.1\r\nhost: mainstay.test\r\n",
        request.method, request.path
    );
    for (name, value) in &request.headers {
        write!(head, "{name}: {value}\r\n").unwrap();
    }
    match request.framing {
        Framing::Chunked => head.push_str("transfer-encoding: chunked\r\n"),
        Framing::Expect => head.push_str("expect: 100-continue\r\n"),
        Framing::Length => {}
    }
    if request.framing != Framing::Chunked && request.method == "POST" {
        write!(head, "content-length: {}\r\n", request.body.len()).unwrap();
    }
    head + "\r\n"
}
