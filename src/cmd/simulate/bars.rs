//! Owns the figures that must be reached, by rate and scenario. Must never pass a scenario because nobody
//! looked at it.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, anyhow, bail, ensure};
use serde::Deserialize;

use crate::cmd::simulate::jobs::Row;
use crate::cmd::simulate::name_of;

/// A file of bars: sets named `<anything>_<rate>rps`, each with its scenarios.
#[derive(Debug)]
pub(super) struct Bars {
    sets: Vec<(f64, BTreeMap<String, Line>)>,
}

/// The bars of a scenario; `null` is none.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Line {
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
}

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
        let mut json = serde_json::Deserializer::from_str(text);
        let sets: BTreeMap<String, BTreeMap<String, Line>> =
            serde_path_to_error::deserialize(&mut json)?;
        json.end()?;
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

    /// Every bar that is missed at a rate, as a line for people.
    ///
    /// # Errors
    /// Where a scenario that was run has no bars at this rate.
    pub(super) fn missed(&self, rows: &[Row], rps: Option<f64>) -> anyhow::Result<Vec<String>> {
        let rps = rps.context("bars hold at a rate")?;
        let set = self
            .sets
            .iter()
            .find(|(rate, _)| rate.total_cmp(&rps).is_eq());
        let (_, set) =
            set.with_context(|| format!("there are no bars for {rps} requests a second"))?;
        let mut missed = Vec::new();
        for row in rows {
            let bars = set.get(&row.scenario);
            let bars = bars.with_context(|| format!("{} has no bars at {rps}", row.scenario))?;
            let short = bars.missed_by(row);
            missed
                .extend(short.map(|what| format!("missed at {rps} rps: {}: {what}", name_of(row))));
        }
        Ok(missed)
    }
}

fn rate_of(name: &str) -> Option<f64> {
    let (_, rate) = name.strip_suffix("rps")?.rsplit_once('_')?;
    rate.parse().ok().filter(|rate: &f64| *rate > 0.0)
}

// === impl Line ===

impl Line {
    fn missed_by(&self, row: &Row) -> impl Iterator<Item = String> {
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
        ];
        let short = at_least.into_iter().filter_map(|(name, bar, figure)| {
            let (bar, figure) = (bar?, figure?);
            (figure < bar).then(|| format!("{name} {figure:.3}, bar >= {bar}"))
        });
        let over = at_most.into_iter().filter_map(|(name, bar, figure)| {
            let (bar, figure) = (bar?, figure?);
            (figure > bar).then(|| format!("{name} {figure:.3}, bar <= {bar}"))
        });
        short.chain(over)
    }
}
