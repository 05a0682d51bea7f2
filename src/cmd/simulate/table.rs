//! Owns the figures as a table for people. Must never show a figure that means nothing in a scenario.

use std::io::{self, Write};

use crate::cmd::simulate::jobs::Row;
use crate::cmd::simulate::own::Own;
use crate::cmd::simulate::scenario::Scenario;

const HEADS: [&str; 15] = [
    "scenario",
    "policy",
    "success %",
    "first %",
    "extra",
    "p50 s",
    "p95 s",
    "p99 s",
    "lost s",
    "divert s",
    "hits",
    "return s",
    "cost x",
    "regret",
    "false trips",
];

/// Writes a line for each scenario and policy.
pub(super) fn write(
    out: &mut impl Write,
    rows: &[Row],
    seeds: u64,
    rps: Option<f64>,
) -> io::Result<()> {
    let runs = if seeds == 1 {
        "one run".to_owned()
    } else {
        format!("the mean of {seeds} runs")
    };
    match rps {
        Some(rps) => writeln!(out, "{rps} requests a second, {runs}")?,
        None => writeln!(out, "{runs}")?,
    }
    let lines: Vec<[String; 15]> = rows.iter().map(cells).collect();
    let heads = HEADS.map(str::to_owned);
    let widths: Vec<usize> = (0..HEADS.len())
        .map(|column| {
            let cells = lines
                .iter()
                .chain([&heads])
                .map(|line| line[column].chars().count());
            cells.max().unwrap_or(0)
        })
        .collect();
    for line in [&heads].into_iter().chain(&lines) {
        let padded: Vec<String> = line.iter().zip(&widths).enumerate().map(pad).collect();
        writeln!(out, "{}", padded.join("  ").trim_end())?;
    }
    writeln!(out)
}

/// Says of fleets that are not the files' who plays whom, once for scenarios that have it in common.
pub(super) fn write_casts(out: &mut impl Write, scenarios: &[Scenario]) -> io::Result<()> {
    let mut casts: Vec<(String, Vec<&str>)> = Vec::new();
    for scenario in scenarios {
        let Some(own) = &scenario.own else { continue };
        let text = cast(own, scenario);
        match casts.iter_mut().find(|(known, _)| *known == text) {
            Some((_, ids)) => ids.push(&scenario.id),
            None => casts.push((text, vec![&scenario.id])),
        }
    }
    for (text, ids) in casts {
        writeln!(out, "{}\n{text}", ids.join(", "))?;
    }
    Ok(())
}

fn cast(own: &Own, scenario: &Scenario) -> String {
    let lines = own.cast.iter().map(|part| {
        let endpoint = &scenario.fleet[part.endpoint];
        format!(
            "  {} is played by {}: price {:.2}, {:.2} s, {:.0} tokens/s, {:.1} % errors ({})\n",
            part.plays,
            endpoint.id,
            endpoint.price,
            endpoint.first_token,
            endpoint.speed,
            100.0 * endpoint.errors,
            part.source.as_str(),
        )
    });
    lines.collect()
}

/// Names stand left, figures right.
fn pad((column, (cell, width)): (usize, (&String, &usize))) -> String {
    match column {
        0 | 1 => format!("{cell:<width$}"),
        _ => format!("{cell:>width$}"),
    }
}

fn cells(row: &Row) -> [String; 15] {
    let figures = &row.figures;
    let some = |figure: Option<f64>, digits: usize| match figure {
        Some(figure) => format!("{figure:.digits$}"),
        None => "-".to_owned(),
    };
    [
        row.scenario.clone(),
        row.policy.clone(),
        format!("{:.2}", 100.0 * figures.success),
        format!("{:.2}", 100.0 * figures.first),
        format!("{:.3}", figures.extra),
        format!("{:.2}", figures.p50),
        format!("{:.2}", figures.p95),
        format!("{:.2}", figures.p99),
        format!("{:.3}", figures.lost),
        some(figures.divert, 1),
        some(figures.divert.map(|_| figures.hits), 0),
        some(figures.ret, 1),
        format!("{:.3}", figures.cost),
        some(figures.regret, 3),
        format!("{:.1}", figures.false_trips),
    ]
}
