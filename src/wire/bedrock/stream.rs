//! Owns the reading of a stream of named events. Must never keep more of it than which tools are being called.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::shape::{Citation, End, ServiceTier, TokenUsage, redacted};
use super::{FORM, FORMAT};
use crate::core::exchange::{Progress, StreamEvent, Usage};
use crate::core::outcome::ErrorFacts;
use crate::wire::dialect::{Frame, ReadEvents};
use crate::wire::error_facts::error_in_frame;
use crate::wire::hub::{Event, ThoughtKind};

/// Calls that may be open at once; models close one before the next.
const OPEN_MAX: usize = 64;

/// Reads one stream.
#[derive(Debug, Default)]
pub(super) struct Reader {
    started: bool,
    open: Vec<Open>,
    calls: u32,
    finished: bool,
    counted: bool,
}

/// A tool's call that has begun.
#[derive(Debug)]
struct Open {
    block: u64,
    /// Its place among the calls; `None`: the form of an answer, which is text.
    index: Option<u32>,
    /// Arguments came.
    filled: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BlockStart<'a> {
    content_block_index: u64,
    #[serde(borrow)]
    start: Start<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Start<'a> {
    tool_use: Option<ToolUseStart>,
    #[serde(borrow)]
    image: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ToolUseStart {
    tool_use_id: String,
    name: String,
    r#type: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BlockDelta<'a> {
    content_block_index: u64,
    #[serde(borrow)]
    delta: Delta<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Delta<'a> {
    text: Option<String>,
    tool_use: Option<ToolUseDelta>,
    reasoning_content: Option<ReasoningDelta>,
    citation: Option<Citation>,
    #[serde(borrow)]
    image: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ToolUseDelta {
    input: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReasoningDelta {
    text: Option<String>,
    signature: Option<String>,
    redacted_content: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BlockStop {
    content_block_index: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MessageStop {
    stop_reason: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    usage: Option<TokenUsage>,
    #[expect(dead_code, reason = "a stream of the hub's has no place for it")]
    service_tier: Option<ServiceTier>,
}

enum Fault {
    Failed(Box<ErrorFacts>),
    Unreadable,
}

// === impl Reader ===

impl ReadEvents for Reader {
    fn read(&mut self, frame: Frame<'_>, pieces: &mut Vec<Event>) -> StreamEvent {
        if frame.is_error {
            return StreamEvent::Error(Box::new(error_in_frame(frame.name, frame.data)));
        }
        let held = pieces.len();
        match self.event(frame, pieces) {
            Ok(usage) => StreamEvent::Progress(Progress {
                content: pieces.iter().skip(held).any(Event::is_content),
                finished: self.finished,
                last: self.finished && self.counted,
                usage,
            }),
            Err(fault) => {
                pieces.truncate(held);
                fault.event()
            }
        }
    }
}

impl Reader {
    fn event(&mut self, frame: Frame<'_>, pieces: &mut Vec<Event>) -> Result<Option<Usage>, Fault> {
        let data = frame.data;
        if !self.started {
            self.started = true;
            pieces.push(Event::Start {
                id: String::new(),
                created: 0,
            });
        }
        match frame.name {
            "contentBlockStart" => self.block_start(parse(data)?, pieces)?,
            "contentBlockDelta" => self.block_delta(parse(data)?, pieces)?,
            "contentBlockStop" => self.block_stop(&parse(data)?, pieces),
            "messageStop" => self.message_stop(&parse(data)?, pieces)?,
            "metadata" => return Ok(self.metadata(&parse(data)?, pieces)),
            // `messageStart`, and what is not known yet.
            _ => parse::<IgnoredAny>(data).map(|_| ())?,
        }
        Ok(None)
    }

    fn block_start(&mut self, event: BlockStart<'_>, pieces: &mut Vec<Event>) -> Result<(), Fault> {
        if event.start.image.is_some() {
            return Err(Fault::Unreadable);
        }
        let Some(tool) = event.start.tool_use else {
            return Ok(());
        };
        if tool.r#type.as_deref() == Some("server_tool_use") {
            return Ok(());
        }
        if self.open.len() >= OPEN_MAX {
            return Err(Fault::Unreadable);
        }
        let index = (tool.name != FORM).then_some(self.calls);
        self.open.push(Open {
            block: event.content_block_index,
            index,
            filled: false,
        });
        if let Some(index) = index {
            self.calls = self.calls.saturating_add(1);
            pieces.push(Event::ToolCall {
                choice: 0,
                index,
                id: tool.tool_use_id,
                name: tool.name,
                signature: None,
            });
        }
        Ok(())
    }

    fn block_delta(&mut self, event: BlockDelta<'_>, pieces: &mut Vec<Event>) -> Result<(), Fault> {
        let delta = event.delta;
        if delta.image.is_some() {
            // A stream of the hub's has no place for media; an answer without its picture is none.
            return Err(Fault::Unreadable);
        }
        if let Some(text) = delta.text.filter(|text| !text.is_empty()) {
            pieces.push(Event::Text { choice: 0, text });
        }
        pieces.extend(delta.reasoning_content.and_then(ReasoningDelta::event));
        let citation = delta.citation.and_then(Citation::source);
        pieces.extend(citation.map(|citation| Event::Citation {
            choice: 0,
            citation,
        }));
        if let Some(tool) = delta.tool_use {
            pieces.extend(self.arguments(event.content_block_index, tool.input));
        }
        Ok(())
    }

    /// Arguments of a call that never began are those of Amazon's own tools.
    fn arguments(&mut self, block: u64, json: String) -> Option<Event> {
        let open = self.open.iter_mut().find(|open| open.block == block)?;
        if json.is_empty() {
            return None;
        }
        open.filled = true;
        Some(open.event(json))
    }

    fn block_stop(&mut self, event: &BlockStop, pieces: &mut Vec<Event>) {
        let at = |open: &Open| open.block == event.content_block_index;
        let Some(place) = self.open.iter().position(at) else {
            return;
        };
        let open = self.open.swap_remove(place);
        if !open.filled {
            pieces.push(open.event("{}".to_owned()));
        }
    }

    fn message_stop(&mut self, event: &MessageStop, pieces: &mut Vec<Event>) -> Result<(), Fault> {
        if self.finished {
            return Err(Fault::Unreadable);
        }
        match End::of(&event.stop_reason, self.calls > 0) {
            End::Failed(facts) => Err(Fault::Failed(facts)),
            End::Finish(finish) => {
                self.finished = true;
                pieces.push(Event::Finish { choice: 0, finish });
                Ok(())
            }
        }
    }

    fn metadata(&mut self, event: &Metadata, pieces: &mut Vec<Event>) -> Option<Usage> {
        let usage = event.usage.as_ref().map(TokenUsage::usage);
        if let Some(usage) = usage.filter(|_| !self.counted) {
            pieces.push(Event::Usage(usage));
        }
        self.counted = true;
        usage
    }
}

fn parse<'a, T: Deserialize<'a>>(data: &'a [u8]) -> Result<T, Fault> {
    serde_json::from_slice(data).map_err(|_| Fault::Unreadable)
}

// === impl Open ===

impl Open {
    fn event(&self, json: String) -> Event {
        match self.index {
            Some(index) => Event::Arguments {
                choice: 0,
                index,
                json,
            },
            None => Event::Text {
                choice: 0,
                text: json,
            },
        }
    }
}

// === impl ReasoningDelta ===

impl ReasoningDelta {
    /// Who thinks is said by the signature, which comes last.
    fn event(self) -> Option<Event> {
        let signed = self.signature.is_some();
        let (kind, text, format) = if let Some(content) = self.redacted_content {
            (ThoughtKind::Encrypted, redacted(content), Some(FORMAT))
        } else {
            let text = self.text.unwrap_or_default();
            (ThoughtKind::Text, text, signed.then_some(FORMAT))
        };
        let says = !text.is_empty() || signed;
        says.then_some(Event::Thought {
            choice: 0,
            kind,
            text,
            signature: self.signature,
            id: None,
            format,
        })
    }
}

// === impl Fault ===

impl Fault {
    /// Checksums hold, so that it was sent so: what it hides may be a call's beginning or end.
    fn event(self) -> StreamEvent {
        match self {
            Fault::Failed(facts) => StreamEvent::Error(facts),
            Fault::Unreadable => StreamEvent::Malformed { fatal: true },
        }
    }
}
