//! Owns what an answer's head says of the upstream's limits: a table of header names, and the forms of their values.
//! Must never read a clock: now is handed in. Must never know a vendor: the words are shared by many.

use std::time::{Duration, SystemTime};

use http::HeaderMap;

use crate::core::quota::{Quantity, Quotas, Window};

/// How the names of such headers begin.
const BEGINNINGS: [&str; 4] = [
    "x-ratelimit-",
    "anthropic-ratelimit-",
    "ratelimit-",
    "x-tokenlimit-",
];
/// Longer waits are a mistake, or of no use for a pace: the longest period of a limit is a day.
const LONGEST: Duration = Duration::from_hours(24);
/// No limit counts higher.
const MOST: u64 = 1_000_000_000_000;
/// A bare number from here on is a moment in seconds since 1970, and from there on in milliseconds.
const EPOCH_SECONDS: f64 = 1e9;
const EPOCH_MILLIS: f64 = 1e11;
const MINUTE: Option<Duration> = Some(Duration::from_mins(1));
const DAY: Option<Duration> = Some(LONGEST);

/// The words for one limit.
struct Words {
    quantity: Quantity,
    limit: &'static str,
    remaining: &'static str,
    /// Empty: there is none.
    reset: &'static str,
    /// Seconds. Empty: there is none.
    renewal: &'static str,
    /// What the names themselves say of the period.
    period: Option<Duration>,
}

/// Words without a reset and a renewal of their own.
const fn words(
    quantity: Quantity,
    limit: &'static str,
    remaining: &'static str,
    reset: &'static str,
    period: Option<Duration>,
) -> Words {
    Words {
        quantity,
        limit,
        remaining,
        reset,
        renewal: "",
        period,
    }
}

/// The first that is there speaks for its quantity. Recorded (all but the last five rows): OpenAI, Azure (`renewalperiod`;
/// resets in seconds or milliseconds), Groq, xAI (no reset), Mistral (no reset, period in the name), Anthropic (RFC 3339).
/// From documentation: Cerebras (minute and day in the name), OpenRouter (epoch milliseconds), Together, the IETF draft.
#[rustfmt::skip]
const TABLE: &[Words] = &[
    Words {
        quantity: Quantity::Requests,
        limit: "x-ratelimit-limit-requests",
        remaining: "x-ratelimit-remaining-requests",
        reset: "x-ratelimit-reset-requests",
        renewal: "x-ratelimit-renewalperiod-requests",
        period: None,
    },
    Words {
        quantity: Quantity::Tokens,
        limit: "x-ratelimit-limit-tokens",
        remaining: "x-ratelimit-remaining-tokens",
        reset: "x-ratelimit-reset-tokens",
        renewal: "x-ratelimit-renewalperiod-tokens",
        period: None,
    },
    words(Quantity::Requests, "anthropic-ratelimit-requests-limit", "anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-reset", None),
    words(Quantity::Tokens, "anthropic-ratelimit-tokens-limit", "anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset", None),
    words(Quantity::InputTokens, "anthropic-ratelimit-input-tokens-limit", "anthropic-ratelimit-input-tokens-remaining", "anthropic-ratelimit-input-tokens-reset", None),
    words(Quantity::OutputTokens, "anthropic-ratelimit-output-tokens-limit", "anthropic-ratelimit-output-tokens-remaining", "anthropic-ratelimit-output-tokens-reset", None),
    words(Quantity::Requests, "x-ratelimit-limit-req-minute", "x-ratelimit-remaining-req-minute", "", MINUTE),
    words(Quantity::Tokens, "x-ratelimit-limit-tokens-minute", "x-ratelimit-remaining-tokens-minute", "x-ratelimit-reset-tokens-minute", MINUTE),
    words(Quantity::Requests, "x-ratelimit-limit-requests-minute", "x-ratelimit-remaining-requests-minute", "x-ratelimit-reset-requests-minute", MINUTE),
    words(Quantity::Requests, "x-ratelimit-limit-requests-day", "x-ratelimit-remaining-requests-day", "x-ratelimit-reset-requests-day", DAY),
    words(Quantity::Tokens, "x-tokenlimit-limit", "x-tokenlimit-remaining", "x-tokenlimit-reset", None),
    words(Quantity::Requests, "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset", None),
    words(Quantity::Requests, "ratelimit-limit", "ratelimit-remaining", "ratelimit-reset", None),
];

