//! Owns what arrives from a client until it is a request with a body: the path, the key, the body under its
//! limits. Must never start an attempt.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, EXPECT};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use pingora::protocols::http::ServerSession;
use pingora::proxy::Session;
use uuid::Uuid;

use crate::config::snapshot::{Caller, Cors};
use crate::edge::auth::Admission;
use crate::edge::clock::unix_time;
use crate::edge::generation::Generation;
use crate::edge::lifecycle::HeldBytes;
use crate::edge::proxy::cors::Sharing;
use crate::wire::client_error::ClientError;
use crate::wire::client_error::Skin;
use crate::wire::client_request::ClientRequest;
use crate::wire::dialects::Ask;
use crate::wire::hub;

/// Bytes of a request's head, on h1 and on h2: Pingora's own bound on h2, and more than common servers take (8 to
/// 32 KiB). Pingora itself reads up to 1 MiB of one on h1.
pub const LARGEST_HEAD: usize = 64 * 1024;
/// What is set aside for a body before any of it has come.
const FIRST_BUFFER: usize = 256 * 1024;
/// Longest request id that is taken over from a client (surface, "Answers").
const LONGEST_ID: usize = 128;
/// Headers of the client that an upstream gets to see.
const FORWARDED: [&str; 9] = [
    "user-agent",
    "openai-beta",
    "anthropic-version",
    "anthropic-beta",
    "anthropic-dangerous-direct-browser-access",
    "traceparent",
    "tracestate",
    "x-app",
    "x-client-request-id",
];
/// How what the official SDKs say of themselves begins.
const OF_SDKS: &str = "x-stainless-";

/// Tells who bounds a connection that the head of its request has arrived. Pingora hands what a connection
/// carries to the request that follows (`on_connection_reuse`), the first moment after its head.
#[derive(Clone, Debug, Default)]
pub struct AwaitedHead(Arc<AtomicBool>);

impl AwaitedHead {
    pub fn has_arrived(&self) -> bool {
        self.0.load(Relaxed)
    }

    pub(crate) fn arrive(&self) {
        self.0.store(true, Relaxed);
    }
}

/// Whether a head is larger than we take. On h2 its own layer has measured it.
pub(crate) fn is_head_too_large(session: &Session) -> bool {
    let ServerSession::H1(session) = session.as_downstream() else {
        return false;
    };
    session.get_headers_raw_bytes().len() > LARGEST_HEAD
}

/// What a path asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// A model is asked.
    Ask(Ask, Skin),
    Models(Skin),
    /// One model, by its name.
    Model(Skin, String),
    /// What answers here.
    Root,
    /// One of ours, with a method it does not take; the one it takes.
    WrongMethod(Skin, &'static str),
    Unknown,
}

/// Finds what a method and path ask for. A query string does not matter.
pub(crate) fn route(method: &Method, path: &str) -> Route {
    let reads = matches!(method, &Method::GET | &Method::HEAD);
    if path == "/" && reads {
        return Route::Root;
    }
    let (skin, rest) = match (path.strip_prefix("/api/v1"), path.strip_prefix("/v1")) {
        (Some(rest), _) => (Skin::OpenRouter, rest),
        (None, Some(rest)) => (Skin::OpenAi, rest),
        (None, None) => return Route::Unknown,
    };
    if let Some(ask) = Ask::at(rest) {
        let skin = skin_of(ask, skin);
        return match method {
            &Method::POST => Route::Ask(ask, skin),
            _ => Route::WrongMethod(skin, "POST"),
        };
    }
    let name = match rest.strip_prefix("/models") {
        Some("") => None,
        Some(name) if name.starts_with('/') => name.get(1..).and_then(decoded),
        Some(_) | None => return Route::Unknown,
    };
    match (name, reads) {
        (_, false) => Route::WrongMethod(skin, "GET"),
        (None, true) if rest == "/models" => Route::Models(skin),
        (Some(name), true) => Route::Model(skin, name),
        (None, true) => Route::Unknown,
    }
}

/// Text from a path with its `%xx` resolved, none where it is empty or no text.
fn decoded(part: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes().iter();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let mut digit = || char::from(*rest.next()?).to_digit(16);
                let (high, low) = (digit()?, digit()?);
                bytes.push(u8::try_from(high * 16 + low).ok()?);
            }
            byte => bytes.push(*byte),
        }
    }
    String::from_utf8(bytes)
        .ok()
        .filter(|text| !text.is_empty())
}

