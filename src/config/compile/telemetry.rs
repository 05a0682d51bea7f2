//! Owns the rules of `telemetry`.

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
    Telemetry {
        access_log: log.unwrap_or_default(),
        requests: usize::try_from(written.requests.0).unwrap_or(0),
    }
}
