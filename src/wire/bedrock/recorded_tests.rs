//! Recorded answers of Bedrock's, read where they lie beside the project; skipped where they do not.

use http::HeaderMap;
use serde_json::value::RawValue;

use super::Bedrock;
use crate::core::exchange::StreamEvent;
use crate::core::outcome::Class;
use crate::wire::dialect::sample::count;
use crate::wire::dialect::{Frame, Upstream, Whole};
use crate::wire::event_stream::{Broken, Message, Splitter};
use crate::wire::hub::{Event, Part};
use crate::wire::recorded::{CHUNKS, Recordings, class_of};

const FOLDERS: [&str; 2] = ["bedrock", "clients"];

fn messages(body: &[u8], chunk: usize) -> (Vec<Message>, Option<Broken>, bool) {
    let mut splitter = Splitter::new(1 << 20);
    let mut found = Vec::new();
    for part in body.chunks(chunk) {
        splitter.push(part);
        while let Some(next) = splitter.next() {
            match next {
                Ok(message) => found.push(message),
                Err(broken) => return (found, Some(broken), false),
            }
        }
    }
    let empty = splitter.is_empty();
    (found, None, empty)
}

/// Checks that the stream ends well, and whether it says anything.
fn check<'a>(name: &str, frames: impl Iterator<Item = Frame<'a>>) -> (Vec<Event>, bool) {
    let mut reader = Bedrock.reader();
    let mut pieces = Vec::new();
    let (mut content, mut finished, mut last) = (false, false, false);
    for frame in frames {
        assert!(!last, "{name} goes on after its end");
        let StreamEvent::Progress(progress) = reader.read(frame, &mut pieces) else {
            panic!("{name}: {frame:?}");
        };
        content |= progress.content;
        finished = progress.finished;
        last = progress.last;
    }
    assert!(finished && last, "{name} does not end");
    let usages = count(&pieces, |piece| matches!(piece, Event::Usage(_)));
    assert_eq!(usages, 1, "{name}");
    (pieces, content)
}

#[test]
fn recorded_streams_are_read_at_every_split() {
    let Some(recordings) = Recordings::of(&FOLDERS) else {
        return;
    };
    let mut count = 0;
    let streams = recordings.files("converse-stream.200.", ".bin");
    for (name, body) in streams
        .into_iter()
        .chain(recordings.files("bedrock.wire-", ".bin"))
    {
        let (whole, broken, empty) = messages(&body, body.len());
        for chunk in CHUNKS {
            let (split, also_broken, _) = messages(&body, chunk);
            assert_eq!(
                (&split, also_broken),
                (&whole, broken),
                "{name} in chunks of {chunk}"
            );
        }
        if name.contains("response-bedrock-broken") {
            // Its middle is cut out.
            assert!(broken.is_some() || !empty, "{name}");
            continue;
        }
        assert_eq!((broken, empty), (None, true), "{name}");
        let (_, content) = check(&name, whole.iter().map(Message::frame));
        assert!(content, "{name} has no content");
        count += 1;
    }
    println!("{count} recorded streams");
    assert!(count >= 11);
}

#[test]
fn recorded_chunks_are_read() {
    let Some(recordings) = Recordings::of(&FOLDERS) else {
        return;
    };
    let mut count = 0;
    let chunks = recordings.lines("converse.200.", ".chunks.txt");
    let clients = recordings.lines("bedrock.", ".chunks");
    for (name, lines) in chunks.into_iter().chain(clients) {
        let events: Vec<(String, Box<RawValue>)> = lines
            .iter()
            .flat_map(|line| {
                let event: std::collections::BTreeMap<String, Box<RawValue>> =
                    serde_json::from_slice(line).expect("an event");
                event
            })
            .collect();
        let frames = events.iter().map(|(name, data)| Frame {
            name,
            data: data.get().as_bytes(),
            is_error: false,
        });
        check(&name, frames);
        count += 1;
    }
    println!("{count} recorded lists");
    assert!(count >= 4);
}

#[test]
fn recorded_answers_are_good() {
    let Some(recordings) = Recordings::of(&FOLDERS) else {
        return;
    };
    let mut count = 0;
    let answers = recordings.files("converse.200.", ".json");
    for (name, body) in answers
        .into_iter()
        .chain(recordings.files("bedrock.", ".json"))
    {
        let Whole::Good(answer) = Bedrock.read_answer(&body) else {
            panic!("{name} is not good");
        };
        assert!(!answer.is_empty() && answer.usage.is_some(), "{name}");
        assert!(!answer.choices[0].parts.is_empty(), "{name}");
        let sealed = answer.choices[0]
            .parts
            .iter()
            .filter_map(|part| match part {
                Part::Thought(thought) => Some(thought),
                _ => None,
            });
        assert!(
            sealed.into_iter().all(|thought| thought.format.is_some()),
            "{name}"
        );
        count += 1;
    }
    println!("{count} recorded answers");
    assert!(count >= 8);
}

#[test]
fn recorded_errors_get_their_class() {
    let Some(recordings) = Recordings::of(&FOLDERS) else {
        return;
    };
    let table = [
        ("converse.400.", 400, Class::UnsupportedParameter),
        ("converse.403.", 403, Class::AuthRejected),
        ("invoke.403.", 403, Class::AuthRejected),
    ];
    recordings.check_errors(&table);
    // And where the header that names the error was recorded too.
    for (begin, status, class) in table {
        for (name, body) in recordings.files(begin, ".json") {
            let mut headers = HeaderMap::new();
            if let Some(value) = recordings.headers_of(&name)["x-amzn-errortype"].as_str() {
                headers.insert("x-amzn-errortype", value.parse().expect("a header"));
            }
            assert_eq!(class_of(status, &headers, &body), class, "{name}");
        }
    }
}
