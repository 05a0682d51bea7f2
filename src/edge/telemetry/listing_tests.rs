//! That `conf/grafana/metrics.json`, from which the dashboards and `docs/metrics.md` are made, lists what the registry
//! holds; and that no endpoint has more series than was promised.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::families::Described;
use super::labels::{Cause, Closed, Differs, Evidence, Passed, Reason, Reload, Status, Tokens};
use super::{AccessLog, Metrics, Telemetry};
use crate::config::{Source, parse};
use crate::core::catalog::EndpointIx;
use crate::core::exchange::{AttemptRecord, Gaps, Record, Result as Ending, Usage};
use crate::core::health::{Condition, Kind, State};
use crate::core::outcome::{Class, ErrorFacts};
use crate::core::quota::Quantity;
use crate::core::time::Time;
use crate::edge::conversations::Became;
use crate::edge::dns::Resolver;
use crate::edge::generation::Generation;
use crate::edge::lifecycle::Lifecycle;

const LISTED: &str = "conf/grafana/metrics.json";
/// Set to write the list instead of comparing it.
const WRITE: &str = "MAINSTAY_WRITE_METRICS";
/// Series of one endpoint, at most.
const MOST: usize = 100;

#[derive(Serialize)]
struct Listing<'a> {
    /// The words of each closed list, by the family and the label that say them.
    words: BTreeMap<&'static str, Vec<&'static str>>,
    families: Vec<&'a Described>,
}

fn listing(metrics: &Metrics) -> String {
    let words = [
        ("outcome", Class::words()),
        ("trigger", Class::words()),
        ("kind", Kind::words()),
        ("type", Tokens::words()),
        ("state", Condition::words()),
        ("to", State::words()),
        ("reason", Reason::words()),
        ("part", Evidence::words()),
        ("quantity", Quantity::words()),
        ("in", Differs::words()),
        ("status", Status::words()),
        ("cause", Cause::words()),
        (
            "result",
            [
                Ending::words(),
                Became::words(),
                Passed::words(),
                Reload::words(),
            ]
            .concat(),
        ),
    ];
    let mut families: Vec<&Described> = metrics.described().iter().collect();
    families.sort_by(|one, other| one.name.cmp(&other.name));
    let listing = Listing {
        words: words.into(),
        families,
    };
    serde_json::to_string_pretty(&listing).unwrap() + "\n"
}

#[test]
fn the_list_of_metrics_is_that_of_the_registry() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(LISTED);
    let listing = listing(&Metrics::new());
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&path, listing).unwrap();
        return;
    }
    let known = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        known == listing,
        "{LISTED} is of another registry: run `make dashboards`"
    );
}

fn generation(models: usize, telemetry: &Telemetry) -> Generation {
    let providers = "providers: { p: { base_url: \"http://127.0.0.1:9/v1\", auth: none } }";
    let model = |at: usize| {
        let price = "price: { prompt: 1, completion: 2 }";
        format!("  a/m{at}: {{ endpoints: [{{ provider: p, {price} }}] }}\n")
    };
    let models: String = (0..models).map(model).collect();
    let text = format!("{providers}\nmodels:\n{models}");
    let source = Source {
        path: "mainstay.yaml".into(),
        text,
    };
    let loaded = parse(&source, &|_| None).unwrap();
    Generation::build(loaded, None, telemetry, &Arc::<Resolver>::default()).unwrap()
}

fn attempt(endpoint: EndpointIx, class: Class, kind: Kind) -> AttemptRecord {
    let first = (class == Class::Success).then(|| Duration::from_millis(300));
    AttemptRecord {
        endpoint,
        class,
        started: Time::ZERO,
        took: Duration::from_secs(2),
        kind,
        first_content: first,
        first_content_at: None,
        probe: false,
        tripped: true,
        connected_at: None,
        sent_at: Some(Time::ZERO),
        head_at: None,
        usage: None,
        contents: 10,
        gaps: Gaps::default(),
        told: None,
    }
}

