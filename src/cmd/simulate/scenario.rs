//! Owns what a scenario is once it was checked: a fleet, traffic, incidents, and the window that is scored. Must never hold a number that makes no sense.

use anyhow::{Context, anyhow, ensure};

use crate::cmd::simulate::file::{File, RawEndpoint, RawScenario};
use crate::cmd::simulate::incident::Incident;
use crate::cmd::simulate::own::Own;
use crate::cmd::simulate::program;

/// After the last incident, seconds that are scored where no window is given.
const AFTERMATH: f64 = 30.0;

/// A scenario that can be run. Times are in seconds from its start.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scenario {
    pub(super) id: String,
    pub(super) fleet: Vec<Endpoint>,
    pub(super) load: Load,
    /// Requests a second; limits of endpoints are shares of it.
    pub(super) rps: f64,
    /// Requests arrive until then.
    pub(super) duration: f64,
    pub(super) incidents: Vec<Incident>,
    /// Arrivals between these are scored.
    pub(super) window: (f64, f64),
    pub(super) requests: Requests,
    pub(super) models: Vec<Model>,
    /// The configuration whose fleet it is, if it is not the file's.
    pub(super) own: Option<Own>,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Requests {
    /// Share that every endpoint answers with 400.
    pub(super) faulty: f64,
    /// Share that wants one JSON answer.
    pub(super) json: f64,
    /// Share whose answer begins with hidden reasoning.
    pub(super) reasoning: f64,
    /// Tokens of the shortest and the longest prompt.
    pub(super) prompt: Option<(f64, f64)>,
}

/// A model of the fleet.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Model {
    pub(super) name: String,
    /// How often it is asked for, beside the others'.
    pub(super) weight: f64,
    /// Positions of those it falls back to.
    pub(super) fallbacks: Vec<usize>,
}

/// An endpoint as it is without an incident.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Endpoint {
    pub(super) id: String,
    pub(super) price: f64,
    /// Median seconds to the first token.
    pub(super) first_token: f64,
    /// Median tokens a second.
    pub(super) speed: f64,
    /// Share of attempts that get a 5xx.
    pub(super) errors: f64,
    pub(super) model: String,
    pub(super) host: String,
    pub(super) key: String,
    /// Seconds to the first token for each thousand tokens of the prompt.
    pub(super) per_thousand: f64,
}

/// Where requests come from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Load {
    /// Whatever happens, as a Poisson process.
    Open,
    /// From so many clients, each of which waits for its answer first.
    Closed { clients: usize },
}

// === impl Scenario ===

impl Scenario {
    /// Checks the scenarios of a file.
    ///
    /// # Errors
    /// Names the scenario, and the incident, that makes no sense.
    pub(super) fn all(file: &File) -> anyhow::Result<Vec<Self>> {
        let mut built: Vec<Self> = Vec::new();
        let drawn = program::draw(file)?;
        for raw in file.scenarios.iter().chain(&drawn) {
            let scenario = Self::of(raw, file).with_context(|| format!("scenario {}", raw.id))?;
            ensure!(
                built.iter().all(|other| other.id != scenario.id),
                "scenario {}: there are two of this name",
                raw.id
            );
            built.push(scenario);
        }
        Ok(built)
    }

    fn of(raw: &RawScenario, file: &File) -> anyhow::Result<Self> {
        let fleet = file
            .fleets
            .get(&raw.fleet)
            .ok_or_else(|| anyhow!("fleet: there is no {}", raw.fleet))?;
        ensure!(!fleet.is_empty(), "fleet: {} is empty", raw.fleet);
        let fleet = fleet
            .iter()
            .map(Endpoint::of)
            .collect::<Result<Vec<_>, _>>()?;
        for (position, endpoint) in fleet.iter().enumerate() {
            let twice = fleet.iter().take(position).any(|one| one.id == endpoint.id);
            ensure!(!twice, "fleet {}: two endpoints {}", raw.fleet, endpoint.id);
        }
        let within = |name, value, low, high| in_range(name, value, low, high);
        within("rps", raw.rps, 0.001, 10_000.0)?;
        within("dur", raw.dur, 1.0, 1e6)?;
        ensure!(
            raw.rps * raw.dur <= 5e6,
            "rps times dur is {}, more than five million requests",
            raw.rps * raw.dur
        );
        let mut incidents = Vec::new();
        for (position, incident) in raw.incidents.iter().enumerate() {
            let built = Incident::all(incident, &fleet, raw.dur);
            incidents.extend(built.with_context(|| format!("incidents[{position}]"))?);
        }
        let window = window(raw, &incidents)?;
        let load = match raw.closed {
            Some(clients) => {
                ensure!(
                    (1..=10_000).contains(&clients),
                    "closed: {clients} is not 1 to 10000"
                );
                Load::Closed { clients }
            }
            None => Load::Open,
        };
        Ok(Self {
            id: raw.id.clone(),
            load,
            rps: raw.rps,
            duration: raw.dur,
            incidents,
            window,
            requests: Requests::of(raw)?,
            models: models(raw, &fleet)?,
            own: None,
            fleet,
        })
    }

