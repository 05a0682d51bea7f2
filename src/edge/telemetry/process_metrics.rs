//! Owns what is told of the process itself: its version, what it holds and takes of the machine, its reloads, and how
//! late its event loop is. Must never be told twice.

use std::time::Duration;

use prometheus::{Gauge, Histogram, IntCounter, IntGauge};

use crate::edge::clock::unix_seconds;
use crate::edge::lifecycle::Lifecycle;
use crate::edge::telemetry::families::{Counters, Families, signed};
use crate::edge::telemetry::labels::{Cause, Label, Reload};

/// Seconds that a timer of the data threads was late: a millisecond is the timer's own grain.
const LAG_BUCKETS: [f64; 7] = [0.002, 0.005, 0.01, 0.025, 0.1, 0.5, 2.0];

/// The series of the process.
#[derive(Debug)]
pub(super) struct ProcessMetrics {
    connections: IntGauge,
    pub(super) connections_refused: IntCounter,
    refused: Counters<1>,
    exchanges: IntGauge,
    streams: IntGauge,
    held_bytes: IntGauge,
    reloads: Counters<1>,
    reload_ok: IntGauge,
    reload_time: Gauge,
    generation: IntGauge,
    pub(super) log_dropped: IntCounter,
    pub(super) spans_dropped: IntCounter,
    lag: Histogram,
    scrape: Gauge,
}

impl ProcessMetrics {
    /// Registers them, with what never changes and what the system knows.
    pub(super) fn new(families: &mut Families) -> Self {
        let f = families;
        let build = f.int_gauges("build_info", "1, with the version as label.", ["version"]);
        build.with([Label::version()]).set(1);
        f.process();
        Self {
            connections: f.int_gauge(
                "downstream_connections",
                "Connections of clients that are open.",
            ),
            connections_refused: f.counter(
                "downstream_connections_refused_total",
                "Connections of clients closed at once because max_connections were open.",
            ),
            refused: f.counters(
                "refused_requests_total",
                "Requests refused before any endpoint was considered, by what was wrong with them, or with us.",
                ["cause"],
            ),
            exchanges: f.int_gauge("exchanges_in_flight", "Exchanges under way."),
            streams: f.int_gauge(
                "streams_in_flight",
                "Exchanges under way whose clients asked for a stream.",
            ),
            held_bytes: f.int_gauge("held_body_bytes", "Bytes of request bodies held for replay."),
            reloads: f.counters(
                "config_reloads_total",
                "Reloads that changed something or failed, by result.",
                ["result"],
            ),
            reload_ok: f.int_gauge(
                "config_last_reload_successful",
                "Whether the file as last read is the one that serves.",
            ),
            reload_time: f.gauge(
                "config_last_reload_success_timestamp_seconds",
                "When the serving configuration was loaded.",
            ),
            generation: f.int_gauge(
                "config_generation",
                "Number of the generation that serves.",
            ),
            log_dropped: f.counter(
                "access_log_dropped_total",
                "Access log lines dropped: their reader was too slow, or the disk is full.",
            ),
            spans_dropped: f.counter(
                "spans_dropped_total",
                "Spans dropped because their collector was away or too slow.",
            ),
            lag: f.histogram(
                "event_loop_lag_seconds",
                "How late a timer of the data threads fired, looked at ten times a second. Empty in a host of the plugin.",
                &LAG_BUCKETS,
            ),
            scrape: f.gauge(
                "scrape_seconds",
                "What the scrape before this one took to write.",
            ),
        }
    }

    /// A reload was tried: whether its configuration serves.
    pub(super) fn observe_reload(&self, is_applied: bool) {
        let result = match is_applied {
            true => Reload::Applied,
            false => Reload::Refused,
        };
        self.reloads.with([Label::of(result)]).inc();
        self.reload_ok.set(i64::from(is_applied));
        if is_applied {
            self.reload_time.set(unix_seconds() as f64);
        }
    }

    /// The first generation serves.
    pub(super) fn observe_start(&self) {
        for result in Reload::ALL {
            let _at_zero = self.reloads.with([Label::of(*result)]);
        }
        for cause in Cause::ALL {
            let _at_zero = self.refused.with([Label::of(*cause)]);
        }
        self.reload_ok.set(1);
        self.reload_time.set(unix_seconds() as f64);
    }

    /// A request was refused with this status, before it had a plan.
    pub(super) fn count_refused(&self, status: u16) {
        self.refused.with([Label::of(Cause::of(status))]).inc();
    }

    pub(super) fn observe_lag(&self, late: Duration) {
        self.lag.observe(late.as_secs_f64());
    }

    pub(super) fn observe_scrape(&self, took: Duration) {
        self.scrape.set(took.as_secs_f64());
    }

    pub(super) fn show(&self, generation: u64, lifecycle: &Lifecycle) {
        self.connections.set(signed(lifecycle.connections() as u64));
        self.exchanges.set(signed(lifecycle.exchanges() as u64));
        self.streams.set(signed(lifecycle.streams() as u64));
        self.held_bytes.set(signed(lifecycle.held_bytes()));
        self.generation.set(signed(generation));
    }
}