fn record(generation: &Generation, attempts: Vec<AttemptRecord>) -> Record {
    let policies = &generation.snapshot.policies;
    Record {
        asked: generation
            .snapshot
            .catalog
            .endpoint(attempts[0].endpoint)
            .model,
        policy: policies["default"].clone(),
        prompt_estimate: 1_000_000,
        started: Time::ZERO,
        result: Ending::Answered,
        served: attempts.last().map(|attempt| attempt.endpoint),
        attempts,
        recovery: Duration::from_secs(1),
        fallback: None,
        usage: None,
        malformed: 0,
        took: Duration::from_secs(2),
    }
}

fn scrape(telemetry: &Telemetry, generation: &Generation) -> String {
    let lifecycle = Lifecycle::default();
    let text = telemetry.metrics.render(generation, &lifecycle, Time::ZERO);
    String::from_utf8(text).unwrap()
}

#[test]
fn an_endpoint_that_has_seen_everything_has_a_hundred_series_at_most() {
    let telemetry = Telemetry::new(AccessLog::nowhere());
    let generation = generation(2, &telemetry);
    let seen = EndpointIx::new(0);
    let everything = Kind::ALL.into_iter().flat_map(|kind| {
        let of = move |class| attempt(seen, class, kind);
        Class::ALL.into_iter().map(of)
    });
    let record = record(&generation, everything.collect());
    telemetry.metrics.observe(&generation, &record);
    let quantities = Quantity::ALL.len();
    let text = scrape(&telemetry, &generation);
    let of = |id: &str| {
        let label = format!("endpoint=\"{id}\"");
        text.lines().filter(|line| line.contains(&label)).count()
    };
    let (full, fresh) = (of("a/m0@p/default"), of("a/m1@p/default"));
    assert!(
        full > 80 && full + quantities <= MOST,
        "{full} series and {quantities} told limits"
    );
    assert!(
        fresh < full - 30,
        "{fresh}: classes appear when they are first seen"
    );
}

#[test]
fn an_endpoint_that_tripped_by_silence_and_answered_after_all_has_moved() {
    let telemetry = Telemetry::new(AccessLog::nowhere());
    let generation = generation(1, &telemetry);
    let slow = attempt(EndpointIx::new(0), Class::Success, Kind::Stream);
    telemetry
        .metrics
        .observe(&generation, &record(&generation, vec![slow]));
    let text = scrape(&telemetry, &generation);
    let moved = text
        .lines()
        .find(|line| line.contains("reason=\"silence\""));
    let moved = moved.unwrap();
    assert!(
        moved.contains("to=\"open\"") && moved.ends_with(" 1"),
        "{moved}"
    );
}

#[test]
fn what_did_not_answer_is_costed_and_shown_as_wasted() {
    let telemetry = Telemetry::new(AccessLog::nowhere());
    let generation = generation(1, &telemetry);
    let endpoint = EndpointIx::new(0);
    let of = |class| attempt(endpoint, class, Kind::Stream);
    let counted = AttemptRecord {
        usage: Some(Usage {
            prompt_tokens: 500_000,
            completion_tokens: 250_000,
            cached_tokens: None,
            cache_write_tokens: None,
            reasoning_tokens: 0,
        }),
        ..of(Class::Success)
    };
    let refused = AttemptRecord {
        told: Some(Box::new(ErrorFacts {
            status: 429,
            ..ErrorFacts::default()
        })),
        ..of(Class::RateLimited)
    };
    // A refusal costs nothing; a stall its prompt (1 USD) and ten tokens; the answer what was counted.
    let attempts = vec![refused, of(Class::Stalled), counted];
    telemetry
        .metrics
        .observe(&generation, &record(&generation, attempts));
    let text = scrape(&telemetry, &generation);
    let value = |family: &str| -> f64 {
        let line = text
            .lines()
            .find(|line| line.starts_with(&format!("mainstay_{family}{{")));
        line.unwrap().rsplit(' ').next().unwrap().parse().unwrap()
    };
    assert!((value("endpoint_wasted_cost_usd_total") - 1.000_02).abs() < 1e-9);
    assert!((value("endpoint_cost_usd_total") - 2.000_02).abs() < 1e-9);
}
