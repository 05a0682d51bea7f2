//! Owns the text of the demo's configuration: a file like any other, read by the same loader. Must never say
//! anything that a user's own file could not.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::cmd::demo::schedule::Schedule;
use crate::cmd::demo::stage::{PROVIDERS, Provider, THRIFTY};
use crate::config::{self, ConfigError, Loaded, Source};

/// The model that clients ask for.
pub(crate) const MODEL: &str = "demo/pilot";

/// Failures in a row that trip a breaker; usually 3. Traffic turns away after the first already, so that at the
/// demo's rate the third may take longer than the incident.
pub(crate) const TRIP_AFTER: u32 = 2;

/// The timings that are shorter than usual, so that what takes minutes in production is seen in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timings {
    pub(crate) first_token: Duration,
    pub(crate) answer: Duration,
    pub(crate) rest: Duration,
    pub(crate) probe: Duration,
    pub(crate) ramp: Duration,
}

impl Timings {
    /// Scaled with the run, never beyond the product's own defaults, and never so short that a busy machine
    /// alone would trip them.
    pub(crate) fn of(schedule: &Schedule) -> Self {
        let scaled = |millis: u64, least: u64, most: u64| {
            let wanted = Duration::from_millis(millis).mul_f64(schedule.scale());
            wanted.clamp(Duration::from_millis(least), Duration::from_millis(most))
        };
        Self {
            first_token: scaled(1200, 1000, 10_000),
            answer: scaled(2000, 1600, 120_000),
            rest: scaled(1000, 150, 10_000),
            probe: scaled(400, 80, 10_000),
            ramp: scaled(1500, 200, 5000),
        }
    }
}

/// Reads the demo's configuration.
///
/// # Errors
/// The text is wrong; a test holds that it is not.
pub(crate) fn load(mocks: &[SocketAddr], timings: &Timings) -> Result<Loaded, ConfigError> {
    let source = Source {
        path: PathBuf::from("demo.yaml"),
        text: text(mocks, timings),
    };
    config::parse(&source, &|_| None)
}

fn text(mocks: &[SocketAddr], timings: &Timings) -> String {
    let entries = || PROVIDERS.iter().zip(mocks);
    let providers = lines(entries().map(|(provider, address)| {
        let name = provider.name;
        format!("  {name}: {{ base_url: \"http://{address}/v1\", auth: none }}")
    }));
    let endpoints = lines(entries().map(|(Provider { name, price, .. }, _)| {
        let price = format!("{{ prompt: {price}, completion: {price} }}");
        format!("      - {{ provider: {name}, price: {price} }}")
    }));
    let millis = |duration: Duration| format!("{}ms", duration.as_millis());
    let (first_token, answer) = (millis(timings.first_token), millis(timings.answer));
    let (rest, probe) = (millis(timings.rest), millis(timings.probe));
    let ramp = millis(timings.ramp);
    let understudy = PROVIDERS[THRIFTY].name;
    format!(
        "server:
  listen: [127.0.0.1:0]
  admin: {{ listen: 127.0.0.1:0 }}
  threads: 2
providers:
{providers}
models:
  {MODEL}:
    endpoints:
{endpoints}
    fallbacks: [demo/understudy]
  demo/understudy:
    endpoints: [{{ provider: {understudy} }}]
policies:
  default: {{ sort: adaptive, timeouts: {{ first_token: {first_token}, answer: {answer} }} }}
health:
  trip_after: {TRIP_AFTER}
  rest: {{ connect: {rest}, server_error: {rest}, timeout: {rest} }}
  probe_share: 0.1
  probe_fast: {{ every: {probe} }}
  ramp: {ramp}
telemetry: {{ access_log: off }}
"
    )
}

fn lines(lines: impl Iterator<Item = String>) -> String {
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_has_a_file_that_loads_without_a_finding() {
        for seconds in [4, 30, 3600] {
            let schedule = Schedule {
                length: Duration::from_secs(seconds),
                repeats: false,
            };
            let mocks = [1, 2, 3].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
            let loaded = load(&mocks, &Timings::of(&schedule)).unwrap();
            assert_eq!(loaded.warnings, []);
            assert_eq!(loaded.snapshot.catalog.models().len(), 2);
        }
    }
}
