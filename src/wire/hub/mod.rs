//! The hub: one model of a request, an answer and a stream that every dialect can be read into and written
//! from. It is OpenAI Chat as OpenRouter extends it (`reasoning_details`, `cache_control`), with names of its own, so that six
//! formats need six readers and writers and not thirty. In reading order: `request`, `content` (the parts of messages),
//! `answer` (an answer whole), `event` (a stream's pieces).
//!
//! Bodies whose two sides speak the same dialect never come here. Must never know a dialect, or parse what it
//! carries for another: schemas and arguments stay the text that they were.

pub mod content;
pub mod request;
pub mod answer;
pub mod event;
#[cfg(test)]
pub(in crate::wire) mod sample;

pub use answer::{Answer, Choice, Finish};
pub use content::{
    Cache, Citation, Document, Image, Part, Source, Thought, ThoughtKind, ToolCall, ToolResult,
};
pub use event::Event;
pub use request::{
    Effort, Format, Message, Reasoning, Request, Role, Sampling, Schema, Tool, ToolChoice,
};
