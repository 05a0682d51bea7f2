//! Owns which answer a request gets: its path, its key, its model, and the fault that is due.
//! Must never do I/O.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde_json::json;

use crate::cmd::mock::answer::{self, Step, Tempo};
use crate::cmd::mock::chat::{Ask, Form, Telling};
use crate::cmd::mock::errors;
use crate::cmd::mock::http::Head;
use crate::cmd::mock::script::Script;
use crate::cmd::mock::spoil::{self, Case};
use crate::cmd::mock::state::Shared;

/// The steps of an answer, and the renderer of its events.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) steps: Vec<Step>,
    pub(crate) telling: Option<Telling>,
}

// === impl Reply ===

impl From<Vec<Step>> for Reply {
    fn from(steps: Vec<Step>) -> Self {
        Self {
            steps,
            telling: None,
        }
    }
}

/// Decides the answer to a request of a provider's client.
pub(crate) fn reply(shared: &Shared, head: &Head, body: &Bytes, is_reused: bool) -> Reply {
    let script = shared.script();
    match (head.method.as_str(), head.path()) {
        ("GET", "/health") => blanket(shared, || json!({"status": "ok"})).into(),
        ("GET", path) if path.ends_with("/models") => match wrong_key(&script, head) {
            Some(refusal) => refusal.into(),
            None => blanket(shared, || model_list(&script)).into(),
        },
        (method, path) => match Form::of(path).filter(|_| method == "POST") {
            None => unknown(method, path).into(),
            Some(form) => match wrong_key(&script, head) {
                Some(refusal) => refusal.into(),
                None => completion(shared, &script, (form, body), is_reused),
            },
        },
    }
}

fn unknown(method: &str, path: &str) -> Vec<Step> {
    let message = format!("Unknown request URL: {method} {path}.");
    answer::json(404, errors::invalid(&message))
}

fn completion(
    shared: &Shared,
    script: &Script,
    (form, body): (Form, &Bytes),
    is_reused: bool,
) -> Reply {
    let ask = match Ask::parse(form, body) {
        Ok(ask) => ask,
        Err(error) => {
            let message = format!("We could not parse the JSON body of your request: {error}.");
            return answer::json(400, errors::invalid(&message)).into();
        }
    };
    let tokens = body.len() as u64 / 4 + u64::from(script.tokens);
    let admission = shared.admit(tokens);
    if let Some(refused) = admission.as_ref().filter(|admission| !admission.is_taken) {
        return refused.clone().refuse().into();
    }
    let due = shared.judge(Some(&ask.model));
    let mut case = Case {
        telling: Telling::new(&ask, script, shared.next_answer(), unix_seconds()),
        ask,
        tempo: Tempo::new(script, shared.rng()),
        is_reused,
    };
    let steps = match due {
        Some(kind) => case.faulty(&kind),
        None => case.healthy(),
    };
    let steps = match admission {
        Some(admission) => admission.tell(steps),
        None => steps,
    };
    Reply {
        steps,
        telling: Some(case.telling),
    }
}

/// A small answer that only a fault for everything can spoil.
fn blanket(shared: &Shared, healthy: impl FnOnce() -> serde_json::Value) -> Vec<Step> {
    let due = shared.judge(None);
    let spoilt = due.and_then(|kind| spoil::without_answer(&kind));
    spoilt.unwrap_or_else(|| answer::json(200, healthy().to_string()))
}

fn model_list(script: &Script) -> serde_json::Value {
    let names = std::iter::once("mock").chain(script.models.keys().map(String::as_str));
    let models: Vec<_> = names
        .map(
            |id| json!({"id": id, "object": "model", "created": 1_700_000_000, "owned_by": "mock"}),
        )
        .collect();
    json!({"object": "list", "data": models})
}

/// The 401 for a key that the script does not list.
fn wrong_key(script: &Script, head: &Head) -> Option<Vec<Step>> {
    let bearer = head
        .header("authorization")
        .and_then(|value| value.strip_prefix("Bearer "));
    let key = bearer.or_else(|| head.header("api-key")).unwrap_or("");
    let is_known = script.keys.is_empty() || script.keys.iter().any(|known| known == key);
    (!is_known).then(|| answer::json(401, errors::wrong_key(key)))
}

#[expect(
    clippy::disallowed_methods,
    reason = "answers carry the wall clock; this is no pure floor"
)]
fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
