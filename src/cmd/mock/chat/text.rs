//! Owns the older completions' format: the text of each event and of a whole answer.
//! Must never tell more than chat does: the tokens are the same.

use std::fmt::Write as _;

use bytes::Bytes;

use super::{Event, Telling, quoted};

// === impl Telling ===

impl Telling {
    /// The bytes of an event of one choice, its blank line included.
    pub(super) fn text_chunk(&self, choice: u32, event: &Event) -> Bytes {
        let (text, finish) = match event {
            Event::Piece { index, .. } => (self.piece(*index), "null"),
            Event::Finish { .. } => ("", "\"stop\""),
            Event::Role { .. } | Event::Usage | Event::Done | Event::Raw(_) | Event::Frame(_) => {
                ("", "null")
            }
        };
        let prefix = self.prefix("text_completion");
        let usage = match self.include_usage {
            true => ",\"usage\":null",
            false => "",
        };
        let choice = choice_of(choice, text, finish);
        format!("data: {prefix}\"choices\":[{choice}]{usage}}}\n\n").into()
    }

    /// The whole answer as one JSON body.
    pub(super) fn text_json(&self) -> Bytes {
        let text = self.pieces.concat();
        let choices: Vec<_> = (0..self.choices)
            .map(|choice| choice_of(choice, &text, "\"stop\""))
            .collect();
        let mut body = self.prefix("text_completion");
        let _ = write!(body, "\"choices\":[{}]", choices.join(","));
        if self.usage {
            let _ = write!(body, ",\"usage\":{}", self.usage());
        }
        body.push('}');
        body.into()
    }

    fn piece(&self, index: u32) -> &str {
        let at = usize::try_from(index).unwrap_or(usize::MAX);
        self.pieces.get(at).map_or("", String::as_str)
    }
}

fn choice_of(index: u32, text: &str, finish: &str) -> String {
    let text = quoted(text);
    format!("{{\"text\":{text},\"index\":{index},\"logprobs\":null,\"finish_reason\":{finish}}}")
}
