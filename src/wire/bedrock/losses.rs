//! Owns what of a request Converse cannot say. Must never name a field that `request` writes, or miss one that it
//! does not.

use super::FORMAT;
use super::blocks::{document_format, image_format};
use super::family::{Family, Thinking};
use super::request::{NoSuchTier, service_tier};
use crate::wire::dialect::Unsupported;
use crate::wire::hub::{
    Document, Format, Image, Part, Request, Role, Source, ThoughtKind, ToolChoice,
};

/// The fields left out, by their names in chat requests, each once.
///
/// # Errors
/// Without the field the answer would not be what was asked for.
pub(super) fn losses(request: &Request) -> Result<Vec<&'static str>, Unsupported> {
    refused(request)?;
    let mut lost = fields(request);
    for message in &request.messages {
        for part in &message.parts {
            placed(part, message.role)?;
            of_part(part, &mut lost)?;
        }
    }
    lost.sort_unstable();
    lost.dedup();
    Ok(lost)
}

/// The same for one model: what its family has no words for is left out too.
pub(super) fn losses_for(request: &Request, model: &str) -> Result<Vec<&'static str>, Unsupported> {
    let mut lost = losses(request)?;
    let family = Family::of(model);
    let sampling = &request.sampling;
    let thinks = matches!(Thinking::of(request), Thinking::On { .. });
    let parts = || request.messages.iter().flat_map(|message| &message.parts);
    let table = [
        ("reasoning", thinks && !family.thinks()),
        (
            "temperature",
            !family.is_sampled() && sampling.temperature.is_some(),
        ),
        ("top_p", !family.is_sampled() && sampling.top_p.is_some()),
        ("top_k", !family.is_sampled() && sampling.top_k.is_some()),
        (
            "cache_control",
            !family.caches() && parts().any(Part::is_marked),
        ),
        (
            "reasoning_details",
            !family.takes_thoughts() && parts().any(|part| matches!(part, Part::Thought(_))),
        ),
    ];
    lost.extend(
        table
            .iter()
            .filter(|(_, lost)| *lost)
            .map(|(field, _)| *field),
    );
    lost.sort_unstable();
    lost.dedup();
    Ok(lost)
}

/// Whether the request as a whole can be said.
fn refused(request: &Request) -> Result<(), Unsupported> {
    let table = [
        ("n", request.choices > 1),
        // A form without a schema is a forced tool, which leaves no room for others.
        (
            "response_format",
            matches!(request.format, Format::Json) && !request.tools.is_empty(),
        ),
        // Tools that were called must be declared, and those declared may be called.
        (
            "tool_choice",
            request.tool_choice == Some(ToolChoice::None) && has_calls(request),
        ),
        (
            "messages",
            request
                .turns()
                .first()
                .is_some_and(|(role, _)| *role == Role::Assistant),
        ),
    ];
    match table.into_iter().find(|(_, refused)| *refused) {
        Some((field, _)) => Err(Unsupported(field)),
        None => Ok(()),
    }
}

/// Whether the conversation holds a call or a result.
pub(super) fn has_calls(request: &Request) -> bool {
    let mut parts = request.messages.iter().flat_map(|message| &message.parts);
    parts.any(|part| matches!(part, Part::ToolCall(_) | Part::ToolResult(_)))
}

