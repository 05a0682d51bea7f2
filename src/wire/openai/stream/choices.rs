//! Owns which choices of a stream were seen, are finished, and have a tool call under way.
//! Must never allocate: chat allows 128 choices, one bit each. Completions may have more (`n` of each prompt);
//! those beyond share a bit and are counted.

use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::wire::openai::shape::{Finish, Message, is_filled};

/// The highest index with a bit of its own; a higher one shares it.
const LAST: u32 = u128::BITS - 1;

/// The choices of a stream, or of one chunk.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Choices {
    seen: u128,
    finished: u128,
    tool_calls: u128,
    /// Finish reasons of the choices that share the last bit.
    shared: u32,
}

/// What one chunk's `choices` list held.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    pub(super) choices: Choices,
    /// One of them brought content as chat does.
    pub(super) content: bool,
    /// One of them brought content as the older completions do.
    pub(super) text: bool,
    /// One of them finished with an error.
    pub(super) failed: bool,
}

#[derive(Deserialize)]
struct Choice<'a> {
    index: Option<u32>,
    #[serde(borrow)]
    delta: Option<Message<'a>>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    finish_reason: Option<&'a RawValue>,
}

// === impl Choices ===

impl Choices {
    /// Adds what another chunk said.
    pub(super) fn merge(&mut self, other: Choices) {
        self.seen |= other.seen;
        self.finished |= other.finished;
        self.tool_calls |= other.tool_calls;
        self.shared = self.shared.saturating_add(other.shared);
    }

    /// Whether every choice seen has its finish reason, and so many of them at least.
    pub(super) fn are_finished(self, expected: u32) -> bool {
        let own = (self.finished & !(1 << LAST)).count_ones();
        self.seen == self.finished && own.saturating_add(self.shared) >= expected.max(1)
    }

    /// Whether a tool call has begun in a choice that is not finished.
    pub(super) fn has_open_tool_call(self) -> bool {
        self.tool_calls & !self.finished != 0
    }
}

// === impl Seen ===

impl Seen {
    /// Whether the list was empty.
    pub(super) fn is_empty(self) -> bool {
        self.choices.seen == 0
    }

    fn add(&mut self, choice: &Choice<'_>) {
        let index = choice.index.unwrap_or(0);
        let bit = 1_u128 << index.min(LAST);
        let delta = choice.delta.as_ref();
        let finish = Finish::of(choice.finish_reason);
        let bit_if = |yes: bool| if yes { bit } else { 0 };
        self.choices.merge(Choices {
            seen: bit,
            finished: bit_if(finish != Finish::Open),
            tool_calls: bit_if(delta.is_some_and(Message::has_tool_call)),
            shared: u32::from(index >= LAST && finish != Finish::Open),
        });
        // A choice that ends for want of room, or by a filter, is an answer even without a word.
        let ends = finish == Finish::Other;
        self.content |= delta.is_some_and(Message::has_content) || ends;
        self.text |= is_filled(choice.text) || ends;
        self.failed |= finish == Finish::Error;
    }
}

impl<'de> Deserialize<'de> for Seen {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_seq(List)
    }
}

/// Reads the list one choice at a time, so that none is kept.
struct List;

// === impl List ===

impl<'de> Visitor<'de> for List {
    type Value = Seen;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a list of choices")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Seen, A::Error> {
        let mut seen = Seen::default();
        while let Some(choice) = list.next_element::<Choice<'_>>()? {
            seen.add(&choice);
        }
        Ok(seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_beyond_the_bits_are_counted() {
        let mut choices = Choices::default();
        for index in 0..200 {
            assert!(!choices.are_finished(200), "{index}");
            let json = format!(r#"[{{"index":{index},"text":"a","finish_reason":"stop"}}]"#);
            let seen: Seen = serde_json::from_str(&json).unwrap();
            assert!(seen.text && !seen.content);
            choices.merge(seen.choices);
        }
        assert!(choices.are_finished(200));
        assert!(!choices.are_finished(201));
    }
}
