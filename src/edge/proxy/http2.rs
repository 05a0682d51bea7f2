//! Owns what is HTTP/2's alone on the way to an upstream: one stream of a shared connection, whom its request is
//! addressed to, and what an error says of it. Must never decide whether a request is sent again.

use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::Reason;
use http::header::{ACCEPT, CONTENT_LENGTH, HOST};
use http::{HeaderMap, Uri};
use pingora::connectors::http::v2::ConnectionRef;
use pingora::http::RequestHeader;
use pingora::protocols::http::v2::client::Http2Session;
use pingora::{BError, Error, ErrorType};

use crate::edge::proxy::head::Head;
use crate::edge::proxy::upload::{self, Upload, upload};
use crate::edge::proxy::upstream::Outgoing;

/// A request that was given up after so long without an answer takes its connection out of use: if the
/// connection is dead, the next requests must not find out one by one.
const SILENT: Duration = Duration::from_secs(5);

/// One request's stream.
pub(super) struct Stream {
    pub(super) session: Http2Session,
    /// The head left us. A stream without it has nothing to read.
    pub(super) opened: bool,
    /// The answer's side has failed while the request was still being written.
    unreadable: bool,
    /// Something of an answer has come.
    pub(super) answered: bool,
    /// Once the request was written.
    unanswered: Option<Unanswered>,
}

// === impl Stream ===

impl Stream {
    pub(super) fn new(session: Http2Session) -> Self {
        Self {
            session,
            opened: false,
            unreadable: false,
            answered: false,
            unanswered: None,
        }
    }

    /// Writes a request. It stops where an answer comes that refuses it.
    pub(super) async fn send(&mut self, outgoing: &Outgoing) -> Result<Upload, BError> {
        let written = self.write(outgoing).await;
        if matches!(written, Ok(Upload::Whole)) {
            self.unanswered = Some(Unanswered::new(self.session.conn.clone()));
        }
        written.map_err(|failed| {
            self.unreadable = failed.unreadable;
            failed.cause
        })
    }

    async fn write(&mut self, outgoing: &Outgoing) -> Result<Upload, upload::Failed> {
        self.session.write_request_header(head(outgoing)?, false)?;
        self.opened = true;
        // A frame a piece: a small body is one.
        let body = outgoing.body.clone().coalesce();
        upload(&mut self.session, &body).await
    }

    /// Reads the head of the answer.
    pub(super) async fn read_head(&mut self) -> Result<Head, BError> {
        if self.session.response_header().is_none() {
            // Pingora panics where it is asked for a head that cannot come.
            if self.unreadable || !self.opened || self.answered {
                return Err(Error::explain(
                    ErrorType::ReadError,
                    "nothing to read a head from",
                ));
            }
            self.session.read_response_header().await?;
        }
        self.answered = true;
        if let Some(unanswered) = &mut self.unanswered {
            unanswered.answered = true;
        }
        let answer = self.session.response_header();
        let Some(answer) = answer.filter(|answer| !answer.status.is_informational()) else {
            return Err(Error::explain(ErrorType::ReadError, "no head was read"));
        };
        let mut head = Head::new(answer.status);
        for (name, value) in &answer.headers {
            head.note(name.as_str(), value.as_bytes());
        }
        Ok(head)
    }

    /// All headers of the answer.
    pub(super) fn headers(&self) -> HeaderMap {
        let head = self.session.response_header();
        head.map(|head| head.headers.clone()).unwrap_or_default()
    }

    /// The next bytes of the answer's body, `None` at its end.
    pub(super) async fn read_chunk(&mut self) -> Result<Option<Bytes>, BError> {
        if let Some(chunk) = self.session.read_response_body().await? {
            return Ok(Some(chunk));
        }
        self.session.read_trailers().await?;
        match self.session.response_finished() {
            true => Ok(None),
            // A stream can end with a reset that says no error: that is no end of an answer.
            false => Err(Error::explain(ErrorType::ReadError, "reset without an end")),
        }
    }

    /// Whether an error says that the request was not looked at.
    pub(super) fn was_untouched(&self, cause: &Error, fresh: bool) -> bool {
        !self.opened || was_refused(cause) || (has_broken(cause) && fresh)
    }
}

/// A request's head in HTTP/2.
fn head(outgoing: &Outgoing) -> Result<Box<RequestHeader>, BError> {
    let mut head = Box::new(outgoing.template.head().clone());
    head.insert_header(ACCEPT, outgoing.accept)?;
    head.insert_header(CONTENT_LENGTH, outgoing.body.len())?;
    for (name, value) in &outgoing.forwarded {
        head.insert_header(name.clone(), value.clone())?;
    }
    address(&mut head)?;
    Ok(head)
}

/// Turns a request's head into HTTP/2's: the authority takes the place of `Host`.
fn address(head: &mut RequestHeader) -> Result<(), BError> {
    let authority = head
        .headers
        .get(HOST)
        .map_or(&b""[..], |host| host.as_bytes());
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let uri = Uri::builder()
        .scheme("https")
        .authority(authority)
        .path_and_query(path)
        .build()
        .map_err(|_| Error::explain(ErrorType::InvalidHTTPHeader, "no authority for HTTP/2"))?;
    head.set_uri(uri);
    head.remove_header(&HOST);
    Ok(())
}

/// Whether the upstream says that it has not looked at the request. A stream sees a GOAWAY as its error only
/// where it is above the last one that the upstream took on.
fn was_refused(cause: &Error) -> bool {
    of(cause).is_some_and(|error| {
        let refused = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
        error.is_remote() && (error.is_go_away() || refused)
    })
}

/// Whether the connection broke, rather than the stream.
fn has_broken(cause: &Error) -> bool {
    of(cause).is_some_and(h2::Error::is_io)
}

/// Whether the upstream wants the request over HTTP/1.1, and has not looked at it.
pub(super) fn wants_h1(cause: &Error) -> bool {
    of(cause)
        .is_some_and(|error| error.is_remote() && error.reason() == Some(Reason::HTTP_1_1_REQUIRED))
}

/// The error as the protocol's own.
fn of(cause: &Error) -> Option<&h2::Error> {
    cause.root_cause().downcast_ref()
}

/// Watches over a request that was sent and is not answered yet.
struct Unanswered {
    connection: ConnectionRef,
    sent: Instant,
    answered: bool,
}

impl Unanswered {
    fn new(connection: ConnectionRef) -> Self {
        Self {
            connection,
            sent: Instant::now(),
            answered: false,
        }
    }
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        if !self.answered && self.sent.elapsed() >= SILENT {
            self.connection.mark_shutdown();
        }
    }
}
