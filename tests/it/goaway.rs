//! X05, frame by frame: an h2 provider says GOAWAY after a request was sent. Above the last stream that it names,
//! nothing was worked on; at or below it, nobody knows.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use mainstay::cmd::mock::{Mock, Script};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::authority::Authority;
use crate::harness::{Config, Proxy, anywhere, fast, mock};
use crate::raw::{Ended, Request};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;
const PREFACE: usize = 24;
/// A connection that dies so long after a request was written was alive when it was.
const LATE: Duration = Duration::from_millis(1300);
const ANSWER: &str = "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\
    \"choices\":[{\"index\":0,\"delta\":{\"content\":\"hello\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";

/// What is done with a request once it is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Answer,
    /// GOAWAY with this much less than the request's stream, then nothing.
    Leave {
        below: u32,
    },
    /// The same, then the connection closes.
    LeaveAndClose {
        below: u32,
    },
    /// GOAWAY that takes the request on; after a while the connection closes.
    LeaveAndDie,
    /// GOAWAY that takes the request on, then its answer.
    LeaveAndAnswer,
}

struct Upstream {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    _serving: JoinSet<()>,
}

impl Upstream {
    /// Acts in turn, over all connections; the last act stays.
    async fn start(authority: &Authority, acts: &'static [Act]) -> Self {
        let mut config = Authority::server(&authority.sign("upstream.test"), None);
        config.alpn_protocols = vec![b"h2".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind(anywhere()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let (count, acted) = (connections.clone(), Arc::new(AtomicUsize::new(0)));
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut open = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Relaxed);
                let (acceptor, acted) = (acceptor.clone(), acted.clone());
                open.spawn(async move {
                    let stream = acceptor.accept(stream).await.unwrap();
                    // The client may leave at any time.
                    serve(stream, acts, &acted).await.ok();
                });
            }
        });
        Self {
            address,
            connections,
            _serving: serving,
        }
    }
}

type Stream = TlsStream<TcpStream>;

async fn serve(mut stream: Stream, acts: &[Act], acted: &AtomicUsize) -> std::io::Result<()> {
    let mut preface = [0; PREFACE];
    stream.read_exact(&mut preface).await?;
    write(&mut stream, (SETTINGS, 0, 0), &[]).await?;
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await?;
        let [a, b, c, kind, flags, id @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        stream.read_exact(&mut payload).await?;
        if kind == SETTINGS && flags & ACK == 0 {
            write(&mut stream, (SETTINGS, ACK, 0), &[]).await?;
        }
        if matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0 {
            let turn = acted.fetch_add(1, Relaxed).min(acts.len() - 1);
            act(&mut stream, acts[turn], u32::from_be_bytes(id)).await?;
            if acts[turn] == Act::LeaveAndDie {
                tokio::time::sleep(LATE).await;
            }
            if matches!(acts[turn], Act::LeaveAndClose { .. } | Act::LeaveAndDie) {
                return stream.shutdown().await;
            }
        }
    }
}

async fn act(stream: &mut Stream, act: Act, id: u32) -> std::io::Result<()> {
    let below = match act {
        Act::Answer => None,
        Act::Leave { below } | Act::LeaveAndClose { below } => Some(below),
        Act::LeaveAndAnswer | Act::LeaveAndDie => Some(0),
    };
    if let Some(below) = below {
        // The last stream that is taken on, and no error.
        let mut payload = (id - below).to_be_bytes().to_vec();
        payload.extend([0; 4]);
        write(stream, (GOAWAY, 0, 0), &payload).await?;
    }
    if matches!(act, Act::Answer | Act::LeaveAndAnswer) {
        // `:status: 200`, and `content-type` by its number in the static table.
        let mut head = vec![0x88, 0x0f, 0x10, 17];
        head.extend(b"text/event-stream");
        write(stream, (HEADERS, END_HEADERS, id), &head).await?;
        write(stream, (DATA, END_STREAM, id), ANSWER.as_bytes()).await?;
    }
    Ok(())
}

