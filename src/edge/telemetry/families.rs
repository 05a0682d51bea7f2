//! Owns how a metric family is made: its prefix, its place on the registry, and the form of its
//! values. Must never name a metric.

use prometheus::{
    Counter, Gauge, GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry,
};

const VALID: &str = "the family's name and labels are valid, and it is registered once";

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace("mainstay")
}

/// Registers a family and hands it on.
fn register<C: prometheus::core::Collector + Clone + 'static>(
    registry: &Registry,
    family: prometheus::Result<C>,
) -> C {
    let family = family.expect(VALID);
    registry.register(Box::new(family.clone())).expect(VALID);
    family
}

pub(super) fn counter(registry: &Registry, name: &str, help: &str) -> IntCounter {
    register(registry, IntCounter::with_opts(opts(name, help)))
}

pub(super) fn float_counter(registry: &Registry, name: &str, help: &str) -> Counter {
    register(registry, Counter::with_opts(opts(name, help)))
}

pub(super) fn counters(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> IntCounterVec {
    register(registry, IntCounterVec::new(opts(name, help), labels))
}

pub(super) fn int_gauge(registry: &Registry, name: &str, help: &str) -> IntGauge {
    register(registry, IntGauge::with_opts(opts(name, help)))
}

pub(super) fn float_gauge(registry: &Registry, name: &str, help: &str) -> Gauge {
    register(registry, Gauge::with_opts(opts(name, help)))
}

pub(super) fn int_gauges(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> IntGaugeVec {
    register(registry, IntGaugeVec::new(opts(name, help), labels))
}

pub(super) fn gauges(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> GaugeVec {
    register(registry, GaugeVec::new(opts(name, help), labels))
}

pub(super) fn histograms(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
    buckets: &[f64],
) -> HistogramVec {
    let options = HistogramOpts::from(opts(name, help)).buckets(buckets.to_vec());
    register(registry, HistogramVec::new(options, labels))
}

/// A count as a gauge takes it.
pub(super) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