/// Our own path of what is asked, as logs name it; `below_api`: under OpenRouter's root.
pub(crate) const fn path_of(ask: Ask, below_api: bool) -> &'static str {
    const PLAIN: [&str; Ask::ALL.len()] = [
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/embeddings",
        "/v1/responses",
        "/v1/messages",
        "/v1/messages/count_tokens",
    ];
    const BELOW_API: [&str; Ask::ALL.len()] = [
        "/api/v1/chat/completions",
        "/api/v1/completions",
        "/api/v1/embeddings",
        "/api/v1/responses",
        "/api/v1/messages",
        "/api/v1/messages/count_tokens",
    ];
    match below_api {
        true => BELOW_API[ask.index()],
        false => PLAIN[ask.index()],
    }
}

/// Whose clients ask so: what is asked in Anthropic's dialect is answered in it, below either root.
fn skin_of(ask: Ask, root: Skin) -> Skin {
    match ask {
        Ask::Messages | Ask::CountTokens => Skin::Anthropic,
        Ask::OpenAi(_) | Ask::Responses => root,
    }
}

/// What every answer to one request says, whatever becomes of it.
#[derive(Clone, Debug)]
pub(crate) struct Ids {
    /// The client's own, or ours.
    pub(crate) request: String,
    /// Ours alone.
    pub(crate) generation: String,
    pub(crate) sharing: Sharing,
}

impl Ids {
    /// The names for a request with these headers.
    pub(crate) fn of(headers: &HeaderMap, cors: &Cors) -> Self {
        let own = unique().simple().to_string();
        let given = headers.get("x-request-id").and_then(acceptable);
        Self {
            request: given.unwrap_or_else(|| own.clone()),
            generation: format!("gen-{own}"),
            sharing: Sharing::of(cors, headers),
        }
    }
}

/// A UUID of version 7. It has to be unique, not hard to guess: its random bits come from the thread's own
/// generator, as the system's is one call to the kernel a request.
fn unique() -> Uuid {
    let now = unix_time();
    let millis = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    let mut random = [0; 10];
    fastrand::fill(&mut random);
    uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}

fn acceptable(id: &HeaderValue) -> Option<String> {
    let id = id.to_str().ok()?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let fits = !id.is_empty() && id.len() <= LONGEST_ID && id.bytes().all(plain);
    fits.then(|| id.to_owned())
}

/// What is asked, and whose clients ask so.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub(crate) ask: Ask,
    pub(crate) skin: Skin,
    /// Our own path of it, as logs name it.
    pub(crate) path: &'static str,
}

/// A request that may be tried.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) ids: Ids,
    pub(crate) asked: Wanted,
    pub(crate) caller: Option<Arc<Caller>>,
    /// For the log; providers never see it.
    pub(crate) client: Option<IpAddr>,
    pub(crate) request: ClientRequest,
    /// Read whole, where somebody may be asked who speaks another dialect.
    pub(crate) hub: Option<Box<hub::Request>>,
    pub(crate) body: Bytes,
    /// Given back when the exchange is over.
    pub(crate) _held: HeldBytes,
    pub(crate) forwarded: Vec<(HeaderName, HeaderValue)>,
    /// The client wants to be told of the attempts.
    pub(crate) traced: bool,
}

