//! Owns what is kept of one exchange for operators, and its size. Must never hold content or a secret, or keep a
//! generation alive.

use std::sync::Arc;
use std::time::SystemTime;

use crate::config::secret::Secret;
use crate::config::snapshot::Snapshot;
use crate::core::catalog::EndpointIx;
use crate::core::exchange::{AttemptRecord, Record, Result as Ending};
use crate::core::explain::Considered;
use crate::core::names::CallerName;
use crate::core::outcome::ErrorFacts;
use crate::edge::conversations::Became;
use crate::edge::generation::Generation;
use crate::edge::telemetry::requests::mask;
use crate::edge::telemetry::requests::names::Names;
use crate::edge::telemetry::{Observed, Relayed, cost};

/// Candidates of a plan that are kept; a plan may have thousands.
pub(crate) const MOST_CONSIDERED: usize = 64;
/// Bytes of a wildcard model's name that are kept: it is the client's text.
pub(super) const LONGEST_MODEL: usize = 256;
/// Bytes of what is taken for a secret in an upstream's words.
const SHORTEST_SECRET: usize = 4;
/// Bytes of an upstream's error code.
const LONGEST_CODE: usize = 64;

/// What a request met when it began.
#[derive(Debug)]
pub(crate) struct Met {
    /// The first [`MOST_CONSIDERED`] candidates of its plan.
    pub(crate) candidates: Vec<Considered>,
    /// Those that are not among them.
    pub(crate) more: usize,
}

/// One exchange, as operators may see it.
#[derive(Debug)]
pub(crate) struct Kept {
    ids: Ids,
    pub(crate) began: SystemTime,
    pub(crate) names: Arc<Names>,
    /// Of the configuration.
    pub(crate) generation: u64,
    pub(crate) path: &'static str,
    pub(crate) caller: Option<CallerName>,
    /// The name asked for, where a wildcard has it.
    pub(crate) wild: Option<Box<str>>,
    pub(crate) stream: bool,
    pub(crate) status: u16,
    pub(crate) relayed: Relayed,
    pub(crate) met: Met,
    pub(crate) record: Record,
    /// Beside each attempt of the record; empty where each of them says of itself all that is known.
    evidence: Vec<Evidence>,
    pub(crate) drift: Option<Box<str>>,
    pub(crate) sticky: Option<Became>,
    pub(crate) cost: Option<f64>,
    pub(crate) wasted: f64,
}

/// Of the request and of its answer, one behind the other: one piece of memory instead of two.
#[derive(Debug)]
struct Ids {
    both: Box<str>,
    /// Where the answer's begins.
    answer: usize,
}

/// What speaks for an attempt's outcome.
#[derive(Debug, Default)]
pub(crate) struct Evidence {
    status: Option<u16>,
    pub(crate) code: Option<Box<str>>,
    pub(crate) message: Option<Box<str>>,
    pub(crate) wasted: Option<f64>,
}

impl Kept {
    pub(crate) fn of(
        generation: &Generation,
        observed: Observed<'_>,
        met: Met,
        now: SystemTime,
    ) -> Self {
        let mut record = observed.record;
        let cost = cost::of_answer(generation, &record);
        let wasted = cost::wasted(generation, &record);
        let evidence = all_evidence(generation, &record);
        for attempt in &mut record.attempts {
            attempt.told = None;
        }
        Self {
            ids: Ids::of(observed.request_id, observed.generation_id),
            began: now - record.took,
            names: generation.names.clone(),
            generation: generation.number,
            path: observed.path,
            caller: observed.caller.cloned(),
            wild: observed.wild.map(|name| begin(name, LONGEST_MODEL).into()),
            stream: observed.stream,
            status: observed.status,
            relayed: observed.relayed,
            met,
            record,
            evidence,
            drift: observed.drift.map(Into::into),
            sticky: observed.kept,
            cost,
            wasted,
        }
    }

    /// The request's.
    pub(crate) fn id(&self) -> &str {
        self.ids.request()
    }

    /// Its answer's.
    pub(crate) fn generation_id(&self) -> &str {
        self.ids.answer()
    }

    /// What spoke for the outcome of an attempt, by its place, beside the status.
    pub(crate) fn evidence(&self, position: usize) -> Option<&Evidence> {
        self.evidence.get(position)
    }

    /// The status that an attempt got, by its place.
    pub(crate) fn status_of(&self, position: usize) -> Option<u16> {
        match self.evidence.get(position) {
            Some(told) => told.status,
            None => self.record.attempts.get(position).and_then(plain_status),
        }
    }

