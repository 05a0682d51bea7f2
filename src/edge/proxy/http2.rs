//! Owns what is HTTP/2's alone on the way to an upstream: whom a request is addressed to, and what an error says
//! of it. Must never decide whether a request is sent again.

use std::time::{Duration, Instant};

use h2::Reason;
use http::Uri;
use http::header::HOST;
use pingora::connectors::http::v2::ConnectionRef;
use pingora::http::RequestHeader;
use pingora::{BError, Error, ErrorType};

/// A request that was given up after so long without an answer takes its connection out of use: if the
/// connection is dead, the next requests must not find out one by one.
const SILENT: Duration = Duration::from_secs(5);

/// Turns a request's head into HTTP/2's: the authority takes the place of `Host`.
pub(super) fn address(head: &mut RequestHeader) -> Result<(), BError> {
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
pub(super) fn was_refused(cause: &Error) -> bool {
    of(cause).is_some_and(|error| {
        let refused = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
        error.is_remote() && (error.is_go_away() || refused)
    })
}

/// Whether the connection broke, rather than the stream.
pub(super) fn has_broken(cause: &Error) -> bool {
    of(cause).is_some_and(h2::Error::is_io)
}

/// Whether the upstream wants the request over HTTP/1.1, and has not looked at it.
pub(super) fn wants_h1(cause: &Error) -> bool {
    of(cause)
        .is_some_and(|error| error.is_remote() && error.reason() == Some(Reason::HTTP_1_1_REQUIRED))
}

/// The error as the protocol's own.
pub(super) fn of(cause: &Error) -> Option<&h2::Error> {
    cause.root_cause().downcast_ref()
}

/// Watches over a request that was sent and is not answered yet.
pub(super) struct Unanswered {
    connection: ConnectionRef,
    sent: Instant,
    pub(super) answered: bool,
}

impl Unanswered {
    pub(super) fn new(connection: ConnectionRef) -> Self {
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
