//! Owns what messages and answers are made of. Must never change a part's text.

/// A piece of a message.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    Text {
        text: String,
        cache: Option<Cache>,
        /// What the text refers to; only answers have them.
        citations: Vec<Citation>,
    },
    Image(Image),
    Document(Document),
    Audio {
        /// Base64.
        data: String,
        /// `wav`, `mp3`, ...
        format: String,
    },
    /// What the model thought, to be replayed as it came.
    Thought(Thought),
    /// The model's words why it does not answer.
    Refusal(String),
    ToolCall(ToolCall),
    ToolResult(ToolResult),
}

/// Asks that the prompt up to here be cached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cache {
    /// How long, in the provider's words: `5m`, `1h`. `None`: its default.
    pub ttl: Option<String>,
}

/// Where a text has it from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Citation {
    pub url: String,
    pub title: Option<String>,
    /// Characters of the text, from and to (exclusive), where the provider says so.
    pub span: Option<(u64, u64)>,
}

/// Where bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The bytes themselves, in base64.
    Base64 {
        /// `image/png`, `application/pdf`, ...
        media_type: String,
        data: String,
    },
    Url(String),
    /// A file that was uploaded to the provider before.
    File(String),
    /// A document that is plain text.
    Text(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    pub source: Source,
    /// `low`, `high`, `auto`: how closely it is looked at.
    pub detail: Option<String>,
    pub cache: Option<Cache>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    pub source: Source,
    pub name: Option<String>,
    pub cache: Option<Cache>,
}

/// A piece of the model's reasoning with what proves its origin. Only the provider that made it takes it
/// back, so that it is replayed unchanged or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Thought {
    pub kind: ThoughtKind,
    /// The words, or what stands for them where they are encrypted.
    pub text: String,
    /// The provider's signature over `text`.
    pub signature: Option<String>,
    /// The provider's id of the piece.
    pub id: Option<String>,
    /// Who made it, as `reasoning_details[].format` says: `anthropic-claude-v1`, `openai-responses-v1`,
    /// `google-gemini-v1`. `None`: nobody said.
    pub format: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ThoughtKind {
    #[default]
    Text,
    Summary,
    Encrypted,
}

/// A tool that the model wants to be called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolCall {
    pub id: String,
    pub name: String,
    /// JSON as text: the model's, which may be broken.
    pub arguments: String,
    pub cache: Option<Cache>,
    /// What the provider wants back with the call: Gemini's thought signature.
    pub signature: Option<String>,
}

/// What a tool said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ToolResult {
    /// Of the call that it answers.
    pub id: String,
    /// The tool's name, where the client gave it. Some dialects need it: [`super::Request::tool_named`].
    pub name: Option<String>,
    /// Texts, images and documents.
    pub parts: Vec<Part>,
    /// The tool failed.
    pub failed: bool,
    pub cache: Option<Cache>,
}

// === impl Part ===

impl Part {
    /// Whether it asks that the prompt up to it be cached.
    pub fn is_marked(&self) -> bool {
        match self {
            Part::Text { cache, .. } => cache.is_some(),
            Part::Image(image) => image.cache.is_some(),
            Part::Document(document) => document.cache.is_some(),
            Part::ToolCall(call) => call.cache.is_some(),
            Part::ToolResult(result) => result.cache.is_some(),
            Part::Audio { .. } | Part::Thought(_) | Part::Refusal(_) => false,
        }
    }

    /// Where it asks for that; `None` where it cannot.
    pub fn mark_mut(&mut self) -> Option<&mut Option<Cache>> {
        match self {
            Part::Text { cache, .. } => Some(cache),
            Part::Image(image) => Some(&mut image.cache),
            Part::Document(document) => Some(&mut document.cache),
            Part::ToolCall(call) => Some(&mut call.cache),
            Part::ToolResult(result) => Some(&mut result.cache),
            Part::Audio { .. } | Part::Thought(_) | Part::Refusal(_) => None,
        }
    }

    /// Plain text.
    pub fn text(text: impl Into<String>) -> Self {
        Part::Text {
            text: text.into(),
            cache: None,
            citations: Vec::new(),
        }
    }

    /// Its text, where it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Part::Text { text, .. } => Some(text),
            Part::Image(_)
            | Part::Document(_)
            | Part::Audio { .. }
            | Part::Thought(_)
            | Part::Refusal(_)
            | Part::ToolCall(_)
            | Part::ToolResult(_) => None,
        }
    }
}

// === impl Source ===

impl Source {
    /// Of a URL, which may hold the bytes itself (`data:image/png;base64,...`).
    pub fn of_url(url: &str) -> Self {
        let inline = url
            .strip_prefix("data:")
            .and_then(|rest| rest.split_once(";base64,"));
        match inline {
            Some((media_type, data)) => Source::Base64 {
                // Parameters, such as a charset, are no part of the type that targets take.
                media_type: media_type.split(';').next().unwrap_or_default().to_owned(),
                data: data.to_owned(),
            },
            None => Source::Url(url.to_owned()),
        }
    }

    /// As a URL; `None` where it is no URL and cannot be made one.
    pub fn to_url(&self) -> Option<String> {
        match self {
            Source::Base64 { media_type, data } => Some(format!("data:{media_type};base64,{data}")),
            Source::Url(url) => Some(url.clone()),
            Source::File(_) | Source::Text(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_with_its_bytes_and_one_without_are_told_apart() {
        let inline = "data:image/png;base64,AAAA";
        assert_eq!(
            Source::of_url(inline),
            Source::Base64 {
                media_type: "image/png".to_owned(),
                data: "AAAA".to_owned()
            }
        );
        assert_eq!(Source::of_url(inline).to_url().as_deref(), Some(inline));
        let with_parameter = "data:text/plain;charset=utf-8;base64,AAAA";
        assert_eq!(
            Source::of_url(with_parameter).to_url().as_deref(),
            Some("data:text/plain;base64,AAAA")
        );
        let plain = "https://example.test/a.png";
        assert_eq!(Source::of_url(plain), Source::Url(plain.to_owned()));
    }
}
