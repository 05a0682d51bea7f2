//! Owns the one line of each exchange: JSON, written by a thread of its own from a bounded queue. Beside it: `compact` (how it is
//! written down), `moment` (when), `queue` (where it waits), `folding` (what an outage repeats) and `sink` (where it is written, and
//! what happens when it cannot be).
//! Must never hold content or secrets, or make a request wait for a reader.

mod compact;
mod moment;
mod queue;
mod folding;
mod sink;

use std::cell::RefCell;
use std::io::Write;
use std::net::IpAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use prometheus::IntCounter;
use serde::{Serialize, Serializer};

use crate::core::exchange::{AttemptRecord, Record, Result as Ending};
use crate::core::names::CallerName;
use crate::core::time::Time;
use crate::edge::clock::wall_clock;
use crate::edge::conversations::Became;
use crate::edge::generation::Generation;
use crate::edge::telemetry::access_log::compact::Compact;
use crate::edge::telemetry::access_log::folding::Folding;
use crate::edge::telemetry::access_log::moment::Moment;
use crate::edge::telemetry::access_log::queue::{Lines, Queue};
use crate::edge::telemetry::access_log::sink::{Lost, Sink};
use crate::edge::telemetry::{Observed, cost};

/// How long lines gather before they are written: until then a line wakes no thread, and many share one write.
const GATHER: Duration = Duration::from_millis(5);
/// Room for a line of one or two attempts: a buffer that grows on the way is copied three times.
const USUAL_LINE: usize = 1024;
/// How long the last lines may take to be written when the process ends.
const LAST_LINES: Duration = Duration::from_secs(1);

thread_local! {
    /// Where a thread writes its lines down, one after the other.
    static LINE: RefCell<Vec<u8>> = RefCell::new(Vec::with_capacity(USUAL_LINE));
}

/// Writes lines in the background.
#[derive(Debug)]
pub struct AccessLog {
    lines: Option<Arc<Queue>>,
    writer: Option<JoinHandle<()>>,
    lost: Lost,
}

/// A text of ours, in which nothing has to be escaped: as the name of a variant it is not searched for that.
#[derive(Clone, Copy)]
struct Literal(&'static str);

/// `A` gives the attempts, in the order they began.
#[derive(Serialize)]
#[serde(bound(serialize = "A: Attempts<'a>"))]
struct Line<'a, A> {
    time: Moment,
    request_id: &'a str,
    path: Literal,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    served_model: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<&'a str>,
    stream: bool,
    status: u16,
    result: Literal,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
    generation: u64,
    ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_content_ms: Option<u64>,
    recovery_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    fallback: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    completion_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost_usd: Option<f64>,
    #[serde(skip_serializing_if = "is_nothing")]
    wasted_usd: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    drift: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sticky: Option<&'static str>,
    #[serde(serialize_with = "listed")]
    attempts: A,
}

/// What became of a request that was passed on.
#[derive(Debug)]
pub struct Routed<'a> {
    /// The route's pattern.
    pub route: &'a str,
    pub path: &'a str,
    /// Who took it last; empty where nobody did.
    pub provider: &'a str,
    pub key: Option<&'a str>,
    pub request_id: &'a str,
    pub caller: Option<&'a CallerName>,
    /// Unknown where the connection has no address.
    pub client: Option<IpAddr>,
    /// The status that the client got; 0 where none was sent.
    pub status: u16,
    pub result: &'static str,
    pub tries: usize,
    pub took: Duration,
}

#[derive(Serialize)]
struct RoutedLine<'a> {
    time: Moment,
    request_id: &'a str,
    path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    route: &'a str,
    provider: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_key: Option<&'a str>,
    status: u16,
    result: &'static str,
    generation: u64,
    ms: u64,
    tries: usize,
}

#[derive(Clone, Serialize)]
struct AttemptLine<'a> {
    endpoint: &'a str,
    outcome: Literal,
    start_ms: u64,
    ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_content_ms: Option<u64>,
    #[serde(skip_serializing_if = "is_false")]
    probe: bool,
}

