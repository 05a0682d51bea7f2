use proptest::prelude::*;

use super::*;

const MAX: usize = 64 * 1024;

/// Feeds `chunks` and reads after each: the events and whether one was too long.
fn read<'a>(chunks: impl IntoIterator<Item = &'a [u8]>, max: usize) -> (Vec<Event>, bool) {
    let mut splitter = Splitter::new(max);
    let mut events = Vec::new();
    for chunk in chunks {
        splitter.push(Bytes::copy_from_slice(chunk));
        while let Some(event) = splitter.next() {
            match event {
                Ok(event) => events.push(event),
                Err(_) => return (events, true),
            }
        }
    }
    events.extend(splitter.finish());
    assert!(splitter.is_empty());
    (events, false)
}

fn text(event: &Event) -> Option<String> {
    let bytes = match event.data() {
        Data::None => return None,
        Data::Line(line) => line.to_vec(),
        Data::Joined(joined) => joined,
    };
    Some(String::from_utf8(bytes).expect("the tests' data is text"))
}

fn check(stream: &str, expected: &[Option<&str>]) {
    let (events, too_long) = read([stream.as_bytes()], MAX);
    assert!(!too_long);
    let found: Vec<_> = events.iter().map(text).collect();
    let found: Vec<_> = found.iter().map(Option::as_deref).collect();
    assert_eq!(found, expected, "{stream:?}");
    let joined: Vec<u8> = events
        .iter()
        .flat_map(|event| event.raw().to_vec())
        .collect();
    assert_eq!(joined, stream.as_bytes(), "{stream:?}");
}

#[test]
fn every_line_end_and_field_form_is_read() {
    check("data: a\n\ndata: b\n\n", &[Some("a"), Some("b")]);
    check("data: a\r\n\r\ndata: b\r\n\r\n", &[Some("a"), Some("b")]);
    check("data: a\r\rdata: b\r\r", &[Some("a"), Some("b")]);
    check("\u{feff}data: a\n\n", &[Some("a")]);
    check("data: a\n\n\u{feff}data: b\n\n", &[Some("a"), None]);
    check("data:a\n\ndata:  b\n\n", &[Some("a"), Some(" b")]);
    check("data\n\n", &[Some("")]);
    check("data: a\ndata: b\r\ndata:c\n\n", &[Some("a\nb\nc")]);
    check("event: x\nid: 7\nretry: 10\ndata: a\n\n", &[Some("a")]);
    check("datax: a\n\n", &[None]);
    check(": ping\n\ndata: a\n\n", &[None, Some("a")]);
    check("data: a\n\ndata: [DONE]", &[Some("a"), Some("[DONE]")]);
    check("data: a\n\n\n\n", &[Some("a"), None, None]);
    check("data: a\n\r\ndata: b\n\n", &[Some("a"), Some("b")]);
    check("", &[]);
}

#[test]
fn only_comments_and_blank_lines_are_a_comment() {
    let is_comment = |stream: &str| read([stream.as_bytes()], MAX).0[0].is_comment();
    assert!(is_comment(": OPENROUTER PROCESSING\n\n"));
    assert!(is_comment("\n"));
    assert!(!is_comment(": x\ndata: a\n\n"));
    assert!(!is_comment("event: ping\n\n"));
}

#[test]
fn an_event_within_one_chunk_is_not_copied() {
    let chunk = Bytes::from_static(b"data: a\n\ndata: b\n\n");
    let mut splitter = Splitter::new(MAX);
    splitter.push(chunk.clone());
    let first = splitter.next().unwrap().unwrap();
    let second = splitter.next().unwrap().unwrap();
    assert_eq!(first.raw().as_ptr(), chunk.as_ptr());
    assert_eq!(second.raw().as_ptr(), chunk[9..].as_ptr());
}

#[test]
fn a_bare_cr_stream_is_not_held_back() {
    let mut splitter = Splitter::new(MAX);
    splitter.push(Bytes::from_static(b"data: a\r\r"));
    assert_eq!(splitter.next().unwrap().unwrap().raw(), "data: a\r\r");
}

