//! Owns the reading of a stream of typed events. Must never keep more of it than which tools are being called.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::shape::{Citation, End, Usage};
use crate::core::exchange::{Progress, StreamEvent, Usage as Counted};
use crate::core::outcome::ErrorFacts;
use crate::wire::dialect::{Frame, ReadEvents};
use crate::wire::error_facts::error_in_answer;
use crate::wire::hub::{Event, ThoughtKind};

/// Calls that may be open at once; models close one before the next.
const OPEN_MAX: usize = 64;
const DONE: &[u8] = b"[DONE]";

/// Reads one stream.
#[derive(Debug, Default)]
pub(super) struct Reader {
    started: bool,
    open: Vec<Open>,
    calls: u32,
    finished: bool,
}

/// A tool's call that has begun.
#[derive(Debug)]
struct Open {
    /// Cohere's number of it.
    number: u64,
    /// Its place among the calls.
    index: u32,
    /// Arguments came.
    filled: bool,
}

#[derive(Deserialize)]
struct Typed<'a> {
    r#type: Option<String>,
    id: Option<String>,
    index: Option<u64>,
    #[serde(borrow)]
    delta: Option<Delta<'a>>,
    /// An error's.
    #[serde(borrow)]
    message: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct Delta<'a> {
    #[serde(borrow)]
    message: Option<Message<'a>>,
    finish_reason: Option<String>,
    usage: Option<Usage>,
    error: Option<String>,
}

/// The fields' shapes depend on the event, so that each is read where it is known.
#[derive(Default, Deserialize)]
struct Message<'a> {
    tool_plan: Option<String>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_calls: Option<&'a RawValue>,
    #[serde(borrow)]
    citations: Option<&'a RawValue>,
}

/// One of the fields.
#[derive(Deserialize)]
struct Content {
    text: Option<String>,
    thinking: Option<String>,
}

#[derive(Deserialize)]
struct CallStart {
    id: String,
    function: FunctionStart,
}

#[derive(Deserialize)]
struct FunctionStart {
    name: String,
    arguments: Option<String>,
}

#[derive(Deserialize)]
struct CallDelta {
    function: FunctionDelta,
}

#[derive(Deserialize)]
struct FunctionDelta {
    arguments: Option<String>,
}

enum Fault {
    Failed(Box<ErrorFacts>),
    Unreadable,
}

// === impl Reader ===

