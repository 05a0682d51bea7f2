//! Owns what a Responses request cannot say. Must never pass over a field of the hub: a new one is a line here or in
//! `request_write`.

use super::request_write::is_replayed;
use crate::wire::dialect::Unsupported;
use crate::wire::hub::{Message, Part, Request, Role, Source};
use crate::wire::openai::hub::losses::Losses;

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
        for said in &message.parts {
            part(&mut losses, message, said)?;
        }
    }
    losses.settings(request);
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
    Ok(losses.into_names())
}

fn part(losses: &mut Losses, message: &Message, part: &Part) -> Result<(), Unsupported> {
    let by_user = message.role == Role::User;
    losses.beside(part);
    match part {
        Part::Image(image) => {
            let fits = by_user && !matches!(image.source, Source::Text(_));
            return fits.then_some(()).ok_or(Unsupported("image_url"));
        }
        Part::Document(_) => return by_user.then_some(()).ok_or(Unsupported("file")),
        Part::Audio { .. } => return Err(Unsupported("input_audio")),
        Part::Thought(thought) => {
            let replayed = is_replayed(message, thought);
            losses.note_if(!replayed, "reasoning_details");
        }
        Part::ToolResult(result) => {
            for shown in &result.parts {
                self::part(losses, message, shown)?;
            }
        }
        Part::Text { .. } | Part::Refusal(_) | Part::ToolCall(_) => {}
    }
    Ok(())
}
