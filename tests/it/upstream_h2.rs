//! X05: providers that speak h2: one connection for many requests, and every way in which a stream or its
//! connection can end too early.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use h2::server::SendResponse;
use mainstay::cmd::mock::{Mock, Script};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::authority::Authority;
use crate::harness::{Config, Proxy, anywhere, eventually, fast, mock};
use crate::raw::{BOTH, Ended, Request};

/// What the upstream does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Answer,
    /// Answers after a while.
    Slowly,
    ResetBefore(Reason),
    /// Refuses it at once, and takes no more of its body than a window.
    RefuseEarly,
    /// The head and one piece of content, then a reset.
    ResetAfter(Reason),
    /// The connection says that it will end, before or after content.
    GoAwayBefore,
    GoAwayAfter,
    /// Answers, then takes no more streams.
    LastAnswer,
}

/// What it got.
#[derive(Clone, Debug)]
struct Got {
    connection: usize,
    uri: String,
    host: Option<String>,
    length: Option<String>,
    body: usize,
}

/// A provider that speaks h2 over TLS. Acts in turn; the last act stays.
struct Upstream {
    address: SocketAddr,
    got: Arc<Mutex<Vec<Got>>>,
    _serving: JoinSet<()>,
}

impl Upstream {
    async fn start(authority: &Authority, clients: Option<&Authority>, acts: &[Act]) -> Self {
        let signed = authority.sign("upstream.test");
        let mut config = Authority::server(&signed, clients);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind(anywhere()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let got = Arc::new(Mutex::new(Vec::new()));
        let (acts, seen) = (acts.to_vec(), got.clone());
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            for number in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                let (acceptor, seen, acts) = (acceptor.clone(), seen.clone(), acts.clone());
                connections.spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serve(stream, number, seen, acts).await;
                    }
                });
            }
        });
        Self {
            address,
            got,
            _serving: serving,
        }
    }

    fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }
}

async fn serve(
    stream: tokio_rustls::server::TlsStream<tokio::net::TcpStream>,
    connection: usize,
    got: Arc<Mutex<Vec<Got>>>,
    acts: Vec<Act>,
) {
    if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
        return serve_h1(stream, connection, got).await;
    }
    let mut serving = h2::server::handshake(stream).await.unwrap();
    let mut answers = JoinSet::new();
    while let Some(Ok((request, respond))) = serving.accept().await {
        let act = {
            let count = got.lock().unwrap().len();
            acts[count.min(acts.len() - 1)]
        };
        let (parts, mut body) = request.into_parts();
        let header = |name: &str| Some(parts.headers.get(name)?.to_str().unwrap().to_owned());
        got.lock().unwrap().push(Got {
            connection,
            uri: parts.uri.to_string(),
            host: header("host"),
            length: header("content-length"),
            body: 0,
        });
        let mine = got.lock().unwrap().len() - 1;
        match act {
            Act::GoAwayBefore => serving.abrupt_shutdown(Reason::INTERNAL_ERROR),
            Act::LastAnswer => serving.graceful_shutdown(),
            _ => {}
        }
        let got = got.clone();
        answers.spawn(async move {
            if !matches!(
                act,
                Act::ResetBefore(Reason::REFUSED_STREAM) | Act::RefuseEarly
            ) {
                while let Some(Ok(data)) = body.data().await {
                    body.flow_control().release_capacity(data.len()).unwrap();
                    got.lock().unwrap()[mine].body += data.len();
                }
            }
            answer(respond, act).await;
            if act == Act::RefuseEarly {
                // The body is neither read nor given up.
                std::future::pending::<()>().await;
                drop(body);
            }
        });
        if act == Act::GoAwayAfter {
            // The connection is driven by `accept` alone: let the piece out, then end it.
            let driving = async { while serving.accept().await.is_some() {} };
            tokio::time::timeout(Duration::from_millis(300), driving)
                .await
                .ok();
            serving.abrupt_shutdown(Reason::INTERNAL_ERROR);
        }
    }
    answers.shutdown().await;
}

