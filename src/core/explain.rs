//! Owns what can be said of a plan before a request is made of it: who would be asked, how likely, and why not
//! the others. Draws as a request does, with the same code. Must never change what it looks at: no probe begins.

use std::time::Duration;

use crate::core::catalog::{Catalog, EndpointIx, ModelIx};
use crate::core::exchange::longest_wait;
use crate::core::health::{Bucket, Health, Passage, Room, View};
use crate::core::outcome::Class;
use crate::core::plan::{Candidate, Draw, Leg, Plan, Reject, standing};
use crate::core::policy::Part;
use crate::core::time::Time;

/// Draws that shares are counted over: their error is below 1.1 points, twice in three times below 0.6.
const DRAWS: u32 = 2_000;
/// Shares are the same for the same plan and health: this is not the draw of a request.
const SEED: u64 = 0x6d61_696e;

/// What would become of a request now.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The model asked for, then its chain.
    pub legs: Vec<ExplainedLeg>,
    /// Who is asked first most often.
    pub first: Option<Story>,
}

/// What happens if the one who is asked first fails.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Story {
    pub endpoint: EndpointIx,
    /// The longest its silence is borne; a failure that is told costs less.
    pub longest: Duration,
    /// Who is asked next most often; `None`: nobody is left.
    pub next: Option<EndpointIx>,
}

/// One model of the chain.
#[derive(Clone, Debug, PartialEq)]
pub struct ExplainedLeg {
    pub model: ModelIx,
    pub candidates: Vec<Explained>,
}

/// One endpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct Explained {
    pub candidate: Candidate,
    pub verdict: Verdict,
    pub view: View,
    /// What its score is made of, in the policy's own unit.
    pub parts: Vec<Part>,
    /// Its part of the first attempts made on this model, 0 to 1.
    pub share: f32,
    /// The same once the first of the [`Story`] has failed.
    pub share_after: f32,
}

/// Whether an endpoint can be asked now, or why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It can. Not called open: that is what a breaker is that lets nothing pass.
    Available,
    /// It gets a growing part of the traffic it would have.
    Ramping,
    /// It gets a request now and then, to find out whether it has recovered.
    Probing,
    /// It rests, for this.
    Resting(Class),
    /// It was taken out by hand.
    Drained,
    /// It asked for time, so much of which is left.
    RateLimited(Duration),
    /// By its own word it is not its turn for so long; it is asked where nobody else is available.
    Paced(Duration),
    /// By its own word nothing is left for so long.
    Spent(Duration),
    /// By its own word its limit is below what the prompt has.
    LimitTooSmall,
    /// It is left out for this request whatever its health.
    Rejected(Reject),
}

impl Explanation {
    /// Explains what a request would meet at `now`.
    pub fn of(plan: &Plan, catalog: &Catalog, health: &Health, now: Time) -> Self {
        let scene = Scene::new(plan, catalog, health, now);
        let shares = scene.shares(&[]);
        let first = scene.likeliest(&shares);
        let tried: Vec<EndpointIx> = first.into_iter().collect();
        let after = scene.shares(&tried);
        let next = scene.likeliest(&after);
        let story = first.map(|endpoint| Story {
            endpoint,
            longest: longest_wait(plan, catalog, health, endpoint, next.is_some()),
            next,
        });
        let legs = plan.legs.iter().zip(shares.iter().zip(&after));
        Self {
            legs: legs
                .map(|(leg, (shares, after))| scene.leg(leg, shares, after))
                .collect(),
            first: story,
        }
    }
}

/// The part of each endpoint of a plan's first model in the first attempts made now, counted over so many draws.
pub fn first_shares(
    plan: &Plan,
    catalog: &Catalog,
    health: &Health,
    draws: u32,
    now: Time,
) -> Vec<(EndpointIx, f32)> {
    let scene = Scene::new(plan, catalog, health, now);
    let shares = scene.shares_of(0, &[], draws);
    let candidates = plan.legs[0].candidates.iter();
    let endpoints = candidates.map(|candidate| candidate.endpoint);
    endpoints.zip(shares).collect()
}

/// One candidate of a plan as a request met it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Considered {
    pub endpoint: EndpointIx,
    pub verdict: Verdict,
}

/// What a request meets at `now`: the first `most` candidates of its plan, those of the model asked for first.
pub fn considered(
    plan: &Plan,
    catalog: &Catalog,
    health: &Health,
    most: usize,
    now: Time,
) -> Vec<Considered> {
    let scene = Scene::new(plan, catalog, health, now);
    let candidates = plan.legs.iter().map(|leg| leg.candidates.len()).sum();
    let mut considered = Vec::with_capacity(most.min(candidates));
    let all = plan.legs.iter().flat_map(|leg| &leg.candidates);
    considered.extend(all.take(most).map(|candidate| {
        let view = health.view(candidate.endpoint, scene.bucket, now);
        Considered {
            endpoint: candidate.endpoint,
            verdict: scene.verdict(candidate, &view),
        }
    }));
    considered
}

