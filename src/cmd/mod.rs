//! The process floor: each verb of the command line in its own room. In reading order: `mock`.
//! Must never be named by any other floor.

pub mod mock;
