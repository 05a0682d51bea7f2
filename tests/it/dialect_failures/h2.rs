//! X05 in every dialect: a provider that speaks HTTP/2 and ends a stream, or its connection, before the answer's first
//! byte or in the middle of it. It hands requests on to the scriptable provider and breaks what comes back.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use h2::server::{Connection, SendResponse};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::bench::{Cell, Run, dialects, explained, root};
use crate::answer::{Answer, Ended};
use crate::authority::Authority;
use crate::config::Config;
use crate::dialects::cases::Case;
use crate::harness::{Proxy, anywhere, fast, for_model, mock};
use crate::raw::{self, Request, Via};

/// How it ends what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    ResetBefore,
    ResetAfter,
    GoAwayBefore,
    GoAwayAfter,
}

/// The provider's answers are cut at this share of their bytes.
const HALF: usize = 2;

async fn front(authority: &Authority, act: Act, behind: SocketAddr) -> (SocketAddr, JoinSet<()>) {
    let mut config = Authority::server(&authority.sign("upstream.test"), None);
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind(anywhere()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            connections.spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    let connection = h2::server::handshake(stream).await.unwrap();
                    serve(connection, act, behind).await;
                }
            });
        }
    });
    (address, serving)
}

async fn serve(
    mut connection: Connection<TlsStream<TcpStream>, Bytes>,
    act: Act,
    behind: SocketAddr,
) {
    let mut answers = JoinSet::new();
    while let Some(Ok((request, respond))) = connection.accept().await {
        answers.spawn(answer(request, respond, act, behind));
        // The connection is driven by `accept` alone: what is to go out goes out, then it ends.
        let driving = async { while connection.accept().await.is_some() {} };
        match act {
            Act::ResetBefore | Act::ResetAfter => {}
            Act::GoAwayBefore | Act::GoAwayAfter => {
                tokio::time::timeout(Duration::from_millis(300), driving)
                    .await
                    .ok();
                connection.abrupt_shutdown(Reason::INTERNAL_ERROR);
            }
        }
    }
}

async fn answer(
    request: http::Request<h2::RecvStream>,
    mut respond: SendResponse<Bytes>,
    act: Act,
    behind: SocketAddr,
) {
    let (parts, mut body) = request.into_parts();
    let mut whole = Vec::new();
    while let Some(Ok(data)) = body.data().await {
        body.flow_control().release_capacity(data.len()).unwrap();
        whole.extend(data);
    }
    // It is logged there, and answered.
    let path = parts.uri.path_and_query().unwrap().as_str();
    let mut asked = Request::post(path, whole);
    for (name, value) in &parts.headers {
        if name != "content-length" && name != "content-type" {
            asked = asked.header(name.as_str(), value.to_str().unwrap());
        }
    }
    let told = raw::call(Via::H1, behind, &asked).await;
    match act {
        Act::ResetBefore => return respond.send_reset(Reason::INTERNAL_ERROR),
        Act::GoAwayBefore => return std::future::pending().await,
        Act::ResetAfter | Act::GoAwayAfter => {}
    }
    let mut head = http::Response::builder().status(told.status);
    for (name, value) in &told.headers {
        if name.starts_with("content-type") {
            head = head.header(name, value);
        }
    }
    let Ok(mut stream) = respond.send_response(head.body(()).unwrap(), false) else {
        return;
    };
    let half = told.body.freeze();
    let half = half.slice(..half.len() / HALF);
    stream.send_data(half, false).ok();
    match act {
        Act::ResetAfter => {
            tokio::time::sleep(Duration::from_millis(50)).await;
            stream.send_reset(Reason::INTERNAL_ERROR);
        }
        _ => std::future::pending().await,
    }
}

/// Asks in each cell, of a provider that breaks so, with a plain one behind it.
async fn runs(act: Act, forms: &[bool]) -> Vec<Run> {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, &authority.pem).unwrap();
    let (behind, good) = (mock(fast()).await, mock(fast()).await);
    let (address, _serving) = front(&authority, act, behind.addr()).await;
    let cells = Cell::all(&dialects(), forms);
    let mut config = Config::new().top("retry_budget: { floor_per_second: 1000 }");
    config = config.provider("good", good.addr());
    for cell in &cells {
        let fields = format!(
            "dialects: [{}], base_url: \"https://{address}{}\", keys: [{{ value: k }}], \
             tls: {{ ca_file: {}, server_name: upstream.test }}",
            cell.dialect,
            root(cell.dialect),
            file.display()
        );
        let name = cell.slug();
        config = config
            .raw_provider(&name, &fields)
            .model(&cell.model(), &[&name, "good"]);
    }
    let proxy: Proxy = config.start();
    let mut runs = Vec::new();
    for cell in cells {
        let asked = cell.inbound.request(&cell.model(), Case::Text, cell.stream);
        let answer: Answer = proxy.call(cell.via(), &asked).await;
        runs.push(Run {
            told: explained(&proxy, &answer).await,
            asked: for_model(&behind, &cell.slug()).len(),
            spared: for_model(&good, &cell.slug()).len(),
            via: cell.via(),
            cell,
            answer,
        });
    }
    runs
}

#[tokio::test(flavor = "multi_thread")]
async fn x05_a_stream_that_is_reset_before_it_answers_moves_on() {
    for act in [Act::ResetBefore, Act::GoAwayBefore] {
        for run in runs(act, &[false, true]).await {
            run.is_rescued(&run.cell.model(), "connection_lost");
            assert_eq!(run.spared, 1, "{act:?}: {}", run.about());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn x05_a_stream_that_is_reset_in_the_middle_ends_in_an_error() {
    for act in [Act::ResetAfter, Act::GoAwayAfter] {
        for run in runs(act, &[true]).await {
            run.is_broken("connection_lost");
        }
    }
}

/// Half of a JSON body is no answer.
#[tokio::test(flavor = "multi_thread")]
async fn x05_an_answer_that_is_reset_in_the_middle_moves_on() {
    for run in runs(Act::ResetAfter, &[false]).await {
        run.is_rescued(&run.cell.model(), "connection_lost");
        assert_eq!(run.answer.end, Ended::Whole);
    }
}
