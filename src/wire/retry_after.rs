//! Owns how long an upstream asks to wait: its headers, or the prose of its message.
//! Must never trust it past an hour, or read a clock: now is handed in.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::RETRY_AFTER;

/// Longer waits are a mistake or a quota, and the quota has its own class.
const LONGEST: Duration = Duration::from_hours(1);

/// What stands before the time in a message. Seen: OpenAI and Groq «Please try again in 6.5s», Azure «Please retry
/// after 5 seconds», Gemini «Please retry in 26.4s».
const PROSE: [&str; 3] = ["try again in ", "retry in ", "retry after "];

/// Reads the headers, then the message. A wait of nothing says nothing: `retry-after-ms: 0` is sent
/// beside `retry-after: 1`.
pub(crate) fn retry_after(headers: &HeaderMap, message: &str, now: SystemTime) -> Option<Duration> {
    let header = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    header("retry-after-ms")
        .and_then(|value| positive(value, 0.001))
        .or_else(|| {
            let value = header(RETRY_AFTER.as_str())?;
            positive(value, 1.0).or_else(|| until(value, now))
        })
        .map(|wait| wait.min(LONGEST))
        .or_else(|| in_prose(message))
}

/// Reads a message alone.
pub(crate) fn in_prose(message: &str) -> Option<Duration> {
    let message = message.to_ascii_lowercase();
    let after = |lead| message.split_once(lead).map(|(_, rest)| rest);
    PROSE
        .into_iter()
        .filter_map(after)
        .find_map(span)
        .map(|wait| wait.min(LONGEST))
}

/// Reads a wait that stands alone: Google's `retryDelay`, `34.4s`.
pub(crate) fn in_span(text: &str) -> Option<Duration> {
    span(text).map(|wait| wait.min(LONGEST))
}

fn positive(value: &str, unit_seconds: f64) -> Option<Duration> {
    let number = value.parse::<f64>().ok()?;
    seconds(number * unit_seconds)
}

fn seconds(seconds: f64) -> Option<Duration> {
    let wait = Duration::try_from_secs_f64(seconds).ok()?;
    (!wait.is_zero()).then_some(wait)
}

fn until(date: &str, now: SystemTime) -> Option<Duration> {
    let then = httpdate::parse_http_date(date).ok()?;
    let wait = then.duration_since(now).ok()?;
    (!wait.is_zero()).then_some(wait)
}

/// `6.5s`, `120ms`, `1m3s`, `5 seconds`: numbers with units, as many as follow one another.
fn span(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = 0.0;
    while let Some((part, tail)) = part(rest) {
        total += part;
        rest = tail;
    }
    seconds(total)
}

/// One number with its unit, in seconds, and what follows.
fn part(text: &str) -> Option<(f64, &str)> {
    let text = text.trim_start();
    let digits = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, rest) = text.split_at(digits);
    let rest = rest.trim_start();
    let letters = rest
        .find(|c: char| !c.is_ascii_lowercase())
        .unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(letters);
    let unit = match unit {
        "ms" | "millisecond" | "milliseconds" => 0.001,
        "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
        "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
        "h" | "hour" | "hours" => 3600.0,
        "d" | "day" | "days" => 86400.0,
        _ => return None,
    };
    Some((number.parse::<f64>().ok()? * unit, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(headers: &[(&'static str, &str)], message: &str, expected: Option<u64>) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let found = retry_after(&map, message, now);
        let expected = expected.map(Duration::from_millis);
        assert_eq!(found, expected, "{headers:?} {message:?}");
    }

    #[test]
    fn headers_win_in_order_and_zero_says_nothing() {
        check(&[], "", None);
        check(&[("retry-after", "2")], "", Some(2000));
        check(&[("retry-after", "1.5")], "", Some(1500));
        let both = [("retry-after", "1"), ("retry-after-ms", "0")];
        check(&both, "", Some(1000));
        let both = [("retry-after", "1"), ("retry-after-ms", "250")];
        check(&both, "", Some(250));
        check(&[("retry-after", "0")], "", None);
        check(&[("retry-after", "86400")], "", Some(3_600_000));
        for nonsense in ["-1", "NaN", "inf", "soon", "1e400"] {
            check(&[("retry-after", nonsense)], "", None);
        }
    }

    #[test]
    fn a_date_counts_from_now() {
        check(
            &[("retry-after", "Sun, 06 Nov 1994 08:49:40 GMT")],
            "",
            Some(3000),
        );
        check(
            &[("retry-after", "Sun, 06 Nov 1994 08:49:30 GMT")],
            "",
            None,
        );
    }

    #[test]
    fn prose_is_read_where_headers_are_silent() {
        let zero = [("retry-after", "0")];
        check(&zero, "Please try again in 6.5s.", Some(6500));
        check(&[], "Please try again in 120ms. Visit", Some(120));
        check(&[], "Please try again in 1m3s.", Some(63_000));
        check(&[], "try again in 1h2m3.5s", Some(3_600_000));
        check(&[], "Please retry after 5 seconds.", Some(5000));
        check(&[], "Please retry in 26.4s.", Some(26_400));
        check(&[], "please try again in a moment", None);
        check(&[], "please try again in 5", None);
        check(&[], "try again in 9.9.9s", None);
        check(&[], "try again in ż", None);
    }
}
