//! Owns what operators see: metrics and the access log. In reading order: `labels`, `families`, `tallied`, then what is
//! told: `process_metrics`, `check_metrics`, `probe_metrics`, `endpoint_metrics`, `model_metrics`, and all of it:
//! `metrics`; `access_log`. `listing_tests` writes down what there is, for documents and dashboards.
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
mod access_log;
#[cfg(test)]
mod listing_tests;

use std::net::IpAddr;
use std::sync::Arc;

use crate::config::snapshot::AccessLog as Format;
use crate::core::exchange::Record;
use crate::core::names::CallerName;
use crate::edge::conversations::Became;
use crate::edge::generation::Generation;

pub use access_log::{AccessLog, Routed};
pub(crate) use check_metrics::CheckMetrics;
pub use metrics::{EndpointMetrics, Metrics, ModelMetrics};

/// Where everything observed goes.
#[derive(Debug)]
pub struct Telemetry {
    pub metrics: Metrics,
    log: AccessLog,
}

/// An exchange's record with what only the edge knows of it.
#[derive(Debug)]
pub struct Observed<'a> {
    pub record: &'a Record,
    pub request_id: &'a str,
    pub caller: Option<&'a CallerName>,
    /// Unknown where the connection has no address.
    pub client: Option<IpAddr>,
    /// The status that the client got; 0 where none was sent.
    pub status: u16,
    pub stream: bool,
    pub path: &'a str,
    /// What became of the conversation that it is a turn of.
    pub(crate) kept: Option<Became>,
}

impl Telemetry {
    /// Telemetry with the access log going to `log`.
    pub fn new(log: AccessLog) -> Arc<Self> {
        Arc::new(Self {
            metrics: Metrics::new(),
            log,
        })
    }

    /// Takes in what became of a request that was passed on.
    pub fn observe_routed(&self, generation: &Generation, routed: &Routed<'_>) {
        self.metrics.observe_routed(&generation.snapshot, routed);
        let wanted = generation.snapshot.access_log == Format::Json;
        if wanted && !self.log.write_routed(generation.number, routed) {
            self.metrics.count_dropped_log_line();
        }
    }

    /// Takes in what became of an exchange.
    pub fn observe(&self, generation: &Generation, observed: &Observed<'_>) {
        self.metrics.observe(generation, observed.record);
        if let Some(kept) = observed.kept {
            let model = generation.model_metrics(observed.record.asked);
            model.count_turn(kept);
        }
        let wanted = generation.snapshot.access_log == Format::Json;
        if wanted && !self.log.write(generation, observed) {
            self.metrics.count_dropped_log_line();
        }
    }
}
