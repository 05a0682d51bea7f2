//! Owns the figures as JSON, in the form that others read. Must never change a name or a unit.

use std::io::{self, Write};

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use crate::cmd::simulate::jobs::Row;
use crate::cmd::simulate::scenario::Scenario;

/// Everything a command found, for one policy at one rate.
#[derive(Serialize)]
struct Report<'a> {
    seeds: u64,
    scenarios: Scenarios<'a>,
    /// Who plays whom, where the fleet is a configuration's.
    #[serde(skip_serializing_if = "Casts::is_empty")]
    casts: Casts<'a>,
}

/// Casts by the ids of their scenarios.
struct Casts<'a>(&'a [Scenario]);

/// An endpoint in its part; the figures are named as in scenario files.
#[derive(Serialize)]
struct Part<'a> {
    endpoint: &'a str,
    plays: &'a str,
    price: f64,
    ttft: f64,
    tps: f64,
    base_err: f64,
    speed: &'static str,
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
pub(super) fn write(
    out: &mut impl Write,
    scenarios: &[Scenario],
    rows: &[Row],
    seeds: u64,
) -> io::Result<()> {
    let report = Report {
        seeds,
        scenarios: Scenarios(rows),
        casts: Casts(scenarios),
    };
    serde_json::to_writer_pretty(&mut *out, &report)?;
    writeln!(out)
}

// === impl Casts ===

impl Casts<'_> {
    fn is_empty(&self) -> bool {
        self.0.iter().all(|scenario| scenario.own.is_none())
    }
}

impl Serialize for Casts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for scenario in self.0 {
            let cast = scenario.own.iter().flat_map(|own| &own.cast);
            let parts = cast.map(|part| {
                let endpoint = &scenario.fleet[part.endpoint];
                Part {
                    endpoint: &endpoint.id,
                    plays: &part.plays,
                    price: round(endpoint.price),
                    ttft: round(endpoint.first_token),
                    tps: round(endpoint.speed),
                    base_err: round(endpoint.errors),
                    speed: part.source.as_str(),
                }
            });
            map.serialize_entry(&scenario.id, &parts.collect::<Vec<_>>())?;
        }
        map.end()
    }
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

fn round(figure: f64) -> f64 {
    (figure * 1e6).round() / 1e6
}

// === impl Line ===

impl Line {
    fn of(row: &Row) -> Self {
        let figures = &row.figures;
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
