//! Owns the operator's port: liveness, readiness, metrics, status. Must never show a secret, or answer `/api`
//! without the token where one is set.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use async_trait::async_trait;
use http::{Method, Response, StatusCode};
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::http::ServerSession;
use serde::Serialize;

use crate::edge::auth;
use crate::edge::clock::{Clock, wall_clock};
use crate::edge::generation::Current;
use crate::edge::lifecycle::Lifecycle;
use crate::edge::telemetry::Telemetry;

/// The application behind the admin listener.
#[derive(Debug)]
pub struct Admin {
    pub current: Current,
    pub clock: Clock,
    pub lifecycle: Arc<Lifecycle>,
    pub telemetry: Arc<Telemetry>,
    pub reloads: Arc<ReloadLog>,
}

/// How the latest reloads went.
#[derive(Debug)]
pub struct ReloadLog {
    state: Mutex<ReloadState>,
}

#[derive(Debug, Clone)]
struct ReloadState {
    loaded_at: SystemTime,
    last_error: Option<String>,
}

impl ReloadLog {
    /// The first configuration was loaded just now.
    pub fn new() -> Self {
        Self {
            state: Mutex::new(ReloadState {
                loaded_at: wall_clock(),
                last_error: None,
            }),
        }
    }

    /// A new configuration serves.
    pub fn applied(&self) {
        self.set(ReloadState {
            loaded_at: wall_clock(),
            last_error: None,
        });
    }

    /// The file was refused; the old configuration serves on.
    pub fn refused(&self, why: String) {
        let loaded_at = self.get().loaded_at;
        self.set(ReloadState {
            loaded_at,
            last_error: Some(why),
        });
    }

    /// The file is again the one that serves.
    pub fn mended(&self) {
        let loaded_at = self.get().loaded_at;
        self.set(ReloadState {
            loaded_at,
            last_error: None,
        });
    }

    fn get(&self) -> ReloadState {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.clone()
    }

    fn set(&self, next: ReloadState) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = next;
    }
}

impl Default for ReloadLog {
    fn default() -> Self {
        Self::new()
    }
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
}

impl Admin {
    fn answer(&self, session: &ServerSession) -> Response<Vec<u8>> {
        let request = session.req_header();
        let path = request.uri.path();
        if !matches!(request.method, Method::GET | Method::HEAD) {
            return text(StatusCode::METHOD_NOT_ALLOWED, "use GET\n");
        }
        match path {
            "/healthz" => text(StatusCode::OK, "ok\n"),
            "/readyz" if self.lifecycle.is_draining() => {
                text(StatusCode::SERVICE_UNAVAILABLE, "draining\n")
            }
            "/readyz" => text(StatusCode::OK, "ready\n"),
            "/metrics" => self.metrics(),
            "/api/status" if !self.is_admitted(session) => {
                text(StatusCode::UNAUTHORIZED, "a token is required\n")
            }
            "/api/status" => self.status(),
            _ => text(StatusCode::NOT_FOUND, "no such path\n"),
        }
    }

    fn is_admitted(&self, session: &ServerSession) -> bool {
        let generation = self.current.load();
        let token = generation.snapshot.server.admin.token.as_ref();
        token.is_none_or(|token| auth::is_token(&session.req_header().headers, token.expose()))
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

    fn status(&self) -> Response<Vec<u8>> {
        let generation = self.current.load();
        let reloads = self.reloads.get();
        let status = Status {
            version: env!("CARGO_PKG_VERSION"),
            uptime_seconds: self.clock.now().as_micros() / 1_000_000,
            config: ConfigStatus {
                generation: generation.number,
                hash: generation.hash.clone(),
                loaded_at: humantime::format_rfc3339_seconds(reloads.loaded_at).to_string(),
                last_error: reloads.last_error,
            },
            draining: self.lifecycle.is_draining(),
        };
        let body = serde_json::to_vec(&status).expect("plain fields always serialise");
        answer(StatusCode::OK, "application/json", body)
    }
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

#[async_trait]
impl ServeHttp for Admin {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        self.answer(session)
    }
}
