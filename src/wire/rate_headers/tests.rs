//! The forms of limits: by the table, hostile, and as recorded.

use std::path::Path;

use super::*;

const NOW: u64 = 1_786_000_000;

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(NOW)
}

fn read(headers: &[(&'static str, &str)]) -> Quotas {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(*name, value.parse().unwrap());
    }
    quotas(&map, now())
}

fn reset(value: &str) -> Option<Duration> {
    let headers = [
        ("x-ratelimit-limit-requests", "20"),
        ("x-ratelimit-remaining-requests", "7"),
        ("x-ratelimit-reset-requests", value),
    ];
    read(&headers).get(Quantity::Requests).unwrap().resets_in
}

#[test]
fn a_wait_has_many_forms() {
    let check = |value: &str, millis: u64| {
        assert_eq!(reset(value), Some(Duration::from_millis(millis)), "{value}");
    };
    check("1s", 1000);
    check("6m0s", 360_000);
    check("120ms", 120);
    check("2m59.56s", 179_560);
    check("1h2m3s", 3_723_000);
    check("0s", 0);
    check("17.379s", 17_379);
    check("1.5", 1500);
    check("60", 60_000);
    check(&(NOW + 30).to_string(), 30_000);
    check(&format!("{}000", NOW + 30), 30_000);
    check("2026-08-06T07:06:50Z", 10_000);
}

#[test]
fn what_makes_no_sense_is_no_wait_and_a_long_one_is_a_day() {
    for nonsense in [
        "", "-1", "NaN", "inf", "soon", "1e400", "5x", "s", "1.2.3s", "żs",
    ] {
        assert_eq!(reset(nonsense), None, "{nonsense}");
    }
    for long in ["999999h", "99999999", "2027-08-06T00:00:00Z", "99999999999"] {
        assert_eq!(reset(long), Some(LONGEST), "{long}");
    }
    for past in ["2020-01-01T00:00:00Z", "1500000000", "1500000000000"] {
        assert_eq!(reset(past), Some(Duration::ZERO), "{past}");
    }
}

#[test]
fn counts_that_contradict_themselves_are_as_if_they_were_not_there() {
    let both = |limit: &str, remaining: &str| {
        let headers = [
            ("x-ratelimit-limit-tokens", limit),
            ("x-ratelimit-remaining-tokens", remaining),
        ];
        read(&headers)
            .get(Quantity::Tokens)
            .map(|window| (window.limit, window.remaining))
    };
    assert_eq!(both("10", "3"), Some((Some(10), Some(3))));
    assert_eq!(both("10", "-3"), Some((Some(10), None)));
    assert_eq!(both("10", "many"), Some((Some(10), None)));
    assert_eq!(both("-1", "3"), Some((None, Some(3))));
    for (limit, remaining) in [
        ("10", "11"),
        ("0", "0"),
        ("-1", "-1"),
        ("x", "99999999999999999999999"),
        ("9999999999999", "9999999999999"),
    ] {
        assert_eq!(both(limit, remaining), None, "{limit} {remaining}");
    }
}

#[test]
fn a_bare_number_beyond_the_period_counts_milliseconds() {
    let headers = |reset| {
        [
            ("x-ratelimit-limit-requests", "120"),
            ("x-ratelimit-remaining-requests", "119"),
            ("x-ratelimit-renewalperiod-requests", "60"),
            ("x-ratelimit-reset-requests", reset),
        ]
    };
    let window = |reset| read(&headers(reset)).get(Quantity::Requests).unwrap();
    assert_eq!(window("500").resets_in, Some(Duration::from_millis(500)));
    assert_eq!(window("1").resets_in, Some(Duration::from_secs(1)));
    assert_eq!(window("1").period, Some(Duration::from_mins(1)));
}

#[test]
fn names_of_limits_are_known_by_their_beginning() {
    for words in TABLE {
        assert!(is_of_limits(words.limit), "{}", words.limit);
        assert!(is_of_limits(words.remaining), "{}", words.remaining);
    }
    assert!(is_of_limits("X-RateLimit-Limit-Requests"));
    assert!(!is_of_limits("x-request-id") && !is_of_limits("x-rate") && !is_of_limits("ż"));
}

/// The recorded heads, where they lie beside the project.
fn recorded() -> Option<Vec<(String, HeaderMap)>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures");
    if !root.is_dir() {
        eprintln!("skipped: no recorded heads at {}", root.display());
        return None;
    }
    let folders = root.read_dir().unwrap().map(|entry| entry.unwrap().path());
    let files = folders.filter(|path| path.is_dir()).flat_map(|folder| {
        let entries = folder.read_dir().unwrap();
        entries.map(|entry| entry.unwrap().path())
    });
    let heads = files.filter(|path| path.to_string_lossy().ends_with(".headers.json"));
    Some(heads.map(|path| head(&path)).collect())
}

fn head(path: &Path) -> (String, HeaderMap) {
    let text = std::fs::read_to_string(path).unwrap();
    let read: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut headers = HeaderMap::new();
    for (name, value) in read["headers"].as_object().into_iter().flatten() {
        if let (Ok(name), Some(value)) = (
            name.parse::<http::HeaderName>(),
            value.as_str().and_then(|value| value.parse().ok()),
        ) {
            headers.insert(name, value);
        }
    }
    let folder = path.parent().unwrap().file_name().unwrap();
    (folder.to_string_lossy().into_owned(), headers)
}

#[test]
fn every_recorded_head_with_limits_is_read() {
    let Some(heads) = recorded() else {
        return;
    };
    assert_eq!(heads.len(), 301);
    let mut by_folder = std::collections::BTreeMap::<String, usize>::new();
    let mut with_reset = 0;
    for (folder, headers) in &heads {
        let remains = |name: &http::HeaderName| {
            let name = name.as_str();
            is_of_limits(name) && name.contains("remaining")
        };
        let date = headers.get("date").and_then(|date| date.to_str().ok());
        let date = date.and_then(|date| httpdate::parse_http_date(date).ok());
        let told = quotas(headers, date.unwrap_or_else(now));
        assert_eq!(told.is_empty(), !headers.keys().any(remains), "{headers:?}");
        for quantity in Quantity::ALL {
            let Some(window) = told.get(quantity) else {
                continue;
            };
            assert!(window.remaining.is_some(), "{folder} {headers:?}");
            with_reset += usize::from(window.resets_in.is_some());
            // All of these were nearly whole: none of them reads as a long wait.
            assert!(
                window
                    .resets_in
                    .is_none_or(|wait| wait < Duration::from_mins(2)),
                "{headers:?}"
            );
        }
        *by_folder.entry(folder.clone()).or_default() += usize::from(!told.is_empty());
    }
    by_folder.retain(|_, count| *count > 0);
    let expected = [
        ("anthropic", 11),
        ("azure", 18),
        ("groq", 2),
        ("mistral", 4),
        ("openai-chat", 14),
        ("openai-other", 16),
        ("openai-responses", 9),
        ("xai", 4),
    ];
    let found: Vec<(&str, usize)> = by_folder
        .iter()
        .map(|(name, count)| (name.as_str(), *count))
        .collect();
    assert_eq!((found, with_reset), (expected.to_vec(), 145));
}