    /// Answered after an attempt had failed.
    pub(crate) fn is_recovered(&self) -> bool {
        self.record.result == Ending::Answered && self.record.attempts.len() > 1
    }

    /// Whether it tells more than that all was well: it failed, broke off or was recovered.
    pub(super) fn is_notable(&self) -> bool {
        match self.record.result {
            Ending::Failed(_) | Ending::Broken => true,
            Ending::Answered | Ending::ClientGone => self.record.attempts.len() > 1,
        }
    }

    /// The model asked for, as it was asked for.
    pub(crate) fn model(&self) -> &str {
        let own = || self.names.model(self.record.asked);
        self.wild.as_deref().unwrap_or_else(own)
    }

    /// Bytes that it takes, roughly.
    pub(super) fn bytes(&self) -> usize {
        let text = |text: &Option<Box<str>>| text.as_ref().map_or(0, |text| text.len());
        let evidence = self.evidence.iter();
        let told = evidence.map(|one| size_of::<Evidence>() + text(&one.code) + text(&one.message));
        size_of::<Self>()
            + self.ids.both.len()
            + text(&self.wild)
            + text(&self.drift)
            + self.met.candidates.capacity() * size_of::<Considered>()
            + self.record.attempts.capacity() * size_of::<AttemptRecord>()
            + told.sum::<usize>()
    }
}

// === impl Ids ===

impl Ids {
    fn of(request: &str, answer: &str) -> Self {
        let mut both = String::with_capacity(request.len() + answer.len());
        both.push_str(request);
        both.push_str(answer);
        Self {
            both: both.into(),
            answer: request.len(),
        }
    }

    fn request(&self) -> &str {
        self.both.get(..self.answer).unwrap_or_default()
    }

    fn answer(&self) -> &str {
        self.both.get(self.answer..).unwrap_or_default()
    }
}

/// What speaks for each attempt's outcome, where one of them does not say all of it itself.
fn all_evidence(generation: &Generation, record: &Record) -> Vec<Evidence> {
    let attempts = record.attempts.iter();
    let says_all = |attempt: &AttemptRecord| {
        attempt.told.is_none() && cost::of_waste(generation, record, attempt).is_none()
    };
    if attempts.clone().all(says_all) {
        return Vec::new();
    }
    attempts
        .map(|attempt| evidence(generation, record, attempt))
        .collect()
}

/// The status that an attempt got whose upstream told of no failure.
fn plain_status(attempt: &AttemptRecord) -> Option<u16> {
    attempt.head_at.map(|_| 200)
}

fn evidence(generation: &Generation, record: &Record, attempt: &AttemptRecord) -> Evidence {
    let wasted = cost::of_waste(generation, record, attempt);
    let Some(told) = &attempt.told else {
        return Evidence {
            status: plain_status(attempt),
            wasted,
            ..Evidence::default()
        };
    };
    let ErrorFacts {
        status,
        code,
        message,
        ..
    } = &**told;
    // Whoever has a word of the list, or a code, for a secret.
    let secret = |text: &str| {
        let mut secrets = secrets(&generation.snapshot, attempt.endpoint);
        secrets.any(|secret| secret.len() >= SHORTEST_SECRET && text.contains(secret))
    };
    let code = code.as_deref().and_then(mask::code);
    let code = code.filter(|code| code.len() <= LONGEST_CODE && !secret(code));
    let message = (!message.is_empty()).then(|| mask::masked(message));
    Evidence {
        status: Some(*status),
        code: code.map(Into::into),
        message: message.filter(|words| !secret(words)).map(Into::into),
        wasted,
    }
}

/// What the upstream could repeat of what it was sent, and clients' keys.
fn secrets(snapshot: &Snapshot, endpoint: EndpointIx) -> impl Iterator<Item = &str> {
    let provider = &snapshot.catalog.endpoint(endpoint).provider;
    let provider = snapshot.providers.get(provider).into_iter();
    let keys = provider.clone().flat_map(|provider| &provider.keys);
    let keys = keys.filter_map(|(_, key)| key.as_ref().map(Secret::expose));
    let headers = provider.flat_map(|provider| &provider.headers);
    let callers = snapshot.callers.iter().map(|caller| caller.key.expose());
    keys.chain(headers.map(|(_, value)| value.as_str()))
        .chain(callers)
}

/// So many bytes of a text at most, whole characters.
pub(super) fn begin(text: &str, most: usize) -> &str {
    let fits = |at: &usize| text.is_char_boundary(*at);
    let end = (0..=most.min(text.len())).rev().find(fits).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}
