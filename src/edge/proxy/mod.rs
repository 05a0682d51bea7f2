//! Owns the data plane: the Pingora service that answers AI routes by hand inside `request_filter`, and
//! passes on what other routes take. In reading order: `client_address` and `cors` (who asks), `request` (what arrives), `downstream` (what is written), `drive` (the loop of one exchange), `outgoing`, `attempt`, `probing`, `connect`,
//! `upstream` with `head`, `h1`, `http2`, `upload` and `decode`, then `reader`, `names`, `reply`, `told`, `models`, `routes` (the hooks). Must never decide routing, or run a host's `fail_to_proxy`.

mod client_address;
mod cors;
mod request;
mod downstream;
mod drive;
mod outgoing;
mod attempt;
mod probing;
mod connect;
mod upstream;
mod head;
mod h1;
mod http2;
mod upload;
mod decode;
mod reader;
mod reply;
mod names;
mod told;
mod models;
mod routes;

use std::sync::Arc;

use bytes::Bytes;
use http::header::ALLOW;
use http::{HeaderMap, Method};
use pingora::http::RequestHeader;
use pingora::proxy::Session;

use crate::config::snapshot::{Caller, Snapshot};
use crate::core::nearest::nearest;
use crate::core::time::Time;
use crate::edge::carrying;
use crate::edge::clock::Clock;
use crate::edge::conversations::{Asked, Conversation};
use crate::edge::generation::{Current, Generation};
use crate::edge::lifecycle::Lifecycle;
use crate::edge::planning::{self, NobodyLeft, PlanError, Planned};
use crate::edge::telemetry::{Refusal, Telemetry};
use crate::wire::anthropic::count;
use crate::wire::client_error::{ClientError, RequestError, Skin};
use crate::wire::dialects::Ask;

use drive::Drive;
use request::{Ids, Incoming, Route, Wanted};

pub use connect::Connector;
pub(crate) use probing::Probing;
pub use request::{AwaitedHead, LARGEST_HEAD};
pub use routes::Passing;

/// What `/` says to anyone: enough to see that the base URL is right.
const ROOT: &str = concat!(
    r#"{"name":"mainstay","version":""#,
    env!("CARGO_PKG_VERSION"),
    "\"}"
);

/// The code where no endpoint can take what a request asks for.
const NOBODY_CAN: &str = "no_endpoint_can";

/// The service behind the data listeners.
#[derive(Debug, Clone)]
pub struct Gateway {
    pub current: Current,
    pub connector: Arc<Connector>,
    pub clock: Clock,
    pub lifecycle: Arc<Lifecycle>,
    pub telemetry: Arc<Telemetry>,
}

impl Gateway {
    /// Whether the request's path is one of ours, whatever its method, and whatever `routes` take beside it.
    pub fn knows(head: &RequestHeader) -> bool {
        request::route(&head.method, head.uri.path()) != Route::Unknown
    }

    /// Answers a request, or aborts it: nothing is left to do on the session afterwards but to finish it. What
    /// a route takes comes back, for the hooks to pass on.
    pub async fn handle(&self, session: &mut Session) -> Option<Box<Passing>> {
        let generation = self.current.load_full();
        let head = session.req_header();
        let ids = Ids::of(&head.headers, &generation.snapshot.server.cors);
        let route = request::route(&head.method, head.uri.path());
        if self.lifecycle.is_draining() {
            session.set_keepalive(None);
        }
        downstream::prepare(session);
        if request::is_head_too_large(session) {
            too_large(session, &ids, &route).await;
            return None;
        }
        match route {
            Route::Ask(ask, skin) => {
                let path =
                    request::path_of(ask, session.req_header().uri.path().starts_with("/api/"));
                let wanted = Wanted { ask, skin, path };
                self.ask(session, generation, ids, wanted).await;
            }
            Route::Models(skin) => {
                let list = |of: &Snapshot, to: Option<&Caller>| Ok(models::list(of, to));
                tell_models(session, &generation, &ids, skin, list).await;
            }
            Route::Model(skin, name) => {
                let one = |of: &Snapshot, to: Option<&Caller>| {
                    models::one(of, to, &name).ok_or_else(|| unknown_model(of, to, &name))
                };
                tell_models(session, &generation, &ids, skin, one).await;
            }
            Route::Root => write(session, &ids, Bytes::from_static(ROOT.as_bytes())).await,
            Route::WrongMethod(skin, allowed) => {
                if session.req_header().method == Method::OPTIONS {
                    tell_options(session, &ids, allowed).await;
                } else {
                    wrong_method(session, &ids, skin, allowed).await;
                }
            }
            Route::Unknown => return self.admit(session, generation, ids).await,
        }
        None
    }

