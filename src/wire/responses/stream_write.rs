//! Owns the writing of a stream's events. The dialect's last events repeat everything that was said, so that the writer
//! holds the answer's text, once, up to `MOST_HELD`: what grows beyond it ends in the dialect's error. In reading order: this
//! file, `events` (their shapes), `message`, `reasoning`, `calls` (the items).
//! Must never write an event after the one that ends the stream.

mod events;
mod message;
mod reasoning;
mod calls;

use bytes::Bytes;

use super::custom;
use super::output::{Body, OutputItem, Status};
use super::response::{End, Response, end_of};
use crate::core::exchange::Usage;
use crate::wire::client_error::ClientError;
use crate::wire::dialect::{Reply, WriteEvents};
use crate::wire::hub::{Event, Finish, Thought, ThoughtKind};
use crate::wire::openai::hub::hides_thoughts;

use events::{Numbered, OfItem, OfResponse};

pub(super) use events::write_error;

/// Bytes of an answer that are held at most: eight times the longest that a model gives (128 Ki tokens of 16 bytes).
const MOST_HELD: usize = 16 * 1024 * 1024;

/// Writes one stream.
#[derive(Debug)]
pub(super) struct Writer {
    out: Numbered,
    id: String,
    model: String,
    created: u64,
    now: u64,
    request: Bytes,
    items: Vec<OutputItem>,
    /// What of the items is not done. Calls may be several, all at the end of `items`.
    open: Open,
    /// Bytes of text and arguments in `items`.
    held: usize,
    finish: Option<Finish>,
    refused: bool,
    usage: Option<Usage>,
    state: State,
    /// The client does not want to see thoughts.
    hides: bool,
    /// The names of the request's custom tools.
    customs: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Before,
    Begun,
    /// The last event is written.
    Ended,
}

/// What of the last items is not done.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Open {
    Nothing,
    /// A message; its last part too.
    Message,
    /// A reasoning item; its last summary, where the kind is given.
    Reasoning(Option<ThoughtKind>),
    /// Calls: the place of the first, and the hub's index of each.
    Calls {
        from: usize,
        indices: Vec<u32>,
    },
}

// === impl Writer ===

impl WriteEvents for Writer {
    fn write(&mut self, event: &Event, out: &mut Vec<u8>) {
        if self.state == State::Ended {
            return;
        }
        match event {
            Event::Start { id, created } => self.start(id, *created, out),
            Event::Thought { .. } if self.hides => {}
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Finish { choice: 0, finish } => self.finish = Some(finish.clone()),
            Event::Text { choice: 0, .. }
            | Event::Refusal { choice: 0, .. }
            | Event::Citation { choice: 0, .. }
            | Event::Thought { choice: 0, .. }
            | Event::ToolCall { choice: 0, .. }
            | Event::Arguments { choice: 0, .. } => {
                self.start("", 0, out);
                self.piece(event, out);
                self.check_size(out);
            }
            // The format has one choice.
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
        if self.state == State::Ended {
            return;
        }
        self.start("", 0, out);
        let end = end_of(self.finish.as_ref(), self.refused, self.now);
        let cut = match end.status() {
            Status::Incomplete => Status::Incomplete,
            Status::InProgress | Status::Completed | Status::Failed => Status::Completed,
        };
        self.close(cut, out);
        let kind = match end {
            End::Short(_) => "response.incomplete",
            End::Open | End::Whole { .. } | End::Broken(_) => "response.completed",
        };
        self.response(kind, end, out);
        self.state = State::Ended;
    }

    fn fail(&mut self, error: &ClientError, out: &mut Vec<u8>) {
        if self.state == State::Ended {
            return;
        }
        write_error(error, self.out.next, out);
        self.out.next += 1;
        self.response("response.failed", End::Broken(error), out);
        self.state = State::Ended;
    }
}

impl Writer {
    pub(super) fn new(reply: &Reply<'_>) -> Self {
        Self {
            out: Numbered { next: 0 },
            id: format!("resp_{}", reply.id),
            model: reply.model.to_owned(),
            created: reply.now,
            now: reply.now,
            request: reply.request.clone(),
            items: Vec::new(),
            open: Open::Nothing,
            held: 0,
            finish: None,
            refused: false,
            usage: None,
            state: State::Before,
            hides: hides_thoughts(reply.request),
            customs: custom::names(reply.request),
        }
    }

    fn start(&mut self, id: &str, created: u64, out: &mut Vec<u8>) {
        if self.state != State::Before {
            return;
        }
        self.state = State::Begun;
        if !id.is_empty() {
            id.clone_into(&mut self.id);
        }
        if created != 0 {
            self.created = created;
        }
        self.response("response.created", End::Open, out);
        self.response("response.in_progress", End::Open, out);
    }

    /// An event with the whole response, as it is so far.
    fn response(&mut self, kind: &str, end: End<'_>, out: &mut Vec<u8>) {
        let response = Response {
            id: &self.id,
            model: &self.model,
            created: self.created,
            request: &self.request,
            service_tier: None,
            end,
            usage: self.usage,
        };
        let response = response.written(&self.items);
        self.out.write(kind, OfResponse { response }, out);
    }

    fn piece(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::Text { text, .. } => self.speak(text, out),
            Event::Refusal { text, .. } => self.refuse(text, out),
            Event::Citation { citation, .. } => self.cite(citation, out),
            Event::Thought {
                kind,
                text,
                signature,
                id,
                format,
                ..
            } => {
                let thought = Thought {
                    kind: *kind,
                    text: text.clone(),
                    signature: signature.clone(),
                    id: id.clone(),
                    format: format.map(str::to_owned),
                };
                self.think(&thought, out);
            }
            Event::ToolCall {
                index,
                id,
                name,
                signature,
                ..
            } => self.call(*index, (id, name), signature.as_deref(), out),
            Event::Arguments { index, json, .. } => self.argue(*index, json, out),
            Event::Start { .. } | Event::Finish { .. } | Event::Usage(_) => {}
        }
    }

    /// Ends a stream that holds more than any answer has.
    fn check_size(&mut self, out: &mut Vec<u8>) {
        if self.held > MOST_HELD {
            self.items.clear();
            self.open = Open::Nothing;
            let message = "the answer is longer than this API can repeat at its end";
            self.fail(&ClientError::new(502, "server", message), out);
        }
    }

    fn begin(&mut self, item: OutputItem, open: Open, out: &mut Vec<u8>) {
        let output_index = self.items.len();
        let body = OfItem {
            output_index,
            item: item.written(Status::InProgress),
        };
        self.out.write("response.output_item.added", body, out);
        self.items.push(item);
        self.open = open;
    }

    fn own(&self, prefix: &str, body: Body) -> OutputItem {
        OutputItem::own(prefix, &self.id, self.items.len(), body)
    }

    /// Ends what is open, of which the last item is `status`.
    fn close(&mut self, status: Status, out: &mut Vec<u8>) {
        let last = self.items.len().saturating_sub(1);
        let from = match &self.open {
            Open::Nothing => return,
            Open::Message => {
                self.close_part(out);
                last
            }
            Open::Reasoning(_) => {
                self.close_summary(out);
                last
            }
            Open::Calls { from, .. } => *from,
        };
        self.open = Open::Nothing;
        for at in from..self.items.len() {
            self.end_call(at, out);
            let status = if at == last {
                status
            } else {
                Status::Completed
            };
            if let Some(item) = self.items.get(at) {
                let body = OfItem {
                    output_index: at,
                    item: item.written(status),
                };
                self.out.write("response.output_item.done", body, out);
            }
        }
    }
}
