//! Owns what of a request Cohere cannot say. Must never name a field that `request` writes, or miss one that it does not.

use super::request::{penalty, top_k};
use crate::wire::dialect::Unsupported;
use crate::wire::hub::{Effort, Format, Part, Request, Role, Source};

/// Stop sequences at most (the reference, `stop_sequences`).
const STOPS_MAX: usize = 5;

/// The fields left out, by their names in chat requests, each once.
///
/// # Errors
/// Without the field the answer would not be what was asked for.
pub(super) fn losses(request: &Request) -> Result<Vec<&'static str>, Unsupported> {
    if request.stop.len() > STOPS_MAX {
        return Err(Unsupported("stop"));
    }
    if request.choices > 1 {
        return Err(Unsupported("n"));
    }
    // The reference: not in combination with tools.
    if !matches!(request.format, Format::Text) && !request.tools.is_empty() {
        return Err(Unsupported("response_format"));
    }
    let mut lost = fields(request);
    for message in &request.messages {
        for part in &message.parts {
            of_part(part, message.role == Role::User, &mut lost)?;
        }
    }
    lost.sort_unstable();
    lost.dedup();
    Ok(lost)
}

fn fields(request: &Request) -> Vec<&'static str> {
    let sampling = &request.sampling;
    let reasoning = request.reasoning.as_ref();
    let reasoning = reasoning.filter(|reasoning| reasoning.effort != Some(Effort::None));
    let left = |asked: Option<f64>| asked.is_some() && penalty(asked).is_none();
    let tier = request.service_tier.as_deref();
    let table = [
        (
            "top_k",
            sampling.top_k.is_some() && top_k(request).is_none(),
        ),
        ("min_p", sampling.min_p.is_some()),
        ("frequency_penalty", left(sampling.frequency_penalty)),
        ("presence_penalty", left(sampling.presence_penalty)),
        ("repetition_penalty", sampling.repetition_penalty.is_some()),
        ("seed", sampling.seed.is_some_and(|seed| seed < 0)),
        ("logit_bias", sampling.logit_bias.is_some()),
        ("parallel_tool_calls", request.parallel_tools == Some(false)),
        // It is for all tools or for none, and refuses tools without a required parameter.
        (
            "strict",
            request.tools.iter().any(|tool| tool.strict == Some(true)),
        ),
        (
            "cache_control",
            request.tools.iter().any(|tool| tool.cache.is_some()),
        ),
        (
            "reasoning.exclude",
            reasoning.is_some_and(|reasoning| reasoning.hidden),
        ),
        (
            "reasoning.summary",
            reasoning.is_some_and(|reasoning| reasoning.summary.is_some()),
        ),
        ("user", request.user.is_some()),
        ("metadata", request.metadata.is_some()),
        (
            "service_tier",
            !matches!(tier, None | Some("auto" | "default" | "standard")),
        ),
        ("prompt_cache_key", request.prompt_cache_key.is_some()),
        ("verbosity", request.verbosity.is_some()),
        // An answer of the hub's has no place for them.
        ("logprobs", request.logprobs.is_some()),
    ];
    let named = table.into_iter().filter(|(_, lost)| *lost);
    named.map(|(name, _)| name).collect()
}

/// `pictures`: images may stand here.
fn of_part(part: &Part, pictures: bool, lost: &mut Vec<&'static str>) -> Result<(), Unsupported> {
    let mut lose = |name, is_lost: bool| is_lost.then(|| lost.push(name));
    lose("cache_control", part.is_marked());
    match part {
        Part::Text { citations, .. } => {
            lose("annotations", !citations.is_empty());
        }
        Part::Image(image) => {
            if !pictures || image.source.to_url().is_none() {
                return Err(Unsupported("image_url"));
            }
        }
        Part::Document(document) => {
            if !matches!(document.source, Source::Text(_)) {
                return Err(Unsupported("file"));
            }
            lose("filename", document.name.is_some());
        }
        Part::Audio { .. } => return Err(Unsupported("input_audio")),
        Part::Thought(_) => {
            lose("reasoning_details", true);
        }
        Part::ToolResult(result) => {
            for part in &result.parts {
                of_part(part, false, lost)?;
            }
        }
        Part::Refusal(_) | Part::ToolCall(_) => {}
    }
    Ok(())
}
