//! Owns one send to one candidate: its phase and which deadline runs. Must never decide what follows.

use crate::core::catalog::EndpointIx;
use crate::core::exchange::deadlines::{Deadlines, TAIL};
use crate::core::exchange::input::{AttemptId, Usage};
use crate::core::health::Kind;
use crate::core::outcome::Late;
use crate::core::time::Time;

/// An attempt under way.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Attempt {
    pub(crate) id: AttemptId,
    pub(crate) endpoint: EndpointIx,
    /// Which model of the plan it is for.
    pub(crate) leg: usize,
    pub(crate) probe: bool,
    pub(crate) deadlines: Deadlines,
    pub(crate) started: Time,
    pub(crate) connected: bool,
    /// When the whole request was written.
    pub(crate) sent: Option<Time>,
    /// When the first content came.
    pub(crate) first_content: Option<Time>,
    pub(crate) last_content: Time,
    /// When every choice had its finish reason.
    pub(crate) finished: Option<Time>,
    pub(crate) usage: Option<Usage>,
}

impl Attempt {
    /// The deadline that runs now, and its name. `latest_first`: no first token is waited for beyond it.
    pub(crate) fn deadline(&self, kind: Kind, latest_first: Time) -> (Time, Late) {
        let Some(sent) = self.sent else {
            return match self.connected {
                // While the request is being written the upstream's pace decides, under `idle` for each write.
                true => (Time::NEVER, Late::Idle),
                false => (self.started + self.deadlines.connect, Late::Connect),
            };
        };
        match (kind, self.first_content, self.finished) {
            (_, _, Some(finished)) => (finished + TAIL, Late::Idle),
            (Kind::Json, _, None) => (sent + self.deadlines.answer, Late::Answer),
            (Kind::Stream, None, None) => {
                let own = sent + self.deadlines.answer;
                (own.min(latest_first.max(sent)), Late::FirstToken)
            }
            (Kind::Stream, Some(_), None) => (self.last_content + self.deadlines.idle, Late::Idle),
        }
    }
}
