//! Owns what a request says of the conversation that it goes on with: the names that clients give it, and how it begins.
//! Must never read further than it has to, or keep what it read.

use std::borrow::Cow;
use std::hash::Hasher;
use std::ops::{ControlFlow, Range};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::ClientRequest;
use crate::wire::json::{Word, each, each_in_bytes, text};

/// Bytes at each end of a text by which it is told from others of its length. A prompt may be megabytes, and what is taken for
/// another conversation by mistake only goes where that one is.
const ENDS: usize = 512;

impl ClientRequest {
    /// The body's `session_id`, or what stands for it in its dialect, where it is text. As with the others, `body` is
    /// the one that was scanned.
    pub fn session_id<'b>(&self, body: &'b [u8]) -> Option<Cow<'b, str>> {
        name(body, self.spoken.session_id.as_ref())
    }

    /// The body's `prompt_cache_key`, where it is text.
    pub fn prompt_cache_key<'b>(&self, body: &'b [u8]) -> Option<Cow<'b, str>> {
        name(body, self.spoken.prompt_cache_key.as_ref())
    }

    /// The body's `user`, or what stands for it in its dialect, where it is text.
    pub fn user<'b>(&self, body: &'b [u8]) -> Option<Cow<'b, str>> {
        name(body, self.spoken.user.as_ref())
    }

    /// The id of the answer that the request goes on with, where it leans on one that its provider keeps.
    pub fn earlier_answer<'b>(&self, body: &'b [u8]) -> Option<Cow<'b, str>> {
        name(body, self.spoken.earlier_answer.as_ref())
    }

    /// Hands the beginning of the conversation to `hasher`: its first instruction and its first other message, without what
    /// clients move from turn to turn (marks of what to cache). Returns whether there is one.
    pub fn hash_beginning(&self, body: &[u8], hasher: &mut impl Hasher) -> bool {
        let mut beginning = Beginning {
            hasher,
            instructed: false,
            found: false,
        };
        if let Some(instructions) = part(body, self.spoken.instructions.as_ref()) {
            beginning.instruct(instructions);
        }
        if let Some(messages) = part(body, self.spoken.messages.as_ref()) {
            beginning.read(messages);
        }
        beginning.found
    }
}

fn part<'b>(body: &'b [u8], span: Option<&Range<usize>>) -> Option<&'b [u8]> {
    body.get(span?.clone())
}

/// A string of the body that is not empty.
fn name<'b>(body: &'b [u8], span: Option<&Range<usize>>) -> Option<Cow<'b, str>> {
    let json = std::str::from_utf8(part(body, span)?).ok()?;
    text(json).filter(|name| !name.is_empty())
}

/// A message as far as it tells conversations apart. What has no role is none: a call of a tool, or its result.
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    role: Option<Word<'a>>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
}

/// A part of a message: the text, and where each dialect has what is none.
#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    image_url: Option<&'a RawValue>,
    #[serde(borrow)]
    input_audio: Option<&'a RawValue>,
    #[serde(borrow)]
    file: Option<&'a RawValue>,
    #[serde(borrow)]
    file_id: Option<&'a RawValue>,
    #[serde(borrow)]
    file_url: Option<&'a RawValue>,
    #[serde(borrow)]
    file_data: Option<&'a RawValue>,
    #[serde(borrow)]
    source: Option<&'a RawValue>,
}

struct Beginning<'h, H> {
    hasher: &'h mut H,
    instructed: bool,
    found: bool,
}

// === impl Part ===

impl<'a> Part<'a> {
    /// What is no text.
    fn attached(&self) -> impl Iterator<Item = &'a RawValue> {
        let all = [
            self.image_url,
            self.input_audio,
            self.file,
            self.file_id,
            self.file_url,
            self.file_data,
            self.source,
        ];
        all.into_iter().flatten()
    }
}

// === impl Beginning ===

impl<H: Hasher> Beginning<'_, H> {
    /// Takes instructions that stand before all messages.
    fn instruct(&mut self, instructions: &[u8]) {
        let read = std::str::from_utf8(instructions);
        if let Ok(content) = read.map(str::trim)
            && content != "null"
        {
            self.instructed = true;
            self.write(b"system");
            self.content(content);
        }
    }

    /// Takes the first messages of a list, or the one that is a text.
    fn read(&mut self, messages: &[u8]) {
        if messages.starts_with(b"\"") {
            self.write(b"user");
            self.content(std::str::from_utf8(messages).unwrap_or_default());
            self.found = true;
            return;
        }
        // What is of another shape begins no conversation.
        each_in_bytes(messages, |message: Message<'_>| self.take(&message)).ok();
    }

    fn take(&mut self, message: &Message<'_>) -> ControlFlow<()> {
        let Some(role) = &message.role else {
            return ControlFlow::Continue(());
        };
        let instructs = matches!(&**role, "system" | "developer");
        if instructs && self.instructed {
            return ControlFlow::Continue(());
        }
        self.write(role.as_bytes());
        self.content(message.content.map_or("", RawValue::get));
        if instructs {
            self.instructed = true;
            return ControlFlow::Continue(());
        }
        self.found = true;
        ControlFlow::Break(())
    }

    /// What was said, as it was written: a text and a list with that text alone are the same.
    fn content(&mut self, content: &str) {
        if content.starts_with('"') {
            return self.write(content.as_bytes());
        }
        let parts = each(content, |part: Part<'_>| {
            self.write(part.text.map_or("", RawValue::get).as_bytes());
            for other in part.attached() {
                self.write(other.get().as_bytes());
            }
            ControlFlow::Continue(())
        });
        if parts.is_err() {
            self.write(content.as_bytes());
        }
    }

    /// With its length, so that two texts cannot be cut elsewhere and be the same.
    fn write(&mut self, bytes: &[u8]) {
        self.hasher.write_usize(bytes.len());
        match (bytes.first_chunk::<ENDS>(), bytes.last_chunk::<ENDS>()) {
            (Some(first), Some(last)) if bytes.len() > 2 * ENDS => {
                self.hasher.write(first);
                self.hasher.write(last);
            }
            _ => self.hasher.write(bytes),
        }
    }
}

#[cfg(test)]
mod tests;
