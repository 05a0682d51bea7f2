//! Owns what happened in a run, before anything is reckoned from it. Must never judge.

/// Everything that happened. Times are seconds from the scenario's start.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Ledger {
    /// In the order they ended.
    pub(super) requests: Vec<Request>,
    /// In the order they began.
    pub(super) attempts: Vec<Sent>,
    /// Every trip of an endpoint: when the attempt behind it began, and when it tripped.
    pub(super) trips: Vec<Trip>,
    /// Attempts that left an endpoint which was silent towards all.
    pub(super) evacuated: usize,
}

/// One request at its end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Request {
    pub(super) arrived: f64,
    /// Position of the model that was asked for.
    pub(super) model: usize,
    /// It was the caller's error.
    pub(super) faulty: bool,
    /// Answered whole.
    pub(super) answered: bool,
    pub(super) attempts: usize,
    /// From the arrival to the first token.
    pub(super) first_token: Option<f64>,
    /// From the first token to the end.
    pub(super) streamed: f64,
    /// From the arrival to the end.
    pub(super) took: f64,
    /// Spent in attempts that failed.
    pub(super) lost: f64,
    /// Of all its attempts that anyone would be billed for.
    pub(super) price: f64,
}

/// An attempt that began.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sent {
    pub(super) at: f64,
    pub(super) endpoint: usize,
    /// It was one too many: 429.
    pub(super) limited: bool,
}

/// An endpoint was taken out of rotation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Trip {
    pub(super) endpoint: usize,
    pub(super) attempt_began: f64,
    pub(super) at: f64,
}
