//! Owns a stream as frames: the bytes of each event, and what faults need to know of it.
//! Must never decide when a frame is sent.

use bytes::Bytes;
use serde_json::Value;

/// What an event is to a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// Before the first token.
    Opening,
    /// Token of this number, over all parts.
    Token(u32),
    /// Around parts: where one begins or ends.
    Between,
    /// It tells how the answer ends.
    Finish,
    /// After the finish; without it a stream is still whole in content.
    Done,
}

/// One event on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) mark: Mark,
    pub(crate) bytes: Bytes,
}

/// The frames of a stream, while they are made.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    frames: Vec<Frame>,
    tokens: u32,
}

// === impl Frames ===

impl Frames {
    /// Adds an event.
    pub(crate) fn push(&mut self, mark: Mark, bytes: Bytes) {
        self.frames.push(Frame { mark, bytes });
    }

    /// Adds the event of the next token.
    pub(crate) fn token(&mut self, bytes: Bytes) {
        self.push(Mark::Token(self.tokens), bytes);
        self.tokens += 1;
    }

    /// All of them.
    pub(crate) fn finish(self) -> Vec<Frame> {
        self.frames
    }
}

/// A server-sent event, with its name where the dialect names events.
pub(crate) fn sse(event: Option<&str>, data: &Value) -> Bytes {
    match event {
        Some(event) => format!("event: {event}\ndata: {data}\n\n").into(),
        None => format!("data: {data}\n\n").into(),
    }
}

/// A server-sent event whose JSON stops in the middle.
pub(crate) fn broken_sse(event: Option<&str>) -> Bytes {
    let name = event.map_or(String::new(), |event| format!("event: {event}\n"));
    format!(
        "{name}data: {{\"type\":\"{}\",\"del\n\n",
        event.unwrap_or("")
    )
    .into()
}
