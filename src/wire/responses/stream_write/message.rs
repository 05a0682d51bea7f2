//! Owns the messages of a stream: parts of text, their citations, and refusals. Must never begin a part before its item.

use super::events::{OfAnnotation, OfPart, OfWords, Words, place};
use super::{Open, Writer};
use crate::wire::hub::Citation;
use crate::wire::responses::output::{Body, Spoken, Status, WrittenAnnotation, WrittenPart};

impl Writer {
    /// Opens a message, if none is open.
    fn open_message(&mut self, out: &mut Vec<u8>) {
        if self.open != Open::Message {
            self.close(Status::Completed, out);
            let item = self.own("msg", Body::Message(Vec::new()));
            self.begin(item, Open::Message, out);
        }
    }

    pub(super) fn speak(&mut self, text: &str, out: &mut Vec<u8>) {
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

    pub(super) fn refuse(&mut self, text: &str, out: &mut Vec<u8>) {
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

    pub(super) fn cite(&mut self, citation: &Citation, out: &mut Vec<u8>) {
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
    pub(super) fn part(&mut self, kind: &str, out: &mut Vec<u8>) {
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
    pub(super) fn words(&mut self, kind: &str, words: Words<'_>, out: &mut Vec<u8>) {
        let at = self.items.len().saturating_sub(1);
        if let Some(item) = self.items.last() {
            let place = place(item, at);
            self.out.write(kind, OfWords { place, words }, out);
        }
    }

    pub(super) fn close_part(&mut self, out: &mut Vec<u8>) {
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
}
