//! Owns which answer a request gets: its path, its key, its model, and the fault that is due.
//! Must never do I/O.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde_json::json;

use crate::cmd::mock::answer::{self, Step, Tempo};
use crate::cmd::mock::chat::{Ask, Form, Telling};
use crate::cmd::mock::dialects::{Exchange, Refused, Route, Told, Trouble, Understood};
use crate::cmd::mock::errors;
use crate::cmd::mock::http::Head;
use crate::cmd::mock::oauth;
use crate::cmd::mock::record::Meaning;
use crate::cmd::mock::script::Script;
use crate::cmd::mock::spoil::{self, Case};
use crate::cmd::mock::state::Shared;
use crate::cmd::mock::voice::{Tongue, Voice};

/// The steps of an answer, the renderer of its events, and what the request meant.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    pub(crate) steps: Vec<Step>,
    pub(crate) telling: Option<Telling>,
    pub(crate) meaning: Option<Meaning>,
}

/// A request, and how it came.
struct Asking<'a> {
    shared: &'a Shared,
    script: &'a Script,
    body: &'a Bytes,
    is_reused: bool,
}

// === impl Reply ===

impl From<Vec<Step>> for Reply {
    fn from(steps: Vec<Step>) -> Self {
        Self {
            steps,
            ..Self::default()
        }
    }
}

/// Decides the answer to a request of a provider's client.
pub(crate) fn reply(shared: &Shared, head: &Head, body: &Bytes, is_reused: bool) -> Reply {
    let script = shared.script();
    let asking = Asking {
        shared,
        script: &script,
        body,
        is_reused,
    };
    match (head.method.as_str(), head.path()) {
        ("GET", "/health") => blanket(shared, || json!({"status": "ok"})).into(),
        (method, path) if script.oauth.is_some() && oauth::is_asked(method, path) => {
            let due = shared.judge(None);
            let spoilt = due.and_then(|kind| spoil::without_answer(&kind, Tongue::Chat));
            spoilt
                .unwrap_or_else(|| oauth::answer(shared, head, body))
                .into()
        }
        ("GET", path) if path.ends_with("/models") => match wrong_key(shared, head) {
            Some(refusal) => refusal.into(),
            None => blanket(shared, || model_list(&script)).into(),
        },
        ("POST", path) => match (Route::of(&head.target), Form::of(path)) {
            (Some(route), _) => asking.dialect(route, head),
            (None, Some(form)) => match wrong_key(shared, head) {
                Some(refusal) => refusal.into(),
                None => asking.completion(form),
            },
            (None, None) => unknown("POST", path).into(),
        },
        (method, path) => unknown(method, path).into(),
    }
}

fn unknown(method: &str, path: &str) -> Vec<Step> {
    let message = format!("Unknown request URL: {method} {path}.");
    answer::json(404, errors::invalid(&message))
}

// === impl Asking ===

