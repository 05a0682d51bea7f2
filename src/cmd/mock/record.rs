//! Owns the log of what arrived and what became of it.
//! Must never grow without bound: old entries leave, large bodies are kept only as a digest.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::cmd::mock::dialects::{Refused, Route, Understood, sha256};
use crate::cmd::mock::http::Head;

/// The most entries that are kept; the oldest leave first.
const MAX_ENTRIES: usize = 10_000;
/// The largest body that is kept whole.
const MAX_KEPT_BODY: usize = 64 * 1024;

/// One request that arrived, and what became of its answer. Offsets are from the start of the mock.
#[derive(Clone, Debug, Serialize)]
pub struct Received {
    /// When its last byte was here.
    #[serde(rename = "at_ms", serialize_with = "milliseconds")]
    pub at: Duration,
    /// The connection it came on, counted from zero.
    pub connection: u64,
    pub method: String,
    /// The target as sent, with its query.
    pub path: String,
    /// Names in lower case, in order.
    pub headers: Vec<(String, String)>,
    pub body_bytes: usize,
    /// SHA-256 of the body, in hex.
    pub sha256: String,
    /// The body itself, up to 64 KiB.
    #[serde(serialize_with = "text")]
    pub body: Option<Bytes>,
    /// The body's `model`, or the path's.
    pub model: Option<String>,
    /// The body's `stream`, or the path's.
    pub stream: bool,
    /// What the request meant, where it is one for a model.
    pub meaning: Option<Meaning>,
    /// The status that was sent, once a head was.
    pub status: Option<u16>,
    pub fate: Fate,
    /// When its fate was sealed.
    #[serde(rename = "ended_ms", serialize_with = "optional_milliseconds")]
    pub ended: Option<Duration>,
}

/// What a request meant to the mock, read apart from what Mainstay translates by.
#[derive(Clone, Debug, Serialize)]
pub struct Meaning {
    /// `chat`, `responses`, `anthropic`, `gemini`, `bedrock` or `cohere`.
    pub dialect: &'static str,
    /// SHA-256 of the canonical JSON, in hex; absent where the request was not understood.
    pub digest: Option<String>,
    /// The canonical JSON itself, up to 64 KiB.
    pub understood: Option<serde_json::Value>,
    /// Why the request was not understood.
    pub refused: Option<String>,
    /// What is not in the digest: fields that change no meaning, and the ids of tool calls as sent.
    pub hints: serde_json::Value,
    pub ids: Vec<String>,
    /// How many marks for a prompt cache there were.
    pub cache_marks: u64,
}

/// What became of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// Still being sent.
    UnderWay,
    /// Sent whole.
    Answered,
    /// Ended by a fault before it was whole, or before it began.
    Cut,
    /// The client closed its side first, or the mock was stopped.
    ClientLeft,
}

/// The entries, and the number of the first one that is still kept.
#[derive(Debug, Default)]
pub(crate) struct Log {
    first: u64,
    entries: VecDeque<Received>,
}

#[derive(Default, Deserialize)]
struct Peek {
    model: Option<String>,
    stream: Option<bool>,
}

// === impl Received ===

impl Received {
    /// A request as it arrived, its answer under way.
    pub(crate) fn new(at: Duration, connection: u64, head: &Head, body: &Bytes) -> Self {
        let mut peek: Peek = serde_json::from_slice(body).unwrap_or_default();
        if let Some(route) = Route::of(&head.target).filter(|route| route.model.is_some()) {
            (peek.model, peek.stream) = (route.model, Some(route.streams));
        }
        Self {
            at,
            connection,
            method: head.method.clone(),
            path: head.target.clone(),
            headers: head.headers.clone(),
            body_bytes: body.len(),
            sha256: format!("{:x}", Sha256::digest(body)),
            // A copy: a share of the connection's buffer would keep all of it alive.
            body: (body.len() <= MAX_KEPT_BODY).then(|| Bytes::copy_from_slice(body)),
            model: peek.model,
            stream: peek.stream.unwrap_or(false),
            meaning: None,
            status: None,
            fate: Fate::UnderWay,
            ended: None,
        }
    }

    /// The first value of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let header = self.headers.iter().find(|(known, _)| known == name);
        header.map(|(_, value)| value.as_str())
    }
}

// === impl Meaning ===

impl Meaning {
    /// A request that was understood.
    pub(crate) fn understood(dialect: &'static str, asked: &Understood) -> Self {
        let digest = asked.digest();
        let kept = (digest.len() <= MAX_KEPT_BODY).then(|| serde_json::from_str(&digest).ok());
        Self {
            dialect,
            digest: Some(sha256(digest.as_bytes())),
            understood: kept.flatten(),
            refused: None,
            hints: serde_json::json!(asked.hints),
            ids: asked.ids.clone(),
            cache_marks: asked.cache_marks,
        }
    }

    /// A request that was not.
    pub(crate) fn refused(dialect: &'static str, refused: &Refused) -> Self {
        Self {
            dialect,
            digest: None,
            understood: None,
            refused: Some(format!("{}: {}", refused.dotted(), refused.message)),
            hints: serde_json::Value::Null,
            ids: Vec::new(),
            cache_marks: 0,
        }
    }
}

// === impl Log ===

impl Log {
    /// Adds an entry and returns its number.
    pub(crate) fn push(&mut self, entry: Received) -> u64 {
        if self.entries.len() == MAX_ENTRIES {
            self.entries.pop_front();
            self.first += 1;
        }
        self.entries.push_back(entry);
        self.total() - 1
    }

    /// The entry of a number, unless it has left.
    pub(crate) fn entry(&mut self, number: u64) -> Option<&mut Received> {
        let index = number.checked_sub(self.first)?;
        self.entries.get_mut(usize::try_from(index).ok()?)
    }

    /// All entries, the oldest first.
    pub(crate) fn entries(&self) -> Vec<Received> {
        self.entries.iter().cloned().collect()
    }

    /// How many entries there have ever been.
    pub(crate) fn total(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    /// Forgets the entries; numbers go on.
    pub(crate) fn clear(&mut self) {
        self.first += self.entries.len() as u64;
        self.entries.clear();
    }
}

fn milliseconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64() * 1000.0)
}

#[expect(clippy::ref_option, reason = "serde hands the field over by reference")]
fn optional_milliseconds<S: Serializer>(
    duration: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    duration
        .map(|duration| duration.as_secs_f64() * 1000.0)
        .serialize(serializer)
}

#[expect(clippy::ref_option, reason = "serde hands the field over by reference")]
fn text<S: Serializer>(body: &Option<Bytes>, serializer: S) -> Result<S::Ok, S::Error> {
    body.as_ref()
        .map(|body| String::from_utf8_lossy(body))
        .serialize(serializer)
}
