//! Owns which conversation a request goes on with, and what became of its turn: finds the key among what a policy
//! names, and joins the plan to what is remembered. Must never keep a client's text, only a hash that is made with
//! this process's own secret.

use std::borrow::Cow;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;

use crate::config::snapshot::Caller;
use crate::core::catalog::{Catalog, EndpointIx, Fingerprint};
use crate::core::exchange::{Record, Result as Ending};
use crate::core::plan::{Hold, Plan};
use crate::core::policy::KeySource;
use crate::core::sticky::{Places, Table, Turn};
use crate::core::time::Time;
use crate::wire::client_request::ClientRequest;
use crate::wire::client_request::operation::Operation;

/// All conversations of the process. It outlives generations.
#[derive(Debug, Default)]
pub(crate) struct Conversations {
    table: Table,
    /// Of the keys: nobody outside can make two conversations one, or fill one row of the table.
    secret: RandomState,
}

/// A request as far as it tells its conversation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) headers: &'a HeaderMap,
    pub(crate) request: &'a ClientRequest,
    pub(crate) body: &'a Bytes,
    pub(crate) caller: Option<&'a Caller>,
    /// The model's name, where a wildcard has it.
    pub(crate) wild: Option<&'a str>,
}

/// The conversation of one request.
#[derive(Clone, Debug)]
pub(crate) struct Conversation {
    key: u64,
    /// What told it from others.
    pub(crate) source: KeySource,
    /// Who answered last, where that is known and still there.
    pub(crate) last: Option<EndpointIx>,
    /// As estimated, for upstreams that do not count.
    prompt_tokens: u64,
    ttl: Duration,
}

/// What became of a conversation with a turn that was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Became {
    /// Nobody was known to have answered it.
    New,
    /// The same endpoint answered again.
    Kept,
    /// Another one did.
    Moved,
}

impl Became {
    /// Every one, at its own position.
    pub(crate) const ALL: [Became; 3] = [Became::New, Became::Kept, Became::Moved];

    /// The name used in metrics and logs.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Became::New => "new",
            Became::Kept => "kept",
            Became::Moved => "moved",
        }
    }

    pub(crate) const fn position(self) -> usize {
        self as usize
    }
}

impl Conversations {
    /// The conversation that a request goes on with, if its policy looks for one; the plan is held to the endpoint
    /// that answered last.
    pub(crate) fn join(
        &self,
        (catalog, places): (&Catalog, &Places),
        plan: &mut Plan,
        asked: Asked<'_>,
        now: Time,
    ) -> Option<Conversation> {
        let policy = plan.policy.clone();
        let settings = policy.sticky.as_ref()?;
        if asked.request.expects.operation == Operation::Embeddings {
            return None;
        }
        let earlier = asked.request.earlier_answer(asked.body);
        let earlier = earlier.map(|id| self.answer_key(asked.caller, &id));
        let model = catalog.name_of(plan.legs[0].model, asked.wild);
        let named = |found: &(u64, KeySource)| earlier.is_none() || found.1.is_named();
        let own = self.key(&settings.keys, model, asked).filter(named);
        // What goes on with an answer does not say how it began.
        let own = own.or_else(|| Some((earlier?, KeySource::EarlierAnswer)));
        let (key, source) = own?;
        let memory = earlier.and_then(|key| self.table.find(key, now));
        let memory = memory.or_else(|| self.table.find(key, now));
        let known = memory.and_then(|memory| Some((memory, places.endpoint(memory.place)?)));
        if let Some((memory, endpoint)) = known {
            let pull = memory.pull(
                plan.facts.prompt_tokens(),
                catalog.endpoint(endpoint).price,
                plan.cheapest_beside(endpoint),
                source.is_named(),
            );
            plan.hold(catalog, Hold { endpoint, pull });
        }
        Some(Conversation {
            key,
            source,
            last: known.map(|(_, endpoint)| endpoint),
            prompt_tokens: plan.facts.prompt_tokens(),
            ttl: settings.ttl,
        })
    }

