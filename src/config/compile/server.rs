//! Owns the rules of `server`: addresses, limits, and who may be let in without a key. Must never bind.

use std::net::{IpAddr, SocketAddr};

use crate::config::raw;
use crate::config::report::Report;
use crate::config::secret::Secret;
use crate::config::snapshot::{Admin, Server};
use crate::config::trail::Trail;

const MOST_THREADS: u64 = 1024;

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
        listen: listen.into_iter().map(|(_, address)| address).collect(),
        admin,
        threads: threads(server.threads.0, &at.key("threads"), report),
        max_body: server.max_body.0,
        max_inflight_bytes: server.max_inflight_bytes.0,
        body_timeout: server.body_timeout.0,
        drain: server.drain.0,
    }
}

type Listener = (Trail, SocketAddr);

fn listeners(server: &raw::server::Server, at: &Trail, report: &mut Report<'_>) -> Vec<Listener> {
    let written = &server.listen.0;
    if written.is_empty() {
        report.error(at, "no listener");
    }
    written
        .iter()
        .enumerate()
        .filter_map(|(index, listen)| {
            let at = at.index(index);
            let address = address(&listen.0, &at, report)?;
            Some((at, address))
        })
        .collect()
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
    let token = admin
        .token
        .clone()
        .filter(|token| !token.expose().is_empty());
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
            "set `server.admin.token`, or listen on 127.0.0.1".to_owned(),
        );
    }
    check_token(token.as_ref(), &at_token, report);
    Admin {
        listen: listen.unwrap_or(NOWHERE),
        token,
    }
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
fn check_open(config: &raw::Config, listen: &[Listener], report: &mut Report<'_>) {
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
    for (at, _) in listen.iter().filter(|(_, address)| !is_loopback(*address)) {
        report.error_with(
            at,
            "this listener is reachable from outside and no keys are configured",
            "add `auth.keys`, listen on 127.0.0.1, or write `auth: { open: true }`".to_owned(),
        );
    }
}

fn is_in_trouble(auth: &Trail, report: &Report<'_>) -> bool {
    report.is_settled(&auth.key("keys")) || report.is_settled(&auth.key("open"))
}

fn check_overlaps(listen: &[Listener], admin: &Admin, report: &mut Report<'_>) {
    for (index, (at, address)) in listen.iter().enumerate() {
        let earlier = listen.iter().take(index);
        if earlier
            .into_iter()
            .any(|(_, other)| overlap(*address, *other))
        {
            report.error(at, format!("{} is listened on twice", report.quoted(at)));
        } else if overlap(*address, admin.listen) {
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
    if server.body_timeout.0.is_zero() {
        report.error(
            &at.key("body_timeout"),
            "`body_timeout` must be more than 0s",
        );
    }
}
