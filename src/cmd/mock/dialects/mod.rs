//! Owns the formats of other providers as the mock speaks them: Responses, Messages, Gemini, Converse, Cohere. A request
//! is read strictly into what it means (`understood`), an answer is planned from that alone (`plan`), and each dialect
//! writes the plan down in its own words, its errors too. `chat` judges; most of its answers are in `cmd/mock/chat`.
//! Must never use what Mainstay translates by: two readers that share a mistake agree on it.
//!
//! In reading order: `understood`, `plan` (with `sample` and `seal`), `refused` and `shape` (strict reading), `trouble`,
//! `frames`, then a dialect: its request and errors, its `rules`, its `answer`; at last `exchange`.

mod anthropic;
mod bedrock;
mod chat;
mod cohere;
mod exchange;
mod frames;
mod gemini;
mod plan;
mod refused;
mod responses;
mod route;
mod sample;
mod seal;
mod shape;
mod trouble;
mod understood;

pub(crate) use exchange::Exchange;
pub(crate) use frames::{Frame, Mark};
pub(crate) use plan::Told;
pub(crate) use refused::Refused;
pub(crate) use route::Route;
pub(crate) use trouble::Trouble;
pub(crate) use understood::{Understood, sha256};
