//! Owns what operators see: metrics, the access log, the latest requests, traces. In reading order: `labels`, `families`,
//! `tallied`, then what is told: `process_metrics`, `check_metrics`, `probe_metrics`, `cost`, `endpoint_metrics`,
//! `model_metrics`, and all of it: `metrics`; `access_log`, `requests`, `history`, `traces`. `listing_tests` writes down what there
//! is, for documents and dashboards.
//! Must never take a label from a client's text, or let a slow reader of the log hold up a request.

mod labels;
mod families;
mod tallied;
mod process_metrics;
mod check_metrics;
mod probe_metrics;
mod endpoint_metrics;
mod model_metrics;
mod metrics;
mod cost;
mod access_log;
mod requests;
mod history;
mod traces;
#[cfg(test)]
mod listing_tests;

use std::cell::LazyCell;
use std::net::IpAddr;
use std::sync::Arc;

use crate::config::snapshot::AccessLog as Format;
use crate::core::exchange::Record;
use crate::core::names::CallerName;
use crate::edge::clock::wall_clock;
use crate::edge::conversations::Became;
use crate::edge::generation::Generation;

pub use access_log::{AccessLog, Routed};
pub(crate) use check_metrics::CheckMetrics;
pub(crate) use history::{History, Moment, STEP, Stood};
pub use metrics::{EndpointMetrics, Metrics, ModelMetrics};
pub use requests::Names;
pub(crate) use requests::{Kept, Latest, MOST_CONSIDERED, Met, Refusal, Refused, Requests};
pub(crate) use traces::{Batch, Envelope, TRACEPARENT, TRACESTATE, Trace};
use traces::{Finished, Traces};

/// Where everything observed goes.
#[derive(Debug)]
pub struct Telemetry {
    pub metrics: Metrics,
    log: AccessLog,
    pub(crate) requests: Requests,
    pub(crate) history: History,
    pub(crate) traces: Traces,
}

/// An exchange's record with what only the edge knows of it.
#[derive(Debug)]
pub struct Observed<'a> {
    pub record: Record,
    pub request_id: &'a str,
    /// Of the answer.
    pub(crate) generation_id: &'a str,
    pub caller: Option<&'a CallerName>,
    /// Unknown where the connection has no address.
    pub client: Option<IpAddr>,
    /// The status that the client got; 0 where none was sent.
    pub status: u16,
    pub stream: bool,
    pub path: &'static str,
    /// The model's name as it was asked for, where a wildcard has it.
    pub(crate) wild: Option<&'a str>,
    /// How the answer differs from the endpoint that was meant.
    pub(crate) drift: Option<&'a str>,
    pub(crate) relayed: Relayed,
    /// What it met when it began, where that is kept.
    pub(crate) met: Option<Met>,
    /// Where it is part of a trace that is recorded.
    pub(crate) trace: Option<Box<Trace>>,
    /// As the GenAI conventions name it.
    pub(crate) operation: &'static str,
    /// What became of the conversation that it is a turn of.
    pub(crate) kept: Option<Became>,
}

/// What of an upstream's answer went to the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Relayed {
    pub(crate) bytes: u64,
    /// Of a stream, comments included.
    pub(crate) events: u64,
}

impl Telemetry {
    /// Telemetry with the access log going to `log`.
    pub fn new(log: AccessLog) -> Arc<Self> {
        let metrics = Metrics::new();
        log.count_lost(metrics.dropped_log_lines());
        Arc::new(Self {
            metrics,
            log,
            requests: Requests::default(),
            history: History::default(),
            traces: Traces::default(),
        })
    }

    /// Takes in what became of a request that was passed on.
    pub fn observe_routed(&self, generation: &Generation, routed: &Routed<'_>) {
        self.metrics.observe_routed(&generation.snapshot, routed);
        let wanted = generation.snapshot.telemetry.access_log == Format::Json;
        if wanted && !self.log.write_routed(generation.number, routed) {
            self.metrics.count_dropped_log_line();
        }
    }

    /// Takes in what became of an exchange.
    pub fn observe(&self, generation: &Generation, mut observed: Observed<'_>) {
        self.metrics.observe(generation, &observed.record);
        if let Some(kept) = observed.kept {
            let model = generation.model_metrics(observed.record.asked);
            model.count_turn(kept);
        }
        // Read once, where anything asks for it.
        let now = LazyCell::new(wall_clock);
        let settings = &generation.snapshot.telemetry;
        let wanted = settings.access_log == Format::Json;
        if wanted && !self.log.write(generation, &observed, *now) {
            self.metrics.count_dropped_log_line();
        }
        if let Some(trace) = &observed.trace {
            let dropped = self.traces.queue(&Finished {
                trace,
                generation,
                observed: &observed,
                ended: *now,
            });
            self.metrics.count_dropped_spans(dropped);
        }
        if let Some(met) = observed.met.take() {
            let kept = Kept::of(generation, observed, met, *now);
            self.requests.keep(kept, settings.requests);
        }
    }

    /// Takes in a request that was refused before it had a plan.
    pub(crate) fn observe_refused(&self, generation: &Generation, refusal: Refusal<'_>) {
        self.metrics.count_refused(refusal.status);
        let most = generation.snapshot.telemetry.requests;
        if most > 0 {
            let refused = Refused::of(refusal, wall_clock());
            self.requests.keep_refused(refused, most);
        }
    }
}
