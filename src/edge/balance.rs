//! Owns a selection for Pingora's `LoadBalancer` that weighs backends by their health at the moment of each
//! request, and the health itself. It stands alone: any Pingora service may use it, as the example `balancer` does.
//! Must never lock, or leave a backend out: a sick one stands last.
//!
//! ```
//! use std::collections::BTreeSet;
//! use std::sync::Arc;
//! use mainstay::edge::balance::{ByHealth, Standing};
//! use pingora::lb::{Backend, LoadBalancer, Backends, discovery::Static};
//!
//! let standing = Arc::new(Standing::default());
//! let mut backend = Backend::new("10.0.0.11:8000").unwrap();
//! backend.ext.insert(standing.clone());
//! let balancer = LoadBalancer::<ByHealth>::from_backends(Backends::new(Static::new(BTreeSet::from([backend]))));
//! // after each request: `standing.succeed()` or `standing.fail(None)`
//! # drop(balancer);
//! ```

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use pingora::lb::Backend;
use pingora::lb::selection::{BackendIter, BackendSelection};

/// What the latest outcome counts for.
const LATEST: f32 = 0.3;
/// The least a backend weighs, so that one that has recovered is found out.
const LEAST: f32 = 0.02;
/// The first rest after a failure; each further failure in a row doubles it.
const FIRST_REST: Duration = Duration::from_millis(250);
const LONGEST_REST: Duration = Duration::from_secs(10);
/// The longest an upstream may ask us to stay away.
const LONGEST_ASKED: Duration = Duration::from_secs(60);

/// What active checks say of a server. It lives until someone says otherwise.
#[derive(Debug, Default)]
pub struct Verdict {
    down: AtomicBool,
}

impl Verdict {
    /// The server passes its checks, or fails them.
    pub fn set(&self, is_up: bool) {
        self.down.store(!is_up, Relaxed);
    }

    /// Whether it fails them.
    pub fn is_down(&self) -> bool {
        self.down.load(Relaxed)
    }
}

/// How a backend does, in atomics. Put an `Arc` of it into `Backend::ext`.
#[derive(Debug)]
pub struct Standing {
    born: Instant,
    /// The bits of the decayed share of successes.
    expected: AtomicU32,
    /// Failures in a row.
    failures: AtomicU32,
    in_flight: AtomicU32,
    /// Milliseconds since `born`.
    rests_until: AtomicU64,
    verdict: Arc<Verdict>,
}

impl Default for Standing {
    fn default() -> Self {
        Self {
            born: Instant::now(),
            expected: AtomicU32::new(1.0_f32.to_bits()),
            failures: AtomicU32::new(0),
            in_flight: AtomicU32::new(0),
            rests_until: AtomicU64::new(0),
            verdict: Arc::default(),
        }
    }
}

impl Standing {
    /// Of a backend that is also checked actively.
    pub fn checked(verdict: Arc<Verdict>) -> Self {
        Self {
            verdict,
            ..Self::default()
        }
    }

    /// Whether active checks say that it does not live.
    pub fn is_down(&self) -> bool {
        self.verdict.is_down()
    }

    /// A request goes to the backend.
    pub fn enter(&self) {
        self.in_flight.fetch_add(1, Relaxed);
    }

    /// It is over, whatever its outcome.
    pub fn leave(&self) {
        self.in_flight.fetch_sub(1, Relaxed);
    }

    /// The backend answered as it should.
    pub fn succeed(&self) {
        self.failures.store(0, Relaxed);
        self.rests_until.store(0, Relaxed);
        self.learn(1.0);
    }

    /// The backend failed, or asked to be left alone for a time.
    pub fn fail(&self, asked: Option<Duration>) {
        let before = self.failures.fetch_add(1, Relaxed);
        let doubled = FIRST_REST.saturating_mul(1 << before.min(10));
        let rest = asked.map_or(doubled.min(LONGEST_REST), |asked| asked.min(LONGEST_ASKED));
        let until = self.born.elapsed().saturating_add(rest);
        self.rests_until.fetch_max(millis(until), Relaxed);
        self.learn(0.0);
    }

    /// Expected success of the next request, 0 to 1.
    pub fn expected(&self) -> f32 {
        f32::from_bits(self.expected.load(Relaxed))
    }

    /// Whether it is left alone for now.
    pub fn rests(&self) -> bool {
        millis(self.born.elapsed()) < self.rests_until.load(Relaxed)
    }

    /// Backends with less of it are taken first, whatever they weigh.
    fn doubt(&self) -> u8 {
        match (self.is_down(), self.rests()) {
            (false, false) => 0,
            (false, true) => 1,
            (true, _) => 2,
        }
    }

    fn learn(&self, outcome: f32) {
        let step = |bits| {
            let last = f32::from_bits(bits);
            Some((last + LATEST * (outcome - last)).to_bits())
        };
        // The closure never declines.
        self.expected.fetch_update(Relaxed, Relaxed, step).ok();
    }

