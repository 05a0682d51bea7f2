//! Owns the operator's port: liveness, readiness, metrics, status, the configuration that serves and its reloads,
//! the status page. Must never show a secret, or answer `/api` without the token where one is set. Beside it:
//! `reloads`, `reading`, `explain`, `endpoints`, `requests`, `history`, `page` (its files), `origin` and `login` (whose requests are heard),
//! `events` (what an open page is told), `port` (the connections).

mod reloads;
mod reading;
mod explain;
mod endpoints;
mod requests;
mod history;
mod page;
mod origin;
mod login;
mod events;
mod port;

use std::sync::Arc;

use http::header::HOST;
use http::{Method, Response, StatusCode};
use pingora::protocols::http::ServerSession;
use serde::Serialize;

use crate::config::facts::Item;
use crate::config::secret::Secret;
use crate::edge::auth;
use crate::edge::clock::Clock;
use crate::edge::generation::Current;
use crate::edge::lifecycle::Lifecycle;
use crate::edge::telemetry::Telemetry;

pub(crate) use history::Historian;
pub use login::Sessions;
pub use port::Port;
pub use reloads::{AskError, Entry, Reloaded, Reloads, Request};

/// The application behind the admin listener.
#[derive(Debug)]
pub struct Admin {
    pub current: Current,
    pub clock: Clock,
    pub lifecycle: Arc<Lifecycle>,
    pub telemetry: Arc<Telemetry>,
    pub reloads: Arc<Reloads>,
    /// Who has logged in at the status page.
    pub sessions: Sessions,
}

#[derive(Serialize)]
struct Status {
    version: &'static str,
    uptime_seconds: u64,
    config: ConfigStatus,
    draining: bool,
}

#[derive(Serialize)]
struct ConfigStatus {
    generation: u64,
    hash: String,
    loaded_at: String,
    last_error: Option<String>,
    /// What has changed since the process began and takes a restart.
    needs_restart: Vec<String>,
}

/// The configuration that serves, resolved, credentials as salted digests.
#[derive(Serialize)]
struct Serving {
    generation: u64,
    hash: String,
    salt: String,
    items: Vec<Item>,
}

impl Admin {
    async fn answer(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let request = session.req_header();
        let (path, method) = (request.uri.path(), request.method.clone());
        let reads = matches!(method, Method::GET | Method::HEAD);
        if self.is_foreign(session) {
            return text(
                StatusCode::FORBIDDEN,
                "another site's page may not ask this\n",
            );
        }
        if path.starts_with("/api/") && !self.is_admitted(session) {
            return text(StatusCode::UNAUTHORIZED, "a token is required\n");
        }
        if let Some(rest) = below(path, "/api/endpoints") {
            let generation = self.current.load_full();
            return endpoints::answer(&method, rest, &generation, self.clock.now());
        }
        if let (true, Some(rest)) = (reads, below(path, "/api/requests")) {
            let query = request.uri.query().unwrap_or_default();
            return requests::answer(rest, query, &self.telemetry.requests);
        }
        match (path, reads, &method) {
            ("/api/reload", _, &Method::POST) => self.reload().await,
            ("/api/reload", ..) => text(StatusCode::METHOD_NOT_ALLOWED, "use POST\n"),
            ("/api/explain", true, _) | ("/api/explain", _, &Method::POST) => {
                let generation = self.current.load_full();
                explain::answer(session, &generation, self.clock.now()).await
            }
            ("/login", _, &Method::POST) => self.log_in(session).await,
            ("/logout", _, &Method::POST) => self.sessions.log_out(&request.headers),
            (_, false, _) => text(StatusCode::METHOD_NOT_ALLOWED, "use GET\n"),
            ("/", ..) if !self.is_admitted(session) => page::login(StatusCode::OK),
            ("/", ..) => page::index(self.is_guarded()),
            ("/healthz", ..) => text(StatusCode::OK, "ok\n"),
            ("/readyz", ..) if self.lifecycle.is_draining() => {
                text(StatusCode::SERVICE_UNAVAILABLE, "draining\n")
            }
            ("/readyz", ..) => text(StatusCode::OK, "ready\n"),
            ("/metrics", ..) if !self.may_scrape(session) => {
                text(StatusCode::UNAUTHORIZED, "a token is required\n")
            }
            ("/metrics", ..) => self.metrics(),
            ("/api/status", ..) => json(StatusCode::OK, &self.standing()),
            ("/api/config", ..) => self.config(),
            ("/api/history", ..) => history::answer(&self.current.load_full(), &self.telemetry),
            ("/api/reloads", ..) => json(StatusCode::OK, &self.reloads.history()),
            (path, ..) => {
                page::file(path).unwrap_or_else(|| text(StatusCode::NOT_FOUND, "no such path\n"))
            }
        }
    }

