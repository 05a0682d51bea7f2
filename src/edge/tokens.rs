//! Owns access tokens: one grant for each credential, over all generations that have it, and what its requests may wait for. Must
//! never fetch: `token_keeper` does, behind the requests' backs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use http::HeaderValue;
use tokio::sync::{Notify, watch};

use crate::config::secret::Secret;
use crate::config::snapshot::{Provider, TokenSource, UpstreamAuth};
use crate::edge::google::Asker;

/// How long a request waits for the first token of a credential; less than connecting may take, which it is part of.
const WAIT: Duration = Duration::from_secs(1);
/// From one token that its provider refused to the next that may be replaced for that: where a new one does not help, newer ones
/// will not either.
const REFUSALS: Duration = Duration::from_secs(60);

/// The grants of a process.
#[derive(Debug, Default)]
pub struct Tokens {
    known: Mutex<Known>,
    /// A grant has come.
    pub(crate) came: Notify,
}

#[derive(Debug, Default)]
struct Known {
    grants: Vec<Weak<Grant>>,
    /// Those that nobody keeps yet.
    unkept: Vec<Weak<Grant>>,
}

/// What a credential is good for.
#[derive(Debug)]
pub struct Grant {
    source: TokenSource,
    key: Option<Secret>,
    pub(crate) asker: Asker,
    state: watch::Sender<State>,
    /// A token is wanted at once.
    pub(crate) wanted: Arc<Notify>,
    /// When a token was last refused.
    refused: Mutex<Option<Instant>>,
}

#[derive(Clone, Debug)]
enum State {
    /// It is being fetched, the first time or in the place of one that was refused.
    Awaited,
    Held(Arc<Token>),
    /// It could not be fetched.
    Failing,
}

/// A token that is held.
#[derive(Debug)]
pub(crate) struct Token {
    /// `Bearer TOKEN`; it is not shown.
    pub(crate) header: HeaderValue,
    ends: Instant,
}

// === impl Tokens ===

impl Tokens {
    /// The grant of a provider, where it has one; the error: its key cannot sign.
    pub(crate) fn of(&self, provider: &Provider) -> Result<Option<Arc<Grant>>, Unusable> {
        let UpstreamAuth::Google(source) = &provider.auth else {
            return Ok(None);
        };
        let key = provider.keys.first().and_then(|(_, key)| key.as_ref());
        let mut known = self.lock();
        known.grants.retain(|grant| grant.strong_count() > 0);
        let mut grants = known.grants.iter().filter_map(Weak::upgrade);
        if let Some(same) = grants.find(|it| it.source == *source && it.key.as_ref() == key) {
            return Ok(Some(same));
        }
        let grant = Arc::new(Grant {
            source: source.clone(),
            key: key.cloned(),
            asker: Asker::new(source, key).ok_or(Unusable)?,
            state: watch::Sender::new(State::Awaited),
            wanted: Arc::default(),
            refused: Mutex::default(),
        });
        known.grants.push(Arc::downgrade(&grant));
        known.unkept.push(Arc::downgrade(&grant));
        self.came.notify_one();
        Ok(Some(grant))
    }

    /// The grants that nobody keeps yet, each once.
    pub(crate) fn take_unkept(&self) -> Vec<Weak<Grant>> {
        std::mem::take(&mut self.lock().unkept)
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A key cannot sign.
#[derive(Debug)]
pub(crate) struct Unusable;

// === impl Grant ===

impl Grant {
    /// The token that requests are sent with. Waits a moment where the first is still on its way, not where it could not be had.
    pub(crate) async fn token(&self) -> Option<Arc<Token>> {
        let mut states = self.state.subscribe();
        let decided = states.wait_for(|state| !matches!(state, State::Awaited));
        // The sender lives as long as this does.
        tokio::time::timeout(WAIT, decided).await.ok()?.ok()?;
        self.held()
    }

    /// The token, where one is there.
    pub(crate) fn held(&self) -> Option<Arc<Token>> {
        match &*self.state.borrow() {
            State::Held(token) if Instant::now() < token.ends => Some(token.clone()),
            State::Held(_) | State::Awaited | State::Failing => None,
        }
    }

    /// The provider refused a token. Returns whether a new one is on its way.
    pub(crate) fn refuse(&self, token: &Arc<Token>) -> bool {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let is_soon = refused.is_some_and(|then| then.elapsed() < REFUSALS);
        let mut is_new = false;
        let dropped = self.state.send_if_modified(|state| {
            let is_this = matches!(state, State::Held(held) if Arc::ptr_eq(held, token));
            // Another request found out before.
            is_new = !is_this && !matches!(state, State::Failing);
            let drops = is_this && !is_soon;
            if drops {
                *state = State::Awaited;
            }
            drops
        });
        if dropped {
            *refused = Some(Instant::now());
            self.wanted.notify_one();
        }
        dropped || is_new
    }

    /// A token was fetched that holds so long from `asked` on. Returns whether it can be sent.
    pub(crate) fn hold(&self, token: &Secret, lifetime: Duration, asked: Instant) -> bool {
        let Ok(mut header) = HeaderValue::try_from(format!("Bearer {}", token.expose())) else {
            return false;
        };
        header.set_sensitive(true);
        let ends = asked + lifetime;
        let token = Arc::new(Token { header, ends });
        self.state.send_replace(State::Held(token));
        true
    }

    /// A token could not be fetched. One that is held is used to its end. Returns whether requests go without.
    pub(crate) fn fail(&self) -> bool {
        let is_held = self.held().is_some();
        if !is_held {
            self.state.send_replace(State::Failing);
        }
        !is_held
    }
}
