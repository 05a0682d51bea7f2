//! Owns the reading of an upstream's events as the hub's. Must never keep a piece: it remembers which calls are open, and
//! what the text began with.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::answer_read::Head;
use super::item::{Annotation, Item, OWN_FORMAT, Said, Signature};
use crate::core::exchange::{Progress, StreamEvent};
use crate::wire::dialect::{Frame, ReadEvents};
use crate::wire::error_facts;
use crate::wire::hub::{Event, Part, ThoughtKind, ToolCall};
use crate::wire::json::Word;
use crate::wire::openai::hub::known_format;

/// What OpenRouter ends its streams with.
const DONE: &str = "[DONE]";
/// Calls that may be open at once: OpenAI allows 128 tools. Beyond it is nonsense.
const MOST: usize = 128;

/// Reads one stream.
#[derive(Debug, Default)]
pub(super) struct Reader {
    started: bool,
    finished: bool,
    refused: bool,
    /// Calls that have begun so far.
    calls: u32,
    open: Vec<Call>,
    /// Of calls that are yet to begin.
    signatures: Vec<Signature>,
    /// The part under way brought a piece.
    part_said: bool,
    /// The text's first letter, blanks left out.
    begins_with: Option<u8>,
}

/// A call whose item is not done.
#[derive(Debug)]
struct Call {
    output_index: u64,
    /// The hub's index.
    index: u32,
    /// Arguments came.
    said: bool,
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Word<'a>>,
    output_index: Option<u64>,
    item_id: Option<String>,
    delta: Option<String>,
    text: Option<String>,
    refusal: Option<String>,
    arguments: Option<String>,
    #[serde(borrow)]
    item: Option<&'a RawValue>,
    #[serde(borrow)]
    annotation: Option<Annotation<'a>>,
    #[serde(borrow)]
    response: Option<&'a RawValue>,
}

/// Not the dialect's format.
#[derive(Debug)]
struct Nonsense;

// === impl Reader ===

impl ReadEvents for Reader {
    fn read(&mut self, frame: Frame<'_>, pieces: &mut Vec<Event>) -> StreamEvent {
        let Ok(json) = std::str::from_utf8(frame.data).map(str::trim_ascii) else {
            return self.malformed();
        };
        match json {
            _ if frame.is_error => error(json),
            "" => StreamEvent::Idle,
            DONE => StreamEvent::Done,
            json => {
                let from = pieces.len();
                self.read_event(json, pieces).unwrap_or_else(|Nonsense| {
                    pieces.truncate(from);
                    self.malformed()
                })
            }
        }
    }
}

impl Reader {
    fn read_event(&mut self, json: &str, pieces: &mut Vec<Event>) -> Result<StreamEvent, Nonsense> {
        let body: Body<'_> = serde_json::from_str(json).map_err(|_| Nonsense)?;
        let Some(kind) = body.kind.as_deref() else {
            // An error without a type, as gateways write it.
            let head: Head<'_> = serde_json::from_str(json).map_err(|_| Nonsense)?;
            return head.is_error().then(|| error(json)).ok_or(Nonsense);
        };
        match kind {
            "error" => return Ok(error(json)),
            "keepalive" | "ping" => return Ok(StreamEvent::Idle),
            "response.failed" => {
                return Ok(error(body.response.map_or(json, RawValue::get)));
            }
            "response.completed" | "response.incomplete" => return self.end(&body, pieces),
            _ => {}
        }
        let from = pieces.len();
        self.piece(body, pieces)?;
        let new = pieces.get(from..).unwrap_or_default();
        Ok(StreamEvent::Progress(Progress {
            content: new.iter().any(Event::is_content),
            finished: self.finished,
            ..Progress::default()
        }))
    }