impl Asking<'_> {
    /// Chat and its older kin.
    fn completion(&self, form: Form) -> Reply {
        let ask = match Ask::parse(form, self.body) {
            Ok(ask) => ask,
            Err(error) => {
                let message = format!("We could not parse the JSON body of your request: {error}.");
                return answer::json(400, errors::invalid(&message)).into();
            }
        };
        if form != Form::Chat {
            return self.telling(ask, None);
        }
        let route = Route::chat();
        match Exchange::understand(&route, self.body) {
            Ok(asked) => {
                let meaning = Meaning::understood("chat", &asked);
                let told = &self.script;
                let is_planned = told.strict || told.digest || !told.calls.is_empty();
                if is_planned || Exchange::is_asked(&asked) {
                    return self.planned(route, asked, meaning);
                }
                self.telling(ask, Some(meaning))
            }
            Err(refused) => {
                let meaning = Meaning::refused("chat", &refused);
                if self.script.strict {
                    return self.refused(&route, refused, meaning);
                }
                self.telling(ask, Some(meaning))
            }
        }
    }

    /// Another dialect.
    fn dialect(&self, route: Route, head: &Head) -> Reply {
        let header = |name: &str| head.header(name);
        let trouble = match route.key(&head.target, header) {
            None if !self.shared.takes("") => Some(Trouble::NoKey),
            Some(key) if !self.shared.takes(key) => Some(Trouble::WrongKey),
            _ => route.lacks(header),
        };
        if let Some(trouble) = trouble {
            return Tongue::refusal(&route, self.shared.next_answer(), &trouble).into();
        }
        match Exchange::understand(&route, self.body) {
            Ok(asked) => {
                let meaning = Meaning::understood(route.dialect.name(), &asked);
                self.planned(route, asked, meaning)
            }
            Err(refused) => {
                let meaning = Meaning::refused(route.dialect.name(), &refused);
                self.refused(&route, refused, meaning)
            }
        }
    }

    fn refused(&self, route: &Route, refused: Refused, meaning: Meaning) -> Reply {
        let number = self.shared.next_answer();
        let steps = Tongue::refusal(route, number, &Trouble::Refused(refused));
        Reply {
            steps,
            meaning: Some(meaning),
            ..Reply::default()
        }
    }

    fn planned(&self, route: Route, asked: Understood, meaning: Meaning) -> Reply {
        let told = Told {
            words: self.script.pieces(),
            digest: self.script.digest,
            calls: self.script.calls.clone(),
            usage: self.script.usage,
            number: self.shared.next_answer(),
            created: unix_seconds(),
            body_bytes: self.body.len(),
        };
        let model = asked.model.clone();
        let headers = route.headers(told.number);
        let voice = Voice::Dialect(Box::new(Exchange::new(route, asked, &told)));
        self.answer(&model, voice, Some(meaning), &headers)
    }

    fn telling(&self, ask: Ask, meaning: Option<Meaning>) -> Reply {
        let number = self.shared.next_answer();
        let telling = Telling::new(&ask, self.script, number, unix_seconds());
        let model = ask.model.clone();
        let voice = Voice::Chat {
            ask: Box::new(ask),
            telling: Box::new(telling),
        };
        self.answer(&model, voice, meaning, &[])
    }

    /// The answer, as the limits and the faults let it be.
    fn answer(
        &self,
        model: &str,
        voice: Voice,
        meaning: Option<Meaning>,
        headers: &[(String, String)],
    ) -> Reply {
        let tokens = self.body.len() as u64 / 4 + u64::from(self.script.tokens);
        let admission = self.shared.admit(tokens);
        if let Some(refused) = admission.as_ref().filter(|admission| !admission.is_taken) {
            return Reply {
                steps: refused.clone().refuse(voice.tongue(), unix_seconds()),
                meaning,
                telling: None,
            };
        }
        let mut case = Case {
            voice,
            tempo: Tempo::new(self.script, self.shared.rng()),
            is_reused: self.is_reused,
        };
        let mut steps = match self.shared.judge(Some(model)) {
            Some(kind) => case.faulty(&kind),
            None => case.healthy(),
        };
        if let Some(admission) = admission {
            steps = admission.tell(steps, case.voice.tongue(), unix_seconds());
        }
        let digest = meaning.as_ref().and_then(|meaning| meaning.digest.clone());
        let digest = digest.map(|digest| ("x-mock-digest".to_owned(), digest));
        answer::add_headers(&mut steps, digest.as_slice());
        answer::add_headers(&mut steps, headers);
        Reply {
            steps,
            telling: case.voice.into_telling(),
            meaning,
        }
    }
}

/// A small answer that only a fault for everything can spoil.
fn blanket(shared: &Shared, healthy: impl FnOnce() -> serde_json::Value) -> Vec<Step> {
    let due = shared.judge(None);
    let spoilt = due.and_then(|kind| spoil::without_answer(&kind, Tongue::Chat));
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
fn wrong_key(shared: &Shared, head: &Head) -> Option<Vec<Step>> {
    let bearer = head
        .header("authorization")
        .and_then(|value| value.strip_prefix("Bearer "));
    let key = bearer.or_else(|| head.header("api-key")).unwrap_or("");
    (!shared.takes(key)).then(|| answer::json(401, errors::wrong_key(key)))
}

#[expect(
    clippy::disallowed_methods,
    reason = "answers carry the wall clock; this is no pure floor"
)]
pub(super) fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
