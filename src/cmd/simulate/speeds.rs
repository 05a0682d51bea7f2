//! Owns what is known of an own fleet's speeds: given in a file, or asked of a running process. Must never make up a
//! figure that neither has.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use serde::Deserialize;

use crate::cmd::admin_client::AdminClient;
use crate::cmd::simulate::scenario::in_range;
use crate::core::catalog::Catalog;
use crate::core::nearest::did_you_mean;

/// Known speeds by endpoint.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Speeds(BTreeMap<String, Speed>);

/// An endpoint's speed, as far as it is known; the fields are those of a scenario's endpoint.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(super) struct Speed {
    /// Median seconds to the first token.
    pub(super) ttft: Option<f64>,
    /// Median tokens a second.
    pub(super) tps: Option<f64>,
    /// Share of attempts that get a 5xx at random.
    pub(super) base_err: Option<f64>,
    /// Seconds to the first token for each thousand tokens of the prompt.
    pub(super) per_1k: Option<f64>,
    #[serde(skip)]
    pub(super) source: Source,
}

/// Who says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Source {
    /// Nobody: the mean of the scenario's own fleet.
    #[default]
    Assumed,
    File,
    Measured,
}

/// As much of an entry of `/api/endpoints` as is needed.
#[derive(Deserialize)]
struct Seen {
    id: String,
    ttft_ms: Option<Quantiles>,
    tokens_per_second: Option<f64>,
}

#[derive(Deserialize)]
struct Quantiles {
    p50: f64,
}

/// What a run can be given: a process on the same machine may be faster, or an idle one slower, than makes sense.
const TTFT: (f64, f64) = (0.001, 600.0);
const TPS: (f64, f64) = (0.1, 1e5);

// === impl Source ===

impl Source {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Assumed => "assumed",
            Self::File => "given",
            Self::Measured => "measured",
        }
    }
}

// === impl Speeds ===

impl Speeds {
    /// What is known of an endpoint.
    pub(super) fn of(&self, endpoint: &str) -> Speed {
        self.0.get(endpoint).copied().unwrap_or_default()
    }

    /// Reads a file: a JSON object of endpoints, each with any of `ttft`, `tps`, `base_err` and `per_1k`.
    ///
    /// # Errors
    /// Names the file, and the endpoint or the field that is wrong.
    pub(super) fn read(path: &Path, catalog: &Catalog) -> anyhow::Result<Self> {
        let shown = path.display();
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
        Self::parse(&text, catalog).with_context(|| shown.to_string())
    }

    pub(super) fn parse(text: &str, catalog: &Catalog) -> anyhow::Result<Self> {
        let mut json = serde_json::Deserializer::from_str(text);
        let mut given: BTreeMap<String, Speed> = serde_path_to_error::deserialize(&mut json)
            .map_err(|error| anyhow!("{}: {}", error.path(), error.inner()))?;
        json.end()?;
        let known = catalog.endpoints().iter();
        let known: Vec<&str> = known.map(|endpoint| endpoint.id.as_str()).collect();
        for (id, speed) in &mut given {
            if !known.contains(&id.as_str()) {
                let hint = did_you_mean(id, known.iter().copied()).unwrap_or_default();
                bail!("{id}: the configuration has no such endpoint. {hint}");
            }
            speed.check().with_context(|| id.clone())?;
            speed.source = Source::File;
        }
        Ok(Self(given))
    }

    /// Asks a running process: the median time to the first content and the tokens a second of its endpoints.
    ///
    /// # Errors
    /// It does not answer, or not as this version does.
    pub(super) fn ask(client: &AdminClient) -> anyhow::Result<Self> {
        let (status, body) = client.send("GET", "/api/endpoints", Bytes::new())?;
        if status != 200 {
            bail!("{}", String::from_utf8_lossy(&body).trim());
        }
        Self::measured(&body)
    }

    fn measured(body: &[u8]) -> anyhow::Result<Self> {
        let answer: Vec<Seen> =
            serde_json::from_slice(body).context("its answer is not that of this version")?;
        let speed = |seen: Seen| {
            let ttft = seen.ttft_ms.map(|known| known.p50 / 1000.0);
            let speed = Speed {
                ttft: ttft.map(|ttft| ttft.clamp(TTFT.0, TTFT.1)),
                tps: seen.tokens_per_second.map(|tps| tps.clamp(TPS.0, TPS.1)),
                source: Source::Measured,
                ..Speed::default()
            };
            (seen.id, speed)
        };
        let seen = answer.into_iter().map(speed);
        let known = seen.filter(|(_, speed)| speed.ttft.is_some() || speed.tps.is_some());
        Ok(Self(known.collect()))
    }

    /// These, and field by field those of `others` where these have none.
    #[must_use]
    pub(super) fn or(mut self, others: Self) -> Self {
        for (id, other) in others.0 {
            let mine = self.0.entry(id).or_insert(other);
            *mine = Speed {
                ttft: mine.ttft.or(other.ttft),
                tps: mine.tps.or(other.tps),
                base_err: mine.base_err.or(other.base_err),
                per_1k: mine.per_1k.or(other.per_1k),
                source: mine.source,
            };
        }
        self
    }
}

// === impl Speed ===

impl Speed {
    fn check(&self) -> anyhow::Result<()> {
        let fields = [
            ("ttft", self.ttft, TTFT),
            ("tps", self.tps, TPS),
            ("base_err", self.base_err, (0.0, 1.0)),
            ("per_1k", self.per_1k, (0.0, 600.0)),
        ];
        let mut given = fields
            .into_iter()
            .filter_map(|(name, value, range)| Some((name, value?, range)));
        given.try_for_each(|(name, value, (low, high))| in_range(name, value, low, high))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_measured_fills_what_a_file_leaves_open() {
        let answer = br#"[{"id": "t/m@a/default", "state": "closed", "ttft_ms": {"p50": 250.0, "p95": 9, "p99": 9}, "tokens_per_second": 50.0},
            {"id": "t/m@b/default", "ttft_ms": null, "tokens_per_second": null},
            {"id": "t/m@c/default", "ttft_ms": {"p50": 0.0, "p95": 0, "p99": 0}, "tokens_per_second": 8e9}]"#;
        let measured = Speeds::measured(answer).unwrap();
        assert_eq!(measured.of("t/m@b/default").source, Source::Assumed);
        let edge = measured.of("t/m@c/default");
        assert_eq!((edge.ttft, edge.tps), (Some(0.001), Some(1e5)));
        let given = Speed {
            ttft: Some(0.1),
            source: Source::File,
            ..Speed::default()
        };
        let given = Speeds([("t/m@a/default".to_owned(), given)].into());
        let both = given.or(measured).of("t/m@a/default");
        assert_eq!((both.ttft, both.tps), (Some(0.1), Some(50.0)));
        assert_eq!(both.source, Source::File);
    }

    #[test]
    fn an_answer_of_something_else_is_an_error() {
        assert!(Speeds::measured(b"<html>").is_err());
    }
}
