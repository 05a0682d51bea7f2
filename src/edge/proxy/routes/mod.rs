//! Owns Pingora's hooks: AI routes are answered by hand in the first of them, everything else that a route
//! takes goes through the stock proxy. In reading order: `passing` (one request), `outgoing` (what the provider
//! sees). Must never leave a retry undecided, which Pingora answers with a panic, or send a body twice.

mod passing;
mod outgoing;

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::Method;
use http::header::EXPECT;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorSource, ErrorType, Result};

use crate::config::snapshot::{Caller, Cors};
use crate::edge::generation::Generation;
use crate::edge::proxy::{
    Gateway, client_address, cors, downstream, names, refuse, reply, request, tell_options,
};
use crate::edge::sparing::Sparing;
use crate::edge::telemetry::Routed;
use crate::wire::client_error::ClientError;
use crate::wire::client_error::Skin;

use outgoing::{address_to, clean, is_ambiguous};
use passing::{has_answered, is_elsewhere_better, is_replayable};
use request::{AwaitedHead, Ids};

pub use passing::Passing;

/// Every request of a route may.
static FAILED: Sparing = Sparing::new();
/// What a page may ask of a route: what its provider takes is the provider's to say.
const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE";

impl Gateway {
    /// Admits a request that no model answers. `None`: it was refused.
    pub(crate) async fn admit(
        &self,
        session: &mut Session,
        generation: Arc<Generation>,
        ids: Ids,
    ) -> Option<Box<Passing>> {
        let is_open = generation.snapshot.server.cors != Cors::Off;
        let is_routed = generation
            .routes
            .find(session.req_header().uri.path())
            .is_some();
        if is_open && is_routed && cors::is_preflight(session.req_header()) {
            tell_options(session, &ids, METHODS).await;
            return None;
        }
        match self.routed(session, generation, ids.clone()) {
            Ok(passing) => {
                prepare(session, passing.generation.snapshot.server.body_timeout).await;
                Some(Box::new(passing))
            }
            Err(error) => {
                refuse(session, &ids, &error, Skin::OpenAi).await;
                None
            }
        }
    }

    fn routed(
        &self,
        session: &Session,
        generation: Arc<Generation>,
        ids: Ids,
    ) -> std::result::Result<Passing, ClientError> {
        let head = session.req_header();
        let path = head.uri.path();
        let no_such_path = || ClientError::new(404, "not_found", "no such path");
        let prepared = generation
            .routes
            .find(path)
            .ok_or_else(no_such_path)?
            .clone();
        let caller = request::caller(&generation, &head.headers)?;
        if is_ambiguous(path) {
            return Err(no_such_path());
        }
        check(head, caller.as_deref())?;
        let most = generation.snapshot.server.max_body;
        if request::declared_length(&head.headers).is_some_and(|length| length > most) {
            return Err(request::too_large(most));
        }
        let client = client_address::of(session, &generation.snapshot.server.trusted_proxies);
        let mut passing = Passing::new(generation, prepared, ids, caller, self.lifecycle.begin());
        path.clone_into(&mut passing.path);
        passing.client = client;
        Ok(passing)
    }

    fn observe(&self, session: &Session, passing: &Passing, error: Option<&Error>) {
        let provider = passing
            .candidate()
            .map(|candidate| candidate.source.name.as_str());
        let written = session.response_written();
        self.telemetry.observe_routed(
            &passing.generation,
            &Routed {
                route: passing.prepared.route.path.as_str(),
                path: &passing.path,
                provider: provider.unwrap_or_default(),
                key: passing.candidate().map(|candidate| candidate.key.as_str()),
                request_id: &passing.ids.request,
                caller: passing.caller.as_ref().map(|caller| &caller.name),
                client: passing.client,
                status: written.map_or(0, |head| head.status.as_u16()),
                result: result(passing, error),
                tries: passing.tries(),
                took: passing.started.elapsed(),
            },
        );
    }
}

/// Objects to what must not be passed on for this caller.
fn check(head: &RequestHeader, caller: Option<&Caller>) -> std::result::Result<(), ClientError> {
    if matches!(head.method, Method::TRACE | Method::CONNECT) {
        // A TRACE returns what was sent, and with it the provider's key.
        let message = format!("{} is not passed on", head.method);
        return Err(ClientError::new(405, "invalid_request", message));
    }
    let Some(caller) = caller else { return Ok(()) };
    if !caller.may_use_all() {
        // Which model a routed request uses is nobody's to say: its body is not read.
        let message = "this API key may use some models only, so it may not use other paths";
        return Err(ClientError::new(403, "permission_denied", message));
    }
    let query = head.uri.query().unwrap_or_default();
    if query.contains(caller.key.expose()) {
        let message = "the API key stands in the query; send it in a header";
        return Err(ClientError::new(400, "invalid_request", message));
    }
    Ok(())
}

