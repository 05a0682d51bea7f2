//! Owns the operator's question where a request would go: the request as a body, or its model alone in the query.
//! Must never read a body beyond its bound, or spend a token.

use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode};
use pingora::protocols::http::ServerSession;
use serde_json::json;
use url::form_urlencoded;

use crate::config::snapshot::Caller;
use crate::core::time::Time;
use crate::edge::admin::reading::body;
use crate::edge::admin::{json, text};
use crate::edge::conversations::Asked;
use crate::edge::explain::{explain_turn, read};
use crate::edge::generation::Generation;
use crate::edge::planning::{PlanError, Planned};

/// What the query says.
#[derive(Debug, Default)]
struct Query {
    model: Option<String>,
    /// The name of the downstream key that is taken to ask.
    key: Option<String>,
    stream: bool,
    /// Where the request would be sent to.
    path: Option<String>,
}

/// Answers `GET /api/explain?model=M` and `POST /api/explain` with a request; `path` says in which dialect.
pub(super) async fn answer(
    session: &mut ServerSession,
    generation: &Generation,
    now: Time,
) -> Response<Vec<u8>> {
    let query = query(session.req_header().uri.query().unwrap_or_default());
    let body = match session.req_header().method {
        Method::POST => match body(session, generation.snapshot.server.max_body).await {
            Some(body) => body,
            None => {
                return text(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "the body is too large, or broke off\n",
                );
            }
        },
        _ => match &query.model {
            Some(model) => plain(model, query.stream),
            None => {
                return text(
                    StatusCode::BAD_REQUEST,
                    "name a model: ?model=author/slug\n",
                );
            }
        },
    };
    let headers = &session.req_header().headers;
    explained(generation, &query, (headers, &body), now)
}

/// The headers that a conversation is told by are those of the question.
fn explained(
    generation: &Generation,
    query: &Query,
    (headers, body): (&HeaderMap, &Bytes),
    now: Time,
) -> Response<Vec<u8>> {
    let caller = match caller(generation, query.key.as_deref()) {
        Ok(caller) => caller,
        Err(message) => return text(StatusCode::NOT_FOUND, &message),
    };
    let (snapshot, places) = (&generation.snapshot, &generation.places);
    let (path, model) = (query.path.as_deref(), query.model.as_deref());
    let request = match read(&snapshot.catalog, path, model, body) {
        Ok(request) => request,
        Err(error) => return text(StatusCode::BAD_REQUEST, &format!("{error}\n")),
    };
    let facts = request.facts.clone();
    let asked = facts.model.clone();
    let join = |planned: &mut Planned| {
        let asked = Asked {
            headers,
            request: &request,
            body,
            caller,
            wild: planned.wild.as_deref(),
        };
        let known = (&snapshot.catalog, places);
        let conversations = &generation.conversations;
        conversations.join(known, &mut planned.plan, asked, now)
    };
    match explain_turn(snapshot, &generation.health, (caller, facts), now, join) {
        Ok(answer) => json(StatusCode::OK, &answer),
        Err(PlanError::UnknownModel) => text(
            StatusCode::NOT_FOUND,
            &format!("no model is named '{asked}'\n"),
        ),
        Err(PlanError::ModelNotAllowed) => text(
            StatusCode::FORBIDDEN,
            &format!("this key may not use '{asked}'\n"),
        ),
    }
}

fn caller<'a>(
    generation: &'a Generation,
    name: Option<&str>,
) -> Result<Option<&'a Caller>, String> {
    let Some(name) = name else { return Ok(None) };
    let mut callers = generation.snapshot.callers.iter();
    let found = callers.find(|caller| caller.name.as_str() == name);
    found
        .map(Some)
        .ok_or_else(|| format!("no key is named '{name}'\n"))
}

fn query(text: &str) -> Query {
    let mut query = Query::default();
    for (name, value) in form_urlencoded::parse(text.as_bytes()) {
        match name.as_ref() {
            "model" => query.model = Some(value.into_owned()),
            "key" => query.key = Some(value.into_owned()),
            "path" => query.path = Some(value.into_owned()),
            "stream" => query.stream = matches!(value.as_ref(), "" | "1" | "true"),
            _ => {}
        }
    }
    query
}

/// The shortest request of a model.
fn plain(model: &str, stream: bool) -> Bytes {
    let request = json!({
        "model": model,
        "stream": stream,
        "messages": [{ "role": "user", "content": "" }],
    });
    Bytes::from(request.to_string())
}
