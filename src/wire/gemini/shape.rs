//! Owns what an answer and a chunk of a stream are made of, which is the same. Must never take a piece that it
//! cannot carry for nothing.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::FORMAT;
use super::finish::{self, End};
use crate::core::exchange::Usage;
use crate::core::outcome::{ErrorFacts, Hint};
use crate::wire::error_facts::error_in_answer;
use crate::wire::hub::{Citation, Thought, ThoughtKind};

/// Characters of a reason that are kept.
const REASON_MAX: usize = 100;

/// A body, or an event's data, read.
#[derive(Debug)]
pub(super) enum Read<'a> {
    Response(Response<'a>),
    Error(ErrorFacts),
    /// An object with nothing in it that is known: no answer, and nothing that a stream could not go on behind.
    Unknown,
    Malformed,
}

/// `GenerateContentResponse`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Response<'a> {
    #[serde(borrow)]
    pub(super) candidates: Option<Vec<Candidate<'a>>>,
    prompt_feedback: Option<PromptFeedback>,
    usage_metadata: Option<UsageMetadata>,
    #[serde(rename = "responseId")]
    pub(super) id: Option<String>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Candidate<'a> {
    /// Left out where it is 0.
    index: Option<u32>,
    #[serde(borrow)]
    content: Option<Content<'a>>,
    finish_reason: Option<String>,
    finish_message: Option<String>,
    citation_metadata: Option<CitationMetadata>,
    grounding_metadata: Option<GroundingMetadata>,
}

#[derive(Debug, Deserialize)]
struct Content<'a> {
    #[serde(borrow)]
    parts: Option<Vec<Part<'a>>>,
}

/// One part. Kinds that only Google's own tools bring are left unread: they cannot be asked for.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Part<'a> {
    text: Option<String>,
    thought: Option<bool>,
    thought_signature: Option<String>,
    #[serde(borrow)]
    function_call: Option<FunctionCall<'a>>,
    inline_data: Option<Blob>,
    file_data: Option<FileData>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct FunctionCall<'a> {
    id: Option<String>,
    name: Option<String>,
    #[serde(borrow)]
    args: Option<&'a RawValue>,
    /// A call in pieces, which only comes to those who ask for it.
    #[serde(borrow)]
    partial_args: Option<&'a RawValue>,
    will_continue: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Blob {
    pub(super) mime_type: Option<String>,
    pub(super) data: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FileData {
    pub(super) mime_type: Option<String>,
    pub(super) file_uri: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PromptFeedback {
    block_reason: Option<String>,
}

/// Counts of what stands in the answer up to here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct UsageMetadata {
    prompt_token_count: Option<u64>,
    cached_content_token_count: Option<u64>,
    candidates_token_count: Option<u64>,
    thoughts_token_count: Option<u64>,
    tool_use_prompt_token_count: Option<u64>,
    service_tier: Option<String>,
}

/// The Gemini API calls the list `citationSources`, Vertex AI `citations`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CitationMetadata {
    #[serde(alias = "citations", default)]
    citation_sources: Vec<CitationSource>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CitationSource {
    uri: Option<String>,
    title: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct GroundingMetadata {
    #[serde(default)]
    grounding_chunks: Vec<GroundingChunk>,
}

#[derive(Debug, Deserialize)]
struct GroundingChunk {
    web: Option<CitationSource>,
}

/// What a part is for the hub.
#[derive(Debug)]
pub(super) enum Piece<'a> {
    Text(String),
    Thought(Thought),
    Call(Call<'a>),
    Inline(Blob),
    File(FileData),
}

/// A call, whole.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) id: Option<String>,
    pub(super) name: String,
    pub(super) arguments: &'a str,
    pub(super) signature: Option<String>,
}

/// A part that cannot be read whole.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unreadable;

/// Reads a body, or an event's data.
pub(super) fn read(json: &[u8]) -> Read<'_> {
    let Ok(response) = serde_json::from_slice::<Response<'_>>(json) else {
        return read_list(json);
    };
    if response.error.is_some_and(|error| error.get() != "null") {
        return Read::Error(error_in_answer(json));
    }
    if let Some(facts) = response.blocked() {
        return Read::Error(facts);
    }
    let says =
        response.candidates.is_some() || response.usage_metadata.is_some() || response.id.is_some();
    match says {
        true => Read::Response(response),
        false => Read::Unknown,
    }
}

/// Google's front puts an error into a list where a list was to come.
fn read_list(json: &[u8]) -> Read<'_> {
    match serde_json::from_slice::<Vec<Response<'_>>>(json).as_deref() {
        Ok([first, ..]) if first.error.is_some() => Read::Error(error_in_answer(json)),
        Ok(_) | Err(_) => Read::Malformed,
    }
}

// === impl Response ===

