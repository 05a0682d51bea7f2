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
use crate::core::exchange::{AttemptRecord, Record, Result as Ending};
use crate::core::names::CallerName;
use crate::core::outcome::Class;
use crate::core::time::Time;
use crate::edge::generation::Generation;
use crate::edge::telemetry::cost;

/// Who makes these spans.
const SCOPE: &str = "mainstay";

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
    pub(crate) fn into_spans(self) -> impl Iterator<Item = SpanData> {
        let attempts = self.record.attempts.iter().zip(&self.trace.attempts);
        let mut spans: Vec<SpanData> = attempts
            .map(|(attempt, span)| self.attempt(attempt, *span))
            .collect();
        spans.insert(0, self.exchange());
        spans.into_iter()
    }

    fn exchange(&self) -> SpanData {
        let Record {
            asked,
            served,
            attempts,
            recovery,
            fallback,
            usage,
            ..
        } = &self.record;
        let catalog = &self.generation.snapshot.catalog;
        let name = |model| catalog.name_of(model, self.wild.as_deref()).to_owned();
        let served = served.map(|endpoint| catalog.endpoint(endpoint));
        let mut about = About(vec![
            KeyValue::new(names::OPERATION, self.operation),
            KeyValue::new(names::REQUEST_MODEL, name(*asked)),
            KeyValue::new(names::PATH, self.path),
            KeyValue::new(names::REQUEST_ID, self.request_id.to_string()),
            KeyValue::new(names::RESULT, self.record.result.as_str()),
            KeyValue::new(names::ATTEMPTS, number(attempts.len() as u64)),
            KeyValue::new(names::RECOVERY, millis(*recovery)),
        ]);
        about.add(
            names::PROVIDER,
            served.map(|served| served.provider.to_string()),
        );
        about.add(
            names::RESPONSE_MODEL,
            served.map(|served| name(served.model)),
        );
        about.add(names::ENDPOINT, served.map(|served| served.id.to_string()));
        about.add(
            names::INPUT_TOKENS,
            usage.map(|usage| number(usage.prompt_tokens)),
        );
        about.add(
            names::OUTPUT_TOKENS,
            usage.map(|usage| number(usage.completion_tokens)),
        );
        about.add(names::KEY, self.caller.as_ref().map(ToString::to_string));
        about.add(
            "client.address",
            self.client.map(|client| client.to_string()),
        );
        about.add(names::FALLBACK, fallback.map(Class::as_str));
        about.add(names::DRIFT, self.drift.as_deref().map(str::to_owned));
        about.add(names::COST, cost::of_answer(&self.generation, &self.record));
        let wasted = cost::wasted(&self.generation, &self.record);
        about.add(names::WASTED, (wasted > 0.0).then_some(wasted));
        let first = attempts
            .iter()
            .rev()
            .find_map(|attempt| attempt.first_content_at);
        let first = first.map(|at| millis(at.since(self.record.started)));
        about.add(names::FIRST_TOKEN, first);
        let status = (self.status > 0).then(|| i64::from(self.status));
        about.add(names::STATUS, status);
        let failed = match self.record.result {
            Ending::Answered => None,
            Ending::Failed(class) => Some(class.as_str()),
            Ending::Broken | Ending::ClientGone => Some(self.record.result.as_str()),
        };
        about.add(names::ERROR_TYPE, failed);
        let parent = self.trace.parent;
        SpanData {
            parent_span_is_remote: parent.is_some(),
            span_kind: SpanKind::Server,
            ..self.span(
                (self.trace.span, parent.unwrap_or(SpanId::INVALID)),
                format!("{} {}", self.operation, name(*asked)),
                (self.record.started, self.record.took),
                (about, failed),
            )
        }
    }

    fn attempt(&self, attempt: &AttemptRecord, span: SpanId) -> SpanData {
        let snapshot = &self.generation.snapshot;
        let endpoint = snapshot.catalog.endpoint(attempt.endpoint);
        let wild = self.wild.as_deref();
        let model = snapshot.catalog.upstream_name_of(attempt.endpoint, wild);
        let mut about = About(vec![
            KeyValue::new(names::OPERATION, self.operation),
            KeyValue::new(names::PROVIDER, endpoint.provider.to_string()),
            KeyValue::new(names::REQUEST_MODEL, model.to_owned()),
            KeyValue::new(names::ENDPOINT, endpoint.id.to_string()),
            KeyValue::new(names::OUTCOME, attempt.class.as_str()),
        ]);
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