    async fn ask(
        &self,
        session: &mut Session,
        generation: Arc<Generation>,
        ids: Ids,
        asked: Wanted,
    ) {
        let _in_flight = self.lifecycle.begin();
        let known = ids.clone();
        let mut incoming = match self.receive(session, &generation, known, asked).await {
            Ok(incoming) => incoming,
            Err(error) => {
                self.note_refusal(&generation, (&ids, asked), None, &error);
                return refuse(session, &ids, &error, asked.skin).await;
            }
        };
        let headers = &session.req_header().headers;
        let carried = carry(&generation, &mut incoming);
        match plan(&generation, &incoming, headers, self.clock.now()) {
            Ok(turn) => {
                let streams = incoming.request.facts.stream;
                let _open = streams.then(|| self.lifecycle.stream());
                let drive = Drive::new(self, session, generation, &incoming, turn);
                Box::pin(drive.run()).await;
            }
            Err(error) => {
                self.note_refusal(&generation, (&ids, asked), Some(&incoming), &error);
                match error.code.as_deref() {
                    Some(NOBODY_CAN) => {
                        uncarried(session, &incoming, carried.err(), &error).await;
                    }
                    Some(_) | None => refuse(session, &ids, &error, asked.skin).await,
                }
            }
        }
    }

    /// Tells operators of a request that has no plan.
    fn note_refusal(
        &self,
        generation: &Generation,
        (ids, asked): (&Ids, Wanted),
        incoming: Option<&Incoming>,
        error: &ClientError,
    ) {
        let caller = incoming.and_then(|incoming| incoming.caller.as_ref());
        let refusal = Refusal {
            id: &ids.request,
            generation_id: &ids.generation,
            path: asked.path,
            caller: caller.map(|caller| &caller.name),
            model: incoming.map(|incoming| incoming.request.facts.model.as_str()),
            status: error.status,
            error: error.error_type,
        };
        self.telemetry.observe_refused(generation, refusal);
    }

    /// Reads a request whole.
    async fn receive(
        &self,
        session: &mut Session,
        generation: &Generation,
        ids: Ids,
        asked: Wanted,
    ) -> Result<Incoming, ClientError> {
        let headers = &session.req_header().headers;
        let caller = request::caller(generation, headers)?;
        let client = client_address::of(session, &generation.snapshot.server.trusted_proxies);
        let forwarded = request::forwarded(headers);
        let traced = headers.get(&told::HEADER).is_some_and(|asked| asked == "1");
        let mut held = self.lifecycle.hold();
        let body = request::read_body(session, generation, &mut held).await?;
        let request = asked.ask.scan(&body)?;
        Ok(Incoming {
            ids,
            asked,
            caller,
            client,
            request,
            hub: None,
            body,
            _held: held,
            forwarded,
            traced,
        })
    }
}

/// Answers a request that nobody who may be asked can be told: for what could not be read of it, if that is why. Tokens
/// that nobody counts are estimated as routing estimates them.
async fn uncarried(
    session: &mut Session,
    incoming: &Incoming,
    unread: Option<RequestError>,
    error: &ClientError,
) {
    match (incoming.asked.ask, unread) {
        (Ask::CountTokens, _) => {
            let tokens = incoming.request.facts.prompt_tokens();
            write(session, &incoming.ids, count::answer(tokens)).await;
        }
        (_, Some(unread)) => {
            let error = ClientError::from(unread);
            refuse(session, &incoming.ids, &error, incoming.asked.skin).await;
        }
        (_, None) => refuse(session, &incoming.ids, error, incoming.asked.skin).await,
    }
}

/// Reads a request for those who speak other dialects, where there are such.
fn carry(generation: &Generation, incoming: &mut Incoming) -> Result<(), RequestError> {
    let facts = &mut incoming.request.facts;
    if generation.all_speak(facts.speech.tongue) {
        return Ok(());
    }
    let known = (&generation.snapshot.catalog, generation.targets());
    incoming.hub = carrying::carry(known, incoming.asked.ask, facts, &incoming.body)?;
    Ok(())
}

/// Answers with what `tell` says of the models to who calls. Anthropic's clients, which say so, get its errors.
async fn tell_models(
    session: &mut Session,
    generation: &Generation,
    ids: &Ids,
    skin: Skin,
    tell: impl FnOnce(&Snapshot, Option<&Caller>) -> Result<Bytes, ClientError>,
) {
    let headers = &session.req_header().headers;
    let skin = match headers.contains_key("anthropic-version") {
        true => Skin::Anthropic,
        false => skin,
    };
    let told = request::caller(generation, headers)
        .and_then(|caller| tell(&generation.snapshot, caller.as_deref()));
    match told {
        Ok(body) => write(session, ids, body).await,
        Err(error) => refuse(session, ids, &error, skin).await,
    }
}