#[test]
fn an_event_past_the_limit_ends_the_stream() {
    let stream = format!("data: a\n\ndata: {}\n\ndata: b\n\n", "x".repeat(100));
    for size in [1, 7, 64, 1000] {
        let (events, too_long) = read(stream.as_bytes().chunks(size), 64);
        assert!(too_long);
        assert_eq!(events.len(), 1);
    }
    let mut splitter = Splitter::new(8);
    splitter.push(Bytes::from_static(b"data: much too long"));
    assert!(splitter.next().unwrap().is_err());
    splitter.push(Bytes::from_static(b"\n\ndata: b\n\n"));
    assert!(splitter.next().is_none() && splitter.finish().is_none());
}

#[test]
fn chunks_may_be_pushed_ahead_of_reading() {
    let mut splitter = Splitter::new(MAX);
    for chunk in ["data: a\n", "\ndata: b", "\n\n"] {
        splitter.push(Bytes::from_static(chunk.as_bytes()));
    }
    assert_eq!(splitter.next().unwrap().unwrap().raw(), "data: a\n\n");
    assert_eq!(splitter.next().unwrap().unwrap().raw(), "data: b\n\n");
    assert!(splitter.next().is_none());
}

#[test]
fn a_split_at_any_single_byte_changes_nothing() {
    let stream = "\u{feff}: ping\r\n\r\nevent: é\r\ndata: {\"a\":\"żółw 🐢\"}\r\n\r\ndata: b\n\ndata:c\r\rdata: [DONE]\r\n\r\n";
    let whole = read([stream.as_bytes()], MAX);
    assert_eq!(whole.0.len(), 5);
    for at in 0..=stream.len() {
        let (head, tail) = stream.as_bytes().split_at(at);
        assert_eq!(read([head, tail], MAX), whole, "split at {at}");
    }
    assert_eq!(read(stream.as_bytes().chunks(1), MAX), whole);
}

#[test]
fn other_data_keeps_the_other_lines() {
    let (events, _) = read(["event: x\ndata: a\ndata: b\n\n".as_bytes()], MAX);
    assert_eq!(
        events[0].with_data(b"c\nd"),
        "event: x\ndata: c\ndata: d\n\n"
    );
}

/// Pieces of which hostile streams are made.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("\n".to_owned()),
        Just("\r".to_owned()),
        Just("\r\n".to_owned()),
        Just("\r\n\r\n".to_owned()),
        Just("\n\n".to_owned()),
        Just("data: ".to_owned()),
        Just("data".to_owned()),
        Just(": comment".to_owned()),
        Just("\u{feff}".to_owned()),
        Just("żółw 🐢".to_owned()),
        "[a-z:{}]{0,12}",
    ]
}

#[test]
fn any_split_gives_the_same_events_and_bytes() {
    const CASES: u32 = 2000;
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(CASES));
    let streams = (
        prop::collection::vec(piece(), 0..40),
        prop::collection::vec(0..300_usize, 0..12),
        prop_oneof![Just(MAX), 8..64_usize],
    );
    runner
        .run(&streams, |(pieces, mut cuts, max)| {
            let stream = pieces.concat();
            cuts.retain(|cut| *cut < stream.len());
            cuts.push(0);
            cuts.push(stream.len());
            cuts.sort_unstable();
            let chunks = cuts
                .windows(2)
                .map(|pair| &stream.as_bytes()[pair[0]..pair[1]]);
            let whole = read([stream.as_bytes()], max);
            let split = read(chunks, max);
            let single = read(stream.as_bytes().chunks(1), max);
            prop_assert_eq!(&split, &whole);
            prop_assert_eq!(&single, &whole);
            if !whole.1 {
                let joined: Vec<u8> = whole
                    .0
                    .iter()
                    .flat_map(|event| event.raw().to_vec())
                    .collect();
                prop_assert_eq!(joined, stream.as_bytes());
            }
            Ok(())
        })
        .unwrap();
    println!("{CASES} streams split at random and at every byte");
}
