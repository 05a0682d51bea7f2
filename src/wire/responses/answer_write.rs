//! Owns the writing of a complete answer. Must never write more than the first choice: the format has one.

use bytes::Bytes;

use super::custom;
use super::output::{OutputItem, items};
use super::response::{Response, end_of};
use crate::wire::dialect::Reply;
use crate::wire::hub::{Answer, Part};
use crate::wire::openai::hub::fields::tier;
use crate::wire::openai::hub::hides_thoughts;

/// Writes a complete answer.
pub(super) fn write(answer: &Answer, reply: &Reply<'_>) -> Bytes {
    let id = match answer.id.is_empty() {
        true => format!("resp_{}", reply.id),
        false => answer.id.clone(),
    };
    let choice = answer.choices.first();
    let parts = choice.map_or(&[][..], |choice| &choice.parts);
    let refused = parts.iter().any(|part| matches!(part, Part::Refusal(_)));
    let finish = choice.and_then(|choice| choice.finish.as_ref());
    let hides = hides_thoughts(reply.request);
    let shown = |part: &&Part| !(hides && matches!(part, Part::Thought(_)));
    let items: Vec<OutputItem> = items(
        parts.iter().filter(shown),
        &id,
        &custom::names(reply.request),
    );
    let response = Response {
        id: &id,
        model: reply.model,
        created: match answer.created {
            0 => reply.now,
            created => created,
        },
        request: reply.request,
        service_tier: answer.service_tier.as_deref().and_then(tier),
        end: end_of(finish, refused, reply.now),
        usage: answer.usage,
    };
    serde_json::to_vec(&response.written(&items))
        .expect("structs of strings and numbers always serialise")
        .into()
}
