//! Bodies in every framing, cut in every way, and bytes that mean nothing.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};

use super::*;

/// What a body is in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
enum End {
    Whole,
    /// The connection ended, and the body had not.
    Cut,
    Malformed,
}

/// Reads these pieces as a body on a connection that then ends: the data, how it ended, and what was left over.
fn read(mut body: Body, pieces: &[&[u8]]) -> (Vec<u8>, End, Vec<u8>) {
    let mut buffer = BytesMut::new();
    let mut data = Vec::new();
    let mut pieces = pieces.iter();
    let end = loop {
        match body.next(&mut buffer) {
            Ok(Piece::Data(part)) => {
                assert!(!part.is_empty(), "a piece without data");
                data.extend_from_slice(&part);
            }
            Ok(Piece::End) => break End::Whole,
            Err(Malformed(_)) => break End::Malformed,
            Ok(Piece::More) => match pieces.next() {
                Some(piece) => buffer.extend_from_slice(piece),
                None if body.ends_with_connection() => break End::Whole,
                None => break End::Cut,
            },
        }
    };
    assert_eq!(body.is_over(), end == End::Whole);
    let left = pieces.fold(buffer.to_vec(), |left, piece| [&left[..], piece].concat());
    (data, end, left)
}

fn check(body: Body, bytes: &str, data: &str, end: End) {
    let (read_data, read_end, _) = read(body, &[bytes.as_bytes()]);
    assert_eq!(
        (String::from_utf8_lossy(&read_data).as_ref(), read_end),
        (data, end),
        "{bytes:?}"
    );
}

#[test]
fn a_length_ends_a_body() {
    check(Body::Length(5), "hello", "hello", End::Whole);
    check(Body::Length(5), "hell", "hell", End::Cut);
    check(Body::Length(0), "", "", End::Whole);
    check(Body::Over, "", "", End::Whole);
    let (data, end, left) = read(Body::Length(5), &[b"hello, HTTP/1.1 200"]);
    assert_eq!((&data[..], end), (&b"hello"[..], End::Whole));
    assert_eq!(left, b", HTTP/1.1 200", "no part of this body");
}

#[test]
fn a_connections_end_ends_a_body_without_a_length() {
    check(Body::UntilClose, "hello", "hello", End::Whole);
    check(Body::UntilClose, "", "", End::Whole);
}

#[test]
fn chunks_are_put_together() {
    for (bytes, data) in [
        ("0\r\n\r\n", ""),
        ("5\r\nhello\r\n0\r\n\r\n", "hello"),
        (
            "005\r\nhello\r\n1\r\n \r\nA\r\n0123456789\r\n000\r\n\r\n",
            "hello 0123456789",
        ),
        ("5 ; name=\"value\"\r\nhello\r\n0;last\r\n\r\n", "hello"),
        ("5\t\r\nhello\r\n0\r\n\r\n", "hello"),
        (
            "5\r\nhello\r\n0\r\nchecksum: 1\r\nother: 2\r\n\r\n",
            "hello",
        ),
    ] {
        check(Body::CHUNKED, bytes, data, End::Whole);
    }
}

#[test]
fn chunks_that_stop_anywhere_are_cut() {
    let whole = "5;e\r\nhello\r\n0\r\ntrailer: 1\r\n\r\n";
    for length in 0..whole.len() {
        let (_, end, _) = read(Body::CHUNKED, &[&whole.as_bytes()[..length]]);
        assert_eq!(end, End::Cut, "{length} bytes");
    }
}

#[test]
fn nonsense_among_chunks_is_refused() {
    for bytes in [
        // The end must not be taken from an empty line, or from a line of extensions.
        "\r\n",
        ";ext\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n",
        "+5\r\nhello\r\n",
        "0x5\r\nhello\r\n",
        "g\r\n",
        "5 5\r\nhello\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\r\rhello",
        "10000000000000000\r\nx",
        "ffffffffffffffffffff\r\nx",
    ] {
        check(Body::CHUNKED, bytes, "", End::Malformed);
    }
    for bytes in [
        "5\r\nhelloo\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello\r\n\r\n",
        "5\r\nhello\r\n0\r\n\n",
        "5\r\nhello\r\n0\r\ntrailer: 1\n\r\n",
    ] {
        check(Body::CHUNKED, bytes, "hello", End::Malformed);
    }
}

