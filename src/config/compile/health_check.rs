//! Owns the rules of a provider's `health_check`. Must never ask a server.

use std::time::Duration;

use crate::config::raw::providers as raw;
use crate::config::report::Report;
use crate::config::scalar::Text;
use crate::config::snapshot::HealthCheck;
use crate::config::trail::Trail;

/// Asking more often would be load rather than a check.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);

pub(super) fn compile(
    written: &raw::HealthCheck,
    at: &Trail,
    report: &mut Report<'_>,
) -> HealthCheck {
    if written.interval.0 < SHORTEST_INTERVAL {
        report.error(&at.key("interval"), "the interval is shorter than 100ms");
    }
    if written.timeout.0.is_zero() {
        report.error(&at.key("timeout"), "no check can take 0s");
    }
    HealthCheck {
        path: path(written.path.as_ref(), &at.key("path"), report),
        interval: written.interval.0,
        timeout: written.timeout.0,
    }
}

fn path(written: Option<&Text>, at: &Trail, report: &mut Report<'_>) -> Option<String> {
    let Text(path) = written?;
    let is_plain = |c: char| c.is_ascii_graphic() && !matches!(c, '#' | '\\');
    if !path.starts_with('/') || !path.chars().all(is_plain) {
        let message = format!("{} is not a path", report.quoted(at));
        let hint = "it begins with / and is the server's own, such as /health";
        report.error_with(at, message, hint.to_owned());
    }
    Some(path.clone())
}
