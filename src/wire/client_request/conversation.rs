//! Owns what a request says of the conversation that it goes on with: the names that clients give it, and how it begins.
//! Must never read further than it has to, or keep what it read.

use std::borrow::Cow;
use std::hash::Hasher;
use std::ops::{ControlFlow, Range};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::ClientRequest;
use super::messages::Beginning;
use crate::wire::json::{each_in_bytes, text};

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

    /// Whether there is a message that tells how the conversation begins.
    pub fn has_beginning(&self) -> bool {
        self.spoken.message.is_some() || self.spoken.beginning.first.is_some()
    }

    /// Hands the beginning of the conversation to `hasher`: its first instruction and its first other message, without what
    /// clients move from turn to turn (marks of what to cache).
    pub fn hash_beginning(&self, body: &[u8], hasher: &mut impl Hasher) {
        let mut told = Told(hasher);
        let instructions = part(body, self.spoken.instructions.as_ref());
        let instructions = instructions.filter(|json| *json != b"null");
        if let Some(instructions) = instructions {
            told.message("system", instructions);
        }
        if let Some(message) = part(body, self.spoken.message.as_ref()) {
            return told.message("user", message);
        }
        let Beginning { instruction, first } = &self.spoken.beginning;
        let instruction = instruction.as_ref().filter(|_| instructions.is_none());
        for opening in instruction.into_iter().chain(first) {
            let role = name(body, Some(&opening.role));
            let content = part(body, opening.content.as_ref());
            let content = content.filter(|json| *json != b"null");
            told.message(&role.unwrap_or_default(), content.unwrap_or_default());
        }
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

/// Takes what a conversation begins with.
struct Told<'h, H>(&'h mut H);

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

// === impl Told ===

impl<H: Hasher> Told<'_, H> {
    fn message(&mut self, role: &str, content: &[u8]) {
        self.write(role.as_bytes());
        self.content(content);
    }

    /// What was said, as it was written: a text and a list with that text alone are the same.
    fn content(&mut self, content: &[u8]) {
        if content.starts_with(b"\"") {
            return self.write(content);
        }
        let parts = each_in_bytes(content, |part: Part<'_>| {
            self.write(part.text.map_or("", RawValue::get).as_bytes());
            for other in part.attached() {
                self.write(other.get().as_bytes());
            }
            ControlFlow::Continue(())
        });
        if parts.is_err() {
            self.write(content);
        }
    }

    /// With its length, so that two texts cannot be cut elsewhere and be the same.
    fn write(&mut self, bytes: &[u8]) {
        self.0.write_usize(bytes.len());
        match (bytes.first_chunk::<ENDS>(), bytes.last_chunk::<ENDS>()) {
            (Some(first), Some(last)) if bytes.len() > 2 * ENDS => {
                self.0.write(first);
                self.0.write(last);
            }
            _ => self.0.write(bytes),
        }
    }
}

#[cfg(test)]
mod tests;