/// Headers that go on to the upstream.
pub(crate) fn forwarded(headers: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
    let taken = |name: &str| FORWARDED.contains(&name) || name.starts_with(OF_SDKS);
    let forwarded = headers.iter().filter(|(name, _)| taken(name.as_str()));
    forwarded
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// Who calls; an error where the key is wrong.
pub(crate) fn caller(
    generation: &Generation,
    headers: &HeaderMap,
) -> Result<Option<Arc<Caller>>, ClientError> {
    match generation.callers.admit(headers) {
        Admission::Anyone => Ok(None),
        Admission::Known(caller) => Ok(Some(caller.clone())),
        Admission::Refused => Err(ClientError {
            code: Some("invalid_api_key".to_owned()),
            ..ClientError::new(401, "authentication", "no valid API key was provided")
        }),
    }
}

/// Reads the whole body under its cap, the process's budget and a deadline.
pub(crate) async fn read_body(
    session: &mut Session,
    generation: &Generation,
    held: &mut HeldBytes,
) -> Result<Bytes, ClientError> {
    let server = &generation.snapshot.server;
    let declared = declared_length(&session.req_header().headers);
    if declared.is_some_and(|length| length > server.max_body) {
        return Err(too_large(server.max_body));
    }
    if session.req_header().headers.contains_key(EXPECT) {
        let downstream = session.as_downstream_mut();
        if downstream.write_continue_response().await.is_err() {
            return Err(unreadable());
        }
    }
    let reading = gather(session, generation, held, declared.unwrap_or(0));
    match tokio::time::timeout(server.body_timeout, reading).await {
        Ok(body) => body,
        Err(_) => Err(ClientError::new(
            408,
            "timeout",
            "the request body did not arrive in time",
        )),
    }
}

async fn gather(
    session: &mut Session,
    generation: &Generation,
    held: &mut HeldBytes,
    declared: u64,
) -> Result<Bytes, ClientError> {
    let server = &generation.snapshot.server;
    // What is declared is believed only as it arrives.
    let expected = usize::try_from(declared).unwrap_or(0).min(FIRST_BUFFER);
    // A short body comes in one piece, and is not copied.
    let mut only = Bytes::new();
    let mut body = BytesMut::new();
    loop {
        match session.as_downstream_mut().read_request_body().await {
            Ok(None) if body.is_empty() => return Ok(only),
            Ok(None) => return Ok(body.freeze()),
            Ok(Some(chunk)) => {
                if (only.len().max(body.len()) + chunk.len()) as u64 > server.max_body {
                    return Err(too_large(server.max_body));
                }
                if !held.grow(chunk.len() as u64, server.max_inflight_bytes) {
                    return Err(overfull());
                }
                if only.is_empty() {
                    only = chunk;
                    continue;
                }
                if body.is_empty() {
                    body.reserve(expected.max(only.len() + chunk.len()));
                    body.extend_from_slice(&only);
                }
                body.extend_from_slice(&chunk);
            }
            Err(_) => return Err(unreadable()),
        }
    }
}

pub(crate) fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

pub(crate) fn too_large(limit: u64) -> ClientError {
    let message = format!("the request body is larger than {limit} bytes");
    ClientError::new(413, "payload_too_large", message)
}

fn overfull() -> ClientError {
    ClientError {
        retry_after: Some(Duration::from_secs(1)),
        ..ClientError::new(
            503,
            "provider_overloaded",
            "too many request bodies are held at present",
        )
    }
}

pub(crate) fn unreadable() -> ClientError {
    ClientError::new(400, "invalid_request", "the request body could not be read")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_both_skins_are_known() {
        for ask in Ask::ALL {
            for (root, skin) in [("/v1", Skin::OpenAi), ("/api/v1", Skin::OpenRouter)] {
                let skin = skin_of(ask, skin);
                let path = format!("{root}{}", ask.path());
                assert_eq!(path_of(ask, root == "/api/v1"), path);
                assert_eq!(route(&Method::POST, &path), Route::Ask(ask, skin));
                let wrong = Route::WrongMethod(skin, "POST");
                assert_eq!(route(&Method::GET, &path), wrong);
            }
        }
        let table = [
            ("GET", "/v1/models", Route::Models(Skin::OpenAi)),
            ("GET", "/api/v1/models", Route::Models(Skin::OpenRouter)),
            (
                "GET",
                "/v1/models/a/m%2E1",
                Route::Model(Skin::OpenAi, "a/m.1".to_owned()),
            ),
            (
                "HEAD",
                "/api/v1/models/a%2fm:free",
                Route::Model(Skin::OpenRouter, "a/m:free".to_owned()),
            ),
            ("GET", "/v1/models/", Route::Unknown),
            ("GET", "/v1/models/a%2", Route::Unknown),
            ("GET", "/v1/models/a%ff", Route::Unknown),
            ("GET", "/v1/modelsa", Route::Unknown),
            (
                "DELETE",
                "/v1/models/a/m",
                Route::WrongMethod(Skin::OpenAi, "GET"),
            ),
            ("GET", "/", Route::Root),
            ("HEAD", "/", Route::Root),
            ("POST", "/", Route::Unknown),
            ("POST", "/v1/files", Route::Unknown),
            ("POST", "/chat/completions", Route::Unknown),
            ("POST", "/v1/chat/completions/", Route::Unknown),
        ];
        for (method, path, expected) in table {
            let method: Method = method.parse().unwrap();
            assert_eq!(route(&method, path), expected, "{method} {path}");
        }
    }

    #[test]
    fn a_clients_own_id_is_kept_where_it_is_plain() {
        let id = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-request-id", HeaderValue::from_static(value));
            Ids::of(&headers, &Cors::Off).request
        };
        assert_eq!(id("abc-1.2_3"), "abc-1.2_3");
        assert_ne!(id("a b"), "a b");
        assert_ne!(id(""), "");
        let own = Ids::of(&HeaderMap::new(), &Cors::Off);
        assert_eq!(own.generation, format!("gen-{}", own.request));
    }
}