/// Whether a header may be one of these.
pub fn is_of_limits(name: &str) -> bool {
    BEGINNINGS.iter().any(|beginning| {
        let start = name.as_bytes().get(..beginning.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(beginning.as_bytes()))
    })
}

/// Reads the limits that a head tells of. What cannot be read, or contradicts itself, is as if it were not there.
pub fn quotas(headers: &HeaderMap, now: SystemTime) -> Quotas {
    let mut quotas = Quotas::default();
    for words in TABLE {
        if quotas.get(words.quantity).is_none()
            && let Some(window) = words.read(headers, now)
        {
            quotas.set(words.quantity, window);
        }
    }
    quotas
}

impl Words {
    fn read(&self, headers: &HeaderMap, now: SystemTime) -> Option<Window> {
        let text = |name: &str| match name {
            "" => None,
            name => headers.get(name)?.to_str().ok().map(str::trim),
        };
        let limit = text(self.limit).and_then(count).filter(|limit| *limit > 0);
        let remaining = text(self.remaining).and_then(count);
        // More left than there is: one of them is not what its name says. None of none: so says who has no limit.
        let remaining = match (text(self.limit).and_then(count), remaining) {
            (Some(limit), Some(left)) if limit == 0 || left > limit => return None,
            (_, remaining) => remaining,
        };
        if limit.is_none() && remaining.is_none() {
            return None;
        }
        let period = text(self.renewal)
            .and_then(|value| value.parse::<f64>().ok())
            .and_then(seconds)
            .or(self.period);
        let resets_in = text(self.reset).and_then(|value| wait(value, period, now));
        Some(Window {
            limit,
            remaining,
            resets_in,
            period,
        })
    }
}

/// A count that makes sense.
fn count(value: &str) -> Option<u64> {
    value.parse().ok().filter(|count| *count <= MOST)
}

/// A wait in any of the forms seen: `6m0s`, `120ms`, `1.5` (seconds), `500` (milliseconds, where the period is shorter
/// than so many seconds), a moment in seconds or milliseconds since 1970, `2026-08-19T14:34:15Z`.
fn wait(value: &str, period: Option<Duration>, now: SystemTime) -> Option<Duration> {
    if let Ok(number) = value.parse::<f64>() {
        return bare(number, period, now);
    }
    if let Ok(moment) = humantime::parse_rfc3339(value) {
        return Some(until(moment, now));
    }
    span(value).map(|wait| wait.min(LONGEST))
}

fn bare(number: f64, period: Option<Duration>, now: SystemTime) -> Option<Duration> {
    if number >= EPOCH_SECONDS {
        let since = match number >= EPOCH_MILLIS {
            true => number / 1000.0,
            false => number,
        };
        let since = Duration::try_from_secs_f64(since).ok()?;
        let moment = SystemTime::UNIX_EPOCH.checked_add(since)?;
        return Some(until(moment, now));
    }
    let is_millis = period.is_some_and(|period| number > period.as_secs_f64());
    match is_millis {
        true => seconds(number / 1000.0),
        false => seconds(number),
    }
}

fn seconds(number: f64) -> Option<Duration> {
    let wait = Duration::try_from_secs_f64(number).ok()?;
    Some(wait.min(LONGEST))
}

/// Nothing, where the moment is past.
fn until(moment: SystemTime, now: SystemTime) -> Duration {
    moment.duration_since(now).unwrap_or_default().min(LONGEST)
}

/// Numbers with units, as many as follow one another, and nothing else.
fn span(text: &str) -> Option<Duration> {
    if text.is_empty() {
        return None;
    }
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(digits);
        let letters = tail
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let unit = match unit {
            "ns" => 1e-9,
            "us" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86400.0,
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * unit;
        rest = tail;
    }
    Duration::try_from_secs_f64(total).ok()
}

#[cfg(test)]
mod tests;
