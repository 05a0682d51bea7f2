//! Owns the rules of `server`: addresses, limits, and who may be let in without a key. Must never bind, or read
//! a certificate.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use crate::config::compile::{cors, trusted};
use crate::config::raw;
use crate::config::report::Report;
use crate::config::scalar::Text;
use crate::config::secret::Secret;
use crate::config::snapshot::{Admin, Listener, ListenerTls, Server};
use crate::config::trail::Trail;

const MOST_THREADS: u64 = 1024;
/// `sun_path` holds 108 bytes with its end (unix(7)), less `.new`.
const LONGEST_SOCKET: usize = 103;

/// Takes the place of an address that was refused.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

pub(super) fn compile(config: &raw::Config, report: &mut Report<'_>) -> Server {
    let at = Trail::top("server");
    let server = &config.server;
    let listen = listeners(server, &at.key("listen"), report);
    let admin = admin(&server.admin, &at.key("admin"), report);
    check_open(config, &listen, report);
    check_overlaps(&listen, &admin, report);
    check_limits(server, &at, report);
    Server {
        listen: listen.into_iter().map(|listed| listed.listener).collect(),
        admin,
        threads: threads(server.threads.0, &at.key("threads"), report),
        max_body: server.max_body.0,
        max_inflight_bytes: server.max_inflight_bytes.0,
        idle_timeout: server.idle_timeout.0,
        body_timeout: server.body_timeout.0,
        drain: server.drain.0,
        upgrade_socket: upgrade_socket(server.upgrade_socket.as_ref(), &at, report),
        max_connections: usize::try_from(server.max_connections.0).unwrap_or(usize::MAX),
        trusted_proxies: trusted::compile(
            &server.trusted_proxies.0,
            &at.key("trusted_proxies"),
            report,
        ),
        cors: cors::compile(config, &at.key("cors"), report),
    }
}

/// A listener, and where its address is written.
struct Listed {
    at: Trail,
    listener: Listener,
}

fn listeners(server: &raw::server::Server, at: &Trail, report: &mut Report<'_>) -> Vec<Listed> {
    let written = &server.listen.0;
    if written.is_empty() {
        report.error(at, "no listener");
    }
    written
        .iter()
        .enumerate()
        .filter_map(|(index, listen)| listener(&listen.0, &at.index(index), report))
        .collect()
}

fn listener(
    written: &raw::server::Listener,
    at: &Trail,
    report: &mut Report<'_>,
) -> Option<Listed> {
    let tls = written
        .tls
        .as_ref()
        .map(|tls| listener_tls(tls, &at.key("tls"), report));
    let Some(text) = &written.address else {
        if !report.is_settled(at) && !report.is_settled(&at.key("address")) {
            report.error(at, "this listener has no `address`");
        }
        return None;
    };
    // A listener without settings of its own is its address.
    let in_map = at.key("address");
    let at = match report.written(&in_map).is_some() {
        true => in_map,
        false => at.clone(),
    };
    let address = address(&text.0, &at, report)?;
    let listener = Listener { address, tls };
    Some(Listed { at, listener })
}

fn listener_tls(
    written: &raw::server::ListenerTls,
    at: &Trail,
    report: &mut Report<'_>,
) -> ListenerTls {
    let mut required = |file: &Option<Text>, field: &str| {
        if file.is_none() && !report.is_settled(&at.key(field)) && !report.is_settled(at) {
            report.error(at, format!("a listener with TLS needs a `{field}`"));
        }
        path(file.as_ref(), &at.key(field), report).unwrap_or_default()
    };
    ListenerTls {
        cert_file: required(&written.cert_file, "cert_file"),
        key_file: required(&written.key_file, "key_file"),
        client_ca_file: path(
            written.client_ca_file.as_ref(),
            &at.key("client_ca_file"),
            report,
        ),
    }
}

/// A file's name, which must not be empty.
pub(super) fn path(file: Option<&Text>, at: &Trail, report: &mut Report<'_>) -> Option<PathBuf> {
    let file = file.map(|file| file.0.as_str());
    if file == Some("") {
        report.error(at, "the file's name is empty");
    }
    file.map(PathBuf::from)
}

/// Names of Unix sockets are bounded, and one is made beside this one first.
fn upgrade_socket(written: Option<&Text>, at: &Trail, report: &mut Report<'_>) -> Option<PathBuf> {
    let at = at.key("upgrade_socket");
    let socket = path(written, &at, report)?;
    if socket.as_os_str().len() > LONGEST_SOCKET {
        let message = format!("a Unix socket's path has at most {LONGEST_SOCKET} bytes here");
        report.error(&at, message);
    }
    Some(socket)
}

fn address(text: &str, at: &Trail, report: &mut Report<'_>) -> Option<SocketAddr> {
    let parsed = text.parse().ok();
    if parsed.is_none() {
        let hint = "write 127.0.0.1:8080, 0.0.0.0:8080 for every interface, or [::1]:8080";
        let message = format!("{} is not an address and port", report.quoted(at));
        report.error_with(at, message, hint.to_owned());
    }
    parsed
}

