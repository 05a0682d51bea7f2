//! Owns the heads and bodies that we write ourselves. Must never say what an upstream said of keys or money.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, TRANSFER_ENCODING};
use http::{HeaderName, Version};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;

use crate::core::catalog::EndpointIx;
use crate::core::drift::Drift;
use crate::core::exchange::Exchange;
use crate::core::time::Time;
use crate::edge::generation::Generation;
use crate::edge::proxy::request::Ids;
use crate::edge::proxy::{downstream, names};
use crate::edge::sparing::Sparing;
use crate::wire::client_error::ClientError;
use crate::wire::client_error::Skin;
use crate::wire::dialects::error_body;

/// Every answer may be.
static BEYOND: Sparing = Sparing::new();

/// A head with what every answer of the exchange says.
pub(crate) fn head(status: u16, ids: &Ids) -> Box<ResponseHeader> {
    // Pingora would keep a second map to remember how each name was spelt.
    let head = ResponseHeader::build_no_case(status, Some(16));
    let mut head = Box::new(head.expect("our own statuses are all valid"));
    insert(&mut head, &names::REQUEST_ID, &ids.request);
    insert(&mut head, &names::GENERATION_ID, &ids.generation);
    ids.sharing.describe(&mut head);
    head
}

/// Sets a header; a value that no header can hold is left out.
pub(crate) fn insert(head: &mut ResponseHeader, name: &HeaderName, value: &str) {
    if let Err(error) = head.insert_header(name, value) {
        tracing::debug!(%name, %error, "header left out");
    }
}

/// What an answer says of how it came to be (surface, "Answers"): the endpoint that answers, and the model's name
/// as it was asked for where a wildcard has it. Returns what it says of drift.
pub(crate) fn describe(
    head: &mut ResponseHeader,
    generation: &Generation,
    (exchange, now): (&Exchange, Time),
    served: Option<(EndpointIx, Option<&str>)>,
) -> Option<String> {
    insert(head, &names::ATTEMPTS, &exchange.attempts().to_string());
    insert(
        head,
        &names::RECOVERY,
        &exchange.recovery().as_millis().to_string(),
    );
    let (served, wild) = served?;
    let catalog = &generation.snapshot.catalog;
    let model = catalog.name_of(catalog.endpoint(served).model, wild);
    insert(head, &names::ENDPOINT, generation.id(served));
    insert(head, &names::MODEL, model);
    if let Some(class) = exchange.fallback() {
        insert(head, &names::FALLBACK, class.as_str());
    }
    let drift = drift(generation, (exchange, now), served)?;
    insert(head, &names::DRIFT, &drift);
    Some(drift)
}

/// How the endpoint that serves differs from the one that was meant; `None`: in nothing that matters.
fn drift(
    generation: &Generation,
    (exchange, now): (&Exchange, Time),
    served: EndpointIx,
) -> Option<String> {
    let catalog = &generation.snapshot.catalog;
    let meant = exchange.meant(catalog)?;
    let mut drift = Drift::between(catalog, meant, served).to_string();
    let beyond = exchange.beyond(served, catalog, &generation.health, now);
    let words: Vec<&str> = beyond.iter().map(|what| what.as_str()).collect();
    if !words.is_empty() {
        let words = words.join(",");
        let endpoint = generation.id(served);
        if let Some(unsaid) = BEYOND.turn() {
            tracing::warn!(endpoint, beyond = %words, unsaid, "the answer is beyond what the policy lets differ");
        }
        if !drift.is_empty() {
            drift.push(' ');
        }
        drift.push_str("beyond=");
        drift.push_str(&words);
    }
    (!drift.is_empty()).then_some(drift)
}

/// Writes an error answer. Returns its status, or `None` where the client is gone.
pub(crate) async fn write_error(
    session: &mut Session,
    mut head: Box<ResponseHeader>,
    error: &ClientError,
    skin: Skin,
) -> Option<u16> {
    if let Some(wait) = error.retry_after {
        // Whole seconds, rounded up: an SDK that comes back early is turned away again.
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        head.insert_header(RETRY_AFTER, seconds.to_string()).ok()?;
    }
    write_json(session, head, error_body(error, skin)).await
}

/// Writes a JSON answer. Returns its status, or `None` where the client is gone.
pub(crate) async fn write_json(
    session: &mut Session,
    mut head: Box<ResponseHeader>,
    body: Bytes,
) -> Option<u16> {
    let status = head.status.as_u16();
    head.insert_header(CONTENT_TYPE, "application/json").ok()?;
    head.insert_header(CONTENT_LENGTH, body.len().to_string())
        .ok()?;
    let whole = downstream::write_head(session, head, false).await
        && downstream::finish(session, Some(body)).await;
    whole.then_some(status)
}

/// Says how a body of unknown length will end: HTTP/1.1 must be told that it comes in chunks, HTTP/1.0 knows
/// only the connection's end, h2 marks its frames.
pub(crate) fn leave_length_open(session: &mut Session, head: &mut ResponseHeader) {
    match session.req_header().version {
        Version::HTTP_11 => insert(head, &TRANSFER_ENCODING, "chunked"),
        Version::HTTP_10 => session.set_keepalive(None),
        _ => {}
    }
}

/// The head of a stream.
pub(crate) fn stream_headers(head: &mut ResponseHeader) {
    insert(head, &CONTENT_TYPE, "text/event-stream");
    insert(head, &CACHE_CONTROL, "no-cache");
    insert(head, &names::BUFFERING, "no");
}
