//! Owns what the tests of every dialect hand to its faces, and how they read what comes back. Must never know a dialect.

use bytes::Bytes;

use crate::core::exchange::StreamEvent;
use crate::wire::client_error::Skin;
use crate::wire::dialect::{Frame, ReadEvents, Reply, WriteEvents};
use crate::wire::hub::Event;

/// An event without a name.
pub(in crate::wire) fn frame(data: &[u8]) -> Frame<'_> {
    Frame {
        name: "",
        data,
        is_error: false,
    }
}

/// What an answer to this request says beside what its upstream said.
pub(in crate::wire) fn reply(request: &Bytes) -> Reply<'_> {
    Reply {
        request,
        model: "author/slug",
        id: "own",
        now: 99,
        usage: true,
        skin: Skin::OpenAi,
    }
}

/// What the events of a stream were, and their pieces; an event that failed has none.
pub(in crate::wire) fn read(
    mut reader: Box<dyn ReadEvents>,
    frames: &[Vec<u8>],
) -> (Vec<StreamEvent>, Vec<Event>) {
    let mut pieces = Vec::new();
    let events = frames.iter().map(|data| {
        let from = pieces.len();
        let event = reader.read(frame(data), &mut pieces);
        if matches!(event, StreamEvent::Error(_) | StreamEvent::Malformed { .. }) {
            pieces.truncate(from);
        }
        event
    });
    (events.collect(), pieces)
}

/// A stream of these pieces, to its end.
pub(in crate::wire) fn written(mut writer: Box<dyn WriteEvents>, pieces: &[Event]) -> Bytes {
    let mut out = Vec::new();
    for piece in pieces {
        writer.write(piece, &mut out);
    }
    writer.end(&mut out);
    out.into()
}

/// How many pieces are of a kind.
pub(in crate::wire) fn count(pieces: &[Event], is: fn(&Event) -> bool) -> usize {
    pieces.iter().filter(|piece| is(piece)).count()
}

pub(in crate::wire) fn text(text: &str) -> Event {
    Event::Text {
        choice: 0,
        text: text.to_owned(),
    }
}

pub(in crate::wire) fn arguments(index: u32, json: &str) -> Event {
    Event::Arguments {
        choice: 0,
        index,
        json: json.to_owned(),
    }
}

pub(in crate::wire) fn call(index: u32, id: &str, name: &str) -> Event {
    Event::ToolCall {
        choice: 0,
        index,
        id: id.to_owned(),
        name: name.to_owned(),
        signature: None,
    }
}
