//! Owns what came back: its parts, how it ended, and what a caller reads in it.
//! Must never repair what is broken.

use bytes::BytesMut;
use serde_json::Value;

/// How an answer ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Ended {
    /// By its framing: length reached, last chunk, END_STREAM.
    #[default]
    Whole,
    /// By a FIN before its framing said so.
    Cut,
    /// By RST or RST_STREAM.
    Reset,
}

/// What came back.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// Without the chunks' framing.
    pub(crate) body: BytesMut,
    pub(crate) end: Ended,
    /// A `100 Continue` came first.
    pub(crate) continued: bool,
}

// === impl Answer ===

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    /// The `data:` of each event.
    pub(crate) fn data(&self) -> Vec<&str> {
        let events = self.text().split("\n\n");
        events
            .filter_map(|event| event.strip_prefix("data: "))
            .collect()
    }

    /// Each event that is JSON; one that is neither JSON nor the end marker is a failure.
    pub(crate) fn events(&self) -> Vec<Value> {
        let data = self.data().into_iter().filter(|data| *data != "[DONE]");
        data.map(|data| {
            serde_json::from_str(data).unwrap_or_else(|error| panic!("{error}: {data}"))
        })
        .collect()
    }

    /// The text of a stream's or a JSON answer's first choice.
    pub(crate) fn content(&self) -> String {
        if self.is_stream() {
            let text = |event: &Value| {
                let content = event.pointer("/choices/0/delta/content")?;
                content.as_str().map(str::to_owned)
            };
            return self.events().iter().filter_map(text).collect();
        }
        let json = self.json();
        let content = json.pointer("/choices/0/message/content");
        content.and_then(Value::as_str).unwrap_or("").to_owned()
    }

    pub(crate) fn usage(&self) -> Option<Value> {
        let events = match self.is_stream() {
            true => self.events(),
            false => vec![self.json()],
        };
        let mut usages = events
            .iter()
            .filter_map(|event| event.get("usage").cloned());
        usages.find(|usage| !usage.is_null())
    }

    /// The model that the answer names.
    pub(crate) fn model(&self) -> String {
        let event = match self.is_stream() {
            true => self.events().swap_remove(0),
            false => self.json(),
        };
        event["model"].as_str().unwrap_or("").to_owned()
    }

    pub(crate) fn is_done(&self) -> bool {
        self.text().ends_with("data: [DONE]\n\n")
    }

    pub(crate) fn is_stream(&self) -> bool {
        self.header("content-type") == Some("text/event-stream")
    }

    pub(crate) fn error(&self) -> Value {
        self.json()["error"].clone()
    }
}
