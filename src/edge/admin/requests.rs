//! Owns the operator's view of the latest requests: a list, and one explained whole. Must never show content or a secret:
//! what is not kept cannot be shown.

use std::time::{Duration, SystemTime};

use http::{Response, StatusCode};
use percent_encoding::percent_decode_str;
use serde::Serialize;
use url::form_urlencoded;

use crate::core::exchange::{AttemptRecord, Result as Ending};
use crate::core::explain::Verdict;
use crate::core::names::CallerName;
use crate::core::outcome::{Class, Scope};
use crate::core::time::Time;
use crate::edge::admin::{json, text};
use crate::edge::conversations::Became;
use crate::edge::explain::verdict;
use crate::edge::telemetry::{Kept, Latest, Refused, Requests};

/// Requests of a list unless `limit` says otherwise, and the most.
const LISTED: usize = 50;
const MOST_LISTED: usize = 1_000;
/// What became of a request that had no plan.
const REFUSED: &str = "refused";

/// One request of the list.
#[derive(Debug, Serialize)]
struct Listed<'a> {
    id: &'a str,
    /// RFC 3339; when it began, or was refused.
    at: String,
    /// Null where it was refused before it was read.
    model: Option<&'a str>,
    /// The model that answered.
    served: Option<&'a str>,
    result: &'static str,
    /// The class of a failure, or why it was refused.
    error: Option<&'static str>,
    status: u16,
    ms: u64,
    recovery_ms: u64,
    attempts: Vec<ListedAttempt<'a>>,
}

#[derive(Debug, Serialize)]
struct ListedAttempt<'a> {
    endpoint: &'a str,
    class: &'static str,
    start_ms: u64,
    first_token_ms: Option<u64>,
    end_ms: u64,
}

/// A request that was refused before any endpoint was considered.
#[derive(Debug, Serialize)]
struct Refusal<'a> {
    id: &'a str,
    generation_id: &'a str,
    /// RFC 3339; when it was refused.
    at: String,
    path: &'a str,
    key: Option<&'a str>,
    model: Option<&'a str>,
    result: &'static str,
    error: &'static str,
    status: u16,
}

/// One request, explained. Times are milliseconds since it began.
#[derive(Debug, Serialize)]
struct Explained<'a> {
    id: &'a str,
    generation_id: &'a str,
    /// RFC 3339; when it began.
    at: String,
    path: &'a str,
    key: Option<&'a str>,
    model: &'a str,
    /// The model that answered, and its endpoint.
    served: Option<&'a str>,
    endpoint: Option<&'a str>,
    policy: &'a str,
    /// Of the configuration that all its attempts used.
    generation: u64,
    stream: bool,
    result: &'static str,
    error: Option<&'static str>,
    ms: u64,
    recovery_ms: u64,
    /// Every candidate as it was when the request began, the asked model's first.
    plan: Vec<Candidate<'a>>,
    /// Candidates that are not listed.
    plan_more: usize,
    attempts: Vec<Attempt<'a>>,
    relayed: Relayed,
    fallback: Option<&'static str>,
    drift: Option<&'a str>,
    sticky: Option<&'static str>,
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    cached_tokens: Option<u64>,
    reasoning_tokens: Option<u64>,
    cost_usd: Option<f64>,
    /// Paid for attempts that did not answer; estimated where their upstreams did not count.
    wasted_usd: f64,
    malformed_events: u32,
}

#[derive(Debug, Serialize)]
struct Candidate<'a> {
    model: &'a str,
    endpoint: &'a str,
    /// Not left out for this request, whatever its health.
    kept: bool,
    /// As `/api/explain` names it.
    verdict: &'static str,
    why: Option<String>,
}

#[derive(Debug, Serialize)]
struct Attempt<'a> {
    endpoint: &'a str,
    model: &'a str,
    class: &'static str,
    scope: &'static str,
    probe: bool,
    tripped: bool,
    start_ms: u64,
    connected_ms: Option<u64>,
    sent_ms: Option<u64>,
    head_ms: Option<u64>,
    first_token_ms: Option<u64>,
    end_ms: u64,
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    wasted_usd: Option<f64>,
    evidence: Evidence<'a>,
}