fn admin(admin: &raw::server::Admin, at: &Trail, report: &mut Report<'_>) -> Admin {
    let token = written(admin.token.as_ref());
    let metrics_token = written(admin.metrics_token.as_ref());
    let at_token = at.key("token");
    let listen = address(&admin.listen.0, &at.key("listen"), report);
    if let Some(listen) = listen
        && !is_loopback(listen)
        && token.is_none()
        && !report.is_settled(&at_token)
    {
        report.error_with(
            &at.key("listen"),
            "the admin listener is reachable from outside and has no token",
            "set `server.admin.token` or `token_file`, or listen on 127.0.0.1".to_owned(),
        );
    }
    check_token(token.as_ref(), &at_token, report);
    check_token(metrics_token.as_ref(), &at.key("metrics_token"), report);
    Admin {
        listen: listen.unwrap_or(NOWHERE),
        token,
        metrics_token,
    }
}

/// An empty token is none: a variable without a value.
fn written(token: Option<&Secret>) -> Option<Secret> {
    token.filter(|token| !token.expose().is_empty()).cloned()
}

fn check_token(token: Option<&Secret>, at: &Trail, report: &mut Report<'_>) {
    let is_sendable = |token: &Secret| http::HeaderValue::from_str(token.expose()).is_ok();
    if !token.is_none_or(is_sendable) {
        report.error(at, "the token holds characters that no header can carry");
    }
}

fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

/// Without keys, whoever reaches a listener may spend the providers' keys.
fn check_open(config: &raw::Config, listen: &[Listed], report: &mut Report<'_>) {
    let at = Trail::top("auth");
    let has_keys = !config.auth.keys.0.is_empty();
    if has_keys && config.auth.open.0 {
        let hint = "remove it, or remove the keys".to_owned();
        report.warn(
            &at.key("open"),
            "`open` has no effect: keys are required",
            hint,
        );
    }
    if has_keys || config.auth.open.0 || is_in_trouble(&at, report) {
        return;
    }
    let is_public = |listed: &&Listed| !is_loopback(listed.listener.address);
    for listed in listen.iter().filter(is_public) {
        report.error_with(
            &listed.at,
            "this listener is reachable from outside and no keys are configured",
            "add `auth.keys`, listen on 127.0.0.1, or write `auth: { open: true }`".to_owned(),
        );
    }
}

fn is_in_trouble(auth: &Trail, report: &Report<'_>) -> bool {
    report.is_settled(&auth.key("keys")) || report.is_settled(&auth.key("open"))
}

fn check_overlaps(listen: &[Listed], admin: &Admin, report: &mut Report<'_>) {
    for (index, Listed { at, listener }) in listen.iter().enumerate() {
        let mut earlier = listen.iter().take(index);
        if earlier.any(|other| overlap(listener.address, other.listener.address)) {
            report.error(at, format!("{} is listened on twice", report.quoted(at)));
        } else if overlap(listener.address, admin.listen) {
            report_admin_overlap(at, report);
        }
    }
}

/// Points at whichever of the two addresses the file holds.
fn report_admin_overlap(at: &Trail, report: &mut Report<'_>) {
    if report.written(at).is_some() {
        let message = format!("{} is the admin listener's too", report.quoted(at));
        return report.error(at, message);
    }
    let at = Trail::top("server").key("admin").key("listen");
    let message = format!("{} is the default listener's too", report.quoted(&at));
    report.error(&at, message);
}

fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let any = a.ip().is_unspecified() || b.ip().is_unspecified();
    let same_host = a.ip() == b.ip() || (any && a.is_ipv4() == b.is_ipv4());
    a.port() != 0 && a.port() == b.port() && same_host
}

fn threads(count: u64, at: &Trail, report: &mut Report<'_>) -> usize {
    if count > MOST_THREADS {
        report.error(at, format!("at most {MOST_THREADS} threads"));
    }
    usize::try_from(count.min(MOST_THREADS)).unwrap_or_default()
}

fn check_limits(server: &raw::server::Server, at: &Trail, report: &mut Report<'_>) {
    if server.max_body.0 == 0 {
        report.error(&at.key("max_body"), "`max_body` must be at least 1 byte");
    }
    if server.max_body.0 > server.max_inflight_bytes.0 {
        let message =
            "`max_body` is larger than `max_inflight_bytes`, so the largest bodies never fit";
        report.error(&at.key("max_body"), message);
    }
    if server.max_connections.0 == 0 {
        let message = "`max_connections` must be at least 1";
        report.error(&at.key("max_connections"), message);
    }
    let spans = [
        ("idle_timeout", server.idle_timeout),
        ("body_timeout", server.body_timeout),
    ];
    for (field, span) in spans {
        if span.0.is_zero() {
            report.error(&at.key(field), format!("`{field}` must be more than 0s"));
        }
    }
}
