//! Owns a user's own fleet under a scenario's incidents: a model of a configuration, which of its endpoints plays
//! which of the scenario's, and how fast each is. Must never change what the configuration says.

use std::sync::Arc;

use anyhow::bail;

use crate::cmd::simulate::choice::Decides;
use crate::cmd::simulate::incident::{Incident, Kind};
use crate::cmd::simulate::scenario::{Endpoint, Model, Scenario};
use crate::cmd::simulate::speeds::{Source, Speeds};
use crate::config::snapshot::Snapshot;
use crate::core::catalog::{self, Catalog, EndpointIx, HostIx, KeyIx, ModelIx};
use crate::core::health;
use crate::core::nearest::did_you_mean;
use crate::core::plan::{Candidate, Plan, RequestFacts};
use crate::core::policy::{Policy, Standing};
use crate::edge::planning::{nobody_left, policy};

/// A model of a configuration.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Own {
    pub(super) snapshot: Arc<Snapshot>,
    model: ModelIx,
    /// As it was asked for.
    name: String,
    /// It is one that a wildcard stands for.
    unproven: bool,
    /// Who plays whom, in the order that traffic goes to them; empty until a scenario is cast.
    pub(super) cast: Vec<Part>,
}

/// An endpoint that plays one of the scenario's.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Part {
    /// Position in the fleet.
    pub(super) endpoint: usize,
    /// The scenario's name of the endpoint that it plays.
    pub(super) plays: String,
    pub(super) source: Source,
}

/// What an endpoint has where nobody knows: the mean of the scenario's.
#[derive(Clone, Copy, Debug)]
struct Usual {
    ttft: f64,
    tps: f64,
    errors: f64,
    per_thousand: f64,
}

// === impl Own ===

impl Own {
    /// The model of this name; without a name, the first of the file.
    ///
    /// # Errors
    /// Nothing has the name.
    pub(super) fn of(snapshot: &Arc<Snapshot>, name: Option<&str>) -> Result<Self, String> {
        let catalog = &snapshot.catalog;
        let models = || catalog.models().iter().map(|model| model.name.as_str());
        let name = name.or_else(|| models().next());
        let name = name.ok_or("the configuration has no models")?;
        let found = catalog.resolve(name).ok_or_else(|| {
            let hint = did_you_mean(name, models());
            let there = models().collect::<Vec<_>>().join(", ");
            let hint = hint.map_or(String::new(), |hint| format!("; {hint}"));
            format!("--model {name}: the models are {there}{hint}")
        })?;
        Ok(Self {
            snapshot: Arc::clone(snapshot),
            model: found.model,
            unproven: found.wild.is_some(),
            name: name.to_owned(),
            cast: Vec::new(),
        })
    }

    /// The name that it was asked for by.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The policy that the configuration gives the model.
    pub(super) fn policy(&self) -> Arc<Policy> {
        policy(&self.snapshot, None, self.model)
    }

    /// The plan of a request for it, as the proxy makes it; `usual` is what requests of a model take.
    pub(super) fn plan(
        &self,
        mut facts: RequestFacts,
        policy: Arc<Policy>,
        usual: impl Fn(ModelIx) -> health::Usual,
    ) -> Plan {
        facts.model.clone_from(&self.name);
        facts.unproven |= self.unproven;
        let catalog = &self.snapshot.catalog;
        Plan::new(catalog, self.model, facts, policy, |_| true, usual)
    }

