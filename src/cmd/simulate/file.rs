//! Owns the format of scenario files, as it is written (`docs/simulate.md`). Must never accept a field or a
//! kind that it does not know: a misspelt incident would be a healthy one.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, anyhow};
use serde::Deserialize;
use serde::de::IgnoredAny;

/// A whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    /// Prose for readers of the file.
    #[serde(default, rename = "format")]
    _format: Option<IgnoredAny>,
    /// Its own bars, which `bars` reads.
    #[serde(default, rename = "bars")]
    _bars: Option<IgnoredAny>,
    pub(super) fleets: BTreeMap<String, Vec<RawEndpoint>>,
    pub(super) scenarios: Vec<RawScenario>,
    /// Scenarios that are drawn.
    #[serde(default)]
    pub(super) programs: Vec<RawProgram>,
}

/// Scenarios with random incidents.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawProgram {
    pub(super) fleet: String,
    pub(super) rps: f64,
    pub(super) dur: f64,
    /// How many are drawn, each with a seed of its own from `seed` on.
    pub(super) count: u64,
    pub(super) seed: u64,
}

/// An endpoint of a fleet.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawEndpoint {
    pub(super) id: String,
    /// Relative; only ratios matter.
    pub(super) price: f64,
    /// Median seconds to the first token.
    pub(super) ttft: f64,
    /// Median tokens a second.
    pub(super) tps: f64,
    /// Share of attempts that get a 5xx at random.
    #[serde(default = "usual_errors")]
    pub(super) base_err: f64,
    /// What it serves; all of a fleet serve the same one if absent.
    pub(super) model: Option<String>,
    /// Whom it shares connections' fate with; nobody if absent.
    pub(super) host: Option<String>,
    /// Whom it shares a credential with; nobody if absent.
    pub(super) key: Option<String>,
    /// Seconds to the first token for each thousand tokens of the prompt.
    #[serde(default)]
    pub(super) per_1k: f64,
}

fn usual_errors() -> f64 {
    0.005
}

/// A scenario: a fleet, traffic and incidents.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawScenario {
    pub(super) id: String,
    pub(super) fleet: String,
    /// Requests a second.
    pub(super) rps: f64,
    /// Seconds of arrivals.
    pub(super) dur: f64,
    pub(super) incidents: Vec<RawIncident>,
    /// Seconds between which arrivals are scored.
    pub(super) window: Option<[f64; 2]>,
    /// Clients of a closed loop.
    pub(super) closed: Option<usize>,
    /// Share of requests that every endpoint answers with 400.
    #[serde(default)]
    pub(super) client_err: f64,
    /// Share of requests that want one JSON answer and no stream.
    #[serde(default)]
    pub(super) json: f64,
    /// Share of requests whose answer begins with reasoning that nobody sees.
    #[serde(default)]
    pub(super) reasoning: f64,
    /// Tokens of the shortest and the longest prompt.
    pub(super) prompt: Option<[f64; 2]>,
    /// Models by how often they are asked for; the first endpoint's alone if absent.
    pub(super) asks: Option<BTreeMap<String, f64>>,
    /// A request for one of these falls back to those behind it.
    #[serde(default)]
    pub(super) chain: Vec<String>,
}

/// What goes wrong at an endpoint. Which of the optional fields a kind takes, `scenario` knows.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawIncident {
    /// The endpoint; or all of a host, or all of a key.
    pub(super) ep: Option<String>,
    pub(super) host: Option<String>,
    pub(super) key: Option<String>,
    pub(super) from: f64,
    pub(super) to: f64,
    pub(super) kind: RawKind,
    pub(super) p: Option<f64>,
    pub(super) p_to: Option<f64>,
    pub(super) delay: Option<f64>,
    pub(super) k: Option<f64>,
    pub(super) rate_x: Option<f64>,
    pub(super) rate_to: Option<f64>,
    pub(super) retry_after: Option<f64>,
    pub(super) period: Option<f64>,
    pub(super) on: Option<f64>,
}

/// The kinds of incident, by their names in the file.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(super) enum RawKind {
    Refuse,
    SynDrop,
    Err,
    Ttft,
    Hole,
    Rate,
    Ramp,
    Tps,
    Cut,
    Auth,
}

// === impl File ===

impl File {
    /// Reads a file.
    ///
    /// # Errors
    /// Names the file and, where the text is at fault, the field, the line and the column.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
        Self::parse(&text).map_err(|error| anyhow!("{shown}: {error}"))
    }

    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        let mut json = serde_json::Deserializer::from_str(text);
        let file: Self = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let path = error.path().to_string();
            anyhow!("{path}: {}", error.into_inner())
        })?;
        json.end()?;
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        File::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn an_unknown_kind_is_refused_with_its_place() {
        let text = r#"{"fleets": {}, "scenarios": [{"id": "a", "fleet": "f", "rps": 1, "dur": 1,
            "incidents": [{"ep": "A", "from": 0, "to": 1, "kind": "meteor"}]}]}"#;
        let error = error(text);
        assert!(error.contains("scenarios[0].incidents[0].kind"), "{error}");
        assert!(
            error.contains("meteor") && error.contains("line 2"),
            "{error}"
        );
    }

    #[test]
    fn an_unknown_or_missing_field_is_refused_with_its_name() {
        let unknown = error(r#"{"fleets": {}, "scenarios": [], "scenaros": []}"#);
        assert!(unknown.contains("scenaros"), "{unknown}");
        let missing = error(r#"{"fleets": {"f": [{"id": "A", "ttft": 1, "tps": 1}]}}"#);
        assert!(
            missing.contains("fleets.f[0]") && missing.contains("price"),
            "{missing}"
        );
    }
}
