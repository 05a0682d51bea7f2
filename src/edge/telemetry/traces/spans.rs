//! Owns the spans of an exchange: its own, and one for each attempt below it. They are written down as they are sent, when the client
//! has its answer: what they say need not be copied or kept for that. Must never hold content or secrets.

use std::fmt::Write;
use std::time::{Duration, SystemTime};

use super::context::Trace;
use super::names;
use super::otlp::{Attributes, Head, Kind, append};
use crate::core::catalog::ModelIx;
use crate::core::exchange::{AttemptRecord, Record, Result as Ending};
use crate::core::names::CallerName;
use crate::core::outcome::Class;
use crate::core::time::Time;
use crate::edge::generation::Generation;
use crate::edge::telemetry::{Observed, cost};

/// An exchange that is over and part of a trace that is recorded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Finished<'a> {
    pub(crate) trace: &'a Trace,
    pub(crate) generation: &'a Generation,
    pub(crate) observed: &'a Observed<'a>,
    pub(crate) ended: SystemTime,
}

// === impl Finished ===

impl Finished<'_> {
    /// How many spans it becomes.
    pub(crate) fn spans(&self) -> u64 {
        1 + self.record().attempts.len() as u64
    }

    /// Appends the exchange's span, then those of its attempts.
    pub(super) fn append_to(&self, out: &mut Vec<u8>) {
        self.exchange(out);
        for (nth, attempt) in self.record().attempts.iter().enumerate() {
            self.attempt((nth, attempt), out);
        }
    }

    fn record(&self) -> &Record {
        &self.observed.record
    }

    fn exchange(&self, out: &mut Vec<u8>) {
        let record = self.record();
        let failed = match record.result {
            Ending::Answered => None,
            Ending::Failed(class) => Some(class.as_str()),
            Ending::Broken | Ending::ClientGone => Some(record.result.as_str()),
        };
        let (begun, ended) = self.times(record.started, record.took);
        let head = Head {
            trace: self.trace.id,
            id: self.trace.span,
            parent: self.trace.parent,
            parent_is_remote: self.trace.parent.is_some(),
            kind: Kind::Server,
            name: [self.observed.operation, self.model(record.asked)],
            begun,
            ended,
            failed,
        };
        append(out, &head, |about| {
            self.ask_of(about);
            self.answer_of(about);
            self.recovery_of(about);
            text(about, names::ERROR_TYPE, failed);
        });
    }

    /// What was asked, and by whom.
    fn ask_of(&self, about: &mut Attributes<'_>) {
        let observed = self.observed;
        about.text(names::OPERATION, observed.operation);
        about.text(names::REQUEST_MODEL, self.model(observed.record.asked));
        about.text(names::PATH, observed.path);
        about.text(names::REQUEST_ID, observed.request_id);
        text(about, names::KEY, observed.caller.map(CallerName::as_str));
        if let Some(client) = observed.client {
            let mut address = String::with_capacity(LONGEST_ADDRESS);
            if write!(address, "{client}").is_ok() {
                about.text(names::CLIENT_ADDRESS, &address);
            }
        }
    }

    /// Who answered, and with what.
    fn answer_of(&self, about: &mut Attributes<'_>) {
        let (catalog, record) = (&self.generation.snapshot.catalog, self.record());
        if let Some(served) = record.served.map(|endpoint| catalog.endpoint(endpoint)) {
            about.text(names::PROVIDER, served.provider.as_str());
            about.text(names::RESPONSE_MODEL, self.model(served.model));
            about.text(names::ENDPOINT, served.id.as_str());
        }
        if let Some(usage) = record.usage {
            about.whole(names::INPUT_TOKENS, number(usage.prompt_tokens));
            about.whole(names::OUTPUT_TOKENS, number(usage.completion_tokens));
        }
        about.text(names::RESULT, record.result.as_str());
        text(about, names::DRIFT, self.observed.drift);
        double(about, names::COST, cost::of_answer(self.generation, record));
        let status = i64::from(self.observed.status);
        whole(
            about,
            names::STATUS,
            Some(status).filter(|status| *status > 0),
        );
    }

    /// What it took.
    fn recovery_of(&self, about: &mut Attributes<'_>) {
        let record = self.record();
        about.whole(names::ATTEMPTS, number(record.attempts.len() as u64));
        about.whole(names::RECOVERY, millis(record.recovery));
        text(about, names::FALLBACK, record.fallback.map(Class::as_str));
        let wasted = cost::wasted(self.generation, record);
        double(about, names::WASTED, (wasted > 0.0).then_some(wasted));
        let mut last_first = record.attempts.iter().rev();
        let first = last_first.find_map(|attempt| attempt.first_content_at);
        let first = first.map(|at| millis(at.since(record.started)));
        whole(about, names::FIRST_TOKEN, first);
    }

    /// A model's name, as it was asked for where a wildcard has it.
    fn model(&self, model: ModelIx) -> &str {
        let catalog = &self.generation.snapshot.catalog;
        catalog.name_of(model, self.observed.wild)
    }

    fn attempt(&self, (nth, attempt): (usize, &AttemptRecord), out: &mut Vec<u8>) {
        let catalog = &self.generation.snapshot.catalog;
        let model = catalog.upstream_name_of(attempt.endpoint, self.observed.wild);
        let failed = (attempt.class != Class::Success).then(|| attempt.class.as_str());
        let (begun, ended) = self.times(attempt.started, attempt.took);
        let head = Head {
            trace: self.trace.id,
            id: self.trace.span_of(nth),
            parent: Some(self.trace.span),
            parent_is_remote: false,
            kind: Kind::Client,
            name: [self.observed.operation, model],
            begun,
            ended,
            failed,
        };
        append(out, &head, |about| {
            about.text(names::OPERATION, self.observed.operation);
            about.text(names::REQUEST_MODEL, model);
            self.upstream_of(attempt, about);
            self.outcome_of(attempt, about);
            text(about, names::ERROR_TYPE, failed);
        });
    }

    /// Who was asked.
    fn upstream_of(&self, attempt: &AttemptRecord, about: &mut Attributes<'_>) {
        let snapshot = &self.generation.snapshot;
        let endpoint = snapshot.catalog.endpoint(attempt.endpoint);
        about.text(names::PROVIDER, endpoint.provider.as_str());
        about.text(names::ENDPOINT, endpoint.id.as_str());
        if let Some(provider) = snapshot.providers.get(&endpoint.provider) {
            about.text(names::SERVER_ADDRESS, &provider.base.host);
            about.whole(names::SERVER_PORT, i64::from(provider.base.port));
        }
    }

    /// What came of it.
    fn outcome_of(&self, attempt: &AttemptRecord, about: &mut Attributes<'_>) {
        about.text(names::OUTCOME, attempt.class.as_str());
        if let Some(usage) = attempt.usage {
            about.whole(names::INPUT_TOKENS, number(usage.prompt_tokens));
            about.whole(names::OUTPUT_TOKENS, number(usage.completion_tokens));
        }
        let first = attempt.first_content_at;
        let first = first.map(|at| millis(at.since(attempt.started)));
        whole(about, names::FIRST_TOKEN, first);
        let told = attempt.told.as_ref().map(|told| told.status);
        let status = told.or(attempt.head_at.map(|_| 200));
        whole(about, names::STATUS, status.map(i64::from));
        if attempt.probe {
            about.flag(names::PROBE, true);
        }
        let wasted = cost::of_waste(self.generation, self.record(), attempt);
        double(about, names::WASTED, wasted);
    }

    /// When something began and ended, by the wall clock.
    fn times(&self, started: Time, took: Duration) -> (SystemTime, SystemTime) {
        let record = self.record();
        let begun = self.ended - record.took + started.since(record.started);
        (begun, begun + took)
    }
}

/// Characters of the longest IPv6 address.
const LONGEST_ADDRESS: usize = 45;

#[inline]
fn text(about: &mut Attributes<'_>, name: &'static str, value: Option<&str>) {
    if let Some(value) = value {
        about.text(name, value);
    }
}

#[inline]
fn whole(about: &mut Attributes<'_>, name: &'static str, value: Option<i64>) {
    if let Some(value) = value {
        about.whole(name, value);
    }
}

#[inline]
fn double(about: &mut Attributes<'_>, name: &'static str, value: Option<f64>) {
    if let Some(value) = value {
        about.double(name, value);
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
