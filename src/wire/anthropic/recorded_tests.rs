//! Recorded answers of Anthropic's, read where they lie beside the project; skipped where they do not.

use bytes::Bytes;

use super::Messages;
use crate::core::exchange::{StreamEvent, Usage};
use crate::core::outcome::Class;
use crate::wire::dialect::sample::{count, read, reply, written};
use crate::wire::dialect::{Downstream, Upstream, Whole};
use crate::wire::hub::{Answer, Event, Finish, Part};
use crate::wire::recorded::{Recordings, framed};

const FOLDERS: [&str; 2] = ["anthropic", "clients"];

/// Files of the dialect by the end of their names.
fn files(recordings: &Recordings, end: &str) -> Vec<(String, Bytes)> {
    let mut found = recordings.files("messages.200", end);
    found.extend(recordings.files("anthropic.", end));
    found
}

/// Every recorded stream: its name and its frames.
fn streams(recordings: &Recordings) -> Vec<(String, Vec<Vec<u8>>)> {
    let mut found = Vec::new();
    for begin in ["messages.200", "anthropic."] {
        found.extend(recordings.streams(begin));
        for end in [".chunks.txt", ".chunks"] {
            found.extend(recordings.lines(begin, end));
        }
    }
    found
}

#[test]
fn recorded_streams_are_read_written_and_read_again() {
    let Some(recordings) = Recordings::of(&FOLDERS) else {
        return;
    };
    let mut whole = 0;
    for (name, frames) in streams(&recordings) {
        let (events, pieces) = read(Messages.reader(), &frames);
        if name.contains("spliced") {
            let broken = events.contains(&StreamEvent::Malformed { fatal: true });
            assert!(broken, "{name}");
            continue;
        }
        assert_eq!(events.last(), Some(&StreamEvent::Done), "{name}");
        let starts = count(&pieces, |piece| matches!(piece, Event::Start { .. }));
        let finishes = count(&pieces, |piece| matches!(piece, Event::Finish { .. }));
        let usages = count(&pieces, |piece| matches!(piece, Event::Usage(_)));
        assert_eq!((starts, finishes, usages), (1, 1, 1), "{name}");
        let again = written(Messages.writer(&reply(&Bytes::new())), &pieces);
        let (events, found) = read(Messages.reader(), &framed(&again, again.len()));
        assert_eq!(events.last(), Some(&StreamEvent::Done), "{name}");
        assert_eq!(
            without_refusals(&found),
            without_refusals(&pieces),
            "{name}"
        );
        whole += 1;
    }
    println!("{whole} recorded streams");
    assert!(whole >= 12);
}

/// A refusal's words come back as text, and counts that nobody gave as none.
fn without_refusals(pieces: &[Event]) -> Vec<Event> {
    let counted = |piece: &Event| match piece {
        Event::Usage(usage) => Event::Usage(Usage {
            cached_tokens: usage.cached_tokens.or(Some(0)),
            cache_write_tokens: usage.cache_write_tokens.or(Some(0)),
            ..*usage
        }),
        piece => piece.clone(),
    };
    let pieces: Vec<_> = pieces.iter().map(counted).collect();
    let refused = pieces.iter().any(|it| {
        matches!(
            it,
            Event::Finish {
                finish: Finish::Refused,
                ..
            }
        )
    });
    let said = |it: &&Event| matches!(it, Event::Refusal { .. } | Event::Text { .. });
    pieces
        .iter()
        .filter(|it| !refused || !said(it))
        .cloned()
        .collect()
}

fn good(name: &str, body: &[u8]) -> Answer {
    match Messages.read_answer(body) {
        Whole::Good(answer) => answer,
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn recorded_answers_are_read_written_and_read_again() {
    let Some(recordings) = Recordings::of(&FOLDERS) else {
        return;
    };
    let mut count = 0;
    for (name, body) in files(&recordings, ".json") {
        let answer = good(&name, &body);
        assert!(!answer.is_empty() && answer.usage.is_some(), "{name}");
        let again = Messages.write_answer(&answer, &reply(&Bytes::new()));
        let mut found = good(&name, &again);
        let refused = |part: &mut Part| {
            if let Part::Refusal(text) = part {
                *part = Part::text(std::mem::take(text));
            }
        };
        let mut expected = answer;
        expected.choices[0].parts.iter_mut().for_each(refused);
        found.choices[0].parts.iter_mut().for_each(refused);
        assert_eq!(found, expected, "{name}");
        count += 1;
    }
    println!("{count} recorded answers");
    assert!(count >= 9);
}

#[test]
fn recorded_errors_get_their_class_and_counts_their_form() {
    let Some(recordings) = Recordings::of(&FOLDERS) else {
        return;
    };
    recordings.check_errors(&[
        ("messages.401.", 401, Class::AuthRejected),
        ("count_tokens.404.", 404, Class::ModelUnavailable),
    ]);
    let counts = recordings.files("count_tokens.200.", "");
    for (name, body) in &counts {
        let said: serde_json::Value = serde_json::from_slice(body).unwrap();
        let ours = super::count::answer(said["input_tokens"].as_u64().unwrap());
        let ours: serde_json::Value = serde_json::from_slice(&ours).unwrap();
        assert_eq!(ours, said, "{name}");
    }
    assert_eq!(counts.len(), 2);
}
