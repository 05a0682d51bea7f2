//! Owns the loop of one exchange: does what `core::exchange` asks, tells it what is seen, relays what it
//! passes on. Beside it: `ending` (how it ends, and what is told of it). Must never decide routing, or end a cut answer
//! cleanly.

mod ending;

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use tokio::time::Sleep;

use crate::core::catalog::EndpointIx;
use crate::core::exchange::{Action, AttemptId, Exchange, Failure, Input, Scene, StreamEvent};
use crate::core::explain::considered;
use crate::core::plan::Plan;
use crate::core::time::Time;
use crate::edge::clock::Clock;
use crate::edge::conversations::Conversation;
use crate::edge::generation::Generation;
use crate::edge::planning::Planned;
use crate::edge::proxy::Gateway;
use crate::edge::proxy::attempt::{Attempt, Seen};
use crate::edge::proxy::downstream;
use crate::edge::proxy::head::Content;
use crate::edge::proxy::outgoing::{self, Sent};
use crate::edge::proxy::reader::{Answered, Reader};
use crate::edge::proxy::reply;
use crate::edge::proxy::request::Incoming;
use crate::edge::telemetry::{MOST_CONSIDERED, Met, Relayed, Trace};
use crate::wire::client_request::operation::Operation;
use crate::wire::dialects::Ask;
use crate::wire::rope::Rope;

/// What may be held back beyond three times the request (design section 4).
const HOLD: usize = 64 * 1024;
/// What may be held back of embeddings: nobody can use a part of them, and their model and usage stand behind
/// the vectors. Room for 120 vectors of 3072 numbers as JSON, four times as many in base64.
const EMBEDDINGS_HOLD: usize = 8 * 1024 * 1024;
/// A write to the client that took this long was the client's slowness, not the upstream's silence.
const SLOW_WRITE: Duration = Duration::from_millis(100);
/// Where the timer stands while no deadline runs.
const FAR: Duration = Duration::from_secs(3600);

/// One exchange being driven.
pub(crate) struct Drive<'a> {
    gateway: &'a Gateway,
    session: &'a mut Session,
    generation: Arc<Generation>,
    incoming: &'a Incoming,
    /// The model's name as it was asked for, where a wildcard has it.
    wild: Option<String>,
    conversation: Option<Conversation>,
    exchange: Exchange,
    rng: fastrand::Rng,
    attempt: Option<Attempt>,
    /// How its request was written.
    sent: Sent,
    reader: Option<Reader>,
    /// The latest piece, until the exchange says what becomes of it.
    latest: Rope,
    held: Rope,
    held_bytes: usize,
    /// What the client is to get, until there is nothing more to read at once: one write for all of it.
    outbox: Rope,
    committed: bool,
    status: u16,
    relayed: Relayed,
    /// What it met when it began, where that is kept.
    met: Option<Met>,
    /// Where traces are recorded.
    trace: Option<Box<Trace>>,
    /// What the head said of drift.
    drift: Option<String>,
    /// The client has been told of the attempts within its stream.
    told: bool,
    settled: bool,
    timer: Pin<Box<Sleep>>,
    /// When the timer fires; `NEVER` where it stands far off.
    armed: Time,
}

impl<'a> Drive<'a> {
    /// Prepares the exchange of a plan.
    pub(crate) fn new(
        gateway: &'a Gateway,
        session: &'a mut Session,
        generation: Arc<Generation>,
        incoming: &'a Incoming,
        (Planned { plan, wild }, conversation): (Planned, Option<Conversation>),
    ) -> Self {
        let now = gateway.clock.now();
        let met = met(&generation, &plan, now);
        let settings = &generation.snapshot.telemetry;
        let headers = &session.req_header().headers;
        let trace = settings.otlp.as_ref();
        let trace = trace.map(|_| Box::new(Trace::begin(headers, settings.trace_ratio)));
        Self {
            exchange: Exchange::new(plan, now),
            met,
            trace,
            gateway,
            session,
            generation,
            incoming,
            wild,
            conversation,
            rng: fastrand::Rng::new(),
            attempt: None,
            sent: Sent::default(),
            reader: None,
            latest: Rope::default(),
            held: Rope::default(),
            held_bytes: 0,
            outbox: Rope::default(),
            committed: false,
            status: 0,
            relayed: Relayed::default(),
            drift: None,
            told: false,
            settled: false,
            timer: Box::pin(tokio::time::sleep(FAR)),
            armed: Time::NEVER,
        }
    }

