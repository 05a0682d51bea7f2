//! Owns one probe of our own: the smallest request to an endpoint, sent as an attempt is, or a connection alone. Must
//! never be told to a client's exchange, or read more of an answer than such a request can have.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderName, HeaderValue};

use crate::core::catalog::EndpointIx;
use crate::core::exchange::{AttemptId, Failure, Usage};
use crate::core::health::ActiveErrand;
use crate::core::outcome::{ConnectFault, Evidence, Late};
use crate::edge::generation::Generation;
use crate::edge::generation::Way;
use crate::edge::proxy::attempt::{Attempt, Seen};
use crate::edge::proxy::connect::{Connector, Reuse};
use crate::edge::proxy::outgoing::{accept, addressed, signed};
use crate::edge::proxy::upstream::Outgoing;
use crate::wire::client_request::operation::Operation;
use crate::wire::dialect::Whole;
use crate::wire::dialects::{Ask, Dialect};
use crate::wire::hub::{Message, Part, Request, Role};
use crate::wire::openai::answer::{self, Answer};
use crate::wire::openai::probe::smallest;

/// What a probe may take: as a first token of which nothing is known (routing-algorithm 3.4).
const ASK_WITHIN: Duration = Duration::from_secs(30);
/// What a connection alone may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// An answer to the smallest request is smaller.
const LARGEST: usize = 256 * 1024;

/// A probe, to be asked once.
#[derive(Debug)]
pub(crate) struct Probing {
    pub(crate) generation: Arc<Generation>,
    pub(crate) connector: Arc<Connector>,
    pub(crate) endpoint: EndpointIx,
}

impl Probing {
    /// Runs the errand. Returns what came of it: `Ok` with the usage of an answer, where it told one.
    pub(crate) async fn run(&self, errand: ActiveErrand) -> Result<Option<Usage>, Evidence> {
        match errand {
            ActiveErrand::Connect => self.connect().await.map(|()| None),
            ActiveErrand::Ask => {
                let asking = Box::pin(tokio::time::timeout(ASK_WITHIN, self.ask()));
                asking.await.unwrap_or(Err(Evidence::Late(Late::Answer)))
            }
        }
    }

    async fn connect(&self) -> Result<(), Evidence> {
        let place = &self.generation.upstream(self.endpoint).place;
        let connecting = Box::pin(self.connector.connect(place, Reuse::Never));
        match tokio::time::timeout(CONNECT_WITHIN, connecting).await {
            Ok(connected) => connected.map(drop).map_err(Evidence::Connect),
            Err(_) => Err(Evidence::Connect(ConnectFault::TimedOut)),
        }
    }

    /// Asks what was asked of the endpoint last.
    async fn ask(&self) -> Result<Option<Usage>, Evidence> {
        let asked = self.generation.health.endpoint(self.endpoint).asked();
        let asked = Ask::ALL.get(usize::from(asked)).copied();
        match asked {
            // No other dialect has these two.
            Some(Ask::OpenAi(operation @ (Operation::Completions | Operation::Embeddings))) => {
                self.ask_for(operation).await
            }
            Some(_) | None => self.ask_to_chat().await,
        }
    }

    async fn ask_for(&self, operation: Operation) -> Result<Option<Usage>, Evidence> {
        let way = self
            .generation
            .upstream(self.endpoint)
            .way(Ask::OpenAi(operation), false);
        let body = smallest(operation, self.model());
        let body = self.fetch(way, Dialect::OpenAi, body).await?;
        match answer::read(operation, &body, "") {
            Answer::Good { facts, .. } => Ok(facts.usage),
            Answer::Error(facts) => Err(Evidence::InAnswer(*facts)),
            Answer::Malformed => Err(Evidence::Malformed),
        }
    }

    /// In the dialect that its provider prefers.
    async fn ask_to_chat(&self) -> Result<Option<Usage>, Evidence> {
        let upstream = self.generation.upstream(self.endpoint);
        let way = upstream.translated(false);
        let dialect = match way {
            Way::Translated(dialect, _) => dialect,
            Way::Untouched(_) => Dialect::OpenAi,
        };
        let face = dialect.upstream();
        let body = face.write_request(&smallest_chat(), self.model());
        let body = addressed(body, dialect, upstream, self.model());
        let body = self.fetch(way, dialect, body).await?;
        match face.read_answer(&body) {
            // One token may be a thought that nobody is shown: it is an answer all the same.
            Whole::Good(answer) => Ok(answer.usage),
            Whole::Error(facts) => Err(Evidence::InAnswer(*facts)),
            Whole::Malformed => Err(Evidence::Malformed),
        }
    }

    fn outgoing(&self, way: Way<'_>, dialect: Dialect, body: Bytes) -> Outgoing {
        let template = way.head();
        let (body, signature) = signed(&self.generation, self.endpoint, template, body.into());
        let headers = dialect.upstream().headers().iter();
        let headers = headers.map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        });
        Outgoing {
            template: template.clone(),
            accept: accept(dialect, false),
            forwarded: headers.chain(signature).collect(),
            body,
        }
    }

    fn model(&self) -> &str {
        let catalog = &self.generation.snapshot.catalog;
        catalog.upstream_name_of(self.endpoint, None)
    }

    async fn fetch(&self, way: Way<'_>, dialect: Dialect, body: Bytes) -> Result<Bytes, Evidence> {
        let mut attempt = Attempt::new(
            AttemptId(0),
            self.endpoint,
            self.generation.clone(),
            self.connector.clone(),
            self.outgoing(way, dialect, body),
        );
        let mut body = BytesMut::new();
        loop {
            match attempt.step().await {
                Seen::Connected | Seen::Reconnecting | Seen::Sent | Seen::Head(_) => {}
                Seen::Chunk(chunk) if body.len() + chunk.len() > LARGEST => {
                    return Err(Evidence::Malformed);
                }
                Seen::Chunk(chunk) => body.extend_from_slice(&chunk),
                Seen::End => {
                    attempt.release().await;
                    return Ok(body.freeze());
                }
                Seen::Failed(failure) => return Err(evidence(failure)),
                Seen::Refused(facts) => return Err(Evidence::Status(*facts)),
            }
        }
    }
}

/// A request that costs next to nothing. A model that takes no limit so low says so, and shows thereby that it answers.
fn smallest_chat() -> Request {
    Request {
        messages: vec![Message {
            role: Role::User,
            parts: vec![Part::text(".")],
        }],
        max_tokens: Some(1),
        ..Request::default()
    }
}

fn evidence(failure: Failure) -> Evidence {
    match failure {
        Failure::Connect(fault) => Evidence::Connect(fault),
        Failure::NoToken => Evidence::NoToken,
        Failure::Lost => Evidence::Lost,
        Failure::Status(facts) => Evidence::Status(*facts),
        Failure::InAnswer(facts) => Evidence::InAnswer(*facts),
        Failure::Malformed => Evidence::Malformed,
    }
}
