//! Owns the writing of one stream: blocks one after the other, where other dialects let them overlap. In reading order: this
//! file, `balance` (where a call's arguments end).
//! Must never keep more of the stream than the arguments of calls that wait for the one that is open.
//!
//! A call is closed once its arguments are a whole object and another call begins. A call that begins earlier waits, with what comes for
//! it. Text, a thought or the end close every call in their order: models do not go back to a call's arguments after them.

mod balance;

use serde::Serialize;

use super::answer_write::{End, Message, UsageOut, json};
use super::errors;
use super::origin::{FORMAT, Made, call_mark};
use super::shape::{Block, Citation, tool_id};
use crate::core::exchange::Usage;
use crate::wire::client_error::{ClientError, Skin};
use crate::wire::dialect::{Reply, WriteEvents};
use crate::wire::hub::{Citation as CitationOf, Event, Finish, ThoughtKind};
use balance::Balance;

/// Writes one stream.
#[derive(Debug)]
pub(super) struct Writer {
    /// Of the reply, for the message's head.
    model: String,
    id: String,
    started: bool,
    /// The index of the next block.
    next: u32,
    open: Open,
    /// Calls, and pieces of their arguments, that came before the open call was whole.
    waiting: Vec<Event>,
    /// What another provider encrypted behind the open text. It is written when something follows, and else left out:
    /// `answer_write` says why.
    behind: Vec<Event>,
    finish: Option<Finish>,
    refused: bool,
    usage: Option<Usage>,
}

#[derive(Debug)]
enum Open {
    None,
    Text,
    Thought(Mind),
    Call { index: u32, arguments: Balance },
}

