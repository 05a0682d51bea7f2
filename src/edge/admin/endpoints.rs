//! Owns the operator's view of every endpoint, and the hand that takes one out or lets it in again.
//! Must never show a secret, or keep a request waiting: it reads words and locks only what outcomes take briefly.

use std::collections::BTreeMap;
use std::time::Duration;

use http::{Method, Response, StatusCode};
use percent_encoding::percent_decode_str;
use serde::Serialize;

use crate::core::catalog::EndpointIx;
use crate::core::health::{Kind, Past, Quantiles, Remaining, Uptime};
use crate::core::nearest::did_you_mean;
use crate::core::time::Time;
use crate::edge::admin::{json, text};
use crate::edge::clock::wall_clock;
use crate::edge::generation::Generation;
use crate::edge::planning::shares;

/// Draws of one answer, over all endpoints of all models, and those that the shares of a model are counted over: twice in
/// three times they are off by less than 2.5 points. A model of many gets fewer.
const DRAWS: (u32, u32) = (400_000, 400);

/// One endpoint as operators see it.
#[derive(Debug, Serialize)]
pub(super) struct EndpointAnswer<'a> {
    id: &'a str,
    model: &'a str,
    provider: &'a str,
    key: &'a str,
    /// `closed`, `open`, `half_open`, `ramp` or `drained`, with its host and key.
    state: &'static str,
    /// Expected success of the next attempt, 0 to 1.
    health: f32,
    /// Its part of the first attempts that its model's streams would make now, under the model's own policy.
    share: f32,
    /// To a stream's first content, over the last two to three minutes.
    ttft_ms: Option<QuantilesAnswer>,
    tokens_per_second: Option<f32>,
    in_flight: u32,
    /// Requests a second, where a limit was learnt.
    rate_cap: Option<f32>,
    /// What the upstream told of its limits, by quantity.
    remaining: BTreeMap<&'static str, RemainingAnswer>,
    /// RFC 3339; while a Retry-After holds.
    blocked_until: Option<String>,
    uptime: UptimeAnswer,
    /// Since the process began.
    failures: BTreeMap<&'static str, u32>,
    last_failure: Option<FailureAnswer>,
}

#[derive(Debug, Serialize)]
struct QuantilesAnswer {
    p50: f64,
    p95: f64,
    p99: f64,
}

/// What is left of a limit: as told, less what went out since.
#[derive(Debug, Serialize)]
struct RemainingAnswer {
    limit: Option<u64>,
    left: u64,
    /// RFC 3339; when it is whole again, or was.
    resets_at: String,
}

#[derive(Debug, Serialize)]
struct UptimeAnswer {
    #[serde(rename = "5m")]
    five_minutes: Option<f32>,
    #[serde(rename = "30m")]
    half_hour: Option<f32>,
    #[serde(rename = "1d")]
    day: Option<f32>,
}

#[derive(Debug, Serialize)]
struct FailureAnswer {
    class: &'static str,
    /// RFC 3339.
    at: String,
}

/// What became of a drain or its end.
#[derive(Debug, Serialize)]
struct Moved<'a> {
    id: &'a str,
    state: &'static str,
    /// Whether it was not so before.
    changed: bool,
    /// Attempts that are still under way there.
    in_flight: u32,
}

/// Answers `GET /api/endpoints` and `POST /api/endpoints/{id}/drain` or `/enable`; `rest`: what follows
/// `/api/endpoints`.
pub(super) fn answer(
    method: &Method,
    rest: &str,
    generation: &Generation,
    now: Time,
) -> Response<Vec<u8>> {
    if rest.is_empty() || rest == "/" {
        return match *method {
            Method::GET | Method::HEAD => json(StatusCode::OK, &list(generation, now)),
            _ => text(StatusCode::METHOD_NOT_ALLOWED, "use GET\n"),
        };
    }
    let asked = rest
        .strip_prefix('/')
        .and_then(|rest| rest.rsplit_once('/'));
    match asked {
        Some((id, verb @ ("drain" | "enable"))) if *method == Method::POST => {
            set(id, verb == "drain", generation, now)
        }
        Some((_, "drain" | "enable")) => text(StatusCode::METHOD_NOT_ALLOWED, "use POST\n"),
        _ => text(
            StatusCode::NOT_FOUND,
            "no such path: an endpoint has /api/endpoints/{id}/drain and /enable\n",
        ),
    }
}

