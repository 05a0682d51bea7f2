//! Owns one send to one candidate: its phase and which deadline runs. Must never decide what follows.

use crate::core::catalog::EndpointIx;
use crate::core::exchange::deadlines::{Deadlines, TAIL};
use crate::core::exchange::input::{AttemptId, Usage};
use crate::core::exchange::record::Gaps;
use crate::core::health::{Kind, Mark};
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
    /// What the endpoint had been sent by then.
    pub(crate) mark: Mark,
    pub(crate) deadlines: Deadlines,
    pub(crate) started: Time,
    /// When the connection was asked for.
    pub(crate) connecting: Time,
    /// When the connection stood.
    pub(crate) connected: Option<Time>,
    /// When the whole request was written.
    pub(crate) sent: Option<Time>,
    /// When the answer's head came.
    pub(crate) head: Option<Time>,
    /// The request ran out of time before the attempt did: its end says nothing about the endpoint.
    pub(crate) blameless: bool,
    /// Events with content so far.
    pub(crate) contents: u32,
    /// Health knows its speed.
    pub(crate) measured: bool,
    /// It is among those whom health knows to wait for a first token.
    pub(crate) awaiting: bool,
    pub(crate) watch: Watch,
    /// The silence that it noticed first tripped the endpoint.
    pub(crate) tripped: bool,
    /// When the first content came.
    pub(crate) first_content: Option<Time>,
    pub(crate) last_content: Time,
    pub(crate) gaps: Gaps,
    /// When every choice had its finish reason.
    pub(crate) finished: Option<Time>,
    pub(crate) usage: Option<Usage>,
}

/// What an attempt does about silence before its own deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watch {
    /// Nothing: content came, or too little is known to judge.
    Off,
    /// Asks then whether others wait in vain too.
    Listen(Time),
    /// Leaves for another candidate then, if there is one.
    Leave(Time),
    /// Tells then how fast the stream is.
    Measure(Time),
}

impl Watch {
    /// When there is something to do.
    pub(crate) fn at(self) -> Time {
        match self {
            Watch::Off => Time::NEVER,
            Watch::Listen(at) | Watch::Leave(at) | Watch::Measure(at) => at,
        }
    }
}

/// Fewer events with content than this say little about a stream's speed (routing-algorithm 3.2).
const ENOUGH: u32 = 20;

/// A deadline that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) at: Time,
    pub(crate) late: Late,
    /// It is the request that runs out of time, not the attempt: the endpoint may be healthy.
    pub(crate) of_request: bool,
}

impl Due {
    fn of_attempt(at: Time, late: Late) -> Self {
        Self {
            at,
            late,
            of_request: false,
        }
    }
}

/// The limits that a request sets to all its attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RequestLimits {
    pub(crate) started: Time,
    /// No first token is waited for beyond it.
    pub(crate) latest_first: Time,
}

impl Attempt {
    /// Events with content a second behind the first, where there are enough to tell.
    pub(crate) fn rate(&self) -> Option<f32> {
        let streamed = self.last_content.seconds_since(self.first_content?);
        let enough = self.contents >= ENOUGH && streamed > 0.0;
        enough.then(|| (self.contents - 1) as f32 / streamed)
    }

    /// Tokens that the upstream counted for each event with content; hidden reasoning came in none.
    pub(crate) fn per_event(&self) -> Option<f32> {
        let usage = self.usage.filter(|_| self.contents >= ENOUGH)?;
        let shown = usage
            .completion_tokens
            .saturating_sub(usage.reasoning_tokens);
        (shown > 0).then(|| shown as f32 / self.contents as f32)
    }

    /// Begins anew on another connection.
    pub(crate) fn reconnect(&mut self, now: Time) {
        self.connecting = now;
        self.connected = None;
        self.sent = None;
    }

    /// The deadline that runs now.
    pub(crate) fn due(&self, kind: Kind, limits: RequestLimits) -> Due {
        let own = self.own_due(kind);
        let total = limits.started + self.deadlines.total;
        let waits_for_first = own.late == Late::FirstToken && limits.latest_first < total;
        let (limit, late) = match waits_for_first {
            true => (limits.latest_first, Late::FirstToken),
            false => (total, Late::Total),
        };
        if own.at <= limit {
            return own;
        }
        Due {
            at: limit,
            late,
            of_request: !self.had_its_chance(limit, own.at),
        }
    }

    /// The limits that hold even while bytes keep coming: those on the wait for a first token or a whole
    /// answer, and the request's total. Silence between contents is over when one comes.
    pub(crate) fn hard_due(&self, kind: Kind, limits: RequestLimits) -> Due {
        let due = self.due(kind, limits);
        match due.late {
            Late::FirstToken | Late::Answer | Late::Total => due,
            Late::Connect | Late::Idle => Due {
                at: limits.started + self.deadlines.total,
                late: Late::Total,
                of_request: true,
            },
        }
    }

    fn own_due(&self, kind: Kind) -> Due {
        let Some(sent) = self.sent else {
            return match self.connected.is_some() {
                // While the request is being written the upstream's pace decides, under a limit for each write.
                true => Due::of_attempt(Time::NEVER, Late::Idle),
                false => Due::of_attempt(self.connecting + self.deadlines.connect, Late::Connect),
            };
        };
        match (kind, self.first_content, self.finished) {
            (_, _, Some(finished)) => Due::of_attempt(finished + TAIL, Late::Idle),
            (Kind::Json, _, None) => Due::of_attempt(sent + self.deadlines.answer, Late::Answer),
            (Kind::Stream, None, None) => {
                Due::of_attempt(sent + self.deadlines.answer, Late::FirstToken)
            }
            (Kind::Stream, Some(_), None) => {
                Due::of_attempt(self.last_content + self.deadlines.idle, Late::Idle)
            }
        }
    }

    /// Whether an attempt that waits for its first token was silent for at least a third of what it would
    /// have been given. Without that rule a policy's short `deadline` would hide every silent endpoint.
    fn had_its_chance(&self, limit: Time, own: Time) -> bool {
        let Some(sent) = self.sent.filter(|_| self.first_content.is_none()) else {
            return false;
        };
        limit.since(sent) * 3 >= own.since(sent)
    }
}