    fn is_foreign(&self, session: &ServerSession) -> bool {
        let request = session.req_header();
        let named = request
            .headers
            .get(HOST)
            .and_then(|host| host.to_str().ok());
        let named = named.or_else(|| Some(request.uri.authority()?.as_str()));
        let host = named.unwrap_or_default();
        origin::is_foreign(&request.method, &request.headers, host, self.is_guarded())
    }

    fn is_guarded(&self) -> bool {
        self.current.load().snapshot.server.admin.token.is_some()
    }

    async fn log_in(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let generation = self.current.load_full();
        let token = generation.snapshot.server.admin.token.as_ref();
        let token = token.map(Secret::expose);
        self.sessions.log_in(session, token, self.clock.now()).await
    }

    fn is_admitted(&self, session: &ServerSession) -> bool {
        let generation = self.current.load();
        let headers = &session.req_header().headers;
        let token = generation.snapshot.server.admin.token.as_ref();
        token.map(Secret::expose).is_none_or(|token| {
            auth::is_token(headers, token) || self.sessions.admits(headers, token, self.clock.now())
        })
    }

    /// Metrics are open unless they have a token of their own; operators may read them in any case.
    fn may_scrape(&self, session: &ServerSession) -> bool {
        let generation = self.current.load();
        let admin = &generation.snapshot.server.admin;
        let Some(own) = &admin.metrics_token else {
            return true;
        };
        let mut tokens = [Some(own), admin.token.as_ref()].into_iter().flatten();
        tokens.any(|token| auth::is_token(&session.req_header().headers, token.expose()))
    }

    fn metrics(&self) -> Response<Vec<u8>> {
        let generation = self.current.load_full();
        let now = self.clock.now();
        let body = self
            .telemetry
            .metrics
            .render(&generation, &self.lifecycle, now);
        answer(StatusCode::OK, "text/plain; version=0.0.4", body)
    }

    fn standing(&self) -> Status {
        let generation = self.current.load();
        let reloads = self.reloads.standing();
        Status {
            version: env!("CARGO_PKG_VERSION"),
            uptime_seconds: self.clock.now().as_micros() / 1_000_000,
            config: ConfigStatus {
                generation: generation.number,
                hash: generation.hash.clone(),
                loaded_at: humantime::format_rfc3339_seconds(reloads.loaded_at).to_string(),
                last_error: reloads.last_error,
                needs_restart: reloads.needs_restart,
            },
            draining: self.lifecycle.is_draining(),
        }
    }

    fn config(&self) -> Response<Vec<u8>> {
        let generation = self.current.load_full();
        let facts = generation.facts(self.reloads.salt());
        let serving = Serving {
            generation: generation.number,
            hash: generation.hash.clone(),
            salt: facts.salt,
            items: facts.items,
        };
        json(StatusCode::OK, &serving)
    }

    async fn reload(&self) -> Response<Vec<u8>> {
        match self.reloads.ask().await {
            Ok(refused @ Reloaded::Refused { .. }) => {
                json(StatusCode::UNPROCESSABLE_ENTITY, &refused)
            }
            Ok(reloaded) => json(StatusCode::OK, &reloaded),
            Err(error) => {
                let status = match error {
                    AskError::Nobody => StatusCode::NOT_IMPLEMENTED,
                    AskError::Busy => StatusCode::SERVICE_UNAVAILABLE,
                    AskError::Slow => StatusCode::ACCEPTED,
                };
                text(status, &format!("{error}\n"))
            }
        }
    }
}

/// What follows the beginning of a path.
fn below<'a>(path: &'a str, beginning: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(beginning)?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

fn json(status: StatusCode, body: &impl Serialize) -> Response<Vec<u8>> {
    let body = serde_json::to_vec(body).expect("plain fields always serialise");
    answer(status, "application/json", body)
}

fn text(status: StatusCode, body: &str) -> Response<Vec<u8>> {
    answer(
        status,
        "text/plain; charset=utf-8",
        body.as_bytes().to_vec(),
    )
}

fn answer(status: StatusCode, kind: &str, body: Vec<u8>) -> Response<Vec<u8>> {
    Response::builder()
        .status(status)
        .header("content-type", kind)
        .header("content-length", body.len())
        .body(body)
        .expect("our own headers are all valid")
}