/// What a thinking block's signature will tell, as far as it came.
#[derive(Debug)]
struct Mind {
    kind: ThoughtKind,
    format: Option<&'static str>,
    signature: Option<String>,
    id: Option<String>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Out<'a> {
    MessageStart {
        message: Message<'a>,
    },
    ContentBlockStart {
        index: u32,
        content_block: Block<'a>,
    },
    ContentBlockDelta {
        index: u32,
        delta: Delta<'a>,
    },
    ContentBlockStop {
        index: u32,
    },
    MessageDelta {
        delta: End<'a>,
        usage: UsageOut,
    },
    MessageStop,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Delta<'a> {
    #[serde(rename = "text_delta")]
    Text { text: &'a str },
    #[serde(rename = "thinking_delta")]
    Thinking { thinking: &'a str },
    #[serde(rename = "signature_delta")]
    Signature { signature: &'a str },
    #[serde(rename = "input_json_delta")]
    InputJson { partial_json: &'a str },
    #[serde(rename = "citations_delta")]
    Citations { citation: Citation<'a> },
}

// === impl Writer ===

impl WriteEvents for Writer {
    fn write(&mut self, event: &Event, out: &mut Vec<u8>) {
        if self.holds_back(event) {
            self.behind.push(event.clone());
            return;
        }
        if !self.behind.is_empty() && says_more(event) {
            for event in std::mem::take(&mut self.behind) {
                self.thought(&event, out);
            }
        }
        match event {
            Event::Start { id, .. } => self.start(id, out),
            Event::Text { choice: 0, text } => self.text(text, out),
            Event::Refusal { choice: 0, text } => {
                self.refused = true;
                self.text(text, out);
            }
            Event::Citation {
                choice: 0,
                citation,
            } => self.cite(citation, out),
            Event::Thought { choice: 0, .. } => self.thought(event, out),
            Event::ToolCall { choice: 0, .. } => self.call(event, out),
            Event::Arguments {
                choice: 0,
                index,
                json,
            } => self.arguments(*index, json, out),
            Event::Finish { choice: 0, finish } => self.finish = Some(finish.clone()),
            Event::Usage(usage) => self.usage = Some(*usage),
            // The dialect has one answer.
            Event::Text { .. }
            | Event::Refusal { .. }
            | Event::Citation { .. }
            | Event::Thought { .. }
            | Event::ToolCall { .. }
            | Event::Arguments { .. }
            | Event::Finish { .. } => {}
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.start("", out);
        self.close_all(out);
        let finish = self.finish.take();
        let delta = End::of(Some(finish.as_ref().unwrap_or(&Finish::STOP)), self.refused);
        let usage = UsageOut::of(self.usage.as_ref());
        event("message_delta", &Out::MessageDelta { delta, usage }, out);
        event("message_stop", &Out::MessageStop, out);
    }

    fn fail(&mut self, error: &ClientError, out: &mut Vec<u8>) {
        out.extend_from_slice(&errors::event(error));
    }
}

impl Writer {
    pub(super) fn new(reply: &Reply<'_>) -> Self {
        Self {
            model: reply.model.to_owned(),
            id: reply.id.to_owned(),
            started: false,
            next: 0,
            open: Open::None,
            waiting: Vec::new(),
            behind: Vec::new(),
            finish: None,
            refused: false,
            usage: None,
        }
    }

    /// Whether it is a thought that clients could not read, behind a text.
    fn holds_back(&self, event: &Event) -> bool {
        let Event::Thought {
            choice: 0,
            kind: ThoughtKind::Encrypted,
            format,
            ..
        } = event
        else {
            return false;
        };
        matches!(self.open, Open::Text) && *format != Some(FORMAT)
    }

    fn start(&mut self, id: &str, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        let reply = Reply {
            request: &bytes::Bytes::new(),
            model: &self.model,
            id: &self.id,
            now: 0,
            usage: true,
            skin: Skin::OpenAi,
        };
        let mut message = Message::new(id, &reply);
        message.usage = UsageOut::of(self.usage.as_ref());
        event("message_start", &Out::MessageStart { message }, out);
    }

    fn text(&mut self, text: &str, out: &mut Vec<u8>) {
        if text.is_empty() {
            return;
        }
        if !matches!(self.open, Open::Text) {
            self.close_all(out);
            let begun = Block::Text {
                text: "",
                citations: Vec::new(),
                cache_control: None,
            };
            self.begin(begun, Open::Text, out);
        }
        self.delta(Delta::Text { text }, out);
    }

    /// A citation belongs to the text before it; where that is closed there is no place for it any more.
    fn cite(&mut self, citation: &CitationOf, out: &mut Vec<u8>) {
        if matches!(self.open, Open::Text) {
            let citation = Citation::of(citation);
            self.delta(Delta::Citations { citation }, out);
        }
    }

    fn thought(&mut self, event: &Event, out: &mut Vec<u8>) {
        let Event::Thought {
            kind,
            text,
            signature,
            id,
            format,
            ..
        } = event
        else {
            return;
        };
        if *kind == ThoughtKind::Encrypted {
            self.close_all(out);
            let made = Made {
                kind: *kind,
                signature: signature.as_deref(),
                id: id.as_deref(),
                format: *format,
            };
            let data = made.data(text);
            self.begin(Block::RedactedThinking { data }, Open::Text, out);
            self.close(out);
            return;
        }
        let goes_on =
            matches!(&self.open, Open::Thought(mind) if mind.kind == *kind && !mind.is_over());
        if !goes_on {
            self.close_all(out);
            let begun = Block::Thinking {
                thinking: "",
                signature: "".into(),
            };
            let mind = Mind {
                kind: *kind,
                format: *format,
                signature: None,
                id: None,
            };
            self.begin(begun, Open::Thought(mind), out);
        }
        if !text.is_empty() {
            self.delta(Delta::Thinking { thinking: text }, out);
        }
        if let Open::Thought(mind) = &mut self.open {
            mind.format = mind.format.or(*format);
            mind.signature = mind.signature.take().or_else(|| signature.clone());
            mind.id = mind.id.take().or_else(|| id.clone());
        }
    }

    fn call(&mut self, call: &Event, out: &mut Vec<u8>) {
        if let Open::Call { arguments, .. } = &self.open
            && (!arguments.is_whole() || !self.waiting.is_empty())
        {
            self.waiting.push(call.clone());
            return;
        }
        self.close(out);
        let Event::ToolCall {
            index,
            id,
            name,
            signature,
            ..
        } = call
        else {
            return;
        };
        let made_up;
        let id = match id.as_str() {
            "" => {
                made_up = format!("toolu_{}_{index}", self.id);
                tool_id(&made_up)
            }
            id => tool_id(id),
        };
        if let Some(signature) = signature {
            let data = call_mark(&id, signature).into();
            self.begin(Block::RedactedThinking { data }, Open::Text, out);
            self.close(out);
        }
        let begun = Block::ToolUse {
            id,
            name,
            input: super::shape::no_input(),
            cache_control: None,
        };
        let open = Open::Call {
            index: *index,
            arguments: Balance::default(),
        };
        self.begin(begun, open, out);
    }

    fn arguments(&mut self, of: u32, json: &str, out: &mut Vec<u8>) {
        let Open::Call { index, arguments } = &mut self.open else {
            return;
        };
        if *index != of {
            let known =
                |event: &Event| matches!(event, Event::ToolCall { index, .. } if *index == of);
            // What comes for a call that is closed was not part of its object.
            if self.waiting.iter().any(known) {
                self.waiting.push(Event::Arguments {
                    choice: 0,
                    index: of,
                    json: json.to_owned(),
                });
            }
            return;
        }
        arguments.take(json);
        let whole = arguments.is_whole();
        if !json.is_empty() {
            self.delta(Delta::InputJson { partial_json: json }, out);
        }
        if whole {
            self.go_on(out);
        }
    }

    /// Writes what waited for the open call.
    fn go_on(&mut self, out: &mut Vec<u8>) {
        let waiting = std::mem::take(&mut self.waiting);
        for event in waiting {
            self.write(&event, out);
        }
    }

    /// Closes the open block, and every call that waits.
    fn close_all(&mut self, out: &mut Vec<u8>) {
        self.close(out);
        while !self.waiting.is_empty() {
            self.go_on(out);
            self.close(out);
        }
    }

    fn begin(&mut self, content_block: Block<'_>, open: Open, out: &mut Vec<u8>) {
        self.start("", out);
        let begun = Out::ContentBlockStart {
            index: self.next,
            content_block,
        };
        event("content_block_start", &begun, out);
        self.next += 1;
        self.open = open;
    }

    fn delta(&self, delta: Delta<'_>, out: &mut Vec<u8>) {
        let index = self.next.saturating_sub(1);
        let delta = Out::ContentBlockDelta { index, delta };
        event("content_block_delta", &delta, out);
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        let open = std::mem::replace(&mut self.open, Open::None);
        match &open {
            Open::None => return,
            Open::Thought(mind) => {
                let signature = mind.made().signature();
                self.delta(
                    Delta::Signature {
                        signature: &signature,
                    },
                    out,
                );
            }
            Open::Text | Open::Call { .. } => {}
        }
        let index = self.next.saturating_sub(1);
        event("content_block_stop", &Out::ContentBlockStop { index }, out);
    }
}

// === impl Mind ===

impl Mind {
    fn is_over(&self) -> bool {
        self.signature.is_some() || self.id.is_some()
    }

    fn made(&self) -> Made<'_> {
        Made {
            kind: self.kind,
            signature: self.signature.as_deref(),
            id: self.id.as_deref(),
            format: self.format,
        }
    }
}

/// Whether an event begins or goes on with a block.
fn says_more(event: &Event) -> bool {
    match event {
        Event::Text { choice: 0, text } | Event::Refusal { choice: 0, text } => !text.is_empty(),
        Event::Thought { choice: 0, .. } | Event::ToolCall { choice: 0, .. } => true,
        _ => false,
    }
}

fn event(name: &str, data: &Out<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    out.extend_from_slice(&json(data));
    out.extend_from_slice(b"\n\n");
}

#[cfg(test)]
mod tests;
