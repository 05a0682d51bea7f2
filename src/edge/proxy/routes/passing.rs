//! Owns one routed request on its way: who may take it, who was tried, and whether it may go to another.
//! Must never allow a second sending of a body.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::RETRY_AFTER;
use http::{Method, StatusCode};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use pingora::upstreams::peer::{HttpPeer, Peer};

use crate::config::snapshot::Caller;
use crate::core::time::Time;
use crate::core::timeouts::TimeoutSettings;
use crate::edge::generation::Generation;
use crate::edge::lifecycle::InFlight;
use crate::edge::proxy::request::Ids;
use crate::edge::routes::{Candidate, Prepared};

/// The longest a server may take to accept a connection, and TLS with it.
const CONNECT: Duration = Duration::from_secs(2);
const HANDSHAKE: Duration = Duration::from_secs(5);
/// The longest one write to a server may block.
const WRITE_STALL: Duration = Duration::from_secs(20);
/// The longest silence of a server where its timeouts say nothing: a transcription of an hour, a quiet realtime
/// session.
const SILENCE: Duration = Duration::from_secs(600);
/// How long an idle connection is kept.
const POOL_IDLE: Duration = Duration::from_secs(60);

/// A routed request under way.
#[derive(Debug)]
pub struct Passing {
    pub(crate) generation: Arc<Generation>,
    pub(crate) prepared: Arc<Prepared>,
    pub(crate) ids: Ids,
    pub(crate) caller: Option<Arc<Caller>>,
    pub(crate) path: String,
    /// For the log; providers never see it.
    pub(crate) client: Option<IpAddr>,
    pub(crate) started: Instant,
    /// The provider's answer has begun.
    pub(crate) answered: bool,
    /// It is a conversation now.
    pub(crate) switched: bool,
    /// Bytes of the body that were read.
    pub(crate) read: u64,
    /// Where candidates were tried before, they are not tried again.
    tried: Vec<Arc<Candidate>>,
    tries: usize,
    /// A pooled connection was dead already: from now on only new ones.
    only_new: bool,
    carried: Option<Carried>,
    _in_flight: InFlight,
}

/// Counts as under way at its server until it is dropped.
#[derive(Debug)]
struct Carried {
    candidate: Arc<Candidate>,
}

impl Drop for Carried {
    fn drop(&mut self) {
        self.candidate.standing.leave();
    }
}

impl Passing {
    pub(crate) fn new(
        generation: Arc<Generation>,
        prepared: Arc<Prepared>,
        ids: Ids,
        caller: Option<Arc<Caller>>,
        in_flight: InFlight,
    ) -> Self {
        Self {
            generation,
            prepared,
            ids,
            caller,
            path: String::new(),
            client: None,
            started: Instant::now(),
            answered: false,
            switched: false,
            read: 0,
            tried: Vec::new(),
            tries: 0,
            only_new: false,
            carried: None,
            _in_flight: in_flight,
        }
    }

    /// Takes the next candidate.
    pub(crate) async fn next(&mut self, now: Time) -> Option<&Arc<Candidate>> {
        self.carried = None;
        let health = &self.generation.health;
        let candidate = self.prepared.pick(&self.tried, health, now).await?;
        candidate.standing.enter();
        self.tries += 1;
        self.tried.push(candidate.clone());
        self.carried = Some(Carried { candidate });
        self.candidate()
    }

    /// Who has it now.
    pub(crate) fn candidate(&self) -> Option<&Arc<Candidate>> {
        self.carried.as_ref().map(|carried| &carried.candidate)
    }

    pub(crate) fn has_more(&self) -> bool {
        self.prepared.has_more(&self.tried)
    }

    pub(crate) fn tries(&self) -> usize {
        self.tries
    }

    /// A pooled connection died under a request that nobody can have worked on: its candidate may be tried
    /// again, once, over a new one. Returns whether that is still to be had.
    pub(crate) fn renew(&mut self) -> bool {
        if self.only_new {
            return false;
        }
        self.only_new = true;
        self.tried.pop().is_some()
    }

