//! Owns the figures that must be reached, by rate and scenario. Must never pass a scenario because nobody
//! looked at it.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, anyhow, bail, ensure};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::cmd::simulate::jobs::Row;

/// Bars by rate: sets named `<anything>_<rate>rps`, each with its scenarios. A scenario whose name ends in `*`
/// stands for all that begin so.
#[derive(Debug)]
pub(super) struct Bars {
    pub(super) sets: Vec<(f64, Set)>,
}

/// Bars by scenario.
pub(super) type Set = BTreeMap<String, Line>;

type Sets = BTreeMap<String, Set>;

/// A scenario file that holds its own bars.
#[derive(Deserialize)]
struct Host {
    #[serde(rename = "scenarios")]
    _scenarios: IgnoredAny,
    bars: serde_json::Value,
}

/// The bars of a scenario; `null` is none.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Line {
    /// At least, in percent.
    success: Option<f64>,
    first: Option<f64>,
    /// At least, share of a rate-limited endpoint's capacity.
    capacity: Option<f64>,
    /// At most.
    extra: Option<f64>,
    divert: Option<f64>,
    hits: Option<f64>,
    ret: Option<f64>,
    p99: Option<f64>,
    lost: Option<f64>,
    cost: Option<f64>,
    false_trips: Option<f64>,
    regret: Option<f64>,
    /// At most so many times the least regret that another policy of the same command has in the scenario.
    regret_x: Option<f64>,
    /// Among known misses: why the bar is missed.
    pub(super) why: Option<String>,
}

/// A bar that a figure misses.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Miss {
    pub(super) scenario: String,
    /// Requests a second.
    pub(super) rps: f64,
    policy: String,
    /// The figure's name in the file of bars.
    pub(super) figure: &'static str,
    /// The figure, and its bar.
    what: String,
}

/// Regrets closer than this are the same: a fiftieth of the cheapest price is within the noise of a few runs.
const SAME_REGRET: f64 = 0.02;

// === impl Bars ===

impl Bars {
    /// Reads a file of bars.
    ///
    /// # Errors
    /// Names the file, and the field that is wrong.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
        Self::parse(&text).map_err(|error| anyhow!("{shown}: {error}"))
    }

    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        let sets: Sets = if let Ok(Host { bars, .. }) = serde_json::from_str(text) {
            serde_path_to_error::deserialize(bars)?
        } else {
            let mut json = serde_json::Deserializer::from_str(text);
            let sets = serde_path_to_error::deserialize(&mut json)?;
            json.end()?;
            sets
        };
        let rated = |(name, set): (String, _)| match rate_of(&name) {
            Some(rate) => Ok((rate, set)),
            None => bail!("{name}: must end in a rate, like main_50rps"),
        };
        let mut sets = sets.into_iter().map(rated).collect::<Result<Vec<_>, _>>()?;
        sets.sort_by(|(one, _), (two, _)| two.total_cmp(one));
        ensure!(!sets.is_empty(), "there are no bars");
        Ok(Self { sets })
    }

    /// The rates that there are bars for, the highest first.
    pub(super) fn rates(&self) -> Vec<f64> {
        self.sets.iter().map(|(rate, _)| *rate).collect()
    }

    /// Every bar that the first policy misses at a rate. Others are there to compare with.
    ///
    /// # Errors
    /// Where a scenario that was run has no bars at this rate.
    pub(super) fn missed(&self, rows: &[Row], rps: Option<f64>) -> anyhow::Result<Vec<Miss>> {
        let rps = rps.context("bars hold at a rate")?;
        let set = self
            .at(rps)
            .with_context(|| format!("there are no bars for {rps} requests a second"))?;
        let mut missed = Vec::new();
        for row in judged(rows) {
            let bars = of_scenario(set, &row.scenario);
            let bars = bars.with_context(|| format!("{} has no bars at {rps}", row.scenario))?;
            missed.extend(bars.misses(row, rows, rps)?);
        }
        Ok(missed)
    }

    /// The bars at a rate.
    pub(super) fn at(&self, rps: f64) -> Option<&Set> {
        let mut sets = self.sets.iter();
        let found = sets.find(|(rate, _)| rate.total_cmp(&rps).is_eq());
        found.map(|(_, set)| set)
    }
}

/// The rows of the first policy.
pub(super) fn judged(rows: &[Row]) -> impl Iterator<Item = &Row> {
    let policy = rows.first().map(|row| &row.policy);
    rows.iter().filter(move |row| Some(&row.policy) == policy)
}

