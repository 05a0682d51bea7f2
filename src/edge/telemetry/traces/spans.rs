//! Owns the spans of an exchange: its own, and one for each attempt below it. They are made where they are sent, not where
//! requests are answered. Must never hold content or secrets.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use super::context::Trace;
use super::names;
use crate::core::catalog::ModelIx;
use crate::core::exchange::{AttemptRecord, Record, Result as Ending};
use crate::core::names::CallerName;
use crate::core::outcome::Class;
use crate::core::time::Time;
use crate::edge::generation::Generation;
use crate::edge::telemetry::cost;

/// Who makes these spans.
const SCOPE: &str = "mainstay";
/// Attributes of an exchange and of an attempt, at most.
const EXCHANGE: usize = 24;
const ATTEMPT: usize = 16;

/// An exchange that is over and part of a trace that is recorded.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) trace: Box<Trace>,
    pub(crate) generation: Arc<Generation>,
    pub(crate) record: Record,
    pub(crate) ended: SystemTime,
    pub(crate) request_id: Box<str>,
    pub(crate) caller: Option<CallerName>,
    pub(crate) client: Option<IpAddr>,
    /// The model's name as it was asked for, where a wildcard has it.
    pub(crate) wild: Option<Box<str>>,
    pub(crate) path: &'static str,
    /// As the GenAI conventions name it.
    pub(crate) operation: &'static str,
    pub(crate) status: u16,
    pub(crate) drift: Option<Box<str>>,
}

// === impl Finished ===

impl Finished {
    /// How many spans it becomes.
    pub(crate) fn spans(&self) -> u64 {
        1 + self.record.attempts.len() as u64
    }

    /// The exchange's span, then those of its attempts.
    pub(crate) fn to_spans(&self) -> impl Iterator<Item = SpanData> {
        let attempts = self.record.attempts.iter().zip(&self.trace.attempts);
        let attempts = attempts.map(|(attempt, span)| self.attempt(attempt, *span));
        std::iter::once(self.exchange()).chain(attempts)
    }

    fn exchange(&self) -> SpanData {
        let failed = match self.record.result {
            Ending::Answered => None,
            Ending::Failed(class) => Some(class.as_str()),
            Ending::Broken | Ending::ClientGone => Some(self.record.result.as_str()),
        };
        let mut about = About::with_capacity(EXCHANGE);
        self.ask_of(&mut about);
        self.answer_of(&mut about);
        self.recovery_of(&mut about);
        about.add(names::ERROR_TYPE, failed);
        let parent = self.trace.parent;
        SpanData {
            parent_span_is_remote: parent.is_some(),
            span_kind: SpanKind::Server,
            ..self.span(
                (self.trace.span, parent.unwrap_or(SpanId::INVALID)),
                format!("{} {}", self.operation, self.model(self.record.asked)),
                (self.record.started, self.record.took),
                (about, failed),
            )
        }
    }

    /// What was asked, and by whom.
    fn ask_of(&self, about: &mut About) {
        let asked = self.model(self.record.asked).to_owned();
        about.add(names::OPERATION, Some(self.operation));
        about.add(names::REQUEST_MODEL, Some(asked));
        about.add(names::PATH, Some(self.path));
        about.add(names::REQUEST_ID, Some(self.request_id.to_string()));
        about.add(names::KEY, self.caller.as_ref().map(ToString::to_string));
        let client = self.client.map(|client| client.to_string());
        about.add(names::CLIENT_ADDRESS, client);
    }

    /// Who answered, and with what.
    fn answer_of(&self, about: &mut About) {
        let catalog = &self.generation.snapshot.catalog;
        if let Some(served) = self
            .record
            .served
            .map(|endpoint| catalog.endpoint(endpoint))
        {
            about.add(names::PROVIDER, Some(served.provider.to_string()));
            let model = self.model(served.model).to_owned();
            about.add(names::RESPONSE_MODEL, Some(model));
            about.add(names::ENDPOINT, Some(served.id.to_string()));
        }
        if let Some(usage) = self.record.usage {
            about.add(names::INPUT_TOKENS, Some(number(usage.prompt_tokens)));
            about.add(names::OUTPUT_TOKENS, Some(number(usage.completion_tokens)));
        }
        about.add(names::RESULT, Some(self.record.result.as_str()));
        about.add(names::DRIFT, self.drift.as_deref().map(str::to_owned));
        about.add(names::COST, cost::of_answer(&self.generation, &self.record));
        let status = (self.status > 0).then(|| i64::from(self.status));
        about.add(names::STATUS, status);
    }

