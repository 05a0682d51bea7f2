//! Owns how a metric family is made: its prefix, its place on the registry and in the listing, and that its series
//! are had for [`Label`]s alone. Must never name a metric.

use prometheus::core::{Collector, MetricVec, MetricVecBuilder};
use prometheus::{
    Counter, CounterVec, Gauge, GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec,
    IntGauge, IntGaugeVec, Opts, Registry,
};

use crate::edge::telemetry::labels::Label;
use crate::edge::telemetry::tallied::{self, TalliedVec};

const VALID: &str = "the family's name and labels are valid, and it is registered once";

/// What a family is, for people and for the dashboards' generator.
#[derive(Clone, Debug, serde::Serialize)]
pub(super) struct Described {
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) labels: Vec<&'static str>,
    pub(super) help: String,
}

/// All families, as they are made.
#[derive(Debug, Default)]
pub(super) struct Families {
    pub(super) registry: Registry,
    pub(super) described: Vec<Described>,
}

/// A family with labels.
#[derive(Debug)]
pub(super) struct Family<V, const N: usize>(V);

pub(super) type Counters<const N: usize> = Family<IntCounterVec, N>;
pub(super) type FloatCounters<const N: usize> = Family<CounterVec, N>;
pub(super) type Gauges<const N: usize> = Family<GaugeVec, N>;
pub(super) type IntGauges<const N: usize> = Family<IntGaugeVec, N>;
pub(super) type Histograms<const N: usize> = Family<HistogramVec, N>;
pub(super) type Tallies<const N: usize> = Family<TalliedVec, N>;

impl<T: MetricVecBuilder, const N: usize> Family<MetricVec<T>, N> {
    /// The series with these labels, which begins where there is none.
    pub(super) fn with(&self, labels: [Label<'_>; N]) -> T::M {
        self.0.with_label_values(&labels.map(Label::as_str))
    }

    /// Ends the series with these labels.
    pub(super) fn forget(&self, labels: [Label<'_>; N]) {
        self.0.remove_label_values(&labels.map(Label::as_str)).ok();
    }
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace("mainstay")
}

impl Families {
    fn add<C: Collector + Clone + 'static>(
        &mut self,
        family: prometheus::Result<C>,
        (kind, labels): (&'static str, &[&'static str]),
    ) -> C {
        let family = family.expect(VALID);
        let desc = family.desc();
        self.described
            .extend(desc.into_iter().map(|desc| Described {
                name: desc.fq_name.clone(),
                kind,
                labels: labels.to_vec(),
                help: desc.help.clone(),
            }));
        let registered = self.registry.register(Box::new(family.clone()));
        registered.expect(VALID);
        family
    }

    pub(super) fn counter(&mut self, name: &str, help: &str) -> IntCounter {
        self.add(IntCounter::with_opts(opts(name, help)), ("counter", &[]))
    }

    pub(super) fn float_counter(&mut self, name: &str, help: &str) -> Counter {
        self.add(Counter::with_opts(opts(name, help)), ("counter", &[]))
    }

    pub(super) fn int_gauge(&mut self, name: &str, help: &str) -> IntGauge {
        self.add(IntGauge::with_opts(opts(name, help)), ("gauge", &[]))
    }

    pub(super) fn gauge(&mut self, name: &str, help: &str) -> Gauge {
        self.add(Gauge::with_opts(opts(name, help)), ("gauge", &[]))
    }

    pub(super) fn histogram(
        &mut self,
        name: &str,
        help: &str,
        buckets: &[f64],
    ) -> prometheus::Histogram {
        let options = HistogramOpts::from(opts(name, help)).buckets(buckets.to_vec());
        let made = prometheus::Histogram::with_opts(options);
        self.add(made, ("histogram", &[]))
    }

    pub(super) fn counters<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        labels: [&'static str; N],
    ) -> Counters<N> {
        let made = IntCounterVec::new(opts(name, help), &labels);
        Family(self.add(made, ("counter", &labels)))
    }

    pub(super) fn float_counters<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        labels: [&'static str; N],
    ) -> FloatCounters<N> {
        let made = CounterVec::new(opts(name, help), &labels);
        Family(self.add(made, ("counter", &labels)))
    }

    pub(super) fn int_gauges<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        labels: [&'static str; N],
    ) -> IntGauges<N> {
        let made = IntGaugeVec::new(opts(name, help), &labels);
        Family(self.add(made, ("gauge", &labels)))
    }

    pub(super) fn gauges<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        labels: [&'static str; N],
    ) -> Gauges<N> {
        let made = GaugeVec::new(opts(name, help), &labels);
        Family(self.add(made, ("gauge", &labels)))
    }

    pub(super) fn histograms<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        (labels, buckets): ([&'static str; N], &[f64]),
    ) -> Histograms<N> {
        let options = HistogramOpts::from(opts(name, help)).buckets(buckets.to_vec());
        let made = HistogramVec::new(options, &labels);
        Family(self.add(made, ("histogram", &labels)))
    }

    /// Histograms of silences that are counted before they are told.
    pub(super) fn tallies<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        labels: [&'static str; N],
    ) -> Tallies<N> {
        let made = tallied::family(opts(name, help), &labels);
        Family(self.add(made, ("histogram", &labels)))
    }

    /// What the process tells of itself, by the collector of the library.
    pub(super) fn process(&mut self) {
        let made = prometheus::process_collector::ProcessCollector::for_self();
        let desc = made.desc().into_iter();
        self.described.extend(desc.map(|desc| Described {
            name: desc.fq_name.clone(),
            kind: if desc.fq_name.ends_with("_total") {
                "counter"
            } else {
                "gauge"
            },
            labels: Vec::new(),
            help: desc.help.clone(),
        }));
        self.registry.register(Box::new(made)).expect(VALID);
    }
}

/// A count as a gauge takes it.
pub(super) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
