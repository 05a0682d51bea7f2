//! Owns the OpenAI formats as the fake provider speaks them: what a request asks, and the text of each event. Chat
//! is here; in reading order: `text` (the older completions), `vectors` (embeddings).
//! Must never decide when an event is sent, or whether.

use std::borrow::Cow;
use std::fmt::Write as _;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::cmd::mock::dialects::{Frame, Mark};
use crate::cmd::mock::script::Script;

mod text;
mod vectors;

use vectors::Vectors;

/// More choices than this are not written, whatever `n` says.
const MAX_CHOICES: u32 = 16;

/// Which of the formats a request and its answer have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Form {
    #[default]
    Chat,
    Text,
    Vectors,
}

/// What the mock needs to know of a request.
#[derive(Debug, Default)]
pub(crate) struct Ask {
    form: Form,
    vectors: Vectors,
    pub(crate) model: String,
    pub(crate) stream: bool,
    include_usage: bool,
    choices: u32,
    /// The tool that must be called.
    tool: Option<String>,
    /// The text of the last message when an assistant's is last.
    pub(crate) prefill: Option<String>,
    prompt_tokens: usize,
}

/// One answer to one request, rendered event by event.
#[derive(Debug)]
pub(crate) struct Telling {
    form: Form,
    vectors: Vectors,
    id: String,
    created: u64,
    model: String,
    include_usage: bool,
    choices: u32,
    tool: Option<String>,
    prompt_tokens: usize,
    /// Whether usage is told at all.
    usage: bool,
    /// The words, or the argument fragments of the tool call after its header.
    pieces: Vec<String>,
    /// A filter ends it.
    filtered: bool,
}

/// An event of a stream.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event {
    Role {
        choice: u32,
    },
    Piece {
        choice: u32,
        index: u32,
    },
    Finish {
        choice: u32,
    },
    Usage,
    Done,
    Raw(Bytes),
    /// An event of another dialect.
    Frame(Frame),
}

#[derive(Deserialize)]
struct RawAsk<'a> {
    #[serde(borrow)]
    model: Cow<'a, str>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    n: Option<u32>,
    #[serde(borrow, default)]
    messages: Vec<Message<'a>>,
    tools: Option<Vec<Tool>>,
    tool_choice: Option<serde_json::Value>,
    prompt: Option<serde_json::Value>,
    input: Option<serde_json::Value>,
    encoding_format: Option<String>,
    dimensions: Option<u32>,
}

#[derive(Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    role: Option<Cow<'a, str>>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Tool {
    function: Option<Function>,
}

#[derive(Deserialize)]
struct Function {
    name: String,
}

// === impl Event ===

impl Event {
    /// What the event is to a stream; none for one that is put in.
    pub(crate) fn mark(&self) -> Option<Mark> {
        match self {
            Self::Role { .. } => Some(Mark::Opening),
            Self::Piece { index, .. } => Some(Mark::Token(*index)),
            Self::Finish { .. } => Some(Mark::Finish),
            Self::Usage => Some(Mark::Between),
            Self::Done => Some(Mark::Done),
            Self::Frame(frame) => Some(frame.mark),
            Self::Raw(_) => None,
        }
    }

    /// The bytes of an event that is rendered already.
    pub(crate) fn bytes(&self) -> Option<&Bytes> {
        match self {
            Self::Raw(bytes) | Self::Frame(Frame { bytes, .. }) => Some(bytes),
            _ => None,
        }
    }
}

// === impl Form ===

impl Form {
    /// The form of a path, none where it is no path of a model.
    pub(crate) fn of(path: &str) -> Option<Self> {
        let forms = [
            ("/chat/completions", Form::Chat),
            ("/completions", Form::Text),
            ("/embeddings", Form::Vectors),
        ];
        let found = forms.into_iter().find(|(end, _)| path.ends_with(end));
        found.map(|(_, form)| form)
    }
}

// === impl Ask ===

impl Ask {
    /// Reads a request body.
    pub(crate) fn parse(form: Form, body: &[u8]) -> Result<Self, serde_json::Error> {
        let raw: RawAsk<'_> = serde_json::from_slice(body)?;
        let last = raw.messages.last();
        let prefill = last.filter(|message| message.role.as_deref() == Some("assistant"));
        let prompts = raw.prompt.as_ref().map_or(1, items);
        Ok(Self {
            form,
            vectors: Vectors {
                count: raw.input.as_ref().map_or(1, items),
                dimensions: raw.dimensions,
                base64: raw.encoding_format.as_deref() == Some("base64"),
            },
            stream: raw.stream.unwrap_or(false) && form != Form::Vectors,
            include_usage: raw
                .stream_options
                .and_then(|options| options.include_usage)
                .unwrap_or(false),
            choices: (raw.n.unwrap_or(1).saturating_mul(prompts)).clamp(1, MAX_CHOICES),
            tool: required_tool(raw.tools.as_deref(), raw.tool_choice.as_ref()),
            prefill: prefill.map(text_of),
            prompt_tokens: body.len() / 4,
            model: raw.model.into_owned(),
        })
    }
}