    /// Whether the provider's `total` is over. A conversation has no end of its own.
    pub(crate) fn is_late(&self) -> bool {
        let total = self.candidate().and_then(|it| timeouts(it).total);
        !self.switched && total.is_some_and(|total| self.started.elapsed() >= total)
    }

    /// The candidate failed.
    pub(crate) fn blame(&self) {
        if let Some(candidate) = self.candidate() {
            candidate.standing.fail(None);
        }
    }

    /// Takes in the status of an answer.
    pub(crate) fn judge(&self, head: &ResponseHeader) {
        let Some(candidate) = self.candidate() else {
            return;
        };
        if head.status == StatusCode::UNAUTHORIZED
            && let Some(grant) = &candidate.source.grant
            && let Some(token) = grant.held()
        {
            // It may be younger than the one that was sent: then it is fetched once too often.
            grant.refuse(&token);
        }
        match is_elsewhere_better(head.status) || head.status.is_server_error() {
            true => candidate.standing.fail(asked(head)),
            false => candidate.standing.succeed(),
        }
    }
}

/// Whole seconds of a Retry-After; a date is left to the usual rest.
fn asked(head: &ResponseHeader) -> Option<Duration> {
    let seconds = head.headers.get(RETRY_AFTER)?.to_str().ok()?;
    seconds.trim().parse().ok().map(Duration::from_secs)
}

/// Whether an answer says that another server, or another key, may do better. A 401 and a 402 are about our own
/// key: the client's never gets there. A 403 may be about what was asked for.
pub(crate) fn is_elsewhere_better(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::UNAUTHORIZED
            | StatusCode::PAYMENT_REQUIRED
            | StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
    )
}

/// Whether a request may be sent a second time: nothing of it is lost or done twice.
pub(crate) fn is_replayable(session: &mut Session) -> bool {
    let head = session.req_header();
    let is_safe = matches!(head.method, Method::GET | Method::HEAD | Method::OPTIONS);
    is_safe && !has_answered(session) && session.as_downstream_mut().is_body_empty()
}

/// Whether the client has got the head of an answer. A `100 Continue` is none; a switch of protocols is.
pub(crate) fn has_answered(session: &Session) -> bool {
    let is_final = |head: &ResponseHeader| {
        !head.status.is_informational() || head.status == StatusCode::SWITCHING_PROTOCOLS
    };
    session.response_written().is_some_and(is_final)
}

fn timeouts(candidate: &Candidate) -> &TimeoutSettings {
    &candidate.source.provider.timeouts
}

impl Passing {
    /// What Pingora shall connect to. What cannot be sent again rides on no pooled connection, which may be dead
    /// already: it gets one of its own, that nobody else finds.
    pub(crate) fn peer_of(&self, candidate: &Candidate, is_replayable: bool) -> HttpPeer {
        let mut peer = candidate.peer();
        let is_shared = is_replayable && !self.only_new;
        let limits = timeouts(candidate);
        if let Some(options) = peer.get_mut_peer_options() {
            options.connection_timeout = Some(limits.connect.unwrap_or(CONNECT));
            options.total_connection_timeout = Some(limits.connect.unwrap_or(HANDSHAKE));
            options.write_timeout = Some(WRITE_STALL);
            options.read_timeout = Some(self.silence(limits));
            options.idle_timeout = Some(match is_shared {
                true => POOL_IDLE,
                false => Duration::from_millis(1),
            });
        }
        if !is_shared {
            peer.group_key = fastrand::u64(..);
        }
        peer
    }

    /// The longest silence of the server, before its head too: Pingora has one bound for both, so that it is the
    /// longer of the two that are written.
    fn silence(&self, limits: &TimeoutSettings) -> Duration {
        let silence = limits.answer.max(limits.idle).unwrap_or(SILENCE);
        let left = limits
            .total
            .map(|total| total.saturating_sub(self.started.elapsed()));
        left.map_or(silence, |left| silence.min(left))
    }
}
