//! Owns what is said at the end, from the clients' own counters, and the verdict. Must never call a run good
//! that lost a request or that the proxy counted otherwise.

use crate::cmd::demo::exposition::Counts;
use crate::cmd::demo::incident::{Course, Incident};
use crate::cmd::demo::schedule::{PHASES, Phase};
use crate::cmd::demo::stage::PROVIDERS;
use crate::cmd::demo::tally::{Book, Tally};
use crate::cmd::demo::text::{Line, Style, count, duration, maybe};

/// What the proxy's metrics say beside the clients' counters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Agreement {
    Agrees(Counts),
    /// With requests of somebody else's, which only `--serve` asks for.
    AgreesBesideOthers(Counts),
    Differs(Counts),
    Unknown(String),
}

impl Agreement {
    /// Compares; `shared`: others may have called too.
    pub(crate) fn of(read: anyhow::Result<Counts>, tally: &Tally, shared: bool) -> Self {
        let ours = Counts::of(tally);
        match read {
            Ok(counts) if counts == ours => Self::Agrees(counts),
            Ok(counts) if shared && counts.covers(&ours) => Self::AgreesBesideOthers(counts),
            Ok(counts) => Self::Differs(counts),
            Err(error) => Self::Unknown(format!("{error:#}")),
        }
    }

    fn holds(&self) -> bool {
        match self {
            Agreement::Agrees(_) | Agreement::AgreesBesideOthers(_) => true,
            Agreement::Differs(_) | Agreement::Unknown(_) => false,
        }
    }

    fn line(&self) -> Line {
        let counted = |counts: &Counts| {
            format!(
                "answered {}, failed or cut {}, recovered {}",
                counts.answered, counts.failed, counts.recovered
            )
        };
        match self {
            Agreement::Agrees(counts) => {
                let text = format!("/metrics agrees: {}", counted(counts));
                Line::default().with(Style::Good, text)
            }
            Agreement::AgreesBesideOthers(counts) => {
                let text = format!(
                    "/metrics agrees, your own requests included: {}",
                    counted(counts)
                );
                Line::default().with(Style::Good, text)
            }
            Agreement::Differs(counts) => {
                let text = format!("/metrics DISAGREES: {}", counted(counts));
                Line::default().with(Style::Bad, text)
            }
            Agreement::Unknown(why) => {
                let text = format!("/metrics could not be compared: {why}");
                Line::default().with(Style::Bad, text)
            }
        }
    }
}

/// Whether the run was good: nothing failed, and the proxy counted the same.
pub(crate) fn is_good(tally: &Tally, agreement: &Agreement) -> bool {
    tally.failed == 0 && agreement.holds()
}

/// The lines at the end.
pub(crate) fn lines(book: &Book, incidents: &[Incident], agreement: &Agreement) -> Vec<Line> {
    let mut lines = vec![Line::default(), outcome(&book.all)];
    for reason in &book.all.reasons {
        lines.push(Line::default().with(Style::Bad, format!("  failed: {reason}")));
    }
    lines.push(Line::default());
    lines.extend(heading());
    let seen = PHASES.iter().zip(&book.phases);
    lines.extend(
        seen.filter(|(_, tally)| tally.total() > 0)
            .map(|(phase, tally)| row(phase, tally)),
    );
    lines.push(Line::default());
    for incident in incidents {
        lines.extend(incident.course().map(|course| story(incident, &course)));
    }
    lines.push(agreement.line());
    lines
}

fn outcome(tally: &Tally) -> Line {
    let failed = match tally.failed {
        0 => Style::Good,
        _ => Style::Bad,
    };
    let asked = count(tally.total(), "request");
    Line::default()
        .with(Style::Bold, format!("{asked}: "))
        .with(Style::Plain, format!("{} answered whole, ", tally.answered))
        .with(
            Style::Plain,
            format!("{} of them recovered, ", tally.recovered),
        )
        .with(
            Style::Plain,
            format!("{} cut with a typed error, ", tally.cut),
        )
        .with(failed, format!("{} failed", tally.failed))
}

