//! Owns the calls of a stream. Must never close one before the others of its turn: their arguments may take turns.

use super::events::{OfWords, Words, place};
use super::{Open, Writer};
use crate::wire::client_error::ClientError;
use crate::wire::dialect::WriteEvents;
use crate::wire::responses::custom;
use crate::wire::responses::output::{Body, OutputItem, Status, signature_item};

impl Writer {
    pub(super) fn call(
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
        let item = OutputItem::calling((id, name), &self.id, self.items.len(), &self.customs);
        self.begin(item, open, out);
    }

    /// What ends the `at`-th item, if it is a call: its arguments, or its text, as a whole.
    pub(super) fn end_call(&mut self, at: usize, out: &mut Vec<u8>) {
        let Some(item) = self.items.get(at) else {
            return;
        };
        let Body::Call {
            name,
            arguments,
            custom,
            ..
        } = &item.body
        else {
            return;
        };
        let place = place(item, at);
        let mut write = |kind, words| self.out.write(kind, OfWords { place, words }, out);
        if *custom {
            let input = custom::input(arguments);
            let delta = Words {
                delta: Some(&input),
                ..Words::default()
            };
            write("response.custom_tool_call_input.delta", delta);
            let whole = Words {
                input: Some(&input),
                ..Words::default()
            };
            return write("response.custom_tool_call_input.done", whole);
        }
        let whole = Words {
            name: Some(name),
            arguments: Some(arguments),
            ..Words::default()
        };
        write("response.function_call_arguments.done", whole);
    }

    pub(super) fn argue(&mut self, index: u32, json: &str, out: &mut Vec<u8>) {
        let at = match &self.open {
            Open::Calls { from, indices } => {
                let open = indices.iter().position(|open| *open == index);
                open.map(|place| from + place)
            }
            Open::Nothing | Open::Message | Open::Reasoning(_) => None,
        };
        let Some(at) = at else {
            // Arguments without a piece of theirs would be taken for whole.
            let message = "the model's provider went on with a tool call after its end";
            return self.fail(&ClientError::new(502, "provider_unavailable", message), out);
        };
        self.held += json.len();
        let Some(item) = self.items.get_mut(at) else {
            return;
        };
        if let Body::Call {
            arguments, custom, ..
        } = &mut item.body
        {
            arguments.push_str(json);
            if *custom {
                // Its text is known at the end of its JSON.
                return;
            }
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
}
