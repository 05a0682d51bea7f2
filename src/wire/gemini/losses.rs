//! Owns what of a request Gemini cannot say. Must never name a field that `request` writes, or miss one that it does not.

use super::FORMAT;
use super::request::service_tier;
use crate::wire::dialect::Unsupported;
use crate::wire::hub::{Part, Request, Role, Source};

/// Stop sequences at most (<https://ai.google.dev/api/generate-content>, `stopSequences`, 2026-11-22).
const STOPS_MAX: usize = 5;
/// Candidates at most (the same page, `candidateCount`).
const CHOICES_MAX: u32 = 8;

/// The fields left out, by their names in chat requests, each once.
///
/// # Errors
/// Without the field the answer would not be what was asked for.
pub(super) fn losses(request: &Request) -> Result<Vec<&'static str>, Unsupported> {
    if request.stop.len() > STOPS_MAX {
        return Err(Unsupported("stop"));
    }
    if request.choices > CHOICES_MAX {
        return Err(Unsupported("n"));
    }
    let mut lost = fields(request);
    for message in &request.messages {
        for part in &message.parts {
            if message.role == Role::System {
                only_text(part)?;
            }
            of_part(part, &mut lost)?;
        }
    }
    lost.sort_unstable();
    lost.dedup();
    Ok(lost)
}

fn fields(request: &Request) -> Vec<&'static str> {
    let sampling = &request.sampling;
    let reasoning = request.reasoning.as_ref();
    let summary = reasoning.and_then(|reasoning| reasoning.summary.as_deref());
    let table = [
        ("min_p", sampling.min_p.is_some()),
        ("repetition_penalty", sampling.repetition_penalty.is_some()),
        ("logit_bias", sampling.logit_bias.is_some()),
        (
            "seed",
            sampling
                .seed
                .is_some_and(|seed| i32::try_from(seed).is_err()),
        ),
        ("parallel_tool_calls", request.parallel_tools == Some(false)),
        (
            "strict",
            request.tools.iter().any(|tool| tool.strict == Some(true)),
        ),
        (
            "cache_control",
            request.tools.iter().any(|tool| tool.cache.is_some()),
        ),
        (
            "reasoning.summary",
            summary.is_some_and(|summary| summary != "auto"),
        ),
        ("user", request.user.is_some()),
        ("metadata", request.metadata.is_some()),
        (
            "service_tier",
            matches!(service_tier(request), Err(super::request::NoSuchTier)),
        ),
        ("prompt_cache_key", request.prompt_cache_key.is_some()),
        ("verbosity", request.verbosity.is_some()),
        // An answer of the hub's has no place for them.
        ("logprobs", request.logprobs.is_some()),
    ];
    let named = table.into_iter().filter(|(_, lost)| *lost);
    named.map(|(name, _)| name).collect()
}

/// `systemInstruction` takes text alone.
fn only_text(part: &Part) -> Result<(), Unsupported> {
    match part {
        Part::Image(_) => Err(Unsupported("image_url")),
        Part::Document(_) => Err(Unsupported("file")),
        Part::Audio { .. } => Err(Unsupported("input_audio")),
        Part::Text { .. }
        | Part::Thought(_)
        | Part::Refusal(_)
        | Part::ToolCall(_)
        | Part::ToolResult(_) => Ok(()),
    }
}

fn of_part(part: &Part, lost: &mut Vec<&'static str>) -> Result<(), Unsupported> {
    let mut lose = |name, is_lost: bool| is_lost.then(|| lost.push(name));
    lose("cache_control", part.is_marked());
    match part {
        Part::Text { citations, .. } => {
            lose("annotations", !citations.is_empty());
        }
        Part::Image(image) => {
            reachable(&image.source, "image_url")?;
            let detail = image.detail.as_deref();
            lose("detail", detail.is_some_and(|detail| detail != "auto"));
        }
        Part::Document(document) => {
            reachable(&document.source, "file")?;
            lose("filename", document.name.is_some());
        }
        Part::Thought(thought) => {
            let own = thought.format.as_deref() == Some(FORMAT);
            lose("reasoning_details", !own);
        }
        Part::ToolResult(result) => {
            for part in &result.parts {
                of_part(part, lost)?;
            }
        }
        Part::Audio { .. } | Part::Refusal(_) | Part::ToolCall(_) => {}
    }
    Ok(())
}

/// Google takes a file by its URI; another provider's id means nothing to it.
fn reachable(source: &Source, field: &'static str) -> Result<(), Unsupported> {
    match source {
        Source::File(id) if !id.contains("://") => Err(Unsupported(field)),
        Source::Base64 { .. } | Source::Url(_) | Source::File(_) | Source::Text(_) => Ok(()),
    }
}
