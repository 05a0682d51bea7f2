//! Clients over TLS: h1 and h2 by ALPN, clients that must show a certificate, certificates that are replaced.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mainstay::cmd::mock::{Mock, Script};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;

use crate::authority::{Authority, Signed};
use crate::harness::{Config, Proxy, eventually, fast, mock};
use crate::raw::{BOTH, Ended, H1, H2, Request, Via, dial};

/// A configuration whose listener shows `FOLDER/server.pem`.
fn config(folder: &Path, upstream: &Mock, more: &str) -> String {
    let file = |name: &str| folder.join(name).display().to_string();
    let tls = format!(
        "listen: [{{ address: \"127.0.0.1:0\", tls: {{ cert_file: {}, key_file: {} {more} }} }}]",
        file("server.pem"),
        file("server.key")
    );
    let text = Config::new()
        .provider("one", upstream.addr())
        .model("t/m", &["one"])
        .text();
    text.replacen("listen: [127.0.0.1:0]", &tls, 1)
}

fn asking_clients(folder: &Path) -> String {
    format!(", client_ca_file: {}", folder.join("clients.pem").display())
}

pub(crate) async fn connect(
    proxy: &Proxy,
    authority: &Authority,
    via: Via,
    client: Option<&Signed>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(authority.roots());
    let mut config = match client {
        None => builder.with_no_client_auth(),
        Some(signed) => {
            let chain = vec![signed.certificate.der().clone()];
            builder
                .with_client_auth_cert(chain, signed.private())
                .unwrap()
        }
    };
    config.alpn_protocols = vec![match via {
        Via::H1 => b"http/1.1".to_vec(),
        Via::H2 => b"h2".to_vec(),
    }];
    let name = "mainstay.test".try_into().unwrap();
    let stream = dial(proxy.data).await;
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
}

async fn is_answered(stream: TlsStream<TcpStream>, via: Via) {
    let request = Request::stream("t/m");
    let answer = match via {
        Via::H1 => H1::over(stream).call(&request).await,
        Via::H2 => H2::over(stream).await.call(&request).await,
    };
    assert_eq!((answer.status, answer.end), (200, Ended::Whole));
    assert_eq!(answer.content(), Script::default().answer());
}

fn shown(stream: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    let chain = stream.get_ref().1.peer_certificates().unwrap();
    chain[0].clone().into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_choose_their_protocol_by_alpn() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    authority
        .sign("mainstay.test")
        .write(folder.path(), "server");
    let upstream = mock(fast()).await;
    let proxy = Proxy::start(&config(folder.path(), &upstream, ""));
    for via in BOTH {
        let stream = connect(&proxy, &authority, via, None).await.unwrap();
        let chosen = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
        let wanted: &[u8] = match via {
            Via::H1 => b"http/1.1",
            Via::H2 => b"h2",
        };
        assert_eq!(chosen.as_deref(), Some(wanted));
        is_answered(stream, via).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_clients_with_a_certificate_are_let_in_where_one_is_asked_for() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let folder = tempfile::tempdir().unwrap();
    authority
        .sign("mainstay.test")
        .write(folder.path(), "server");
    std::fs::write(folder.path().join("clients.pem"), &clients.pem).unwrap();
    let upstream = mock(fast()).await;
    let more = asking_clients(folder.path());
    let proxy = Proxy::start(&config(folder.path(), &upstream, &more));
    let stranger = authority.sign("client.test");
    for refused in [None, Some(&stranger)] {
        for via in BOTH {
            // TLS 1.3 lets a client believe that it is in before its certificate was looked at.
            if let Ok(stream) = connect(&proxy, &authority, via, refused).await {
                let answer = H1::over(stream).call(&Request::stream("t/m")).await;
                assert_eq!(answer.status, 0, "{via:?}");
            }
        }
    }
    assert_eq!(upstream.received().len(), 0);
    let known = clients.sign("client.test");
    for via in BOTH {
        let stream = connect(&proxy, &authority, via, Some(&known)).await;
        is_answered(stream.unwrap(), via).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_certificate_is_shown_after_a_reload_and_no_request_is_lost() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let (first, second) = (
        authority.sign("mainstay.test"),
        authority.sign("mainstay.test"),
    );
    first.write(folder.path(), "server");
    let slow = Script {
        pace: Duration::from_millis(20),
        ..fast()
    };
    let upstream = mock(slow).await;
    let proxy = Proxy::start(&config(folder.path(), &upstream, ""));
    let open = connect(&proxy, &authority, Via::H1, None).await.unwrap();
    assert_eq!(shown(&open), *first.certificate.der());
    let under_way = tokio::spawn(is_answered(open, Via::H1));

    // A key of another certificate: the half of a replacement.
    std::fs::write(folder.path().join("server.key"), second.key.serialize_pem()).unwrap();
    proxy.signal("HUP");
    eventually("the refusal", Duration::from_secs(5), || {
        proxy.log().contains("it is not the key of the certificate")
    })
    .await;
    let stream = connect(&proxy, &authority, Via::H2, None).await.unwrap();
    assert_eq!(shown(&stream), *first.certificate.der());
    is_answered(stream, Via::H2).await;

    second.write(folder.path(), "server");
    proxy.signal("HUP");
    eventually("the new generation", Duration::from_secs(5), || {
        !proxy.logged("configuration applied").is_empty()
    })
    .await;
    for via in BOTH {
        let stream = connect(&proxy, &authority, via, None).await.unwrap();
        assert_eq!(shown(&stream), *second.certificate.der());
        is_answered(stream, via).await;
    }
    under_way.await.unwrap();
    assert!(!proxy.log().contains("takes a restart"), "{}", proxy.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn other_client_authorities_take_a_restart() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let folder = tempfile::tempdir().unwrap();
    authority
        .sign("mainstay.test")
        .write(folder.path(), "server");
    std::fs::write(folder.path().join("clients.pem"), &clients.pem).unwrap();
    let upstream = mock(fast()).await;
    let more = asking_clients(folder.path());
    let proxy = Proxy::start(&config(folder.path(), &upstream, &more));
    std::fs::write(folder.path().join("clients.pem"), &authority.pem).unwrap();
    proxy.signal("HUP");
    eventually("the warning", Duration::from_secs(5), || {
        proxy
            .log()
            .contains("`client_ca_file` has changed: that takes a restart")
    })
    .await;
    let known = clients.sign("client.test");
    let stream = connect(&proxy, &authority, Via::H1, Some(&known)).await;
    is_answered(stream.unwrap(), Via::H1).await;
}
