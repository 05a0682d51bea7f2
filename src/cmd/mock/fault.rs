//! Owns what can go wrong, as data: the kinds of faults and how long they last.
//! Must never do any of it: `state` decides when a fault is due, `spoil` what it does to an answer.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::cmd::mock::scenario::Scenario;
use crate::cmd::mock::script::{ScriptError, duration, is_status, optional_duration, range};

/// What goes wrong, and for how long. Written flat, `{ kind: status, status: 429, first: 1 }`, or as a bare
/// word: a kind with its defaults (`reset`) or a scenario (`s08`).
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// Only the first so many requests. Default: all.
    pub first: Option<u64>,
    /// Only until this long after the first request. Default: for ever.
    pub within: Option<Duration>,
    /// What happens to those requests.
    pub kind: Kind,
}

/// One way to misbehave. Tokens and events are counted on the wire; a JSON body is cut at the same share.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Kind {
    /// One of S01 to S16, with its own count or window unless the fault gives one.
    Scenario { id: Scenario },
    /// An answer with this status and an error body, after `delay`.
    Status {
        status: u16,
        #[serde(default)]
        retry_after: Option<String>,
        #[serde(default)]
        headers: BTreeMap<String, String>,
        #[serde(default)]
        body: ErrorBody,
        /// Replaces the body by these literal bytes, as JSON.
        #[serde(default)]
        text: Option<String>,
        #[serde(default, deserialize_with = "duration")]
        delay: Duration,
    },
    /// A TCP reset before any byte.
    Reset,
    /// An orderly close before any byte.
    Close,
    /// The request is read and never answered; the connection closes after `for` (120 s).
    Silence {
        #[serde(rename = "for", default = "secs::<120>", deserialize_with = "duration")]
        lasts: Duration,
    },
    /// The head comes at once, the first token after `for` (20 s); a JSON answer comes whole after it.
    HeadThenSilence {
        #[serde(rename = "for", default = "secs::<20>", deserialize_with = "duration")]
        lasts: Duration,
    },
    /// The answer ends after `tokens` (40).
    CutAfter {
        #[serde(default = "number::<40>")]
        tokens: u32,
        #[serde(default)]
        how: Cut,
    },
    /// Silence for `for` (30 s) after `tokens` (20), then the end, or the rest when it `resumes`.
    StallAfter {
        #[serde(default = "number::<20>")]
        tokens: u32,
        #[serde(rename = "for", default = "secs::<30>", deserialize_with = "duration")]
        lasts: Duration,
        #[serde(default)]
        how: Cut,
        #[serde(default)]
        resumes: bool,
    },
    /// An event of invalid JSON is put in as event number `at` (10); the rest is whole.
    MalformedEvent {
        #[serde(default = "number::<10>")]
        at: u32,
    },
    /// A whole stream without `[DONE]`.
    NoDone,
    /// A stream without its finish reason, `[DONE]` included.
    NoFinish,
    /// Event number `at` (1) is an error and the last one. A JSON answer holds only the error, under status 200.
    ErrorEvent {
        #[serde(default = "number::<1>")]
        at: u32,
        #[serde(default)]
        body: ErrorBody,
    },
    /// Event number `at` (10) is damaged; the body ends behind it.
    DamagedEvent {
        #[serde(default = "number::<10>")]
        at: u32,
        #[serde(default)]
        how: Damage,
    },
    /// An event of a type that nobody knows is put in as event number `at` (10); the rest is whole.
    UnknownEvent {
        #[serde(default = "number::<10>")]
        at: u32,
    },
    /// The provider's filter ends the answer after `tokens` (0): of the prompt where it is none, of the answer else.
    Filtered {
        #[serde(default)]
        tokens: u32,
    },
    /// Status 200 and a JSON body that holds only an error, also when a stream was asked for.
    ErrorIn200 {
        #[serde(default)]
        body: ErrorBody,
    },
    /// A well-formed answer of no tokens and `null` content.
    Empty,
    /// An HTML page with this status (200).
    Html {
        #[serde(default = "ok")]
        status: u16,
    },
    /// Right framing around JSON that stops in the middle.
    TruncatedJson,
    /// A body that claims gzip and stops in the middle of it.
    TruncatedGzip,
    /// The right body under this content type (`text/plain`).
    WrongContentType {
        #[serde(default = "plain_text")]
        content_type: String,
    },
    /// One token every `pace` (5 s), the first included.
    SlowDrip {
        #[serde(default = "secs::<5>", deserialize_with = "duration")]
        pace: Duration,
    },
    /// Keep-alives every `every` (1 s) for `for` (an hour) and never a token, then a close.
    Chatter {
        #[serde(default)]
        what: Chatter,
        #[serde(default = "secs::<1>", deserialize_with = "duration")]
        every: Duration,
        #[serde(
            rename = "for",
            default = "secs::<3600>",
            deserialize_with = "duration"
        )]
        lasts: Duration,
    },
    /// A request on a connection that was used before finds it closed; on a fresh one it is answered.
    StaleReuse,
    /// 400 for a request that ends in an assistant message; others are answered.
    RejectPrefill,
}