    /// The share of traffic: squared, so that a backend that fails half its requests gets a quarter, and less
    /// the more it has under way.
    fn weight(&self) -> f32 {
        let expected = self.expected().max(LEAST);
        expected * expected / (1.0 + self.in_flight.load(Relaxed) as f32)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A selection by live health: each request has an order of its own, drawn by weight without replacement, with
/// those that rest behind all others, and those that fail active checks behind these. A backend without a [`Standing`] in its `ext` counts as healthy.
///
/// `Backend`s are told apart by address and weight only, never by `ext`. What shares an address (two keys of
/// one account) must differ in weight, so this selection reads no share from it.
#[derive(Debug)]
pub struct ByHealth {
    backends: Vec<Backend>,
}

impl BackendSelection for ByHealth {
    type Iter = InOrder;
    type Config = ();

    fn build(backends: &BTreeSet<Backend>) -> Self {
        Self {
            backends: backends.iter().cloned().collect(),
        }
    }

    /// The order of one request; the key does not matter.
    fn iter(self: &Arc<Self>, _key: &[u8]) -> InOrder {
        let backends = self.backends.iter().enumerate();
        let mut drawn: Vec<(u8, f32, usize)> = backends
            .map(|(position, backend)| {
                let standing = backend.ext.get::<Arc<Standing>>();
                let doubt = standing.map_or(0, |standing| standing.doubt());
                let weight = standing.map_or(1.0, |standing| standing.weight());
                // Efraimidis and Spirakis, 2006: the largest of these keys is a draw by weight.
                (doubt, -fastrand::f32().powf(1.0 / weight), position)
            })
            .collect();
        drawn.sort_by(|a, b| {
            (a.0, a.1)
                .partial_cmp(&(b.0, b.1))
                .unwrap_or(std::cmp::Ordering::Equal)
        });
        InOrder {
            selection: self.clone(),
            order: drawn.into_iter().map(|(_, _, position)| position).collect(),
            next: 0,
        }
    }
}

/// The order of one request.
#[derive(Debug)]
pub struct InOrder {
    selection: Arc<ByHealth>,
    order: Vec<usize>,
    next: usize,
}

impl BackendIter for InOrder {
    fn next(&mut self) -> Option<&Backend> {
        let position = *self.order.get(self.next)?;
        self.next += 1;
        self.selection.backends.get(position)
    }
}

/// Puts those that rest or are down behind the others, and the likelier of each first. Stable.
pub(crate) fn by_standing<T>(list: &mut [(T, Arc<Standing>)]) {
    let rank = |standing: &Standing| (standing.doubt(), 1.0 - standing.expected());
    list.sort_by(|(_, a), (_, b)| {
        let order = rank(a).partial_cmp(&rank(b));
        order.unwrap_or(std::cmp::Ordering::Equal)
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(standings: &[Arc<Standing>]) -> Arc<ByHealth> {
        let backends = standings.iter().enumerate().map(|(position, standing)| {
            let mut backend = Backend::new_with_weight("10.0.0.1:80", position + 1).unwrap();
            backend.ext.insert(standing.clone());
            backend
        });
        Arc::new(ByHealth::build(&backends.collect()))
    }

    fn first(selection: &Arc<ByHealth>) -> usize {
        selection.iter(b"").next().unwrap().weight - 1
    }

    #[test]
    fn two_keys_at_one_address_are_two_candidates() {
        let both = selection(&[Arc::default(), Arc::default()]);
        let mut order = both.iter(b"");
        let weights = [order.next().unwrap().weight, order.next().unwrap().weight];
        assert!(order.next().is_none() && weights[0] != weights[1]);
    }

    #[test]
    fn what_rests_stands_last_and_what_failed_gets_less() {
        let standings: [Arc<Standing>; 2] = Default::default();
        let both = selection(&standings);
        standings[0].fail(None);
        assert!((0..100).all(|_| first(&both) == 1), "the first rests");
        standings[0].fail(Some(Duration::from_secs(60)));
        standings[0].rests_until.store(0, Relaxed);
        let share = (0..1000).filter(|_| first(&both) == 0).count();
        assert!((100..350).contains(&share), "about a fifth: {share}");
        standings[0].succeed();
        assert!(standings[0].expected() > 0.6);
    }

    #[test]
    fn what_fails_its_checks_stands_last_and_is_still_there() {
        let verdict = Arc::new(Verdict::default());
        let standings = [Arc::new(Standing::checked(verdict.clone())), Arc::default()];
        let both = selection(&standings);
        verdict.set(false);
        standings[1].fail(None);
        assert!(
            (0..100).all(|_| first(&both) == 1),
            "down is worse than resting"
        );
        assert_eq!(both.iter(b"").order.len(), 2);
        verdict.set(true);
        assert!((0..100).all(|_| first(&both) == 0), "the other one rests");
    }

    #[test]
    fn healthy_backends_share_alike() {
        let both = selection(&[Arc::default(), Arc::default()]);
        let share = (0..1000).filter(|_| first(&both) == 0).count();
        assert!((400..600).contains(&share), "{share}");
    }
}
