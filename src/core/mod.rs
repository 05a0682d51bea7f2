//! The pure floor: names, time, verdicts, the catalogue, policies, health, plans and exchanges. In reading
//! order: `names`, `time`, `outcome`, `catalog`, `policy`, `health`, `plan`, `exchange`.
//! Must never read a clock, draw its own randomness, do I/O, or know a wire format.

pub mod catalog;
pub mod exchange;
pub mod health;
pub mod names;
pub mod outcome;
pub mod plan;
pub mod policy;
pub mod time;
