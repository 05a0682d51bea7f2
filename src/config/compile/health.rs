//! Owns the ranges of `health` and `retry_budget`. Must never hold a default; those are `core/health`'s.

use std::time::Duration;

use crate::config::compile::policies::small;
use crate::config::raw::health as raw;
use crate::config::report::Report;
use crate::config::scalar::Number;
use crate::config::trail::Trail;
use crate::core::health::{ActiveProbe, BudgetSettings, HealthSettings, ProbeFast, Rest};

/// Beyond this a count means "never"; far below what an `f32` still counts by ones.
pub(super) const MOST: f64 = 1e6;

/// Probes of our own are no closer.
const MOST_OFTEN: Duration = Duration::from_millis(100);

pub(super) fn compile(written: &raw::Health, report: &mut Report<'_>) -> HealthSettings {
    let at = Trail::top("health");
    HealthSettings {
        trip_after: within(
            (1.0, MOST),
            written.trip_after,
            &at.key("trip_after"),
            report,
        ),
        min_success: within(
            (0.0, 1.0),
            written.min_success,
            &at.key("min_success"),
            report,
        ),
        rest: Rest {
            connect: written.rest.connect.0,
            server_error: written.rest.server_error.0,
            timeout: written.rest.timeout.0,
            auth: written.rest.auth.0,
        },
        probe_share: within(
            (0.0, 1.0),
            written.probe_share,
            &at.key("probe_share"),
            report,
        ),
        probe_fast: ProbeFast {
            below: written.probe_fast.below.0,
            every: written.probe_fast.every.0,
        },
        probes_to_close: small(written.probes_to_close, &at.key("probes_to_close"), report),
        ramp: written.ramp.0,
        active_probe: active_probe(written, &at, report),
    }
}

fn active_probe(written: &raw::Health, at: &Trail, report: &mut Report<'_>) -> Option<ActiveProbe> {
    let every = written.active_probe.as_ref()?.every.0;
    if every < MOST_OFTEN {
        let at = at.key("active_probe").key("every");
        report.error(
            &at,
            "probes closer than 100ms are load rather than a question",
        );
    }
    Some(ActiveProbe { every })
}

pub(super) fn compile_budget(
    written: &raw::RetryBudget,
    report: &mut Report<'_>,
) -> BudgetSettings {
    let at = Trail::top("retry_budget");
    let (per_success, floor) = (written.per_success, written.floor_per_second);
    BudgetSettings {
        per_success: within((0.0, MOST), per_success, &at.key("per_success"), report),
        floor_per_second: within((0.0, MOST), floor, &at.key("floor_per_second"), report),
    }
}

/// A number of the range, ends included.
pub(super) fn within(
    (low, high): (f64, f64),
    number: Number,
    at: &Trail,
    report: &mut Report<'_>,
) -> f32 {
    if !(low..=high).contains(&number.0) {
        report.error(at, format!("must be from {low} to {high}"));
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a setting needs no more digits"
    )]
    let narrow = number.0 as f32;
    narrow
}
