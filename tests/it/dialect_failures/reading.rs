//! Owns what an answer's raw bytes say to a client of each dialect: the text, how it ended, and an error in its form.
//! Must never repair what is broken.

use mainstay::cmd::mock::Script;
use serde_json::Value;

use super::bench::Run;
use crate::answer::{Answer, Ended};
use crate::dialects::cases::Inbound;
use crate::raw::Via;

/// One event of a stream: its name, where the dialect names events, and its data.
type Event = (String, String);

/// The events of a stream, without its comments.
fn events(answer: &Answer) -> Vec<Event> {
    let mut found = Vec::new();
    for event in answer.text().split("\n\n") {
        let (mut name, mut data) = (String::new(), None);
        for line in event.lines() {
            match line.split_once(": ") {
                Some(("event", value)) => value.clone_into(&mut name),
                Some(("data", value)) => data = Some(value.to_owned()),
                _ => assert!(
                    line.starts_with(':') || line.is_empty(),
                    "no line of an event: {line}"
                ),
            }
        }
        found.extend(data.map(|data| (name, data)));
    }
    found
}

fn json(data: &str) -> Value {
    match data {
        "[DONE]" => Value::Null,
        data => serde_json::from_str(data).unwrap_or_else(|error| panic!("{error}: {data}")),
    }
}

/// What a stream says.
fn streamed(inbound: Inbound, events: &[Event]) -> String {
    let piece = |(_, data): &Event| {
        let event = json(data);
        let text = match (inbound, event["type"].as_str()) {
            (Inbound::Chat, _) => event.pointer("/choices/0/delta/content"),
            (Inbound::Responses, Some("response.output_text.delta")) => event.get("delta"),
            (Inbound::Messages, Some("content_block_delta")) => event.pointer("/delta/text"),
            _ => None,
        };
        text.and_then(Value::as_str).map(str::to_owned)
    };
    events.iter().filter_map(piece).collect()
}

