//! Owns what an endpoint is sent: the body in a dialect that it speaks, and the head with what the client adds to it.
//! Must never send a dialect's own headers to an upstream that is spoken to in another.

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use pingora::http::ResponseHeader;

use crate::core::catalog::EndpointIx;
use crate::edge::clock::wall_clock;
use crate::edge::generation::{Generation, Upstream, Way};
use crate::edge::proxy::request::Incoming;
use crate::edge::proxy::upstream::Outgoing;
use crate::edge::proxy::{names, reply};
use crate::edge::telemetry::{TRACEPARENT, TRACESTATE};
use crate::edge::template::Template;
use crate::wire::anthropic::version;
use crate::wire::dialect::Framing;
use crate::wire::dialects::{Ask, Dialect};
use crate::wire::rope::Rope;

/// Headers of the client that only speakers of some dialects understand.
const OF_DIALECTS: [(&str, &[Dialect]); 2] = [
    ("openai-", &[Dialect::OpenAi, Dialect::Responses]),
    ("anthropic-", &[Dialect::Anthropic]),
];

/// How an attempt's request was written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sent {
    /// The upstream's dialect, where it is not the client's.
    pub(crate) dialect: Option<Dialect>,
    /// Fields of the request that were left out for it.
    dropped: Vec<String>,
}

impl Sent {
    /// Says what was left out, where something was.
    pub(crate) fn tell_dropped(&self, head: &mut ResponseHeader) {
        if !self.dropped.is_empty() {
            reply::insert(head, &names::DROPPED, &self.dropped.join(" "));
        }
    }
}

/// What our own trace says to an upstream, and whether the trace is the client's.
type Traced = Option<(Option<HeaderValue>, bool)>;

/// The request for an endpoint. `wild` is the model's name as it was asked for, where a wildcard has it.
pub(crate) fn to(
    generation: &Generation,
    incoming: &Incoming,
    (endpoint, wild): (EndpointIx, Option<&str>),
    traced: Traced,
) -> (Outgoing, Sent) {
    let catalog = &generation.snapshot.catalog;
    let model = catalog.upstream_name_of(endpoint, wild);
    let stream = incoming.request.facts.stream;
    let upstream = generation.upstream(endpoint);
    let way = upstream.way(incoming.asked.ask, stream);
    let (body, sent) = written(incoming, (way, upstream), model);
    let dialect = sent.dialect.unwrap_or(incoming.asked.ask.dialect());
    let provider = wild.and_then(|_| generation.provider_of(endpoint));
    let template = match provider {
        Some(provider) => {
            let key = &catalog.endpoint(endpoint).key;
            way.template((provider, key), (incoming.asked.ask, stream), model)
        }
        None => way.head().clone(),
    };
    let own = &template.head().headers;
    let mut forwarded: Vec<(HeaderName, HeaderValue)> = Vec::with_capacity(4);
    // A trace of ours takes the place of what the client says of its own.
    let stays = |name: &HeaderName| match &traced {
        Some((_, is_the_clients)) => {
            *name != TRACEPARENT && (*is_the_clients || *name != TRACESTATE)
        }
        None => true,
    };
    let fits = |name: &HeaderName| !own.contains_key(name) && stays(name) && is_of(name, dialect);
    forwarded.extend(
        incoming
            .forwarded
            .iter()
            .filter(|(name, _)| fits(name))
            .cloned(),
    );
    if let Some((Some(told), _)) = traced
        && !own.contains_key(&TRACEPARENT)
    {
        forwarded.push((TRACEPARENT.clone(), told));
    }
    for (name, value) in dialect.upstream().headers() {
        let is_said = own.contains_key(*name) || forwarded.iter().any(|(said, _)| said == name);
        if !is_said {
            let value = HeaderValue::from_static(value);
            forwarded.push((HeaderName::from_static(name), value));
        }
    }
    let (body, signature) = signed(generation, endpoint, &template, body);
    forwarded.extend(signature);
    let outgoing = Outgoing {
        forwarded,
        accept: accept(dialect, stream),
        template,
        body,
    };
    (outgoing, sent)
}