impl ReadEvents for Reader {
    fn read(&mut self, frame: Frame<'_>, pieces: &mut Vec<Event>) -> StreamEvent {
        let data = frame.data.trim_ascii();
        if data.is_empty() {
            return StreamEvent::Idle;
        }
        if data == DONE {
            return StreamEvent::Done;
        }
        let held = pieces.len();
        match self.event(data, pieces) {
            Ok(usage) => StreamEvent::Progress(Progress {
                content: pieces.iter().skip(held).any(Event::is_content),
                finished: self.finished,
                last: false,
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
    fn event(&mut self, data: &[u8], pieces: &mut Vec<Event>) -> Result<Option<Counted>, Fault> {
        let event: Typed<'_> = serde_json::from_slice(data).map_err(|_| Fault::Unreadable)?;
        let Some(kind) = event.r#type.as_deref() else {
            return Err(match event.message {
                Some(_) => Fault::Failed(Box::new(error_in_answer(data))),
                None => Fault::Unreadable,
            });
        };
        let mut delta = event.delta.unwrap_or_default();
        let message = delta.message.take().unwrap_or_default();
        if !self.started {
            self.started = true;
            pieces.push(Event::Start {
                id: event.id.unwrap_or_default(),
                created: 0,
            });
        }
        match kind {
            "content-start" | "content-delta" => pieces.extend(content(message.content)?),
            "tool-plan-delta" => {
                let plan = message.tool_plan.filter(|plan| !plan.is_empty());
                pieces.extend(plan.map(|text| Event::Text { choice: 0, text }));
            }
            "tool-call-start" => self.call_start(event.index, message.tool_calls, pieces)?,
            "tool-call-delta" => self.call_delta(event.index, message.tool_calls, pieces)?,
            "tool-call-end" => self.call_end(event.index, pieces),
            "citation-start" => {
                let citation: Citation = parse(message.citations)?;
                let sources = citation.sources();
                pieces.extend(sources.map(|citation| Event::Citation {
                    choice: 0,
                    citation,
                }));
            }
            "message-end" => return self.message_end(&delta, pieces),
            // The beginning, ends of parts, and what is not known yet.
            _ => {}
        }
        Ok(None)
    }

    fn call_start(
        &mut self,
        number: Option<u64>,
        call: Option<&RawValue>,
        pieces: &mut Vec<Event>,
    ) -> Result<(), Fault> {
        let call: CallStart = parse(call)?;
        if self.open.len() >= OPEN_MAX {
            return Err(Fault::Unreadable);
        }
        let index = self.calls;
        self.calls = index.saturating_add(1);
        pieces.push(Event::ToolCall {
            choice: 0,
            index,
            id: call.id,
            name: call.function.name,
            signature: None,
        });
        let mut open = Open {
            number: number.unwrap_or(0),
            index,
            filled: false,
        };
        pieces.extend(open.arguments(call.function.arguments));
        self.open.push(open);
        Ok(())
    }

    fn call_delta(
        &mut self,
        number: Option<u64>,
        call: Option<&RawValue>,
        pieces: &mut Vec<Event>,
    ) -> Result<(), Fault> {
        let call: CallDelta = parse(call)?;
        let number = number.unwrap_or(0);
        let mut open = self.open.iter_mut();
        let open = open.find(|open| open.number == number);
        let open = open.ok_or(Fault::Unreadable)?;
        pieces.extend(open.arguments(call.function.arguments));
        Ok(())
    }

    fn call_end(&mut self, number: Option<u64>, pieces: &mut Vec<Event>) {
        let number = number.unwrap_or(0);
        let at = |open: &Open| open.number == number;
        let Some(place) = self.open.iter().position(at) else {
            return;
        };
        let open = self.open.swap_remove(place);
        if !open.filled {
            pieces.push(open.event("{}".to_owned()));
        }
    }

    fn message_end(
        &mut self,
        delta: &Delta<'_>,
        pieces: &mut Vec<Event>,
    ) -> Result<Option<Counted>, Fault> {
        let reason = delta.finish_reason.as_deref().filter(|_| !self.finished);
        let reason = reason.ok_or(Fault::Unreadable)?;
        let finish = match End::of(reason, delta.error.as_deref()) {
            End::Failed(facts) => return Err(Fault::Failed(facts)),
            End::Finish(finish) => finish,
        };
        self.finished = true;
        pieces.push(Event::Finish { choice: 0, finish });
        let usage = delta.usage.as_ref().and_then(Usage::counted);
        pieces.extend(usage.map(Event::Usage));
        Ok(usage)
    }
}

fn parse<'a, T: Deserialize<'a>>(json: Option<&'a RawValue>) -> Result<T, Fault> {
    let json = json.ok_or(Fault::Unreadable)?;
    serde_json::from_str(json.get()).map_err(|_| Fault::Unreadable)
}

fn content(json: Option<&RawValue>) -> Result<Option<Event>, Fault> {
    let content: Content = parse(json)?;
    if let Some(text) = content.thinking.filter(|text| !text.is_empty()) {
        return Ok(Some(Event::Thought {
            choice: 0,
            kind: ThoughtKind::Text,
            text,
            signature: None,
            id: None,
            format: None,
        }));
    }
    let text = content.text.filter(|text| !text.is_empty());
    Ok(text.map(|text| Event::Text { choice: 0, text }))
}

// === impl Open ===

impl Open {
    fn arguments(&mut self, json: Option<String>) -> Option<Event> {
        // Those of a tool without any are `null`, as recorded.
        let json = json.filter(|json| !json.is_empty() && (self.filled || json != "null"))?;
        self.filled = true;
        Some(self.event(json))
    }

    fn event(&self, json: String) -> Event {
        Event::Arguments {
            choice: 0,
            index: self.index,
            json,
        }
    }
}

// === impl Fault ===

impl Fault {
    /// A broken event may hide a call's beginning, or a brace of an answer in a form.
    fn event(self) -> StreamEvent {
        match self {
            Fault::Failed(facts) => StreamEvent::Error(facts),
            Fault::Unreadable => StreamEvent::Malformed { fatal: true },
        }
    }
}
