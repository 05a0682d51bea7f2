//! Owns the one line of each exchange: JSON, written by a thread of its own from a bounded queue.
//! Must never hold content or secrets, or make a request wait for a reader.

use std::io::Write;
use std::net::IpAddr;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::core::exchange::{AttemptRecord, Record, Result as Ending};
use crate::core::names::CallerName;
use crate::edge::clock::wall_clock;
use crate::edge::conversations::Became;
use crate::edge::generation::Generation;
use crate::edge::telemetry::{Observed, cost};

/// Lines that may wait for the writer before new ones are dropped and counted.
const QUEUE: usize = 4096;
/// How long lines gather before they are written: until then a line wakes no thread, and many share one write.
const GATHER: Duration = Duration::from_millis(5);
/// How long the last lines may take to be written when the process ends.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Writes lines in the background.
#[derive(Debug)]
pub struct AccessLog {
    lines: Option<SyncSender<Vec<u8>>>,
    writer: Option<JoinHandle<()>>,
}

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    request_id: &'a str,
    path: &'a str,
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
    result: &'static str,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    sticky: Option<&'static str>,
    attempts: Vec<AttemptLine<'a>>,
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
    time: String,
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

#[derive(Serialize)]
struct AttemptLine<'a> {
    endpoint: &'a str,
    outcome: &'static str,
    ms: u64,
    #[serde(skip_serializing_if = "is_false")]
    probe: bool,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature serde asks for"
)]
fn is_false(flag: &bool) -> bool {
    !flag
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
        }
    }

    /// Writes to `out` from a thread that ends when this is dropped.
    pub fn to(out: impl Write + Send + 'static) -> Self {
        let (lines, queue) = sync_channel(QUEUE);
        let writer = std::thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || write_all(out, &queue));
        match writer {
            Ok(writer) => Self {
                lines: Some(lines),
                writer: Some(writer),
            },
            Err(error) => {
                tracing::error!(%error, "the access log's thread could not start");
                Self::nowhere()
            }
        }
    }

    /// Queues the line of an exchange. Returns whether there was room.
    pub(crate) fn write(&self, generation: &Generation, observed: &Observed<'_>) -> bool {
        self.queue(&describe(generation, observed))
    }

    /// Queues the line of a request that was passed on. Returns whether there was room.
    pub(crate) fn write_routed(&self, generation: u64, routed: &Routed<'_>) -> bool {
        self.queue(&RoutedLine {
            time: humantime::format_rfc3339_millis(wall_clock()).to_string(),
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
        })
    }

    fn queue(&self, line: &impl Serialize) -> bool {
        let Some(lines) = &self.lines else {
            return true;
        };
        let Ok(mut line) = serde_json::to_vec(line) else {
            return true;
        };
        line.push(b'\n');
        lines.try_send(line).is_ok()
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.lines = None;
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

/// Writes what has gathered in one go.
fn write_all(mut out: impl Write, queue: &Receiver<Vec<u8>>) {
    let mut lines = Vec::new();
    while let Ok(line) = queue.recv() {
        std::thread::sleep(GATHER);
        lines.clear();
        lines.extend_from_slice(&line);
        lines.extend(queue.try_iter().take(QUEUE).flatten());
        // Nobody reads the log any more: there is no better place to say so.
        if out.write_all(&lines).and_then(|()| out.flush()).is_err() {
            return;
        }
    }
}

fn describe<'a>(generation: &'a Generation, observed: &'a Observed<'_>) -> Line<'a> {
    let record = &observed.record;
    let catalog = &generation.snapshot.catalog;
    let served = record.served.map(|endpoint| catalog.endpoint(endpoint));
    Line {
        time: humantime::format_rfc3339_millis(wall_clock()).to_string(),
        request_id: observed.request_id,
        path: observed.path,
        client: observed.client,
        key: observed.caller.map(CallerName::as_str),
        model: catalog.model(record.asked).name.as_str(),
        served_model: served.map(|endpoint| catalog.model(endpoint.model).name.as_str()),
        endpoint: served.map(|endpoint| endpoint.id.as_str()),
        stream: observed.stream,
        status: observed.status,
        result: record.result.as_str(),
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
        sticky: observed.kept.map(Became::as_str),
        attempts: record
            .attempts
            .iter()
            .map(|attempt| describe_attempt(generation, attempt))
            .collect(),
    }
}

fn describe_attempt<'a>(generation: &'a Generation, attempt: &AttemptRecord) -> AttemptLine<'a> {
    AttemptLine {
        endpoint: generation.id(attempt.endpoint),
        outcome: attempt.class.as_str(),
        ms: millis(attempt.took),
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
