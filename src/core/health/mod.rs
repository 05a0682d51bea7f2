//! Owns what is known of every endpoint, host, key and pool right now, and how outcomes change it. In
//! reading order: `settings`, `bucket`, `posterior`, `latency`, `throughput`, `cap`, `pacing`, `waiting`, `memory` (what outlives the process), `breaker`, `words` (what a pick
//! reads), `effect` (what an outcome does), `active` (probes of our own), `windows` (what operators are shown), `endpoint`, `gate`, `forgive`, `pool`, `carry`, `operators`. Must never hold a lock while picking, or allocate on a pick.

mod settings;
mod bucket;
mod posterior;
mod latency;
mod throughput;
mod cap;
mod pacing;
mod waiting;
mod memory;
mod breaker;
mod words;
mod effect;
mod active;
mod windows;
mod endpoint;
mod gate;
mod forgive;
mod pool;
mod usual;
mod carry;
mod operators;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use crate::core::catalog::{Catalog, Endpoint, EndpointIx, ModelIx};
use crate::core::health::breaker::{PROBE_AT_LATEST, RestKind};
use crate::core::health::effect::{of_host, of_key};
use crate::core::health::endpoint::Verdict;
use crate::core::outcome::Class;
use crate::core::time::Time;

pub use active::{ActiveEnd, ActiveErrand};
pub use breaker::State;
pub use bucket::{Bucket, Kind, PromptSize};
use carry::carry;
pub(crate) use endpoint::{BLOCK_IF_ABSENT, BLOCK_MARGIN};
pub use endpoint::{EndpointHealth, Silence};
pub use gate::Gate;
use gate::Heard;
pub(crate) use latency::Latency;
pub use memory::{BreakerMemory, EndpointMemory, SpeedMemory};
pub use operators::Condition;
pub use pacing::{Mark, Remaining, Room};
pub use pool::Pool;
pub use settings::{ActiveProbe, BudgetSettings, HealthSettings, ProbeFast, Rest};
pub(crate) use usual::Counted;
pub use usual::Usual;
pub use windows::{Past, Quantiles, Uptime};
use words::GateWord;
pub use words::Passage;

/// Everything known of a catalogue's endpoints. Endpoints, hosts, keys and pools that the next catalogue
/// still has keep their state across generations.
#[derive(Debug)]
pub struct Health {
    settings: HealthSettings,
    budget: BudgetSettings,
    slots: Vec<Slot>,
    pools: Vec<Arc<Pool>>,
    hosts: Vec<Arc<Gate>>,
    keys: Vec<Arc<Gate>>,
}

/// One endpoint with what it shares.
#[derive(Debug)]
struct Slot {
    own: Arc<EndpointHealth>,
    host: Arc<Gate>,
    key: Arc<Gate>,
    pool: ModelIx,
}

/// What a pick reads of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct View {
    pub passage: Passage,
    /// Rate-limited until then, by its word or by what was learnt.
    pub blocked_until: Time,
    /// Expected success of the next attempt, 0 to 1.
    pub expected: f32,
    /// Seconds to the first token (or whole answer) expected of the next attempt; `None` before any sample.
    pub latency: Option<f32>,
    /// The same in the long run.
    pub usual_latency: Option<f32>,
    /// Tokens a second expected of the next stream; `None` before any sample.
    pub throughput: Option<f32>,
    /// The same in the long run.
    pub usual_throughput: Option<f32>,
}

/// An attempt's end, as the exchange reports it.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    pub endpoint: EndpointIx,
    pub class: Class,
    pub bucket: Bucket,
    /// It was to find out whether the endpoint has recovered.
    pub probe: bool,
    pub started: Time,
    pub retry_after: Option<Duration>,
}

/// Why a new request may be sent to an endpoint that would hardly be drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errand {
    /// It rests, and its back-off is over.
    Probe,
    /// It failed last and has not been asked since.
    Verify,
}

/// A closed endpoint that failed is left this long to its own traffic, which tells soon enough where there is any.
const DOUBT: Duration = Duration::from_secs(1);

/// What an outcome did to the gates.
#[derive(Clone, Copy, Debug)]
struct Gates {
    host: Heard,
    key: Heard,
}

/// What an outcome tripped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trips {
    pub endpoint: bool,
    pub host: bool,
    pub key: bool,
}

