//! Owns the steps of one attempt, each a future that yields what was seen. Must never decide what follows.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http::header::AUTHORIZATION;

use crate::core::catalog::EndpointIx;
use crate::core::exchange::{AttemptId, Failure};
use crate::core::outcome::ErrorFacts;
use crate::core::quota::Quotas;
use crate::edge::clock::wall_clock;
use crate::edge::generation::Generation;
use crate::edge::proxy::connect::{Connector, Reuse};
use crate::edge::proxy::decode::Coding;
use crate::edge::proxy::head::{Content, Head};
use crate::edge::proxy::upstream::{Connection, Lost, Outgoing};
use crate::edge::tokens::Token;
use crate::wire::error_facts::error_facts;
use crate::wire::rate_headers::quotas;

/// How much of an error answer is read.
const ERROR_BODY: usize = 64 * 1024;
/// How long the body of an error answer may take once its head is there: the status says enough.
const ERROR_BODY_WAIT: Duration = Duration::from_secs(1);

/// An attempt under way.
pub(crate) struct Attempt {
    pub(crate) id: AttemptId,
    pub(crate) endpoint: EndpointIx,
    generation: Arc<Generation>,
    connector: Arc<Connector>,
    outgoing: Outgoing,
    stage: Stage,
    /// The access token that it is sent with.
    token: Option<Arc<Token>>,
    /// One was refused, and another took its place.
    renewed: bool,
    /// What the answer's head told of the upstream's limits, until somebody takes it.
    pub(crate) limits: Option<Box<Quotas>>,
}

/// A connection is kilobytes, and changes hands at every step: boxed, it stays where it is.
enum Stage {
    New(Reuse),
    Connected(Box<Connection>),
    Sent(Box<Connection>),
    Answering(Box<Connection>),
    Over,
}

/// What an attempt's next step brought.
pub(crate) enum Seen {
    Connected,
    /// The pooled connection was dead before: a new one is opened.
    Reconnecting,
    Sent,
    Head(Content),
    Chunk(Bytes),
    End,
    Failed(Failure),
    /// An error answer.
    Refused(Box<ErrorFacts>),
}

impl Attempt {
    pub(crate) fn new(
        id: AttemptId,
        endpoint: EndpointIx,
        generation: Arc<Generation>,
        connector: Arc<Connector>,
        outgoing: Outgoing,
    ) -> Self {
        Self {
            id,
            endpoint,
            generation,
            connector,
            outgoing,
            stage: Stage::New(Reuse::Allowed),
            token: None,
            renewed: false,
            limits: None,
        }
    }