    /// What it took.
    fn recovery_of(&self, about: &mut About) {
        let record = &self.record;
        about.add(names::ATTEMPTS, Some(number(record.attempts.len() as u64)));
        about.add(names::RECOVERY, Some(millis(record.recovery)));
        about.add(names::FALLBACK, record.fallback.map(Class::as_str));
        let wasted = cost::wasted(&self.generation, record);
        about.add(names::WASTED, (wasted > 0.0).then_some(wasted));
        let mut last_first = record.attempts.iter().rev();
        let first = last_first.find_map(|attempt| attempt.first_content_at);
        let first = first.map(|at| millis(at.since(record.started)));
        about.add(names::FIRST_TOKEN, first);
    }

    /// A model's name, as it was asked for where a wildcard has it.
    fn model(&self, model: ModelIx) -> &str {
        let catalog = &self.generation.snapshot.catalog;
        catalog.name_of(model, self.wild.as_deref())
    }

    fn attempt(&self, attempt: &AttemptRecord, span: SpanId) -> SpanData {
        let snapshot = &self.generation.snapshot;
        let endpoint = snapshot.catalog.endpoint(attempt.endpoint);
        let wild = self.wild.as_deref();
        let model = snapshot.catalog.upstream_name_of(attempt.endpoint, wild);
        let mut about = About::with_capacity(ATTEMPT);
        about.add(names::OPERATION, Some(self.operation));
        about.add(names::PROVIDER, Some(endpoint.provider.to_string()));
        about.add(names::REQUEST_MODEL, Some(model.to_owned()));
        about.add(names::ENDPOINT, Some(endpoint.id.to_string()));
        about.add(names::OUTCOME, Some(attempt.class.as_str()));
        if let Some(provider) = snapshot.providers.get(&endpoint.provider) {
            about.add(names::SERVER_ADDRESS, Some(provider.base.host.clone()));
            about.add(names::SERVER_PORT, Some(i64::from(provider.base.port)));
        }
        about.add(
            names::INPUT_TOKENS,
            attempt.usage.map(|usage| number(usage.prompt_tokens)),
        );
        let completion = attempt.usage.map(|usage| number(usage.completion_tokens));
        about.add(names::OUTPUT_TOKENS, completion);
        let first = attempt
            .first_content_at
            .map(|at| millis(at.since(attempt.started)));
        about.add(names::FIRST_TOKEN, first);
        let told = attempt.told.as_ref().map(|told| told.status);
        let status = told.or(attempt.head_at.map(|_| 200));
        about.add(names::STATUS, status.map(i64::from));
        about.add(names::PROBE, attempt.probe.then_some(true));
        about.add(
            names::WASTED,
            cost::of_waste(&self.generation, &self.record, attempt),
        );
        let failed = (attempt.class != Class::Success).then(|| attempt.class.as_str());
        about.add(names::ERROR_TYPE, failed);
        SpanData {
            span_kind: SpanKind::Client,
            ..self.span(
                (span, self.trace.span),
                format!("{} {model}", self.operation),
                (attempt.started, attempt.took),
                (about, failed),
            )
        }
    }

    fn span(
        &self,
        (own, parent): (SpanId, SpanId),
        name: String,
        (started, took): (Time, Duration),
        (about, failed): (About, Option<&'static str>),
    ) -> SpanData {
        let begun = self.ended - self.record.took + started.since(self.record.started);
        let (trace, state) = (self.trace.id, TraceState::default());
        SpanData {
            span_context: SpanContext::new(trace, own, TraceFlags::SAMPLED, false, state),
            parent_span_id: parent,
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name: name.into(),
            start_time: begun,
            end_time: begun + took,
            attributes: about.0,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: failed.map_or(Status::Unset, Status::error),
            instrumentation_scope: InstrumentationScope::builder(SCOPE)
                .with_version(env!("CARGO_PKG_VERSION"))
                .build(),
        }
    }
}

/// What is said of a span.
struct About(Vec<KeyValue>);

// === impl About ===

impl About {
    fn with_capacity(attributes: usize) -> Self {
        Self(Vec::with_capacity(attributes))
    }

    fn add(&mut self, name: &'static str, value: Option<impl Into<Value>>) {
        self.0.extend(value.map(|value| KeyValue::new(name, value)));
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
