//! Owns what a plain chat request cannot say. Must never pass over a field of the hub: a new one is a line here or in
//! `request_write`.

use crate::wire::dialect::Unsupported;
use crate::wire::hub::{Message, Part, Reasoning, Request, Role, Source, Tool};

/// The fields that are left out, or the one without which the request makes no sense.
///
/// # Errors
/// A part of a message that no chat request has, or several answers, which a translated stream does not tell apart.
pub(super) fn losses(request: &Request) -> Result<Vec<&'static str>, Unsupported> {
    if request.choices > 1 {
        return Err(Unsupported("n"));
    }
    let mut losses = Losses::default();
    for message in &request.messages {
        for part in &message.parts {
            losses.part(message, part)?;
        }
    }
    request.tools.iter().for_each(|tool| losses.tool(tool));
    if let Some(reasoning) = &request.reasoning {
        losses.reasoning(reasoning);
    }
    let sampling = &request.sampling;
    losses.note_if(sampling.top_k.is_some(), "top_k");
    losses.note_if(sampling.min_p.is_some(), "min_p");
    losses.note_if(sampling.repetition_penalty.is_some(), "repetition_penalty");
    // An answer of the hub has none.
    losses.note_if(request.logprobs.is_some(), "logprobs");
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
                let fits = by_user && image.source.to_url().is_some();
                return fits.then_some(()).ok_or(Unsupported("image_url"));
            }
            Part::Document(document) => {
                self.note_if(document.cache.is_some(), "cache_control");
                let fits = by_user && !matches!(document.source, Source::Url(_));
                return fits.then_some(()).ok_or(Unsupported("file"));
            }
            Part::Audio { .. } => {
                return by_user.then_some(()).ok_or(Unsupported("input_audio"));
            }
            Part::Thought(_) => self.note_if(true, "reasoning_details"),
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

    fn tool(&mut self, tool: &Tool) {
        self.note_if(tool.cache.is_some(), "cache_control");
    }

    fn reasoning(&mut self, reasoning: &Reasoning) {
        // It becomes an effort, which is less exact.
        self.note_if(reasoning.max_tokens.is_some(), "reasoning.max_tokens");
        self.note_if(reasoning.summary.is_some(), "reasoning.summary");
    }
}
