//! Owns in whose words an answer is given: those of chat and its older kin, or those of another dialect. Faults are laid
//! over both alike.
//! Must never decide whether a fault is due.

use bytes::Bytes;

use crate::cmd::mock::answer::{self, Step};
use crate::cmd::mock::chat::{Ask, Event, Telling};
use crate::cmd::mock::dialects::{Exchange, Mark, Route, Trouble};
use crate::cmd::mock::errors;
use crate::cmd::mock::fault::ErrorBody;

/// An answer in one dialect.
#[derive(Debug)]
pub(crate) enum Voice {
    Chat {
        ask: Box<Ask>,
        telling: Box<Telling>,
    },
    Dialect(Box<Exchange>),
}

/// What an error needs to be told: a dialect's route and the count of the answer, or nothing for chat.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Tongue<'a> {
    Chat,
    Dialect(&'a Route, u64),
}

// === impl Voice ===

impl Voice {
    /// In whose words errors are told.
    pub(crate) fn tongue(&self) -> Tongue<'_> {
        match self {
            Self::Chat { .. } => Tongue::Chat,
            Self::Dialect(exchange) => Tongue::Dialect(&exchange.route, exchange.number()),
        }
    }

    /// Whether the answer is a stream.
    pub(crate) fn is_stream(&self) -> bool {
        match self {
            Self::Chat { ask, .. } => ask.stream,
            Self::Dialect(exchange) => exchange.is_stream(),
        }
    }

    /// Whether the request ends in an assistant message.
    pub(crate) fn is_prefilled(&self) -> bool {
        match self {
            Self::Chat { ask, .. } => ask.prefill.is_some(),
            Self::Dialect(exchange) => exchange.asked.is_prefilled(),
        }
    }

    /// How many tokens the answer has.
    pub(crate) fn tokens(&self) -> u32 {
        match self {
            Self::Chat { telling, .. } => telling.tokens(),
            Self::Dialect(exchange) => exchange.tokens(),
        }
    }

    /// Takes the content away.
    pub(crate) fn empty(&mut self) {
        match self {
            Self::Chat { telling, .. } => telling.empty(),
            Self::Dialect(exchange) => exchange.empty(),
        }
    }

    /// A filter ends the answer after so many tokens.
    pub(crate) fn filter(&mut self, tokens: u32) {
        match self {
            Self::Chat { telling, .. } => telling.filter(tokens),
            Self::Dialect(exchange) => exchange.filter(tokens),
        }
    }

    /// The content type of a stream, or of a body.
    pub(crate) fn content_type(&self, is_stream: bool) -> &'static str {
        match (self, is_stream) {
            (Self::Dialect(exchange), _) => exchange.content_type(is_stream),
            (Self::Chat { .. }, true) => "text/event-stream; charset=utf-8",
            (Self::Chat { .. }, false) => "application/json",
        }
    }

    /// The events of a healthy stream.
    pub(crate) fn events(&self) -> Vec<Event> {
        match self {
            Self::Chat { telling, .. } => {
                let mut events = telling.opening();
                events.extend((0..telling.tokens()).flat_map(|index| telling.token(index)));
                events.extend(telling.closing());
                events
            }
            Self::Dialect(exchange) => exchange.frames().into_iter().map(Event::Frame).collect(),
        }
    }

    /// The whole answer as one body.
    pub(crate) fn body(&self) -> Bytes {
        match self {
            Self::Chat { telling, .. } => telling.json(),
            Self::Dialect(exchange) => exchange.body(),
        }
    }

    /// The bytes of the event of one token.
    pub(crate) fn token(&self, index: u32) -> Bytes {
        match self {
            Self::Chat { telling, .. } => telling.render(&Event::Piece { choice: 0, index }),
            Self::Dialect(exchange) => {
                let mut frames = exchange.frames().into_iter();
                let found = frames.find(|frame| frame.mark == Mark::Token(index));
                found.map_or(Bytes::new(), |frame| frame.bytes)
            }
        }
    }

    /// An event of invalid JSON.
    pub(crate) fn broken(&self) -> Bytes {
        match self {
            Self::Chat { .. } => Bytes::from_static(b"data: {\"choices\":[{\"delta\":{\"con\n\n"),
            Self::Dialect(exchange) => exchange.broken(),
        }
    }

    /// An event with another bit in it: where there are checksums they do not hold, where there are none it is no JSON.
    pub(crate) fn flipped(&self, event: &[u8]) -> Bytes {
        match self {
            Self::Chat { .. } => self.broken(),
            Self::Dialect(exchange) => exchange.flipped(event),
        }
    }

    /// An event of a type that nobody knows.
    pub(crate) fn unknown(&self) -> Bytes {
        match self {
            Self::Chat { .. } => Bytes::from_static(
                b"event: weather\ndata: {\"object\":\"weather.report\",\"choices\":[]}\n\n",
            ),
            Self::Dialect(exchange) => exchange.unknown(),
        }
    }

    /// The event that ends a stream after `before` others.
    pub(crate) fn failure(&self, error: ErrorBody, before: u64) -> Bytes {
        match self {
            Self::Chat { .. } => format!("data: {}\n\n", errors::body(error, 500)).into(),
            Self::Dialect(exchange) => {
                let trouble = errors::trouble(error, 500);
                trouble.map_or(Bytes::new(), |trouble| exchange.failure(&trouble, before))
            }
        }
    }

    /// What is said instead of an answer: a comment, or an event without content.
    pub(crate) fn chatter(&self, is_comment: bool) -> Event {
        match self {
            Self::Dialect(exchange) => Event::Raw(exchange.chatter(is_comment)),
            Self::Chat { .. } if is_comment => Event::Raw(Bytes::from_static(b": keep-alive\n\n")),
            Self::Chat { .. } => Event::Role { choice: 0 },
        }
    }

    /// What renders the events of chat.
    pub(crate) fn into_telling(self) -> Option<Telling> {
        match self {
            Self::Chat { telling, .. } => Some(*telling),
            Self::Dialect(_) => None,
        }
    }
}

// === impl Tongue ===

impl Tongue<'_> {
    /// What a rate limit tells, as the dialect tells it. `headers` are in the words of OpenAI, `reset` is in seconds since
    /// 1970.
    pub(crate) fn limits(
        self,
        headers: Vec<(String, String)>,
        reset: u64,
    ) -> Vec<(String, String)> {
        match self {
            Tongue::Chat => headers,
            Tongue::Dialect(route, _) => route.limits(headers, reset),
        }
    }

    /// An error with a status.
    pub(crate) fn error(
        self,
        error: ErrorBody,
        status: u16,
        retry_after: Option<&str>,
    ) -> Vec<Step> {
        match (self, errors::trouble(error, status)) {
            (Tongue::Dialect(route, number), Some(trouble)) => {
                Self::trouble(route, number, (&trouble, status), retry_after)
            }
            _ => answer::json(status, errors::body(error, status)),
        }
    }

    /// A trouble of the request itself, with the status that the dialect gives it.
    pub(crate) fn refusal(route: &Route, number: u64, trouble: &Trouble) -> Vec<Step> {
        Self::trouble(route, number, (trouble, route.status(trouble)), None)
    }

    fn trouble(
        route: &Route,
        number: u64,
        (trouble, status): (&Trouble, u16),
        retry_after: Option<&str>,
    ) -> Vec<Step> {
        let (body, headers) = route.error(trouble, status, retry_after, number);
        let mut steps = answer::json(status, body);
        answer::add_headers(&mut steps, &headers);
        steps
    }
}