impl Response<'_> {
    /// The counts; `None` where there are none yet.
    pub(super) fn usage(&self) -> Option<Usage> {
        let usage = self.usage_metadata.as_ref()?;
        let counted = [usage.prompt_token_count, usage.candidates_token_count];
        let thoughts = usage.thoughts_token_count.unwrap_or(0);
        if counted.iter().all(Option::is_none) && thoughts == 0 {
            return None;
        }
        let [prompt, answer] = counted.map(|count| count.unwrap_or(0));
        let tool_use = usage.tool_use_prompt_token_count.unwrap_or(0);
        Some(Usage {
            prompt_tokens: prompt.saturating_add(tool_use),
            completion_tokens: answer.saturating_add(thoughts),
            cached_tokens: usage.cached_content_token_count,
            cache_write_tokens: None,
            reasoning_tokens: thoughts,
        })
    }

    pub(super) fn service_tier(&self) -> Option<String> {
        self.usage_metadata.as_ref()?.service_tier.clone()
    }

    /// The prompt was refused: no candidate, and a reason.
    fn blocked(&self) -> Option<ErrorFacts> {
        if self
            .candidates
            .as_ref()
            .is_some_and(|list| !list.is_empty())
        {
            return None;
        }
        let reason = self.prompt_feedback.as_ref()?.block_reason.as_deref()?;
        let reason: String = reason.chars().take(REASON_MAX).collect();
        Some(ErrorFacts {
            status: 200,
            hint: Some(Hint::ContentFiltered),
            message: format!("the prompt was blocked: {reason}"),
            code: Some(reason),
            ..ErrorFacts::default()
        })
    }
}

// === impl Candidate ===

impl<'a> Candidate<'a> {
    pub(super) fn index(&self) -> u32 {
        self.index.unwrap_or(0)
    }

    /// How it ended, if it did. `called`: it called a tool.
    pub(super) fn end(&self, called: bool) -> Option<End> {
        let reason = self.finish_reason.as_deref()?;
        Some(finish::of(reason, self.finish_message.as_deref(), called))
    }

    /// What the answer refers to. Places in it are left out: they count bytes, of parts that a stream does not keep.
    pub(super) fn citations(&mut self) -> impl Iterator<Item = Citation> + use<> {
        let quoted = self.citation_metadata.take();
        let quoted = quoted.map_or_else(Vec::new, |metadata| metadata.citation_sources);
        // Every chunk repeats what grounds the answer; the last has it whole.
        let ended = self.finish_reason.is_some();
        let grounded = self.grounding_metadata.take().filter(|_| ended);
        let grounded = grounded.map_or_else(Vec::new, |metadata| metadata.grounding_chunks);
        let web = grounded.into_iter().filter_map(|chunk| chunk.web);
        quoted.into_iter().chain(web).filter_map(|source| {
            Some(Citation {
                url: source.uri?,
                title: source.title,
                span: None,
            })
        })
    }

    pub(super) fn parts(&mut self) -> Vec<Part<'a>> {
        let content = self.content.take();
        content
            .and_then(|content| content.parts)
            .unwrap_or_default()
    }
}

// === impl Part ===

impl<'a> Part<'a> {
    /// What it brings, which may be two pieces: text, and the signature that stands with it.
    pub(super) fn pieces(self) -> Result<[Option<Piece<'a>>; 2], Unreadable> {
        if let Some(call) = self.function_call {
            return Ok([Some(Piece::Call(call.whole(self.thought_signature)?)), None]);
        }
        let media = self.inline_data.map(Piece::Inline);
        if let Some(media) = media.or_else(|| self.file_data.map(Piece::File)) {
            return Ok([Some(media), self.thought_signature.map(sealed)]);
        }
        let text = self.text.unwrap_or_default();
        if self.thought == Some(true) {
            let says = !text.is_empty() || self.thought_signature.is_some();
            let thought = Thought {
                kind: ThoughtKind::Text,
                text,
                signature: self.thought_signature,
                id: None,
                format: Some(FORMAT.to_owned()),
            };
            return Ok([says.then_some(Piece::Thought(thought)), None]);
        }
        let said = (!text.is_empty()).then_some(Piece::Text(text));
        Ok([said, self.thought_signature.map(sealed)])
    }
}

/// A signature that is no call's: a thought without words.
fn sealed<'a>(signature: String) -> Piece<'a> {
    Piece::Thought(Thought {
        kind: ThoughtKind::Encrypted,
        text: signature,
        signature: None,
        id: None,
        format: Some(FORMAT.to_owned()),
    })
}

// === impl FunctionCall ===

impl<'a> FunctionCall<'a> {
    fn whole(self, signature: Option<String>) -> Result<Call<'a>, Unreadable> {
        if self.partial_args.is_some() || self.will_continue == Some(true) {
            return Err(Unreadable);
        }
        let args = self.args.map(RawValue::get).filter(|args| *args != "null");
        Ok(Call {
            id: self.id.filter(|id| !id.is_empty()),
            name: self
                .name
                .filter(|name| !name.is_empty())
                .ok_or(Unreadable)?,
            arguments: args.unwrap_or("{}"),
            signature,
        })
    }
}
