//! Owns the rules of `telemetry`.

use crate::config::compile::names::one_of;
use crate::config::raw::telemetry as raw;
use crate::config::report::Report;
use crate::config::snapshot::AccessLog;
use crate::config::trail::Trail;

const ACCESS_LOGS: [(&str, AccessLog); 2] = [("json", AccessLog::Json), ("off", AccessLog::Off)];

pub(super) fn compile(written: &raw::Telemetry, report: &mut Report<'_>) -> AccessLog {
    let at = Trail::top("telemetry").key("access_log");
    let log = one_of(
        "access log",
        &at,
        &written.access_log.0,
        &ACCESS_LOGS,
        &[],
        report,
    );
    log.unwrap_or_default()
}
