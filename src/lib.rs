//! Mainstay is a resilience layer for AI traffic, built on Pingora: many providers, keys and models behind one
//! endpoint that stays up. It chooses a route by live health, price and speed, recovers before the first token
//! when a route fails, and moves later traffic away from what failed.
//!
//! # The house
//!
//! Five floors; arrows point down only (`tests/layering.rs` holds the list and fails on any other).
//!
//! | floor | what it is | rooms, in reading order |
//! |---|---|---|
//! | [`cmd`] | the process: verbs, services, signals, reload, drain | `cli process listen handover reload shutdown client`, then one a verb |
//! | [`edge`] | sockets, clocks, files | `clock sparing lifecycle dns auth sign tls balance peer outside google tokens token_keeper routes probe template conversations generation telemetry checks exporter planning explain proxy prober front admin plugin` |
//! | [`config`] | YAML to a validated snapshot, with every finding | `snapshot`, then the steps |
//! | [`wire`] | what bytes mean; pure | `sse rope splice retry_after rate_headers client_error openai` |
//! | [`core`] | what is decided; pure | `names time nearest outcome quota timeouts catalog policy sticky health plan exchange drift explain` |
//!
//! # As a plugin
//!
//! [`Mainstay`] adds all of it to an existing Pingora proxy with one call in its `request_filter`; the example
//! `embed` shows a whole host. [`edge::balance`] alone is a health-weighted selection for Pingora's own load
//! balancer; the example `balancer` uses nothing else.
//!
//! # One request
//!
//! 1. [`edge::proxy`] takes the key, the one [`edge::generation::Generation`] that this request will see, and the body.
//! 2. [`wire::openai`] scans it once: facts for routing, spans for the splice.
//! 3. [`core::plan`] lists the candidates: the model's endpoints, then those of its chain.
//! 4. [`core::exchange`] says which candidate is next, what to hold, when to commit, and what a failure leads to. It
//!    does no I/O and reads no clock, so every failover story is a short test under virtual time.
//! 5. The driver relays whole events as they complete. What broke before the first content is answered by the next
//!    candidate; what broke after it ends in a typed error, never in a clean end.
//! 6. One [`core::exchange::Record`] goes to metrics and the access log; [`core::health`] has learnt on the way.

pub mod core;
pub mod wire;
pub mod config;
pub mod edge;
pub mod cmd;

pub use edge::plugin::Mainstay;
