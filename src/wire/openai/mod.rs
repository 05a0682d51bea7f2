//! OpenAI Chat Completions, with the older completions and embeddings, the same dialect on both sides: bodies
//! and events are spliced, never written again. In reading order:
//! `request`, `shape` (what answers and events share), `stream`, `answer`, `write` (our own errors), `probe` (our own requests),
//! `hub` (the same chat where the other side speaks another dialect).
//! Must never change a byte that no rule names: the model, router-only fields, the usage option.

pub mod request;
mod shape;
pub mod stream;
pub mod answer;
pub mod write;
pub mod probe;
pub mod hub;

#[cfg(test)]
mod recorded_tests;
