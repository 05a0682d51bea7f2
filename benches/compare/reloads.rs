//! What reloads cost the requests beside them: seconds in which the configuration is replaced again and again, and
//! quiet ones, in turn, under the same load. Must never count a run in which a request failed or a stream was cut.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::building::fleet;
use crate::load::{self, Client, Request};
use crate::proxies::{Proxy, Run, free};
use crate::upstream::Upstream;
use crate::{Room, descriptors};

/// Connections that ask for JSON, each so often.
const CONNECTIONS: usize = 64;
const EVERY: Duration = Duration::from_millis(50);
/// Streams that are open all the time.
const STREAMS: usize = 500;
const RUNS: usize = 5;
/// Quiet seconds of a run, and as many with reloads.
const SECONDS: usize = 10;
/// Of a second with reloads: 200 of a run, 1,000 in all.
const RELOADS: u32 = 20;
/// Endpoints of each of the files.
const ENDPOINTS: usize = 100;
/// What is aimed at (docs/bench.md): p99 beside reloads over p99 without, and the slowest request over the median.
const RATIO: f64 = 1.5;
const OVER: Duration = Duration::from_millis(50);

/// A place where configurations are written and asked for.
struct Operator {
    admin: SocketAddr,
    conf: std::path::PathBuf,
    /// Two that work, and one that does not.
    texts: [String; 3],
    done: u64,
}

/// What the clients saw.
#[derive(Default)]
struct Seen {
    quiet: Vec<Duration>,
    reloading: Vec<Duration>,
}

/// What stands between the clients and whoever tells them the time.
#[derive(Default)]
struct Watch {
    reloading: AtomicBool,
    stop: AtomicBool,
    answered: AtomicU64,
}

/// Prints what the runs gave.
pub(crate) async fn measure(quick: bool) -> anyhow::Result<()> {
    ensure!(
        descriptors() >= 4096,
        "it takes 4096 open files (ulimit -n)"
    );
    let room = Room::make()?;
    let upstream = Upstream::start()?;
    let (proxy, mut operator) = start(&upstream, &room.0)?;
    let warm = run(proxy.address, &mut operator, 1).await?;
    ensure!(!warm.quiet.is_empty(), "nothing was asked");
    let before = proxy.resident()?;
    let streams = load::open(proxy.address, STREAMS).await?;
    let at_work = proxy.resident()?;
    let (runs, seconds) = if quick { (2, 3) } else { (RUNS, SECONDS) };
    println!(
        "\n| run | requests | p50, quiet / reloads, ms | p99, quiet / reloads, ms | ratio | slowest over the median, quiet / reloads, ms |"
    );
    println!("|---|---|---|---|---|---|");
    let (mut ratios, mut over) = (Vec::new(), Duration::ZERO);
    for number in 1..=runs {
        let mut seen = run(proxy.address, &mut operator, seconds).await?;
        let (ratio, slowest) = tell(number, &mut seen)?;
        ratios.push(ratio);
        over = over.max(slowest);
    }
    let after = proxy.resident()?;
    upstream.release();
    load::close(streams)
        .await
        .context("an open stream was cut")?;
    ratios.sort_by(f64::total_cmp);
    let ratio = ratios.get(ratios.len() / 2).copied().context("no run")?;
    println!(
        "\n{} reloads, a third of them refused; {STREAMS} streams were open throughout and ended whole.",
        operator.done
    );
    println!(
        "p99 beside reloads over p99 without, median of the runs: {ratio:.2} (aimed at: {RATIO})"
    );
    println!(
        "slowest request over the median beside reloads: {:.1} ms (aimed at: {:.0})",
        over.as_secs_f64() * 1e3,
        OVER.as_secs_f64() * 1e3
    );
    println!(
        "resident memory, MiB: {:.1} at first, {:.1} with the streams, {:.1} after the reloads",
        before / 1024.0,
        at_work / 1024.0,
        after / 1024.0
    );
    Ok(())
}

fn start(upstream: &Upstream, room: &Path) -> anyhow::Result<(Proxy, Operator)> {
    let (address, admin) = (free()?, free()?);
    let server = format!(
        "server: {{ listen: [\"{address}\"], admin: {{ listen: \"{admin}\" }} }}\n\
         aliases: {{ bench/model: bench/model-0 }}\n\
         policies: {{ default: {{ timeouts: {{ idle: 1h, total: 1h }} }} }}\n"
    );
    let text = |price| {
        format!(
            "{server}{}",
            fleet(&upstream.address.to_string(), ENDPOINTS, price)
        )
    };
    let texts = [
        text(1),
        text(2),
        text(1).replacen("provider: p1", "provider: nobody", 1),
    ];
    let program = std::env::current_exe()?.with_file_name("mainstay");
    let proxy = Proxy::mainstay_of(
        "Mainstay",
        &program,
        (address, &texts[0]),
        room,
        Run::Plainly,
    )?;
    let conf = room.join("conf/mainstay.yaml");
    let operator = Operator {
        admin,
        conf,
        texts,
        done: 0,
    };
    Ok((proxy, operator))
}

