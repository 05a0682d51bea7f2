//! Recorded answers and streams, read into the hub and written again.

use bytes::Bytes;

use super::*;
use crate::core::exchange::StreamEvent;
use crate::wire::client_error::Skin;
use crate::wire::dialect::Frame;
use crate::wire::hub::Event;
use crate::wire::openai::recorded_tests::{files_in, root};
use crate::wire::sse::{Data, Splitter};

const FOLDERS: [&str; 10] = [
    "openai-chat",
    "openai-other",
    "groq",
    "mistral",
    "deepseek",
    "xai",
    "perplexity",
    "azure",
    "openrouter",
    "clients",
];

/// What the frames of a stream were, and their pieces.
fn read(frames: &[Vec<u8>]) -> (Vec<StreamEvent>, Vec<Event>) {
    let mut reader = Chat.reader();
    let mut pieces = Vec::new();
    let events = frames.iter().map(|data| {
        let from = pieces.len();
        let frame = Frame {
            name: "",
            data,
            is_error: false,
        };
        let event = reader.read(frame, &mut pieces);
        if !matches!(event, StreamEvent::Progress(_)) {
            pieces.truncate(from);
        }
        event
    });
    (events.collect(), pieces)
}

/// The data of a stream that comes in chunks of so many bytes.
fn framed(body: &Bytes, chunk: usize) -> Vec<Vec<u8>> {
    let mut splitter = Splitter::new(1 << 20);
    let mut frames = Vec::new();
    let mut take = |event: &crate::wire::sse::Event| match event.data() {
        Data::None => {}
        Data::Line(line) => frames.push(line.to_vec()),
        Data::Joined(joined) => frames.push(joined),
    };
    for part in body.chunks(chunk) {
        splitter.push(body.slice_ref(part));
        while let Some(event) = splitter.next() {
            take(&event.unwrap());
        }
    }
    splitter.finish().iter().for_each(&mut take);
    frames
}

/// Every recorded stream: its name and its frames.
fn streams() -> Option<Vec<(String, Vec<Vec<u8>>)>> {
    let root = root()?;
    let mut found = Vec::new();
    for (name, body) in files_in(&FOLDERS, &root, "chat.completions.200.", "sse") {
        let frames = framed(&body, body.len().max(1));
        assert_eq!(framed(&body, 1), frames, "{name}");
        assert_eq!(framed(&body, 7), frames, "{name}");
        found.push((name, frames));
    }
    let lines = |(name, body): (String, Bytes)| {
        let lines = body.split(|byte| *byte == b'\n').map(<[u8]>::to_vec);
        (name, lines.filter(|line| !line.is_empty()).collect())
    };
    let chunks = files_in(&FOLDERS, &root, "chat.completions.200.", ".chunks.txt");
    found.extend(chunks.into_iter().map(lines));
    for begin in ["openai.", "mistral.", "azure."] {
        let chunks = files_in(&["clients"], &root, begin, ".chunks");
        found.extend(chunks.into_iter().map(lines));
    }
    Some(found)
}

/// A stream is a `Start`, pieces, one `Finish`, and the usage once.
fn check_order(name: &str, pieces: &[Event]) {
    let count = |is: fn(&Event) -> bool| pieces.iter().filter(|piece| is(piece)).count();
    assert!(
        matches!(pieces.first(), Some(Event::Start { .. })),
        "{name}"
    );
    assert_eq!(
        count(|piece| matches!(piece, Event::Start { .. })),
        1,
        "{name}"
    );
    assert!(
        count(|piece| matches!(piece, Event::Usage(_))) <= 1,
        "{name}"
    );
    assert_eq!(
        count(|piece| matches!(piece, Event::Finish { .. })),
        1,
        "{name}"
    );
}

#[test]
fn recorded_streams_are_read_and_come_out_as_they_went_in() {
    let Some(streams) = streams() else { return };
    let mut whole = 0;
    for (name, frames) in &streams {
        let (events, pieces) = read(frames);
        let failed = |event: &StreamEvent| {
            matches!(event, StreamEvent::Error(_) | StreamEvent::Malformed { .. })
        };
        if events.iter().any(failed) {
            let known = ["broken", "error"].iter().any(|word| name.contains(word));
            assert!(known, "{name}: {events:?}");
            continue;
        }
        let finished = events
            .iter()
            .any(|event| matches!(event, StreamEvent::Progress(progress) if progress.finished));
        if !finished {
            assert!(
                name.contains("not-complete") || name.contains("broken"),
                "{name}"
            );
            continue;
        }
        check_order(name, &pieces);
        whole += 1;
        check_written_again(name, &pieces);
    }
    eprintln!("{whole} of {} recorded streams are whole", streams.len());
    assert!(whole > 30, "{whole}");
}

fn check_written_again(name: &str, pieces: &[Event]) {
    let request = Bytes::new();
    let reply = Reply {
        request: &request,
        model: "author/slug",
        id: "own",
        now: 99,
        usage: true,
        skin: Skin::OpenAi,
    };
    for skin in [Skin::OpenAi, Skin::OpenRouter] {
        let mut writer = Chat.writer(&Reply { skin, ..reply });
        let mut out = Vec::new();
        for piece in pieces {
            writer.write(piece, &mut out);
        }
        writer.end(&mut out);
        let out = Bytes::from(out);
        let (events, again) = read(&framed(&out, out.len()));
        assert_eq!(events.last(), Some(&StreamEvent::Done), "{name}");
        let without_ids = |pieces: &[Event]| -> Vec<Event> {
            let kept = pieces
                .iter()
                .filter(|piece| !matches!(piece, Event::Start { .. } | Event::Usage(_)));
            kept.cloned().collect()
        };
        assert_eq!(without_ids(&again), without_ids(pieces), "{name}");
        check_order(name, &again);
    }
}

#[test]
fn recorded_answers_are_read_and_come_out_as_they_went_in() {
    let Some(root) = root() else { return };
    let mut answers = files_in(&FOLDERS, &root, "chat.completions.200.", ".json");
    for begin in ["openai.", "mistral."] {
        answers.extend(files_in(&["clients"], &root, begin, ".json"));
    }
    let mut good = 0;
    for (name, body) in &answers {
        if name.contains("transcription") {
            continue;
        }
        let answer = match Chat.read_answer(body) {
            Whole::Good(answer) => answer,
            Whole::Error(_) if name.contains("prompt-content-filtering") => continue,
            other => panic!("{name}: {other:?}"),
        };
        good += 1;
        assert!(
            answer.choices.iter().all(|choice| choice.finish.is_some()),
            "{name}"
        );
        let request = Bytes::new();
        let reply = Reply {
            request: &request,
            model: "author/slug",
            id: "own",
            now: 99,
            usage: true,
            skin: Skin::OpenAi,
        };
        let Whole::Good(again) = Chat.read_answer(&Chat.write_answer(&answer, &reply)) else {
            panic!("{name}");
        };
        assert_eq!(again.choices, answer.choices, "{name}");
        assert_eq!(again.usage.is_some(), answer.usage.is_some(), "{name}");
    }
    eprintln!("{good} recorded answers are good");
    assert!(good > 30, "{good}");
}
