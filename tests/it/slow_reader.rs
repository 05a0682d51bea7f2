//! X16: a client that reads slowly holds its upstream back, costs no memory, and loses nothing.

use std::time::Duration;

use mainstay::cmd::mock::{Fate, Mock, Script};
use tokio::net::TcpStream;

use crate::harness::{Config, Proxy, fast, mock};
use crate::raw::{Answer, BOTH, Ended, H1, H2, H2Body, Request, Via, h2_piece};

const TOKENS: u32 = 20_000;
const WORD: usize = 5_000;
/// Kernel buffers of two connections, and the proxy's own, are far below what the provider has to say.
const ALLOWED: u64 = 24 * 1024 * 1024;

async fn talkative() -> (Mock, Proxy) {
    let script = Script {
        tokens: TOKENS,
        words: "x".repeat(WORD),
        ..fast()
    };
    let mock = mock(script).await;
    let config = Config::new()
        .provider("one", mock.addr())
        // Shorter than the client's pause: its slowness must not be taken for the upstream's.
        .policy("timeouts: { idle: 400ms }");
    (mock, config.model("t/m", &["one"]).start())
}

#[expect(
    dead_code,
    reason = "the connection lives as long as its stream is read"
)]
enum Reading {
    H1(H1),
    H2(H2, H2Body),
}

impl Reading {
    async fn begin(proxy: &Proxy, via: Via) -> (Self, Answer) {
        let request = Request::stream("t/m");
        match via {
            Via::H1 => {
                let stream = TcpStream::connect(proxy.data).await.unwrap();
                socket2::SockRef::from(&stream)
                    .set_recv_buffer_size(64 * 1024)
                    .unwrap();
                let mut client = H1::over(stream);
                client.send(&request).await;
                let answer = client.head().await;
                (Reading::H1(client), answer)
            }
            Via::H2 => {
                let mut client = H2::connect(proxy.data).await;
                let (answer, body) = client.head(&request).await;
                (Reading::H2(client, body.unwrap()), answer)
            }
        }
    }

    async fn rest(&mut self, answer: &mut Answer) {
        match self {
            Reading::H1(client) => client.body(answer).await,
            Reading::H2(_, body) => while h2_piece(answer, body).await {},
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_pauses_gets_everything_and_costs_no_memory() {
    for via in BOTH {
        let (mock, proxy) = talkative().await;
        let before = proxy.memory();
        let (mut reading, mut answer) = Reading::begin(&proxy, via).await;
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let grown = proxy.memory().saturating_sub(before);
        assert!(grown < ALLOWED, "{via:?}: {grown} bytes more");
        let fate = mock.received()[0].fate;
        assert_eq!(
            fate,
            Fate::UnderWay,
            "{via:?}: the upstream was read to its end"
        );
        reading.rest(&mut answer).await;
        assert_eq!(answer.end, Ended::Whole, "{via:?}");
        let words = answer.content();
        assert_eq!(words.len(), TOKENS as usize * (WORD + 1), "{via:?}");
        assert!(answer.is_done());
        assert_eq!(answer.usage().unwrap()["completion_tokens"], TOKENS);
        let grown = proxy.memory().saturating_sub(before);
        assert!(grown < ALLOWED, "{via:?}: {grown} bytes more at the end");
    }
}
