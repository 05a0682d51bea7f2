//! Owns the reading of a complete answer into the hub. Must never take an error for an answer because its status
//! was 200.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::said::{Said, finish_of, own_call_id};
use crate::wire::dialect::Whole;
use crate::wire::error_facts;
use crate::wire::hub::{Answer, Choice, Part};
use crate::wire::json::Word;
use crate::wire::openai::shape::{is_error, usage};

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    object: Option<&'a RawValue>,
    #[serde(borrow)]
    created: Option<&'a RawValue>,
    #[serde(borrow)]
    choices: Option<Vec<SaidChoice<'a>>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    service_tier: Option<Word<'a>>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    detail: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct SaidChoice<'a> {
    #[serde(borrow)]
    message: Option<Said<'a>>,
    #[serde(borrow)]
    finish_reason: Option<Word<'a>>,
}

/// Reads a complete answer of status 200.
pub(super) fn read(body: &[u8]) -> Whole {
    let answer = std::str::from_utf8(body)
        .ok()
        .and_then(|text| serde_json::from_str::<Body<'_>>(text).ok());
    let Some(answer) = answer else {
        return Whole::Malformed;
    };
    if answer.is_error() {
        return Whole::Error(Box::new(error_facts::error_in_answer(body)));
    }
    if answer.has_failed_choice() {
        return Whole::Error(Box::new(error_facts::error_in_choice(body)));
    }
    answer.into_answer().map_or(Whole::Malformed, Whole::Good)
}

// === impl Body ===

impl Body<'_> {
    fn is_error(&self) -> bool {
        let bare = self.choices.is_none() && (self.message.is_some() || self.detail.is_some());
        bare || is_error(self.error, self.object)
    }

    fn has_failed_choice(&self) -> bool {
        let mut choices = self.choices.iter().flatten();
        choices.any(|choice| choice.finish_reason.as_deref() == Some("error"))
    }

    fn into_answer(self) -> Option<Answer> {
        let id: Option<String> = self.id.and_then(|id| serde_json::from_str(id.get()).ok());
        let id = id.unwrap_or_default();
        let choices = self.choices?.into_iter().zip(0..);
        let choices = choices.map(|(choice, index)| choice.into_choice(&id, index));
        Some(Answer {
            choices: choices.collect::<Option<_>>()?,
            created: self
                .created
                .and_then(|created| created.get().parse().ok())
                .unwrap_or(0),
            usage: usage(self.usage),
            service_tier: self.service_tier.map(|tier| tier.to_owned()),
            id,
        })
    }
}

// === impl SaidChoice ===

impl SaidChoice<'_> {
    fn into_choice(self, answer: &str, index: u32) -> Option<Choice> {
        let mut parts = self.message.unwrap_or_default().into_parts().ok()?;
        let calls = parts.iter_mut().filter_map(|part| match part {
            Part::ToolCall(call) => Some(call),
            _ => None,
        });
        for (call, place) in calls.zip(0..) {
            if call.id.is_empty() {
                call.id = own_call_id(answer, index, place);
            }
        }
        let refused = parts.iter().any(|part| matches!(part, Part::Refusal(_)));
        let finish = finish_of(self.finish_reason.as_deref(), refused);
        Some(Choice { parts, finish })
    }
}
