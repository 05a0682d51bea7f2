//! Owns one probe of our own: the smallest request to an endpoint, sent as an attempt is, or a connection alone. Must
//! never be told to a client's exchange, or read more of an answer than such a request can have.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use crate::core::catalog::EndpointIx;
use crate::core::exchange::{AttemptId, Failure, Usage};
use crate::core::health::ActiveErrand;
use crate::core::outcome::{ConnectFault, Evidence, Late};
use crate::edge::generation::Generation;
use crate::edge::proxy::attempt::{Attempt, Seen};
use crate::edge::proxy::connect::{Connector, Reuse};
use crate::edge::proxy::upstream::Outgoing;
use crate::wire::openai::answer::{self, Answer};
use crate::wire::openai::operation::Operation;
use crate::wire::openai::probe::smallest;
use crate::wire::rope::Rope;

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
        let operation = Operation::ALL.get(usize::from(asked)).copied();
        let operation = operation.unwrap_or_default();
        let body = self.fetch(operation).await?;
        match answer::read(operation, &body, "") {
            // One token may be a thought that nobody is shown: it is an answer all the same.
            Answer::Good { facts, .. } => Ok(facts.usage),
            Answer::Error(facts) => Err(Evidence::InAnswer(*facts)),
            Answer::Malformed => Err(Evidence::Malformed),
        }
    }

    async fn fetch(&self, operation: Operation) -> Result<Bytes, Evidence> {
        let mut attempt = Attempt::new(
            AttemptId(0),
            self.endpoint,
            self.generation.clone(),
            self.connector.clone(),
            self.outgoing(operation),
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

    fn outgoing(&self, operation: Operation) -> Outgoing {
        let catalog = &self.generation.snapshot.catalog;
        let model = catalog.upstream_name_of(self.endpoint, None);
        let mut body = Rope::default();
        body.push(smallest(operation, model));
        let upstream = self.generation.upstream(self.endpoint);
        Outgoing {
            template: upstream.head(operation).clone(),
            accept: "application/json",
            forwarded: Vec::new(),
            body,
        }
    }
}

fn evidence(failure: Failure) -> Evidence {
    match failure {
        Failure::Connect(fault) => Evidence::Connect(fault),
        Failure::Lost => Evidence::Lost,
        Failure::Status(facts) => Evidence::Status(*facts),
        Failure::InAnswer(facts) => Evidence::InAnswer(*facts),
        Failure::Malformed => Evidence::Malformed,
    }
}
