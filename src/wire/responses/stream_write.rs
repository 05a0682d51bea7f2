//! Owns the writing of a stream's events. The dialect's last events repeat everything that was said, so that the writer
//! holds the answer's text, once, up to `MOST_HELD`: what grows beyond it ends in the dialect's error.
//! Must never write an event after the one that ends the stream.

use bytes::Bytes;
use serde::Serialize;

use super::output::{
    Body, OutputItem, Spoken, Status, WrittenAnnotation, WrittenItem, WrittenPart, own_id, seal,
    signature_item,
};
use super::response::{End, Response, Written, end_of};
use crate::core::exchange::Usage;
use crate::wire::client_error::ClientError;
use crate::wire::dialect::{Reply, WriteEvents};
use crate::wire::hub::{Citation, Event, Finish, Thought, ThoughtKind};

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

/// Writes events with their numbers.
#[derive(Debug)]
struct Numbered {
    next: u64,
}

#[derive(Serialize)]
struct Envelope<'a, T> {
    #[serde(rename = "type")]
    kind: &'a str,
    sequence_number: u64,
    #[serde(flatten)]
    body: T,
}

#[derive(Serialize)]
struct OfResponse<'a> {
    response: Written<'a>,
}

#[derive(Serialize)]
struct OfItem<'a> {
    output_index: usize,
    item: WrittenItem<'a>,
}

/// Where a part stands.
#[derive(Clone, Copy, Serialize)]
struct Place<'a> {
    item_id: &'a str,
    output_index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary_index: Option<usize>,
}

#[derive(Serialize)]
struct OfPart<'a> {
    #[serde(flatten)]
    place: Place<'a>,
    part: WrittenPart<'a>,
}

/// Text, or a piece of it; the field that does not apply is left out.
#[derive(Default, Serialize)]
struct Words<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    delta: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arguments: Option<&'a str>,
    /// Required where there is text.
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<[(); 0]>,
}

#[derive(Serialize)]
struct OfWords<'a> {
    #[serde(flatten)]
    place: Place<'a>,
    #[serde(flatten)]
    words: Words<'a>,
}

#[derive(Serialize)]
struct OfAnnotation<'a> {
    #[serde(flatten)]
    place: Place<'a>,
    annotation_index: usize,
    annotation: WrittenAnnotation<'a>,
}

/// The fields stand twice: at the top as documented, and in `error` as OpenAI sends them and its client looks for them.
#[derive(Serialize)]
struct OfError<'a> {
    code: Option<&'a str>,
    message: &'a str,
    param: Option<&'a str>,
    error: InnerError<'a>,
}

#[derive(Serialize)]
struct InnerError<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    code: Option<&'a str>,
    message: &'a str,
    param: Option<&'a str>,
}

/// The event that says that a stream broke, as the `sequence`-th.
pub(super) fn write_error(error: &ClientError, sequence: u64, out: &mut Vec<u8>) {
    let (code, param) = (error.code.as_deref(), error.param.as_deref());
    let message = error.message.as_str();
    let body = OfError {
        code,
        message,
        param,
        error: InnerError {
            kind: &error.kind,
            code,
            message,
            param,
        },
    };
    Numbered { next: sequence }.write("error", body, out);
}

// === impl Writer ===

