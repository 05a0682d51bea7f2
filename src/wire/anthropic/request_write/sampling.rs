//! Owns how the next token is drawn, as far as a model lets it be told. Must never send a value that is the default: the newest
//! models refuse any other.

use crate::wire::anthropic::generation::{Generation, Sampling};
use crate::wire::hub::Request;

/// The least `top_p` beside thinking (extended thinking, feature compatibility).
const LEAST_TOP_P: f64 = 0.95;

/// Sampling as far as it is sent.
#[derive(Default)]
pub(super) struct Drawn {
    pub(super) temperature: Option<f64>,
    pub(super) top_p: Option<f64>,
    pub(super) top_k: Option<u64>,
    pub(super) lost: Vec<&'static str>,
}

// === impl Drawn ===

impl Drawn {
    pub(super) fn of(request: &Request, generation: Generation, thinks: bool) -> Self {
        let asked = &request.sampling;
        let mut drawn = Self::default();
        let takes = generation.sampling;
        // What every model does by itself needs no word.
        let temperature = asked
            .temperature
            .filter(|it| *it < 1.0 || !thinks && *it > 1.0);
        let top_p = asked.top_p.filter(|it| *it < 1.0);
        match temperature {
            Some(_) if thinks || takes == Sampling::None => drawn.lost.push("temperature"),
            Some(hot) => {
                // Others go up to 2.
                if hot > 1.0 {
                    drawn.lost.push("temperature");
                }
                drawn.temperature = Some(hot.clamp(0.0, 1.0));
            }
            None if asked.temperature.is_some_and(|it| it > 1.0) => drawn.lost.push("temperature"),
            None => {}
        }
        let refused = takes == Sampling::None
            || takes == Sampling::OneOf && drawn.temperature.is_some()
            || thinks && top_p.is_some_and(|it| it < LEAST_TOP_P);
        match top_p {
            Some(_) if refused => drawn.lost.push("top_p"),
            top_p => drawn.top_p = top_p,
        }
        match asked.top_k {
            Some(_) if thinks || takes == Sampling::None => drawn.lost.push("top_k"),
            top_k => drawn.top_k = top_k,
        }
        drawn
    }
}
