//! Owns how one incident went: when the breaker took the provider out, and when the clients had answers
//! from it again. Must never decide anything.

use std::time::{Duration, Instant};

use crate::cmd::demo::call::{Call, Ending};
use crate::cmd::demo::file::MODEL;
use crate::cmd::demo::schedule::Trouble;
use crate::cmd::demo::stage::{PROVIDERS, Sight};
use crate::core::health::State;

/// One incident, as far as it has gone.
#[derive(Clone, Debug)]
pub(crate) struct Incident {
    pub(crate) provider: usize,
    pub(crate) trouble: Trouble,
    began: Instant,
    arrivals: u64,
    tripped: Option<(Instant, u64)>,
    repaired: Option<(Instant, u64)>,
    returned: Option<Instant>,
}

/// What is to be told of an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Course {
    /// From the first fault to the open breaker.
    pub(crate) tripped_after: Option<Duration>,
    /// Requests that reached the broken provider before that.
    pub(crate) before: u64,
    /// And those that did until the repair: probes, in the main.
    pub(crate) since: u64,
    /// From the repair to the first whole answer that began after it.
    pub(crate) returned_after: Option<Duration>,
}

impl Incident {
    /// The provider breaks now.
    pub(crate) fn begin(provider: usize, trouble: Trouble, sight: &Sight, now: Instant) -> Self {
        Self {
            provider,
            trouble,
            began: now,
            arrivals: sight.arrivals,
            tripped: None,
            repaired: None,
            returned: None,
        }
    }

    /// Looks at the endpoint while the incident lasts.
    pub(crate) fn watch(&mut self, sights: &[Sight], now: Instant) {
        let Some(sight) = sights.get(self.provider) else {
            return;
        };
        let out = matches!(sight.state, State::Open | State::HalfOpen);
        if out && self.tripped.is_none() && self.repaired.is_none() {
            self.tripped = Some((now, sight.arrivals));
        }
    }

    /// The provider works again.
    pub(crate) fn repair(&mut self, sight: &Sight, now: Instant) {
        self.repaired = Some((now, sight.arrivals));
    }

    /// A client is done.
    pub(crate) fn hear(&mut self, call: &Call) {
        let Some((repaired, _)) = self.repaired else {
            return;
        };
        let prefix = format!("{MODEL}@{}/", PROVIDERS[self.provider].name);
        let endpoint = call.endpoint.as_deref().unwrap_or("");
        let works = call.ending == Ending::Answered && endpoint.starts_with(&prefix);
        if works && call.began >= repaired && self.returned.is_none_or(|first| call.ended < first) {
            self.returned = Some(call.ended);
        }
    }

    /// What is to be told, once the provider is repaired.
    pub(crate) fn course(&self) -> Option<Course> {
        let (repaired, arrivals) = self.repaired?;
        let at_trip = self.tripped.map_or(arrivals, |(_, arrivals)| arrivals);
        let after = |from: Instant, to: Instant| to.saturating_duration_since(from);
        Some(Course {
            tripped_after: self.tripped.map(|(at, _)| after(self.began, at)),
            before: at_trip.saturating_sub(self.arrivals),
            since: arrivals.saturating_sub(at_trip),
            returned_after: self.returned.map(|at| after(repaired, at)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sight(state: State, arrivals: u64) -> Sight {
        Sight {
            state,
            arrivals,
            ..Sight::default()
        }
    }

    #[test]
    fn an_incident_is_told_from_its_begin_to_the_first_answer_after_the_repair() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut incident = Incident::begin(0, Trouble::Refuses, &sight(State::Closed, 100), at(0));
        incident.watch(&[sight(State::Closed, 102)], at(100));
        incident.watch(&[sight(State::Open, 103)], at(200));
        incident.watch(&[sight(State::HalfOpen, 104)], at(900));
        assert_eq!(incident.course(), None);
        incident.repair(&sight(State::Open, 105), at(1000));
        let answered = |began, ended| Call {
            began: at(began),
            ended: at(ended),
            ending: Ending::Answered,
            first_token: None,
            endpoint: Some("demo/pilot@swift/default".to_owned()),
            attempts: 1,
            lost: Duration::ZERO,
        };
        incident.hear(&answered(990, 1010));
        incident.hear(&answered(1400, 1600));
        incident.hear(&answered(1300, 1500));
        let course = incident.course().unwrap();
        assert_eq!(course.tripped_after, Some(Duration::from_millis(200)));
        assert_eq!((course.before, course.since), (3, 2));
        assert_eq!(course.returned_after, Some(Duration::from_millis(500)));
    }
}