/// How many prompts or inputs a value holds: a list of numbers is one in tokens.
fn items(value: &serde_json::Value) -> u32 {
    let list = value.as_array().map_or(&[][..], Vec::as_slice);
    match list.first() {
        None | Some(serde_json::Value::Number(_)) => 1,
        Some(_) => u32::try_from(list.len()).unwrap_or(u32::MAX),
    }
}

/// The tool that the request insists on.
fn required_tool(tools: Option<&[Tool]>, choice: Option<&serde_json::Value>) -> Option<String> {
    let named = choice?
        .pointer("/function/name")
        .and_then(serde_json::Value::as_str);
    if let Some(name) = named {
        return Some(name.to_owned());
    }
    let first = tools?.iter().find_map(|tool| tool.function.as_ref())?;
    (choice?.as_str() == Some("required")).then(|| first.name.clone())
}

/// A message's content when it is plain text; otherwise empty.
fn text_of(message: &Message<'_>) -> String {
    let content = message.content.map_or("", RawValue::get);
    serde_json::from_str(content).unwrap_or_default()
}

// === impl Telling ===

impl Telling {
    /// The healthy answer to `ask`.
    pub(crate) fn new(ask: &Ask, script: &Script, number: u64, created: u64) -> Self {
        let kind = match ask.form {
            Form::Chat => "chatcmpl",
            Form::Text | Form::Vectors => "cmpl",
        };
        Self {
            form: ask.form,
            vectors: ask.vectors,
            id: format!("{kind}-mock{number:08}"),
            created,
            model: ask.model.clone(),
            include_usage: ask.include_usage && script.usage,
            choices: ask.choices,
            tool: ask.tool.clone(),
            prompt_tokens: ask.prompt_tokens,
            usage: script.usage,
            pieces: pieces(ask, script),
            filtered: false,
        }
    }

    /// How many tokens it has.
    pub(crate) fn tokens(&self) -> u32 {
        u32::try_from(self.pieces.len()).unwrap_or(u32::MAX)
    }

    /// Takes the content away: no tokens, `null` instead of text.
    pub(crate) fn empty(&mut self) {
        self.pieces.clear();
        self.tool = None;
        self.vectors.count = 0;
    }

    /// A filter ends the answer after so many tokens.
    pub(crate) fn filter(&mut self, tokens: u32) {
        let most = usize::try_from(tokens).unwrap_or(usize::MAX);
        self.pieces.truncate(most);
        self.tool = None;
        self.filtered = true;
    }

    /// The events around the tokens, in order: what comes before the first one.
    pub(crate) fn opening(&self) -> Vec<Event> {
        match self.form {
            Form::Chat => (0..self.choices)
                .map(|choice| Event::Role { choice })
                .collect(),
            Form::Text | Form::Vectors => Vec::new(),
        }
    }

    /// One token, once for every choice.
    pub(crate) fn token(&self, index: u32) -> impl Iterator<Item = Event> {
        (0..self.choices).map(move |choice| Event::Piece { choice, index })
    }

    /// What comes after the last token.
    pub(crate) fn closing(&self) -> Vec<Event> {
        let finishes = (0..self.choices).map(|choice| Event::Finish { choice });
        let usage = self.include_usage.then_some(Event::Usage);
        finishes.chain(usage).chain([Event::Done]).collect()
    }

    /// The bytes of an event, its blank line included.
    pub(crate) fn render(&self, event: &Event) -> Bytes {
        match event {
            Event::Role { choice } | Event::Piece { choice, .. } | Event::Finish { choice }
                if self.form == Form::Text =>
            {
                self.text_chunk(*choice, event)
            }
            Event::Role { choice } => self.chunk(*choice, self.role(), "null"),
            Event::Piece { choice, index } => self.chunk(*choice, &self.delta(*index), "null"),
            Event::Finish { choice } => self.chunk(*choice, "{}", self.finish_reason()),
            Event::Usage => {
                let usage = self.usage();
                format!(
                    "data: {}\"choices\":[],\"usage\":{usage}}}\n\n",
                    self.prefix(self.chunk_object())
                )
                .into()
            }
            Event::Done => Bytes::from_static(b"data: [DONE]\n\n"),
            Event::Raw(bytes) | Event::Frame(Frame { bytes, .. }) => bytes.clone(),
        }
    }

    /// The whole answer as one JSON body.
    pub(crate) fn json(&self) -> Bytes {
        match self.form {
            Form::Chat => self.chat_json(),
            Form::Text => self.text_json(),
            Form::Vectors => self.vectors_json(),
        }
    }