    /// Runs the exchange to its end.
    pub(crate) async fn run(mut self) {
        self.with_scene(Exchange::begin);
        loop {
            while let Some(action) = self.exchange.poll() {
                match action {
                    // Boxed: it would make room for a second exchange in every open stream.
                    Action::Finish(end) => return Box::pin(self.finish(end)).await,
                    action => self.perform(action).await,
                }
            }
            if let Some(input) = self.next_input().await {
                self.tell(input);
            }
        }
    }

    fn tell(&mut self, input: Input) {
        self.with_scene(|exchange, scene| exchange.on(input, scene));
    }

    fn with_scene(&mut self, act: impl FnOnce(&mut Exchange, &mut Scene<'_>)) {
        let mut scene = Scene {
            catalog: &self.generation.snapshot.catalog,
            health: &self.generation.health,
            rng: &mut self.rng,
            now: self.gateway.clock.now(),
        };
        act(&mut self.exchange, &mut scene);
    }

    // --- what is asked ------------------------------------------------------------------------

    async fn perform(&mut self, action: Action) {
        match action {
            Action::Start { attempt, endpoint } => self.start(attempt, endpoint),
            Action::Cancel(id) => self.cancel(id),
            Action::Commit(_) => self.commit().await,
            Action::Relay(id) => self.relay(id),
            Action::Drop(_) => self.latest = Rope::default(),
            Action::Finish(_) => {}
        }
    }

    fn start(&mut self, id: AttemptId, endpoint: EndpointIx) {
        self.reader = None;
        self.forget_held();
        let health = self.generation.health.endpoint(endpoint);
        health.note_asked(u8::try_from(self.incoming.asked.ask.index()).unwrap_or(0));
        let traced = self
            .trace
            .as_mut()
            .map(|trace| (trace.attempt(), trace.is_the_clients()));
        let to = (endpoint, self.wild.as_deref());
        let (outgoing, sent) = outgoing::to(&self.generation, self.incoming, to, traced);
        self.sent = sent;
        self.attempt = Some(Attempt::new(
            id,
            endpoint,
            self.generation.clone(),
            self.gateway.connector.clone(),
            outgoing,
        ));
    }

    /// Drops the attempt's connection, and what was held of its answer.
    fn cancel(&mut self, id: AttemptId) {
        if self
            .attempt
            .as_ref()
            .is_some_and(|attempt| attempt.id == id)
        {
            self.attempt = None;
            self.latest = Rope::default();
            if !self.committed {
                self.reader = None;
                self.forget_held();
            }
        }
    }

    fn forget_held(&mut self) {
        self.held = Rope::default();
        self.held_bytes = 0;
        self.relayed = Relayed::default();
        self.told = false;
    }

    async fn commit(&mut self) {
        let mut head = reply::head(200, &self.incoming.ids);
        let served = self.attempt.as_ref().map(|attempt| attempt.endpoint);
        let served = served.map(|endpoint| (endpoint, self.wild.as_deref()));
        let told = (&self.exchange, self.gateway.clock.now());
        self.drift = reply::describe(&mut head, &self.generation, told, served);
        self.sent.tell_dropped(&mut head);
        self.tell_attempts(&mut head);
        self.describe_body(&mut head);
        if self.gateway.lifecycle.is_draining() {
            self.session.set_keepalive(None);
        }
        self.committed = true;
        self.status = 200;
        self.outbox = std::mem::take(&mut self.held);
        self.held_bytes = 0;
        if !downstream::write_head(self.session, head, false).await {
            self.tell(Input::ClientGone);
        }
    }

    fn describe_body(&mut self, head: &mut ResponseHeader) {
        let stream = self.incoming.request.facts.stream;
        match stream {
            true => reply::stream_headers(head),
            false => reply::insert(head, "content-type", "application/json"),
        }
        match stream || self.latest.is_empty() {
            true => reply::leave_length_open(self.session, head),
            false => reply::insert(head, "content-length", &self.latest.len().to_string()),
        }
    }

    fn relay(&mut self, id: AttemptId) {
        let piece = std::mem::take(&mut self.latest);
        self.relayed.events += u64::from(!piece.is_empty());
        if self.committed {
            return self.outbox.append(piece);
        }
        // A flood of tiny events must not cost more than it counts.
        self.held_bytes += piece.len() + size_of_val(piece.segments());
        self.held.append(piece);
        if self.held_bytes > self.hold_cap() {
            self.tell(Input::HoldFull(id));
        }
    }

    /// Writes what the client is to get. Returns what the exchange is to know of it.
    async fn send_on(&mut self) -> Option<Input> {
        if self.outbox.is_empty() {
            return None;
        }
        let pieces = std::mem::take(&mut self.outbox).coalesce();
        self.relayed.bytes += pieces.len() as u64;
        let mut writing = pin!(downstream::write_all(self.session, pieces));
        let (written, slow) = match downstream::poll_once(writing.as_mut()).await {
            Poll::Ready(written) => (written, false),
            Poll::Pending => {
                let begun = Instant::now();
                let written = writing.await;
                (written, begun.elapsed() > SLOW_WRITE)
            }
        };
        match (written, &self.attempt) {
            (false, _) => Some(Input::ClientGone),
            (true, Some(attempt)) if slow => Some(Input::Resumed(attempt.id)),
            (true, _) => None,
        }
    }

    fn hold_cap(&self) -> usize {
        HOLD + 3 * self.incoming.body.len()
    }

    /// What is held of an answer that is no stream.
    fn whole_cap(&self) -> usize {
        match self.incoming.asked.ask {
            Ask::OpenAi(Operation::Embeddings) => self.hold_cap().max(EMBEDDINGS_HOLD),
            Ask::OpenAi(_) | Ask::Responses | Ask::Messages | Ask::CountTokens => self.hold_cap(),
        }
    }

    // --- what is seen -------------------------------------------------------------------------

    /// What is seen next; `None` where the exchange has been told already.
    async fn next_input(&mut self) -> Option<Input> {
        loop {
            if let Some(input) = self.read_buffered() {
                return Some(input);
            }
            if let Some(input) = self.send_on().await {
                return Some(input);
            }
            match self.wait().await {
                Waited::Seen(seen) => {
                    if let Some(input) = self.on_seen(seen) {
                        return Some(input);
                    }
                }
                Waited::ClientGone => return Some(Input::ClientGone),
                Waited::Timer => return None,
            }
        }
    }

    /// Tells of the attempts, where the client asked for it, before the end marker.
    fn before_the_end(&mut self, marker: Rope) -> Rope {
        let Some(comment) = self.last_words() else {
            return marker;
        };
        let mut pieces = Rope::default();
        pieces.push(comment);
        pieces.append(marker);
        pieces
    }

    fn read_buffered(&mut self) -> Option<Input> {
        let id = self.attempt.as_ref()?.id;
        let piece = self.reader.as_mut()?.next(id)?;
        self.latest = match &piece.input {
            Input::Event(_, StreamEvent::Done) => self.before_the_end(piece.bytes),
            _ => piece.bytes,
        };
        Some(piece.input)
    }

    /// Waits for the attempt's next step, the client's leaving, or a deadline that asks for something. The timer is
    /// only set forward when it fires: a stream whose deadline moves with every event costs one timer, not one an
    /// event. The exchange hears of a deadline in here, since a step that is dropped ends its attempt.
    async fn wait(&mut self) -> Waited {
        let clock = self.gateway.clock;
        let mut deadline = self.exchange.deadline();
        if deadline.is_some_and(|due| due < self.armed) {
            self.armed = set(&mut self.timer, clock, deadline);
        }
        let attempt = self.attempt.as_mut();
        let step = async {
            match attempt {
                Some(attempt) => attempt.step().await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(step);
        let leaving = self.session.as_downstream_mut().read_body_or_idle(true);
        tokio::pin!(leaving);
        loop {
            tokio::select! {
                biased;
                seen = &mut step => return Waited::Seen(seen),
                _ = &mut leaving => return Waited::ClientGone,
                () = self.timer.as_mut() => {
                    if deadline.is_some_and(|time| clock.now() >= time) {
                        let mut scene = Scene {
                            catalog: &self.generation.snapshot.catalog,
                            health: &self.generation.health,
                            rng: &mut self.rng,
                            now: clock.now(),
                        };
                        self.exchange.on(Input::Timer, &mut scene);
                        if self.exchange.asks() {
                            return Waited::Timer;
                        }
                        deadline = self.exchange.deadline();
                    }
                    self.armed = set(&mut self.timer, clock, deadline);
                }
            }
        }
    }

    fn on_seen(&mut self, seen: Seen) -> Option<Input> {
        let attempt = self.attempt.as_mut()?;
        let id = attempt.id;
        if let Some(limits) = attempt.limits.take() {
            self.tell(Input::Limits(id, limits));
        }
        match seen {
            Seen::Connected => Some(Input::Connected(id)),
            Seen::Reconnecting => Some(Input::Reconnecting(id)),
            Seen::Sent => Some(Input::Sent(id)),
            Seen::Head(content) => {
                self.reader = Some(self.reader_for(content));
                Some(Input::Head(id))
            }
            Seen::Chunk(chunk) => {
                self.reader.as_mut()?.push(chunk);
                None
            }
            Seen::End => {
                self.reader.as_mut()?.end();
                None
            }
            Seen::Failed(failure) => Some(Input::Failed(id, failure)),
            Seen::Refused(facts) => Some(Input::Failed(id, Failure::Status(facts))),
        }
    }

    /// Reads in the name of the model that the endpoint serves.
    fn reader_for(&self, content: Content) -> Reader {
        let catalog = &self.generation.snapshot.catalog;
        let model = self.attempt.as_ref().map_or("", |attempt| {
            let endpoint = catalog.endpoint(attempt.endpoint);
            catalog.name_of(endpoint.model, self.wild.as_deref())
        });
        let answered = Answered {
            incoming: self.incoming,
            model,
            dialect: self.sent.dialect,
        };
        match (self.incoming.request.facts.stream, content) {
            (true, Content::Events) => Reader::events(answered),
            (true, Content::Other) | (false, _) => Reader::whole(answered, self.whole_cap()),
        }
    }
}

impl Drop for Drive<'_> {
    fn drop(&mut self) {
        self.settle();
    }
}

/// What a request meets that begins now; `None` where nothing is kept of requests.
fn met(generation: &Generation, plan: &Plan, now: Time) -> Option<Met> {
    if generation.snapshot.telemetry.requests == 0 {
        return None;
    }
    let (catalog, health) = (&generation.snapshot.catalog, &generation.health);
    let candidates = considered(plan, catalog, health, MOST_CONSIDERED, now);
    let all: usize = plan.legs.iter().map(|leg| leg.candidates.len()).sum();
    Some(Met {
        more: all - candidates.len(),
        candidates,
    })
}

/// Sets the timer for a deadline. Returns when it will fire.
fn set(timer: &mut Pin<Box<Sleep>>, clock: Clock, deadline: Option<Time>) -> Time {
    let left = deadline.map_or(FAR, |due| clock.until(due));
    timer.as_mut().reset(tokio::time::Instant::now() + left);
    deadline.unwrap_or(Time::NEVER)
}

enum Waited {
    Seen(Seen),
    ClientGone,
    /// A deadline passed, and the exchange asks for something.
    Timer,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(drive: Drive<'static>) -> impl Future<Output = ()> {
        drive.run()
    }

    fn size<F>(_: fn(Drive<'static>) -> F) -> usize {
        size_of::<F>()
    }

    /// One is moved once a request and lives with every open stream: 14 KiB before its connection and its
    /// longest steps were boxed, 8 KiB before its end was, 5 KiB since (2026-11).
    #[test]
    fn an_exchange_under_way_stays_small() {
        let size = size(run);
        assert!(size <= 6 * 1024, "{size} bytes");
    }
}