    fn piece(&mut self, body: Body<'_>, pieces: &mut Vec<Event>) -> Result<(), Nonsense> {
        match body.kind.as_deref().unwrap_or_default() {
            "response.created" | "response.in_progress" | "response.queued" => {
                self.start(&body, pieces)
            }
            "response.content_part.added" | "response.reasoning_summary_part.added" => {
                self.part_said = false;
                Ok(())
            }
            "response.output_item.added" => self.begin(&body, pieces),
            "response.output_item.done" => self.finish_item(&body, pieces),
            "response.output_text.delta" => self.speak(body.delta, pieces),
            "response.output_text.done" if !self.part_said => self.speak(body.text, pieces),
            "response.refusal.delta" => self.refuse(body.delta, pieces),
            "response.refusal.done" if !self.part_said => self.refuse(body.refusal, pieces),
            "response.output_text.annotation.added" => {
                let citation = body.annotation.and_then(Annotation::into_citation);
                pieces.extend(citation.map(|citation| Event::Citation {
                    choice: 0,
                    citation,
                }));
                Ok(())
            }
            "response.reasoning_summary_text.delta" => {
                self.think(ThoughtKind::Summary, body.delta, pieces)
            }
            "response.reasoning_text.delta" => self.think(ThoughtKind::Text, body.delta, pieces),
            "response.reasoning_summary_text.done" => {
                end_thought(ThoughtKind::Summary, body.item_id, pieces);
                Ok(())
            }
            "response.reasoning_text.done" => {
                end_thought(ThoughtKind::Text, body.item_id, pieces);
                Ok(())
            }
            "response.function_call_arguments.delta" => {
                self.argue(body.output_index, body.delta, pieces)
            }
            "response.function_call_arguments.done" => {
                self.argue_whole(body.output_index, body.arguments, pieces);
                Ok(())
            }
            // What a provider's own tools do, and what is yet to come.
            _ => Ok(()),
        }
    }

    fn start(&mut self, body: &Body<'_>, pieces: &mut Vec<Event>) -> Result<(), Nonsense> {
        let head = head(body)?;
        if !std::mem::replace(&mut self.started, true) {
            pieces.push(Event::Start {
                id: head.id.as_deref().unwrap_or_default().to_owned(),
                created: head.created(),
            });
        }
        Ok(())
    }

    fn end(&mut self, body: &Body<'_>, pieces: &mut Vec<Event>) -> Result<StreamEvent, Nonsense> {
        let head = head(body)?;
        if head.is_error() {
            return Ok(error(body.response.map_or("", RawValue::get)));
        }
        let finish = head.finish(self.calls > 0, self.refused).ok_or(Nonsense)?;
        let usage = head.usage();
        self.start(body, pieces)?;
        let end = Event::Finish { choice: 0, finish };
        let content = end.is_content();
        pieces.push(end);
        pieces.extend(usage.map(Event::Usage));
        self.finished = true;
        Ok(StreamEvent::Progress(Progress {
            content,
            finished: true,
            last: true,
            usage,
        }))
    }

    fn speak(&mut self, text: Option<String>, pieces: &mut Vec<Event>) -> Result<(), Nonsense> {
        let text = text.ok_or(Nonsense)?;
        let first = text.trim_ascii_start().bytes().next();
        self.begins_with = self.begins_with.or(first);
        self.part_said = true;
        if !text.is_empty() {
            pieces.push(Event::Text { choice: 0, text });
        }
        Ok(())
    }

    fn refuse(&mut self, text: Option<String>, pieces: &mut Vec<Event>) -> Result<(), Nonsense> {
        let text = text.ok_or(Nonsense)?;
        self.refused = true;
        self.part_said = true;
        if !text.is_empty() {
            pieces.push(Event::Refusal { choice: 0, text });
        }
        Ok(())
    }

    fn think(
        &mut self,
        kind: ThoughtKind,
        text: Option<String>,
        pieces: &mut Vec<Event>,
    ) -> Result<(), Nonsense> {
        self.part_said = true;
        let text = text.ok_or(Nonsense)?;
        if !text.is_empty() {
            pieces.push(Event::Thought {
                choice: 0,
                kind,
                text,
                signature: None,
                id: None,
                format: format_of(kind),
            });
        }
        Ok(())
    }

    fn begin(&mut self, body: &Body<'_>, pieces: &mut Vec<Event>) -> Result<(), Nonsense> {
        self.part_said = false;
        let Some(call) = self.call_of(body)? else {
            return Ok(());
        };
        if self.open.len() == MOST {
            return Err(Nonsense);
        }
        let index = self.calls;
        self.calls = index.checked_add(1).ok_or(Nonsense)?;
        self.open.push(Call {
            output_index: body.output_index.unwrap_or(0),
            index,
            said: false,
        });
        pieces.push(Event::ToolCall {
            choice: 0,
            index,
            id: call.id,
            name: call.name,
            signature: call.signature,
        });
        Ok(())
    }

    fn argue(
        &mut self,
        output_index: Option<u64>,
        json: Option<String>,
        pieces: &mut Vec<Event>,
    ) -> Result<(), Nonsense> {
        let json = json.ok_or(Nonsense)?;
        // Arguments of a tool of the provider's.
        let Some(call) = self.call(output_index) else {
            return Ok(());
        };
        call.said |= !json.is_empty();
        if !json.is_empty() {
            let index = call.index;
            pieces.push(Event::Arguments {
                choice: 0,
                index,
                json,
            });
        }
        Ok(())
    }

