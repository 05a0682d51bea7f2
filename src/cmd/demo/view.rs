//! Owns how the demo looks while it runs: a block that is redrawn in a terminal, a line at a time elsewhere.
//! Must never measure anything, or show what was not counted.

use std::time::Duration;

use crate::cmd::demo::recent::WINDOW;
use crate::cmd::demo::schedule::{PHASES, Phase};
use crate::cmd::demo::stage::{PROVIDERS, Sight};
use crate::cmd::demo::tally::Tally;
use crate::cmd::demo::text::{Line, Style, duration, maybe, minutes, percent};
use crate::core::health::State;

/// Cells of a whole bar.
const BAR: usize = 20;

/// The moment that is shown.
#[derive(Debug)]
pub(crate) struct Picture<'a> {
    pub(crate) passed: Duration,
    /// `None` where the incident repeats.
    pub(crate) length: Option<Duration>,
    pub(crate) phase: usize,
    pub(crate) sights: &'a [Sight],
    pub(crate) shares: [f64; PROVIDERS.len()],
    pub(crate) rate: f64,
    pub(crate) tally: &'a Tally,
}

/// The block for a terminal.
pub(crate) fn block(picture: &Picture<'_>) -> Vec<Line> {
    let mut lines = vec![title(picture), timeline(picture), Line::default()];
    lines.push(heading());
    for (at, (provider, sight)) in PROVIDERS.iter().zip(picture.sights).enumerate() {
        let broken = trouble_of(picture.phase, at).is_some();
        lines.push(endpoint(
            provider.name,
            sight,
            picture.shares[at],
            provider.price,
            broken,
        ));
    }
    lines.push(Line::default());
    lines.extend(clients(picture.tally));
    lines
}

/// The line for a log.
pub(crate) fn plain(picture: &Picture<'_>) -> String {
    let tally = picture.tally;
    let mut text = format!(
        "{:>5.1}s  {}",
        picture.passed.as_secs_f64(),
        PHASES[picture.phase].describe()
    );
    for (at, (provider, sight)) in PROVIDERS.iter().zip(picture.sights).enumerate() {
        let separator = if at == 0 { " | " } else { ", " };
        let share = percent(picture.shares[at]);
        text.push_str(separator);
        text.push_str(&format!("{} {} {share}", provider.name, name(sight.state)));
    }
    text.push_str(&format!(
        " | answered {}, recovered {}, cut {}, failed {} | {:.1} requests/s",
        tally.answered, tally.recovered, tally.cut, tally.failed, picture.rate
    ));
    text
}

impl Phase {
    /// What is going on, in a few words.
    pub(crate) fn describe(&self) -> String {
        match self.trouble {
            Some((provider, trouble)) => format!(
                "{}: {} {}",
                self.name,
                PROVIDERS[provider].name,
                trouble.as_str()
            ),
            None => self.name.to_owned(),
        }
    }
}

fn title(picture: &Picture<'_>) -> Line {
    let time = match picture.length {
        Some(length) => format!("{} of {}", minutes(picture.passed), minutes(length)),
        None => format!("{}, Ctrl-C ends", minutes(picture.passed)),
    };
    let phase = &PHASES[picture.phase];
    let style = match phase.trouble {
        Some(_) => Style::Bad,
        None => Style::Good,
    };
    Line::default()
        .with(Style::Dim, format!("{time}   "))
        .with(style, phase.describe())
}

fn timeline(picture: &Picture<'_>) -> Line {
    let mut line = Line::default();
    for (at, phase) in PHASES.iter().enumerate() {
        let (style, mark) = match at.cmp(&picture.phase) {
            std::cmp::Ordering::Less => (Style::Dim, "✓"),
            std::cmp::Ordering::Equal => (Style::Bold, "▶"),
            std::cmp::Ordering::Greater => (Style::Dim, "·"),
        };
        // Only troubles and the present are named: the repairs between speak for themselves.
        match phase.trouble.is_some() || at == picture.phase {
            true => line = line.with(style, format!("{mark} {}  ", phase.name)),
            false => line = line.with(style, format!("{mark}  ")),
        }
    }
    line
}

fn heading() -> Line {
    let share = format!("attempts of the last {} s", WINDOW.as_secs());
    Line::default().with(
        Style::Dim,
        format!(
            "{:<8} {:<10} {share:<27} {:>6}  {:>11}  {:>9}  {:>7}",
            "provider", "breaker", "health", "first token", "in flight", "$/1M"
        ),
    )
}

