//! Owns the small HTTP client that verbs use towards addresses on this machine. Must never be used towards a
//! provider: it has no deadlines of its own.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use pingora::connectors::http::Connector;
use pingora::http::RequestHeader;
use pingora::protocols::http::client::HttpSession;
use pingora::upstreams::peer::HttpPeer;

/// An idle connection older than this is not used again: the other side may be about to close it.
const IDLE: Duration = Duration::from_secs(5);

/// Sends requests over pooled connections.
pub(crate) struct Client {
    connector: Connector,
    peer: HttpPeer,
    host: String,
}

/// An answer whose body is being read.
pub(crate) struct Answer {
    session: HttpSession,
    pub(crate) status: u16,
}

impl Client {
    /// A client of one address.
    pub(crate) fn of(address: SocketAddr) -> Self {
        Self {
            connector: Connector::new(None),
            peer: HttpPeer::new(address, false, String::new()),
            host: address.to_string(),
        }
    }

    /// Sends a request and reads the answer's head.
    ///
    /// # Errors
    /// The connection failed.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&'static str, &str)],
        body: Bytes,
    ) -> anyhow::Result<Answer> {
        let (mut session, _) = self.connector.get_http_session(&self.peer).await?;
        let mut head = Box::new(RequestHeader::build(method, path.as_bytes(), Some(8))?);
        head.insert_header("host", &self.host)?;
        head.insert_header("content-length", body.len().to_string())?;
        for (name, value) in headers {
            head.insert_header(*name, *value)?;
        }
        session.write_request_header(head).await?;
        if !body.is_empty() {
            session.write_request_body(body, true).await?;
        }
        session.finish_request_body().await?;
        session.read_response_header().await?;
        let status = session
            .response_header()
            .map_or(0, |head| head.status.as_u16());
        Ok(Answer { session, status })
    }

    /// Keeps the connection of an answer that was read to its end.
    pub(crate) async fn release(&self, answer: Answer) {
        self.connector
            .release_http_session(answer.session, &self.peer, Some(IDLE))
            .await;
    }
}

impl Answer {
    /// The value of a header, if it was sent and is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let head = self.session.response_header()?;
        head.headers.get(name)?.to_str().ok()
    }

    /// The next bytes of the body, `None` at its clean end.
    ///
    /// # Errors
    /// The body broke off.
    pub(crate) async fn chunk(&mut self) -> anyhow::Result<Option<Bytes>> {
        Ok(self.session.read_response_body().await?)
    }
}