#[test]
fn lines_have_their_limits() {
    let extended = |length: usize| format!("0;{}\r\n\r\n", "e".repeat(length));
    check(Body::CHUNKED, &extended(LONGEST_LINE - 4), "", End::Whole);
    check(
        Body::CHUNKED,
        &extended(LONGEST_LINE - 3),
        "",
        End::Malformed,
    );
    let endless = format!("0;{}", "e".repeat(2 * LONGEST_LINE));
    check(Body::CHUNKED, &endless, "", End::Malformed);
    let trailers = |count: usize| format!("0\r\n{}\r\n", "name: value...\r\n".repeat(count));
    check(
        Body::CHUNKED,
        &trailers(LONGEST_TRAILERS / 16),
        "",
        End::Whole,
    );
    check(
        Body::CHUNKED,
        &trailers(LONGEST_TRAILERS / 16 + 1),
        "",
        End::Malformed,
    );
    let endless = format!("0\r\n{}", "t".repeat(LONGEST_TRAILERS + 1));
    check(Body::CHUNKED, &endless, "", End::Malformed);
}

/// Bytes that look like chunks, often enough.
fn chunk_like() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        4 => "[0-9a-f]{1,2}\r\n".prop_map(String::into_bytes),
        4 => "[a-z]{1,20}\r\n".prop_map(String::into_bytes),
        2 => Just(b"5\r\nhello\r\n".to_vec()),
        2 => Just(b"a;x=y\r\n0123456789\r\n".to_vec()),
        1 => Just(b"0\r\n\r\n".to_vec()),
        1 => Just(b"0\r\ntrailer: 1\r\n\r\n".to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..6),
    ];
    prop::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
}

/// The bytes in pieces, cut at these places.
fn cut<'a>(bytes: &'a [u8], places: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut ends: Vec<usize> = places
        .iter()
        .map(|place| place.index(bytes.len() + 1))
        .collect();
    ends.sort_unstable();
    ends.push(bytes.len());
    let mut begin = 0;
    let mut pieces = Vec::new();
    for end in ends {
        pieces.push(&bytes[begin..end]);
        begin = end;
    }
    pieces
}

const CASES: u32 = 4096;

#[test]
fn any_cut_of_the_bytes_reads_the_same() {
    let bodies = prop_oneof![
        6 => Just(Body::CHUNKED),
        1 => (0u64..40).prop_map(Body::Length),
        1 => Just(Body::UntilClose),
    ];
    let places = prop::collection::vec(any::<prop::sample::Index>(), 0..12);
    let mut runner = TestRunner::new(Config {
        cases: CASES,
        failure_persistence: None,
        ..Config::default()
    });
    let mut ends = [0; 3];
    let result = runner.run(&(bodies, chunk_like(), places), |(body, bytes, places)| {
        let whole = read(body, &[&bytes]);
        let each: Vec<&[u8]> = bytes.chunks(1).collect();
        prop_assert_eq!(&read(body, &cut(&bytes, &places)), &whole);
        prop_assert_eq!(&read(body, &each), &whole);
        Ok(())
    });
    result.unwrap();
    // The cases are of every kind.
    let mut runner = TestRunner::deterministic();
    for _ in 0..CASES {
        let bytes = chunk_like().new_tree(&mut runner).unwrap().current();
        ends[read(Body::CHUNKED, &[&bytes]).1 as usize] += 1;
    }
    println!("{CASES} cases; chunked ones whole, cut, malformed: {ends:?}");
    assert!(ends.iter().all(|count| *count > 100), "{ends:?}");
}

#[test]
fn random_bytes_never_panic_and_stay_in_bounds() {
    let mut rng = fastrand::Rng::with_seed(7);
    for _ in 0..20_000 {
        let bytes: Vec<u8> = (0..rng.usize(0..200)).map(|_| rng.u8(..)).collect();
        for body in [Body::CHUNKED, Body::Length(rng.u64(..)), Body::UntilClose] {
            let (data, _, left) = read(body, &[&bytes]);
            assert!(data.len() + left.len() <= bytes.len());
        }
    }
    println!("20000 cases of random bytes in three framings");
}
