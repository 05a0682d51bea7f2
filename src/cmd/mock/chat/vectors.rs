//! Owns the format of embeddings: vectors of ones, as numbers or in base64, the model and the usage behind them.
//! Must never stream.

use bytes::Bytes;

use super::{Telling, quoted};

/// Numbers of a vector where the request does not say how many.
const DIMENSIONS: u32 = 8;
/// The most that are written, whatever it says.
const MOST_DIMENSIONS: u32 = 100_000;

/// What a request says of the vectors it wants.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Vectors {
    pub(super) count: u32,
    pub(super) dimensions: Option<u32>,
    pub(super) base64: bool,
}

// === impl Telling ===

impl Telling {
    /// The whole answer as one JSON body.
    pub(super) fn vectors_json(&self) -> Bytes {
        let vector = self.vectors.vector();
        let data: Vec<_> = (0..self.vectors.count)
            .map(|index| {
                format!("{{\"object\":\"embedding\",\"index\":{index},\"embedding\":{vector}}}")
            })
            .collect();
        let (data, model, tokens) = (data.join(","), quoted(&self.model), self.prompt_tokens);
        let usage = match self.usage {
            true => {
                format!(",\"usage\":{{\"prompt_tokens\":{tokens},\"total_tokens\":{tokens}}}")
            }
            false => String::new(),
        };
        format!("{{\"object\":\"list\",\"data\":[{data}],\"model\":{model}{usage}}}").into()
    }
}

// === impl Vectors ===

impl Vectors {
    fn vector(self) -> String {
        let dimensions = self.dimensions.unwrap_or(DIMENSIONS).min(MOST_DIMENSIONS);
        let dimensions = usize::try_from(dimensions).unwrap_or(0);
        if !self.base64 {
            return format!("[{}]", vec!["1.0"; dimensions].join(","));
        }
        // Three floats of 1.0 in base64, and what is left over.
        let whole = "AACAPwAAgD8AAIA/".repeat(dimensions / 3);
        let rest = ["", "AACAPw==", "AACAPwAAgD8="][dimensions % 3];
        quoted(&(whole + rest))
    }
}
