//! Owns the figures as JSON, in the form that others read. Must never change a name or a unit.

use std::io::{self, Write};

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use crate::cmd::simulate::jobs::Row;

/// Everything a command found, for one policy at one rate.
#[derive(Serialize)]
struct Report<'a> {
    seeds: u64,
    scenarios: Scenarios<'a>,
}

/// Scenarios by their ids, in the files' order.
struct Scenarios<'a>(&'a [Row]);

#[derive(Serialize)]
struct Line {
    success: f64,
    first: f64,
    extra: f64,
    p50: f64,
    p95: f64,
    p99: f64,
    lost: f64,
    divert: Option<f64>,
    hits: f64,
    ret: Option<f64>,
    cost: f64,
    false_trips: f64,
}

/// Writes the report and an end of line.
pub(super) fn write(out: &mut impl Write, rows: &[Row], seeds: u64) -> io::Result<()> {
    let scenarios = Scenarios(rows);
    serde_json::to_writer_pretty(&mut *out, &Report { seeds, scenarios })?;
    writeln!(out)
}

// === impl Scenarios ===

impl Serialize for Scenarios<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for row in self.0 {
            map.serialize_entry(&row.scenario, &Line::of(row))?;
        }
        map.end()
    }
}

// === impl Line ===

impl Line {
    fn of(row: &Row) -> Self {
        let figures = &row.figures;
        let round = |figure: f64| (figure * 1e6).round() / 1e6;
        Self {
            success: round(figures.success),
            first: round(figures.first),
            extra: round(figures.extra),
            p50: round(figures.p50),
            p95: round(figures.p95),
            p99: round(figures.p99),
            lost: round(figures.lost),
            divert: figures.divert.map(round),
            hits: round(figures.hits),
            ret: figures.ret.map(round),
            cost: round(figures.cost),
            false_trips: round(figures.false_trips),
        }
    }
}