fn fields(request: &Request) -> Vec<&'static str> {
    let sampling = &request.sampling;
    let thinking = Thinking::of(request);
    let thinks = matches!(thinking, Thinking::On { .. });
    let reasoning = request.reasoning.as_ref();
    let table = [
        ("reasoning", thinking == Thinking::Impossible),
        (
            "reasoning.exclude",
            thinks && reasoning.is_some_and(|reasoning| reasoning.hidden),
        ),
        (
            "reasoning.summary",
            thinks && reasoning.is_some_and(|reasoning| reasoning.summary.is_some()),
        ),
        // Models that think take none of them.
        ("temperature", thinks && sampling.temperature.is_some()),
        ("top_p", thinks && sampling.top_p.is_some()),
        ("top_k", thinks && sampling.top_k.is_some()),
        ("min_p", sampling.min_p.is_some()),
        ("frequency_penalty", sampling.frequency_penalty.is_some()),
        ("presence_penalty", sampling.presence_penalty.is_some()),
        ("repetition_penalty", sampling.repetition_penalty.is_some()),
        ("seed", sampling.seed.is_some()),
        ("logit_bias", sampling.logit_bias.is_some()),
        ("parallel_tool_calls", request.parallel_tools == Some(false)),
        // Only some models take it, and the others refuse the whole request.
        (
            "strict",
            request.tools.iter().any(|tool| tool.strict == Some(true)),
        ),
        ("user", request.user.is_some()),
        ("metadata", request.metadata.is_some()),
        (
            "service_tier",
            matches!(service_tier(request), Err(NoSuchTier)),
        ),
        ("prompt_cache_key", request.prompt_cache_key.is_some()),
        ("verbosity", request.verbosity.is_some()),
        // An answer of the hub's has no place for them.
        ("logprobs", request.logprobs.is_some()),
    ];
    let named = table.into_iter().filter(|(_, lost)| *lost);
    named.map(|(name, _)| name).collect()
}

/// Media stand in a user's turn alone.
fn placed(part: &Part, role: Role) -> Result<(), Unsupported> {
    let user = role == Role::User;
    match part {
        Part::Image(_) if !user => Err(Unsupported("image_url")),
        Part::Document(_) if !user => Err(Unsupported("file")),
        Part::Audio { .. } if !user => Err(Unsupported("input_audio")),
        Part::Text { .. }
        | Part::Image(_)
        | Part::Document(_)
        | Part::Audio { .. }
        | Part::Thought(_)
        | Part::Refusal(_)
        | Part::ToolCall(_)
        | Part::ToolResult(_) => Ok(()),
    }
}

fn of_part(part: &Part, lost: &mut Vec<&'static str>) -> Result<(), Unsupported> {
    let mut lose = |name, is_lost: bool| is_lost.then(|| lost.push(name));
    match part {
        Part::Text { citations, .. } => {
            lose("annotations", !citations.is_empty());
        }
        Part::Image(image) => {
            sendable_image(image)?;
            let detail = image.detail.as_deref();
            lose("detail", detail.is_some_and(|detail| detail != "auto"));
        }
        Part::Document(document) => sendable_document(document)?,
        Part::Thought(thought) => {
            let sealed = thought.signature.is_some() || thought.kind == ThoughtKind::Encrypted;
            let own = thought.format.as_deref() == Some(FORMAT) && sealed;
            lose("reasoning_details", !own);
        }
        Part::ToolResult(result) => {
            for part in &result.parts {
                if matches!(part, Part::Audio { .. }) {
                    return Err(Unsupported("input_audio"));
                }
                of_part(part, lost)?;
            }
        }
        Part::Audio { .. } | Part::Refusal(_) | Part::ToolCall(_) => {}
    }
    Ok(())
}

/// Bytes of a format that Converse knows, or a place in S3: it fetches nothing else.
fn sendable_image(image: &Image) -> Result<(), Unsupported> {
    match image_format(&image.source) {
        Some(_) if reachable(&image.source) => Ok(()),
        Some(_) | None => Err(Unsupported("image_url")),
    }
}

fn sendable_document(document: &Document) -> Result<(), Unsupported> {
    let text = matches!(document.source, Source::Text(_));
    match document_format(document) {
        _ if text => Ok(()),
        Some(_) if reachable(&document.source) => Ok(()),
        Some(_) | None => Err(Unsupported("file")),
    }
}

fn reachable(source: &Source) -> bool {
    match source {
        Source::Base64 { .. } => true,
        Source::Url(uri) | Source::File(uri) => uri.starts_with("s3://"),
        Source::Text(_) => false,
    }
}