#[derive(Debug, Serialize)]
struct Evidence<'a> {
    status: Option<u16>,
    code: Option<&'a str>,
    /// In the upstream's words, masked and shortened.
    message: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct Relayed {
    /// That the client got; 0: none.
    status: u16,
    bytes: u64,
    events: u64,
    finish: &'static str,
}

/// What the query asks for.
#[derive(Debug, PartialEq, Eq)]
struct Query {
    recovered: bool,
    limit: usize,
}

/// Answers `GET /api/requests` and `GET /api/requests/{id}`; `rest`: what follows `/api/requests`.
pub(super) fn answer(rest: &str, asked: &str, requests: &Requests) -> Response<Vec<u8>> {
    let id = rest.strip_prefix('/').unwrap_or_default();
    if id.is_empty() {
        let Query { recovered, limit } = query(asked);
        let wanted = |one: &Latest| match one {
            Latest::Exchange(kept) => !recovered || kept.is_recovered(),
            Latest::Refused(_) => !recovered,
        };
        let latest = requests.latest(limit, wanted);
        let list: Vec<Listed<'_>> = latest.iter().map(listed).collect();
        return json(StatusCode::OK, &list);
    }
    let id = percent_decode_str(id).decode_utf8_lossy();
    match requests.find(&id) {
        Some(Latest::Exchange(kept)) => json(StatusCode::OK, &explained(&kept)),
        Some(Latest::Refused(refused)) => json(StatusCode::OK, &refusal(&refused)),
        None => text(
            StatusCode::NOT_FOUND,
            "no request of this id is kept: it is unknown, older than those that are, or still under way\n",
        ),
    }
}

fn query(text: &str) -> Query {
    let mut query = Query {
        recovered: false,
        limit: LISTED,
    };
    for (name, value) in form_urlencoded::parse(text.as_bytes()) {
        match name.as_ref() {
            "recovered" => query.recovered = matches!(value.as_ref(), "" | "1" | "true"),
            "limit" => query.limit = value.parse().unwrap_or(LISTED).min(MOST_LISTED),
            _ => {}
        }
    }
    query
}

fn listed(one: &Latest) -> Listed<'_> {
    match one {
        Latest::Exchange(kept) => listed_exchange(kept),
        Latest::Refused(refused) => Listed {
            id: &refused.id,
            at: date(refused.at),
            model: refused.model.as_deref(),
            served: None,
            result: REFUSED,
            error: Some(refused.error),
            status: refused.status,
            ms: 0,
            recovery_ms: 0,
            attempts: Vec::new(),
        },
    }
}

fn refusal(refused: &Refused) -> Refusal<'_> {
    Refusal {
        id: &refused.id,
        generation_id: &refused.generation_id,
        at: date(refused.at),
        path: refused.path,
        key: refused.caller.as_ref().map(CallerName::as_str),
        model: refused.model.as_deref(),
        result: REFUSED,
        error: refused.error,
        status: refused.status,
    }
}

fn listed_exchange(kept: &Kept) -> Listed<'_> {
    let record = &kept.record;
    let attempt = |attempt| listed_attempt(kept, attempt);
    Listed {
        id: kept.id(),
        at: date(kept.began),
        model: Some(kept.model()),
        served: served(kept),
        result: record.result.as_str(),
        error: error(record.result),
        status: kept.status,
        ms: millis(record.took),
        recovery_ms: millis(record.recovery),
        attempts: record.attempts.iter().map(attempt).collect(),
    }
}

fn listed_attempt<'a>(kept: &'a Kept, attempt: &AttemptRecord) -> ListedAttempt<'a> {
    let since = |time: Time| millis(time.since(kept.record.started));
    ListedAttempt {
        endpoint: kept.names.endpoint(attempt.endpoint),
        class: attempt.class.as_str(),
        start_ms: since(attempt.started),
        first_token_ms: attempt.first_content_at.map(since),
        end_ms: since(attempt.started + attempt.took),
    }
}