    /// Goes one step on. Dropping the future before it is done ends the attempt.
    pub(crate) async fn step(&mut self) -> Seen {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::New(reuse) => self.connect(reuse).await,
            Stage::Connected(connection) => self.send(connection).await,
            Stage::Sent(connection) => self.read_head(connection).await,
            Stage::Answering(connection) => self.read_chunk(connection).await,
            Stage::Over => Seen::Failed(Failure::Lost),
        }
    }

    /// Gives the connection of a finished answer back.
    pub(crate) async fn release(self) {
        if let Stage::Answering(connection) = self.stage {
            Box::pin(self.connector.release(*connection)).await;
        }
    }

    async fn connect(&mut self, reuse: Reuse) -> Seen {
        if let Some(grant) = &self.generation.upstream(self.endpoint).grant {
            let Some(token) = Box::pin(grant.token()).await else {
                return Seen::Failed(Failure::NoToken);
            };
            let forwarded = &mut self.outgoing.forwarded;
            forwarded.retain(|(name, _)| name != AUTHORIZATION);
            forwarded.push((AUTHORIZATION, token.header.clone()));
            self.token = Some(token);
        }
        let place = &self.generation.upstream(self.endpoint).place;
        match self.connector.connect(place, reuse).await {
            Ok(connection) => {
                self.stage = Stage::Connected(Box::new(connection));
                Seen::Connected
            }
            Err(fault) => Seen::Failed(Failure::Connect(fault)),
        }
    }

    async fn send(&mut self, mut connection: Box<Connection>) -> Seen {
        match connection.send(&self.outgoing).await {
            Err(lost) if lost.stale || lost.wants_h1 => self.reconnect(connection, &lost),
            // An upstream that refuses a long body answers before it has read it, and closes: its answer
            // may still be there.
            Ok(()) | Err(_) => {
                self.stage = Stage::Sent(connection);
                Seen::Sent
            }
        }
    }

    fn reconnect(&mut self, connection: Box<Connection>, lost: &Lost) -> Seen {
        if lost.wants_h1 {
            self.connector.prefer_h1(*connection);
        }
        self.stage = Stage::New(Reuse::Never);
        Seen::Reconnecting
    }

    async fn read_head(&mut self, mut connection: Box<Connection>) -> Seen {
        match connection.read_head().await {
            Ok(head) => self.on_head(connection, head).await,
            Err(lost) if lost.stale || lost.wants_h1 => self.reconnect(connection, &lost),
            Err(lost) => self.on_lost(&lost),
        }
    }

    async fn on_head(&mut self, connection: Box<Connection>, head: Head) -> Seen {
        if head.limits {
            let told = quotas(&connection.headers(), wall_clock());
            let told = match head.status.is_success() {
                true => told,
                false => told.of_refusal(),
            };
            self.limits = (!told.is_empty()).then(|| Box::new(told));
        }
        if !head.status.is_success() {
            return self.refuse(connection, head.status).await;
        }
        if head.coding() == Coding::Unknown {
            return Seen::Failed(Failure::Malformed);
        }
        self.stage = Stage::Answering(connection);
        Seen::Head(head.content())
    }

    async fn read_chunk(&mut self, mut connection: Box<Connection>) -> Seen {
        loop {
            match connection.read_chunk().await {
                Ok(Some(chunk)) if chunk.is_empty() => {}
                Ok(Some(chunk)) => {
                    self.stage = Stage::Answering(connection);
                    return Seen::Chunk(chunk);
                }
                Ok(None) => {
                    self.stage = Stage::Answering(connection);
                    return Seen::End;
                }
                Err(lost) => return self.on_lost(&lost),
            }
        }
    }

    async fn refuse(&mut self, mut connection: Box<Connection>, status: StatusCode) -> Seen {
        let mut body = BytesMut::new();
        let read = read_error(&mut connection, &mut body);
        let whole = tokio::time::timeout(ERROR_BODY_WAIT, read).await == Ok(true);
        let facts = error_facts(status.as_u16(), &connection.headers(), &body, wall_clock());
        if whole {
            Box::pin(self.connector.release(*connection)).await;
        }
        if status == StatusCode::UNAUTHORIZED && self.renews_token() {
            self.stage = Stage::New(Reuse::Allowed);
            return Seen::Reconnecting;
        }
        Seen::Refused(Box::new(facts))
    }

    /// Whether the token that was refused is replaced, and the request sent once more: nobody worked on it.
    fn renews_token(&mut self) -> bool {
        let grant = &self.generation.upstream(self.endpoint).grant;
        let (Some(grant), Some(token)) = (grant, &self.token) else {
            return false;
        };
        let renews = grant.refuse(token) && !self.renewed;
        self.renewed |= renews;
        renews
    }

    fn on_lost(&self, lost: &Lost) -> Seen {
        let endpoint = self.generation.id(self.endpoint);
        tracing::debug!(endpoint, error = %lost.cause, "connection lost");
        Seen::Failed(match lost.is_malformed {
            true => Failure::Malformed,
            false => Failure::Lost,
        })
    }
}

/// Reads an error's body up to its cap. Returns whether that was all of it.
async fn read_error(connection: &mut Connection, body: &mut BytesMut) -> bool {
    while let Ok(chunk) = connection.read_chunk().await {
        let Some(chunk) = chunk else {
            return true;
        };
        let room = ERROR_BODY.saturating_sub(body.len());
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if body.len() >= ERROR_BODY {
            return false;
        }
    }
    false
}