/// Plans a request with what is known of its conversation, or says why nobody can be asked.
fn plan(
    generation: &Generation,
    incoming: &Incoming,
    headers: &HeaderMap,
    now: Time,
) -> Result<(Planned, Option<Conversation>), ClientError> {
    let snapshot = &generation.snapshot;
    let caller = incoming.caller.as_deref();
    let facts = &incoming.request.facts;
    let mut planned =
        planning::plan(snapshot, &generation.health, caller, facts.clone()).map_err(|error| {
            match error {
                PlanError::UnknownModel => unknown_model(snapshot, caller, &facts.model),
                PlanError::ModelNotAllowed => ClientError {
                    code: Some("model_not_allowed".to_owned()),
                    param: Some("model".to_owned()),
                    ..ClientError::new(
                        403,
                        "permission_denied",
                        format!("this API key may not use the model '{}'", facts.model),
                    )
                },
            }
        })?;
    let asked = Asked {
        headers,
        request: &incoming.request,
        body: &incoming.body,
        caller,
        wild: planned.wild.as_deref(),
    };
    let known = (&snapshot.catalog, &generation.places);
    let conversations = &generation.conversations;
    let conversation = conversations.join(known, &mut planned.plan, asked, now);
    match planning::nobody_left(&planned.plan, &snapshot.catalog) {
        None => Ok((planned, conversation)),
        Some(nobody) => Err(no_endpoint(&facts.model, &nobody)),
    }
}

/// 400 where the request asks for too much, 404 where a rule leaves nobody, as OpenRouter answers. Never 503: trying
/// again does not help.
fn no_endpoint(model: &str, nobody: &NobodyLeft) -> ClientError {
    let NobodyLeft {
        of_request,
        too_long,
        why,
    } = nobody;
    let (status, error_type, code) = match (too_long, of_request) {
        (true, _) => (400, "context_length_exceeded", "context_length_exceeded"),
        (false, true) => (400, "invalid_request", NOBODY_CAN),
        (false, false) => (404, "not_found", "no_endpoint_may"),
    };
    let message = format!("no endpoint of '{model}' can take this request: {why}");
    ClientError {
        code: Some(code.to_owned()),
        ..ClientError::new(status, error_type, message)
    }
}

fn unknown_model(snapshot: &Snapshot, caller: Option<&Caller>, asked: &str) -> ClientError {
    let names = models::usable(snapshot, caller).map(|model| model.name.as_str());
    let near: Vec<&str> = nearest(asked, names).into_iter().collect();
    ClientError::unknown_model(asked, &near)
}

/// Writes a JSON answer, or its head alone where only that was asked for.
async fn write(session: &mut Session, ids: &Ids, body: Bytes) {
    let head = reply::head(200, ids);
    if session.req_header().method == Method::HEAD {
        downstream::write_head(session, head, true).await;
        return;
    }
    reply::write_json(session, head, body).await;
}

/// An answer in the dialect of the path, and the end of the connection: who sends one such head sends more.
async fn too_large(session: &mut Session, ids: &Ids, route: &Route) {
    let skin = match route {
        Route::Ask(_, skin)
        | Route::Models(skin)
        | Route::Model(skin, _)
        | Route::WrongMethod(skin, _) => *skin,
        Route::Root | Route::Unknown => Skin::OpenAi,
    };
    let message = format!("the request's headers are larger than {LARGEST_HEAD} bytes");
    session.set_keepalive(None);
    let error = ClientError::new(431, "invalid_request", message);
    refuse(session, ids, &error, skin).await;
}

/// Says what a path takes, also to whom no key is known: browsers ask without one.
async fn tell_options(session: &mut Session, ids: &Ids, allowed: &'static str) {
    let mut head = reply::head(204, ids);
    let asked = session.req_header();
    match cors::is_preflight(asked) {
        true => ids.sharing.permit(&mut head, &asked.headers, allowed),
        false => reply::insert(&mut head, &ALLOW, allowed),
    }
    downstream::write_head(session, head, true).await;
}

async fn wrong_method(session: &mut Session, ids: &Ids, skin: Skin, allowed: &'static str) {
    let error = ClientError::new(405, "invalid_request", format!("use {allowed}"));
    let mut head = reply::head(405, ids);
    reply::insert(&mut head, &ALLOW, allowed);
    reply::write_error(session, head, &error, skin).await;
}

async fn refuse(session: &mut Session, ids: &Ids, error: &ClientError, skin: Skin) {
    let head = reply::head(error.status, ids);
    reply::write_error(session, head, error, skin).await;
}