fn endpoint(provider: &str, sight: &Sight, share: f64, price: f64, broken: bool) -> Line {
    let state = match sight.state {
        State::Closed => Style::Good,
        State::HalfOpen | State::Ramp => Style::Warn,
        State::Open => Style::Bad,
    };
    let provider_style = if broken { Style::Bad } else { Style::Bold };
    let (full, empty) = bar(share);
    Line::default()
        .with(provider_style, format!("{provider:<8} "))
        .with(state, format!("{:<10} ", name(sight.state)))
        .with(state, full)
        .with(Style::Dim, empty)
        .with(
            Style::Plain,
            format!(
                " {:>6}  {:>6}  {:>11}  {:>9}  {price:>7.2}",
                percent(share),
                percent(sight.health.into()),
                maybe(sight.first_token),
                sight.in_flight
            ),
        )
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of twenty cells"
)]
fn bar(share: f64) -> (String, String) {
    let full = (share.clamp(0.0, 1.0) * BAR as f64).round() as usize;
    ("█".repeat(full), "░".repeat(BAR - full))
}

fn clients(tally: &Tally) -> [Line; 2] {
    let failed = match tally.failed {
        0 => Style::Good,
        _ => Style::Bad,
    };
    let cost = match tally.lost.percentile(50).zip(tally.lost.percentile(100)) {
        Some((half, most)) => format!(
            ", losing {} at the median, {} at most",
            duration(half),
            duration(most)
        ),
        None => String::new(),
    };
    [
        Line::default()
            .with(Style::Bold, "clients  ")
            .with(Style::Plain, format!("answered {}   ", tally.answered))
            .with(failed, format!("failed {}   ", tally.failed))
            .with(
                Style::Plain,
                format!("cut, with a typed error {}   ", tally.cut),
            )
            .with(
                Style::Dim,
                format!(
                    "first token p50 {} p95 {}",
                    maybe(tally.first_tokens.percentile(50)),
                    maybe(tally.first_tokens.percentile(95))
                ),
            ),
        Line::default().with(
            Style::Plain,
            format!("         recovered {}{cost}", tally.recovered),
        ),
    ]
}

fn trouble_of(phase: usize, provider: usize) -> Option<usize> {
    let (broken, _) = PHASES[phase].trouble?;
    (broken == provider).then_some(broken)
}

fn name(state: State) -> &'static str {
    match state {
        State::Closed => "closed",
        State::Open => "open",
        State::HalfOpen => "half-open",
        State::Ramp => "ramp",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sights() -> Vec<Sight> {
        let sight = |state, health| Sight {
            state,
            health,
            arrivals: 10,
            first_token: Some(Duration::from_millis(64)),
            in_flight: 2,
        };
        vec![
            sight(State::Open, 0.4),
            sight(State::Closed, 0.99),
            sight(State::Ramp, 0.97),
        ]
    }

    fn picture<'a>(sights: &'a [Sight], tally: &'a Tally) -> Picture<'a> {
        Picture {
            passed: Duration::from_millis(5500),
            length: Some(Duration::from_secs(30)),
            phase: 1,
            sights,
            shares: [0.05, 0.7, 0.25],
            rate: 12.0,
            tally,
        }
    }

    #[test]
    fn the_plain_line_says_it_all_without_a_control_character() {
        let tally = Tally {
            answered: 60,
            recovered: 3,
            ..Tally::default()
        };
        let line = plain(&picture(&sights(), &tally));
        assert_eq!(
            line,
            "  5.5s  outage: swift answers 503 to everything | swift open 5 %, steady closed 70 %, \
             thrifty ramp 25 % | answered 60, recovered 3, cut 0, failed 0 | 12.0 requests/s"
        );
    }

    #[test]
    fn the_block_names_the_trouble_and_every_provider() {
        let (sights, tally) = (sights(), Tally::default());
        let lines = block(&picture(&sights, &tally));
        let text: Vec<String> = lines.iter().map(|line| line.render(200, false)).collect();
        let text = text.join("\n");
        for wanted in [
            "0:05 of 0:30",
            "▶ outage",
            "swift answers 503",
            "swift    open       █░",
            "steady   closed     ██████████████░░░░░░",
            "failed 0",
        ] {
            assert!(text.contains(wanted), "{wanted}\n{text}");
        }
        assert!(!text.contains('\x1b'));
    }

    #[test]
    fn colour_marks_the_broken_and_a_narrow_terminal_wraps_nothing() {
        let (sights, tally) = (sights(), Tally::default());
        for line in block(&picture(&sights, &tally)) {
            assert!(line.render(40, false).chars().count() <= 40);
        }
        let lines = block(&picture(&sights, &tally));
        assert!(lines[4].render(80, true).starts_with("\x1b[1;31mswift"));
    }
}