/// Attempts that are written as they are gone through.
trait Attempts<'a>: Iterator<Item = AttemptLine<'a>> + Clone {}

impl<'a, A: Iterator<Item = AttemptLine<'a>> + Clone> Attempts<'a> for A {}

fn listed<'a, S: Serializer>(
    attempts: &impl Attempts<'a>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(attempts.clone())
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature serde asks for"
)]
fn is_false(flag: &bool) -> bool {
    !flag
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature serde asks for"
)]
fn is_nothing(usd: &f64) -> bool {
    *usd <= 0.0
}

impl AccessLog {
    /// Writes to standard output.
    pub fn to_stdout() -> Self {
        Self::to(std::io::stdout())
    }

    /// Writes nowhere.
    pub fn nowhere() -> Self {
        Self {
            lines: None,
            writer: None,
            lost: Lost::default(),
        }
    }

    /// Writes to `out` from a thread that ends when this is dropped.
    pub fn to(out: impl Write + Send + 'static) -> Self {
        let lines = Arc::new(Queue::default());
        let queue = lines.clone();
        let lost = Lost::default();
        let sink = Sink::new(out, lost.clone());
        let writer = std::thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || write_all(sink, &queue));
        match writer {
            Ok(writer) => Self {
                lines: Some(lines),
                writer: Some(writer),
                lost,
            },
            Err(error) => {
                tracing::error!(%error, "the access log's thread could not start");
                Self::nowhere()
            }
        }
    }

    /// Counts lines that cannot be written there from now on.
    pub(super) fn count_lost(&self, counter: IntCounter) {
        // Said once, by whom it belongs to.
        self.lost.set(counter).ok();
    }

    /// Queues the line of an exchange. Returns whether there was room.
    pub(crate) fn write(
        &self,
        generation: &Generation,
        observed: &Observed<'_>,
        now: SystemTime,
    ) -> bool {
        let line = describe(generation, observed, now);
        self.queue(&line, line.kind())
    }

    /// Queues the line of a request that was passed on. Returns whether there was room.
    pub(crate) fn write_routed(&self, generation: u64, routed: &Routed<'_>) -> bool {
        let line = RoutedLine {
            time: Moment::at(wall_clock()),
            request_id: routed.request_id,
            path: routed.path,
            client: routed.client,
            key: routed.caller.map(CallerName::as_str),
            route: routed.route,
            provider: routed.provider,
            provider_key: routed.key,
            status: routed.status,
            result: routed.result,
            generation,
            ms: millis(routed.took),
            tries: routed.tries,
        };
        self.queue(&line, line.kind())
    }

    fn queue(&self, line: &impl Serialize, kind: Option<String>) -> bool {
        let Some(lines) = &self.lines else {
            return true;
        };
        LINE.with_borrow_mut(|text| {
            text.clear();
            if line.serialize(Compact(text)).is_err() {
                return true;
            }
            text.push(b'\n');
            lines.push(text, kind)
        })
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        if let Some(lines) = self.lines.take() {
            lines.end();
        }
        let Some(writer) = self.writer.take() else {
            return;
        };
        // A reader that has stalled must not keep the process from ending.
        let begun = Instant::now();
        while !writer.is_finished() && begun.elapsed() < LAST_LINES {
            std::thread::sleep(Duration::from_millis(5));
        }
        if writer.is_finished() {
            writer.join().ok();
        }
    }
}

/// Writes what has gathered in one go, and what an outage repeats as one line a second.
fn write_all(mut sink: Sink<impl Write>, queue: &Queue) {
    let (mut lines, mut text, mut folding) = (Lines::default(), Vec::new(), Folding::default());
    loop {
        if queue.wait(folding.due()) {
            std::thread::sleep(GATHER);
        }
        let ended = queue.take(&mut lines);
        text.clear();
        folding.take_all(&lines, Instant::now(), &mut text);
        if ended {
            folding.flush(&mut text);
        }
        sink.write(&text);
        if ended {
            return;
        }
    }
}

