//! Owns what a Responses request cannot say. Must never pass over a field of the hub: a new one is a line here or in
//! `request_write`.

use super::request_write::is_replayed;
use crate::wire::dialect::Unsupported;
use crate::wire::hub::{Message, Part, Request, Role, Source};

/// The fields that are left out, or the one without which the answer would not be what was asked for.
///
/// # Errors
/// Sound, several answers, stop sequences (the format has none), and files or images where none can stand.
pub(super) fn losses(request: &Request) -> Result<Vec<&'static str>, Unsupported> {
    if request.choices > 1 {
        return Err(Unsupported("n"));
    }
    if !request.stop.is_empty() {
        return Err(Unsupported("stop"));
    }
    let mut losses = Losses::default();
    for message in &request.messages {
        for part in &message.parts {
            losses.part(message, part)?;
        }
    }
    let marked = request.tools.iter().any(|tool| tool.cache.is_some());
    losses.note_if(marked, "cache_control");
    if let Some(reasoning) = &request.reasoning {
        // It becomes an effort, which is less exact.
        losses.note_if(reasoning.max_tokens.is_some(), "reasoning.max_tokens");
    }
    let sampling = &request.sampling;
    let numbers = [
        (sampling.top_k.is_some(), "top_k"),
        (sampling.min_p.is_some(), "min_p"),
        (sampling.frequency_penalty.is_some(), "frequency_penalty"),
        (sampling.presence_penalty.is_some(), "presence_penalty"),
        (sampling.repetition_penalty.is_some(), "repetition_penalty"),
        (sampling.seed.is_some(), "seed"),
        (sampling.logit_bias.is_some(), "logit_bias"),
        // An answer of the hub has none.
        (request.logprobs.is_some(), "logprobs"),
    ];
    for (lost, name) in numbers {
        losses.note_if(lost, name);
    }
    Ok(losses.0)
}

/// Names, each once.
#[derive(Default)]
struct Losses(Vec<&'static str>);

// === impl Losses ===

impl Losses {
    fn note_if(&mut self, lost: bool, name: &'static str) {
        if lost && !self.0.contains(&name) {
            self.0.push(name);
        }
    }

    fn part(&mut self, message: &Message, part: &Part) -> Result<(), Unsupported> {
        let by_user = message.role == Role::User;
        match part {
            Part::Text {
                cache, citations, ..
            } => {
                self.note_if(cache.is_some(), "cache_control");
                self.note_if(!citations.is_empty(), "annotations");
            }
            Part::Image(image) => {
                self.note_if(image.cache.is_some(), "cache_control");
                let fits = by_user && !matches!(image.source, Source::Text(_));
                return fits.then_some(()).ok_or(Unsupported("image_url"));
            }
            Part::Document(document) => {
                self.note_if(document.cache.is_some(), "cache_control");
                return by_user.then_some(()).ok_or(Unsupported("file"));
            }
            Part::Audio { .. } => return Err(Unsupported("input_audio")),
            Part::Thought(thought) => {
                let replayed = is_replayed(message, thought);
                self.note_if(!replayed, "reasoning_details");
            }
            Part::Refusal(_) => {}
            Part::ToolCall(call) => {
                self.note_if(call.cache.is_some(), "cache_control");
                self.note_if(call.signature.is_some(), "reasoning_details");
            }
            Part::ToolResult(result) => {
                self.note_if(result.cache.is_some(), "cache_control");
                self.note_if(result.failed, "messages.is_error");
                for part in &result.parts {
                    self.part(message, part)?;
                }
            }
        }
        Ok(())
    }
}