async fn write(
    stream: &mut Stream,
    (kind, flags, id): (u8, u8, u32),
    payload: &[u8],
) -> std::io::Result<()> {
    let [_, a, b, c] = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![a, b, c, kind, flags];
    frame.extend(id.to_be_bytes());
    frame.extend(payload);
    stream.write_all(&frame).await?;
    stream.flush().await
}

struct Story {
    upstream: Upstream,
    spare: Mock,
    proxy: Proxy,
    _folder: tempfile::TempDir,
}

async fn story(acts: &'static [Act]) -> Story {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, &authority.pem).unwrap();
    let upstream = Upstream::start(&authority, acts).await;
    let spare = mock(fast()).await;
    let fields = format!(
        "base_url: \"https://{}/v1\", keys: [{{ value: k }}], \
         tls: {{ ca_file: {}, server_name: upstream.test }}",
        upstream.address,
        file.display()
    );
    let proxy = Config::new()
        .raw_provider("secure", &fields)
        .provider("spare", spare.addr())
        .model("t/m", &["secure", "spare"])
        .start();
    Story {
        upstream,
        spare,
        proxy,
        _folder: folder,
    }
}

impl Story {
    async fn ask(&self) -> String {
        let answer = self.proxy.send(&Request::stream("t/m")).await;
        assert_eq!((answer.status, answer.end), (200, Ended::Whole));
        self.proxy.idle(Duration::from_secs(5)).await;
        answer.content()
    }
}

/// On a connection in use, what was never worked on is sent again silently.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_above_the_last_stream_is_sent_again() {
    for acts in [
        &[Act::Answer, Act::Leave { below: 2 }, Act::Answer],
        &[Act::Answer, Act::LeaveAndClose { below: 2 }, Act::Answer],
    ] {
        let story = story(acts).await;
        assert_eq!(story.ask().await, "hello");
        assert_eq!(story.ask().await, "hello", "{acts:?}");
        assert_eq!(story.upstream.connections.load(Relaxed), 2, "{acts:?}");
        assert_eq!(story.spare.received().len(), 0, "{acts:?}");
        let log = story.proxy.access_log(2).await;
        assert_eq!(
            log[1]["attempts"].as_array().unwrap().len(),
            1,
            "{}",
            log[1]
        );
    }
}

/// A new connection that takes on nothing is not tried twice: another endpoint answers.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_connection_that_takes_nothing_on_is_left() {
    let story = story(&[Act::Leave { below: 1 }]).await;
    assert_eq!(story.ask().await, Script::default().answer());
    let log = story.proxy.access_log(1).await;
    assert_eq!(
        log[0]["attempts"][0]["outcome"], "connection_lost",
        "{}",
        log[0]
    );
    assert_eq!(story.spare.received().len(), 1);
}

/// It may have been worked on: that is a failed attempt, and no silent second sending. (Within a second of the
/// request's last byte a connection in use counts as dead before, whatever it said.)
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_was_taken_on_and_lost_is_a_failed_attempt() {
    let story = story(&[Act::Answer, Act::LeaveAndDie, Act::Answer]).await;
    assert_eq!(story.ask().await, "hello");
    assert_eq!(story.ask().await, Script::default().answer());
    let log = story.proxy.access_log(2).await;
    let attempts = log[1]["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 2, "{}", log[1]);
    assert_eq!(attempts[0]["outcome"], "connection_lost", "{}", log[1]);
    assert_eq!(story.upstream.connections.load(Relaxed), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_was_taken_on_and_answered_is_whole() {
    let story = story(&[Act::LeaveAndAnswer]).await;
    for nth in 1..=3 {
        assert_eq!(story.ask().await, "hello");
        assert_eq!(
            story.upstream.connections.load(Relaxed),
            nth,
            "each on its own"
        );
    }
    assert_eq!(story.spare.received().len(), 0);
}