fn written(
    incoming: &Incoming,
    (way, upstream): (Way<'_>, &Upstream),
    model: &str,
) -> (Rope, Sent) {
    let ask = incoming.asked.ask;
    let version = upstream.anthropic_version.as_deref();
    let untouched = || match version.filter(|_| ask.dialect() == Dialect::Anthropic) {
        Some(version) => {
            let model = (ask == Ask::CountTokens).then_some(model);
            let members = version::members(version, model);
            incoming.request.rewrite_with(&incoming.body, members)
        }
        None => incoming.request.rewrite(&incoming.body, model),
    };
    let (Way::Translated(dialect, _), Some(hub)) = (way, &incoming.hub) else {
        return (untouched(), Sent::default());
    };
    let face = dialect.upstream();
    // What no model of the dialect can do without has kept the endpoint out of the plan; what this one model cannot is
    // told.
    let lost = face.losses_for(hub, model);
    let lost = lost.unwrap_or_else(|unsupported| vec![unsupported.0]);
    let lost = lost.into_iter().map(str::to_owned);
    let sent = Sent {
        dialect: Some(dialect),
        dropped: lost
            .chain(hub.unknown.iter().map(|name| told(name)))
            .collect(),
    };
    let body = face.write_request(hub, model);
    (addressed(body, dialect, upstream, model).into(), sent)
}

/// A body that was written in a dialect, as this upstream has it say the model.
pub(crate) fn addressed(body: Bytes, dialect: Dialect, upstream: &Upstream, model: &str) -> Bytes {
    match &upstream.anthropic_version {
        Some(version) if dialect == Dialect::Anthropic => {
            version::with_version(&body, model, version)
        }
        Some(_) | None => body,
    }
}

/// The signature of a request, where its provider asks for one. It is over the body in one piece.
pub(crate) fn signed(
    generation: &Generation,
    endpoint: EndpointIx,
    template: &Template,
    body: Rope,
) -> (Rope, Vec<(HeaderName, HeaderValue)>) {
    let Some(signer) = &generation.upstream(endpoint).signer else {
        return (body, Vec::new());
    };
    let body = body.into_bytes();
    let signature = signer.sign(template.head(), &body, wall_clock());
    let signature = signature.unwrap_or_else(|error| {
        // The upstream refuses it, and the endpoint's key rests: as with any key that does not work.
        tracing::error!(endpoint = generation.id(endpoint), %error, "a request cannot be signed");
        Vec::new()
    });
    (body.into(), signature)
}

/// What an answer is asked to be.
pub(crate) fn accept(dialect: Dialect, stream: bool) -> &'static str {
    match (stream, dialect.upstream().framing()) {
        (false, _) => "application/json",
        (true, Framing::Sse) => "text/event-stream",
        (true, Framing::EventStream) => "application/vnd.amazon.eventstream",
    }
}

/// The name of a field that nobody knows, as far as a header can hold it.
fn told(name: &str) -> String {
    let plain = |c: &char| c.is_ascii_alphanumeric() || "_-.[]".contains(*c);
    name.chars().filter(plain).take(64).collect()
}

/// Whether speakers of the dialect understand a header of the client.
fn is_of(name: &HeaderName, dialect: Dialect) -> bool {
    let owners = OF_DIALECTS
        .iter()
        .find(|(prefix, _)| name.as_str().starts_with(prefix));
    owners.is_none_or(|(_, dialects)| dialects.contains(&dialect))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dialects_headers_go_to_its_speakers_alone() {
        let is_of = |name: &'static str, dialect| is_of(&HeaderName::from_static(name), dialect);
        assert!(is_of("anthropic-beta", Dialect::Anthropic));
        assert!(!is_of("anthropic-beta", Dialect::OpenAi));
        assert!(is_of("openai-beta", Dialect::Responses));
        assert!(!is_of("openai-beta", Dialect::Gemini));
        assert!(is_of("user-agent", Dialect::Gemini));
    }
}