impl Health {
    /// Builds the health of a catalogue, carrying over what `previous` knows.
    pub fn new(
        catalog: &Catalog,
        settings: HealthSettings,
        budget: BudgetSettings,
        previous: Option<(&Catalog, &Health)>,
    ) -> Self {
        let known = |list: fn(&Health) -> &Vec<Arc<Gate>>| previous.map(|(_, old)| list(old));
        let hosts = carry(
            catalog.hosts(),
            previous.map(|(old, _)| old.hosts()),
            known(|old| &old.hosts),
        );
        let keys = carry(
            catalog.credentials(),
            previous.map(|(old, _)| old.credentials()),
            known(|old| &old.keys),
        );
        let names = |catalog: &Catalog| -> Vec<_> {
            let models = catalog.models().iter();
            models.map(|model| model.name.clone()).collect()
        };
        let pools = carry(
            &names(catalog),
            previous.map(|(old, _)| names(old)).as_deref(),
            previous.map(|(_, old)| &old.pools),
        );
        let ids = |catalog: &Catalog| -> Vec<_> {
            let endpoints = catalog.endpoints().iter();
            let identity = |endpoint: &Endpoint| (endpoint.id.clone(), endpoint.fingerprint);
            endpoints.map(identity).collect()
        };
        let owned = previous.map(|(_, old)| {
            let slots = old.slots.iter();
            slots.map(|slot| slot.own.clone()).collect::<Vec<_>>()
        });
        let own = carry(
            &ids(catalog),
            previous.map(|(old, _)| ids(old)).as_deref(),
            owned.as_ref(),
        );
        let slots = catalog.endpoints().iter().zip(own);
        let slots = slots
            .map(|(endpoint, own)| Slot {
                own,
                host: hosts[endpoint.host.get()].clone(),
                key: keys[endpoint.credential.get()].clone(),
                pool: endpoint.model,
            })
            .collect();
        Self {
            settings,
            budget,
            slots,
            pools,
            hosts,
            keys,
        }
    }

    /// What a pick needs to know of an endpoint. Takes no lock.
    pub fn view(&self, endpoint: EndpointIx, bucket: impl Into<Bucket>, now: Time) -> View {
        let bucket = bucket.into();
        let slot = self.slot(endpoint);
        let words = &slot.own.words;
        let latency = words.latency(bucket);
        let silence = words.silence(bucket, now);
        let tokens = words.throughput();
        View {
            passage: self.passage(slot, now),
            blocked_until: words.free_at(),
            expected: words.posterior().expect(now),
            latency: match latency.expect(now) {
                None if silence == 0.0 => None,
                expected => Some(expected.unwrap_or(0.0).max(silence)),
            },
            usual_latency: (latency.samples > 0).then_some(latency.long),
            throughput: tokens.expect(now),
            usual_throughput: (tokens.long > 0.0).then_some(tokens.long),
        }
    }

    fn passage(&self, slot: &Slot, now: Time) -> Passage {
        let own = slot.own.words.gate.read(&self.settings, now);
        own.and(slot.host.word.read(&self.settings, now))
            .and(slot.key.word.read(&self.settings, now))
    }

    /// Counts a request that asks for the model.
    pub fn count_request(&self, model: ModelIx, now: Time) {
        self.pool(model).count_request(self.budget, now);
    }

    /// Takes the price of an extra attempt from the pool of the model asked for. Returns whether it could pay.
    pub fn pay_for(&self, model: ModelIx, target: EndpointIx, now: Time) -> bool {
        let slot = self.slot(target);
        let expected = match self.passage(slot, now) {
            Passage::Shut | Passage::Probe | Passage::Drained => 0.0,
            Passage::Free | Passage::Share(_) => slot.own.expected_success(now),
        };
        self.pool(model).withdraw(self.budget, expected, now)
    }

    /// Starts a probe of an endpoint whose gates await one, if the bounds allow it: its failures are fast
    /// (`probe_fast`), or the pool has had requests enough since the last (`probe_share`). Returns whether
    /// this request is the probe.
    pub fn try_probe(&self, endpoint: EndpointIx, now: Time) -> bool {
        let slot = self.slot(endpoint);
        let requests = self.pools[slot.pool.get()].requests();
        if self.is_probed_actively(slot, now) || !self.probe_is_due(slot, requests, now) {
            return false;
        }
        let own = slot.own.begin_probe(requests, now, false);
        let host = slot.host.begin_probe(now, false);
        let key = slot.key.begin_probe(now, false);
        own || host || key
    }

    /// Whether a new request should be sent to an endpoint that is closed to find out how it is: it failed last
    /// and its share is so small that traffic does not tell. Under the same bounds as a probe.
    pub fn try_verify(&self, endpoint: EndpointIx, now: Time) -> bool {
        let slot = self.slot(endpoint);
        let requests = self.pools[slot.pool.get()].requests();
        slot.own.verify(&self.settings, requests, now)
    }

