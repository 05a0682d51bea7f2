//! What a reload of a large file takes, phase by phase, in this process: the text to a snapshot, the snapshot to a
//! generation, the swap, the report of what changed, and the end of the old generation. Must never touch a socket.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::Context;
use mainstay::Mainstay;
use mainstay::config::{self, Loaded, Source};
use mainstay::edge::dns::Resolver;
use mainstay::edge::generation::Generation;
use mainstay::edge::telemetry::{AccessLog, Telemetry};
use std::sync::Arc;

/// Endpoints of the large file.
pub(crate) const ENDPOINTS: usize = 1000;
const PROVIDERS: usize = 10;
const ROUNDS: usize = 15;
/// What building and swapping may take (docs/bench.md).
const BAR: Duration = Duration::from_millis(50);

/// Providers at `at`, and models of which each has an endpoint at each provider. Every price is a little above
/// `price`: two texts with other prices differ in every endpoint.
pub(crate) fn fleet(at: &str, endpoints: usize, price: usize) -> String {
    let providers = PROVIDERS.min(endpoints);
    let mut text = String::from("providers:\n");
    for provider in 0..providers {
        let named = format!(
            "  p{provider}: {{ base_url: \"http://{at}/v1\", keys: [{{ value: k-{provider} }}] }}"
        );
        writeln!(text, "{named}").expect("text grows");
    }
    text.push_str("models:\n");
    for model in 0..endpoints / providers {
        writeln!(text, "  bench/model-{model}:\n    endpoints:").expect("text grows");
        for provider in 0..providers {
            let price = format!("{{ prompt: {price}.{model}, completion: {price} }}");
            writeln!(text, "      - {{ provider: p{provider}, price: {price} }}")
                .expect("text grows");
        }
    }
    text
}

fn parse(text: String) -> anyhow::Result<Loaded> {
    let source = Source {
        path: "bench.yaml".into(),
        text,
    };
    Ok(config::parse(&source, &|_| None)?)
}

/// The phases, in milliseconds, of each round.
#[derive(Default)]
struct Phases {
    parse: Vec<f64>,
    build: Vec<f64>,
    swap: Vec<f64>,
    drop: Vec<f64>,
    apply: Vec<f64>,
}

/// Prints the phases. Fails where building and swapping takes longer than it may.
pub(crate) fn measure() -> anyhow::Result<()> {
    let texts = [1, 2].map(|price| fleet("127.0.0.1:9", ENDPOINTS, price));
    let telemetry = Telemetry::new(AccessLog::nowhere());
    let resolver = Arc::<Resolver>::default();
    let mainstay = Mainstay::with_resolver(
        parse(texts[0].clone())?,
        telemetry.clone(),
        resolver.clone(),
    )?;
    let mut phases = Phases::default();
    for round in 1..=ROUNDS {
        let text = &texts[round % 2];
        let (loaded, took) = timed(|| parse(text.clone()));
        phases.parse.push(took);
        let old = mainstay.current().load_full();
        let build = || {
            Generation::build(loaded?, Some(&old), &telemetry, &resolver).context("no generation")
        };
        let (next, took) = timed(build);
        phases.build.push(took);
        drop(old);
        let next = Arc::new(next?);
        let (old, took) = timed(|| mainstay.current().swap(next));
        phases.swap.push(took);
        phases.drop.push(timed(|| drop(old)).1);
        // The whole of it, as a reload does it: the report of a thousand changes included.
        let text = &texts[(round + 1) % 2];
        let loaded = parse(text.clone())?;
        let (applied, took) = timed(|| mainstay.apply(loaded));
        applied?;
        phases.apply.push(took);
    }
    let build = median(&mut phases.build) + median(&mut phases.swap);
    println!("| of {ENDPOINTS} endpoints, each with another price | ms, median (greatest) |");
    println!("|---|---|");
    println!(
        "| the text read, checked and compiled | {} |",
        shown(&mut phases.parse)
    );
    println!("| the generation built | {} |", shown(&mut phases.build));
    println!("| swapped | {} |", shown(&mut phases.swap));
    println!("| the old generation freed | {} |", shown(&mut phases.drop));
    println!(
        "| build, swap, report and end together | {} |",
        shown(&mut phases.apply)
    );
    anyhow::ensure!(
        build < BAR.as_secs_f64() * 1e3,
        "building and swapping takes {build:.1} ms"
    );
    Ok(())
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let begun = Instant::now();
    let done = work();
    (done, begun.elapsed().as_secs_f64() * 1e3)
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn shown(values: &mut [f64]) -> String {
    let middle = median(values);
    let greatest = values.last().copied().unwrap_or_default();
    format!("{middle:.3} ({greatest:.3})")
}
