//! Owns an answer as a list of steps: wait, head, bytes, events, end. The healthy ones are made here.
//! Must never do I/O or know a fault: `spoil` edits the list, `serve` walks it.

use std::time::Duration;

use bytes::Bytes;

use crate::cmd::mock::chat::Event;
use crate::cmd::mock::dialects::Mark;
use crate::cmd::mock::script::Script;
use crate::cmd::mock::voice::Voice;

/// One thing to do for an answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    Wait(Duration),
    Head(Head),
    Bytes(Bytes),
    Event(Event),
    End(End),
}

/// The head of an answer; the connection's own headers are added when it is written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) headers: Vec<(String, String)>,
    /// The Content-Length; absent means chunks.
    pub(crate) length: Option<usize>,
}

/// How an answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Whole, and the connection lives on.
    Complete,
    /// Cut short inside proper framing; the connection lives on.
    CleanCut,
    Close,
    Reset,
}

/// The healthy waits of one answer.
#[derive(Debug)]
pub(crate) struct Tempo {
    pub(crate) first_token: Duration,
    pub(crate) pace: Duration,
    pub(crate) jitter: f64,
    pub(crate) rng: fastrand::Rng,
}

// === impl Head ===

impl Head {
    /// The head of a body whose length is known.
    pub(crate) fn sized(status: u16, content_type: &str, length: usize) -> Self {
        Self {
            length: Some(length),
            ..Self::chunked(status, content_type)
        }
    }

    /// The head of a body in chunks.
    pub(crate) fn chunked(status: u16, content_type: &str) -> Self {
        Self {
            status,
            content_type: content_type.to_owned(),
            headers: Vec::new(),
            length: None,
        }
    }
}

// === impl Tempo ===

impl Tempo {
    /// The waits a script asks for.
    pub(crate) fn new(script: &Script, rng: fastrand::Rng) -> Self {
        Self {
            first_token: script.first_token,
            pace: script.pace,
            jitter: script.jitter.clamp(0.0, 1.0),
            rng,
        }
    }

    /// The wait before token `index`; none when it is zero, so that fast answers leave in few writes.
    fn before(&mut self, index: u32) -> Option<Step> {
        let wait = if index == 0 {
            self.first_token
        } else {
            self.pace
        };
        let factor = 1.0 + self.jitter * (2.0 * self.rng.f64() - 1.0);
        (!wait.is_zero()).then(|| Step::Wait(wait.mul_f64(factor)))
    }
}

/// A whole body at once.
pub(crate) fn whole(status: u16, content_type: &str, body: impl Into<Bytes>) -> Vec<Step> {
    let body = body.into();
    vec![
        Step::Head(Head::sized(status, content_type, body.len())),
        Step::Bytes(body),
        Step::End(End::Complete),
    ]
}

/// A whole JSON body at once.
pub(crate) fn json(status: u16, body: impl Into<Bytes>) -> Vec<Step> {
    whole(status, "application/json", body)
}

/// The healthy stream: the head and what opens it at once, then the tokens at their pace.
pub(crate) fn stream(voice: &Voice, tempo: &mut Tempo) -> Vec<Step> {
    let mut steps = vec![Step::Head(Head::chunked(200, voice.content_type(true)))];
    let mut last = None;
    for event in voice.events() {
        // Every choice says a token once, and one wait is before all of them.
        if let Some(Mark::Token(index)) = event.mark().filter(|mark| Some(*mark) != last) {
            steps.extend(tempo.before(index));
            last = event.mark();
        }
        steps.push(Step::Event(event));
    }
    steps.push(Step::End(End::Complete));
    steps
}

/// The healthy JSON answer: everything after the time the tokens take.
pub(crate) fn body(voice: &Voice, tempo: &mut Tempo) -> Vec<Step> {
    let waits = (0..voice.tokens().max(1)).filter_map(|index| tempo.before(index));
    let total = waits
        .map(|step| {
            if let Step::Wait(wait) = step {
                wait
            } else {
                Duration::ZERO
            }
        })
        .sum();
    let mut steps = vec![Step::Wait(total)];
    steps.extend(whole(200, voice.content_type(false), voice.body()));
    steps
}

/// Adds headers to the head of an answer, where it has none of their names.
pub(crate) fn add_headers(steps: &mut [Step], headers: &[(String, String)]) {
    for step in steps {
        if let Step::Head(head) = step {
            for (name, value) in headers {
                if !head.headers.iter().any(|(known, _)| known == name) {
                    head.headers.push((name.clone(), value.clone()));
                }
            }
        }
    }
}