    /// What an endpoint waits for that only a request can bring. Takes no lock.
    pub fn errand(&self, endpoint: EndpointIx, now: Time) -> Option<Errand> {
        let slot = self.slot(endpoint);
        match self.passage(slot, now) {
            Passage::Probe => Some(Errand::Probe),
            Passage::Free => {
                let doubted = slot.own.words.gate.doubted()?;
                (now.since(doubted) >= DOUBT).then_some(Errand::Verify)
            }
            Passage::Share(_) | Passage::Shut | Passage::Drained => None,
        }
    }

    fn probe_is_due(&self, slot: &Slot, requests: u64, now: Time) -> bool {
        let gates = [slot.own.breaker(), slot.host.breaker(), slot.key.breaker()];
        let barred = |state: State| matches!(state, State::Open | State::HalfOpen);
        let barring = || gates.iter().filter(|gate| barred(gate.state));
        if !barring().all(|gate| gate.awaits_probe(now)) {
            return false;
        }
        if barring().all(|gate| gate.state == State::HalfOpen) {
            return barring().next().is_some();
        }
        let fast = self.settings.probe_fast;
        let failed_in = barring().map(|gate| gate.failed_in).max();
        let probed = barring().filter_map(|gate| gate.last_probe).max();
        let since_probe = |rest: Duration| probed.is_none_or(|last| now.since(last) >= rest);
        let opened = barring().map(|gate| gate.since).max().unwrap_or(now);
        let requests = requests.saturating_sub(slot.own.probed_at()) as f32;
        let apart = barring().map(|gate| gate.slow_probes_apart(now)).max();
        let paid = requests * self.settings.probe_share >= 1.0;
        paid && since_probe(apart.unwrap_or_default())
            || now.since(opened) >= PROBE_AT_LATEST
            || failed_in.is_some_and(|took| took < fast.below) && since_probe(fast.every)
    }

    /// Until when an upstream's Retry-After, or what stood in for one, keeps requests away.
    pub fn blocked_until(&self, endpoint: EndpointIx) -> Time {
        self.slot(endpoint).own.words.blocked_until()
    }

    /// Whether an endpoint may be asked by a request that waited for it: nothing shuts it, and no block holds.
    pub fn is_open(&self, endpoint: EndpointIx, now: Time) -> bool {
        let slot = self.slot(endpoint);
        let free = slot.own.words.blocked_until() <= now;
        free && !matches!(self.passage(slot, now), Passage::Shut | Passage::Drained)
    }

    /// Why no ordinary traffic goes to an endpoint, by whose gate keeps it away; `None` where none does.
    pub fn kept_away_by(&self, endpoint: EndpointIx, now: Time) -> Option<Class> {
        let slot = self.slot(endpoint);
        let shuts = |word: &GateWord| {
            matches!(
                word.read(&self.settings, now),
                Passage::Shut | Passage::Probe
            )
        };
        let gates = [
            (&slot.key.word, Class::AuthRejected),
            (&slot.host.word, Class::ConnectFailed),
            (&slot.own.words.gate, Class::Overloaded),
        ];
        let shut = gates.into_iter().find(|(word, _)| shuts(word));
        shut.map(|(_, class)| class)
    }

    /// Whether an endpoint's host or key keeps all traffic away, whatever the endpoint itself does: what is no
    /// model's has no endpoint, and shares these.
    pub fn shares_shut_gate(&self, endpoint: EndpointIx, now: Time) -> bool {
        let slot = self.slot(endpoint);
        let gates = [&slot.host.word, &slot.key.word];
        let mut passages = gates.into_iter().map(|word| word.read(&self.settings, now));
        passages.any(|passage| passage == Passage::Shut)
    }

    /// An attempt is over, whatever its outcome.
    pub fn leave(&self, endpoint: EndpointIx) {
        self.slot(endpoint).own.leave();
    }

    /// A request is written and waits for its first token. Returns when to `listen` whether all is silent.
    pub fn await_first(&self, endpoint: EndpointIx, bucket: Bucket, now: Time) -> Option<Time> {
        self.slot(endpoint).own.await_first(bucket, now)
    }

    /// It waits no more; `answered`: because its first token came.
    pub fn end_await(&self, endpoint: EndpointIx, bucket: Bucket, answered: bool, now: Time) {
        self.slot(endpoint).own.end_await(bucket, answered, now);
    }

    /// Whether an endpoint has fallen silent towards all who wait like a request that was `sent` then
    /// (routing-algorithm 3.2, "stall"). The first who hears it trips the endpoint.
    pub fn listen(
        &self,
        endpoint: EndpointIx,
        bucket: Bucket,
        sent: Time,
        rng: &mut fastrand::Rng,
        now: Time,
    ) -> Silence {
        let own = &self.slot(endpoint).own;
        own.listen(&self.settings, bucket, sent, rng.f32(), now)
    }

    /// A request goes to the endpoint, and uses up its turn where a rate is kept.
    pub fn spend(&self, endpoint: EndpointIx, now: Time) {
        self.slot(endpoint).own.spend(now);
    }

