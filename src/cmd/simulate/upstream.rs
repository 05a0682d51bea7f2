//! Owns what an endpoint makes of an attempt: its usual speed, its random errors, and the incidents of the
//! moment. Must never know what routing thinks of it.

use fastrand::Rng;

use crate::cmd::simulate::chance;
use crate::cmd::simulate::incident::{Incident, Kind};
use crate::cmd::simulate::scenario::{Endpoint, Scenario};

/// The least a limited endpoint can take at once, in requests; above it, a second of its rate.
const LEAST_BURST: f64 = 2.0;

/// What happens to an attempt. Times are seconds after the attempt began.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Answer {
    /// No connection comes about.
    ConnectFails { after: f64 },
    /// An error answer.
    Status {
        after: f64,
        status: u16,
        /// Seconds.
        retry_after: Option<f64>,
    },
    /// The connection stands, and nothing ever comes.
    Silence,
    /// Content.
    Stream(Stream),
    /// All of it at once.
    Json { after: f64, tokens: f64 },
    /// Part of it, and the connection breaks.
    Lost { after: f64 },
}

/// An answer with content.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Stream {
    /// Until the first token.
    pub(super) first: f64,
    pub(super) tokens: f64,
    /// Tokens a second after the first.
    pub(super) speed: f64,
    /// Where it breaks, as a share of the stream behind its first token.
    pub(super) cut: Option<f64>,
}

/// What a request asks of any endpoint.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Ask {
    /// Length of the whole answer.
    pub(super) tokens: f64,
    /// It is the caller's error: 400 wherever it goes.
    pub(super) faulty: bool,
    /// Position of the model.
    pub(super) model: usize,
    /// It wants one JSON answer.
    pub(super) json: bool,
    /// Tokens of reasoning that nobody sees before the answer.
    pub(super) hidden: f64,
    /// Tokens of the prompt.
    pub(super) prompt: f64,
}

/// All endpoints of a scenario.
#[derive(Debug)]
pub(super) struct Upstream<'a> {
    scenario: &'a Scenario,
    /// What is left of each incident's limit, where it has one.
    buckets: Vec<Bucket>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    updated: f64,
}

// === impl Answer ===

impl Answer {
    /// Whether it says that the request was one too many.
    pub(super) fn is_limited(&self) -> bool {
        matches!(self, Answer::Status { status: 429, .. })
    }
}

// === impl Upstream ===

impl<'a> Upstream<'a> {
    pub(super) fn new(scenario: &'a Scenario) -> Self {
        let full = |incident: &Incident| Bucket {
            tokens: f64::INFINITY,
            updated: incident.from,
        };
        Self {
            scenario,
            buckets: scenario.incidents.iter().map(full).collect(),
        }
    }

    /// What becomes of an attempt that begins at `now`.
    pub(super) fn answer(&mut self, endpoint: usize, ask: Ask, now: f64, rng: &mut Rng) -> Answer {
        let usual = &self.scenario.fleet[endpoint];
        let stream = self.stream(usual, endpoint, ask, now, rng);
        for position in 0..self.scenario.incidents.len() {
            let incident = &self.scenario.incidents[position];
            if incident.endpoint == endpoint
                && incident.is_bad(now)
                && let Some(answer) = self.refusal(position, stream.first, now, rng)
            {
                return answer;
            }
        }
        if chance::happens(rng, usual.errors) {
            return server_error(None, stream.first, rng);
        }
        match (ask.faulty, ask.json) {
            (true, _) => status(400, chance::uniform(rng, 0.03, 0.08)),
            (false, false) => Answer::Stream(stream),
            (false, true) => whole(stream),
        }
    }

    /// The answer where none of the incidents refuses it.
    fn stream(
        &self,
        usual: &Endpoint,
        endpoint: usize,
        ask: Ask,
        now: f64,
        rng: &mut Rng,
    ) -> Stream {
        let median = usual.first_token + usual.per_thousand * ask.prompt / 1000.0;
        let mut stream = Stream {
            first: chance::first_token(rng, median),
            tokens: ask.tokens,
            speed: chance::speed(rng, usual.speed),
            cut: None,
        };
        let incidents = self.scenario.incidents_of(endpoint);
        for incident in incidents.filter(|incident| incident.is_bad(now)) {
            match incident.kind {
                Kind::SlowFirst { factor } => stream.first *= factor,
                Kind::SlowStream { factor } => stream.speed /= factor,
                Kind::Cut { p } if chance::happens(rng, p) => stream.cut = Some(rng.f64()),
                Kind::Cut { .. }
                | Kind::Refuse
                | Kind::SynDrop { .. }
                | Kind::Error { .. }
                | Kind::Hole
                | Kind::Rate { .. }
                | Kind::Ramp { .. }
                | Kind::Auth => {}
            }
        }
        stream.first += ask.hidden / stream.speed;
        stream
    }

    /// What an incident answers instead, if it does. `first`: when the first token would have come.
    fn refusal(&mut self, position: usize, first: f64, now: f64, rng: &mut Rng) -> Option<Answer> {
        let incident = &self.scenario.incidents[position];
        match incident.kind {
            Kind::Refuse => Some(Answer::ConnectFails {
                after: chance::uniform(rng, 0.005, 0.015),
            }),
            Kind::SynDrop { delay } => Some(Answer::ConnectFails { after: delay }),
            Kind::Error { p, p_to, delay } => {
                let fails = chance::happens(rng, incident.between(p, p_to, now));
                fails.then(|| server_error(delay, first, rng))
            }
            Kind::Hole => Some(Answer::Silence),
            Kind::Rate { share, retry_after } => {
                let after = chance::uniform(rng, 0.03, 0.08);
                let limited = Answer::Status {
                    after,
                    status: 429,
                    retry_after,
                };
                (!self.admit(position, share, now)).then_some(limited)
            }
            Kind::Ramp { share, share_to } => {
                let share = incident.between(share, share_to, now);
                (!self.admit(position, share, now)).then(|| status(503, 0.05))
            }
            Kind::Auth => Some(status(401, 0.05)),
            Kind::SlowFirst { .. } | Kind::SlowStream { .. } | Kind::Cut { .. } => None,
        }
    }

    /// Takes one request's worth from an incident's bucket, which fills at `share` of the scenario's rate.
    fn admit(&mut self, position: usize, share: f64, now: f64) -> bool {
        let rate = share * self.scenario.rps;
        let bucket = &mut self.buckets[position];
        let filled = bucket.tokens + rate * (now - bucket.updated);
        bucket.tokens = filled.min(rate.max(LEAST_BURST));
        bucket.updated = now;
        let admits = bucket.tokens >= 1.0;
        if admits {
            bucket.tokens -= 1.0;
        }
        admits
    }
}

/// The same content as one JSON answer, or the break of its connection on the way.
fn whole(stream: Stream) -> Answer {
    let streaming = stream.tokens / stream.speed;
    match stream.cut {
        Some(share) => Answer::Lost {
            after: stream.first + streaming * share,
        },
        None => Answer::Json {
            after: stream.first + streaming,
            tokens: stream.tokens,
        },
    }
}

fn status(status: u16, after: f64) -> Answer {
    Answer::Status {
        after,
        status,
        retry_after: None,
    }
}

/// A 5xx after `delay`, or somewhere in the first half of the wait for a first token.
fn server_error(delay: Option<f64>, first: f64, rng: &mut Rng) -> Answer {
    let after = delay.unwrap_or_else(|| first * chance::uniform(rng, 0.05, 0.5));
    status(500, after)
}
