//! Owns the count of what telling takes: instructions of Mainstay with every part of telemetry on, over those with every
//! part off. The whole process is counted, so that what its own threads write and send is among them. Must never
//! count what an idle process takes.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::ensure;

use crate::Room;
use crate::instructions::{KINDS, WARM_UP, taken};
use crate::load::{self, Request};
use crate::proxies::{Proxy, Run};
use crate::upstream::Upstream;

/// Settings of `telemetry`; `COLLECTOR` stands for the collector's root. The first is compared with.
const SETTINGS: [(&str, &str); 6] = [
    ("off", "access_log: off, requests: 0"),
    ("log", "access_log: json, requests: 0"),
    ("log, requests", "access_log: json, requests: 1000"),
    (
        "and 1 % traced",
        "access_log: json, requests: 1000, otlp: COLLECTOR, trace_ratio: 0.01",
    ),
    (
        "and 10 % traced",
        "access_log: json, requests: 1000, otlp: COLLECTOR, trace_ratio: 0.1",
    ),
    (
        "and all traced",
        "access_log: json, requests: 1000, otlp: COLLECTOR, trace_ratio: 1.0",
    ),
];
/// What all of it together may take, over nothing. What recording many exchanges takes is told and not held against it: a
/// tenth is above it for the smallest request (docs/bench.md).
const BOUND: f64 = 1.05;
const TOLD: [&str; 2] = ["and 10 % traced", "and all traced"];
/// Everything that was queued is written and sent by then, fifty times slowed down.
const SETTLE: Duration = Duration::from_secs(3);
/// An idle process reads its file every ten seconds: what it takes is counted over two of them.
const IDLE: Duration = Duration::from_secs(20);
/// So many times the requests of the other count: a hundredth is to be seen.
const MORE: usize = 5;

/// Counts, prints, and fails where the bound is passed.
pub(crate) async fn compare() -> anyhow::Result<()> {
    let room = Room::make()?;
    let (upstream, collector) = (Upstream::start()?, Upstream::collector()?);
    let shipped = std::env::current_exe()?.with_file_name("mainstay");
    let collector = format!("\"http://{}\"", collector.address);
    let mut counted = vec![];
    for (name, settings) in SETTINGS {
        let into = room.0.join(name.replace([' ', '%', ','], ""));
        let settings = settings.replace("COLLECTOR", &collector);
        let told = (into.as_path(), settings.as_str());
        std::fs::create_dir_all(&into)?;
        let counts = into.join("counted");
        let run = Run::Counted(&counts);
        let proxy = Proxy::mainstay_telling("Mainstay", &shipped, upstream.address, told, run)?;
        counted.push(count(proxy, &counts).await?);
    }
    report(&counted)
}

/// What one request of each kind takes, one at a time, an idle process's part left out.
async fn count(proxy: Proxy, into: &Path) -> anyhow::Result<Vec<f64>> {
    // The first spans that are sent open the way to the collector, once in a process.
    load::drive(proxy.address, &Request::traced(), 1, 1).await?;
    for kind in &KINDS {
        let few = WARM_UP.min(kind.count);
        load::drive(proxy.address, &(kind.request)(), 1, few).await?;
    }
    tokio::time::sleep(SETTLE).await;
    taken(&proxy, into, 1)?;
    tokio::time::sleep(IDLE).await;
    let idle = taken(&proxy, into, 2)? / IDLE.as_secs_f64();
    let mut counted = vec![];
    for (nth, kind) in KINDS.iter().enumerate() {
        let (begun, count) = (Instant::now(), kind.count * MORE);
        load::drive(proxy.address, &(kind.request)(), 1, count).await?;
        tokio::time::sleep(SETTLE).await;
        let all = taken(&proxy, into, nth + 3)?;
        counted.push((all - idle * begun.elapsed().as_secs_f64()) / count as f64);
    }
    Ok(counted)
}

fn report(counted: &[Vec<f64>]) -> anyhow::Result<()> {
    println!("Instructions in user space, in thousands, and over those with telemetry off.\n");
    print!("  {:<22}", "");
    for (name, _) in SETTINGS {
        print!("{name:>20}");
    }
    println!();
    let mut above = Vec::new();
    for (nth, kind) in KINDS.iter().enumerate() {
        print!("  {:<22}", kind.name);
        for (count, (name, _)) in counted.iter().zip(SETTINGS) {
            let ratio = count[nth] / counted[0][nth];
            print!("{:>12.1} ({ratio:>5.3})", count[nth] / 1e3);
            if ratio > BOUND && !TOLD.contains(&name) {
                above.push(format!("{} with {name}", kind.name));
            }
        }
        println!();
    }
    ensure!(above.is_empty(), "above {BOUND}: {}", above.join("; "));
    Ok(())
}