/// So many quiet seconds, and as many with reloads, in turn.
async fn run(to: SocketAddr, operator: &mut Operator, seconds: usize) -> anyhow::Result<Seen> {
    let watch = Arc::<Watch>::default();
    let mut clients = JoinSet::new();
    for number in 0..CONNECTIONS {
        clients.spawn(client(to, number, watch.clone()));
    }
    for _ in 0..seconds {
        watch.reloading.store(false, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(1)).await;
        watch.reloading.store(true, Ordering::Relaxed);
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / RELOADS);
        for _ in 0..RELOADS {
            ticks.tick().await;
            operator.reload().await?;
        }
    }
    watch.stop.store(true, Ordering::Relaxed);
    let mut seen = Seen::default();
    while let Some(client) = clients.join_next().await {
        let one = client??;
        seen.quiet.extend(one.quiet);
        seen.reloading.extend(one.reloading);
    }
    ensure!(
        watch.answered.load(Ordering::Relaxed) > 0,
        "nothing was answered"
    );
    Ok(seen)
}

/// Asks again and again until it is told to stop. An answer that is not whole ends the run.
async fn client(to: SocketAddr, number: usize, watch: Arc<Watch>) -> anyhow::Result<Seen> {
    let request = Request::json(2048);
    let mut client = Client::connect(to).await?;
    let mut seen = Seen::default();
    let offset = EVERY.mul_f64(number as f64 / CONNECTIONS as f64);
    let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + offset, EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    while !watch.stop.load(Ordering::Relaxed) {
        ticks.tick().await;
        let reloading = watch.reloading.load(Ordering::Relaxed);
        let begun = Instant::now();
        client.ask(&request).await?;
        let took = begun.elapsed();
        watch.answered.fetch_add(1, Ordering::Relaxed);
        match reloading || watch.reloading.load(Ordering::Relaxed) {
            true => seen.reloading.push(took),
            false => seen.quiet.push(took),
        }
    }
    Ok(seen)
}

impl Operator {
    /// Writes the next file and asks for it: two that work and one that does not, in turn.
    async fn reload(&mut self) -> anyhow::Result<()> {
        let turn = usize::try_from(self.done % 3)?;
        // The first that serves is the first of the three.
        let text = &self.texts[(turn + 1) % 3];
        let next = self.conf.with_extension("next");
        std::fs::write(&next, text)?;
        std::fs::rename(&next, &self.conf)?;
        let mut socket = TcpStream::connect(self.admin).await?;
        let request = "POST /api/reload HTTP/1.1\r\nhost: admin\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        socket.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await?;
        let expected = match turn {
            0 => "HTTP/1.1 200",
            1 => "HTTP/1.1 422",
            _ => "HTTP/1.1 200",
        };
        ensure!(
            answer.starts_with(expected),
            "reload {}: {answer}",
            self.done
        );
        self.done += 1;
        Ok(())
    }
}

/// Prints a run's line. Returns its ratio and the slowest request beside reloads over the median.
fn tell(number: usize, seen: &mut Seen) -> anyhow::Result<(f64, Duration)> {
    seen.quiet.sort_unstable();
    seen.reloading.sort_unstable();
    // The request that so many of a hundred are not slower than.
    let at = |all: &[Duration], percent: usize| {
        let place = all.len() * percent / 100;
        all.get(place.min(all.len().saturating_sub(1)))
            .copied()
            .context("no request was made")
    };
    let (quiet, reloading) = (&seen.quiet, &seen.reloading);
    let (p50, p99) = (
        (at(quiet, 50)?, at(reloading, 50)?),
        (at(quiet, 99)?, at(reloading, 99)?),
    );
    let over = (
        at(quiet, 100)?.saturating_sub(p50.0),
        at(reloading, 100)?.saturating_sub(p50.1),
    );
    let ratio = p99.1.as_secs_f64() / p99.0.as_secs_f64();
    let ms = |(one, other): (Duration, Duration)| {
        format!(
            "{:.2} / {:.2}",
            one.as_secs_f64() * 1e3,
            other.as_secs_f64() * 1e3
        )
    };
    println!(
        "| {number} | {} | {} | {} | {ratio:.2} | {} |",
        quiet.len() + reloading.len(),
        ms(p50),
        ms(p99),
        ms(over)
    );
    Ok((ratio, over.1))
}
