//! X14: an upstream's certificate is checked, and one that fails the check is refused, named and passed over.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use mainstay::cmd::mock::{Mock, Script};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::authority::Authority;
use crate::harness::{Config, Proxy, anywhere, fast, mock};
use crate::raw::{Ended, Request, Via};

/// A configuration with a TLS provider first and a plain one behind it.
fn proxy(folder: &Path, authority: &Authority, upstream: SocketAddr, plain: &Mock) -> Proxy {
    let file = folder.join("ca.pem");
    std::fs::write(&file, &authority.pem).unwrap();
    let fields = format!(
        "dialects: [openai], base_url: \"https://{upstream}/v1\", keys: [{{ value: k }}], \
         tls: {{ ca_file: {}, server_name: upstream.test }}",
        file.display()
    );
    Config::new()
        .raw_provider("secure", &fields)
        .provider("plain", plain.addr())
        .model("t/m", &["secure", "plain"])
        .start()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_of_a_named_authority_is_trusted() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let upstream = authority.provider("upstream.test", false).await;
    let plain = mock(fast()).await;
    let proxy = proxy(folder.path(), &authority, upstream.addr(), &plain);
    for request in [
        Request::stream("t/m"),
        Request::chat("t/m"),
        Request::stream("t/m"),
    ] {
        let answer = proxy.send(&request).await;
        assert_eq!((answer.status, answer.end), (200, Ended::Whole));
        assert_eq!(answer.content(), Script::default().answer());
        proxy.idle(Duration::from_secs(2)).await;
    }
    assert_eq!(upstream.received().len(), 3);
    let last = upstream.received().pop().unwrap();
    assert_eq!(last.connection, 0, "TLS connections are pooled");
    assert_eq!(plain.received().len(), 0);
}

/// The upstream is refused before it learns of any request, and the next candidate answers.
async fn is_refused(authority: &Authority, upstream: &Mock) {
    is_refused_at(authority, upstream.addr()).await;
    assert_eq!(upstream.received().len(), 0);
}

async fn is_refused_at(authority: &Authority, upstream: SocketAddr) {
    let folder = tempfile::tempdir().unwrap();
    let plain = mock(fast()).await;
    let proxy = proxy(folder.path(), authority, upstream, &plain);
    for via in [Via::H1, Via::H2] {
        let answer = proxy.call(via, &Request::stream("t/m")).await;
        assert_eq!((answer.status, answer.end), (200, Ended::Whole));
        assert_eq!(answer.content(), Script::default().answer());
        assert_eq!(
            answer.header("x-mainstay-endpoint"),
            Some("t/m@plain/default")
        );
    }
    let log = proxy.access_log(2).await;
    // Lines of the same moment come in any order.
    let mut first = log.iter().map(|line| &line["attempts"][0]["outcome"]);
    assert!(first.any(|outcome| outcome == "tls_failed"), "{log:?}");
    let labels = [("outcome", "tls_failed"), ("provider", "secure")];
    let metrics = proxy.metrics().await;
    assert!(
        metrics.sum("mainstay_attempts_total", &labels) >= 1.0,
        "{}",
        metrics.0
    );
    let others = ["connect_failed", "connection_lost", "local_fault"];
    for other in others {
        let labels = [("outcome", other)];
        assert!(
            metrics.sum("mainstay_attempts_total", &labels) < 0.1,
            "{other}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_authority_is_refused() {
    let (known, unknown) = (Authority::new(), Authority::new());
    is_refused(&known, &unknown.provider("upstream.test", false).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_certificate_is_refused() {
    let authority = Authority::new();
    is_refused(&authority, &authority.provider("upstream.test", true).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_for_another_name_is_refused() {
    let authority = Authority::new();
    is_refused(&authority, &authority.provider("other.test", false).await).await;
}

/// An upstream that answers a handshake with a web server's complaint.
#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_speaks_no_tls_is_refused() {
    let listener = tokio::net::TcpListener::bind(anywhere()).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            stream
                .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                .await
                .ok();
            stream.read_to_end(&mut Vec::new()).await.ok();
        }
    });
    is_refused_at(&Authority::new(), address).await;
}