// === impl Literal ===

impl Serialize for Literal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit_variant("", 0, self.0)
    }
}

// === impl Line ===

impl<'a, A: Attempts<'a>> Line<'a, A> {
    /// What it has in common with others that fail in the same way for the same caller; `None` for what did not fail.
    fn kind(&self) -> Option<String> {
        if self.result.0 == "answered" {
            return None;
        }
        let class = self.error.or_else(|| {
            let last = self.attempts.clone().last();
            last.map(|last| last.outcome.0)
        });
        let words = [self.model, self.result.0, class.unwrap_or_default()];
        // A name of a key holds no spaces.
        Some(format!(
            "{} {}",
            words.join(" "),
            self.key.unwrap_or_default()
        ))
    }
}

// === impl RoutedLine ===

impl RoutedLine<'_> {
    /// As [`Line::kind`]. What a client got from a provider, whatever its status, is told line by line unless the provider
    /// failed.
    fn kind(&self) -> Option<String> {
        let failed = self.status == 0 || self.status >= 500 || self.status == 429;
        let words = [
            self.route,
            self.provider,
            self.result,
            self.key.unwrap_or_default(),
        ];
        failed.then(|| format!("{} {}", self.status, words.join(" ")))
    }
}

fn describe<'a>(
    generation: &'a Generation,
    observed: &'a Observed<'_>,
    now: SystemTime,
) -> Line<'a, impl Attempts<'a>> {
    let record = &observed.record;
    let catalog = &generation.snapshot.catalog;
    let served = record.served.map(|endpoint| catalog.endpoint(endpoint));
    Line {
        time: Moment::at(now),
        request_id: observed.request_id,
        path: Literal(observed.path),
        client: observed.client,
        key: observed.caller.map(CallerName::as_str),
        model: catalog.model(record.asked).name.as_str(),
        served_model: served.map(|endpoint| catalog.model(endpoint.model).name.as_str()),
        endpoint: served.map(|endpoint| endpoint.id.as_str()),
        stream: observed.stream,
        status: observed.status,
        result: Literal(record.result.as_str()),
        error: match record.result {
            Ending::Failed(class) => Some(class.as_str()),
            Ending::Answered | Ending::Broken | Ending::ClientGone => None,
        },
        generation: generation.number,
        ms: millis(record.took),
        first_content_ms: first_content(record).map(millis),
        recovery_ms: millis(record.recovery),
        fallback: record.fallback.map(crate::core::outcome::Class::as_str),
        prompt_tokens: record.usage.map(|usage| usage.prompt_tokens),
        completion_tokens: record.usage.map(|usage| usage.completion_tokens),
        cost_usd: cost::of_answer(generation, record),
        wasted_usd: cost::wasted(generation, record),
        drift: observed.drift,
        sticky: observed.kept.map(Became::as_str),
        attempts: record
            .attempts
            .iter()
            .map(|attempt| describe_attempt(generation, record, attempt)),
    }
}

fn describe_attempt<'a>(
    generation: &'a Generation,
    record: &Record,
    attempt: &AttemptRecord,
) -> AttemptLine<'a> {
    let since = |time: Time| millis(time.since(record.started));
    AttemptLine {
        endpoint: generation.id(attempt.endpoint),
        outcome: Literal(attempt.class.as_str()),
        start_ms: since(attempt.started),
        ms: millis(attempt.took),
        first_content_ms: attempt.first_content_at.map(since),
        probe: attempt.probe,
    }
}