    /// The scenario with this fleet in place of its own. `first` decides who plays whom.
    ///
    /// # Errors
    /// Nobody may be asked for the model, whatever happens.
    pub(super) fn stage(
        &self,
        scenario: &Scenario,
        speeds: &Speeds,
        first: &Decides,
    ) -> anyhow::Result<Scenario> {
        let catalog = &self.snapshot.catalog;
        let plan = self.plan(streaming(), first.policy(Some(self)), |_| {
            health::Usual::default()
        });
        if let Some(nobody) = nobody_left(&plan, catalog) {
            bail!("{}: nobody may be asked: {}", self.name, nobody.why);
        }
        let roles = roles(scenario);
        let fleet = self.fleet(&plan, Usual::of(scenario, &roles), speeds);
        let cast = cast(&plan, &fleet, scenario, &roles);
        let cast: Vec<Part> = cast
            .into_iter()
            .map(|(endpoint, role)| Part {
                endpoint,
                plays: scenario.fleet[role].id.clone(),
                source: speeds.of(&fleet[endpoint].id).source,
            })
            .collect();
        let models = catalog.models().iter().enumerate();
        Ok(Scenario {
            incidents: struck(scenario, &cast, catalog),
            models: models.map(|(at, model)| self.asked(at, model)).collect(),
            fleet,
            own: Some(Self {
                cast,
                ..self.clone()
            }),
            ..scenario.clone()
        })
    }

    fn asked(&self, position: usize, model: &catalog::Model) -> Model {
        let fallbacks = model.fallbacks.iter();
        Model {
            name: model.name.to_string(),
            weight: f64::from(u8::from(position == self.model.get())),
            fallbacks: fallbacks.map(|fallback| fallback.get()).collect(),
        }
    }

    /// Every endpoint of the configuration, at its own position.
    fn fleet(&self, plan: &Plan, usual: Usual, speeds: &Speeds) -> Vec<Endpoint> {
        let catalog = &self.snapshot.catalog;
        let cheapest = least_price(catalog, self.model).unwrap_or(1.0);
        let candidates = || plan.legs.iter().flat_map(|leg| &leg.candidates);
        let may_be_asked = |ix: EndpointIx| {
            let mut its = candidates().filter(|candidate| candidate.endpoint == ix);
            its.any(|candidate| candidate.reject.is_none())
        };
        let endpoint = |(position, endpoint): (usize, &catalog::Endpoint)| {
            let ix = EndpointIx::new(position);
            let speed = speeds.of(endpoint.id.as_str());
            // One that is left out serves no model, so that nothing is compared with it.
            let model = match may_be_asked(ix) {
                true => catalog.model(endpoint.model).name.to_string(),
                false => String::new(),
            };
            Endpoint {
                id: endpoint.id.as_str().to_owned(),
                price: price(catalog, ix).map_or(1.0, |price| price / cheapest),
                first_token: speed.ttft.unwrap_or(usual.ttft),
                speed: speed.tps.unwrap_or(usual.tps),
                errors: speed.base_err.unwrap_or(usual.errors),
                model,
                host: catalog.hosts()[endpoint.host.get()].as_str().to_owned(),
                key: format!("{}/{}", endpoint.provider, endpoint.key),
                per_thousand: speed.per_1k.unwrap_or(usual.per_thousand),
            }
        };
        catalog
            .endpoints()
            .iter()
            .enumerate()
            .map(endpoint)
            .collect()
    }
}

fn streaming() -> RequestFacts {
    RequestFacts {
        stream: true,
        ..RequestFacts::default()
    }
}

/// USD of a typical request; unknown is the median of its model's known, as it is to a policy.
fn price(catalog: &Catalog, ix: EndpointIx) -> Option<f64> {
    let of = |ix: EndpointIx| catalog.endpoint(ix).price.typical();
    let model = catalog.model(catalog.endpoint(ix).model);
    let mut known: Vec<f64> = model.endpoints.iter().copied().filter_map(of).collect();
    known.sort_by(f64::total_cmp);
    of(ix).or_else(|| known.get(known.len() / 2).copied())
}

/// The cheapest that is not free.
fn least_price(catalog: &Catalog, model: ModelIx) -> Option<f64> {
    let all = catalog.model(model).endpoints.iter();
    let prices = all.filter_map(|ix| price(catalog, *ix));
    prices.filter(|price| *price > 0.0).reduce(f64::min)
}

/// Positions of the scenario's endpoints of the model that it asks for most.
fn roles(scenario: &Scenario) -> Vec<usize> {
    let most = scenario.models.iter().rev();
    let most = most.max_by(|one, two| one.weight.total_cmp(&two.weight));
    let all = scenario.fleet.iter().enumerate();
    let its = all.filter(|(_, endpoint)| most.is_some_and(|most| most.name == endpoint.model));
    its.map(|(position, _)| position).collect()
}