/// The bars of a scenario: under its name, or under the beginning of it with a `*`.
fn of_scenario<'a>(set: &'a Set, id: &str) -> Option<&'a Line> {
    let stands_for = |name: &String| {
        let stem = name.strip_suffix('*');
        stem.is_some_and(|stem| id.starts_with(stem))
    };
    let wild = || set.iter().find(|(name, _)| stands_for(name));
    set.get(id).or_else(|| wild().map(|(_, line)| line))
}

fn rate_of(name: &str) -> Option<f64> {
    let (_, rate) = name.strip_suffix("rps")?.rsplit_once('_')?;
    rate.parse().ok().filter(|rate: &f64| *rate > 0.0)
}

// === impl Miss ===

impl std::fmt::Display for Miss {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            scenario,
            rps,
            policy,
            what,
            ..
        } = self;
        write!(out, "missed at {rps} rps: {scenario} {policy}: {what}")
    }
}

/// Every figure that may have a bar.
pub(super) const FIGURES: [&str; 12] = [
    "success",
    "first",
    "capacity",
    "extra",
    "divert",
    "hits",
    "ret",
    "p99",
    "lost",
    "cost",
    "false_trips",
    "regret",
];

// === impl Line ===

impl Line {
    /// Whether it has a bar for a figure.
    pub(super) fn has(&self, figure: &str) -> bool {
        let bar = match figure {
            "success" => self.success,
            "first" => self.first,
            "capacity" => self.capacity,
            "extra" => self.extra,
            "divert" => self.divert,
            "hits" => self.hits,
            "ret" => self.ret,
            "p99" => self.p99,
            "lost" => self.lost,
            "cost" => self.cost,
            "false_trips" => self.false_trips,
            "regret" => self.regret.or(self.regret_x),
            _ => None,
        };
        bar.is_some()
    }

    pub(super) fn misses(&self, row: &Row, rows: &[Row], rps: f64) -> anyhow::Result<Vec<Miss>> {
        let miss = |(figure, what)| Miss {
            scenario: row.scenario.clone(),
            rps,
            policy: row.policy.clone(),
            figure,
            what,
        };
        let regretted = self.regretted(row, rows)?;
        let regretted = regretted.map(|what| ("regret", what));
        Ok(self.missed_by(row).chain(regretted).map(miss).collect())
    }

    fn missed_by(&self, row: &Row) -> impl Iterator<Item = (&'static str, String)> {
        let figures = &row.figures;
        let at_least = [
            ("success", self.success, Some(100.0 * figures.success)),
            ("first", self.first, Some(100.0 * figures.first)),
            ("capacity", self.capacity, figures.capacity),
        ];
        let at_most = [
            ("extra", self.extra, Some(figures.extra)),
            ("divert", self.divert, figures.divert),
            ("hits", self.hits, Some(figures.hits)),
            ("ret", self.ret, figures.ret),
            ("p99", self.p99, Some(figures.p99)),
            ("lost", self.lost, Some(figures.lost)),
            ("cost", self.cost, Some(figures.cost)),
            ("false_trips", self.false_trips, Some(figures.false_trips)),
            ("regret", self.regret, figures.regret),
        ];
        let short = at_least.into_iter().filter_map(|(name, bar, figure)| {
            let (bar, figure) = (bar?, figure?);
            (figure < bar).then(|| (name, format!("{name} {figure:.3}, bar >= {bar}")))
        });
        let over = at_most.into_iter().filter_map(|(name, bar, figure)| {
            let (bar, figure) = (bar?, figure?);
            (figure > bar).then(|| (name, format!("{name} {figure:.3}, bar <= {bar}")))
        });
        short.chain(over)
    }

    /// Whether another policy did better by more than is allowed.
    fn regretted(&self, row: &Row, rows: &[Row]) -> anyhow::Result<Option<String>> {
        let (Some(times), Some(regret)) = (self.regret_x, row.figures.regret) else {
            return Ok(None);
        };
        let others = rows.iter().filter(|other| other.policy != row.policy);
        let its = others.filter(|other| other.scenario == row.scenario);
        let least = its
            .filter_map(|other| other.figures.regret)
            .reduce(f64::min);
        let least = least.with_context(|| {
            let id = &row.scenario;
            format!("{id}: regret_x needs another --policy to compare with")
        })?;
        let misses = regret > times * least.max(0.0) + SAME_REGRET;
        Ok(misses.then(|| {
            format!("regret {regret:.3}, bar <= {times} x {least:.3}, the best other policy's")
        }))
    }
}
