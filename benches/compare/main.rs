//! What Mainstay costs beside nginx and bare Pingora: CPU of each proxy's process, memory of an open stream,
//! latency that is added, in interleaved rounds before one local upstream. In reading order: the runs, then
//! `load`, `upstream`, `proxies`, `bare`, `report`, `instructions`, which counts instead of timing, `telling`, which counts what telemetry takes, `reloads`, what a
//! reload costs requests, and `building`, what it costs itself. How to read it is in `docs/bench.md`.
//! Must never load anything but 127.0.0.1, or leave a process behind.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a report is printed"
)]

mod load;
mod upstream;
mod proxies;
mod bare;
mod report;
mod instructions;
mod telling;
mod reloads;
mod building;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;

use load::Request;
use proxies::{Proxy, Run};
use report::{Figure, Report};
use upstream::Upstream;

/// Bare Pingora must not lose by its allocator: it gets Mainstay's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CONNECTIONS: usize = 32;
const STREAM_CONNECTIONS: usize = 64;
/// Descriptors that 2,000 streams take in this process, which is client and upstream at once.
const DESCRIPTORS: usize = 8192;

/// How much is done.
struct Size {
    rounds: usize,
    small: usize,
    large: usize,
    streams: usize,
    alone: usize,
    open: usize,
    /// No round begins later.
    limit: Duration,
}

const FULL: Size = Size {
    rounds: 9,
    small: 4000,
    large: 500,
    streams: 384,
    alone: 300,
    open: 2000,
    limit: Duration::from_secs(190),
};
const QUICK: Size = Size {
    rounds: 2,
    small: 1000,
    large: 150,
    streams: 128,
    alone: 100,
    open: 200,
    limit: Duration::from_secs(20),
};

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [role, listen, upstream] = args.as_slice()
        && role == "bare"
    {
        bare::run(listen.parse()?, upstream.parse()?);
    }
    let quick = args.iter().any(|arg| arg == "--quick");
    // Another build of Mainstay, to see what a change gained.
    let other = args.iter().skip_while(|arg| *arg != "--against").nth(1);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("no runtime for the clients")?;
    if args.iter().any(|arg| arg == "--instructions") {
        return runtime.block_on(instructions::compare());
    }
    if args.iter().any(|arg| arg == "--telemetry") {
        return runtime.block_on(telling::compare());
    }
    if args.iter().any(|arg| arg == "--reloads") {
        building::measure()?;
        return runtime.block_on(reloads::measure(quick));
    }
    let size = if quick { &QUICK } else { &FULL };
    runtime.block_on(compare(size, other.map(PathBuf::from)))
}

/// A folder of this run's own; gone at its end.
pub(crate) struct Room(pub(crate) PathBuf);

impl Room {
    pub(crate) fn make() -> anyhow::Result<Self> {
        let name = format!("mainstay-compare-{}", std::process::id());
        let room = std::env::temp_dir().join(name);
        std::fs::create_dir(&room)?;
        Ok(Self(room))
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // What is left in the folder for temporary files does no harm.
        std::fs::remove_dir_all(&self.0).ok();
    }
}

async fn compare(size: &Size, other: Option<PathBuf>) -> anyhow::Result<()> {
    let begun = Instant::now();
    let room = Room::make()?;
    let upstream = Upstream::start()?;
    let proxies = start(&upstream, &room.0, other)?;
    let mut report = Report::new(&proxies);
    for proxy in &proxies {
        load::drive(proxy.address, &Request::stream(), 1, 2).await?;
    }
    memory(size, &upstream, &proxies, &mut report).await?;
    for round in 0..size.rounds {
        if begun.elapsed() > size.limit {
            break;
        }
        eprintln!("round {} of {}", round + 1, size.rounds);
        requests(size, &upstream, &proxies, &mut report).await?;
    }
    println!("{report}");
    Ok(())
}

fn start(
    upstream: &Upstream,
    room: &std::path::Path,
    other: Option<PathBuf>,
) -> anyhow::Result<Vec<Proxy>> {
    let at = upstream.address;
    let mut proxies = vec![Proxy::bare(at, Run::Plainly)?];
    proxies.extend(Proxy::nginx("nginx", at, room, false)?);
    proxies.extend(Proxy::nginx("nginx with log", at, room, true)?);
    if proxies.len() == 1 {
        eprintln!("nginx is not installed: it is left out");
    }
    let shipped = std::env::current_exe()?.with_file_name("mainstay");
    proxies.push(Proxy::mainstay(
        "Mainstay",
        &shipped,
        at,
        room,
        Run::Plainly,
    )?);
    if let Some(program) = other {
        proxies.push(Proxy::mainstay(
            "other Mainstay",
            &program,
            at,
            room,
            Run::Plainly,
        )?);
    }
    Ok(proxies)
}

/// Resident memory at the height of a second wave of open streams, over that before the first, for each.
async fn memory(
    size: &Size,
    upstream: &Upstream,
    proxies: &[Proxy],
    report: &mut Report,
) -> anyhow::Result<()> {
    if descriptors() < DESCRIPTORS {
        eprintln!("memory is left out: it takes {DESCRIPTORS} open files (ulimit -n)");
        return Ok(());
    }
    for (nth, proxy) in proxies.iter().enumerate() {
        eprintln!("memory of {}", proxy.name);
        let before = proxy.resident()?;
        for wave in 0..2 {
            let streams = load::open(proxy.address, size.open).await?;
            if wave == 1 {
                let each = (proxy.resident()? - before) / size.open as f64;
                report.add(Figure::Memory, nth, each);
            }
            upstream.release();
            load::close(streams).await?;
        }
    }
    Ok(())
}

pub(crate) fn descriptors() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().next());
    soft.and_then(|soft| soft.parse().ok()).unwrap_or(0)
}

/// One round: each load on each proxy in turn.
async fn requests(
    size: &Size,
    upstream: &Upstream,
    proxies: &[Proxy],
    report: &mut Report,
) -> anyhow::Result<()> {
    let loads = [
        (Figure::Small, Request::json(2048), CONNECTIONS, size.small),
        (
            Figure::Large,
            Request::json(200 * 1024),
            CONNECTIONS,
            size.large,
        ),
        (
            Figure::Stream,
            Request::stream(),
            STREAM_CONNECTIONS,
            size.streams,
        ),
    ];
    for (figure, request, connections, total) in &loads {
        for (nth, proxy) in proxies.iter().enumerate() {
            let before = proxy.cpu()?;
            load::drive(proxy.address, request, *connections, *total).await?;
            let each = proxy.cpu()?.saturating_sub(before).as_secs_f64() * 1e6 / *total as f64;
            report.add(*figure, nth, each);
        }
    }
    let small = &loads[0].1;
    let direct = median_latency(upstream.address, small, size.alone).await?;
    for (nth, proxy) in proxies.iter().enumerate() {
        let through = median_latency(proxy.address, small, size.alone).await?;
        report.add(Figure::Added, nth, through - direct);
    }
    Ok(())
}

/// The middle of the microseconds that requests take which come one after the other.
async fn median_latency(
    to: std::net::SocketAddr,
    request: &Request,
    total: usize,
) -> anyhow::Result<f64> {
    let mut took = load::drive(to, request, 1, total).await?;
    took.sort_unstable();
    let middle = took.get(took.len() / 2).context("no request was made")?;
    Ok(middle.as_secs_f64() * 1e6)
}