/// Positions of those who may be asked, each with the role that it plays: the one that the policy prefers plays the
/// scenario's first, and so on; who is left over plays its last.
fn cast(
    plan: &Plan,
    fleet: &[Endpoint],
    scenario: &Scenario,
    roles: &[usize],
) -> Vec<(usize, usize)> {
    let admitted = |candidates: &[Candidate]| -> Vec<(f64, usize)> {
        let all = candidates.iter().enumerate();
        let admitted = all.filter(|(_, candidate)| candidate.reject.is_none());
        admitted
            .map(|(position, candidate)| {
                let at = candidate.endpoint.get();
                let standing = standing(position, candidate, &fleet[at]);
                (plan.policy.key(&standing, candidate.share, 0.5), at)
            })
            .collect()
    };
    let mut legs = plan.legs.iter().map(|leg| admitted(&leg.candidates));
    let mut players = legs.find(|players| !players.is_empty()).unwrap_or_default();
    players.sort_by(|(one, _), (two, _)| one.total_cmp(two));
    let last = roles.len().saturating_sub(1);
    let players = players.into_iter().enumerate();
    players
        .filter_map(|(rank, (_, at))| Some((at, *roles.get(rank.min(last))?)))
        .filter(|(_, role)| *role < scenario.fleet.len())
        .collect()
}

/// A candidate as its policy sees it once its speed is known.
#[expect(
    clippy::cast_possible_truncation,
    reason = "what a policy compares are `f32`"
)]
fn standing(position: usize, candidate: &Candidate, endpoint: &Endpoint) -> Standing {
    let (latency, throughput) = (endpoint.first_token as f32, endpoint.speed as f32);
    Standing {
        position,
        price: candidate.price,
        priced: candidate.priced,
        latency: Some(latency),
        whole: false,
        usual_latency: Some(latency),
        throughput: Some(throughput),
        usual_throughput: Some(throughput),
        expected: 1.0 - endpoint.errors as f32,
    }
}

/// The incidents, each at those who play where it is: a connection that fails is a matter of a host, a refused key
/// one of the key, whoever shares it.
fn struck(scenario: &Scenario, cast: &[Part], catalog: &Catalog) -> Vec<Incident> {
    let shares = |incident: &Incident, player: usize, other: usize| {
        let place = |at: usize| -> (HostIx, KeyIx) {
            let endpoint = catalog.endpoint(EndpointIx::new(at));
            (endpoint.host, endpoint.credential)
        };
        match incident.kind {
            Kind::Refuse | Kind::SynDrop { .. } => place(player).0 == place(other).0,
            Kind::Auth => place(player).1 == place(other).1,
            _ => false,
        }
    };
    let mut all: Vec<Incident> = Vec::new();
    for incident in &scenario.incidents {
        let role = &scenario.fleet[incident.endpoint].id;
        for player in cast.iter().filter(|part| part.plays == *role) {
            let others = 0..catalog.endpoints().len();
            let others = others.filter(|other| shares(incident, player.endpoint, *other));
            for endpoint in std::iter::once(player.endpoint).chain(others) {
                let mine = Incident {
                    endpoint,
                    ..incident.clone()
                };
                if !all.contains(&mine) {
                    all.push(mine);
                }
            }
        }
    }
    all
}

// === impl Usual ===

impl Usual {
    fn of(scenario: &Scenario, roles: &[usize]) -> Self {
        let count = roles.len().max(1) as f64;
        let mean = |of: fn(&Endpoint) -> f64| {
            let all = roles.iter().map(|role| of(&scenario.fleet[*role]));
            all.sum::<f64>() / count
        };
        Self {
            ttft: mean(|endpoint| endpoint.first_token),
            tps: mean(|endpoint| endpoint.speed),
            errors: mean(|endpoint| endpoint.errors),
            per_thousand: mean(|endpoint| endpoint.per_thousand),
        }
    }
}