/// What an explanation is made with.
struct Scene<'a> {
    catalog: &'a Catalog,
    plan: &'a Plan,
    health: &'a Health,
    bucket: Bucket,
    now: Time,
}

impl<'a> Scene<'a> {
    fn new(plan: &'a Plan, catalog: &'a Catalog, health: &'a Health, now: Time) -> Self {
        Self {
            catalog,
            plan,
            health,
            bucket: plan.facts.bucket(),
            now,
        }
    }

    /// The part of each candidate of each leg in many draws.
    fn shares(&self, tried: &[EndpointIx]) -> Vec<Vec<f32>> {
        (0..self.plan.legs.len())
            .map(|leg| self.shares_of(leg, tried, DRAWS))
            .collect()
    }

    fn shares_of(&self, leg: usize, tried: &[EndpointIx], draws: u32) -> Vec<f32> {
        let draw = Draw {
            catalog: self.catalog,
            health: self.health,
            bucket: self.bucket,
            tried,
            now: self.now,
        };
        let mut rng = fastrand::Rng::with_seed(SEED);
        let candidates = &self.plan.legs[leg].candidates;
        let mut counts = vec![0_u32; candidates.len()];
        for _ in 0..draws {
            let drawn = draw.pick(self.plan, leg, false, &mut rng);
            let position = drawn.and_then(|pick| {
                let mut all = candidates.iter();
                all.position(|candidate| candidate.endpoint == pick.endpoint)
            });
            if let Some(position) = position {
                counts[position] += 1;
            }
        }
        let drawn = counts.iter().sum::<u32>().max(1) as f32;
        counts
            .into_iter()
            .map(|count| count as f32 / drawn)
            .collect()
    }

    /// The first leg that has anyone to ask decides.
    fn likeliest(&self, shares: &[Vec<f32>]) -> Option<EndpointIx> {
        let mut legs = self.plan.legs.iter().zip(shares);
        legs.find_map(|(leg, shares)| {
            let asked = leg
                .candidates
                .iter()
                .zip(shares)
                .filter(|(_, share)| **share > 0.0);
            let most = asked.max_by(|(_, one), (_, other)| one.total_cmp(other));
            most.map(|(candidate, _)| candidate.endpoint)
        })
    }

    fn leg(&self, leg: &Leg, shares: &[f32], after: &[f32]) -> ExplainedLeg {
        let candidates = leg.candidates.iter().enumerate();
        ExplainedLeg {
            model: leg.model,
            candidates: candidates
                .map(|(position, candidate)| {
                    let view = self.health.view(candidate.endpoint, self.bucket, self.now);
                    let standing = standing(position, candidate, &view, self.bucket.kind);
                    Explained {
                        candidate: *candidate,
                        verdict: self.verdict(candidate, &view),
                        view,
                        parts: self.plan.policy.parts(&standing, candidate.share),
                        share: shares[position],
                        share_after: after[position],
                    }
                })
                .collect(),
        }
    }

    fn verdict(&self, candidate: &Candidate, view: &View) -> Verdict {
        if let Some(reject) = candidate.reject {
            return Verdict::Rejected(reject);
        }
        if view.passage == Passage::Drained {
            return Verdict::Drained;
        }
        if view.blocked_until > self.now {
            return Verdict::RateLimited(view.blocked_until.since(self.now));
        }
        let need = self.plan.facts.takes();
        let room = self.health.room(candidate.endpoint, &need, self.now);
        match view.passage {
            Passage::Free | Passage::Share(_) if room != Room::Free => self.without(room),
            Passage::Free => Verdict::Available,
            Passage::Share(_) => Verdict::Ramping,
            Passage::Probe => Verdict::Probing,
            Passage::Drained => Verdict::Drained,
            Passage::Shut => {
                let kept_away_by = self.health.kept_away_by(candidate.endpoint, self.now);
                Verdict::Resting(kept_away_by.unwrap_or(Class::Overloaded))
            }
        }
    }
}

