//! Owns what the connections of a mock share: the script in force, the counts behind `first` and `within`, the
//! log, and the number of answers under way. Must never hold a lock across an await.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::cmd::mock::fault::{Fault, Kind};
use crate::cmd::mock::limits::{Admission, Meter};
use crate::cmd::mock::oauth::Issued;
use crate::cmd::mock::record::{Fate, Log, Meaning, Received};
use crate::cmd::mock::scenario::Scenario;
use crate::cmd::mock::script::Script;

/// Counts are kept for so many models, then all start anew: names come from clients.
const MAX_TALLIES: usize = 10_000;

/// The state behind one listener.
#[derive(Debug)]
pub(crate) struct Shared {
    started: Instant,
    rules: Mutex<Rules>,
    log: Mutex<Log>,
    issued: Mutex<Issued>,
    open: AtomicUsize,
    answers: AtomicU64,
}

/// The script and what it has been counted against.
#[derive(Debug)]
struct Rules {
    script: Arc<Script>,
    /// By model; the fault for everything is under the empty name.
    tallies: HashMap<String, Tally>,
    meter: Meter,
    rng: fastrand::Rng,
}

/// The requests that met one fault. A changed fault starts from zero.
#[derive(Debug)]
struct Tally {
    fault: Fault,
    since: Instant,
    requests: u64,
}

/// An answer under way. Dropped unsettled, it is recorded as left by the client.
#[derive(Debug)]
pub(crate) struct Answering {
    shared: Arc<Shared>,
    entry: u64,
}

// === impl Shared ===

impl Shared {
    /// The state of a fresh mock.
    pub(crate) fn new(script: Script) -> Self {
        Self {
            started: Instant::now(),
            rules: Mutex::new(Rules::new(script)),
            log: Mutex::default(),
            issued: Mutex::default(),
            open: AtomicUsize::new(0),
            answers: AtomicU64::new(0),
        }
    }

    /// The script in force.
    pub(crate) fn script(&self) -> Arc<Script> {
        self.rules().script.clone()
    }

    /// Replaces the script and all counts.
    pub(crate) fn set(&self, script: Script) {
        *self.rules() = Rules::new(script);
    }

    /// Changes the script; the counts of faults that stay the same go on.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Script)) {
        change(Arc::make_mut(&mut self.rules().script));
    }

    /// Counts a request and says what befalls it. Without a model, only the fault for everything counts.
    pub(crate) fn judge(&self, model: Option<&str>) -> Option<Kind> {
        self.rules().judge(model)
    }

    /// Counts a request of so many tokens against the rate limit, where there is one.
    pub(crate) fn admit(&self, tokens: u64) -> Option<Admission> {
        let mut rules = self.rules();
        let script = Arc::clone(&rules.script);
        let limits = script.limits.as_ref()?;
        Some(rules.meter.admit(limits, tokens))
    }

    /// A generator of its own for one answer.
    pub(crate) fn rng(&self) -> fastrand::Rng {
        self.rules().rng.fork()
    }

    /// The next answer's number.
    pub(crate) fn next_answer(&self) -> u64 {
        self.answers.fetch_add(1, Ordering::Relaxed)
    }

    /// Time since the start.
    pub(crate) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Answers under way.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    /// Whether a key is let in.
    pub(crate) fn takes(&self, key: &str) -> bool {
        let script = self.script();
        match &script.oauth {
            Some(_) => self.issued().holds(key),
            None => script.keys.is_empty() || script.keys.iter().any(|known| known == key),
        }
    }

    /// The access tokens, locked.
    pub(crate) fn issued(&self) -> MutexGuard<'_, Issued> {
        self.issued.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The log, locked.
    pub(crate) fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rules(&self) -> MutexGuard<'_, Rules> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Rules ===

