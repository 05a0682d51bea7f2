//! Owns how an exchange ends for its client, and what is told of it then: to operators by its record, to a client that asks
//! by the attempts. Must never end a cut answer cleanly.

use bytes::Bytes;
use pingora::http::ResponseHeader;

use crate::core::exchange::{End, Input, Verdict};
use crate::edge::proxy::downstream;
use crate::edge::proxy::drive::Drive;
use crate::edge::proxy::reader::Reader;
use crate::edge::proxy::reply;
use crate::edge::proxy::told;
use crate::edge::telemetry::Observed;
use crate::wire::client_error::ClientError;
use crate::wire::dialects::Ask;

impl Drive<'_> {
    pub(super) async fn finish(mut self, end: End) {
        match end {
            End::Complete => self.complete().await,
            End::Failed(verdict) => self.refuse(&verdict).await,
            End::Broken(verdict) => self.break_off(&verdict).await,
            End::ClientGone => {
                self.settle();
                downstream::abort(self.session, None).await;
            }
        }
        self.settle();
    }

    async fn complete(&mut self) {
        if let Some(words) = self.last_words() {
            self.outbox.push(words);
        }
        let mut last = std::mem::take(&mut self.outbox);
        if let Some(marker) = self.reader.as_mut().and_then(Reader::close) {
            last.push(marker);
        }
        self.relayed.bytes += last.len() as u64;
        if !downstream::finish_with(self.session, last.coalesce()).await {
            tracing::debug!(request_id = %self.incoming.ids.request, "client left at the end");
        }
        self.settle();
        if let Some(attempt) = self.attempt.take() {
            attempt.release().await;
        }
    }

    async fn refuse(&mut self, verdict: &Verdict) {
        let error = ClientError::of(verdict);
        let mut head = reply::head(error.status, &self.incoming.ids);
        let told = (&self.exchange, self.gateway.clock.now());
        reply::describe(&mut head, &self.generation, told, None);
        self.tell_attempts(&mut head);
        let written =
            reply::write_error(self.session, head, &error, self.incoming.asked.skin).await;
        self.status = written.unwrap_or(0);
    }

    /// The dialect's error event, then a cut: a client must never take a part for the whole.
    async fn break_off(&mut self, verdict: &Verdict) {
        let words = self.last_words();
        if let Some(words) = words {
            self.outbox.push(words);
        }
        let error = ClientError::of(verdict);
        let incoming = self.incoming;
        let reader = self.reader.as_mut();
        let event = reader.and_then(|reader| reader.broken(&error, incoming));
        self.settle();
        // What came before the break is the client's.
        if matches!(self.send_on().await, Some(Input::ClientGone)) {
            return;
        }
        downstream::abort(self.session, event).await;
    }

    /// Tells a client that asks for it of the attempts up to now.
    pub(super) fn tell_attempts(&self, head: &mut ResponseHeader) {
        if self.incoming.traced {
            let now = self.gateway.clock.now();
            let attempts = told::attempts(&self.exchange, &self.generation, now);
            reply::insert(head, &told::HEADER, &attempts.shortened());
        }
    }

    /// Tells a client that asks for it of all attempts, as a comment of its stream; once.
    pub(super) fn last_words(&mut self) -> Option<Bytes> {
        let is_stream = matches!(self.reader, Some(Reader::Events(_)));
        let wanted = self.incoming.traced && is_stream;
        if !wanted || std::mem::replace(&mut self.told, true) {
            return None;
        }
        let now = self.gateway.clock.now();
        let attempts = told::attempts(&self.exchange, &self.generation, now);
        Some(attempts.as_comment())
    }

    /// The upstream's id of its answer, where requests may lean on it.
    fn answer_to_go_on_with(&self) -> Option<&str> {
        let id = self.reader.as_ref()?.answer_id()?;
        match self.incoming.asked.ask {
            Ask::Responses => Some(id).filter(|id| !id.is_empty()),
            Ask::OpenAi(_) | Ask::Messages | Ask::CountTokens => None,
        }
    }

    /// Hands the record on, once. An exchange whose future was dropped counts as left by its client.
    pub(super) fn settle(&mut self) {
        if std::mem::replace(&mut self.settled, true) {
            return;
        }
        self.tell(Input::ClientGone);
        let record = self.exchange.record();
        let (generation, now) = (&self.generation, self.gateway.clock.now());
        let noted = |turn| {
            let (conversations, places) = (&generation.conversations, &generation.places);
            if let Some(id) = self.answer_to_go_on_with() {
                let answer = (self.incoming.caller.as_deref(), id);
                conversations.note_answer(turn, answer, places, &record, now);
            }
            conversations.note(turn, places, &record, now)
        };
        let kept = self.conversation.as_ref().and_then(noted);
        let trace = self.trace.take().filter(|trace| trace.is_sampled());
        let observed = Observed {
            record,
            request_id: &self.incoming.ids.request,
            generation_id: &self.incoming.ids.generation,
            caller: self.incoming.caller.as_ref().map(|caller| &caller.name),
            client: self.incoming.client,
            status: self.status,
            stream: self.incoming.request.facts.stream,
            path: self.incoming.asked.path,
            wild: self.wild.as_deref(),
            drift: self.drift.as_deref(),
            relayed: self.relayed,
            met: self.met.take(),
            trace,
            operation: self.incoming.asked.ask.as_str(),
            kept,
        };
        self.gateway.telemetry.observe(&self.generation, observed);
    }
}
