//! The pure floor: names, time, verdicts, the catalogue, policies, health, plans and exchanges. In reading
//! order: `names`, `time`, `nearest`, `outcome`, `quota`, `timeouts`, `catalog`, `policy`, `sticky`, `health`, `plan`,
//! `exchange`, `drift`, `explain`.
//! Must never read a clock, draw its own randomness, do I/O, or know a wire format.

pub mod names;
pub mod time;
pub mod nearest;
pub mod outcome;
pub mod quota;
pub mod timeouts;
pub mod catalog;
pub mod policy;
pub mod sticky;
pub mod health;
pub mod plan;
pub mod exchange;
pub mod drift;
pub mod explain;
#[cfg(test)]
pub(crate) mod fixture;