    /// The key by the first source that the request has. Keys of different callers and models never meet.
    fn key(
        &self,
        sources: &[KeySource],
        model: &str,
        asked: Asked<'_>,
    ) -> Option<(u64, KeySource)> {
        sources.iter().find_map(|source| {
            let said = asked.said(source)?;
            let mut hasher = self.of_caller(asked.caller);
            write(&mut hasher, model);
            write(&mut hasher, source.as_str());
            match said {
                Said::Name(name) => hasher.write(&name),
                Said::Beginning => asked.request.hash_beginning(asked.body, &mut hasher),
            }
            Some((hasher.finish(), source.clone()))
        })
    }

    /// The key of an answer that its upstream keeps. It has no model: an answer may be gone on with by another one.
    fn answer_key(&self, caller: Option<&Caller>, id: &str) -> u64 {
        let mut hasher = self.of_caller(caller);
        write(&mut hasher, KeySource::EarlierAnswer.as_str());
        write(&mut hasher, id);
        hasher.finish()
    }

    fn of_caller(&self, caller: Option<&Caller>) -> impl Hasher + use<> {
        let mut hasher = self.secret.build_hasher();
        hasher.write_u8(u8::from(caller.is_some()));
        write(&mut hasher, caller.map_or("", |it| it.name.as_str()));
        hasher
    }

    /// Remembers who keeps an answer, for as long as its conversation is.
    pub(crate) fn note_answer(
        &self,
        conversation: &Conversation,
        (caller, id): (Option<&Caller>, &str),
        places: &Places,
        record: &Record,
        now: Time,
    ) {
        if let Some((place, turn)) = conversation.turn(places, record) {
            let key = self.answer_key(caller, id);
            self.table.note(key, place, turn, conversation.ttl, now);
        }
    }

    /// Takes in what became of a turn; `None` where it was not answered. What is remembered is always who answered
    /// last, a probe or another model too: reasoning that was signed goes back to who signed it.
    pub(crate) fn note(
        &self,
        conversation: &Conversation,
        places: &Places,
        record: &Record,
        now: Time,
    ) -> Option<Became> {
        let (place, turn) = conversation.turn(places, record)?;
        self.table
            .note(conversation.key, place, turn, conversation.ttl, now);
        Some(match conversation.last {
            None => Became::New,
            Some(last) if record.served == Some(last) => Became::Kept,
            Some(_) => Became::Moved,
        })
    }
}

impl Conversation {
    /// Who answered the turn, and what is known of it; `None` where nobody did.
    fn turn(&self, places: &Places, record: &Record) -> Option<(Fingerprint, Turn)> {
        let served = record.served?;
        match record.result {
            Ending::Answered | Ending::ClientGone => {}
            Ending::Failed(_) | Ending::Broken => return None,
        }
        let usage = record.usage;
        let turn = Turn {
            prompt_tokens: usage.map_or(self.prompt_tokens, |it| it.prompt_tokens),
            cached_tokens: usage.and_then(|it| it.cached_tokens),
        };
        Some((places.place(served), turn))
    }
}

/// What a source says of a conversation.
enum Said<'a> {
    Name(Cow<'a, [u8]>),
    /// How it begins, which is hashed where it stands.
    Beginning,
}

impl<'a> Asked<'a> {
    fn said(&self, source: &KeySource) -> Option<Said<'a>> {
        let (request, body) = (self.request, self.body);
        let text = match source {
            KeySource::Beginning => return request.has_beginning().then_some(Said::Beginning),
            KeySource::Header(name) => {
                let value = self.headers.get(&**name)?.as_bytes();
                return (!value.is_empty()).then_some(Said::Name(value.into()));
            }
            KeySource::SessionId => request.session_id(body),
            KeySource::PromptCacheKey => request.prompt_cache_key(body),
            KeySource::User => request.user(body),
            KeySource::EarlierAnswer => request.earlier_answer(body),
        };
        Some(Said::Name(match text? {
            Cow::Borrowed(text) => text.as_bytes().into(),
            Cow::Owned(text) => text.into_bytes().into(),
        }))
    }
}

