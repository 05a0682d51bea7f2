//! Owns the incident: which provider breaks how, and when. Must never break anything itself, or hold a time
//! that does not follow from the length of the run.

use std::time::Duration;

use crate::cmd::demo::stage::{STEADY, SWIFT};

/// The length that the shares and timings below were tuned at.
pub(crate) const USUAL_LENGTH: Duration = Duration::from_secs(30);

/// What a provider does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// 503 at once.
    Refuses,
    /// Accepts and never answers.
    Hangs,
    /// Ends every answer in the middle.
    Cuts,
}

/// One part of the incident.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Phase {
    pub(crate) name: &'static str,
    /// Who is broken, and how; `None` while everybody is well.
    pub(crate) trouble: Option<(usize, Trouble)>,
    /// Parts of the whole, `PARTS` in all.
    parts: u32,
}

const PARTS: u32 = 30;

/// The incident, in order.
pub(crate) const PHASES: [Phase; 7] = [
    well("all well", 4),
    broken("outage", SWIFT, Trouble::Refuses, 5),
    well("swift is back", 3),
    broken("black hole", STEADY, Trouble::Hangs, 5),
    well("steady is back", 4),
    broken("cut streams", SWIFT, Trouble::Cuts, 4),
    well("swift is back again", 5),
];

/// The phases laid over a length of time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    pub(crate) length: Duration,
    pub(crate) repeats: bool,
}

const fn well(name: &'static str, parts: u32) -> Phase {
    Phase {
        name,
        trouble: None,
        parts,
    }
}

const fn broken(name: &'static str, provider: usize, trouble: Trouble, parts: u32) -> Phase {
    Phase {
        name,
        trouble: Some((provider, trouble)),
        parts,
    }
}

// === impl Trouble ===

impl Trouble {
    /// What it looks like, after the provider's name.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Trouble::Refuses => "answers 503 to everything",
            Trouble::Hangs => "accepts requests and never answers",
            Trouble::Cuts => "breaks off in the middle of every answer",
        }
    }
}

// === impl Schedule ===

impl Schedule {
    /// Which phase it is after so much time; `None` when the run is over.
    pub(crate) fn phase_at(&self, passed: Duration) -> Option<usize> {
        let in_cycle = match self.repeats {
            true => remainder(passed, self.length),
            false => passed,
        };
        let mut end = Duration::ZERO;
        PHASES.iter().position(|phase| {
            end += self.length * phase.parts / PARTS;
            in_cycle < end
        })
    }

    /// How much longer or shorter than usual the run is: the factor of every timing in the demo's file.
    pub(crate) fn scale(&self) -> f64 {
        self.length.as_secs_f64() / USUAL_LENGTH.as_secs_f64()
    }
}

fn remainder(passed: Duration, length: Duration) -> Duration {
    let cycles = passed.as_nanos() / length.as_nanos().max(1);
    let whole = length * u32::try_from(cycles).unwrap_or(u32::MAX);
    passed.saturating_sub(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(seconds: u64, repeats: bool) -> Schedule {
        Schedule {
            length: Duration::from_secs(seconds),
            repeats,
        }
    }

    #[test]
    fn the_parts_are_the_whole() {
        assert_eq!(PHASES.iter().map(|phase| phase.parts).sum::<u32>(), PARTS);
    }

    #[test]
    fn every_incident_is_followed_by_its_repair() {
        for pair in PHASES.windows(2) {
            assert!(pair[0].trouble.is_none() || pair[1].trouble.is_none());
        }
        assert!(PHASES[0].trouble.is_none() && PHASES[PHASES.len() - 1].trouble.is_none());
    }

    #[test]
    fn phases_follow_from_the_length() {
        for (length, passed, expected) in [
            (30, 0, Some(0)),
            (30, 3, Some(0)),
            (30, 4, Some(1)),
            (30, 12, Some(3)),
            (30, 29, Some(6)),
            (30, 30, None),
            (300, 40, Some(1)),
            (300, 299, Some(6)),
        ] {
            let at = schedule(length, false).phase_at(Duration::from_secs(passed));
            assert_eq!(at, expected, "{passed} of {length}");
        }
    }

    #[test]
    fn a_repeating_incident_starts_again() {
        let schedule = schedule(30, true);
        assert_eq!(schedule.phase_at(Duration::from_secs(30)), Some(0));
        assert_eq!(schedule.phase_at(Duration::from_secs(64)), Some(1));
    }
}
