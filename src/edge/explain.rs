//! Owns what operators are told of a request that is not made: every endpoint, asked or not and why, its score, and
//! what a failure would cost. Must never start an attempt, begin a probe, or show a secret.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::config::snapshot::{Caller, Snapshot};
use crate::core::catalog::{Catalog, EndpointIx};
use crate::core::drift::Drift;
use crate::core::explain::{Explained, ExplainedLeg, Explanation, Story, Verdict};
use crate::core::health::Health;
use crate::core::plan::{Plan, RequestFacts};
use crate::core::time::Time;
use crate::edge::carrying;
use crate::edge::conversations::Conversation;
use crate::edge::planning::{PlanError, Planned, plan, reason};
use crate::wire::client_request::ClientRequest;
use crate::wire::dialects::Ask;

/// A share that is all of it, but for rounding.
const CERTAIN: f32 = 0.9995;

/// The answer to "where would this request go".
#[derive(Debug, Serialize, Deserialize)]
pub struct Answer {
    /// What the request asks for.
    pub model: String,
    pub policy: PolicyAnswer,
    /// How the request is seen: what its speed is compared with.
    pub request: RequestAnswer,
    /// The conversation that it goes on with; `None`: the policy looks for none, or the request tells none.
    pub conversation: Option<ConversationAnswer>,
    /// The model asked for, then its chain.
    pub models: Vec<ModelAnswer>,
    /// What happens if the one who is asked first fails; `None`: nobody can be asked.
    pub if_first_fails: Option<FailureAnswer>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct PolicyAnswer {
    pub name: String,
    pub sort: String,
    pub attempts: u8,
    pub deadline_seconds: f64,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct RequestAnswer {
    pub stream: bool,
    pub reasoning: bool,
    pub tools: bool,
    pub images: bool,
    /// Estimated from the size of the body.
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct ConversationAnswer {
    /// What tells it from others, as `sticky.key` names it.
    pub key: String,
    /// Who answered last; `None`: nobody that is known, and the rest is as if there were no conversation.
    pub endpoint: Option<String>,
    /// The next turn goes there too.
    pub stays: bool,
    /// Only its provider takes the reasoning that the request replays.
    pub pinned: bool,
    /// What leaving would lose, in the unit of the score, in USD where prices tell it, and in seconds.
    pub worth: f32,
    pub worth_usd: Option<f64>,
    pub worth_seconds: f32,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct ModelAnswer {
    pub model: String,
    pub endpoints: Vec<EndpointAnswer>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct EndpointAnswer {
    pub id: String,
    /// `open`, `ramping`, `probing`, `resting`, `rate_limited`, `paced`, `blocked`, `drained` or `rejected`.
    pub verdict: String,
    /// Why it is not asked, or for what it rests.
    pub why: Option<String>,
    /// Its part of the first attempts on this model, 0 to 1.
    pub share: f32,
    /// The same once the one who is asked first has failed.
    pub share_if_first_fails: f32,
    /// The smaller, the better; in the policy's own unit.
    pub score: f32,
    pub score_parts: Vec<(String, f32)>,
    /// Expected success of the next attempt, 0 to 1.
    pub health: f32,
    /// To the first token, or to the whole answer of JSON; `None` before any sample.
    pub latency_seconds: Option<f32>,
    pub tokens_per_second: Option<f32>,
    /// Of this request, in USD; `None` where the price is unknown.
    pub cost: Option<f64>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct FailureAnswer {
    pub first: String,
    /// The longest that its silence is borne. An error that is told costs less.
    pub seconds_lost_at_most: f64,
    /// `None`: nobody is left to ask.
    pub next: Option<String>,
    /// How the next differs from the first.
    pub drift: Option<String>,
    /// What both attempts cost, in USD.
    pub cost: Option<f64>,
}

/// Reads a request as the proxy does that asks at `path`, what other dialects make of it included; without a path it is
/// a chat request.
///
/// # Errors
/// Nothing is asked at the path, or the request cannot be read.
pub fn read(
    catalog: &Catalog,
    path: Option<&str>,
    model: Option<&str>,
    body: &Bytes,
) -> Result<ClientRequest, String> {
    let path = path.unwrap_or("/v1/chat/completions");
    let rest = path.strip_prefix("/api").unwrap_or(path);
    let ask = rest.strip_prefix("/v1").and_then(Ask::at);
    let ask = ask.ok_or_else(|| format!("nothing is asked at '{path}'"))?;
    let mut request = ask.scan(body).map_err(|error| error.to_string())?;
    if let Some(model) = model {
        model.clone_into(&mut request.facts.model);
    }
    // Who speaks the client's dialect may still take what could not be carried: the plan says who is left out.
    let targets = carrying::targets(catalog);
    carrying::carry((catalog, &targets), ask, &mut request.facts, body).ok();
    Ok(request)
}

/// Explains where a request would go at `now`.
///
/// # Errors
/// The model does not exist, or not for this caller.
pub fn explain(
    snapshot: &Snapshot,
    health: &Health,
    caller: Option<&Caller>,
    facts: RequestFacts,
    now: Time,
) -> Result<Answer, PlanError> {
    explain_turn(snapshot, health, (caller, facts), now, |_| None)
}

/// The same of a request that may go on with a conversation, which `join` finds.
///
/// # Errors
/// The model does not exist, or not for this caller.
pub(crate) fn explain_turn(
    snapshot: &Snapshot,
    health: &Health,
    (caller, facts): (Option<&Caller>, RequestFacts),
    now: Time,
    join: impl FnOnce(&mut Planned) -> Option<Conversation>,
) -> Result<Answer, PlanError> {
    let mut planned = plan(snapshot, health, caller, facts)?;
    let conversation = join(&mut planned);
    let Planned { plan, wild } = planned;
    let catalog = &snapshot.catalog;
    let explanation = Explanation::of(&plan, catalog, health, now);
    let telling = Telling {
        catalog,
        plan: &plan,
        wild: wild.as_deref(),
        conversation: conversation.as_ref(),
    };
    Ok(telling.answer(&explanation))
}

struct Telling<'a> {
    catalog: &'a Catalog,
    plan: &'a Plan,
    wild: Option<&'a str>,
    conversation: Option<&'a Conversation>,
}

impl Telling<'_> {
    fn answer(&self, explanation: &Explanation) -> Answer {
        let Plan { facts, policy, .. } = self.plan;
        Answer {
            model: facts.model.clone(),
            policy: PolicyAnswer {
                name: policy.name.to_string(),
                sort: policy.sort.as_str().to_owned(),
                attempts: policy.attempts,
                deadline_seconds: policy.deadline.as_secs_f64(),
            },
            request: RequestAnswer {
                stream: facts.stream,
                reasoning: facts.reasons,
                tools: facts.tools,
                images: facts.images,
                prompt_tokens: facts.prompt_tokens(),
                completion_tokens: facts.completion_tokens(),
            },
            conversation: self
                .conversation
                .map(|conversation| self.conversation(conversation, explanation)),
            models: explanation.legs.iter().map(|leg| self.model(leg)).collect(),
            if_first_fails: explanation.first.map(|story| self.failure(story)),
        }
    }

    fn conversation(
        &self,
        conversation: &Conversation,
        explanation: &Explanation,
    ) -> ConversationAnswer {
        let hold = self.plan.hold;
        let last = hold.map(|hold| hold.endpoint);
        let mut all = explanation.legs.iter().flat_map(|leg| &leg.candidates);
        let own = all.find(|one| Some(one.candidate.endpoint) == last);
        let pull = hold.map(|hold| hold.pull).unwrap_or_default();
        let cheapest = last.and_then(|endpoint| self.plan.cheapest_beside(endpoint));
        ConversationAnswer {
            key: conversation.source.as_str().to_owned(),
            endpoint: last.map(|endpoint| self.id(endpoint)),
            stays: own.is_some_and(|own| own.share >= CERTAIN),
            pinned: self.plan.is_pinned(self.catalog),
            worth: hold.map_or(0.0, |_| {
                self.plan.policy.worth(&pull, !self.plan.facts.stream)
            }),
            worth_usd: cheapest.map(|cheapest| cheapest * f64::from(pull.money)),
            worth_seconds: pull.seconds,
        }
    }

    fn cost(&self, endpoint: EndpointIx) -> Option<f64> {
        self.plan.cost_of(endpoint)
    }

    fn id(&self, endpoint: EndpointIx) -> String {
        self.catalog.endpoint(endpoint).id.to_string()
    }

    fn model(&self, leg: &ExplainedLeg) -> ModelAnswer {
        ModelAnswer {
            model: self.catalog.name_of(leg.model, self.wild).to_owned(),
            endpoints: leg
                .candidates
                .iter()
                .map(|one| self.endpoint(one))
                .collect(),
        }
    }

    fn endpoint(&self, explained: &Explained) -> EndpointAnswer {
        let endpoint = explained.candidate.endpoint;
        let (verdict, why) = verdict(explained.verdict);
        let parts = explained.parts.iter();
        EndpointAnswer {
            id: self.id(endpoint),
            verdict: verdict.to_owned(),
            why,
            share: explained.share,
            share_if_first_fails: explained.share_after,
            score: parts.clone().map(|part| part.value).sum(),
            score_parts: parts
                .map(|part| (part.name.to_owned(), part.value))
                .collect(),
            health: explained.view.expected,
            latency_seconds: explained.view.latency,
            tokens_per_second: explained.view.throughput,
            cost: self.cost(endpoint),
        }
    }

    fn failure(&self, story: Story) -> FailureAnswer {
        let drift = story
            .next
            .map(|next| Drift::between(self.catalog, story.endpoint, next));
        let next_cost = story.next.map_or(Some(0.0), |next| self.cost(next));
        FailureAnswer {
            first: self.id(story.endpoint),
            seconds_lost_at_most: story.longest.as_secs_f64(),
            next: story.next.map(|next| self.id(next)),
            drift: drift.map(|drift| drift.to_string()),
            cost: self
                .cost(story.endpoint)
                .zip(next_cost)
                .map(|(one, other)| one + other),
        }
    }
}

/// A verdict's name, and why.
pub(crate) fn verdict(verdict: Verdict) -> (&'static str, Option<String>) {
    match verdict {
        Verdict::Available => ("available", None),
        Verdict::Ramping => (
            "ramping",
            Some("it has recovered and gets a growing part".to_owned()),
        ),
        Verdict::Probing => ("probing", Some("it gets a request now and then".to_owned())),
        Verdict::Resting(class) => ("resting", Some(class.as_str().to_owned())),
        Verdict::Drained => ("drained", Some("an operator took it out".to_owned())),
        Verdict::RateLimited(left) => ("rate_limited", Some(seconds(left))),
        Verdict::Paced(left) => {
            let why = format!("by its own word on its limits, {}", seconds(left));
            ("paced", Some(why))
        }
        Verdict::Spent(left) => {
            let why = format!("by its own word nothing is left, {}", seconds(left));
            ("blocked", Some(why))
        }
        Verdict::LimitTooSmall => {
            let why = "the prompt is longer than its limit of tokens";
            ("blocked", Some(why.to_owned()))
        }
        Verdict::Rejected(reject) => ("rejected", Some(reason(reject))),
    }
}

fn seconds(left: Duration) -> String {
    format!("for {:.1} s", left.as_secs_f32())
}
