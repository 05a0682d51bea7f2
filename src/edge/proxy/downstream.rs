//! Owns the writes to a client, each under a bound: Pingora bounds the write of a body, but neither that of a
//! head, nor a flush, nor a shutdown, so that one client that stops reading could hold a task for ever.
//! Must never end an answer cleanly that is not whole.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use nix::sys::socket::{Shutdown, shutdown};
use pingora::http::ResponseHeader;
use pingora::modules::http::compression::ResponseCompression;
use pingora::protocols::http::ServerSession;
use pingora::proxy::Session;

use crate::wire::rope::Rope;

/// The longest one write to the client may block before the client counts as gone.
const WRITE_STALL: Duration = Duration::from_secs(60);
/// How long a client may take to accept the error event that ends a broken stream.
const LAST_WORD: Duration = Duration::from_secs(2);
/// h2 hands frames to its connection's task; a reset overtakes what that task has not sent yet.
const H2_FLUSH: Duration = Duration::from_millis(20);
/// How long the rest of an upload is read after an early answer, so that the answer is not lost to a reset.
const DRAIN: Duration = Duration::from_secs(2);

/// Sets the bounds that Pingora keeps itself, switches off a host's compression, which would hold events back, and keeps what a client of HTTP/1.1 sends ahead for its next
/// request: it would count as leaving otherwise.
pub(crate) fn prepare(session: &mut Session) {
    let modules = &mut session.downstream_modules_ctx;
    if let Some(compression) = modules.get_mut::<ResponseCompression>() {
        compression.adjust_level(0);
    }
    let downstream = session.as_downstream_mut();
    downstream.set_write_timeout(Some(WRITE_STALL));
    downstream.set_total_drain_timeout(Some(DRAIN));
    if let ServerSession::H1(session) = downstream {
        session.set_pipelining_enabled(true);
    }
}

/// Writes a head. Returns whether the client took it; if not, the connection is cut.
pub(crate) async fn write_head(
    session: &mut Session,
    head: Box<ResponseHeader>,
    end: bool,
) -> bool {
    let written = within(WRITE_STALL, session.write_response_header(head, end)).await;
    written || cut(session).await
}

/// Writes a piece of the body. Returns whether the client took it; if not, the connection is cut.
pub(crate) async fn write(session: &mut Session, bytes: Bytes) -> bool {
    let written = within(WRITE_STALL, session.write_response_body(Some(bytes), false)).await;
    written || cut(session).await
}

/// Writes pieces of the body. Returns whether the client took them; if not, the connection is cut.
pub(crate) async fn write_all(session: &mut Session, pieces: Rope) -> bool {
    for piece in pieces.into_segments() {
        if !write(session, piece).await {
            return false;
        }
    }
    true
}

/// Ends a whole answer with its last pieces. Returns whether the client took it.
pub(crate) async fn finish_with(session: &mut Session, pieces: Rope) -> bool {
    let mut pieces = pieces.into_segments();
    let last = pieces.pop();
    for piece in pieces {
        if !write(session, piece).await {
            return false;
        }
    }
    finish(session, last).await
}

/// Ends a whole answer, with a last piece if there is one. Returns whether the client took it.
pub(crate) async fn finish(session: &mut Session, last: Option<Bytes>) -> bool {
    let written = within(WRITE_STALL, session.write_response_body(last, true)).await;
    written || cut(session).await
}

/// Says a last word where one is given, then cuts the connection: h1 closes, h2 resets the stream.
pub(crate) async fn abort(session: &mut Session, last_word: Option<Bytes>) {
    if let Some(event) = last_word {
        let written = session.write_response_body(Some(event), false);
        within(LAST_WORD, written).await;
    }
    // What was written before must not be lost to the reset either.
    if session.is_http2() {
        tokio::time::sleep(H2_FLUSH).await;
    }
    cut(session).await;
}

/// Reads what is left of an upload, for a bounded time.
pub(crate) async fn drain(session: &mut Session) {
    let draining = session.as_downstream_mut().drain_request_body();
    // What does not come in time is cut off with the connection.
    tokio::time::timeout(DRAIN, draining).await.ok();
}

async fn within<T, E>(limit: Duration, write: impl Future<Output = Result<T, E>>) -> bool {
    let mut write = pin!(write);
    // What is done at once needs no timer.
    match poll_once(write.as_mut()).await {
        Poll::Ready(written) => written.is_ok(),
        Poll::Pending => matches!(tokio::time::timeout(limit, write).await, Ok(Ok(_))),
    }
}

/// Goes on with something as far as it goes without waiting.
pub(crate) async fn poll_once<T>(mut something: Pin<&mut impl Future<Output = T>>) -> Poll<T> {
    poll_fn(|context| Poll::Ready(something.as_mut().poll(context))).await
}

/// Always false: what was to be written was not. A shutdown flushes first, which a client that does not read
/// never lets end; then the socket itself is shut, and every later flush of Pingora's fails at once.
async fn cut(session: &mut Session) -> bool {
    let closing = session.as_downstream_mut().shutdown();
    if tokio::time::timeout(LAST_WORD, closing).await.is_err()
        && let Some(stream) = session.as_downstream().stream()
    {
        // Fails only where the socket is closed already.
        shutdown(stream.id(), Shutdown::Both).ok();
    }
    false
}