    /// The same with another rate of arrivals. A closed loop makes its own.
    #[must_use]
    pub(super) fn at(mut self, rps: f64) -> Self {
        if self.load == Load::Open {
            self.rps = rps;
        }
        self
    }

    /// Incidents of an endpoint, bad or not at the moment.
    pub(super) fn incidents_of(&self, endpoint: usize) -> impl Iterator<Item = &Incident> {
        let all = self.incidents.iter();
        all.filter(move |incident| incident.endpoint == endpoint)
    }
}

// === impl Requests ===

impl Requests {
    fn of(raw: &RawScenario) -> anyhow::Result<Self> {
        in_range("client_err", raw.client_err, 0.0, 1.0)?;
        in_range("json", raw.json, 0.0, 1.0)?;
        in_range("reasoning", raw.reasoning, 0.0, 1.0)?;
        if let Some([shortest, longest]) = raw.prompt {
            in_range("prompt", shortest, 1.0, longest)?;
            in_range("prompt", longest, 1.0, 1e7)?;
        }
        Ok(Self {
            faulty: raw.client_err,
            json: raw.json,
            reasoning: raw.reasoning,
            prompt: raw.prompt.map(|[shortest, longest]| (shortest, longest)),
        })
    }
}

/// The models of a fleet in the order they appear in, with what the scenario asks of them.
fn models(raw: &RawScenario, fleet: &[Endpoint]) -> anyhow::Result<Vec<Model>> {
    let mut names: Vec<&str> = Vec::new();
    for endpoint in fleet {
        if !names.contains(&endpoint.model.as_str()) {
            names.push(&endpoint.model);
        }
    }
    let position = |name: &String| {
        let found = names.iter().position(|known| known == name);
        found.ok_or_else(|| anyhow!("the fleet has no model {name}"))
    };
    let chain = raw
        .chain
        .iter()
        .map(position)
        .collect::<Result<Vec<_>, _>>();
    let chain = chain.context("chain")?;
    let mut weights = vec![0.0; names.len()];
    match &raw.asks {
        None => weights[0] = 1.0,
        Some(asks) => {
            for (name, weight) in asks {
                in_range("asks", *weight, 0.0, 1e6)?;
                weights[position(name).context("asks")?] = *weight;
            }
        }
    }
    ensure!(
        weights.iter().sum::<f64>() > 0.0,
        "asks: nothing is asked for"
    );
    let models = names.iter().zip(weights).enumerate();
    Ok(models
        .map(|(this, (name, weight))| {
            let behind = chain.iter().skip_while(|other| **other != this).skip(1);
            Model {
                name: (*name).to_owned(),
                weight,
                fallbacks: behind.copied().collect(),
            }
        })
        .collect())
}

fn window(raw: &RawScenario, incidents: &[Incident]) -> anyhow::Result<(f64, f64)> {
    let first = incidents.iter().map(|incident| incident.from);
    let last = incidents.iter().map(|incident| incident.to);
    let (from, to) = match raw.window {
        Some([from, to]) => (from, to),
        None if incidents.is_empty() => (0.0, raw.dur),
        None => (
            first.fold(f64::INFINITY, f64::min),
            (last.fold(0.0, f64::max) + AFTERMATH).min(raw.dur),
        ),
    };
    ensure!(
        0.0 <= from && from < to && to <= raw.dur,
        "window: {from} to {to} is not within 0 to {}",
        raw.dur
    );
    Ok((from, to))
}

pub(super) fn in_range(name: &str, value: f64, low: f64, high: f64) -> anyhow::Result<()> {
    // NaN and infinity are in no range, and JSON has neither.
    ensure!(
        (low..=high).contains(&value),
        "{name}: {value} is not {low} to {high}"
    );
    Ok(())
}

// === impl Endpoint ===

impl Endpoint {
    fn of(raw: &RawEndpoint) -> anyhow::Result<Self> {
        let check = |name, value, low, high| {
            in_range(name, value, low, high).with_context(|| format!("endpoint {}", raw.id))
        };
        check("price", raw.price, 0.0, 1e6)?;
        check("ttft", raw.ttft, 0.001, 600.0)?;
        check("tps", raw.tps, 0.1, 1e5)?;
        check("base_err", raw.base_err, 0.0, 1.0)?;
        check("per_1k", raw.per_1k, 0.0, 600.0)?;
        Ok(Self {
            id: raw.id.clone(),
            price: raw.price,
            first_token: raw.ttft,
            speed: raw.tps,
            errors: raw.base_err,
            model: or(raw.model.as_ref(), "model"),
            host: or(raw.host.as_ref(), &raw.id),
            key: or(raw.key.as_ref(), &raw.id),
            per_thousand: raw.per_1k,
        })
    }
}

