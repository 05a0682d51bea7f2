//! Owns the rules of `telemetry`.

use crate::config::compile::base_url;
use crate::config::compile::names::one_of;
use crate::config::raw::telemetry as raw;
use crate::config::report::Report;
use crate::config::snapshot::{AccessLog, Telemetry};
use crate::config::trail::Trail;

const ACCESS_LOGS: [(&str, AccessLog); 2] = [("json", AccessLog::Json), ("off", AccessLog::Off)];
/// Some 1 to 4 KiB each.
const MOST_REQUESTS: u64 = 10_000;

pub(super) fn compile(written: &raw::Telemetry, report: &mut Report<'_>) -> Telemetry {
    let at = Trail::top("telemetry");
    let log = one_of(
        "access log",
        &at.key("access_log"),
        &written.access_log.0,
        &ACCESS_LOGS,
        &[],
        report,
    );
    if written.requests.0 > MOST_REQUESTS {
        let message = format!("must be at most {MOST_REQUESTS}");
        report.error(&at.key("requests"), message);
    }
    if !(0.0..=1.0).contains(&written.trace_ratio.0) {
        report.error(&at.key("trace_ratio"), "must be from 0 to 1");
    }
    let otlp = written.otlp.as_ref();
    let otlp = otlp.and_then(|otlp| base_url::of_collector(otlp, &at.key("otlp"), report));
    Telemetry {
        otlp,
        trace_ratio: written.trace_ratio.0,
        access_log: log.unwrap_or_default(),
        requests: usize::try_from(written.requests.0).unwrap_or(0),
    }
}