fn set(encoded: &str, drained: bool, generation: &Generation, now: Time) -> Response<Vec<u8>> {
    let Ok(id) = percent_decode_str(encoded).decode_utf8() else {
        return text(StatusCode::BAD_REQUEST, "the id is not UTF-8\n");
    };
    let Some(endpoint) = generation.endpoints().find(|ix| generation.id(*ix) == id) else {
        let known = generation.endpoints().map(|ix| generation.id(ix));
        let hint = did_you_mean(&id, known).map_or_else(String::new, |hint| format!("; {hint}"));
        let message = format!("no endpoint is named '{id}'{hint}\n");
        return text(StatusCode::NOT_FOUND, &message);
    };
    let changed = match drained {
        true => generation.health.drain(endpoint),
        false => generation.health.enable(endpoint),
    };
    let id = generation.id(endpoint);
    if changed {
        tracing::info!(endpoint = id, drained, "an operator has moved an endpoint");
    }
    let moved = Moved {
        id,
        state: generation.health.condition(endpoint, now).as_str(),
        changed,
        in_flight: generation.health.endpoint(endpoint).in_flight(),
    };
    json(StatusCode::OK, &moved)
}

pub(super) fn list(generation: &Generation, now: Time) -> Vec<EndpointAnswer<'_>> {
    let shares = shares(&generation.snapshot, &generation.health, DRAWS, now);
    let endpoints = generation.endpoints();
    endpoints
        .map(|endpoint| {
            let share = shares.get(&endpoint).copied().unwrap_or_default();
            describe(generation, endpoint, share, now)
        })
        .collect()
}

fn describe(
    generation: &Generation,
    endpoint: EndpointIx,
    share: f32,
    now: Time,
) -> EndpointAnswer<'_> {
    let [id, model, provider] = generation.labels(endpoint);
    let health = &generation.health;
    let view = health.view(endpoint, Kind::Stream, now);
    let own = health.endpoint(endpoint);
    let Past {
        first_content,
        uptime,
        failures,
        last_failure,
    } = own.show(now);
    let blocked = health.blocked_until(endpoint);
    EndpointAnswer {
        id,
        model,
        provider,
        key: generation.snapshot.catalog.endpoint(endpoint).key.as_str(),
        state: health.condition(endpoint, now).as_str(),
        health: view.expected,
        share,
        ttft_ms: first_content.map(quantiles),
        tokens_per_second: view.throughput,
        in_flight: own.in_flight(),
        rate_cap: own.rate_cap(now),
        remaining: own
            .remaining(now)
            .into_iter()
            .map(|told| remaining(told, now))
            .collect(),
        blocked_until: (blocked > now).then(|| date(blocked, now)),
        uptime: windows(uptime),
        failures: failures
            .into_iter()
            .map(|(class, count)| (class.as_str(), count))
            .collect(),
        last_failure: last_failure.map(|(class, at)| FailureAnswer {
            class: class.as_str(),
            at: date(at, now),
        }),
    }
}

fn remaining(told: Remaining, now: Time) -> (&'static str, RemainingAnswer) {
    let answer = RemainingAnswer {
        limit: told.limit,
        left: told.left,
        resets_at: date(told.resets_at, now),
    };
    (told.quantity.as_str(), answer)
}

fn quantiles(known: Quantiles) -> QuantilesAnswer {
    let millis = |time: Duration| (time.as_secs_f64() * 1e4).round() / 10.0;
    QuantilesAnswer {
        p50: millis(known.p50),
        p95: millis(known.p95),
        p99: millis(known.p99),
    }
}

fn windows(uptime: Uptime) -> UptimeAnswer {
    UptimeAnswer {
        five_minutes: uptime.five_minutes,
        half_hour: uptime.half_hour,
        day: uptime.day,
    }
}

/// A moment of the process's own time on the wall clock.
fn date(at: Time, now: Time) -> String {
    let date = wall_clock() + at.since(now) - now.since(at);
    humantime::format_rfc3339_millis(date).to_string()
}
