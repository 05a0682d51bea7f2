//! Owns what tells the operations of the dialect apart: their paths, what a request must hold, how many choices
//! it asks for, and what their chunks are called. A further operation is an arm in each function here.
//! Must never read an answer: `stream` and `answer` ask this file what to look for.

use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};

/// What a client asks a model for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Operation {
    #[default]
    Chat,
    /// The older form: text in, text out.
    Completions,
    /// Vectors, never streamed.
    Embeddings,
}

// === impl Operation ===

impl Operation {
    /// Every operation, each at its own [`Operation::index`].
    pub const ALL: [Self; 3] = [Self::Chat, Self::Completions, Self::Embeddings];

    /// The place in a list that has one entry an operation.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The name that telemetry has for it: that of the GenAI conventions.
    pub const fn as_str(self) -> &'static str {
        match self {
            Operation::Chat => "chat",
            Operation::Completions => "text_completion",
            Operation::Embeddings => "embeddings",
        }
    }

    /// What stands after the root of an API, a provider's as well as ours.
    pub const fn path(self) -> &'static str {
        match self {
            Operation::Chat => "/chat/completions",
            Operation::Completions => "/completions",
            Operation::Embeddings => "/embeddings",
        }
    }

    /// The operation of a path after the root.
    pub fn at(path: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|operation| operation.path() == path)
    }

    /// Whether a request may ask for events. Where it may not, `stream` is a field as any other.
    pub const fn may_stream(self) -> bool {
        match self {
            Operation::Chat | Operation::Completions => true,
            Operation::Embeddings => false,
        }
    }

    /// The field that holds what the model is to work on.
    pub(in crate::wire) const fn input(self) -> &'static str {
        match self {
            Operation::Chat => "messages",
            Operation::Completions => "prompt",
            Operation::Embeddings => "input",
        }
    }

    /// Whether a request without that field is refused here. In chat a `prompt` or a stored template may stand
    /// for the messages; the upstream knows.
    pub(in crate::wire) const fn needs_input(self) -> bool {
        match self {
            Operation::Chat => false,
            Operation::Completions | Operation::Embeddings => true,
        }
    }

    /// How many choices answer `n` and this input. Each prompt of a list is answered `n` times.
    pub(in crate::wire) fn choices(self, n: Option<u32>, input: Option<&str>) -> u32 {
        let n = n.unwrap_or(1).clamp(1, 128);
        match self {
            Operation::Chat => n,
            Operation::Completions => n.saturating_mul(input.map_or(1, inputs)),
            Operation::Embeddings => 1,
        }
    }

    /// The `object` of a stream's chunks; an operation that never streams has none to name.
    pub(in crate::wire) const fn chunk_object(self) -> &'static str {
        match self {
            Operation::Chat => "chat.completion.chunk",
            Operation::Completions | Operation::Embeddings => "text_completion",
        }
    }
}

/// How many inputs a value holds: one, but for a list of strings or of token lists. A list of numbers is the
/// tokens of one.
fn inputs(value: &str) -> u32 {
    let mut json = serde_json::Deserializer::from_str(value);
    let list = value.strip_prefix('[').map(str::trim_ascii_start);
    match list {
        Some(first) if first.starts_with(['"', '[', '{']) => {
            json.deserialize_seq(Count).unwrap_or(1).max(1)
        }
        Some(_) | None => 1,
    }
}

/// Counts the items of a list and keeps none.
struct Count;

// === impl Count ===

impl<'de> Visitor<'de> for Count {
    type Value = u32;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<u32, A::Error> {
        let mut count = 0_u32;
        while list.next_element::<IgnoredAny>()?.is_some() {
            count = count.saturating_add(1);
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_operation_is_found_by_its_path_and_place() {
        for (place, operation) in Operation::ALL.into_iter().enumerate() {
            assert_eq!(operation.index(), place);
            assert_eq!(Operation::at(operation.path()), Some(operation));
        }
        assert_eq!(Operation::at("/completions/"), None);
    }

    #[test]
    fn each_prompt_is_answered_n_times() {
        let choices = |n, prompt: &str| Operation::Completions.choices(n, Some(prompt));
        assert_eq!(choices(None, r#""one""#), 1);
        assert_eq!(choices(Some(2), r#""one, [\"two\"]""#), 2);
        assert_eq!(choices(Some(2), r#"[ "one", "two", "three"]"#), 6);
        assert_eq!(choices(Some(2), "[1, 2, 3]"), 2, "tokens of one prompt");
        assert_eq!(choices(None, "[[1, 2], [3]]"), 2);
        assert_eq!(choices(None, "[]"), 1);
        assert_eq!(choices(Some(0), "null"), 1);
        assert_eq!(Operation::Chat.choices(Some(500), None), 128);
        assert_eq!(Operation::Completions.choices(None, None), 1);
    }
}
