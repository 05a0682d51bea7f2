//! Owns what each kind of fault does to an answer: an edit of its steps.
//! Must never do I/O or decide whether a fault is due: that is `state`'s.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use crate::cmd::mock::answer::{self, End, Head, Step, Tempo};
use crate::cmd::mock::chat::{Ask, Event, Telling};
use crate::cmd::mock::errors;
use crate::cmd::mock::fault::{Chatter, Cut, ErrorBody, Kind};

/// One request and what is needed to answer it, well or badly.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) ask: Ask,
    pub(crate) telling: Telling,
    pub(crate) tempo: Tempo,
    /// Whether the connection has carried a request before.
    pub(crate) is_reused: bool,
}

// === impl Case ===

impl Case {
    /// The steps without any fault.
    pub(crate) fn healthy(&mut self) -> Vec<Step> {
        if self.ask.stream {
            answer::stream(&self.telling, &mut self.tempo)
        } else {
            answer::body(&self.telling, &mut self.tempo)
        }
    }

    /// The steps under a fault.
    pub(crate) fn faulty(&mut self, kind: &Kind) -> Vec<Step> {
        match kind {
            Kind::HeadThenSilence { lasts } => {
                self.tempo.first_token = *lasts;
                self.healthy()
            }
            Kind::SlowDrip { pace } => {
                (self.tempo.first_token, self.tempo.pace) = (*pace, *pace);
                self.healthy()
            }
            Kind::CutAfter { tokens, how } => {
                self.cut(*tokens, &[Step::End(end(*how, self.ask.stream))])
            }
            Kind::StallAfter {
                tokens,
                lasts,
                how,
                resumes,
            } => self.stall(*tokens, *lasts, *how, *resumes),
            Kind::MalformedEvent { at } => {
                self.with_event(*at, b"data: {\"choices\":[{\"delta\":{\"con\n\n")
            }
            Kind::NoDone => self.without(|event| matches!(event, Event::Done)),
            Kind::NoFinish => {
                self.without(|event| matches!(event, Event::Finish { .. } | Event::Done))
            }
            Kind::ErrorEvent { at, body } if self.ask.stream => self.error_event(*at, *body),
            Kind::Empty => {
                self.telling.empty();
                self.healthy()
            }
            Kind::TruncatedJson => self.truncated(),
            Kind::WrongContentType { content_type } => self.typed(content_type),
            Kind::Chatter { what, every, lasts } => self.chatter(*what, *every, *lasts),
            Kind::StaleReuse if self.is_reused => vec![Step::End(End::Close)],
            Kind::RejectPrefill if self.ask.prefill.is_some() => {
                answer::json(400, errors::body(ErrorBody::Prefill, 400))
            }
            whole => without_answer(whole).unwrap_or_else(|| self.healthy()),
        }
    }

    /// The steps up to the given number of tokens, then `rest`.
    fn cut(&mut self, tokens: u32, rest: &[Step]) -> Vec<Step> {
        let mut steps = self.healthy();
        let at = self.split_after(&mut steps, tokens);
        steps.truncate(at);
        steps.extend_from_slice(rest);
        steps
    }

    fn stall(&mut self, tokens: u32, lasts: Duration, how: Cut, resumes: bool) -> Vec<Step> {
        if !resumes {
            return self.cut(
                tokens,
                &[Step::Wait(lasts), Step::End(end(how, self.ask.stream))],
            );
        }
        let mut steps = self.healthy();
        let at = self.split_after(&mut steps, tokens);
        steps.insert(at, Step::Wait(lasts));
        steps
    }

    /// Where the steps of the first `tokens` tokens end. A JSON body is parted at that share of its bytes.
    fn split_after(&self, steps: &mut Vec<Step>, tokens: u32) -> usize {
        let held = |step: &Step| matches!(step, Step::Event(Event::Piece { index, .. }) if *index < tokens);
        let is_role = |step: &Step| matches!(step, Step::Event(Event::Role { .. }));
        if self.ask.stream {
            return steps
                .iter()
                .rposition(|step| held(step) || is_role(step))
                // Without a role before them, only the head is left.
                .map_or(1, |last| last + 1);
        }
        let Some(at) = steps.iter().position(|step| matches!(step, Step::Bytes(_))) else {
            return steps.len();
        };
        if let Step::Bytes(body) = &mut steps[at] {
            let share = f64::from(tokens.min(self.telling.tokens()))
                / f64::from(self.telling.tokens().max(1));
            let rest = body.split_off(share_of(body.len(), share));
            steps.insert(at + 1, Step::Bytes(rest));
        }
        at + 1
    }

    /// The stream with a raw event put in as number `at`, counted from one. A JSON answer stays as it is.
    fn with_event(&mut self, at: u32, event: &'static [u8]) -> Vec<Step> {
        let mut steps = self.healthy();
        if self.ask.stream {
            let index = index_of_event(&steps, at);
            steps.insert(index, Step::Event(Event::Raw(Bytes::from_static(event))));
        }
        steps
    }

    fn without(&mut self, dropped: impl Fn(&Event) -> bool) -> Vec<Step> {
        let mut steps = self.healthy();
        steps.retain(|step| !matches!(step, Step::Event(event) if dropped(event)));
        steps
    }

    fn error_event(&mut self, at: u32, body: ErrorBody) -> Vec<Step> {
        let mut steps = self.healthy();
        steps.truncate(index_of_event(&steps, at));
        let event = format!("data: {}\n\n", errors::body(body, 500));
        steps.push(Step::Event(Event::Raw(event.into())));
        steps.push(Step::End(End::CleanCut));
        steps
    }

