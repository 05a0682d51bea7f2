//! One connection against a peer that says and reads exactly what it is told.

use std::time::Instant;

use tokio::io::DuplexStream;

use super::*;

/// Both ends of a connection that holds so many bytes.
fn pair(holds: usize) -> (Session, DuplexStream) {
    let (ours, theirs) = tokio::io::duplex(holds);
    (Session::new(Box::new(ours)), theirs)
}

fn body(size: usize) -> Rope {
    let mut rope = Rope::default();
    for part in vec![b'x'; size].chunks(100_000) {
        rope.push(Bytes::copy_from_slice(part));
    }
    rope
}

/// What is read of an answer on a connection that then closes: status and body, and whether it stays.
async fn answer(said: &[u8]) -> Result<(u16, Vec<u8>, bool), Broken> {
    let (mut session, mut peer) = pair(1 << 20);
    peer.write_all(said).await.unwrap();
    drop(peer);
    let head = session.read_head().await?;
    let mut body = Vec::new();
    while let Some(chunk) = session.read_chunk().await? {
        body.extend_from_slice(&chunk);
    }
    assert!(session.is_over());
    Ok((head.status.as_u16(), body, session.into_idle().is_some()))
}

#[tokio::test]
async fn a_request_goes_out_as_it_is_whatever_the_peer_takes_at_once() {
    for holds in [1, 7, 1000, 1 << 20] {
        let (mut session, mut peer) = pair(holds);
        let mut rope = Rope::default();
        for part in ["{", "\"model\":", "\"m\"", "}"].iter().cycle().take(75) {
            rope.push(Bytes::from_static(part.as_bytes()));
        }
        let expected = [b"head\r\n\r\n", rope.segments().concat().as_slice()].concat();
        let mut got = vec![0; expected.len()];
        let (sent, read) = tokio::join!(
            session.send(b"head\r\n\r\n", &rope),
            peer.read_exact(&mut got)
        );
        assert_eq!(sent.unwrap(), Upload::Whole);
        read.unwrap();
        assert_eq!(got, expected, "{holds}");
    }
}

#[tokio::test]
async fn a_refusal_is_heard_while_a_write_is_blocked() {
    let (mut session, mut peer) = pair(64);
    let begun = Instant::now();
    let refusing = async {
        // Not a byte of the request is read.
        tokio::time::sleep(Duration::from_millis(20)).await;
        let refusal = b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\n{}";
        peer.write_all(refusal).await.unwrap();
    };
    let body = body(8 << 20);
    let (sent, ()) = tokio::join!(session.send(b"head\r\n\r\n", &body), refusing);
    assert_eq!(sent.unwrap(), Upload::Refused);
    assert!(begun.elapsed() < WRITE_STALL / 2, "{:?}", begun.elapsed());
    assert_eq!(session.read_head().await.unwrap().status, 413);
    assert_eq!(session.read_chunk().await.unwrap().unwrap(), "{}");
}

#[tokio::test]
async fn a_success_and_an_interim_head_do_not_stop_a_request() {
    for early in [
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Wait\r\n\r\n",
    ] {
        let (mut session, mut peer) = pair(64);
        let body = body(100_000);
        let mut got = vec![0; 100_000 + 8];
        let reading = async {
            peer.write_all(early.as_bytes()).await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
            peer.read_exact(&mut got).await.unwrap();
            if early.contains("100") {
                let rest = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                peer.write_all(rest).await.unwrap();
            }
        };
        let (sent, ()) = tokio::join!(session.send(b"head\r\n\r\n", &body), reading);
        assert_eq!(sent.unwrap(), Upload::Whole);
        assert_eq!(session.read_head().await.unwrap().status, 200);
        assert_eq!(session.read_chunk().await.unwrap().unwrap(), "ok");
        assert_eq!(session.read_chunk().await.unwrap(), None);
        assert!(session.into_idle().is_some());
    }
}

#[tokio::test]
async fn an_answers_end_is_known_in_each_framing() {
    let read = answer(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n");
    assert_eq!(read.await.unwrap(), (200, b"ok".to_vec(), true));
    let read = answer(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    assert_eq!(read.await.unwrap(), (200, b"ok".to_vec(), true));
    let read = answer(b"HTTP/1.1 200 OK\r\n\r\nok");
    assert_eq!(read.await.unwrap(), (200, b"ok".to_vec(), false));
    let read = answer(b"HTTP/1.1 204 None\r\n\r\n");
    assert_eq!(read.await.unwrap(), (204, Vec::new(), true));
}

#[tokio::test]
async fn a_connection_that_left_a_doubt_is_not_kept() {
    for said in [
        &b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok"[..],
        b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 204 None\r\n\r\nbody",
    ] {
        let (_, _, stays) = answer(said).await.unwrap();
        assert!(!stays, "{}", said.escape_ascii());
    }
}

#[tokio::test]
async fn a_cut_answer_is_never_whole() {
    for said in [
        &b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok"[..],
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-le",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"",
    ] {
        let broken = answer(said).await.unwrap_err();
        assert!(matches!(broken, Broken::Closed), "{}", said.escape_ascii());
    }
}

#[tokio::test]
async fn nonsense_is_malformed_and_a_switch_of_protocols_is_too() {
    for said in [
        &b"SSH-2.0-OpenSSH\r\n"[..],
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nok\r\n0\r\n\r\n",
    ] {
        let broken = answer(said).await.unwrap_err();
        assert!(matches!(broken, Broken::Malformed(_)), "{broken:?}");
    }
}

#[tokio::test]
async fn only_a_connection_that_said_nothing_is_silent() {
    let (mut session, peer) = pair(1000);
    drop(peer);
    assert!(matches!(session.read_head().await, Err(Broken::Closed)));
    assert!(session.is_silent());
    for said in [
        "H",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
    ] {
        let (mut session, mut peer) = pair(1000);
        peer.write_all(said.as_bytes()).await.unwrap();
        drop(peer);
        session.read_head().await.ok();
        assert!(!session.is_silent(), "{said}");
    }
}