/// What a whole answer says.
fn said(inbound: Inbound, answer: &Value) -> String {
    let text = match inbound {
        Inbound::Chat => answer.pointer("/choices/0/message/content"),
        Inbound::Responses => answer.pointer("/output/0/content/0/text"),
        Inbound::Messages => answer.pointer("/content/0/text"),
    };
    text.and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The events that end a stream well, and how often each is there.
fn ends(inbound: Inbound, events: &[Event]) -> usize {
    let is_end = |(name, data): &&Event| match inbound {
        Inbound::Chat => data == "[DONE]",
        Inbound::Responses => name == "response.completed" || name == "response.incomplete",
        Inbound::Messages => name == "message_stop",
    };
    events.iter().filter(is_end).count()
}

fn errors(inbound: Inbound, events: &[Event]) -> usize {
    let is_error = |(name, data): &&Event| match inbound {
        Inbound::Chat => json(data).get("error").is_some(),
        Inbound::Responses => name == "error" || name == "response.failed",
        Inbound::Messages => name == "error",
    };
    events.iter().filter(is_error).count()
}

/// How an answer says that it ended: the words of its dialect.
pub(super) fn finish(inbound: Inbound, answer: &Answer) -> String {
    let last = if answer.is_stream() {
        let has = |event: &Value| match inbound {
            Inbound::Chat => event
                .pointer("/choices/0/finish_reason")
                .is_some_and(Value::is_string),
            Inbound::Responses => event["response"]["status"]
                .as_str()
                .is_some_and(|it| it != "in_progress"),
            Inbound::Messages => event["delta"]["stop_reason"].is_string(),
        };
        let mut events = events(answer).into_iter().map(|(_, data)| json(&data));
        events.find(has).unwrap_or_default()
    } else {
        answer.json()
    };
    let reason = match (inbound, answer.is_stream()) {
        (Inbound::Chat, _) => &last["choices"][0]["finish_reason"],
        (Inbound::Responses, true) => &last["response"]["incomplete_details"]["reason"],
        (Inbound::Responses, false) => &last["incomplete_details"]["reason"],
        (Inbound::Messages, true) => &last["delta"]["stop_reason"],
        (Inbound::Messages, false) => &last["stop_reason"],
    };
    reason.as_str().unwrap_or_default().to_owned()
}

/// The message of an error answer, where it has the form of its dialect.
pub(super) fn error_message(inbound: Inbound, answer: &Answer) -> Option<String> {
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let body = answer.json();
    let error = &body["error"];
    let formed = match inbound {
        Inbound::Chat | Inbound::Responses => {
            error["type"].is_string() && error.get("code").is_some() && error.get("param").is_some()
        }
        Inbound::Messages => body["type"] == "error" && error["type"].is_string(),
    };
    let message = error["message"]
        .as_str()
        .filter(|message| formed && !message.is_empty());
    message.map(str::to_owned)
}

/// The type, or the code, by which a client of the dialect tells the errors apart that a broken stream ends in.
fn error_of(inbound: Inbound, class: &str) -> &str {
    match (inbound, class) {
        (Inbound::Chat | Inbound::Responses, "rate_limited") => "rate_limit_exceeded",
        (Inbound::Chat | Inbound::Responses, class) => class,
        (Inbound::Messages, "rate_limited") => "rate_limit_error",
        (Inbound::Messages, "overloaded") => "overloaded_error",
        (Inbound::Messages, _) => "api_error",
    }
}

impl Run {
    /// The canonical answer, once, with a clean end, its usage, and the name of the model that gave it.
    pub(super) fn is_whole(&self, model: &str) {
        let (cell, answer, about) = (self.cell, &self.answer, self.about());
        assert_eq!((answer.status, answer.end), (200, Ended::Whole), "{about}");
        let canonical = Script::default().answer();
        if cell.stream {
            assert!(answer.is_stream(), "{about}");
            let events = events(answer);
            assert_eq!(streamed(cell.inbound, &events), canonical, "{about}");
            assert_eq!(ends(cell.inbound, &events), 1, "{about}");
            assert_eq!(
                ends(cell.inbound, &events[events.len() - 1..]),
                1,
                "the end is last: {about}"
            );
            assert_eq!(errors(cell.inbound, &events), 0, "{about}");
        } else {
            assert_eq!(
                answer.header("content-type"),
                Some("application/json"),
                "{about}"
            );
            assert_eq!(said(cell.inbound, &answer.json()), canonical, "{about}");
        }
        let text = answer.text();
        assert!(text.contains("_tokens\":60"), "no usage: {about}");
        assert!(
            text.contains(&format!("\"model\":\"{model}\"")),
            "no model: {about}"
        );
    }

    /// Whole, from the spare provider or model, after one attempt at the first that ended in this class.
    pub(super) fn is_rescued(&self, model: &str, class: &str) {
        self.is_whole(model);
        let about = self.about();
        assert_eq!(self.classes(), [class, "success"], "{about}");
        assert_eq!(self.asked, 1, "{about}");
        assert_eq!(self.told["result"], "answered", "{about}");
    }

    /// Rescued by the model of the chain that has more room; nobody but the request is to blame.
    pub(super) fn is_rescued_by_larger_window(&self) {
        self.is_rescued("t/large", "context_too_long");
        let fallback = self.answer.header("x-mainstay-fallback");
        assert_eq!(fallback, Some("context_too_long"), "{}", self.about());
        let scope = &self.told["attempts"][0]["scope"];
        assert_eq!(scope, "request", "{}", self.about());
    }

    /// A part of the canonical answer, the dialect's error for what lies behind it, and no clean end.
    pub(super) fn is_broken(&self, class: &str) {
        let (inbound, answer, about) = (self.cell.inbound, &self.answer, self.about());
        assert_eq!(answer.status, 200, "{about}");
        let cut = match self.via {
            Via::H1 => Ended::Cut,
            Via::H2 => Ended::Reset,
        };
        assert_eq!(answer.end, cut, "a broken stream ended cleanly: {about}");
        let events = events(answer);
        let (text, canonical) = (streamed(inbound, &events), Script::default().answer());
        assert!(
            !text.is_empty() && text.len() < canonical.len() && canonical.starts_with(&text),
            "{about}"
        );
        assert_eq!(ends(inbound, &events), 0, "{about}");
        let (name, data) = events.last().expect("an event");
        let last = json(data);
        let kind = match inbound {
            Inbound::Chat => {
                assert_eq!(last["object"], "chat.completion.chunk", "{about}");
                assert_eq!(last["choices"][0]["finish_reason"], "error", "{about}");
                &last["error"]["code"]
            }
            Inbound::Responses => {
                // An error first; a stream that is written anew closes its response too.
                let at = events
                    .iter()
                    .position(|(name, _)| name == "error")
                    .expect("an error event");
                let error = json(&events[at].1);
                assert_eq!(error["sequence_number"], at, "{about}");
                if !self.cell.passes() {
                    assert_eq!(name, "response.failed", "{about}");
                    assert_eq!(last["response"]["status"], "failed", "{about}");
                    assert!(last["response"]["error"]["code"].is_string(), "{about}");
                }
                &error["code"].clone()
            }
            Inbound::Messages => {
                assert_eq!(
                    (name.as_str(), &last["type"]),
                    ("error", &Value::from("error")),
                    "{about}"
                );
                &last["error"]["type"]
            }
        };
        assert_eq!(kind, error_of(inbound, class), "{about}");
        let twice = inbound == Inbound::Responses && !self.cell.passes();
        assert_eq!(
            errors(inbound, &events),
            if twice { 2 } else { 1 },
            "{about}"
        );
        assert_eq!(self.classes(), ["stream_broken"], "{about}");
        assert_eq!(
            (self.asked, self.spared),
            (1, 0),
            "nothing is asked again behind content: {about}"
        );
        assert_eq!(self.told["result"], "broken", "{about}");
    }
}
