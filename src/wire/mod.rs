//! The wire floor: what bytes mean. In reading order: `sse`, `rope`, `splice`, `retry_after`,
//! `rate_headers`, `client_error`, `json`, `error_facts` (an upstream's error read), `path_segment`, `call_input`, `hub` (what all dialects can be
//! read into) and `dialect` (the faces they have), `event_stream` (AWS's framing), `client_request` (what is read of every
//! client's request), then one folder a dialect, `openai` the first, and `dialects` (the table of them).
//!
//! A dialect reads requests, stream events, answers and errors of one format, fills `core`'s types from
//! them, and writes that format's errors. Where both sides speak the same dialect, bodies and events are
//! spliced, never parsed and written again: a byte that no rule names is passed on as it came.
//!
//! Must never do I/O, wait, read a clock, draw randomness, or know a provider's name.

pub mod sse;
pub mod rope;
pub mod splice;
pub mod retry_after;
pub mod rate_headers;
pub mod client_error;
mod json;
pub mod error_facts;
pub mod path_segment;
pub mod call_input;
pub mod hub;
pub mod dialect;
pub mod event_stream;
pub mod client_request;
pub mod openai;
pub mod anthropic;
pub mod responses;
pub mod gemini;
pub mod bedrock;
pub mod cohere;
pub mod dialects;

#[cfg(test)]
mod recorded;
#[cfg(test)]
mod property;
#[cfg(test)]
mod recorded_tests;
