//! Owns the reading of what operators send. Must never hold more than it was allowed.

use bytes::{Bytes, BytesMut};
use pingora::protocols::http::ServerSession;

/// The body, none where it breaks off or is longer than `longest`.
pub(super) async fn body(session: &mut ServerSession, longest: u64) -> Option<Bytes> {
    let mut body = BytesMut::new();
    while let Some(chunk) = session.read_request_body().await.ok()? {
        if (body.len() + chunk.len()) as u64 > longest {
            return None;
        }
        body.extend_from_slice(&chunk);
    }
    Some(body.freeze())
}
