//! Owns the choice of the next candidate with live health. Must never allocate, or lock but where an
//! endpoint awaits a probe.

use std::time::Duration;

use crate::core::catalog::{Catalog, EndpointIx};
use crate::core::health::{Bucket, Errand, Health, Kind, Passage, Room, View};
use crate::core::plan::{Beyond, Candidate, Leg, Plan, beyond, is_slower};
use crate::core::policy::Standing;
use crate::core::time::Time;

/// Sums of the same costs differ by less.
const COST_TOLERANCE: f64 = 1.0 + 1e-9;

/// A conversation is not sent away as a probe before an endpoint has rested this long: others probe it where there
/// are others, and where there are none it must come back all the same.
const SPARED: Duration = Duration::from_secs(60);

/// What a draw is made with.
#[derive(Debug)]
pub struct Draw<'a> {
    pub catalog: &'a Catalog,
    pub health: &'a Health,
    pub bucket: Bucket,
    /// Endpoints that this request has tried already, once for each attempt.
    pub tried: &'a [EndpointIx],
    pub now: Time,
}

/// A chosen candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pick {
    pub endpoint: EndpointIx,
    /// This request finds out whether the endpoint has recovered.
    pub probe: bool,
}

impl Draw<'_> {
    /// Chooses among the leg's candidates that are open to traffic. `probe`: the request is new and could
    /// still be answered elsewhere if the probe fails. Whom the upstream's word on its limits paces is chosen where
    /// nobody else is open: the pace is there to spare a 429, not to refuse what would be taken.
    pub fn pick(
        &self,
        plan: &Plan,
        leg: usize,
        probe: bool,
        rng: &mut fastrand::Rng,
    ) -> Option<Pick> {
        let candidates = &plan.legs[leg];
        let kept = self.kept(plan, leg);
        if probe && let Some(pick) = self.errand(candidates, plan, leg, kept.is_some()) {
            return Some(pick);
        }
        if let Some(endpoint) = kept {
            let probe = false;
            return Some(Pick { endpoint, probe });
        }
        let mut best: Option<(f64, EndpointIx)> = None;
        let mut spare: Option<(f64, EndpointIx)> = None;
        for (position, candidate) in candidates.candidates.iter().enumerate() {
            let Some((view, room)) = self.usable(plan, candidate) else {
                continue;
            };
            if matches!(view.passage, Passage::Share(share) if rng.f32() >= share) {
                continue;
            }
            let standing = standing(position, candidate, &view, self.bucket.kind);
            let key = plan.policy.key(&standing, candidate.share, rng.f32());
            let best = match room {
                Room::Free => &mut best,
                Room::Paced(_) | Room::Spent(_) | Room::Never => &mut spare,
            };
            if best.is_none_or(|(smallest, _)| key < smallest) {
                *best = Some((key, candidate.endpoint));
            }
        }
        best.or(spare).map(|(_, endpoint)| Pick {
            endpoint,
            probe: false,
        })
    }

    /// The endpoint that the request's conversation stays with: it is fully open, and no other that is so is
    /// better by more than what leaving would lose.
    fn kept(&self, plan: &Plan, leg: usize) -> Option<EndpointIx> {
        let hold = plan.hold?;
        let candidates = &plan.legs[leg].candidates;
        let position = candidates
            .iter()
            .position(|one| one.endpoint == hold.endpoint)?;
        let own = &candidates[position];
        let here = standing(position, own, &self.open(plan, own)?, self.bucket.kind);
        let mut others = candidates.iter().enumerate();
        let stays = others.all(|(position, other)| {
            let Some(view) = self.open(plan, other) else {
                return true;
            };
            let there = standing(position, other, &view, self.bucket.kind);
            let policy = &plan.policy;
            policy.stays(&hold.pull, (&here, own.share), &there)
        });
        stays.then_some(hold.endpoint)
    }

    /// The view of a candidate that takes all the traffic it is given, this request at once.
    fn open(&self, plan: &Plan, candidate: &Candidate) -> Option<View> {
        let (view, room) = self.usable(plan, candidate)?;
        (view.passage == Passage::Free && room == Room::Free).then_some(view)
    }

    /// An endpoint that awaits a request which may be made now: only where a closed endpoint remains to retry
    /// on, in the pool or in the chain (amendment 3). A request whose conversation is `held` elsewhere is spared,
    /// unless nobody came for long.
    fn errand(&self, candidates: &Leg, plan: &Plan, leg: usize, held: bool) -> Option<Pick> {
        candidates.candidates.iter().find_map(|candidate| {
            let endpoint = candidate.endpoint;
            let errand = self.health.errand(endpoint, self.now)?;
            if held && self.health.rested(endpoint, self.now) < SPARED {
                return None;
            }
            let may = self.is_open_to(plan, candidate) && self.has_other(plan, leg, Some(endpoint));
            let due = may
                && match errand {
                    Errand::Probe => self.health.try_probe(endpoint, self.now),
                    Errand::Verify => self.health.try_verify(endpoint, self.now),
                };
            due.then_some(Pick {
                endpoint,
                probe: errand == Errand::Probe,
            })
        })
    }

    /// Whether a candidate other than `than` could take the request now, from this leg of the plan on.
    pub fn has_other(&self, plan: &Plan, leg: usize, than: Option<EndpointIx>) -> bool {
        plan.legs.iter().skip(leg).any(|leg| {
            let mut others = leg.candidates.iter();
            others.any(|other| Some(other.endpoint) != than && self.usable(plan, other).is_some())
        })
    }

    /// With nothing open: the likeliest of the untried that are not rate-limited, so that a request is never
    /// refused on belief alone (routing-algorithm 3.3 d). The noise spreads a herd. Who has nothing left comes last.
    pub fn panic(&self, plan: &Plan, leg: usize, rng: &mut fastrand::Rng) -> Option<EndpointIx> {
        let untried = plan.legs[leg].candidates.iter();
        let mut best: Option<(f32, EndpointIx)> = None;
        for candidate in untried.filter(|candidate| self.is_open_to(plan, candidate)) {
            let likely = self.view(candidate).expected + 0.1 * rng.f32();
            let hope = match self.room(plan, candidate) {
                Room::Free | Room::Paced(_) => likely,
                Room::Spent(_) => likely - 1.0,
                Room::Never => likely - 2.0,
            };
            if best.is_none_or(|(highest, _)| hope > highest) {
                best = Some((hope, candidate.endpoint));
            }
        }
        best.map(|(_, endpoint)| endpoint)
    }

    /// When the first of the leg's rate-limited candidates is free again, tried ones included; one that has told that
    /// nothing is left counts as rate-limited.
    pub fn unblocked_first(&self, plan: &Plan, leg: usize) -> Option<(Time, EndpointIx)> {
        let candidates = plan.legs[leg].candidates.iter();
        candidates
            .filter(|candidate| candidate.reject.is_none() && self.is_allowed(plan, candidate))
            .filter(|candidate| !self.health.is_drained(candidate.endpoint))
            .filter_map(|candidate| {
                let blocked = self.view(candidate).blocked_until;
                let free = match self.room(plan, candidate) {
                    Room::Free | Room::Paced(_) => blocked,
                    Room::Spent(until) => blocked.max(until),
                    Room::Never => return None,
                };
                Some((free, candidate.endpoint))
            })
            .filter(|(until, _)| *until > self.now)
            .min_by_key(|(until, _)| *until)
    }

    /// The view of a candidate that may take ordinary traffic, and whether it has room for this at once.
    fn usable(&self, plan: &Plan, candidate: &Candidate) -> Option<(View, Room)> {
        if !self.is_left(plan, candidate) {
            return None;
        }
        let view = self.view(candidate);
        let passes = matches!(view.passage, Passage::Free | Passage::Share(_));
        if !passes || view.blocked_until > self.now {
            return None;
        }
        match self.room(plan, candidate) {
            room @ (Room::Free | Room::Paced(_)) => Some((view, room)),
            Room::Spent(_) | Room::Never => None,
        }
    }

    /// Not left out, not tried, not drained, not rate-limited.
    fn is_open_to(&self, plan: &Plan, candidate: &Candidate) -> bool {
        if !self.is_left(plan, candidate) {
            return false;
        }
        let view = self.view(candidate);
        view.passage != Passage::Drained && view.blocked_until <= self.now
    }

    fn is_left(&self, plan: &Plan, candidate: &Candidate) -> bool {
        candidate.reject.is_none()
            && !self.tried.contains(&candidate.endpoint)
            && self.is_allowed(plan, candidate)
    }

    /// Within what the request may still cost, and within the limits of `degrade`.
    fn is_allowed(&self, plan: &Plan, candidate: &Candidate) -> bool {
        let too_far =
            plan.policy.degrade.forbids() && self.beyond(plan, candidate.endpoint).next().is_some();
        !too_far && self.can_afford(plan, candidate.endpoint)
    }

    /// Whether the request may cost one more attempt there, after those it has made.
    pub fn can_afford(&self, plan: &Plan, endpoint: EndpointIx) -> bool {
        let Some(most) = plan.policy.max_cost else {
            return true;
        };
        let tried = self.tried.iter().copied();
        let costs = tried.chain([endpoint]).filter_map(|ix| plan.cost_of(ix));
        costs.sum::<f64>() <= most * COST_TOLERANCE
    }

    /// In what an endpoint is beyond the limits of `degrade`. As long as no endpoint of the model asked for was
    /// tried, none of them is.
    pub fn beyond(&self, plan: &Plan, endpoint: EndpointIx) -> impl Iterator<Item = Beyond> {
        let of = |ix: EndpointIx| self.catalog.endpoint(ix).model;
        let asked = plan.legs[0].model;
        let first = of(endpoint) == asked && self.tried.iter().all(|ix| of(*ix) != asked);
        let meant = plan.meant(self.catalog, self.tried).filter(|_| !first);
        meant.into_iter().flat_map(move |meant| {
            let limits = &plan.policy.degrade;
            let view = |ix| self.health.view(ix, self.bucket, self.now);
            let slower = of(endpoint) != asked
                && limits.max_added_latency.is_some()
                && is_slower(limits, &view(meant), &view(endpoint));
            let told = beyond(limits, self.catalog, meant, endpoint);
            told.chain(slower.then_some(Beyond::Latency))
        })
    }

    /// Whether the upstream's word on its limits has room for the plan's request.
    pub fn room(&self, plan: &Plan, candidate: &Candidate) -> Room {
        let need = plan.facts.takes();
        self.health.room(candidate.endpoint, &need, self.now)
    }

    fn view(&self, candidate: &Candidate) -> View {
        self.health.view(candidate.endpoint, self.bucket, self.now)
    }
}

/// A candidate as a policy sees it, in the `position` of its list.
pub(crate) fn standing(
    position: usize,
    candidate: &Candidate,
    view: &View,
    kind: Kind,
) -> Standing {
    Standing {
        position,
        price: candidate.price,
        priced: candidate.priced,
        latency: view.latency,
        whole: kind == Kind::Json,
        usual_latency: view.usual_latency,
        throughput: view.throughput,
        usual_throughput: view.usual_throughput,
        expected: view.expected,
    }
}