impl Scene<'_> {
    /// What it means to have no room.
    fn without(&self, room: Room) -> Verdict {
        match room {
            Room::Free => Verdict::Available,
            Room::Paced(until) => Verdict::Paced(until.since(self.now)),
            Room::Spent(until) => Verdict::Spent(until.since(self.now)),
            Room::Never => Verdict::LimitTooSmall,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::catalog::ModelIx;
    use crate::core::fixture::catalog;
    use crate::core::health::{BudgetSettings, Ended, HealthSettings, Usual};
    use crate::core::names::PolicyName;
    use crate::core::plan::RequestFacts;
    use crate::core::policy::{Policy, Sort};
    use std::sync::Arc;

    struct Stage {
        catalog: Catalog,
        health: Health,
        plan: Plan,
        now: Time,
    }

    impl Stage {
        fn of(sort: Sort, models: &[(&str, &[&str])]) -> Self {
            let catalog = catalog(models);
            let (health, budget) = (HealthSettings::default(), BudgetSettings::default());
            let mut policy = Policy::built_in(PolicyName::new("default"));
            policy.sort = sort;
            let facts = RequestFacts {
                stream: true,
                ..RequestFacts::default()
            };
            Self {
                health: Health::new(&catalog, health, budget, None),
                plan: Plan::new(
                    &catalog,
                    ModelIx::new(0),
                    facts,
                    Arc::new(policy),
                    |_| true,
                    |_| Usual::default(),
                ),
                catalog,
                now: Time::from_micros(1_000_000),
            }
        }

        fn fail(&self, endpoint: usize, class: Class) {
            let ended = Ended {
                endpoint: EndpointIx::new(endpoint),
                class,
                bucket: self.plan.facts.bucket(),
                probe: false,
                started: self.now,
                retry_after: Some(Duration::from_secs(5)),
            };
            self.health
                .fail(&ended, &mut fastrand::Rng::with_seed(1), self.now);
        }

        fn explain(&self) -> Explanation {
            Explanation::of(&self.plan, &self.catalog, &self.health, self.now)
        }
    }

    #[test]
    fn shares_sum_to_one_and_follow_the_score() {
        let stage = Stage::of(Sort::Adaptive, &[("a/m", &["one", "two", "three"])]);
        let leg = &stage.explain().legs[0];
        let shares: Vec<f32> = leg.candidates.iter().map(|one| one.share).collect();
        assert!(
            (shares.iter().sum::<f32>() - 1.0).abs() < 1e-4,
            "{shares:?}"
        );
        assert!(shares[0] > shares[1] && shares[1] > shares[2], "{shares:?}");
        let scores = leg.candidates.iter();
        let scores: Vec<f32> = scores
            .map(|one| one.parts.iter().map(|part| part.value).sum())
            .collect();
        assert!(scores.is_sorted(), "{scores:?}");
    }

    #[test]
    fn the_story_of_a_failure_goes_to_the_next_endpoint_and_then_to_the_chain() {
        let models: &[(&str, &[&str])] = &[("a/m", &["one", "two"]), ("b/m", &["three"])];
        let stage = Stage::of(Sort::Ordered, models);
        let story = stage.explain().first.unwrap();
        assert_eq!(
            (story.endpoint, story.next),
            (EndpointIx::new(0), Some(EndpointIx::new(1)))
        );
        assert_eq!(
            story.longest,
            Duration::from_secs(10),
            "cold, with another to ask"
        );
        stage.fail(1, Class::ConnectFailed);
        let explanation = stage.explain();
        assert_eq!(explanation.first.unwrap().next, Some(EndpointIx::new(2)));
        let second = &explanation.legs[0].candidates[1];
        assert_eq!(second.verdict, Verdict::Resting(Class::ConnectFailed));
        assert!(second.share == 0.0 && second.share_after == 0.0);
    }

    #[test]
    fn shares_of_first_attempts_are_those_of_an_explanation_and_a_drained_endpoint_has_none() {
        let stage = Stage::of(Sort::Adaptive, &[("a/m", &["one", "two", "three"])]);
        stage.health.drain(EndpointIx::new(1));
        let explained = stage.explain().legs.remove(0).candidates;
        assert_eq!(explained[1].verdict, Verdict::Drained);
        let shares = first_shares(&stage.plan, &stage.catalog, &stage.health, DRAWS, stage.now);
        let expected = explained
            .iter()
            .map(|one| (one.candidate.endpoint, one.share));
        assert!(shares.iter().copied().eq(expected));
        assert!(shares[1].1 < 1e-6);
    }

    #[test]
    fn what_keeps_an_endpoint_away_is_named_and_nothing_is_begun() {
        let stage = Stage::of(Sort::Adaptive, &[("a/m", &["one", "two"])]);
        stage.fail(0, Class::RateLimited);
        stage.fail(1, Class::AuthRejected);
        let before = stage.explain();
        let verdicts: Vec<Verdict> = before.legs[0]
            .candidates
            .iter()
            .map(|one| one.verdict)
            .collect();
        assert!(matches!(verdicts[0], Verdict::RateLimited(left) if left > Duration::from_secs(4)));
        assert_eq!(verdicts[1], Verdict::Resting(Class::AuthRejected));
        assert_eq!(before.first, None, "nobody can be asked");
        assert_eq!(stage.explain(), before);
    }
}
