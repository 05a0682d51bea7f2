//! Owns the reasoning items of a stream: summaries, and what proves who thought so. Must never go on with an item that is
//! proven.

use super::events::{OfWords, Words, place};
use super::{Open, Writer};
use crate::wire::hub::{Thought, ThoughtKind};
use crate::wire::responses::output::{Body, OutputItem, Status, seal};

impl Writer {
    pub(super) fn think(&mut self, thought: &Thought, out: &mut Vec<u8>) {
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
        let item = OutputItem::thinking(thought, &self.id, self.items.len());
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

    pub(super) fn close_summary(&mut self, out: &mut Vec<u8>) {
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
}
