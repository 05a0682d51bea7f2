//! Owns the reading of a complete answer. Must never take an error for an answer because its status was 200.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::answer_shape::{
    BlockIn, Counts, Kind, StopDetails, citation, encrypted, filled_input, finish,
};
use super::shape::ANSWER_TOOL;
use crate::wire::dialect::Whole;
use crate::wire::error_facts::error_in_answer;
use crate::wire::hub::{Answer, Choice, Part, ToolCall};

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<&'a RawValue>,
    id: Option<String>,
    #[serde(borrow)]
    content: Option<Vec<BlockIn<'a>>>,
    stop_reason: Option<String>,
    stop_sequence: Option<String>,
    #[serde(borrow)]
    stop_details: Option<&'a RawValue>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    detail: Option<&'a RawValue>,
}

/// Reads a complete body of status 200.
pub(super) fn read(body: &[u8]) -> Whole {
    let Ok(answer) = serde_json::from_slice::<Body<'_>>(body) else {
        return Whole::Malformed;
    };
    if answer.is_error() {
        return Whole::Error(Box::new(error_in_answer(body)));
    }
    match answer.into_answer() {
        Some(answer) => Whole::Good(answer),
        None => Whole::Malformed,
    }
}

// === impl Body ===

impl Body<'_> {
    fn is_error(&self) -> bool {
        let bare = self.content.is_none() && (self.message.is_some() || self.detail.is_some());
        let named = self.kind.is_some_and(|kind| kind.get() == r#""error""#);
        bare || named || self.error.is_some_and(|error| error.get() != "null")
    }

    fn into_answer(self) -> Option<Answer> {
        let counts = Counts::of(self.usage);
        let mut parts = Parts::default();
        self.content?.into_iter().for_each(|block| parts.add(block));
        let answered = parts.answered && !parts.called;
        let details = self.stop_details.map(RawValue::get);
        let details = details.and_then(|json| serde_json::from_str::<StopDetails>(json).ok());
        let explained = details.and_then(|details| details.explanation);
        parts.add_refusal(explained.unwrap_or_default());
        let sequence = self.stop_sequence;
        Some(Answer {
            id: self.id.unwrap_or_default(),
            created: 0,
            choices: vec![Choice {
                parts: parts.list,
                finish: self
                    .stop_reason
                    .map(|reason| finish(reason, sequence, answered)),
            }],
            usage: counts.as_ref().and_then(Counts::usage),
            service_tier: counts.and_then(|counts| counts.service_tier),
        })
    }
}

#[derive(Default)]
struct Parts {
    list: Vec<Part>,
    /// A tool of the client's was called.
    called: bool,
    /// The tool that stands for a schema was called.
    answered: bool,
}

// === impl Parts ===

impl Parts {
    fn add(&mut self, block: BlockIn<'_>) {
        match block.kind {
            Kind::Text => {
                let citations = block.citations.unwrap_or_default();
                let part = Part::Text {
                    text: block.text.unwrap_or_default(),
                    cache: None,
                    citations: citations.into_iter().filter_map(citation).collect(),
                };
                // Words before the answer would break it.
                if !self.answered && part.as_text() != Some("") {
                    self.list.push(part);
                }
            }
            Kind::Thinking => self.list.push(Part::Thought(block.into_thought())),
            Kind::RedactedThinking => {
                let data = block.data.unwrap_or_default();
                self.list.push(Part::Thought(encrypted(data)));
            }
            Kind::ToolUse if block.name.as_deref() == Some(ANSWER_TOOL) => self.answer(&block),
            Kind::ToolUse => self.call(block),
            Kind::Other => {}
        }
    }

    /// The answer that was given as a tool's input, in the place of any words around it.
    fn answer(&mut self, block: &BlockIn<'_>) {
        if !self.answered {
            self.list.retain(|part| !matches!(part, Part::Text { .. }));
            self.list
                .push(Part::text(filled_input(block.input).unwrap_or("{}")));
        }
        self.answered = true;
    }

    fn call(&mut self, block: BlockIn<'_>) {
        self.called = true;
        self.list.push(Part::ToolCall(ToolCall {
            id: block.id.unwrap_or_default(),
            name: block.name.unwrap_or_default(),
            arguments: filled_input(block.input).unwrap_or("{}").to_owned(),
            ..ToolCall::default()
        }));
    }

    fn add_refusal(&mut self, explanation: String) {
        if !explanation.is_empty() {
            self.list.push(Part::Refusal(explanation));
        }
    }
}

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
}

/// Where an answer, or the event that begins one, names its model.
pub(super) fn model_in(json: &str) -> Option<&RawValue> {
    // Most events name none.
    memchr::memmem::find(json.as_bytes(), b"\"model\"")?;
    let named: Named<'_> = serde_json::from_str(json).ok()?;
    let within = |message: &'_ RawValue| message.get().starts_with('{');
    match (named.model, named.message.filter(|message| within(message))) {
        (Some(model), _) => Some(model),
        (None, Some(message)) => {
            let named: Named<'_> = serde_json::from_str(message.get()).ok()?;
            named.model
        }
        (None, None) => None,
    }
    .filter(|model| model.get().starts_with('"'))
}

#[cfg(test)]
mod tests;
