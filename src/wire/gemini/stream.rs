//! Owns the reading of a stream: chunks that each are a whole answer's shape. Must never keep what a chunk brought, but
//! how far each candidate is.

use super::finish::End;
use super::shape::{self, Call, Candidate, Piece, Read, Response, Unreadable};
use crate::core::exchange::{Progress, StreamEvent};
use crate::core::outcome::ErrorFacts;
use crate::wire::dialect::{Frame, ReadEvents};
use crate::wire::hub::Event;

/// Candidates that are told apart; Google makes at most 8.
const CHOICES_MAX: usize = 64;
/// Bytes of an answer's id that go into the ids of its calls: with the rest they stay within the 40 that OpenAI takes.
const PREFIX_MAX: usize = 28;

/// Reads one stream.
#[derive(Debug, Default)]
pub(super) struct Reader {
    started: bool,
    ids: CallIds,
    counted: bool,
}

/// How far the candidates are, and ids for calls that come without one: from the answer's id and the call's place,
/// so that they are other ones in each answer of a conversation.
#[derive(Debug, Default)]
pub(super) struct CallIds {
    prefix: String,
    candidates: Vec<Standing>,
}

#[derive(Debug)]
struct Standing {
    choice: u32,
    calls: u32,
    finished: bool,
}

enum Fault {
    Failed(Box<ErrorFacts>),
    Unreadable,
}

// === impl Reader ===

impl ReadEvents for Reader {
    fn read(&mut self, frame: Frame<'_>, pieces: &mut Vec<Event>) -> StreamEvent {
        if frame.data.trim_ascii().is_empty() {
            return StreamEvent::Idle;
        }
        match shape::read(frame.data) {
            Read::Response(response) => {
                let held = pieces.len();
                self.chunk(response, pieces).unwrap_or_else(|fault| {
                    pieces.truncate(held);
                    fault.event()
                })
            }
            Read::Error(facts) => StreamEvent::Error(Box::new(facts)),
            Read::Unknown => StreamEvent::Idle,
            Read::Malformed => Fault::Unreadable.event(),
        }
    }
}

impl Reader {
    fn chunk(
        &mut self,
        response: Response<'_>,
        pieces: &mut Vec<Event>,
    ) -> Result<StreamEvent, Fault> {
        let held = pieces.len();
        let usage = response.usage();
        let id = response.id.unwrap_or_default();
        if !self.started {
            self.started = true;
            self.ids = CallIds::new(&id);
            pieces.push(Event::Start { id, created: 0 });
        }
        for candidate in response.candidates.unwrap_or_default() {
            self.candidate(candidate, pieces)?;
        }
        let finished = self.ids.are_finished();
        // Every chunk counts what came up to it; the last count is the one.
        if let Some(usage) = usage.filter(|_| finished && !self.counted) {
            self.counted = true;
            pieces.push(Event::Usage(usage));
        }
        let mut new = pieces.iter().skip(held);
        Ok(StreamEvent::Progress(Progress {
            content: new.any(Event::is_content),
            finished,
            last: false,
            usage,
        }))
    }

    fn candidate(
        &mut self,
        mut candidate: Candidate<'_>,
        pieces: &mut Vec<Event>,
    ) -> Result<(), Fault> {
        let choice = candidate.index();
        let standing = self.ids.standing(choice)?;
        if standing.finished {
            // What comes after the end has no place; only counts do.
            return Ok(());
        }
        for part in candidate.parts() {
            for piece in part.pieces()?.into_iter().flatten() {
                self.piece(choice, piece, pieces)?;
            }
        }
        let citations = candidate.citations();
        pieces.extend(citations.map(|citation| Event::Citation { choice, citation }));
        let standing = self.ids.standing(choice)?;
        match candidate.end(standing.calls > 0) {
            None => {}
            Some(End::Failed(facts)) => return Err(Fault::Failed(facts)),
            Some(End::Finish(finish)) => {
                standing.finished = true;
                pieces.push(Event::Finish { choice, finish });
            }
        }
        Ok(())
    }

    fn piece(
        &mut self,
        choice: u32,
        piece: Piece<'_>,
        pieces: &mut Vec<Event>,
    ) -> Result<(), Fault> {
        match piece {
            Piece::Text(text) => pieces.push(Event::Text { choice, text }),
            Piece::Thought(thought) => pieces.push(Event::Thought {
                choice,
                kind: thought.kind,
                text: thought.text,
                signature: thought.signature,
                id: thought.id,
                format: Some(super::FORMAT),
            }),
            Piece::Call(call) => self.call(choice, call, pieces)?,
            // A stream of the hub's has no place for media; an answer without its picture is none.
            Piece::Inline(_) | Piece::File(_) => return Err(Fault::Unreadable),
        }
        Ok(())
    }

    fn call(&mut self, choice: u32, call: Call<'_>, pieces: &mut Vec<Event>) -> Result<(), Fault> {
        let (index, made) = self.ids.next(choice).ok_or(Fault::Unreadable)?;
        pieces.push(Event::ToolCall {
            choice,
            index,
            id: call.id.unwrap_or(made),
            name: call.name,
            signature: call.signature,
        });
        pieces.push(Event::Arguments {
            choice,
            index,
            json: call.arguments.to_owned(),
        });
        Ok(())
    }
}

// === impl CallIds ===

impl CallIds {
    /// For the answer of this id.
    pub(super) fn new(answer: &str) -> Self {
        let plain = |letter: &char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
        let prefix: String = answer.chars().filter(plain).take(PREFIX_MAX).collect();
        Self {
            prefix: match prefix.is_empty() {
                true => "call".to_owned(),
                false => format!("call_{prefix}"),
            },
            candidates: Vec::new(),
        }
    }

    /// The place of the next call of a candidate, and an id for it. `None`: there are more candidates than can be.
    pub(super) fn next(&mut self, choice: u32) -> Option<(u32, String)> {
        let standing = self.standing(choice).ok()?;
        let index = standing.calls;
        standing.calls = index.checked_add(1)?;
        let id = match choice {
            0 => format!("{}_{index}", self.prefix),
            _ => format!("{}_{choice}_{index}", self.prefix),
        };
        Some((index, id))
    }

    fn standing(&mut self, choice: u32) -> Result<&mut Standing, Fault> {
        let known = self.candidates.iter().position(|one| one.choice == choice);
        let place = match known {
            Some(place) => place,
            None if self.candidates.len() < CHOICES_MAX => {
                self.candidates.push(Standing {
                    choice,
                    calls: 0,
                    finished: false,
                });
                self.candidates.len() - 1
            }
            None => return Err(Fault::Unreadable),
        };
        self.candidates.get_mut(place).ok_or(Fault::Unreadable)
    }

    fn are_finished(&self) -> bool {
        !self.candidates.is_empty() && self.candidates.iter().all(|one| one.finished)
    }
}

// === impl Fault ===

impl Fault {
    /// A chunk may hold a whole call, or how the answer ended, so that none can be done without.
    fn event(self) -> StreamEvent {
        match self {
            Fault::Failed(facts) => StreamEvent::Error(facts),
            Fault::Unreadable => StreamEvent::Malformed { fatal: true },
        }
    }
}

impl From<Unreadable> for Fault {
    fn from(_: Unreadable) -> Self {
        Fault::Unreadable
    }
}
