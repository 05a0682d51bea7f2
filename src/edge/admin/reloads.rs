//! Owns what is known of reloads: how the latest went, what a running process could not take over, and the way an
//! operator's request reaches whoever reads the file. Must never hold a credential, or grow without a bound.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use serde::Serialize;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use crate::config::Finding;
use crate::config::diff::Diff;
use crate::config::facts::Facts;
use crate::edge::clock::wall_clock;

/// Reloads that are remembered.
const HISTORY: usize = 20;
/// Requests for a reload that may wait for their turn.
const WAITING: usize = 8;
/// The longest an operator waits for the answer: reading the file and building from it.
const LONGEST: Duration = Duration::from_secs(30);

/// What became of a reload that an operator asked for.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Reloaded {
    /// Another generation serves.
    Applied {
        generation: u64,
        changes: Diff,
        warnings: Vec<Finding>,
    },
    /// The file is the one that serves.
    Unchanged { generation: u64 },
    /// The file cannot be used; the generation serves on.
    Refused {
        generation: u64,
        findings: Vec<Finding>,
        /// What is no finding of the file: something that it names.
        error: Option<String>,
    },
}

/// A reload that someone waits for.
pub type Request = oneshot::Sender<Reloaded>;

/// One reload that changed something or was refused.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// RFC 3339, UTC.
    pub at: String,
    /// The generation that served afterwards.
    pub generation: u64,
    /// What changed; empty where the file was refused.
    pub changes: Diff,
    /// Why it was refused.
    pub error: Option<String>,
}

/// How the latest reloads went.
#[derive(Debug)]
pub struct Reloads {
    /// What digests of credentials are salted with, as long as the process lives.
    salt: String,
    state: Mutex<State>,
    asks: OnceLock<mpsc::Sender<Request>>,
}

#[derive(Clone, Debug)]
struct State {
    loaded_at: SystemTime,
    last_error: Option<String>,
    history: VecDeque<Entry>,
    /// Of the configuration that the process began with.
    first: Option<Facts>,
    needs_restart: Vec<String>,
}

/// How things stand, for the status.
#[derive(Debug)]
pub(super) struct Standing {
    pub(super) loaded_at: SystemTime,
    pub(super) last_error: Option<String>,
    pub(super) needs_restart: Vec<String>,
}

/// Nobody in this process reads a file again.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    #[error("this process does not reload by itself")]
    Nobody,
    #[error("reloads are waiting already")]
    Busy,
    #[error("the reload goes on; ask for the status")]
    Slow,
}

impl Reloads {
    /// The first configuration was loaded just now.
    pub fn new() -> Self {
        Self {
            salt: Uuid::now_v7().to_string(),
            state: Mutex::new(State {
                loaded_at: wall_clock(),
                last_error: None,
                history: VecDeque::new(),
                first: None,
                needs_restart: Vec::new(),
            }),
            asks: OnceLock::new(),
        }
    }

    /// What credentials' digests are salted with.
    pub fn salt(&self) -> &str {
        &self.salt
    }

    /// The requests of operators, for the one who reads the file. `None` where someone does already.
    pub fn requests(&self) -> Option<mpsc::Receiver<Request>> {
        let (sender, receiver) = mpsc::channel(WAITING);
        self.asks.set(sender).ok().map(|()| receiver)
    }

    /// Has the file read again, and waits for what becomes of it.
    ///
    /// # Errors
    /// Nobody reads it, or not in time.
    pub async fn ask(&self) -> Result<Reloaded, AskError> {
        let asks = self.asks.get().ok_or(AskError::Nobody)?;
        let (request, answer) = oneshot::channel();
        asks.try_send(request).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => AskError::Busy,
            mpsc::error::TrySendError::Closed(_) => AskError::Nobody,
        })?;
        match tokio::time::timeout(LONGEST, answer).await {
            Ok(Ok(reloaded)) => Ok(reloaded),
            Ok(Err(_)) => Err(AskError::Nobody),
            Err(_) => Err(AskError::Slow),
        }
    }

    /// Another configuration serves: `from` became `to`. Returns what has changed.
    pub fn applied(&self, generation: u64, from: Facts, to: &Facts) -> Diff {
        let changes = Diff::between(&from, to);
        let mut state = self.lock();
        let first = state.first.get_or_insert(from);
        let pending = Diff::between(first, to);
        state.needs_restart = pending.restarts().map(ToString::to_string).collect();
        state.loaded_at = wall_clock();
        state.last_error = None;
        state.remember(generation, changes.clone(), None);
        changes
    }

    /// The file was refused; the generation serves on.
    pub fn refused(&self, generation: u64, why: String) {
        let mut state = self.lock();
        state.remember(generation, Diff::default(), Some(why.clone()));
        state.last_error = Some(why);
    }

    /// The file is again the one that serves.
    pub fn mended(&self) {
        self.lock().last_error = None;
    }

    /// The latest reloads, the last one first.
    pub fn history(&self) -> Vec<Entry> {
        self.lock().history.iter().cloned().collect()
    }

    pub(super) fn standing(&self) -> Standing {
        let state = self.lock();
        Standing {
            loaded_at: state.loaded_at,
            last_error: state.last_error.clone(),
            needs_restart: state.needs_restart.clone(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Reloads {
    fn default() -> Self {
        Self::new()
    }
}

impl State {
    fn remember(&mut self, generation: u64, changes: Diff, error: Option<String>) {
        self.history.truncate(HISTORY - 1);
        self.history.push_front(Entry {
            at: humantime::format_rfc3339_seconds(wall_clock()).to_string(),
            generation,
            changes,
            error,
        });
    }
}