impl Rules {
    fn new(script: Script) -> Self {
        let rng = script
            .seed
            .map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed);
        Self {
            script: Arc::new(script),
            tallies: HashMap::new(),
            meter: Meter::default(),
            rng,
        }
    }

    fn judge(&mut self, model: Option<&str>) -> Option<Kind> {
        let script = Arc::clone(&self.script);
        if let Some(kind) = script
            .fault
            .as_ref()
            .and_then(|fault| self.strike("", fault, script.scale))
        {
            return Some(kind);
        }
        let model = model?;
        let fault = fault_of(&script, model);
        if let Some(kind) = fault.and_then(|fault| self.strike(model, &fault, script.scale)) {
            return Some(kind);
        }
        (self.rng.f64() < script.fail).then(|| Kind::status(script.status))
    }

    /// Counts one request against a fault and returns its kind while it lasts.
    fn strike(&mut self, scope: &str, fault: &Fault, scale: f64) -> Option<Kind> {
        let fault = resolved(fault, scale);
        let fresh = || Tally {
            fault: fault.clone(),
            since: Instant::now(),
            requests: 0,
        };
        if self.tallies.len() >= MAX_TALLIES {
            self.tallies.clear();
        }
        let tally = self.tallies.entry(scope.to_owned()).or_insert_with(fresh);
        if tally.fault != fault {
            *tally = fresh();
        }
        tally.requests += 1;
        tally.is_due().then(|| fault.kind.clone())
    }
}

/// The fault of a model: by its name, by its name without the author, or by the scenario it ends in.
fn fault_of(script: &Script, model: &str) -> Option<Fault> {
    let slug = model.rsplit_once('/').map_or(model, |(_, slug)| slug);
    let scenario = Scenario::of_model(model);
    let scripted = script.models.get(model).or_else(|| script.models.get(slug));
    let redefined = || scenario.and_then(|scenario| script.models.get(&scenario.key()));
    let built_in = || scenario.map(|scenario| scenario.fault(script.scale));
    scripted.or_else(redefined).cloned().or_else(built_in)
}

/// The fault with a named scenario put in its place.
fn resolved(fault: &Fault, scale: f64) -> Fault {
    let Kind::Scenario { id } = fault.kind else {
        return fault.clone();
    };
    let scenario = id.fault(scale);
    Fault {
        first: fault.first.or(scenario.first),
        within: fault.within.or(scenario.within),
        kind: scenario.kind,
    }
}

// === impl Tally ===

impl Tally {
    fn is_due(&self) -> bool {
        let counted = self.fault.first.is_none_or(|first| self.requests <= first);
        counted
            && self
                .fault
                .within
                .is_none_or(|window| self.since.elapsed() < window)
    }
}

// === impl Answering ===

impl Answering {
    /// Records a request whose answer begins now.
    pub(crate) fn begin(shared: &Arc<Shared>, request: Received) -> Self {
        shared.open.fetch_add(1, Ordering::AcqRel);
        let entry = shared.log().push(request);
        Self {
            shared: Arc::clone(shared),
            entry,
        }
    }

    /// Notes what the request meant.
    pub(crate) fn meant(&self, meaning: Meaning) {
        if let Some(entry) = self.shared.log().entry(self.entry) {
            entry.meaning = Some(meaning);
        }
    }

    /// Notes the status that is sent.
    pub(crate) fn sent(&self, status: u16) {
        if let Some(entry) = self.shared.log().entry(self.entry) {
            entry.status = Some(status);
        }
    }

    /// Notes the end; a later one replaces it.
    pub(crate) fn settle(&self, fate: Fate) {
        let now = self.shared.now();
        if let Some(entry) = self.shared.log().entry(self.entry) {
            entry.fate = fate;
            entry.ended = Some(now);
        }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let fate = self.shared.log().entry(self.entry).map(|entry| entry.fate);
        if fate == Some(Fate::UnderWay) {
            self.settle(Fate::ClientLeft);
        }
        self.shared.open.fetch_sub(1, Ordering::AcqRel);
    }
}
