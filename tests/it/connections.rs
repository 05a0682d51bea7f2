//! Connections of clients as such: how many there may be, how long they may be silent, how large a head may be.

use std::time::{Duration, Instant};

use mainstay::cmd::mock::{Mock, Script};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::authority::Authority;
use crate::downstream_tls::{config as with_tls, connect};
use crate::harness::{Config, Proxy, eventually, fast, mock};
use crate::raw::{BOTH, Ended, H1, H2, PATIENCE, Request, Via, dial};

const OPEN: &str = "mainstay_downstream_connections";
const REFUSED: &str = "mainstay_downstream_connections_refused_total";
const HEAD: &str = "GET / HTTP/1.1\r\nhost: x\r\n";
const PREFACE: &str = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

async fn limited(field: &str, script: Script) -> (Mock, Proxy) {
    let mock = mock(script).await;
    let config = Config::new().server(field).provider("one", mock.addr());
    let proxy = config.model("t/m", &["one"]).start();
    // The harness has looked whether it listens.
    proxy.counts(REFUSED, &[], 0.0).await;
    settled(&proxy, 0.0).await;
    (mock, proxy)
}

/// Waits until so many connections are open.
async fn settled(proxy: &Proxy, expected: f64) {
    let begun = Instant::now();
    loop {
        let open = proxy.metrics().await.sum(OPEN, &[]);
        if (open - expected).abs() < 0.1 {
            return;
        }
        let patient = begun.elapsed() < Duration::from_secs(10);
        assert!(patient, "{open} connections are open, not {expected}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A connection that is let in. The one that saw the process begin may still have its place.
async fn admitted(proxy: &Proxy) -> TcpStream {
    let begun = Instant::now();
    loop {
        let stream = dial(proxy.data).await;
        let mut byte = [0];
        let closed = tokio::time::timeout(Duration::from_millis(200), stream.peek(&mut byte)).await;
        if closed.is_err() {
            return stream;
        }
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "nobody is let in"
        );
    }
}

/// Waits until the peer closes. Returns what it sent until then.
async fn until_closed(stream: &mut TcpStream) -> Vec<u8> {
    let mut sent = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut sent)).await;
    // A reset is an end, too.
    let _closed = read.expect("the connection stays open");
    sent
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_the_limit_are_closed_and_the_others_served() {
    let (_mock, proxy) = limited("max_connections: 3", fast()).await;
    let mut one = H1::connect(proxy.data).await;
    let mut two = H2::connect(proxy.data).await;
    assert_eq!(one.call(&Request::chat("t/m")).await.status, 200);
    assert_eq!(two.call(&Request::chat("t/m")).await.status, 200);
    let silent = dial(proxy.data).await;
    settled(&proxy, 3.0).await;
    for _ in 0..20 {
        let begun = Instant::now();
        assert!(until_closed(&mut dial(proxy.data).await).await.is_empty());
        assert!(begun.elapsed() < Duration::from_secs(5), "it waits");
    }
    proxy.counts(REFUSED, &[], 20.0).await;
    eventually("the line", Duration::from_secs(5), || {
        !proxy.logged("connections were refused").is_empty()
    })
    .await;
    let lines = proxy.logged("connections were refused");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(lines[0]["max_connections"], 3);
    assert_eq!(one.call(&Request::chat("t/m")).await.status, 200);
    assert_eq!(two.call(&Request::stream("t/m")).await.status, 200);
    drop(silent);
    settled(&proxy, 2.0).await;
    assert_eq!(proxy.send(&Request::chat("t/m")).await.status, 200);
    two.vanish();
    drop(one);
    settled(&proxy, 0.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_changes_with_a_reload() {
    let (mock, proxy) = limited("max_connections: 1", fast()).await;
    let _first = admitted(&proxy).await;
    settled(&proxy, 1.0).await;
    assert!(until_closed(&mut dial(proxy.data).await).await.is_empty());
    let more = Config::new()
        .server("max_connections: 2")
        .provider("one", mock.addr());
    proxy.write_config(&more.model("t/m", &["one"]).text());
    proxy.signal("HUP");
    eventually("the reload", Duration::from_secs(10), || {
        !proxy.logged("configuration applied").is_empty()
    })
    .await;
    assert_eq!(proxy.send(&Request::chat("t/m")).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_dies_in_its_handshake_gives_its_place_back() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let server = authority.sign("mainstay.test");
    server.write(folder.path(), "server");
    let upstream = mock(fast()).await;
    let text = with_tls(folder.path(), &upstream, "");
    let text = text.replacen("server: {", "server: { max_connections: 2,", 1);
    let proxy = Proxy::start(&text);
    settled(&proxy, 0.0).await;
    for _ in 0..6 {
        let mut garbage = dial(proxy.data).await;
        garbage.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
        until_closed(&mut garbage).await;
        let mut half = dial(proxy.data).await;
        half.write_all(&[0x16, 3, 1, 2, 0]).await.unwrap();
        drop(half);
        settled(&proxy, 0.0).await;
    }
    for via in BOTH {
        let stream = connect(&proxy, &authority, via, None).await.unwrap();
        settled(&proxy, 1.0).await;
        // A handshake under way holds a place.
        let waiting = dial(proxy.data).await;
        settled(&proxy, 2.0).await;
        assert!(until_closed(&mut dial(proxy.data).await).await.is_empty());
        drop((stream, waiting));
        settled(&proxy, 0.0).await;
    }
    proxy.counts(REFUSED, &[], 2.0).await;
}

/// What a client sends before it falls silent.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_a_whole_head_is_given_up() {
    let (_mock, proxy) = limited("idle_timeout: 500ms", fast()).await;
    let settings = format!("{PREFACE}\0\0\0\x04\0\0\0\0\0");
    let half_of_headers = format!("{settings}\0\0\x09\x01\0\0\0\0\x01\x41");
    for begin in [
        "",
        "P",
        "PRI * HT",
        "POST /v1/chat",
        HEAD,
        PREFACE,
        &settings,
        &half_of_headers,
    ] {
        let mut client = dial(proxy.data).await;
        let begun = Instant::now();
        client.write_all(begin.as_bytes()).await.unwrap();
        until_closed(&mut client).await;
        let took = begun.elapsed();
        assert!(took >= Duration::from_millis(400), "{begin:?}: {took:?}");
        assert!(took < Duration::from_secs(10), "{begin:?}: {took:?}");
    }
    settled(&proxy, 0.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_drips_is_given_up() {
    let (_mock, proxy) = limited("idle_timeout: 700ms", fast()).await;
    for begin in ["GET / HTTP/1.1\r\nhost: x\r\nx-slow: ", "GET /"] {
        let mut client = dial(proxy.data).await;
        let begun = Instant::now();
        client.write_all(begin.as_bytes()).await.unwrap();
        while client.write_all(b"a").await.is_ok() {
            assert!(begun.elapsed() < Duration::from_secs(15), "it may go on");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    settled(&proxy, 0.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_client_over_tls_is_given_up() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let server = authority.sign("mainstay.test");
    server.write(folder.path(), "server");
    let upstream = mock(fast()).await;
    let text = with_tls(folder.path(), &upstream, "");
    let proxy = Proxy::start(&text.replacen("server: {", "server: { idle_timeout: 500ms,", 1));
    for via in BOTH {
        let mut stream = connect(&proxy, &authority, via, None).await.unwrap();
        let begun = Instant::now();
        let mut rest = Vec::new();
        let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
        let _closed = read.unwrap_or_else(|_| panic!("{via:?} stays open"));
        assert!(begun.elapsed() < Duration::from_secs(10), "{via:?}");
    }
    settled(&proxy, 0.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_closes_and_a_busy_one_does_not() {
    let slow = Script {
        first_token: Duration::from_millis(1500),
        ..fast()
    };
    let (_mock, proxy) = limited("idle_timeout: 600ms", slow).await;
    let mut one = H1::connect(proxy.data).await;
    let mut two = H2::connect(proxy.data).await;
    let request = Request::stream("t/m");
    let (first, second) = tokio::join!(one.call(&request), two.call(&request));
    for answer in [first, second] {
        assert_eq!((answer.status, answer.end), (200, Ended::Whole));
        assert_eq!(answer.content(), Script::default().answer());
    }
    // Just now they were busy: there is time for another request.
    assert_eq!(one.call(&Request::get("/")).await.status, 200);
    assert_eq!(two.call(&Request::get("/")).await.status, 200);
    assert!(one.is_closed().await, "then they are idle");
    settled(&proxy, 0.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_shorter_than_the_preface_of_h2_is_answered() {
    let (_mock, proxy) = limited("idle_timeout: 20s", fast()).await;
    let mut client = dial(proxy.data).await;
    client.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
    let answer = until_closed(&mut client).await;
    let text = String::from_utf8(answer).unwrap();
    assert!(
        text.contains(" 200 ") && text.contains("mainstay"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preface_in_pieces_is_understood() {
    let (_mock, proxy) = limited("idle_timeout: 20s", fast()).await;
    let (near, mut far) = tokio::io::duplex(1 << 16);
    let mut socket = dial(proxy.data).await;
    let pump = tokio::spawn(async move {
        let mut begin = [0; 24];
        far.read_exact(&mut begin).await.unwrap();
        for piece in begin.chunks(7) {
            socket.write_all(piece).await.unwrap();
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        tokio::io::copy_bidirectional(&mut far, &mut socket)
            .await
            .ok();
    });
    let answer = H2::over(near).await.call(&Request::chat("t/m")).await;
    assert_eq!(answer.status, 200);
    pump.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_is_too_large_gets_an_answer() {
    let (mock, proxy) = limited("idle_timeout: 20s", fast()).await;
    let padded = |size: usize| Request::chat("t/m").header("x-padding", &"x".repeat(size));
    for via in BOTH {
        let answer = proxy.call(via, &padded(50_000)).await;
        assert_eq!(answer.status, 200, "{via:?}");
        let answer = proxy.call(via, &padded(70_000)).await;
        assert_eq!(
            (answer.status, answer.end),
            (431, Ended::Whole),
            "{via:?} {answer:?}"
        );
    }
    let answer = proxy.call(Via::H1, &padded(70_000)).await;
    assert_eq!(answer.error()["type"], "invalid_request_error");
    let mut many = Request::chat("t/m");
    for nth in 0..300 {
        many = many.header(&format!("x-{nth}"), "y");
    }
    let mut client = H1::connect(proxy.data).await;
    client.send(&many).await;
    assert_eq!(
        client.head().await.status,
        400,
        "more headers than anyone needs"
    );
    assert_eq!(mock.received().len(), 2);
    settled(&proxy, 0.0).await;
}
