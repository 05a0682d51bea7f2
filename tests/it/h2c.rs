//! Owns the client that speaks HTTP/2 without TLS. Must never hide a reset.

use std::net::SocketAddr;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::raw::{Answer, Ended, Framing, PATIENCE, Request, dial};

/// A connection that speaks HTTP/2 without TLS.
#[derive(Debug)]
pub(crate) struct H2 {
    send: h2::client::SendRequest<Bytes>,
    driver: tokio::task::JoinHandle<()>,
}

/// An answer on an h2 connection, being read.
pub(crate) type H2Body = h2::RecvStream;

impl H2 {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::over(dial(address).await).await
    }

    pub(crate) async fn over(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        let (send, connection) = h2::client::handshake(stream).await.unwrap();
        let driver = tokio::spawn(async {
            connection.await.ok();
        });
        Self { send, driver }
    }

    pub(crate) async fn call(&mut self, request: &Request) -> Answer {
        let (mut answer, body) = self.head(request).await;
        if let Some(mut body) = body {
            while h2_piece(&mut answer, &mut body).await {}
        }
        answer
    }

    /// Sends a request and reads the answer's head. Status 0: none came.
    pub(crate) async fn head(&mut self, request: &Request) -> (Answer, Option<H2Body>) {
        let sent = tokio::time::timeout(PATIENCE, self.begin(request)).await;
        let response = sent.expect("the proxy takes no body");
        let response = tokio::time::timeout(PATIENCE, response).await;
        match response.expect("the proxy hangs") {
            Err(error) => {
                assert!(error.is_reset() || error.is_io() || error.is_go_away());
                let end = Ended::Reset;
                (
                    Answer {
                        end,
                        ..Answer::default()
                    },
                    None,
                )
            }
            Ok(response) => (h2_head(&response), Some(response.into_body())),
        }
    }

    /// Sends a request whole.
    pub(crate) async fn begin(&mut self, request: &Request) -> h2::client::ResponseFuture {
        let (response, stream) = self.open(request).await;
        if !request.body.is_empty() {
            h2_send(stream, request.body.clone()).await;
        }
        response
    }

    /// Sends a request's head; its body, if it has one, is the caller's to send.
    pub(crate) async fn open(
        &mut self,
        request: &Request,
    ) -> (h2::client::ResponseFuture, h2::SendStream<Bytes>) {
        let mut builder = http::Request::builder()
            .method(request.method)
            .uri(format!("http://mainstay.test{}", request.path));
        for (name, value) in &request.headers {
            builder = builder.header(name, value);
        }
        if request.framing == Framing::Expect {
            builder = builder.header("expect", "100-continue");
        }
        if request.framing != Framing::Chunked && request.method == "POST" {
            builder = builder.header("content-length", request.body.len());
        }
        let mut send = self.send.clone().ready().await.unwrap();
        let whole = request.body.is_empty();
        send.send_request(builder.body(()).unwrap(), whole).unwrap()
    }

    /// Ends the connection without a word to any stream.
    pub(crate) fn vanish(self) {
        self.driver.abort();
    }
}

/// Sends a body as the windows allow. A peer that answered early ends it.
async fn h2_send(mut stream: h2::SendStream<Bytes>, mut body: Bytes) {
    while !body.is_empty() {
        stream.reserve_capacity(body.len());
        let capacity = std::future::poll_fn(|context| stream.poll_capacity(context)).await;
        let Some(Ok(capacity)) = capacity else {
            return;
        };
        let piece = body.split_to(capacity.min(body.len()));
        if stream.send_data(piece, body.is_empty()).is_err() {
            return;
        }
    }
}

fn h2_head(response: &http::Response<H2Body>) -> Answer {
    let header = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        (name.to_string(), value.to_str().unwrap().to_owned())
    };
    Answer {
        status: response.status().as_u16(),
        headers: response.headers().iter().map(header).collect(),
        ..Answer::default()
    }
}

/// Reads what is there next of an h2 body, and appends it. False at its end.
pub(crate) async fn h2_piece(answer: &mut Answer, body: &mut H2Body) -> bool {
    let data = tokio::time::timeout(PATIENCE, body.data()).await;
    match data.expect("the proxy hangs") {
        Some(Ok(data)) => {
            body.flow_control().release_capacity(data.len()).unwrap();
            answer.body.extend_from_slice(&data);
            return true;
        }
        Some(Err(_)) => answer.end = Ended::Reset,
        // The crate tells END_STREAM and a reset without an error apart only here.
        None => {
            answer.end = if body.is_end_stream() {
                Ended::Whole
            } else {
                Ended::Reset
            }
        }
    }
    false
}
