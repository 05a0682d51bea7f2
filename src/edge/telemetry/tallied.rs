//! Owns histograms that are told whole tallies: an attempt counts its silences as they come, in its own memory, and its
//! end adds all of them at once, where the library's histograms would be told one by one. Must never be told of an event.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use prometheus::Opts;
use prometheus::core::{Metric, MetricVec, MetricVecBuilder};
use prometheus::proto::{self, LabelPair, MetricType};

use crate::core::exchange::{GAP_BOUNDS, Gaps};

pub(super) type TalliedVec = MetricVec<TalliedBuilder>;

#[derive(Clone, Debug)]
pub(crate) struct TalliedBuilder;

/// One series.
#[derive(Clone, Debug)]
pub(crate) struct Tallied(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    labels: Vec<LabelPair>,
    counts: [AtomicU64; GAP_BOUNDS.len() + 1],
    micros: AtomicU64,
}

pub(super) fn family(opts: Opts, labels: &[&str]) -> prometheus::Result<TalliedVec> {
    let labels = labels.iter().map(|label| (*label).to_owned()).collect();
    MetricVec::create(
        MetricType::HISTOGRAM,
        TalliedBuilder,
        opts.variable_labels(labels),
    )
}

impl Tallied {
    pub(super) fn add(&self, gaps: &Gaps) {
        for (to, more) in self.0.counts.iter().zip(gaps.counts) {
            if more > 0 {
                to.fetch_add(u64::from(more), Relaxed);
            }
        }
        let micros = u64::try_from(gaps.sum.as_micros()).unwrap_or(u64::MAX);
        self.0.micros.fetch_add(micros, Relaxed);
    }
}

impl MetricVecBuilder for TalliedBuilder {
    type M = Tallied;
    type P = Opts;

    fn build<V: AsRef<str>>(&self, opts: &Opts, values: &[V]) -> prometheus::Result<Tallied> {
        let named = opts.variable_labels.iter().zip(values);
        let mut labels: Vec<LabelPair> = named
            .map(|(name, value)| {
                let mut pair = LabelPair::default();
                pair.set_name(name.clone());
                pair.set_value(value.as_ref().to_owned());
                pair
            })
            .collect();
        labels.sort_by(|one, other| one.name().cmp(other.name()));
        Ok(Tallied(Arc::new(Inner {
            labels,
            counts: Default::default(),
            micros: AtomicU64::new(0),
        })))
    }
}

impl Metric for Tallied {
    fn metric(&self) -> proto::Metric {
        let mut so_far = 0;
        let mut buckets = Vec::with_capacity(GAP_BOUNDS.len());
        for (bound, count) in GAP_BOUNDS.iter().zip(&self.0.counts) {
            so_far += count.load(Relaxed);
            let mut bucket = proto::Bucket::default();
            bucket.set_upper_bound(bound.as_secs_f64());
            bucket.set_cumulative_count(so_far);
            buckets.push(bucket);
        }
        let beyond = self.0.counts[GAP_BOUNDS.len()].load(Relaxed);
        let mut histogram = proto::Histogram::default();
        histogram.set_bucket(buckets);
        histogram.set_sample_count(so_far + beyond);
        histogram.set_sample_sum(self.0.micros.load(Relaxed) as f64 / 1e6);
        let mut metric = proto::Metric::from_label(self.0.labels.clone());
        metric.set_histogram(histogram);
        metric
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use prometheus::core::Collector;

    use super::*;

    #[test]
    fn a_tally_reads_as_a_histogram() {
        let family = family(Opts::new("gaps", "Gaps."), &["b", "a"]).unwrap();
        let series = family.with_label_values(&["of b", "of a"]);
        let mut gaps = Gaps::default();
        for millis in [3, 3, 60, 5000] {
            gaps.note(Duration::from_millis(millis));
        }
        series.add(&gaps);
        series.add(&gaps);
        let told = family.collect().remove(0).take_metric().remove(0);
        let labels: Vec<_> = told.get_label().iter().map(LabelPair::value).collect();
        assert_eq!(labels, ["of a", "of b"]);
        let histogram = told.get_histogram();
        let buckets = histogram.get_bucket().iter();
        let counts: Vec<_> = buckets.map(proto::Bucket::cumulative_count).collect();
        assert_eq!(counts, [4, 4, 4, 4, 6, 6, 6]);
        assert_eq!(histogram.get_sample_count(), 8);
        assert!((histogram.get_sample_sum() - 10.132).abs() < 1e-6);
    }
}