/// From the request's begin to the first content.
fn first_content(record: &Record) -> Option<Duration> {
    let answered = record.attempts.iter().rev();
    let mut answered = answered.filter_map(|attempt| attempt.first_content_at);
    answered.next().map(|at| at.since(record.started))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    type OneLine = Line<'static, std::vec::IntoIter<AttemptLine<'static>>>;

    fn line() -> OneLine {
        Line {
            time: Moment::at(wall_clock()),
            request_id: "r",
            path: Literal("/v1/chat/completions"),
            client: Some(IpAddr::from([127, 0, 0, 1])),
            key: Some("app"),
            model: "t/m",
            served_model: Some("t/m"),
            endpoint: Some("t/m@p/k"),
            stream: true,
            status: 200,
            result: Literal("answered"),
            error: Some("server_error"),
            generation: 1,
            ms: 1,
            first_content_ms: Some(1),
            recovery_ms: 0,
            fallback: Some("overloaded"),
            prompt_tokens: Some(1),
            completion_tokens: Some(1),
            cost_usd: Some(1.0),
            wasted_usd: 1.0,
            drift: Some("provider"),
            sticky: Some("kept"),
            attempts: vec![AttemptLine {
                endpoint: "t/m@p/k",
                outcome: Literal("success"),
                start_ms: 0,
                ms: 1,
                first_content_ms: Some(1),
                probe: true,
            }]
            .into_iter(),
        }
    }

    /// The words in backquotes in the first column of a section's tables.
    fn documented(section: &str) -> BTreeSet<String> {
        let text = include_str!("../../../docs/operating.md");
        let start = text.find(section).expect("the section is there");
        let rest = text.get(start + section.len()..).unwrap_or_default();
        let section = rest.split("\n## ").next().unwrap_or_default();
        let rows = section.lines().filter(|line| line.starts_with("| `"));
        let cells = rows.filter_map(|row| row.split(" | ").next());
        cells
            .flat_map(|cell| cell.split('`').skip(1).step_by(2))
            .map(str::to_owned)
            .collect()
    }

    fn fields(value: &Value, prefix: &str) -> BTreeSet<String> {
        let object = value.as_object().expect("an object");
        object.keys().map(|key| format!("{prefix}{key}")).collect()
    }

    #[test]
    fn every_field_is_documented_and_every_documented_field_is_there() {
        let line = serde_json::to_value(line()).unwrap();
        let routed = RoutedLine {
            time: Moment::at(wall_clock()),
            request_id: "r",
            path: "/v1/files",
            client: Some(IpAddr::from([127, 0, 0, 1])),
            key: Some("app"),
            route: "/v1/files*",
            provider: "p",
            provider_key: Some("k"),
            status: 200,
            result: "answered",
            generation: 1,
            ms: 1,
            tries: 1,
        };
        let routed = serde_json::to_value(routed).unwrap();
        let mut there = fields(&line, "");
        there.extend(fields(&line["attempts"][0], "attempts[]."));
        there.remove("attempts");
        there.extend(fields(&routed, ""));
        there.insert("repeated".to_owned());
        assert_eq!(there, documented("## Access log"));
    }

    #[test]
    fn a_line_is_written_as_serde_json_writes_it() {
        let odd = Line {
            request_id: "a\"quote, a \\ and a\ttab: ü",
            client: Some("2001:db8::1".parse().unwrap()),
            cost_usd: Some(1e-7),
            wasted_usd: 0.1 + 0.2,
            first_content_ms: None,
            ms: u64::MAX,
            attempts: vec![].into_iter(),
            ..line()
        };
        for line in [line(), odd] {
            let mut text = Vec::new();
            line.serialize(Compact(&mut text)).unwrap();
            assert_eq!(
                String::from_utf8(text).unwrap(),
                serde_json::to_string(&line).unwrap()
            );
        }
    }

    #[test]
    fn what_failed_alike_for_one_caller_is_of_one_kind() {
        let failed = || Line {
            result: Literal("failed"),
            ..line()
        };
        assert_eq!(line().kind(), None, "a success");
        assert_eq!(failed().kind(), failed().kind());
        let others = [
            Line {
                model: "t/n",
                ..failed()
            },
            Line {
                result: Literal("broken"),
                ..failed()
            },
            Line {
                error: Some("overloaded"),
                ..failed()
            },
            Line {
                key: None,
                ..failed()
            },
        ];
        for other in others {
            assert_ne!(other.kind(), failed().kind());
        }
    }
}
