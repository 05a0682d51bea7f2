//! Owns which conversation a request goes on with, and what became of its turn: finds the key among what a policy
//! names, and joins the plan to what is remembered. Must never keep a client's text, only a hash that is made with
//! this process's own secret.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;

use crate::config::snapshot::Caller;
use crate::core::catalog::{Catalog, EndpointIx};
use crate::core::exchange::{Record, Result as Ending};
use crate::core::plan::{Hold, Plan};
use crate::core::policy::KeySource;
use crate::core::sticky::{Places, Table, Turn};
use crate::core::time::Time;
use crate::wire::openai::operation::Operation;
use crate::wire::openai::request::ClientRequest;

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
pub(crate) enum Kept {
    /// Nobody was known to have answered it.
    New,
    /// The same endpoint answered again.
    Kept,
    /// Another one did.
    Moved,
}

impl Kept {
    /// Every one, at its own position.
    pub(crate) const ALL: [Kept; 3] = [Kept::New, Kept::Kept, Kept::Moved];

    /// The name used in metrics and logs.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Kept::New => "new",
            Kept::Kept => "kept",
            Kept::Moved => "moved",
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
        let model = catalog.name_of(plan.legs[0].model, asked.wild);
        let (key, source) = self.key(&settings.keys, model, asked)?;
        let memory = self.table.find(key, now);
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
            let mut hasher = self.secret.build_hasher();
            hasher.write_u8(u8::from(asked.caller.is_some()));
            write(&mut hasher, asked.caller.map_or("", |it| it.name.as_str()));
            write(&mut hasher, model);
            write(&mut hasher, source.as_str());
            let found = asked.hash(source, &mut hasher);
            found.then(|| (hasher.finish(), source.clone()))
        })
    }

    /// Takes in what became of a turn; `None` where it was not answered. What is remembered is always who answered
    /// last, a probe or another model too: reasoning that was signed goes back to who signed it.
    pub(crate) fn note(
        &self,
        conversation: &Conversation,
        places: &Places,
        record: &Record,
        now: Time,
    ) -> Option<Kept> {
        let served = record.served?;
        match record.result {
            Ending::Answered | Ending::ClientGone => {}
            Ending::Failed(_) | Ending::Broken => return None,
        }
        let kept = match conversation.last {
            None => Kept::New,
            Some(last) if last == served => Kept::Kept,
            Some(_) => Kept::Moved,
        };
        let usage = record.usage;
        let turn = Turn {
            prompt_tokens: usage.map_or(conversation.prompt_tokens, |it| it.prompt_tokens),
            cached_tokens: usage.map(|it| it.cached_tokens),
        };
        let (key, place) = (conversation.key, places.place(served));
        self.table.note(key, place, turn, conversation.ttl, now);
        Some(kept)
    }
}

impl Asked<'_> {
    /// Hands what the source says to the hasher. Returns whether it says anything.
    fn hash(&self, source: &KeySource, hasher: &mut impl Hasher) -> bool {
        let (request, body) = (self.request, self.body);
        let text = match source {
            KeySource::Beginning => return request.hash_beginning(body, hasher),
            KeySource::Header(name) => {
                let value = self.headers.get(&**name);
                let value = value.map(http::HeaderValue::as_bytes).unwrap_or_default();
                hasher.write(value);
                return !value.is_empty();
            }
            KeySource::SessionId => request.session_id(body),
            KeySource::PromptCacheKey => request.prompt_cache_key(body),
            KeySource::User => request.user(body),
        };
        hasher.write(text.as_deref().unwrap_or("").as_bytes());
        text.is_some()
    }
}

/// With its length, so that two texts cannot be cut elsewhere and be the same.
fn write(hasher: &mut impl Hasher, text: &str) {
    hasher.write_usize(text.len());
    hasher.write(text.as_bytes());
}