fn result(passing: &Passing, error: Option<&Error>) -> &'static str {
    match error {
        None => "answered",
        // The client is there, and what it sends is refused.
        Some(error) if *error.etype() == TOO_LONG => "failed",
        Some(error) if *error.esource() == ErrorSource::Downstream => "client_gone",
        Some(_) if passing.answered => "broken",
        Some(_) => "failed",
    }
}

/// Bounds what a client may take, and lets it send its body: nothing above us asks for it.
async fn prepare(session: &mut Session, patience: Duration) {
    let expects = session.req_header().headers.contains_key(EXPECT);
    let downstream = session.as_downstream_mut();
    downstream.set_read_timeout(Some(patience));
    if expects && !downstream.is_upgrade_req() {
        // A client that is gone is found out by the next read.
        downstream.write_continue_response().await.ok();
    }
}

/// What a body over the cap ends a request with.
const TOO_LONG: ErrorType = ErrorType::HTTPStatus(413);

fn error_of(error: &Error, most: u64) -> ClientError {
    let unavailable = |status| {
        ClientError::new(
            status,
            "provider_unavailable",
            "the provider cannot be reached",
        )
    };
    match (error.etype(), error.esource()) {
        (ErrorType::HTTPStatus(413), _) => request::too_large(most),
        (ErrorType::ReadTimedout, ErrorSource::Downstream) => {
            ClientError::new(408, "timeout", "the request body did not arrive in time")
        }
        (_, ErrorSource::Downstream) => request::unreadable(),
        (ErrorType::ConnectNoRoute, _) => unavailable(503),
        (
            ErrorType::ConnectTimedout
            | ErrorType::TLSHandshakeTimedout
            | ErrorType::ReadTimedout
            | ErrorType::WriteTimedout,
            _,
        ) => ClientError::new(504, "timeout", "the provider did not answer in time"),
        (_, ErrorSource::Upstream) => unavailable(502),
        (_, ErrorSource::Internal | ErrorSource::Unset) => {
            ClientError::new(500, "server", "the request could not be passed on")
        }
    }
}

fn has_timed_out(error: &Error) -> bool {
    matches!(
        error.etype(),
        ErrorType::ReadTimedout | ErrorType::WriteTimedout
    )
}

/// An error where the provider's `total` is over. Nobody is blamed for it: it bounds the client's part, too.
fn in_time(passing: &Passing) -> Result<()> {
    match passing.is_late() {
        true => Err(Error::explain(ErrorType::ReadTimedout, "`total` is over").into_in()),
        false => Ok(()),
    }
}

#[async_trait]
impl ProxyHttp for Gateway {
    /// `None` for what is answered by hand.
    type CTX = Option<Box<Passing>>;

    fn new_ctx(&self) -> Self::CTX {
        None
    }

    /// Called right after the head, with what the connection brought along.
    fn on_connection_reuse(
        &self,
        _session: &mut Session,
        _ctx: &mut Self::CTX,
        brought: Box<dyn Any + Send + Sync>,
    ) {
        if let Ok(head) = brought.downcast::<AwaitedHead>() {
            head.arrive();
        }
    }

    async fn request_filter(&self, session: &mut Session, ctx: &mut Self::CTX) -> Result<bool> {
        *ctx = self.handle(session).await;
        Ok(ctx.is_none())
    }

    async fn upstream_peer(
        &self,
        session: &mut Session,
        ctx: &mut Self::CTX,
    ) -> Result<Box<HttpPeer>> {
        let nobody = || Error::explain(ErrorType::ConnectNoRoute, "no candidate is left");
        let passing = ctx.as_mut().ok_or_else(nobody)?;
        let is_replayable = is_replayable(session);
        let candidate = loop {
            let candidate = passing.next(self.clock.now()).await.ok_or_else(nobody)?;
            let candidate = candidate.clone();
            let has_token = match &candidate.source.grant {
                Some(grant) => grant.token().await.is_some(),
                None => true,
            };
            if has_token {
                break candidate;
            }
            passing.blame();
        };
        Ok(Box::new(passing.peer_of(&candidate, is_replayable)))
    }

    fn fail_to_connect(
        &self,
        _session: &mut Session,
        _peer: &HttpPeer,
        ctx: &mut Self::CTX,
        mut error: Box<Error>,
    ) -> Box<Error> {
        // Nothing was sent: any request may go on.
        let passing = ctx.as_ref();
        error.set_retry(passing.is_some_and(|passing| {
            passing.blame();
            passing.has_more()
        }));
        error
    }