const PIECE: &str = "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\
    \"choices\":[{\"index\":0,\"delta\":{\"content\":\"hello\"},\"finish_reason\":null}]}\n\n";
const REST: &str = "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\
    \"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";

async fn answer(mut respond: SendResponse<Bytes>, act: Act) {
    if let Act::ResetBefore(reason) = act {
        return respond.send_reset(reason);
    }
    if act == Act::RefuseEarly {
        let head = http::Response::builder().status(503).body(()).unwrap();
        respond.send_response(head, true).unwrap();
        return;
    }
    if act == Act::GoAwayBefore {
        return std::future::pending().await;
    }
    if act == Act::Slowly {
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
    let head = http::Response::builder()
        .header("content-type", "text/event-stream")
        .body(())
        .unwrap();
    let Ok(mut body) = respond.send_response(head, false) else {
        return;
    };
    body.send_data(PIECE.into(), false).ok();
    match act {
        Act::ResetAfter(reason) => {
            tokio::time::sleep(Duration::from_millis(100)).await;
            body.send_reset(reason);
        }
        Act::GoAwayAfter => std::future::pending().await,
        _ => {
            body.send_data(REST.into(), true).ok();
        }
    }
}

async fn serve_h1(
    mut stream: tokio_rustls::server::TlsStream<tokio::net::TcpStream>,
    connection: usize,
    got: Arc<Mutex<Vec<Got>>>,
) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut request = vec![0; 64 * 1024];
    let read = stream.read(&mut request).await.unwrap();
    got.lock().unwrap().push(Got {
        connection,
        uri: "h1".to_owned(),
        host: None,
        length: None,
        body: read,
    });
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n{PIECE}{REST}"
    );
    stream.write_all(answer.as_bytes()).await.unwrap();
    stream.shutdown().await.ok();
}

fn proxy(folder: &Path, authority: &Authority, upstream: &Upstream, spare: &Mock) -> Proxy {
    with_tls(folder, authority, upstream, spare, "")
}

/// The h2 provider first and a plain one behind it.
fn with_tls(
    folder: &Path,
    authority: &Authority,
    upstream: &Upstream,
    spare: &Mock,
    tls: &str,
) -> Proxy {
    let file = folder.join("ca.pem");
    std::fs::write(&file, &authority.pem).unwrap();
    let fields = format!(
        "dialects: [openai], base_url: \"https://{}/v1\", keys: [{{ value: k }}], \
         tls: {{ ca_file: {}, server_name: upstream.test {tls} }}",
        upstream.address,
        file.display()
    );
    Config::new()
        .raw_provider("secure", &fields)
        .provider("spare", spare.addr())
        .model("t/m", &["secure", "spare"])
        .start()
}

struct Story {
    upstream: Upstream,
    spare: Mock,
    proxy: Proxy,
    _folder: tempfile::TempDir,
}