    /// Arguments that came whole, without pieces before.
    fn argue_whole(
        &mut self,
        output_index: Option<u64>,
        json: Option<String>,
        pieces: &mut Vec<Event>,
    ) {
        let call = self.call(output_index).filter(|call| !call.said);
        let Some((call, json)) = call.zip(json.filter(|json| !json.is_empty())) else {
            return;
        };
        call.said = true;
        pieces.push(Event::Arguments {
            choice: 0,
            index: call.index,
            json,
        });
    }

    /// The call that begins; `None` for items that are none.
    fn call_of(&mut self, body: &Body<'_>) -> Result<Option<ToolCall>, Nonsense> {
        let item = item(body)?;
        if item.kind() != "function_call" {
            return Ok(None);
        }
        match item.say(&mut self.signatures) {
            Ok(Said::Parts(parts)) => Ok(parts.into_iter().find_map(|part| match part {
                Part::ToolCall(call) => Some(call),
                _ => None,
            })),
            Ok(Said::Signature(_) | Said::Hosted(_)) | Err(_) => Err(Nonsense),
        }
    }

    fn call(&mut self, output_index: Option<u64>) -> Option<&mut Call> {
        let output_index = output_index.unwrap_or(0);
        let mut open = self.open.iter_mut();
        open.find(|call| call.output_index == output_index)
    }

    fn finish_item(&mut self, body: &Body<'_>, pieces: &mut Vec<Event>) -> Result<(), Nonsense> {
        let item = item(body)?;
        match item.kind() {
            "function_call" => {
                let output_index = body.output_index.unwrap_or(0);
                let arguments = item.arguments();
                self.argue_whole(body.output_index, arguments, pieces);
                self.open.retain(|call| call.output_index != output_index);
            }
            "reasoning" => self.finish_thought(item, pieces)?,
            _ => {}
        }
        Ok(())
    }

    /// What an item brings at its end: what is encrypted, or a signature. Its words came before.
    fn finish_thought(&mut self, item: Item<'_>, pieces: &mut Vec<Event>) -> Result<(), Nonsense> {
        if item.encrypted_content.is_none() {
            return Ok(());
        }
        let parts = match item.say(&mut Vec::new()) {
            Ok(Said::Parts(parts)) => parts,
            Ok(Said::Signature(signature)) if self.signatures.len() < MOST => {
                self.signatures.push(signature);
                return Ok(());
            }
            Ok(Said::Signature(_) | Said::Hosted(_)) | Err(_) => return Err(Nonsense),
        };
        for part in parts {
            let Part::Thought(thought) = part else {
                continue;
            };
            let (kind, text) = match (thought.kind, &thought.signature) {
                (ThoughtKind::Encrypted, _) => (ThoughtKind::Encrypted, thought.text),
                (_, Some(_)) => (ThoughtKind::Summary, String::new()),
                (_, None) => continue,
            };
            pieces.push(Event::Thought {
                choice: 0,
                kind,
                text,
                signature: thought.signature,
                id: thought.id,
                format: thought.format.as_deref().and_then(known_format),
            });
        }
        Ok(())
    }

    /// A missing piece would be taken for the whole: a call is open, or the text looks like JSON. Whether JSON
    /// was asked for is not known here.
    fn malformed(&self) -> StreamEvent {
        let looks_like_json = matches!(self.begins_with, Some(b'{' | b'['));
        StreamEvent::Malformed {
            fatal: !self.finished && (!self.open.is_empty() || looks_like_json),
        }
    }
}

fn error(json: &str) -> StreamEvent {
    StreamEvent::Error(Box::new(error_facts::error_in_answer(json.as_bytes())))
}

fn head<'a>(body: &Body<'a>) -> Result<Head<'a>, Nonsense> {
    let response = body.response.ok_or(Nonsense)?;
    serde_json::from_str(response.get()).map_err(|_| Nonsense)
}

fn item<'a>(body: &Body<'a>) -> Result<Item<'a>, Nonsense> {
    let item = body.item.ok_or(Nonsense)?;
    serde_json::from_str(item.get()).map_err(|_| Nonsense)
}

/// Words in the clear are anybody's; a summary is OpenAI's form.
fn format_of(kind: ThoughtKind) -> Option<&'static str> {
    match kind {
        ThoughtKind::Text => None,
        ThoughtKind::Summary | ThoughtKind::Encrypted => Some(OWN_FORMAT),
    }
}

fn end_thought(kind: ThoughtKind, id: Option<String>, pieces: &mut Vec<Event>) {
    pieces.push(Event::Thought {
        choice: 0,
        kind,
        text: String::new(),
        signature: None,
        id,
        format: format_of(kind),
    });
}