fn or(given: Option<&String>, usual: &str) -> String {
    given.map_or(usual, String::as_str).to_owned()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A scenario of two endpoints, A (price 1, 0.4 s, 100 tokens/s) and B (1.5, 0.6 s, 80), with more fields.
    pub(in crate::cmd::simulate) fn scenario(fields: &str) -> Scenario {
        parse(fields).unwrap()
    }

    fn parse(fields: &str) -> anyhow::Result<Scenario> {
        let fields = match fields.contains("incidents") {
            true => fields.to_owned(),
            false => format!(r#"{fields}, "incidents": []"#),
        };
        let text = format!(
            r#"{{"fleets": {{"duo": [{{"id": "A", "price": 1, "ttft": 0.4, "tps": 100}},
                {{"id": "B", "price": 1.5, "ttft": 0.6, "tps": 80}}]}},
            "scenarios": [{{"id": "one", "fleet": "duo", {fields}}}]}}"#
        );
        let mut all = Scenario::all(&File::parse(&text)?)?;
        Ok(all.remove(0))
    }

    fn error(fields: &str) -> String {
        format!("{:#}", parse(fields).unwrap_err())
    }

    const BASE: &str = r#""rps": 10, "dur": 100, "incidents": "#;

    #[test]
    fn the_window_is_the_incidents_and_half_a_minute() {
        let one = scenario(&format!(
            r#"{BASE} [{{"ep": "B", "from": 20, "to": 30, "kind": "hole"}},
                       {{"ep": "A", "from": 40, "to": 60, "kind": "auth"}}]"#
        ));
        assert_eq!(one.window, (20.0, 90.0));
        assert_eq!(one.incidents[0].endpoint, 1);
        assert_eq!(scenario(r#""rps": 10, "dur": 100"#).window, (0.0, 100.0));
    }

    #[test]
    fn a_kind_gets_the_fields_it_needs_and_no_others() {
        let missing = error(&format!(
            r#"{BASE} [{{"ep": "A", "from": 0, "to": 1, "kind": "err"}}]"#
        ));
        assert!(
            missing.contains("scenario one: incidents[0]: p:"),
            "{missing}"
        );
        let too_many = error(&format!(
            r#"{BASE} [{{"ep": "A", "from": 0, "to": 1, "kind": "hole", "k": 3}}]"#
        ));
        assert!(too_many.contains("k: means nothing"), "{too_many}");
        let half = error(&format!(
            r#"{BASE} [{{"ep": "A", "from": 0, "to": 1, "kind": "refuse", "on": 3}}]"#
        ));
        assert!(half.contains("period, on"), "{half}");
    }

    #[test]
    fn numbers_that_make_no_sense_are_refused() {
        let table = [
            (r#""rps": 0, "dur": 100"#, "rps"),
            (r#""rps": 10000, "dur": 1000"#, "rps times dur"),
            (r#""rps": 1, "dur": 100, "window": [50, 40]"#, "window"),
            (r#""rps": 1, "dur": 100, "closed": 0"#, "closed"),
            (r#""rps": 1, "dur": 100, "client_err": 2"#, "client_err"),
            (
                r#""rps": 1, "dur": 100, "incidents": [{"ep": "C", "from": 0, "to": 1, "kind": "hole"}]"#,
                "no C",
            ),
            (
                r#""rps": 1, "dur": 100, "incidents": [{"ep": "A", "from": 9, "to": 1, "kind": "hole"}]"#,
                "from, to",
            ),
        ];
        for (fields, expected) in table {
            let error = error(fields);
            assert!(error.contains(expected), "{fields}: {error}");
        }
    }

    #[test]
    fn a_rhythm_is_bad_at_the_start_of_each_period() {
        let one = scenario(&format!(
            r#"{BASE} [{{"ep": "A", "from": 10, "to": 60, "kind": "refuse", "period": 20, "on": 5}}]"#
        ));
        let bad = [9.0, 10.0, 14.9, 15.0, 29.9, 30.0, 34.0, 36.0, 60.0];
        let bad: Vec<bool> = bad.iter().map(|at| one.incidents[0].is_bad(*at)).collect();
        assert_eq!(
            bad,
            [false, true, true, false, false, true, true, false, false]
        );
    }

    #[test]
    fn a_ramp_is_linear() {
        let one = scenario(&format!(
            r#"{BASE} [{{"ep": "A", "from": 10, "to": 30, "kind": "ramp", "rate_x": 0.2, "rate_to": 1.2}}]"#
        ));
        assert!((one.incidents[0].between(0.2, 1.2, 20.0) - 0.7).abs() < 1e-9);
    }
}
