//! Owns the deadlines of an attempt as they are written at each level, and the built-in ones. Must never learn.

use std::time::Duration;

/// Connect, where nothing is written (surface, "Built in").
pub const CONNECT: Duration = Duration::from_secs(2);
/// A whole JSON answer, where nothing is written or learnt.
pub const ANSWER: Duration = Duration::from_secs(120);
/// Silence between contents, where nothing is written.
pub const IDLE: Duration = Duration::from_secs(20);
/// The whole exchange, where nothing is written.
pub const TOTAL: Duration = Duration::from_secs(600);

/// Deadlines as written at one level; an absent field is decided by the next level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeoutSettings {
    pub connect: Option<Duration>,
    /// Send done to the first content event of a stream.
    pub first_token: Option<Duration>,
    /// Send done to the last byte of a JSON answer.
    pub answer: Option<Duration>,
    /// Silence between content events.
    pub idle: Option<Duration>,
    /// The whole exchange.
    pub total: Option<Duration>,
}

impl TimeoutSettings {
    /// Fills what is absent here from a less specific level.
    #[must_use]
    pub fn or(self, general: TimeoutSettings) -> TimeoutSettings {
        TimeoutSettings {
            connect: self.connect.or(general.connect),
            first_token: self.first_token.or(general.first_token),
            answer: self.answer.or(general.answer),
            idle: self.idle.or(general.idle),
            total: self.total.or(general.total),
        }
    }
}
