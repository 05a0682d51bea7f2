//! Owns an upstream that says exactly what it is told, byte by byte, where the scriptable provider would write
//! an answer of its own.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::harness::anywhere;

/// Answers every request with the same bytes, then closes.
#[derive(Debug)]
pub(crate) struct Literal {
    pub(crate) address: SocketAddr,
    _accepting: JoinSet<()>,
}

impl Literal {
    /// Answers with a body of this type, as a stream of one chunk.
    pub(crate) async fn of(content_type: &str, body: &str) -> Self {
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ntransfer-encoding: chunked\r\n\r\n"
        );
        Self::saying(format!("{head}{:x}\r\n{body}\r\n0\r\n\r\n", body.len())).await
    }

    /// Answers with these bytes.
    pub(crate) async fn saying(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        let listener = TcpListener::bind(anywhere()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut accepting = JoinSet::new();
        accepting.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(answer_one(stream, answer.clone()));
            }
        });
        Self {
            address,
            _accepting: accepting,
        }
    }
}

async fn answer_one(mut stream: TcpStream, answer: Vec<u8>) {
    let mut request = Vec::new();
    while !is_whole(&request) {
        if !matches!(stream.read_buf(&mut request).await, Ok(1..)) {
            return;
        }
    }
    stream.write_all(&answer).await.ok();
    stream.shutdown().await.ok();
    // Closing with unread bytes would reset the connection.
    while matches!(stream.read_buf(&mut request).await, Ok(1..)) {}
}

fn is_whole(request: &[u8]) -> bool {
    let Some(end) = memchr::memmem::find(request, b"\r\n\r\n") else {
        return false;
    };
    let head = String::from_utf8_lossy(&request[..end]).to_ascii_lowercase();
    let length = head.split("content-length: ").nth(1);
    let length = length.and_then(|rest| rest.lines().next()?.parse::<usize>().ok());
    request.len() >= end + 4 + length.unwrap_or(0)
}