    /// Takes one of `most` places to wait until the endpoint takes requests again, and a turn no later than
    /// `latest`. Returns when that is; then the request need not `spend`.
    pub fn begin_wait(
        &self,
        endpoint: EndpointIx,
        most: u32,
        latest: Time,
        now: Time,
    ) -> Option<Time> {
        self.slot(endpoint).own.begin_wait(most, latest, now)
    }

    /// Gives the turn back with which a wait would have ended. The place is `end_wait`'s.
    pub fn give_turn_back(&self, endpoint: EndpointIx) {
        self.slot(endpoint).own.words.give_turn_back();
    }

    /// Gives the place back.
    pub fn end_wait(&self, endpoint: EndpointIx) {
        self.slot(endpoint).own.end_wait();
    }

    /// The first content (or a whole JSON answer) came `took` after the request was sent. `paying`: the model
    /// asked for, whose retry budget it funds.
    pub fn succeed(
        &self,
        endpoint: EndpointIx,
        paying: ModelIx,
        bucket: impl Into<Bucket>,
        started: Time,
        took: Duration,
        now: Time,
    ) {
        let bucket = bucket.into();
        let slot = self.slot(endpoint);
        slot.own.succeed(&self.settings, bucket, started, took, now);
        self.pool(paying).deposit(self.budget, now);
        self.pools[slot.pool.get()].note(true);
        let verdict = Verdict {
            class: Class::Success,
            started,
            retry_after: None,
            bucket,
            probe: false,
            jitter: 0.0,
            now,
        };
        let recovered = self.tell_gates(slot, &verdict);
        if recovered.host == Heard::Recovered || recovered.key == Heard::Recovered {
            slot.own.trust_again(now);
        }
        self.forgive(slot, recovered, now);
    }

    /// A stream brought so many tokens a second.
    pub fn stream_at(&self, endpoint: EndpointIx, rate: f32, now: Time) {
        self.slot(endpoint).own.stream_at(rate, now);
    }

    /// A stream that began then came to its whole end. `per_event`: the tokens that the upstream counted for each event
    /// with content, where it said.
    pub fn complete(&self, endpoint: EndpointIx, started: Time, per_event: Option<f32>, now: Time) {
        let own = &self.slot(endpoint).own;
        own.complete(&self.settings, started, per_event, now);
    }

    /// An attempt left a silent endpoint, of which health has heard from somebody else already: operators are shown
    /// every one.
    pub fn note_stalled(&self, endpoint: EndpointIx, now: Time) {
        self.slot(endpoint).own.note(Class::Stalled, now);
    }

    /// An attempt ended otherwise. Returns what tripped.
    pub fn fail(&self, ended: &Ended, rng: &mut fastrand::Rng, now: Time) -> Trips {
        let slot = self.slot(ended.endpoint);
        let verdict = Verdict {
            class: ended.class,
            started: ended.started,
            retry_after: ended.retry_after,
            bucket: ended.bucket,
            probe: ended.probe,
            jitter: rng.f32(),
            now,
        };
        let requests = self.pools[slot.pool.get()].requests();
        if effect::of(ended.class).failure > 0.0 {
            self.pools[slot.pool.get()].note(false);
        }
        let endpoint = slot.own.fail(&self.settings, requests, &verdict);
        let gates = self.tell_gates(slot, &verdict);
        self.forgive(slot, gates, now);
        Trips {
            endpoint,
            host: gates.host == Heard::Tripped,
            key: gates.key == Heard::Tripped,
        }
    }

    fn tell_gates(&self, slot: &Slot, verdict: &Verdict) -> Gates {
        let (host, key) = (of_host(verdict.class), of_key(verdict.class));
        let settings = &self.settings;
        Gates {
            host: slot.host.hear(host, RestKind::Connect, settings, verdict),
            key: slot.key.hear(key, RestKind::Auth, settings, verdict),
        }
    }

    /// The measured speed of an endpoint's bucket. Takes the endpoint's lock: once an attempt, not once a pick.
    pub(crate) fn latency(&self, endpoint: EndpointIx, bucket: Bucket) -> Latency {
        self.slot(endpoint).own.latency(bucket)
    }

    /// The health of one endpoint, for operators.
    pub fn endpoint(&self, endpoint: EndpointIx) -> &EndpointHealth {
        &self.slot(endpoint).own
    }

    /// The pool of a model.
    pub fn pool(&self, model: ModelIx) -> &Pool {
        &self.pools[model.get()]
    }

    pub fn settings(&self) -> &HealthSettings {
        &self.settings
    }

    fn slot(&self, endpoint: EndpointIx) -> &Slot {
        &self.slots[endpoint.get()]
    }
}
