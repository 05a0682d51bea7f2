//! Owns the misses of bars that are known: each with a looser bar and why. Must never pass a miss that has grown, or
//! one that nobody has written down.

use std::path::Path;

use anyhow::{Context, ensure};

use crate::cmd::simulate::bars::{Bars, FIGURES, Line, Miss, Set, judged};
use crate::cmd::simulate::jobs::Row;

/// Bars that are known to be missed.
#[derive(Debug)]
pub(super) struct Known(Bars);

/// What a command's misses amount to, as lines for people.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Judged {
    /// Known, and no worse than known.
    pub(super) known: Vec<String>,
    /// Known misses that are none any more.
    pub(super) over: Vec<String>,
    /// What fails the command.
    pub(super) missed: Vec<String>,
}

impl Known {
    /// Reads a file of known misses: a file of bars whose scenarios say `why`.
    ///
    /// # Errors
    /// Names the file, and the field or the scenario that is wrong.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let bars = Bars::read(path)?;
        Self::of(bars).with_context(|| path.display().to_string())
    }

    pub(super) fn of(bars: Bars) -> anyhow::Result<Self> {
        for (rate, set) in &bars.sets {
            let silent = set.iter().find(|(_, line)| line.why.is_none());
            let silent =
                silent.map(|(id, _)| format!("{id} at {rate}: a known miss needs a `why`"));
            ensure!(silent.is_none(), silent.unwrap_or_default());
        }
        Ok(Self(bars))
    }

    /// Tells known misses at a rate from others.
    ///
    /// # Errors
    /// Where there is no other policy to compare with.
    pub(super) fn judge(&self, missed: &[Miss], rows: &[Row], rps: f64) -> anyhow::Result<Judged> {
        let none = Set::new();
        let set = self.0.at(rps).unwrap_or(&none);
        let line_of = |miss: &Miss| set.get(&miss.scenario).filter(|line| line.has(miss.figure));
        let mut all = Judged::default();
        for miss in missed {
            match line_of(miss) {
                Some(line) => {
                    let why = line.why.as_deref().unwrap_or_default();
                    all.known.push(format!("known: {miss} ({why})"));
                }
                None => all.missed.push(miss.to_string()),
            }
        }
        for row in judged(rows) {
            let Some(line) = set.get(&row.scenario) else {
                continue;
            };
            let worse = line.misses(row, rows, rps)?;
            let worse = worse.iter().map(|miss| format!("worse than known: {miss}"));
            all.missed.extend(worse);
            let over = over(line, row, missed);
            let over = over
                .map(|figure| format!("missed no more at {rps} rps: {} {figure}", row.scenario));
            all.over.extend(over);
        }
        Ok(all)
    }
}

/// The figures of a known line that are not missed.
fn over<'a>(
    line: &'a Line,
    row: &'a Row,
    missed: &'a [Miss],
) -> impl Iterator<Item = &'static str> + 'a {
    let is_missed = |figure: &str| {
        let mut its = missed.iter().filter(|miss| miss.scenario == row.scenario);
        its.any(|miss| miss.figure == figure)
    };
    let figures = FIGURES.iter().copied();
    figures.filter(move |figure| line.has(figure) && !is_missed(figure))
}