/// How an unfinished answer ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cut {
    /// The connection closes without the last chunk.
    #[default]
    Close,
    /// The connection is reset; what the client has not read yet may be lost to it.
    Reset,
    /// The HTTP body ends properly, only the content does not. A JSON body is closed instead.
    CleanEnd,
}

/// Which error a body tells of, in the OpenAI shape.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorBody {
    /// What the status suggests.
    #[default]
    Auto,
    ContextLength,
    ContentPolicy,
    Prefill,
    Quota,
    RateLimit,
    Overloaded,
    Server,
    Timeout,
    /// No body at all.
    Empty,
}

/// How an event is damaged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Damage {
    /// A bit of it is another one, which a checksum shows; an event without one has broken JSON.
    #[default]
    Flipped,
    /// Half of it is missing.
    Cut,
}

/// What is said instead of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Chatter {
    /// SSE comments; blank lines in a JSON body.
    #[default]
    Comment,
    /// Role deltas without content; blank lines in a JSON body.
    Role,
}

// === impl Fault ===

impl Fault {
    /// A fault that befalls every request.
    pub fn always(kind: Kind) -> Self {
        Self {
            first: None,
            within: None,
            kind,
        }
    }

    /// A fault that befalls the first `count` requests.
    pub fn first(count: u64, kind: Kind) -> Self {
        Self {
            first: Some(count),
            ..Self::always(kind)
        }
    }

    /// A fault that lasts until `window` after the first request.
    pub fn within(window: Duration, kind: Kind) -> Self {
        Self {
            within: Some(window),
            ..Self::always(kind)
        }
    }

    /// Reads a fault from YAML or JSON.
    pub fn parse(text: &str) -> Result<Self, ScriptError> {
        let fault: Self =
            serde_path_to_error::deserialize(serde_yaml::Deserializer::from_str(text))?;
        fault.check()?;
        Ok(fault)
    }

    /// Whether its numbers make sense.
    pub(crate) fn check(&self) -> Result<(), ScriptError> {
        if let Kind::Status { status, .. } | Kind::Html { status } = &self.kind {
            range("status", is_status(*status), "from 200 to 599")?;
        }
        if let Kind::Chatter { every, .. } = &self.kind {
            range("every", *every >= Duration::from_millis(1), "at least 1ms")?;
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Fault {
    /// Takes the count and the window out of the mapping; what is left must be a kind and its own fields.
    /// (`flatten` would do it, but it cannot refuse unknown fields.)
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde_yaml::Value;

        let mut fields = match Value::deserialize(deserializer)? {
            Value::String(word) => bare(word),
            Value::Mapping(fields) => fields,
            _ => {
                return Err(D::Error::custom(
                    "a fault is a word or a mapping with `kind`",
                ));
            }
        };
        let first = fields
            .remove("first")
            .map(serde_yaml::from_value)
            .transpose();
        let within = fields.remove("within").map(optional_duration).transpose();
        let own_fields = fields.len().saturating_sub(1);
        let kind: Kind =
            serde_yaml::from_value(Value::Mapping(fields)).map_err(D::Error::custom)?;
        // Serde checks the fields of struct variants only.
        if own_fields > 0 && kind.is_bare() {
            return Err(D::Error::custom(
                "this kind takes no fields but `first` and `within`",
            ));
        }
        Ok(Self {
            first: first.map_err(D::Error::custom)?,
            within: within.map_err(D::Error::custom)?.flatten(),
            kind,
        })
    }
}

// === impl Kind ===

impl Kind {
    /// A failure with this status and the error body it suggests.
    pub fn status(status: u16) -> Self {
        Self::error(status, ErrorBody::Auto)
    }

    /// A failure with this status and this error body.
    pub fn error(status: u16, body: ErrorBody) -> Self {
        Self::Status {
            status,
            retry_after: None,
            headers: BTreeMap::new(),
            body,
            text: None,
            delay: Duration::ZERO,
        }
    }

    /// A failure with this status and this `Retry-After`, which is sent as it is.
    pub fn retry_after(status: u16, value: &str) -> Self {
        Self::Status {
            status,
            retry_after: Some(value.to_owned()),
            headers: BTreeMap::new(),
            body: ErrorBody::Auto,
            text: None,
            delay: Duration::ZERO,
        }
    }

    /// Whether the kind has no fields of its own.
    fn is_bare(&self) -> bool {
        matches!(
            self,
            Self::Reset
                | Self::Close
                | Self::NoDone
                | Self::NoFinish
                | Self::Empty
                | Self::TruncatedJson
                | Self::TruncatedGzip
                | Self::StaleReuse
                | Self::RejectPrefill
        )
    }
}

/// A bare word as the mapping it abbreviates.
fn bare(word: String) -> serde_yaml::Mapping {
    let pairs = match word.parse::<Scenario>() {
        Ok(_) => vec![("kind", "scenario".to_owned()), ("id", word)],
        Err(_) => vec![("kind", word)],
    };
    pairs
        .into_iter()
        .map(|(key, value)| (key.into(), value.into()))
        .collect()
}

fn secs<const SECONDS: u64>() -> Duration {
    Duration::from_secs(SECONDS)
}

fn number<const NUMBER: u32>() -> u32 {
    NUMBER
}

fn ok() -> u16 {
    200
}

fn plain_text() -> String {
    "text/plain".to_owned()
}
