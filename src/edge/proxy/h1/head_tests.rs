//! Heads as providers send them, and heads that could be read in two ways.

use super::*;
use crate::edge::proxy::head::Content;

fn take(bytes: &[u8]) -> Result<Option<Answered>, Malformed> {
    Answered::take(&mut BytesMut::from(bytes))
}

/// A head of these lines.
fn lines(lines: &[&str]) -> Vec<u8> {
    [&lines.join("\r\n"), "\r\n\r\n"].concat().into_bytes()
}

fn read(said: &[&str]) -> Answered {
    take(&lines(said)).unwrap().unwrap()
}

#[test]
fn a_head_says_how_its_body_ends() {
    let check = |said: &[&str], expected: Body| assert_eq!(read(said).body, expected, "{said:?}");
    check(&["HTTP/1.1 200 OK"], Body::UntilClose);
    check(&["HTTP/1.1 200 OK", "Content-Length: 12"], Body::Length(12));
    check(
        &["HTTP/1.1 200", "content-length: 12, 12"],
        Body::Length(12),
    );
    check(
        &["HTTP/1.1 200 ", "content-length: 12", "Content-Length: 12"],
        Body::Length(12),
    );
    check(
        &["HTTP/1.1 500 No", "Transfer-Encoding: Chunked"],
        Body::CHUNKED,
    );
    check(&["HTTP/1.1 204 None"], Body::Over);
    check(&["HTTP/1.1 304 Same", "content-length: 12"], Body::Over);
    check(&["HTTP/1.1 100 Continue"], Body::Over);
}

#[test]
fn a_head_that_can_be_read_in_two_ways_is_refused() {
    for said in [
        &["HTTP/1.1 200 OK", "content-length: 1", "content-length: 2"][..],
        &["HTTP/1.1 200 OK", "content-length: 1, 2"],
        &["HTTP/1.1 200 OK", "content-length: +1"],
        &["HTTP/1.1 200 OK", "content-length: -1"],
        &["HTTP/1.1 200 OK", "content-length: 0x1"],
        &["HTTP/1.1 200 OK", "content-length:"],
        &["HTTP/1.1 200 OK", "content-length: 99999999999999999999"],
        &["HTTP/1.1 200 OK", "content-length : 1"],
        &[
            "HTTP/1.1 200 OK",
            "content-length: 1",
            "transfer-encoding: chunked",
        ],
        &[
            "HTTP/1.1 200 OK",
            "transfer-encoding: chunked",
            "content-length: 1",
        ],
        &[
            "HTTP/1.1 200 OK",
            "transfer-encoding: chunked",
            "transfer-encoding: chunked",
        ],
        &["HTTP/1.1 200 OK", "transfer-encoding: gzip, chunked"],
        &["HTTP/1.1 200 OK", "transfer-encoding: xchunked"],
        &["HTTP/1.1 200 OK", "transfer-encoding: chunked, identity"],
        &["HTTP/1.1 200 OK", "folded: 1", " content-length: 2"],
        &["HTTP/1.1 200 OK", "name with space: 1"],
        &["HTTP/1.1 200 OK", "no colon"],
        &["HTTP/1.1 200 OK", ": no name"],
        &["HTTP/1.1 2000 OK"],
        &["HTTP/1.1 099 No"],
        &["HTTP/2.0 200 OK"],
        &["HTTP/0.9 200 OK"],
        &["<html>"],
        &["data: {}"],
    ] {
        assert!(take(&lines(said)).is_err(), "{said:?}");
    }
}

#[test]
fn a_head_says_whether_the_connection_stays() {
    let check =
        |said: &[&str], expected: bool| assert_eq!(read(said).persists, expected, "{said:?}");
    check(&["HTTP/1.1 200 OK"], true);
    check(&["HTTP/1.1 200 OK", "connection: keep-alive"], true);
    check(&["HTTP/1.1 200 OK", "Connection: x, Close"], false);
    check(
        &[
            "HTTP/1.1 200 OK",
            "connection: keep-alive",
            "connection: close",
        ],
        false,
    );
    check(&["HTTP/1.0 200 OK"], false);
    check(&["HTTP/1.0 200 OK", "connection: Keep-Alive"], true);
    let chunked = "transfer-encoding: chunked";
    check(
        &["HTTP/1.0 200 OK", "connection: keep-alive", chunked],
        false,
    );
    let kept = read(&["HTTP/1.1 200 OK", "Keep-Alive: max=100, timeout=5"]).idle;
    assert_eq!(kept, Some(Duration::from_secs(5)));
    assert_eq!(
        read(&["HTTP/1.1 200 OK", "keep-alive: timeout=soon"]).idle,
        None
    );
}