fn heading() -> [Line; 2] {
    let about = "first: a stream's first token as its client saw it; lost: by a recovered request";
    let columns = format!(
        "{:<19} {:>5} {:>9} {:>6} {:>9} {:>8} {:>6} {:>3} {:>6}",
        "phase", "asked", "first p50", "p95", "recovered", "lost p50", "most", "cut", "failed"
    );
    [about.to_owned(), columns].map(|text| Line::default().with(Style::Dim, text))
}

fn row(phase: &Phase, tally: &Tally) -> Line {
    let first = &tally.first_tokens;
    format!(
        "{:<19} {:>5} {:>9} {:>6} {:>9} {:>8} {:>6} {:>3} {:>6}",
        phase.name,
        tally.total(),
        maybe(first.percentile(50)),
        maybe(first.percentile(95)),
        tally.recovered,
        maybe(tally.lost.percentile(50)),
        maybe(tally.lost.percentile(100)),
        tally.cut,
        tally.failed,
    )
    .into()
}

fn story(incident: &Incident, course: &Course) -> Line {
    let name = PROVIDERS[incident.provider].name;
    let diverted = match course.tripped_after {
        Some(after) => format!(
            "taken out after {} and {}, {} more until the repair",
            duration(after),
            count(course.before, "request"),
            course.since
        ),
        None => format!(
            "{} reached it, too few to take it out",
            count(course.before, "request")
        ),
    };
    let returned = match course.returned_after {
        Some(after) => format!("answering again {} after it", duration(after)),
        None => "no answer from it since".to_owned(),
    };
    format!(
        "{name} {}: {diverted}; {returned}",
        incident.trouble.as_str()
    )
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally() -> Tally {
        Tally {
            answered: 10,
            cut: 1,
            recovered: 2,
            ..Tally::default()
        }
    }

    fn counts(answered: u64) -> Counts {
        Counts {
            answered,
            failed: 1,
            recovered: 2,
        }
    }

    #[test]
    fn a_run_is_good_only_when_the_counts_agree_and_nothing_failed() {
        let agrees = Agreement::of(Ok(counts(10)), &tally(), false);
        assert!(is_good(&tally(), &agrees));
        let failed = Tally {
            failed: 1,
            ..tally()
        };
        assert!(!is_good(&failed, &agrees));
        for answered in [9, 11] {
            let differs = Agreement::of(Ok(counts(answered)), &tally(), false);
            assert!(!is_good(&tally(), &differs), "{answered}");
        }
        let unknown = Agreement::of(Err(anyhow::anyhow!("no answer")), &tally(), false);
        assert!(!is_good(&tally(), &unknown));
    }

    #[test]
    fn requests_of_others_are_allowed_only_where_they_were_asked_for() {
        let more = Agreement::of(Ok(counts(11)), &tally(), true);
        assert!(is_good(&tally(), &more));
        let fewer = Agreement::of(Ok(counts(9)), &tally(), true);
        assert!(!is_good(&tally(), &fewer));
    }

    #[test]
    fn the_summary_says_what_was_counted() {
        let mut book = Book {
            all: tally(),
            ..Book::default()
        };
        book.phases[1] = tally();
        let agreement = Agreement::of(Ok(counts(10)), &book.all, false);
        let lines = lines(&book, &[], &agreement);
        let text: Vec<String> = lines.iter().map(|line| line.render(200, false)).collect();
        let text = text.join("\n");
        assert!(text.contains(
            "11 requests: 10 answered whole, 2 of them recovered, 1 cut with a typed error, 0 failed"
        ));
        assert!(text.contains("/metrics agrees: answered 10, failed or cut 1, recovered 2"));
        assert!(text.contains("outage"));
        assert!(!text.contains("black hole"), "a phase that was not reached");
    }
}