async fn story(acts: &[Act]) -> Story {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let upstream = Upstream::start(&authority, None, acts).await;
    let spare = mock(fast()).await;
    let proxy = proxy(folder.path(), &authority, &upstream, &spare);
    Story {
        upstream,
        spare,
        proxy,
        _folder: folder,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_share_a_connection_and_are_addressed_right() {
    let story = story(&[Act::Answer, Act::Slowly]).await;
    let answer = story.proxy.send(&Request::stream("t/m")).await;
    assert_eq!(
        (answer.status, answer.end, answer.content()),
        (200, Ended::Whole, "hello".to_owned())
    );
    story.proxy.idle(Duration::from_secs(2)).await;
    let request = Request::stream("t/m");
    let mut together = JoinSet::new();
    let mut begin = || {
        let (address, request) = (story.proxy.data, request.clone());
        together.spawn(async move { crate::raw::call(BOTH[0], address, &request).await });
    };
    // A connection that carries something is there for others to join.
    begin();
    let carried = || story.upstream.got().len() == 2;
    eventually("a request under way", Duration::from_secs(5), carried).await;
    (0..9).for_each(|_| begin());
    while let Some(answer) = together.join_next().await {
        let answer = answer.unwrap();
        assert_eq!((answer.status, answer.end), (200, Ended::Whole));
    }
    let got = story.upstream.got();
    assert_eq!(got.len(), 11);
    // Two that look at once may both find none free.
    let connections = got.iter().map(|got| got.connection).max().unwrap() + 1;
    assert!(connections <= 5, "{connections} connections");
    let address = story.upstream.address;
    for got in got {
        assert_eq!(got.uri, format!("https://{address}/v1/chat/completions"));
        assert_eq!(got.host, None);
        assert_eq!(got.length, Some(got.body.to_string()));
    }
    assert_eq!(story.spare.received().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ends_before_content_is_answered_by_the_next_endpoint() {
    for act in [
        Act::ResetBefore(Reason::INTERNAL_ERROR),
        Act::ResetBefore(Reason::NO_ERROR),
        Act::ResetBefore(Reason::CANCEL),
        Act::GoAwayBefore,
    ] {
        let story = story(&[act]).await;
        let answer = story.proxy.send(&Request::stream("t/m")).await;
        assert_eq!((answer.status, answer.end), (200, Ended::Whole), "{act:?}");
        assert_eq!(answer.content(), Script::default().answer(), "{act:?}");
        assert_eq!(story.upstream.got().len(), 1, "{act:?}");
        let log = story.proxy.access_log(1).await;
        assert_eq!(
            log[0]["attempts"][0]["outcome"], "connection_lost",
            "{act:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ends_after_content_ends_in_a_typed_error() {
    for act in [
        Act::ResetAfter(Reason::INTERNAL_ERROR),
        Act::ResetAfter(Reason::NO_ERROR),
        Act::ResetAfter(Reason::CANCEL),
        Act::GoAwayAfter,
    ] {
        for via in BOTH {
            let story = story(&[act]).await;
            let answer = story.proxy.call(via, &Request::stream("t/m")).await;
            assert_eq!(answer.status, 200, "{act:?}");
            assert_ne!(answer.end, Ended::Whole, "{act:?}");
            assert!(answer.text().contains("hello"), "{act:?} {}", answer.text());
            assert!(
                answer.text().contains("\"error\""),
                "{act:?} {}",
                answer.text()
            );
            assert!(!answer.text().contains("[DONE]"), "{act:?}");
            assert_eq!(story.spare.received().len(), 0, "{act:?}");
        }
    }
}

/// A stream that a connection in use refuses was never worked on: it is sent again, once and silently.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_stream_of_a_used_connection_is_sent_again_silently() {
    let refused = Act::ResetBefore(Reason::REFUSED_STREAM);
    let story = story(&[Act::Answer, refused, Act::Answer]).await;
    for _ in 0..2 {
        let answer = story.proxy.send(&Request::stream("t/m")).await;
        assert_eq!((answer.status, answer.content()), (200, "hello".to_owned()));
        story.proxy.idle(Duration::from_secs(2)).await;
    }
    let connections: Vec<usize> = story
        .upstream
        .got()
        .iter()
        .map(|got| got.connection)
        .collect();
    assert_eq!(connections, [0, 0, 1]);
    let log = story.proxy.access_log(2).await;
    assert_eq!(
        log[1]["attempts"].as_array().unwrap().len(),
        1,
        "{}",
        log[1]
    );
    assert_eq!(story.spare.received().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_heard_while_the_body_is_still_being_written() {
    let story = story(&[Act::RefuseEarly]).await;
    let begun = std::time::Instant::now();
    let long = format!(r#","stream":true,"user":"{}""#, "x".repeat(1 << 20));
    let answer = story.proxy.send(&Request::chat_with("t/m", &long)).await;
    assert_eq!(
        (answer.status, answer.content()),
        (200, Script::default().answer())
    );
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    let log = story.proxy.access_log(1).await;
    assert_eq!(
        log[0]["attempts"].as_array().unwrap().len(),
        2,
        "{}",
        log[0]
    );
    assert_ne!(
        log[0]["attempts"][0]["outcome"], "connection_lost",
        "{}",
        log[0]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_stream_of_a_new_connection_moves_on() {
    let story = story(&[Act::ResetBefore(Reason::REFUSED_STREAM)]).await;
    let answer = story.proxy.send(&Request::stream("t/m")).await;
    assert_eq!(
        (answer.status, answer.content()),
        (200, Script::default().answer())
    );
    assert_eq!(story.upstream.got().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_was_said_to_end_is_left_silently() {
    let story = story(&[Act::LastAnswer]).await;
    for _ in 0..3 {
        let answer = story.proxy.send(&Request::stream("t/m")).await;
        assert_eq!((answer.status, answer.content()), (200, "hello".to_owned()));
        story.proxy.idle(Duration::from_secs(2)).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let connections: Vec<usize> = story
        .upstream
        .got()
        .iter()
        .map(|got| got.connection)
        .collect();
    assert_eq!(connections, [0, 1, 2]);
    assert_eq!(story.spare.received().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_wants_http_1_gets_it_from_then_on() {
    let story = story(&[Act::ResetBefore(Reason::HTTP_1_1_REQUIRED)]).await;
    for _ in 0..2 {
        let answer = story.proxy.send(&Request::stream("t/m")).await;
        assert_eq!((answer.status, answer.content()), (200, "hello".to_owned()));
        story.proxy.idle(Duration::from_secs(2)).await;
    }
    let uris: Vec<bool> = story
        .upstream
        .got()
        .iter()
        .map(|got| got.uri == "h1")
        .collect();
    assert_eq!(uris, [false, true, true]);
    assert_eq!(story.spare.received().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_asks_for_a_certificate_is_shown_one() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let folder = tempfile::tempdir().unwrap();
    clients.sign("client.test").write(folder.path(), "client");
    let shown = format!(
        ", client_cert_file: {0}.pem, client_key_file: {0}.key",
        folder.path().join("client").display()
    );
    for (tls, expected) in [
        (shown.as_str(), "hello".to_owned()),
        ("", Script::default().answer()),
    ] {
        let upstream = Upstream::start(&authority, Some(&clients), &[Act::Answer]).await;
        let spare = mock(fast()).await;
        let proxy = with_tls(folder.path(), &authority, &upstream, &spare, tls);
        let answer = proxy.send(&Request::stream("t/m")).await;
        assert_eq!((answer.status, answer.content()), (200, expected));
    }
}

/// Two addresses of one name: each is connected to over TLS, speaks h2, and is shown the certificate; one that
/// dies costs no request.
#[tokio::test(flavor = "multi_thread")]
async fn listed_addresses_are_spoken_to_as_the_name_would_be() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let folder = tempfile::tempdir().unwrap();
    clients.sign("client.test").write(folder.path(), "client");
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, &authority.pem).unwrap();
    let one = Upstream::start(&authority, Some(&clients), &[Act::Answer]).await;
    let two = Upstream::start(&authority, Some(&clients), &[Act::Answer]).await;
    let fields = format!(
        "base_url: \"https://upstream.test:8443/v1\", keys: [{{ value: k }}], addresses: [\"{0}\", \"{1}\"], \
         tls: {{ ca_file: {2}, client_cert_file: {3}.pem, client_key_file: {3}.key }}",
        one.address,
        two.address,
        file.display(),
        folder.path().join("client").display()
    );
    let proxy = Config::new()
        .raw_provider("secure", &fields)
        .model("t/m", &["secure"])
        .start();
    let ask = async |nth: usize| {
        let answer = proxy.send(&Request::stream("t/m")).await;
        assert_eq!(
            (answer.status, answer.content()),
            (200, "hello".to_owned()),
            "{nth}"
        );
    };
    for nth in 0..20 {
        ask(nth).await;
    }
    let (first, second) = (one.got(), two.got());
    assert!(!first.is_empty() && !second.is_empty(), "both are used");
    for got in first.iter().chain(&second) {
        assert_eq!(got.uri, "https://upstream.test:8443/v1/chat/completions");
    }
    drop(one);
    for nth in 20..50 {
        ask(nth).await;
    }
    assert_eq!(first.len() + two.got().len(), 50);
}
