//! Owns how the demo looks while it runs: a block that is redrawn in a terminal, a line at a time elsewhere.
//! Must never measure anything, or show what was not counted.

use std::time::Duration;

use crate::cmd::demo::recent::WINDOW;
use crate::cmd::demo::schedule::{PHASES, Phase};
use crate::cmd::demo::stage::{PROVIDERS, Provider, Sight};
use crate::cmd::demo::tally::Tally;
use crate::cmd::demo::text::{Line, Style, duration, maybe, minutes};
use crate::core::health::State;

/// Cells of a whole bar.
const BAR: usize = 16;

/// The moment that is shown.
#[derive(Debug)]
pub(crate) struct Picture<'a> {
    pub(crate) passed: Duration,
    /// `None` where the incident repeats.
    pub(crate) length: Option<Duration>,
    pub(crate) phase: usize,
    pub(crate) sights: &'a [Sight],
    /// Of the recent attempts, in percent.
    pub(crate) shares: [u64; PROVIDERS.len()],
    pub(crate) rate: f64,
    pub(crate) tally: &'a Tally,
}

/// The block for a terminal.
pub(crate) fn block(picture: &Picture<'_>) -> Vec<Line> {
    let mut lines = vec![title(picture), timeline(picture), Line::default()];
    lines.push(heading());
    for (at, (provider, sight)) in PROVIDERS.iter().zip(picture.sights).enumerate() {
        let is_broken = is_broken(picture.phase, at);
        lines.push(endpoint(provider, sight, picture.shares[at], is_broken));
    }
    lines.push(Line::default());
    lines.extend(clients(picture));
    lines
}

/// The line for a log.
pub(crate) fn plain(picture: &Picture<'_>) -> String {
    let tally = picture.tally;
    let providers = PROVIDERS.iter().zip(picture.sights).zip(picture.shares);
    let providers: Vec<String> = providers
        .map(|((provider, sight), share)| {
            format!("{} {} {share} %", provider.name, name(sight.state))
        })
        .collect();
    format!(
        "{:>5.1}s  {} | {} | answered {}, recovered {}, cut {}, failed {} | {:.1} requests/s",
        picture.passed.as_secs_f64(),
        PHASES[picture.phase].describe(),
        providers.join(", "),
        tally.answered,
        tally.recovered,
        tally.cut,
        tally.failed,
        picture.rate
    )
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
    let share = format!("attempts, last {} s", WINDOW.as_secs());
    Line::default().with(
        Style::Dim,
        format!(
            "{:<8} {:<9} {share:<22} {:>6} {:>11} {:>9} {:>5}",
            "provider", "breaker", "health", "first token", "in flight", "$/1M"
        ),
    )
}

fn endpoint(provider: &Provider, sight: &Sight, share: u64, is_broken: bool) -> Line {
    let state = match sight.state {
        State::Closed => Style::Good,
        State::HalfOpen | State::Ramp => Style::Warn,
        State::Open => Style::Bad,
    };
    let provider_style = if is_broken { Style::Bad } else { Style::Bold };
    let (full, empty) = bar(share);
    let numbers = format!(
        " {share:>3} % {:>4.0} % {:>11} {:>9} {:>5.2}",
        sight.health * 100.0,
        maybe(sight.first_token),
        sight.in_flight,
        provider.price
    );
    Line::default()
        .with(provider_style, format!("{:<8} ", provider.name))
        .with(state, format!("{:<9} ", name(sight.state)))
        .with(state, full)
        .with(Style::Dim, empty)
        .with(Style::Plain, numbers)
}

fn bar(share: u64) -> (String, String) {
    let share = usize::try_from(share.min(100)).unwrap_or_default();
    let full = (share * BAR + 50) / 100;
    ("█".repeat(full), "░".repeat(BAR - full))
}

fn clients(picture: &Picture<'_>) -> [Line; 3] {
    let tally = picture.tally;
    let failed = match tally.failed {
        0 => Style::Good,
        _ => Style::Bad,
    };
    let rest = format!(
        "cut with a typed error {}   {:.0} requests/s",
        tally.cut, picture.rate
    );
    let first = format!(
        "         first token {} at the median, {} at p95",
        maybe(tally.first_tokens.percentile(50)),
        maybe(tally.first_tokens.percentile(95))
    );
    let answered = format!("answered {}   ", tally.answered);
    [
        Line::default()
            .with(Style::Bold, "clients  ")
            .with(Style::Plain, answered)
            .with(failed, format!("failed {}   ", tally.failed))
            .with(Style::Plain, rest),
        recovered(tally),
        first.into(),
    ]
}

fn recovered(tally: &Tally) -> Line {
    let lost = tally.lost.percentile(50).zip(tally.lost.percentile(100));
    let cost = lost.map_or_else(String::new, |(half, most)| {
        let (half, most) = (duration(half), duration(most));
        format!(", losing {half} at the median, {most} at most")
    });
    format!("         recovered {}{cost}", tally.recovered).into()
}

fn is_broken(phase: usize, provider: usize) -> bool {
    PHASES[phase]
        .trouble
        .is_some_and(|(broken, _)| broken == provider)
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
            shares: [5, 70, 25],
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
            "swift    open      █░",
            "steady   closed    ███████████░░░░░",
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
            let whole = line.render(200, false);
            assert!(whole.chars().count() < 80, "{whole}");
            assert!(line.render(40, false).chars().count() <= 40);
        }
        let lines = block(&picture(&sights, &tally));
        assert!(lines[4].render(80, true).starts_with("\x1b[1;31mswift"));
    }
}
