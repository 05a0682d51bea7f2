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

/// More candidates than this are not written, whatever is asked.
const MAX_CANDIDATES: u64 = 16;

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
            Dialect::Anthropic if route.is_at_vertex => {
                anthropic::understand_versioned(body, route.model.as_deref(), route.streams)
            }
            Dialect::Anthropic => anthropic::understand(body, route.counts),
            Dialect::Gemini if route.counts => gemini::understand_count(body, model),
            Dialect::Gemini => gemini::understand(body, model, route.streams),
            Dialect::Bedrock => bedrock::understand(body, model, route.streams),
            Dialect::Cohere => cohere::understand(body),
        }
    }

    /// Plans the answer to a request.
    pub(crate) fn new(route: Route, mut asked: Understood, told: &Told) -> Self {
        let plan = Plan::new(&asked, told);
        asked.n = asked.n.min(MAX_CANDIDATES);
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

    /// A filter ends the answer after so many tokens.
    pub(crate) fn filter(&mut self, tokens: u32) {
        self.plan.filter(tokens);
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

    /// An event with another bit in it.
    pub(crate) fn flipped(&self, event: &[u8]) -> Bytes {
        if self.route.dialect != Dialect::Bedrock {
            return self.broken();
        }
        // In the middle, where the payload is.
        let mut bytes = event.to_vec();
        let middle = bytes.len() / 2;
        if let Some(byte) = bytes.get_mut(middle) {
            *byte ^= 1;
        }
        bytes.into()
    }

    /// An event of a type that nobody knows.
    pub(crate) fn unknown(&self) -> Bytes {
        let report = json!({"type": "weather.report", "wind": 7});
        match self.route.dialect {
            Dialect::Bedrock => bedrock::answer::unknown(),
            Dialect::Gemini => {
                let report = json!({"weatherReport": {"wind": 7}});
                gemini::answer::framed(&report, self.route.framing, false)
            }
            Dialect::Chat => sse(
                Some("weather"),
                &json!({"object": "weather.report", "choices": []}),
            ),
            Dialect::Responses | Dialect::Anthropic | Dialect::Cohere => {
                sse(Some("weather.report"), &report)
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmd::mock::dialects::plan::tests::told;

    const TARGETS: [&str; 8] = [
        "/v1/responses",
        "/v1/messages",
        "/v1/messages/count_tokens",
        "/v1beta/models/m:generateContent",
        "/v1beta/models/gemini-3:streamGenerateContent?alt=sse",
        "/v1beta/models/m:countTokens",
        "/model/m/converse-stream",
        "/v2/chat",
    ];

    /// Bodies that say much, one for each shape of dialect.
    const BODIES: [&str; 6] = [
        r#"{"model":"m","input":[{"role":"user","content":[{"type":"input_text","text":"call f"},{"type":"input_image","image_url":"data:image/png;base64,AAEC"}]},{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c","output":"x"}],"tools":[{"type":"function","name":"f","parameters":{"type":"object","properties":{"a":{"type":"array","items":{"type":"string"}}}}}],"reasoning":{"effort":"low","summary":"auto"},"text":{"format":{"type":"json_schema","name":"r","schema":{"type":"object"}}}}"#,
        r#"{"model":"m","max_tokens":2000,"messages":[{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"tool_use","id":"c","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"c","content":"x"}]}],"tools":[{"name":"f","input_schema":{"type":"object"}}],"thinking":{"type":"adaptive"},"stop_sequences":["x"]}"#,
        r#"{"contents":[{"role":"user","parts":[{"text":"x"},{"inlineData":{"mimeType":"image/png","data":"AAEC"}}]},{"role":"model","parts":[{"functionCall":{"name":"f","args":{}}}]},{"role":"user","parts":[{"functionResponse":{"name":"f","response":{"output":"x"}}}]}],"tools":[{"functionDeclarations":[{"name":"f","parameters":{"type":"OBJECT","properties":{"a":{"type":"STRING"}}}}]}],"generationConfig":{"candidateCount":2}}"#,
        r#"{"messages":[{"role":"user","content":[{"text":"x"}]},{"role":"assistant","content":[{"toolUse":{"toolUseId":"c","name":"f","input":{}}}]},{"role":"user","content":[{"toolResult":{"toolUseId":"c","content":[{"text":"x"}]}}]}],"toolConfig":{"tools":[{"toolSpec":{"name":"f","inputSchema":{"json":{"type":"object"}}}}]}}"#,
        r#"{"model":"m","messages":[{"role":"user","content":"x"},{"role":"assistant","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c","content":"x"}],"tools":[{"type":"function","function":{"name":"f","parameters":{}}}]}"#,
        r#"{"model":"m","messages":[{"role":"user","content":"refuse"}],"n":3,"stop":["x"],"tools":[]}"#,
    ];

    /// Reads a body in every dialect, and answers where it is understood; says how often it was.
    fn try_all(body: &[u8]) -> usize {
        let routes = TARGETS.iter().filter_map(|target| Route::of(target));
        let routes = routes.chain([Route::chat()]);
        let mut understood = 0;
        for route in routes {
            match Exchange::understand(&route, body) {
                Ok(asked) => {
                    understood += 1;
                    let mut exchange = Exchange::new(route, asked, &told());
                    assert!(!exchange.asked.digest().is_empty() && !exchange.body().is_empty());
                    assert!(
                        exchange
                            .frames()
                            .iter()
                            .all(|frame| !frame.bytes.is_empty())
                    );
                    exchange.empty();
                    assert_eq!(exchange.tokens(), 0);
                }
                Err(refused) => {
                    let trouble = Trouble::Refused(refused);
                    let (body, _) = route.error(&trouble, route.status(&trouble), None, 0);
                    assert!(serde_json::from_slice::<Value>(&body).is_ok());
                }
            }
        }
        understood
    }

    #[test]
    fn each_body_is_understood_by_its_own_dialect() {
        for body in BODIES {
            assert!(try_all(body.as_bytes()) > 0, "{body}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_a_reader_panic(bytes: Vec<u8>) {
            try_all(&bytes);
        }

        #[test]
        fn no_mutation_makes_a_reader_panic(which in 0..BODIES.len(), at: u16, cut in 0..9usize, put in "[\\PC]{0,6}") {
            let mut body = BODIES[which].as_bytes().to_vec();
            let at = usize::from(at) % body.len();
            let end = (at + cut).min(body.len());
            body.splice(at..end, put.bytes());
            try_all(&body);
        }

        #[test]
        fn no_value_in_a_field_makes_a_reader_panic(which in 0..BODIES.len(), field: u8, value in "null|true|-1|1e300|\"\"|\"x\"|\\[\\]|\\{\\}|\\[null\\]|\\{\"type\":\"x\"\\}") {
            let mut body: Value = serde_json::from_str(BODIES[which]).unwrap();
            let mut paths = Vec::new();
            walk(&body, String::new(), &mut paths);
            let path = &paths[usize::from(field) % paths.len()];
            *body.pointer_mut(path).unwrap() = serde_json::from_str(&value).unwrap();
            try_all(body.to_string().as_bytes());
        }
    }

    /// The pointers to all values inside.
    fn walk(value: &Value, at: String, paths: &mut Vec<String>) {
        let inside: Vec<(String, &Value)> = match value {
            Value::Object(fields) => fields
                .iter()
                .map(|(name, value)| (name.clone(), value))
                .collect(),
            Value::Array(items) => items
                .iter()
                .enumerate()
                .map(|(index, value)| (index.to_string(), value))
                .collect(),
            _ => Vec::new(),
        };
        for (name, value) in inside {
            walk(value, format!("{at}/{name}"), paths);
        }
        paths.push(at);
    }
}
