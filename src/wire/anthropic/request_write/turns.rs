//! Owns what was said, as the dialect has it: the system's words apart, results of tools first in their turn, no block
//! without words. Must never send a thought to a provider that did not make it.

use std::borrow::Cow;

use serde::Serialize;

use crate::wire::anthropic::origin::Made;
use crate::wire::anthropic::shape::{Block, CacheControl, Source as SourceOut, tool_id};
use crate::wire::anthropic::thinking::is_sent;
use crate::wire::dialect::Unsupported;
use crate::wire::hub::{
    Document, Image, Message, Part, Request, Role, Source, Thought, ThoughtKind, ToolResult,
};

const PDF: &str = "application/pdf";
/// What ids of files begin with that lie with Anthropic; other providers' ids name nothing there.
const OWN_FILE: &str = "file_";

/// A turn.
#[derive(Serialize)]
pub(super) struct Turn<'a> {
    role: &'static str,
    content: Vec<Block<'a>>,
}

/// The system's blocks and the turns.
pub(super) fn write(request: &Request) -> (Vec<Block<'_>>, Vec<Turn<'_>>) {
    let system: Vec<_> = request.system().filter_map(block).collect();
    let turns = request.turns();
    let mut written: Vec<Turn<'_>> = turns.iter().filter_map(turn).collect();
    if let Some(last) = written.last_mut() {
        last.trim_end();
    }
    match written.is_empty() && !system.is_empty() {
        // A turn of the user's must be there; a chat request may do without.
        true => (Vec::new(), vec![Turn::new(Role::User, system)]),
        false => (system, written),
    }
}

fn turn<'a>((role, parts): &(Role, Vec<&'a Part>)) -> Option<Turn<'a>> {
    let is_result = |part: &&&Part| matches!(part, Part::ToolResult(_));
    let results = parts.iter().filter(is_result);
    let rest = parts.iter().filter(|part| !is_result(part));
    let content: Vec<_> = results.chain(rest).filter_map(|part| block(part)).collect();
    // A turn without words is refused; its neighbours, then of one role, are taken as one.
    (!content.is_empty()).then(|| Turn::new(*role, content))
}

// === impl Turn ===

impl<'a> Turn<'a> {
    fn new(role: Role, content: Vec<Block<'a>>) -> Self {
        let role = match role {
            Role::Assistant => "assistant",
            Role::User | Role::System => "user",
        };
        Self { role, content }
    }

    /// An answer that is begun for the model must not end in white space.
    fn trim_end(&mut self) {
        if self.role != "assistant" {
            return;
        }
        if let Some(Block::Text { text, .. }) = self.content.last_mut() {
            *text = text.trim_end();
        }
    }
}

fn block(part: &Part) -> Option<Block<'_>> {
    if !is_sent(part) {
        return None;
    }
    match part {
        Part::Text { text, cache, .. } => Some(Block::Text {
            text,
            citations: Vec::new(),
            cache_control: CacheControl::of(cache.as_ref()),
        }),
        Part::Refusal(text) => Some(Block::Text {
            text,
            citations: Vec::new(),
            cache_control: None,
        }),
        Part::Image(image) => Some(Block::Image {
            source: image_source(image)?,
            cache_control: CacheControl::of(image.cache.as_ref()),
        }),
        Part::Document(document) => Some(Block::Document {
            source: document_source(document)?,
            title: document.name.as_deref(),
            cache_control: CacheControl::of(document.cache.as_ref()),
        }),
        Part::Audio { .. } => None,
        Part::Thought(thought) => Some(thinking(thought)),
        Part::ToolCall(call) => Some(Block::tool_use(call)),
        Part::ToolResult(result) => Some(tool_result(result)),
    }
}

fn thinking(thought: &Thought) -> Block<'_> {
    match thought.kind {
        ThoughtKind::Text | ThoughtKind::Summary => Block::Thinking {
            thinking: &thought.text,
            signature: Made::of(thought).signature(),
        },
        ThoughtKind::Encrypted => Block::RedactedThinking {
            data: Cow::Borrowed(&thought.text),
        },
    }
}

fn tool_result(result: &ToolResult) -> Block<'_> {
    Block::ToolResult {
        tool_use_id: tool_id(&result.id),
        content: result.parts.iter().filter_map(block).collect(),
        is_error: result.failed,
        cache_control: CacheControl::of(result.cache.as_ref()),
    }
}

fn image_source(image: &Image) -> Option<SourceOut<'_>> {
    match &image.source {
        Source::Base64 { media_type, data } => Some(SourceOut::Base64 { media_type, data }),
        Source::Url(url) => Some(SourceOut::Url { url }),
        Source::File(file_id) => own_file(file_id),
        Source::Text(_) => None,
    }
}

fn document_source(document: &Document) -> Option<SourceOut<'_>> {
    match &document.source {
        Source::Base64 { media_type, data } if media_type == PDF => {
            Some(SourceOut::Base64 { media_type, data })
        }
        Source::Base64 { .. } => None,
        Source::Url(url) => Some(SourceOut::Url { url }),
        Source::File(file_id) => own_file(file_id),
        Source::Text(text) => Some(SourceOut::Text {
            media_type: "text/plain",
            data: text,
        }),
    }
}

fn own_file(file_id: &str) -> Option<SourceOut<'_>> {
    let own = file_id.starts_with(OWN_FILE);
    own.then_some(SourceOut::File { file_id })
}

/// Whether every part can be said.
///
/// # Errors
/// One cannot, and without it the answer would be to something else.
pub(super) fn check(request: &Request) -> Result<(), Unsupported> {
    for message in &request.messages {
        for part in &message.parts {
            check_part(message.role, part)?;
        }
    }
    Ok(())
}

fn check_part(role: Role, part: &Part) -> Result<(), Unsupported> {
    match part {
        Part::Image(image) if role != Role::User || image_source(image).is_none() => {
            Err(Unsupported("image_url"))
        }
        Part::Document(document) if role != Role::User || document_source(document).is_none() => {
            Err(Unsupported("file"))
        }
        Part::Audio { .. } => Err(Unsupported("input_audio")),
        Part::ToolResult(result) => result
            .parts
            .iter()
            .try_for_each(|part| check_part(Role::User, part)),
        Part::Text { .. }
        | Part::Image(_)
        | Part::Document(_)
        | Part::Thought(_)
        | Part::Refusal(_)
        | Part::ToolCall(_) => Ok(()),
    }
}

/// Adds what of the parts is not sent.
pub(super) fn losses(request: &Request, lost: &mut Vec<&'static str>) {
    let parts = || {
        request
            .messages
            .iter()
            .flat_map(|message: &Message| &message.parts)
    };
    let is_bound = |part: &Part| match part {
        Part::Thought(_) => !is_sent(part),
        Part::ToolCall(call) => call.signature.is_some(),
        _ => false,
    };
    if parts().any(is_bound) {
        lost.push("reasoning_details");
    }
    let detailed = |part: &Part| match part {
        Part::Image(image) => matches!(image.detail.as_deref(), Some(detail) if detail != "auto"),
        _ => false,
    };
    if parts().any(detailed) {
        lost.push("image_url.detail");
    }
    let cited = |part: &Part| matches!(part, Part::Text { citations, .. } if !citations.is_empty());
    if parts().any(cited) {
        lost.push("annotations");
    }
}
