//! Owns what each kind of fault does to an answer: an edit of its steps.
//! Must never do I/O or decide whether a fault is due: that is `state`'s.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use crate::cmd::mock::answer::{self, End, Head, Step, Tempo};
use crate::cmd::mock::chat::Event;
use crate::cmd::mock::dialects::Mark;
use crate::cmd::mock::fault::{Chatter, Cut, Damage, ErrorBody, Kind};
use crate::cmd::mock::voice::{Tongue, Voice};

/// One request and what is needed to answer it, well or badly.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) voice: Voice,
    pub(crate) tempo: Tempo,
    /// Whether the connection has carried a request before.
    pub(crate) is_reused: bool,
}

// === impl Case ===

impl Case {
    /// The steps without any fault.
    pub(crate) fn healthy(&mut self) -> Vec<Step> {
        if self.voice.is_stream() {
            answer::stream(&self.voice, &mut self.tempo)
        } else {
            answer::body(&self.voice, &mut self.tempo)
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
                self.cut(*tokens, &[Step::End(end(*how, self.voice.is_stream()))])
            }
            Kind::StallAfter {
                tokens,
                lasts,
                how,
                resumes,
            } => self.stall(*tokens, *lasts, *how, *resumes),
            Kind::MalformedEvent { at } => {
                let event = self.voice.broken();
                self.with_event(*at, event)
            }
            Kind::NoDone => self.without(&[Mark::Done]),
            Kind::NoFinish => self.without(&[Mark::Finish, Mark::Done]),
            Kind::ErrorEvent { at, body } if self.voice.is_stream() => self.error_event(*at, *body),
            Kind::DamagedEvent { at, how } if self.voice.is_stream() => self.damaged(*at, *how),
            Kind::UnknownEvent { at } => {
                let event = self.voice.unknown();
                self.with_event(*at, event)
            }
            Kind::Filtered { tokens } => {
                self.voice.filter(*tokens);
                self.healthy()
            }
            Kind::Empty => {
                self.voice.empty();
                self.healthy()
            }
            Kind::TruncatedJson => self.truncated(),
            Kind::WrongContentType { content_type } => self.typed(content_type),
            Kind::Chatter { what, every, lasts } => self.chatter(*what, *every, *lasts),
            Kind::StaleReuse if self.is_reused => vec![Step::End(End::Close)],
            Kind::RejectPrefill if self.voice.is_prefilled() => {
                self.voice.tongue().error(ErrorBody::Prefill, 400, None)
            }
            whole => {
                let steps = without_answer(whole, self.voice.tongue());
                steps.unwrap_or_else(|| self.healthy())
            }
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
                &[
                    Step::Wait(lasts),
                    Step::End(end(how, self.voice.is_stream())),
                ],
            );
        }
        let mut steps = self.healthy();
        let at = self.split_after(&mut steps, tokens);
        steps.insert(at, Step::Wait(lasts));
        steps
    }

    /// Where the steps of the first `tokens` tokens end. A JSON body is parted at that share of its bytes.
    fn split_after(&self, steps: &mut Vec<Step>, tokens: u32) -> usize {
        let held = |step: &Step| match step {
            Step::Event(event) => match event.mark() {
                Some(Mark::Token(index)) => index < tokens,
                mark => mark == Some(Mark::Opening),
            },
            _ => false,
        };
        if self.voice.is_stream() {
            return steps
                .iter()
                .rposition(held)
                // Without a role before them, only the head is left.
                .map_or(1, |last| last + 1);
        }
        let Some(at) = steps.iter().position(|step| matches!(step, Step::Bytes(_))) else {
            return steps.len();
        };
        if let Step::Bytes(body) = &mut steps[at] {
            let all = self.voice.tokens();
            let share = f64::from(tokens.min(all)) / f64::from(all.max(1));
            let rest = body.split_off(share_of(body.len(), share));
            steps.insert(at + 1, Step::Bytes(rest));
        }
        at + 1
    }

    /// The stream with a raw event put in as number `at`, counted from one. A JSON answer stays as it is.
    fn with_event(&mut self, at: u32, event: Bytes) -> Vec<Step> {
        let mut steps = self.healthy();
        if self.voice.is_stream() {
            let index = index_of_event(&steps, at);
            steps.insert(index, Step::Event(Event::Raw(event)));
        }
        steps
    }

    fn without(&mut self, dropped: &[Mark]) -> Vec<Step> {
        let mut steps = self.healthy();
        let is_dropped = |event: &Event| event.mark().is_some_and(|mark| dropped.contains(&mark));
        steps.retain(|step| !matches!(step, Step::Event(event) if is_dropped(event)));
        steps
    }

    fn error_event(&mut self, at: u32, body: ErrorBody) -> Vec<Step> {
        let mut steps = self.healthy();
        steps.truncate(index_of_event(&steps, at));
        let before = steps.iter().filter(|step| matches!(step, Step::Event(_)));
        let event = self.voice.failure(body, before.count() as u64);
        steps.push(Step::Event(Event::Raw(event)));
        steps.push(Step::End(End::CleanCut));
        steps
    }

    fn damaged(&mut self, at: u32, how: Damage) -> Vec<Step> {
        let mut steps = self.healthy();
        steps.truncate(index_of_event(&steps, at));
        let event = self.voice.token(0);
        let event = match how {
            Damage::Flipped => self.voice.flipped(&event),
            Damage::Cut => event.slice(..event.len() / 2),
        };
        steps.push(Step::Event(Event::Raw(event)));
        steps.push(Step::End(End::CleanCut));
        steps
    }

    /// JSON that stops in the middle: of the middle event, or of the body, whose length tells the truth.
    fn truncated(&mut self) -> Vec<Step> {
        if self.voice.is_stream() {
            let middle = self.voice.tokens() / 2;
            let event = self.voice.token(middle);
            let half = Step::Event(Event::Raw(event.slice(..event.len() / 2)));
            return self.cut(middle, &[half, Step::End(End::CleanCut)]);
        }
        let body = self.voice.body();
        let half = body.slice(..body.len() / 2);
        answer::whole(200, self.voice.content_type(false), half)
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
        let is_stream = self.voice.is_stream();
        let head = Head::chunked(200, self.voice.content_type(is_stream));
        let word = match is_stream {
            true => Step::Event(self.voice.chatter(what == Chatter::Comment)),
            false => Step::Bytes(Bytes::from_static(b"\n")),
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
pub(crate) fn without_answer(kind: &Kind, tongue: Tongue<'_>) -> Option<Vec<Step>> {
    let steps = match kind {
        Kind::Status {
            status,
            retry_after,
            headers,
            body,
            text,
            delay,
        } => {
            let mut steps = match text {
                Some(text) => answer::json(*status, text.clone()),
                None => tongue.error(*body, *status, retry_after.as_deref()),
            };
            add_headers(&mut steps, headers, retry_after.as_deref());
            steps.insert(0, Step::Wait(*delay));
            steps
        }
        Kind::Reset => vec![Step::End(End::Reset)],
        Kind::Close => vec![Step::End(End::Close)],
        Kind::Silence { lasts } => vec![Step::Wait(*lasts), Step::End(End::Close)],
        Kind::Html { status } => answer::whole(*status, "text/html", PAGE),
        Kind::ErrorEvent { body, .. } | Kind::ErrorIn200 { body } => {
            let mut steps = tongue.error(*body, 500, None);
            if let Some(Step::Head(head)) = steps.first_mut() {
                head.status = 200;
            }
            steps
        }
        Kind::TruncatedGzip => truncated_gzip(),
        Kind::Scenario { .. }
        | Kind::HeadThenSilence { .. }
        | Kind::CutAfter { .. }
        | Kind::StallAfter { .. }
        | Kind::MalformedEvent { .. }
        | Kind::NoDone
        | Kind::NoFinish
        | Kind::DamagedEvent { .. }
        | Kind::UnknownEvent { .. }
        | Kind::Filtered { .. }
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
