//! Owns one exchange of a dialect: a request that was understood, and its answer in the dialect's bytes, whole or as a
//! stream, with what faults put into it.
//! Must never decide whether a fault is due.

use bytes::Bytes;
use serde_json::{Value, json};

use super::frames::{Frame, Mark, broken_sse, sse};
use super::gemini::answer::Framing;
use super::plan::{Plan, Told, is_asked};
use super::refused::Refused;
use super::route::{Dialect, Route};
use super::trouble::Trouble;
use super::understood::Understood;
use super::{anthropic, bedrock, chat, cohere, gemini, responses};

/// A request, and the plan of its answer.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) route: Route,
    pub(crate) asked: Understood,
    plan: Plan,
}

// === impl Exchange ===

impl Exchange {
    /// Whether a request asks for something that only a planned answer has.
    pub(crate) fn is_asked(asked: &Understood) -> bool {
        is_asked(asked)
    }

    /// Reads a request.
    pub(crate) fn understand(route: &Route, body: &[u8]) -> Result<Understood, Refused> {
        let model = route.model.as_deref().unwrap_or("");
        match route.dialect {
            Dialect::Chat => chat::understand(body),
            Dialect::Responses => responses::understand(body),
            Dialect::Anthropic => anthropic::understand(body, route.counts),
            Dialect::Gemini if route.counts => gemini::understand_count(body, model),
            Dialect::Gemini => gemini::understand(body, model, route.streams),
            Dialect::Bedrock => bedrock::understand(body, model, route.streams),
            Dialect::Cohere => cohere::understand(body),
        }
    }

    /// Plans the answer to a request.
    pub(crate) fn new(route: Route, asked: Understood, told: &Told) -> Self {
        let plan = Plan::new(&asked, told);
        Self { route, asked, plan }
    }

    /// The count of the mock's answers that this one is.
    pub(crate) fn number(&self) -> u64 {
        self.plan.number
    }

    /// Whether the answer is a stream.
    pub(crate) fn is_stream(&self) -> bool {
        self.asked.stream && !self.route.counts
    }

    /// Takes everything that was to be said away.
    pub(crate) fn empty(&mut self) {
        self.plan.empty();
    }

    /// The content type of an answer.
    pub(crate) fn content_type(&self, is_stream: bool) -> &'static str {
        match (self.route.dialect, is_stream) {
            (Dialect::Bedrock, true) => "application/vnd.amazon.eventstream",
            (Dialect::Gemini, true) if self.route.framing == Framing::Events => "text/event-stream",
            (Dialect::Gemini, _) => "application/json; charset=UTF-8",
            (_, true) => "text/event-stream; charset=utf-8",
            (_, false) => "application/json",
        }
    }

    /// The whole answer as one body.
    pub(crate) fn body(&self) -> Bytes {
        let (plan, asked) = (&self.plan, &self.asked);
        let body: Value = match self.route.dialect {
            Dialect::Anthropic if self.route.counts => json!({"input_tokens": plan.usage.input}),
            Dialect::Gemini if self.route.counts => gemini::answer::count(plan),
            Dialect::Chat => chat::answer::whole(plan, asked),
            Dialect::Responses => responses::answer::whole(plan, asked),
            Dialect::Anthropic => anthropic::answer::whole(plan, asked),
            Dialect::Gemini => gemini::answer::whole(plan, asked),
            Dialect::Bedrock => bedrock::answer::whole(plan),
            Dialect::Cohere => cohere::answer::whole(plan),
        };
        body.to_string().into()
    }

    /// The answer as a stream.
    pub(crate) fn frames(&self) -> Vec<Frame> {
        let (plan, asked) = (&self.plan, &self.asked);
        match self.route.dialect {
            Dialect::Chat => chat::answer::stream(plan, asked),
            Dialect::Responses => responses::answer::stream(plan, asked),
            Dialect::Anthropic => anthropic::answer::stream(plan, asked),
            Dialect::Gemini => gemini::answer::stream(plan, asked, self.route.framing),
            Dialect::Bedrock => bedrock::answer::stream(plan),
            Dialect::Cohere => cohere::answer::stream(plan),
        }
    }

    /// How many tokens the stream has.
    pub(crate) fn tokens(&self) -> u32 {
        let frames = self.frames();
        let tokens = frames
            .iter()
            .filter(|frame| matches!(frame.mark, Mark::Token(_)));
        u32::try_from(tokens.count()).unwrap_or(u32::MAX)
    }

    /// The event that ends a stream that breaks after `before` events.
    pub(crate) fn failure(&self, trouble: &Trouble, before: u64) -> Bytes {
        match self.route.dialect {
            Dialect::Chat => sse(None, &responses::error(trouble, "messages")),
            Dialect::Responses => {
                responses::answer::failure(&self.plan, &self.asked, trouble, before)
            }
            Dialect::Anthropic => {
                anthropic::answer::event("error", json!({"error": anthropic::facts(trouble)}))
            }
            Dialect::Gemini => {
                let error = gemini::error(trouble, gemini_status(trouble), None);
                gemini::answer::framed(&error, self.route.framing, before == 0)
            }
            Dialect::Bedrock => bedrock::answer::failure(trouble),
            Dialect::Cohere => cohere::answer::failure(trouble),
        }
    }

    /// An event of invalid JSON.
    pub(crate) fn broken(&self) -> Bytes {
        let name = match self.route.dialect {
            Dialect::Bedrock => return bedrock::answer::broken(),
            Dialect::Gemini if self.route.framing == Framing::Array => {
                return Bytes::from_static(b"\n,\r\n{\"candidates\": [{");
            }
            Dialect::Chat | Dialect::Gemini => None,
            Dialect::Responses => Some("response.output_text.delta"),
            Dialect::Anthropic => Some("content_block_delta"),
            Dialect::Cohere => Some("content-delta"),
        };
        broken_sse(name)
    }

    /// What is said instead of an answer: a comment, or an event without content.
    pub(crate) fn chatter(&self, is_comment: bool) -> Bytes {
        let is_events = self.content_type(true).starts_with("text/event-stream");
        match self.route.dialect {
            _ if is_comment && is_events => Bytes::from_static(b": keep-alive\n\n"),
            Dialect::Anthropic => anthropic::answer::ping(),
            Dialect::Bedrock => bedrock::answer::nothing(),
            Dialect::Gemini if !is_events => Bytes::from_static(b"\n"),
            _ => self.opening(),
        }
    }

    fn opening(&self) -> Bytes {
        let mut frames = self.frames();
        let opening = frames.iter().position(|frame| frame.mark == Mark::Opening);
        opening.map_or(Bytes::from_static(b": keep-alive\n\n"), |at| {
            frames.swap_remove(at).bytes
        })
    }
}

/// The status inside an error of Gemini's stream.
fn gemini_status(trouble: &Trouble) -> u16 {
    match trouble {
        Trouble::RateLimit | Trouble::Quota => 429,
        Trouble::Overloaded => 503,
        Trouble::Timeout => 504,
        Trouble::Server => 500,
        _ => 400,
    }
}
