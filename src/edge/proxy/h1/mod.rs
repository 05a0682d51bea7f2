//! Owns HTTP/1.1 towards an upstream: the head and body of a request in one write, an answer read without a
//! copy, and the connections kept for the next request. It stands in for Pingora's session and pool, which
//! were a third of what an attempt costs; sockets and TLS are Pingora's. In reading order: `head` and `framing`
//! (what the bytes say, without I/O), `session` (one connection), `pool` (the idle ones).
//! Must never take a cut answer for a whole one, or use a connection again whose answer left a doubt.

mod head;
mod framing;
mod session;
mod pool;

pub(super) use pool::{Key, Pool};
pub(super) use session::{Broken, Session};

/// The upstream's bytes are no HTTP/1.1, or could be read in two ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(super) &'static str);
