//! Mainstay: a resilience layer for AI traffic on Pingora.

pub mod config;
pub mod core;
pub mod wire;