/// With its length, so that two texts cannot be cut elsewhere and be the same.
fn write(hasher: &mut impl Hasher, text: &str) {
    hasher.write_usize(text.len());
    hasher.write(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::secret::Secret;
    use crate::core::names::CallerName;
    use crate::core::policy::Stickiness;
    use crate::wire::openai::request::scan;

    fn caller(name: &str) -> Caller {
        Caller {
            name: CallerName::new(name),
            key: Secret::new("k"),
            models: Vec::new(),
            policy: None,
        }
    }

    /// What tells conversations apart, for a request with this body's fields and these headers.
    struct Case {
        conversations: Conversations,
        settings: Stickiness,
    }

    impl Case {
        fn key(
            &self,
            caller: Option<&Caller>,
            model: &str,
            more: &str,
            headers: &[(&'static str, &'static str)],
        ) -> Option<(u64, KeySource)> {
            let body =
                format!(r#"{{"model":"m","messages":[{{"role":"user","content":"hi"}}]{more}}}"#);
            let body = Bytes::from(body);
            let request = scan(Operation::Chat, &body).unwrap();
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.insert(*name, value.parse().unwrap());
            }
            let asked = Asked {
                headers: &map,
                request: &request,
                body: &body,
                caller,
                wild: None,
            };
            self.conversations.key(&self.settings.keys, model, asked)
        }
    }

    fn case() -> Case {
        Case {
            conversations: Conversations::default(),
            settings: Stickiness::default(),
        }
    }

    #[test]
    fn the_first_source_that_says_anything_is_the_key() {
        let case = case();
        let session = ("x-session-id", "s");
        let source = |more: &str, headers: &[(&'static str, &'static str)]| {
            let (_, source) = case.key(None, "a/m", more, headers).unwrap();
            source.as_str().to_owned()
        };
        let both = r#","session_id":"b","prompt_cache_key":"p""#;
        assert_eq!(source(both, &[session]), "session_id");
        let cached = r#","prompt_cache_key":"p""#;
        assert_eq!(source(cached, &[session]), "x-session-id");
        assert_eq!(source(cached, &[("x-session-id", "")]), "prompt_cache_key");
        assert_eq!(source("", &[]), "conversation");
        let named_only = Case {
            settings: Stickiness {
                keys: vec![KeySource::SessionId],
                ..Stickiness::default()
            },
            ..self::case()
        };
        assert_eq!(named_only.key(None, "a/m", cached, &[session]), None);
    }

    #[test]
    fn no_two_callers_models_or_sources_share_a_key() {
        let case = case();
        let (one, two) = (caller("one"), caller("two"));
        let session = [("x-session-id", "s")];
        let all = [
            case.key(None, "a/m", "", &session),
            case.key(Some(&one), "a/m", "", &session),
            case.key(Some(&two), "a/m", "", &session),
            case.key(Some(&one), "a/n", "", &session),
            case.key(Some(&one), "a/m", r#","session_id":"s""#, &[]),
            case.key(Some(&one), "a/m", r#","prompt_cache_key":"s""#, &[]),
            case.key(Some(&one), "a/m", "", &[]),
            case.key(Some(&caller("onea")), "/m", "", &session),
            case.key(Some(&caller("")), "a/m", "", &session),
        ];
        let keys: std::collections::HashSet<u64> =
            all.iter().map(|key| key.as_ref().unwrap().0).collect();
        assert_eq!(keys.len(), all.len());
        let again = case.key(Some(&one), "a/m", r#","user":"u""#, &session);
        assert_eq!(again, all[1]);
        let elsewhere = self::case().key(Some(&one), "a/m", "", &session);
        assert_ne!(elsewhere, all[1], "each process has its own secret");
    }
}
