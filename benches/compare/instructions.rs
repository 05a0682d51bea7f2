//! Owns the count of what a request takes: instructions in user space, under valgrind, of Mainstay and of bare
//! Pingora. They are nearly the same in every run, however busy the machine: this is what can be held against
//! a bound. Must never be read as time: the kernel's part is left out, and a copied byte counts as one.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

use crate::Room;
use crate::load::{self, Request};
use crate::proxies::{Proxy, Run};
use crate::upstream::{EVENTS, Upstream};

/// One kind of request, how many are counted, and how many times what bare Pingora takes Mainstay may take.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) request: fn() -> Request,
    pub(crate) count: usize,
    bound: f64,
}

/// The bounds are a tenth above what was reached in November 2026.
pub(crate) const KINDS: [Kind; 3] = [
    Kind {
        name: "a request of 2 KB",
        request: || Request::json(2048),
        count: 300,
        bound: 1.46,
    },
    Kind {
        name: "a request of 200 KB",
        request: || Request::json(200 * 1024),
        count: 50,
        bound: 2.7,
    },
    Kind {
        name: "a stream",
        request: Request::stream,
        count: 20,
        bound: 1.41,
    },
];

/// Requests before the first count: pools, caches and lazy tables are filled by then.
pub(crate) const WARM_UP: usize = 20;

/// Counts, prints, and fails where a bound is passed.
pub(crate) async fn compare() -> anyhow::Result<()> {
    let room = Room::make()?;
    let upstream = Upstream::start()?;
    let at = upstream.address;
    let shipped = std::env::current_exe()?.with_file_name("mainstay");
    let into = |name: &str| room.0.join(name);
    let bare = into("bare");
    let bare = count(Proxy::bare(at, Run::Counted(&bare))?, &bare).await?;
    let ours = into("ours");
    let proxy = Proxy::mainstay("Mainstay", &shipped, at, &room.0, Run::Counted(&ours))?;
    let ours = count(proxy, &ours).await?;
    println!("Instructions in user space, in thousands; a stream has {EVENTS} events.\n");
    println!("  {:<22} bare Pingora   Mainstay   ratio   at most", "");
    let mut above = Vec::new();
    for (kind, (bare, ours)) in KINDS.iter().zip(bare.into_iter().zip(ours)) {
        let ratio = ours / bare;
        println!(
            "  {:<22} {:>12.1} {:>10.1} {ratio:>7.2} {:>9.2}",
            kind.name,
            bare / 1e3,
            ours / 1e3,
            kind.bound
        );
        if ratio > kind.bound {
            above.push(kind.name);
        }
    }
    ensure!(above.is_empty(), "above the bound: {}", above.join(", "));
    Ok(())
}

/// What one request of each kind takes, one at a time.
async fn count(proxy: Proxy, into: &Path) -> anyhow::Result<Vec<f64>> {
    for kind in &KINDS {
        let few = WARM_UP.min(kind.count);
        load::drive(proxy.address, &(kind.request)(), 1, few).await?;
    }
    let mut counted = vec![];
    taken(&proxy, into, 1)?;
    for (nth, kind) in KINDS.iter().enumerate() {
        load::drive(proxy.address, &(kind.request)(), 1, kind.count).await?;
        let all = taken(&proxy, into, nth + 2)?;
        counted.push(all / kind.count as f64);
    }
    Ok(counted)
}

/// What the process has taken since it was last asked; it writes that into a file of its own.
pub(crate) fn taken(proxy: &Proxy, into: &Path, nth: usize) -> anyhow::Result<f64> {
    let asked = Command::new("callgrind_control")
        .args(["--dump", &proxy.id().to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .context("callgrind_control, a part of valgrind, could not start")?;
    ensure!(asked.success(), "callgrind_control: {asked}");
    let file = format!("{}.{nth}", into.display());
    let text = std::fs::read_to_string(&file).with_context(|| format!("no count in {file}"))?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
    let total = total.context("a count without its total")?;
    Ok(total.trim().parse()?)
}