    /// JSON that stops in the middle: of the middle event, or of the body, whose length tells the truth.
    fn truncated(&mut self) -> Vec<Step> {
        if self.ask.stream {
            let middle = self.telling.tokens() / 2;
            let event = self.telling.render(&Event::Piece {
                choice: 0,
                index: middle,
            });
            let half = Step::Event(Event::Raw(event.slice(..event.len() / 2)));
            return self.cut(middle, &[half, Step::End(End::CleanCut)]);
        }
        let body = self.telling.json();
        answer::json(200, body.slice(..body.len() / 2))
    }

    fn typed(&mut self, content_type: &str) -> Vec<Step> {
        let mut steps = self.healthy();
        for step in &mut steps {
            if let Step::Head(head) = step {
                content_type.clone_into(&mut head.content_type);
            }
        }
        steps
    }

    fn chatter(&mut self, what: Chatter, every: Duration, lasts: Duration) -> Vec<Step> {
        let word = match what {
            Chatter::Comment => Event::Raw(Bytes::from_static(b": keep-alive\n\n")),
            Chatter::Role => Event::Role { choice: 0 },
        };
        let (head, word) = match self.ask.stream {
            true => (
                Head::chunked(200, "text/event-stream; charset=utf-8"),
                Step::Event(word),
            ),
            false => (
                Head::chunked(200, "application/json"),
                Step::Bytes(Bytes::from_static(b"\n")),
            ),
        };
        let every = every.max(Duration::from_millis(1));
        let times = (lasts.as_millis() / every.as_millis()).min(MAX_CHATTER);
        let times = usize::try_from(times).unwrap_or(0);
        let turns = std::iter::repeat_n([Step::Wait(every), word], times).flatten();
        let mut steps = vec![Step::Head(head)];
        steps.extend(turns.chain([Step::End(End::Close)]));
        steps
    }
}

/// The steps of a fault that leaves nothing of the answer, so that it fits any request; none for one that
/// edits an answer or depends on the request.
pub(crate) fn without_answer(kind: &Kind) -> Option<Vec<Step>> {
    let steps = match kind {
        Kind::Status {
            status,
            retry_after,
            headers,
            body,
            text,
            delay,
        } => {
            let text = text.clone().unwrap_or_else(|| errors::body(*body, *status));
            let mut steps = answer::json(*status, text);
            add_headers(&mut steps, headers, retry_after.as_deref());
            steps.insert(0, Step::Wait(*delay));
            steps
        }
        Kind::Reset => vec![Step::End(End::Reset)],
        Kind::Close => vec![Step::End(End::Close)],
        Kind::Silence { lasts } => vec![Step::Wait(*lasts), Step::End(End::Close)],
        Kind::Html { status } => answer::whole(*status, "text/html", PAGE),
        Kind::ErrorEvent { body, .. } | Kind::ErrorIn200 { body } => {
            answer::json(200, errors::body(*body, 500))
        }
        Kind::TruncatedGzip => truncated_gzip(),
        Kind::Scenario { .. }
        | Kind::HeadThenSilence { .. }
        | Kind::CutAfter { .. }
        | Kind::StallAfter { .. }
        | Kind::MalformedEvent { .. }
        | Kind::NoDone
        | Kind::NoFinish
        | Kind::Empty
        | Kind::TruncatedJson
        | Kind::WrongContentType { .. }
        | Kind::SlowDrip { .. }
        | Kind::Chatter { .. }
        | Kind::StaleReuse
        | Kind::RejectPrefill => return None,
    };
    Some(steps)
}

/// More keep-alives than this are not planned for one answer.
const MAX_CHATTER: u128 = 100_000;

const PAGE: &str = "<!DOCTYPE html>\n<html><head><title>Just a moment</title></head><body>Try again later.</body></html>\n";

/// How an unfinished answer ends; a sized body cannot end cleanly before its length.
fn end(how: Cut, is_stream: bool) -> End {
    match how {
        Cut::Reset => End::Reset,
        Cut::CleanEnd if is_stream => End::CleanCut,
        Cut::Close | Cut::CleanEnd => End::Close,
    }
}

/// The step of event number `at`, counted from one; the last step when there are fewer.
fn index_of_event(steps: &[Step], at: u32) -> usize {
    let skipped = usize::try_from(at.saturating_sub(1)).unwrap_or(usize::MAX);
    let mut events = steps
        .iter()
        .enumerate()
        .filter(|(_, step)| matches!(step, Step::Event(_)));
    events
        .nth(skipped)
        .map_or(steps.len().saturating_sub(1), |(index, _)| index)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the share is from 0 to 1 and the product is capped by the length"
)]
fn share_of(length: usize, share: f64) -> usize {
    ((length as f64 * share) as usize).min(length)
}

fn add_headers(steps: &mut [Step], headers: &BTreeMap<String, String>, retry_after: Option<&str>) {
    let more = headers
        .iter()
        .map(|(name, value)| (name.clone(), value.clone()));
    let retry_after = retry_after.map(|value| ("retry-after".to_owned(), value.to_owned()));
    for step in steps {
        if let Step::Head(head) = step {
            head.headers.extend(more.clone().chain(retry_after.clone()));
        }
    }
}

/// A gzip header and a stored block that promises 64 bytes and brings 16.
fn truncated_gzip() -> Vec<Step> {
    let mut body = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff, 1, 64, 0, 0xbf, 0xff];
    body.extend_from_slice(b"{\"id\":\"chatcmpl-");
    let mut steps = answer::json(200, body);
    let encoding = BTreeMap::from([("content-encoding".to_owned(), "gzip".to_owned())]);
    add_headers(&mut steps, &encoding, None);
    steps
}
