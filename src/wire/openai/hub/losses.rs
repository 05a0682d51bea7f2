//! Owns what a plain chat request cannot say. Must never pass over a field of the hub: a new one is a line here or in
//! `request_write`.

use crate::wire::dialect::Unsupported;
use crate::wire::hub::{Message, Part, Request, Role, Source};

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
    losses.settings(request);
    let reasoning = request.reasoning.as_ref();
    let summed_up = reasoning.is_some_and(|reasoning| reasoning.summary.is_some());
    losses.note_if(summed_up, "reasoning.summary");
    let sampling = &request.sampling;
    losses.note_if(sampling.top_k.is_some(), "top_k");
    losses.note_if(sampling.min_p.is_some(), "min_p");
    losses.note_if(sampling.repetition_penalty.is_some(), "repetition_penalty");
    // An answer of the hub has none.
    losses.note_if(request.logprobs.is_some(), "logprobs");
    Ok(losses.into_names())
}

/// Names, each once.
#[derive(Default)]
pub(in crate::wire) struct Losses(Vec<&'static str>);

// === impl Losses ===

impl Losses {
    pub(in crate::wire) fn note_if(&mut self, lost: bool, name: &'static str) {
        if lost && !self.0.contains(&name) {
            self.0.push(name);
        }
    }

    pub(in crate::wire) fn into_names(self) -> Vec<&'static str> {
        self.0
    }

    /// What neither of OpenAI's dialects says of a part that it takes.
    pub(in crate::wire) fn beside(&mut self, part: &Part) {
        self.note_if(part.is_marked(), "cache_control");
        match part {
            Part::Text { citations, .. } => self.note_if(!citations.is_empty(), "annotations"),
            Part::ToolCall(call) => self.note_if(call.signature.is_some(), "reasoning_details"),
            Part::ToolResult(result) => self.note_if(result.failed, "messages.is_error"),
            Part::Image(_)
            | Part::Document(_)
            | Part::Audio { .. }
            | Part::Thought(_)
            | Part::Refusal(_) => {}
        }
    }

    /// What neither says of tools, and of reasoning, which becomes an effort: that is less exact.
    pub(in crate::wire) fn settings(&mut self, request: &Request) {
        let marked = request.tools.iter().any(|tool| tool.cache.is_some());
        self.note_if(marked, "cache_control");
        let reasoning = request.reasoning.as_ref();
        let counted = reasoning.is_some_and(|reasoning| reasoning.max_tokens.is_some());
        self.note_if(counted, "reasoning.max_tokens");
    }

    fn part(&mut self, message: &Message, part: &Part) -> Result<(), Unsupported> {
        let by_user = message.role == Role::User;
        self.beside(part);
        match part {
            Part::Image(image) => {
                let fits = by_user && image.source.to_url().is_some();
                return fits.then_some(()).ok_or(Unsupported("image_url"));
            }
            Part::Document(document) => {
                let fits = by_user && !matches!(document.source, Source::Url(_));
                return fits.then_some(()).ok_or(Unsupported("file"));
            }
            Part::Audio { .. } => {
                return by_user.then_some(()).ok_or(Unsupported("input_audio"));
            }
            Part::Thought(_) => self.note_if(true, "reasoning_details"),
            Part::ToolResult(result) => {
                for part in &result.parts {
                    self.part(message, part)?;
                }
            }
            Part::Text { .. } | Part::Refusal(_) | Part::ToolCall(_) => {}
        }
        Ok(())
    }
}
