//! Owns what is told of the process itself: its version, and what it takes of the machine. Must never be told twice.

use prometheus::Registry;
use prometheus::process_collector::ProcessCollector;

use crate::edge::telemetry::families::int_gauges;

/// Registers what never changes, and what the system knows.
pub(super) fn describe(registry: &Registry) {
    let build = int_gauges(
        registry,
        "build_info",
        "1, with the version as label.",
        &["version"],
    );
    build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
    registry
        .register(Box::new(ProcessCollector::for_self()))
        .expect("registered once");
}