fn explained(kept: &Kept) -> Explained<'_> {
    let record = &kept.record;
    let usage = record.usage;
    let attempts = (0..record.attempts.len()).map(|position| attempt(kept, position));
    let candidates = kept.met.candidates.iter();
    Explained {
        id: kept.id(),
        generation_id: kept.generation_id(),
        at: date(kept.began),
        path: kept.path,
        key: kept.caller.as_ref().map(CallerName::as_str),
        model: kept.model(),
        served: served(kept),
        endpoint: record.served.map(|endpoint| kept.names.endpoint(endpoint)),
        policy: kept.record.policy.name.as_str(),
        generation: kept.generation,
        stream: kept.stream,
        result: record.result.as_str(),
        error: error(record.result),
        ms: millis(record.took),
        recovery_ms: millis(record.recovery),
        plan: candidates
            .map(|one| {
                let (name, why) = verdict(one.verdict);
                Candidate {
                    model: kept.names.model_of(one.endpoint),
                    endpoint: kept.names.endpoint(one.endpoint),
                    kept: !matches!(one.verdict, Verdict::Rejected(_)),
                    verdict: name,
                    why,
                }
            })
            .collect(),
        plan_more: kept.met.more,
        attempts: attempts.collect(),
        relayed: Relayed {
            status: kept.status,
            bytes: kept.relayed.bytes,
            events: if kept.stream { kept.relayed.events } else { 0 },
            finish: finish(record.result),
        },
        fallback: record.fallback.map(Class::as_str),
        drift: kept.drift.as_deref(),
        sticky: kept.sticky.map(Became::as_str),
        prompt_tokens: usage.map(|usage| usage.prompt_tokens),
        completion_tokens: usage.map(|usage| usage.completion_tokens),
        cached_tokens: usage.and_then(|usage| usage.cached_tokens),
        reasoning_tokens: usage.map(|usage| usage.reasoning_tokens),
        cost_usd: kept.cost,
        wasted_usd: kept.wasted,
        malformed_events: record.malformed,
    }
}

fn attempt(kept: &Kept, position: usize) -> Attempt<'_> {
    let attempt = &kept.record.attempts[position];
    let evidence = kept.evidence(position);
    let since = |time: Time| millis(time.since(kept.record.started));
    let scope: Scope = attempt.class.scope();
    Attempt {
        endpoint: kept.names.endpoint(attempt.endpoint),
        model: kept.names.model_of(attempt.endpoint),
        class: attempt.class.as_str(),
        scope: scope.as_str(),
        probe: attempt.probe,
        tripped: attempt.tripped,
        start_ms: since(attempt.started),
        connected_ms: attempt.connected_at.map(since),
        sent_ms: attempt.sent_at.map(since),
        head_ms: attempt.head_at.map(since),
        first_token_ms: attempt.first_content_at.map(since),
        end_ms: since(attempt.started + attempt.took),
        prompt_tokens: attempt.usage.map(|usage| usage.prompt_tokens),
        completion_tokens: attempt.usage.map(|usage| usage.completion_tokens),
        wasted_usd: evidence.and_then(|evidence| evidence.wasted),
        evidence: Evidence {
            status: kept.status_of(position),
            code: evidence.and_then(|evidence| evidence.code.as_deref()),
            message: evidence.and_then(|evidence| evidence.message.as_deref()),
        },
    }
}

fn served(kept: &Kept) -> Option<&str> {
    let served = kept.record.served?;
    // Of a wildcard, the name that was asked for.
    match kept.names.model_of(served) == kept.names.model(kept.record.asked) {
        true => Some(kept.model()),
        false => Some(kept.names.model_of(served)),
    }
}

/// How the client's answer ended.
fn finish(result: Ending) -> &'static str {
    match result {
        Ending::Answered => "whole",
        Ending::Failed(_) => "error",
        Ending::Broken => "error_event",
        Ending::ClientGone => "left",
    }
}

fn error(result: Ending) -> Option<&'static str> {
    match result {
        Ending::Failed(class) => Some(class.as_str()),
        Ending::Answered | Ending::Broken | Ending::ClientGone => None,
    }
}

fn date(at: SystemTime) -> String {
    humantime::format_rfc3339_millis(at).to_string()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_bounded_and_ignores_what_it_does_not_know() {
        let check = |text: &str, recovered: bool, limit: usize| {
            assert_eq!(query(text), Query { recovered, limit }, "{text}");
        };
        check("", false, LISTED);
        check("recovered=1&limit=7", true, 7);
        check("recovered=0&limit=x&other=1", false, LISTED);
        check("limit=99999999", false, MOST_LISTED);
    }
}