    async fn upstream_request_filter(
        &self,
        _session: &mut Session,
        head: &mut RequestHeader,
        ctx: &mut Self::CTX,
    ) -> Result<()> {
        let passing = ctx.as_ref();
        let caller = passing.and_then(|passing| passing.caller.as_deref());
        let candidate = passing.and_then(|passing| passing.candidate());
        let addressed = match candidate {
            Some(candidate) => address_to(head, candidate, caller),
            None => Err("nobody".to_owned()),
        };
        addressed.map_err(|what| {
            let cause = format!("{what} cannot be sent");
            Error::explain(ErrorType::InvalidHTTPHeader, cause).into_in()
        })
    }

    async fn request_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        _end: bool,
        ctx: &mut Self::CTX,
    ) -> Result<()> {
        let Some(passing) = ctx else { return Ok(()) };
        passing.read += body.as_ref().map_or(0, |piece| piece.len() as u64);
        let most = passing.generation.snapshot.server.max_body;
        // A conversation has no length.
        if passing.read > most && !session.as_downstream().was_upgraded() {
            let error = Error::explain(TOO_LONG, "the body is too long");
            return Err(error.into_down());
        }
        in_time(passing)
    }

    fn upstream_response_body_filter(
        &self,
        _session: &mut Session,
        _body: &mut Option<Bytes>,
        _end: bool,
        ctx: &mut Self::CTX,
    ) -> Result<Option<Duration>> {
        ctx.as_deref().map_or(Ok(()), in_time)?;
        Ok(None)
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        head: &mut ResponseHeader,
        ctx: &mut Self::CTX,
    ) -> Result<()> {
        let Some(passing) = ctx else { return Ok(()) };
        let switches = head.status == http::StatusCode::SWITCHING_PROTOCOLS;
        if head.status.is_informational() && !switches {
            return Ok(());
        }
        passing.judge(head);
        if is_elsewhere_better(head.status) && is_replayable(session) && passing.has_more() {
            let mut error = Error::explain(
                ErrorType::HTTPStatus(head.status.as_u16()),
                "another may do better",
            );
            error.as_up();
            error.set_retry(true);
            return Err(error);
        }
        passing.answered = true;
        if switches {
            passing.switched = true;
            // Who only listens is not gone; the server's silence ends the conversation.
            session.as_downstream_mut().set_read_timeout(None);
        }
        clean(head);
        reply::insert(head, &names::REQUEST_ID, &passing.ids.request);
        // Who may read what is said here, not at the provider.
        passing.ids.sharing.describe(head);
        Ok(())
    }

    fn error_while_proxy(
        &self,
        peer: &HttpPeer,
        session: &mut Session,
        error: Box<Error>,
        ctx: &mut Self::CTX,
        client_reused: bool,
    ) -> Box<Error> {
        let mut error = error.more_context(format!("peer: {peer}"));
        let is_ours = *error.esource() == ErrorSource::Upstream;
        let judged = matches!(error.etype(), ErrorType::HTTPStatus(_));
        let retry = ctx.as_mut().is_some_and(|passing| {
            let may_go_on = is_ours && is_replayable(session);
            let was_dead = client_reused && !judged && !has_timed_out(&error);
            if may_go_on && was_dead && passing.renew() {
                return true;
            }
            if is_ours && !judged {
                passing.blame();
            }
            may_go_on && passing.has_more()
        });
        error.set_retry(retry);
        error
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        ctx: &mut Self::CTX,
    ) -> FailToProxy {
        let mut code = 0;
        if let Some(passing) = ctx {
            let most = passing.generation.snapshot.server.max_body;
            let error = error_of(error, most);
            if has_answered(session) {
                downstream::abort(session, None).await;
            } else {
                code = error.status;
                session.set_keepalive(None);
                refuse(session, &passing.ids, &error, Skin::OpenAi).await;
                // An answer must not be lost to the reset that unread bytes cause.
                downstream::drain(session).await;
            }
        }
        FailToProxy {
            error_code: code,
            can_reuse_downstream: false,
        }
    }

    fn suppress_proxy_warn_log(
        &self,
        _session: &Session,
        _ctx: &Self::CTX,
        _error: &Error,
        _context: ProxyWarnLogContext,
    ) -> bool {
        // The access log and the metrics hold every try.
        true
    }

    /// A failed request is one line of the access log; why is said now and then.
    fn suppress_error_log(&self, _session: &Session, _ctx: &Self::CTX, error: &Error) -> bool {
        if let Some(unsaid) = FAILED.turn() {
            tracing::warn!(%error, unsaid, "a request of a route failed");
        }
        true
    }

    /// Pingora's summary of a request: the path without its query, which may hold what is nobody's business.
    fn request_summary(&self, session: &Session, _ctx: &Self::CTX) -> String {
        let head = session.req_header();
        format!("{} {}", head.method, head.uri.path())
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, ctx: &mut Self::CTX) {
        if let Some(passing) = ctx.take() {
            self.observe(session, &passing, error);
        }
    }
}