#[test]
fn what_follows_a_head_stays() {
    let mut buffer =
        BytesMut::from(&b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nx: 1\r\n\r\nbody"[..]);
    let first = Answered::take(&mut buffer).unwrap().unwrap();
    assert_eq!(first.head.status, StatusCode::CONTINUE);
    let second = Answered::take(&mut buffer).unwrap().unwrap();
    assert_eq!(second.head.status, StatusCode::OK);
    assert_eq!(buffer, &b"body"[..]);
}

#[test]
fn headers_are_there_for_who_asks() {
    let answer = read(&[
        "HTTP/1.1 429 Slow Down",
        "Content-Type: application/json",
        "Retry-After: 2",
        "x-ratelimit: a",
        "X-Ratelimit: b",
    ]);
    assert_eq!(answer.head.content(), Content::Other);
    let headers = answer.headers();
    assert_eq!(headers["retry-after"], "2");
    let all: Vec<_> = headers.get_all("x-ratelimit").iter().collect();
    assert_eq!(all, ["a", "b"]);
}

#[test]
fn heads_have_their_limits() {
    let padded = |length: usize| lines(&["HTTP/1.1 200 OK", &format!("x: {}", "y".repeat(length))]);
    // The status line, the name and the line ends are 24 bytes.
    assert!(take(&padded(LONGEST - 24)).unwrap().is_some());
    assert_eq!(take(&padded(LONGEST - 23)).unwrap_err(), TOO_LONG);
    let unfinished = &padded(LONGEST + 10)[..LONGEST + 5];
    assert_eq!(take(unfinished).unwrap_err(), TOO_LONG);
    let many = |count: usize| {
        let mut said = vec!["HTTP/1.1 200 OK"];
        said.resize(count + 1, "a: b");
        lines(&said)
    };
    assert!(take(&many(MOST_HEADERS)).unwrap().is_some());
    assert!(take(&many(MOST_HEADERS + 1)).is_err());
}

#[test]
fn any_cut_of_a_head_reads_the_same() {
    let whole = lines(&[
        "HTTP/1.1 200 OK",
        "content-type: text/event-stream",
        "content-length: 7",
    ]);
    for length in 0..whole.len() {
        let mut buffer = BytesMut::from(&whole[..length]);
        assert!(Answered::take(&mut buffer).unwrap().is_none(), "{length}");
        assert_eq!(buffer.len(), length, "nothing is taken");
        buffer.extend_from_slice(&whole[length..]);
        let answer = Answered::take(&mut buffer).unwrap().unwrap();
        assert_eq!(answer.body, Body::Length(7));
    }
}

#[test]
fn random_heads_never_panic() {
    let mut rng = fastrand::Rng::with_seed(11);
    let parts: [&[u8]; 12] = [
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.",
        b"content-length: ",
        b"transfer-encoding: chunked\r\n",
        b"connection: close\r\n",
        b"keep-alive: timeout=",
        b"12",
        b",",
        b"\r\n",
        b"\n",
        b" ",
        b"\xff\x00",
    ];
    let (mut read, mut partial, mut refused) = (0, 0, 0);
    for _ in 0..40_000 {
        let mut bytes = match rng.bool() {
            true => parts[0].to_vec(),
            false => Vec::new(),
        };
        for _ in 0..rng.usize(0..10) {
            match rng.u8(..10) {
                0 => bytes.push(rng.u8(..)),
                _ => bytes.extend_from_slice(rng.choice(parts).unwrap()),
            }
        }
        match take(&bytes) {
            Ok(Some(answer)) => {
                answer.headers();
                read += 1;
            }
            Ok(None) => partial += 1,
            Err(Malformed(_)) => refused += 1,
        }
    }
    println!("40000 heads: {read} read, {partial} partial, {refused} refused");
    assert!(read > 500 && partial > 500 && refused > 500);
}
