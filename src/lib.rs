//! Mainstay: a resilience layer for AI traffic on Pingora.

pub mod core;
pub mod wire;
pub mod config;
pub mod edge;
pub mod cmd;
