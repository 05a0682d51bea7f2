//! Owns the table: medians over the rounds with their ranges, and the ratios to the first proxy, round by
//! round. Must never show a figure that was not measured.

use std::collections::BTreeMap;
use std::fmt;

use crate::proxies::Proxy;
use crate::upstream::EVENTS;

/// What is measured, in the order of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Figure {
    Small,
    Large,
    Stream,
    Memory,
    Added,
}

const FIGURES: [Figure; 5] = [
    Figure::Small,
    Figure::Large,
    Figure::Stream,
    Figure::Memory,
    Figure::Added,
];

impl Figure {
    fn title(self) -> String {
        match self {
            Figure::Small => "CPU of a request of 2 KB, us".to_owned(),
            Figure::Large => "CPU of a request of 200 KB, us".to_owned(),
            Figure::Stream => format!("CPU of a stream of {EVENTS} events, us"),
            Figure::Memory => "memory of an open stream, KiB".to_owned(),
            Figure::Added => "added latency, p50, one at a time, us".to_owned(),
        }
    }
}

/// What was measured: for each figure and proxy, one number a round.
pub(crate) struct Report {
    names: Vec<&'static str>,
    rounds: BTreeMap<Figure, Vec<Vec<f64>>>,
}

impl Report {
    pub(crate) fn new(proxies: &[Proxy]) -> Self {
        Self {
            names: proxies.iter().map(|proxy| proxy.name).collect(),
            rounds: BTreeMap::new(),
        }
    }

    pub(crate) fn add(&mut self, figure: Figure, proxy: usize, value: f64) {
        let rows = self.rounds.entry(figure).or_default();
        rows.resize_with(self.names.len(), Vec::new);
        rows[proxy].push(value);
    }
}

/// Least, middle and greatest.
fn spread(values: &[f64]) -> Option<(f64, f64, f64)> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = *sorted.get(sorted.len() / 2)?;
    Some((*sorted.first()?, middle, *sorted.last()?))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rounds = self.rounds.get(&Figure::Small);
        let rounds = rounds.and_then(|rows| rows.first()).map_or(0, Vec::len);
        writeln!(
            f,
            "Medians of {rounds} interleaved rounds (least-greatest); ratios to {}, round by round.",
            self.names[0]
        )?;
        for figure in FIGURES {
            let Some(rows) = self.rounds.get(&figure) else {
                continue;
            };
            writeln!(f, "\n{}", figure.title())?;
            for (name, values) in self.names.iter().zip(rows) {
                let ratios: Vec<f64> = values
                    .iter()
                    .zip(&rows[0])
                    .map(|(own, first)| own / first)
                    .collect();
                let (Some(own), Some(ratio)) = (spread(values), spread(&ratios)) else {
                    continue;
                };
                let range = format!("({:.1}-{:.1})", own.0, own.2);
                let ratios = format!("({:.2}-{:.2})", ratio.0, ratio.2);
                writeln!(
                    f,
                    "  {name:<16} {:>8.1} {range:<18} {:>5.2}x {ratios}",
                    own.1, ratio.1
                )?;
            }
        }
        Ok(())
    }
}