    fn chunk_object(&self) -> &'static str {
        match self.form {
            Form::Chat => "chat.completion.chunk",
            Form::Text | Form::Vectors => "text_completion",
        }
    }

    fn chat_json(&self) -> Bytes {
        let mut body = self.prefix("chat.completion");
        body.push_str("\"choices\":[");
        for choice in 0..self.choices {
            let comma = if choice == 0 { "" } else { "," };
            let (message, finish) = (self.message(), self.finish_reason());
            let _ = write!(
                body,
                "{comma}{{\"index\":{choice},\"message\":{message},\"logprobs\":null,\"finish_reason\":{finish}}}"
            );
        }
        body.push(']');
        if self.usage {
            let _ = write!(body, ",\"usage\":{}", self.usage());
        }
        body.push('}');
        body.into()
    }

    fn prefix(&self, object: &str) -> String {
        let (id, created, model) = (&self.id, self.created, quoted(&self.model));
        format!(
            "{{\"id\":\"{id}\",\"object\":\"{object}\",\"created\":{created},\"model\":{model},\
             \"system_fingerprint\":\"fp_mock\","
        )
    }

    fn chunk(&self, choice: u32, delta: &str, finish: &str) -> Bytes {
        let prefix = self.prefix("chat.completion.chunk");
        let usage = if self.include_usage {
            ",\"usage\":null"
        } else {
            ""
        };
        format!(
            "data: {prefix}\"choices\":[{{\"index\":{choice},\"delta\":{delta},\"logprobs\":null,\
             \"finish_reason\":{finish}}}]{usage}}}\n\n"
        )
        .into()
    }

    fn role(&self) -> &'static str {
        if self.is_text() {
            r#"{"role":"assistant","content":"","refusal":null}"#
        } else {
            r#"{"role":"assistant","content":null,"refusal":null}"#
        }
    }

    fn delta(&self, index: u32) -> String {
        let at = usize::try_from(index).unwrap_or(usize::MAX);
        let piece = quoted(self.pieces.get(at).map_or("", String::as_str));
        match &self.tool {
            None => format!("{{\"content\":{piece}}}"),
            Some(name) if index == 0 => {
                format!("{{\"tool_calls\":[{}]}}", self.call(Some(0), name, ""))
            }
            Some(_) => format!(
                "{{\"tool_calls\":[{{\"index\":0,\"function\":{{\"arguments\":{piece}}}}}]}}"
            ),
        }
    }

    fn message(&self) -> String {
        let text = self.pieces.concat();
        if let Some(name) = &self.tool {
            let call = self.call(None, name, &text);
            return format!(
                "{{\"role\":\"assistant\",\"content\":null,\"refusal\":null,\"tool_calls\":[{call}]}}"
            );
        }
        let content = if self.is_text() {
            quoted(&text)
        } else {
            "null".to_owned()
        };
        format!("{{\"role\":\"assistant\",\"content\":{content},\"refusal\":null}}")
    }

    fn call(&self, index: Option<u32>, name: &str, arguments: &str) -> String {
        let index = index.map_or(String::new(), |index| format!("\"index\":{index},"));
        let (id, name, arguments) = (&self.id, quoted(name), quoted(arguments));
        format!(
            "{{{index}\"id\":\"call_{id}\",\"type\":\"function\",\
             \"function\":{{\"name\":{name},\"arguments\":{arguments}}}}}"
        )
    }

    fn is_text(&self) -> bool {
        self.tool.is_none() && !self.pieces.is_empty()
    }

    fn finish_reason(&self) -> &'static str {
        match (self.filtered, &self.tool) {
            (true, _) => "\"content_filter\"",
            (false, Some(_)) => "\"tool_calls\"",
            (false, None) => "\"stop\"",
        }
    }

    fn usage(&self) -> String {
        let prompt = self.prompt_tokens;
        let completion = self.pieces.len() * usize::try_from(self.choices).unwrap_or(1);
        let total = prompt + completion;
        format!(
            "{{\"prompt_tokens\":{prompt},\"completion_tokens\":{completion},\"total_tokens\":{total}}}"
        )
    }
}

/// The tokens: the script's words, without those a prefill already holds when the script continues it, or the
/// arguments of the required tool as fragments (the first, empty one is the call's header).
fn pieces(ask: &Ask, script: &Script) -> Vec<String> {
    if ask.tool.is_some() && ask.form == Form::Chat {
        let fragments = ["", "{\"", "query", "\":\"", "harbour", " lamps", "\"}"];
        return fragments.map(str::to_owned).to_vec();
    }
    let held = ask
        .prefill
        .as_deref()
        .filter(|_| script.continues)
        .unwrap_or("");
    script
        .pieces()
        .into_iter()
        .skip(held.split_whitespace().count())
        .collect()
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