impl WriteEvents for Writer {
    fn write(&mut self, event: &Event, out: &mut Vec<u8>) {
        if self.state == State::Ended {
            return;
        }
        match event {
            Event::Start { id, created } => self.start(id, *created, out),
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

    /// Opens a message, if none is open.
    fn open_message(&mut self, out: &mut Vec<u8>) {
        if self.open != Open::Message {
            self.close(Status::Completed, out);
            let item = self.own("msg", Body::Message(Vec::new()));
            self.begin(item, Open::Message, out);
        }
    }

    fn speak(&mut self, text: &str, out: &mut Vec<u8>) {
        self.open_part(
            Spoken::Text {
                text: String::new(),
                citations: Vec::new(),
            },
            out,
        );
        self.held += text.len();
        let words = Words {
            delta: Some(text),
            logprobs: Some([]),
            ..Words::default()
        };
        self.words("response.output_text.delta", words, out);
        if let Some(Spoken::Text { text: held, .. }) = self.last_part() {
            held.push_str(text);
        }
    }

    fn refuse(&mut self, text: &str, out: &mut Vec<u8>) {
        self.refused = true;
        self.open_part(Spoken::Refusal(String::new()), out);
        self.held += text.len();
        let words = Words {
            delta: Some(text),
            ..Words::default()
        };
        self.words("response.refusal.delta", words, out);
        if let Some(Spoken::Refusal(held)) = self.last_part() {
            held.push_str(text);
        }
    }

    fn cite(&mut self, citation: &Citation, out: &mut Vec<u8>) {
        self.open_part(
            Spoken::Text {
                text: String::new(),
                citations: Vec::new(),
            },
            out,
        );
        self.held += citation.url.len();
        let at = self.items.len().saturating_sub(1);
        let count = match self.last_part() {
            Some(Spoken::Text { citations, .. }) => {
                citations.push(citation.clone());
                citations.len()
            }
            Some(Spoken::Refusal(_)) | None => return,
        };
        if let Some(item) = self.items.last() {
            let body = OfAnnotation {
                place: place(item, at),
                annotation_index: count - 1,
                annotation: WrittenAnnotation::of(citation),
            };
            self.out
                .write("response.output_text.annotation.added", body, out);
        }
    }

    fn last_part(&mut self) -> Option<&mut Spoken> {
        match self.items.last_mut().map(|item| &mut item.body) {
            Some(Body::Message(said)) => said.last_mut(),
            _ => None,
        }
    }

    /// Opens a part of the kind of `empty`, if none is open.
    fn open_part(&mut self, empty: Spoken, out: &mut Vec<u8>) {
        self.open_message(out);
        let same =
            |last: &mut Spoken| std::mem::discriminant(last) == std::mem::discriminant(&empty);
        match self.last_part().map(same) {
            Some(true) => return,
            Some(false) => self.close_part(out),
            None => {}
        }
        if let Some(Body::Message(said)) = self.items.last_mut().map(|item| &mut item.body) {
            said.push(empty);
        }
        self.part("response.content_part.added", out);
    }

    /// An event with the last part of the last item.
    fn part(&mut self, kind: &str, out: &mut Vec<u8>) {
        let at = self.items.len().saturating_sub(1);
        let Some(item) = self.items.last() else {
            return;
        };
        let part = match &item.body {
            Body::Message(said) => said.last().map(Spoken::written),
            Body::Reasoning { summary, .. } => {
                summary.last().map(|text| WrittenPart::SummaryText { text })
            }
            Body::Call { .. } | Body::Image(_) => None,
        };
        if let Some(part) = part {
            let place = place(item, at);
            self.out.write(kind, OfPart { place, part }, out);
        }
    }

    /// An event with words of the last part of the last item.
    fn words(&mut self, kind: &str, words: Words<'_>, out: &mut Vec<u8>) {
        let at = self.items.len().saturating_sub(1);
        if let Some(item) = self.items.last() {
            let place = place(item, at);
            self.out.write(kind, OfWords { place, words }, out);
        }
    }

    fn close_part(&mut self, out: &mut Vec<u8>) {
        let at = self.items.len().saturating_sub(1);
        let Some(item) = self.items.last() else {
            return;
        };
        let Body::Message(said) = &item.body else {
            return;
        };
        let Some(last) = said.last() else { return };
        let text = Some(last.text());
        let (kind, words) = match last {
            Spoken::Text { .. } => {
                let logprobs = Some([]);
                let words = Words {
                    text,
                    logprobs,
                    ..Words::default()
                };
                ("response.output_text.done", words)
            }
            Spoken::Refusal(_) => {
                let words = Words {
                    refusal: text,
                    ..Words::default()
                };
                ("response.refusal.done", words)
            }
        };
        let place = place(item, at);
        self.out.write(kind, OfWords { place, words }, out);
        self.part("response.content_part.done", out);
    }

    fn think(&mut self, thought: &Thought, out: &mut Vec<u8>) {
        let ends = thought.signature.is_some() || thought.kind == ThoughtKind::Encrypted;
        let in_words = thought.kind != ThoughtKind::Encrypted && !thought.text.is_empty();
        let is_open = matches!(self.open, Open::Reasoning(_));
        // The end of a part that brought nothing is no item.
        if !is_open && !ends && !in_words {
            return;
        }
        if !is_open {
            self.open_reasoning(thought, out);
        }
        if in_words {
            self.summarise(thought, out);
        }
        if ends {
            self.prove(thought, out);
        } else if thought.id.is_some() {
            self.close_summary(out);
        }
    }

    fn open_reasoning(&mut self, thought: &Thought, out: &mut Vec<u8>) {
        self.close(Status::Completed, out);
        let body = Body::Reasoning {
            summary: Vec::new(),
            encrypted: None,
        };
        let mut item = self.own("rs", body);
        if let Some(id) = own_id(thought.format.as_deref(), thought.id.as_deref()) {
            id.clone_into(&mut item.id);
        }
        self.begin(item, Open::Reasoning(None), out);
    }

    /// What closes a reasoning item: a signature, or encrypted words.
    fn prove(&mut self, thought: &Thought, out: &mut Vec<u8>) {
        if let Some(OutputItem { id, body }) = self.items.last_mut()
            && let Body::Reasoning { encrypted, .. } = body
        {
            *encrypted = seal(thought, id);
            self.held += encrypted.as_ref().map_or(0, String::len);
        }
        self.close(Status::Completed, out);
    }

    fn summarise(&mut self, thought: &Thought, out: &mut Vec<u8>) {
        if self.open != Open::Reasoning(Some(thought.kind)) {
            self.close_summary(out);
            if let Some(summary) = self.summary() {
                summary.push(String::new());
            }
            self.open = Open::Reasoning(Some(thought.kind));
            self.part("response.reasoning_summary_part.added", out);
        }
        self.held += thought.text.len();
        let words = Words {
            delta: Some(&thought.text),
            ..Words::default()
        };
        self.words("response.reasoning_summary_text.delta", words, out);
        if let Some(held) = self.summary().and_then(|summary| summary.last_mut()) {
            held.push_str(&thought.text);
        }
    }

    fn summary(&mut self) -> Option<&mut Vec<String>> {
        match self.items.last_mut().map(|item| &mut item.body) {
            Some(Body::Reasoning { summary, .. }) => Some(summary),
            _ => None,
        }
    }

    fn close_summary(&mut self, out: &mut Vec<u8>) {
        let Open::Reasoning(Some(_)) = self.open else {
            return;
        };
        self.open = Open::Reasoning(None);
        let at = self.items.len().saturating_sub(1);
        let Some(item) = self.items.last() else {
            return;
        };
        if let Body::Reasoning { summary, .. } = &item.body {
            let words = Words {
                text: summary.last().map(String::as_str),
                ..Words::default()
            };
            let place = place(item, at);
            let body = OfWords { place, words };
            self.out
                .write("response.reasoning_summary_text.done", body, out);
        }
        self.part("response.reasoning_summary_part.done", out);
    }

    fn call(
        &mut self,
        index: u32,
        (id, name): (&str, &str),
        signature: Option<&str>,
        out: &mut Vec<u8>,
    ) {
        let several = matches!(self.open, Open::Calls { .. });
        if !several || signature.is_some() {
            self.close(Status::Completed, out);
        }
        if let Some(signature) = signature {
            self.held += signature.len();
            let item = signature_item(id, signature, &self.id, self.items.len());
            self.begin(item, Open::Reasoning(None), out);
            self.close(Status::Completed, out);
        }
        let open = match std::mem::replace(&mut self.open, Open::Nothing) {
            Open::Calls { from, mut indices } => {
                indices.push(index);
                Open::Calls { from, indices }
            }
            Open::Nothing | Open::Message | Open::Reasoning(_) => Open::Calls {
                from: self.items.len(),
                indices: vec![index],
            },
        };
        self.held += id.len() + name.len();
        let item = self.own(
            "fc",
            Body::Call {
                call_id: id.to_owned(),
                name: name.to_owned(),
                arguments: String::new(),
            },
        );
        self.begin(item, open, out);
    }

    fn argue(&mut self, index: u32, json: &str, out: &mut Vec<u8>) {
        let Open::Calls { from, indices } = &self.open else {
            return;
        };
        let Some(place_of_it) = indices.iter().position(|open| *open == index) else {
            return;
        };
        let at = from + place_of_it;
        self.held += json.len();
        let Some(item) = self.items.get_mut(at) else {
            return;
        };
        if let Body::Call { arguments, .. } = &mut item.body {
            arguments.push_str(json);
        }
        let words = Words {
            delta: Some(json),
            ..Words::default()
        };
        let place = place(item, at);
        let body = OfWords { place, words };
        self.out
            .write("response.function_call_arguments.delta", body, out);
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
        for (at, item) in self.items.iter().enumerate().skip(from) {
            if let Body::Call {
                name, arguments, ..
            } = &item.body
            {
                let words = Words {
                    name: Some(name),
                    arguments: Some(arguments),
                    ..Words::default()
                };
                let place = place(item, at);
                let body = OfWords { place, words };
                self.out
                    .write("response.function_call_arguments.done", body, out);
            }
            let status = if at == last {
                status
            } else {
                Status::Completed
            };
            let body = OfItem {
                output_index: at,
                item: item.written(status),
            };
            self.out.write("response.output_item.done", body, out);
        }
    }
}

/// Where the last part of an item stands.
fn place(item: &OutputItem, output_index: usize) -> Place<'_> {
    let last = |count: usize| Some(count.saturating_sub(1));
    let (content_index, summary_index) = match &item.body {
        Body::Message(said) => (last(said.len()), None),
        Body::Reasoning { summary, .. } => (None, last(summary.len())),
        Body::Call { .. } | Body::Image(_) => (None, None),
    };
    Place {
        item_id: &item.id,
        output_index,
        content_index,
        summary_index,
    }
}

// === impl Numbered ===

impl Numbered {
    fn write(&mut self, kind: &str, body: impl Serialize, out: &mut Vec<u8>) {
        let event = Envelope {
            kind,
            sequence_number: self.next,
            body,
        };
        self.next += 1;
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(kind.as_bytes());
        out.extend_from_slice(b"\ndata: ");
        serde_json::to_writer(&mut *out, &event)
            .expect("structs of strings and numbers always serialise");
        out.extend_from_slice(b"\n\n");
    }
}
