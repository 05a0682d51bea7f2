//! Every recorded body there is, read where the recordings lie beside the project and skipped where they do not: each
//! is given to the reader that it belongs to, must be an answer, a stream, a count or an error, and is counted. What the
//! dialects make of theirs is tested in their own folders; here it is that nothing is left out, and nothing is read as
//! something else.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, HeaderName};
use serde_json::Value;
use serde_json::value::RawValue;

use super::anthropic::count;
use super::client_request::Expects;
use super::client_request::operation::Operation;
use super::dialect::{Frame, Framing, Upstream, Whole};
use super::dialects::Dialect;
use super::error_facts::error_facts;
use super::event_stream;
use super::openai::answer::{self, Answer};
use super::openai::stream::AnswerStream;
use super::recorded::{decoded, root};
use super::sse::{Data, Splitter};
use crate::core::exchange::StreamEvent;
use crate::core::outcome::{Class, Evidence, classify};

/// Streams up to this many bytes are cut in two at every place; longer ones into chunks of these sizes.
const SHORT: usize = 4096;
const CHUNKS: [usize; 6] = [1, 2, 3, 7, 100, 1460];
const LONGEST: usize = 1 << 22;

/// Operations that no client of ours can ask for, so that there is no reader; their errors are read like all others.
const UNASKED: [(&str, &str); 12] = [
    (
        "audio.transcriptions",
        "speech is passed on by routes, unread",
    ),
    (
        "images.generations",
        "images are passed on by routes, unread",
    ),
    ("moderations", "moderation is passed on by routes, unread"),
    (
        "countTokens",
        "tokens are counted by Anthropic's dialect alone",
    ),
    (
        "count-tokens",
        "tokens are counted by Anthropic's dialect alone",
    ),
    (
        "embed",
        "embeddings are asked for in OpenAI's dialect alone",
    ),
    (
        "v2.embed",
        "embeddings are asked for in OpenAI's dialect alone",
    ),
    (
        "v1.embed",
        "embeddings are asked for in OpenAI's dialect alone",
    ),
    ("v1.chat", "Cohere's first API is not spoken"),
    ("v1.rerank", "ranking is passed on by routes, unread"),
    ("v2.rerank", "ranking is passed on by routes, unread"),
    ("invoke", "Bedrock is asked by Converse, not by InvokeModel"),
];

/// Bodies that are filed under an operation that they are no answer of.
const MISFILED: [&str; 2] = ["vercel-mistral-transcription", "vercel-cohere-embedding"];

/// Streams that were recorded broken, or that only come to those who ask for calls in pieces: they must not end well.
const BROKEN: [&str; 5] = [
    "response-broken-sse",
    "response-bedrock-broken",
    "spliced-message-start",
    "google-stream-tool-call-arguments",
    "google-vertex-stream-tool-call-arguments",
];

/// What a body was read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Read {
    Answer,
    Count,
    Stream,
    /// An error with its status.
    Error,
    /// An error inside a 200, whole or in a stream.
    ErrorIn200,
    Broken,
    Unasked,
}

/// A body by its name.
struct Body<'a> {
    name: &'a str,
    operation: &'a str,
    status: u16,
    bytes: Bytes,
}

/// Who reads a body.
enum Reader {
    Upstream(&'static dyn Upstream),
    Passed(Operation),
    Count,
}

/// The events of a stream: name, data, and whether the framing calls it an error.
type Events = Vec<(String, Vec<u8>, bool)>;

#[test]
fn every_recorded_body_is_read() {
    let Some(root) = root() else { return };
    let mut counts: BTreeMap<(String, Read), usize> = BTreeMap::new();
    let names = names(&root);
    check_manifest(&root, &names);
    for name in &names {
        let bytes = decoded(std::fs::read(root.join(name)).expect("a body"));
        let body = Body::of(name, bytes);
        let read = body.read(&root);
        *counts.entry((body.operation.to_owned(), read)).or_default() += 1;
    }
    for ((operation, read), count) in &counts {
        let reason = UNASKED
            .iter()
            .find(|(begin, _)| operation.starts_with(begin));
        let reason = reason
            .filter(|_| *read == Read::Unasked)
            .map_or("", |(_, reason)| reason);
        println!("{count:4} {operation} {read:?} {reason}");
    }
    let unasked = |read: Read| read == Read::Unasked;
    let sum = |unread: bool| -> usize {
        let counts = counts
            .iter()
            .filter(|((_, read), _)| unasked(*read) == unread);
        counts.map(|(_, count)| count).sum()
    };
    println!(
        "{} bodies: {} read, {} not asked for",
        names.len(),
        sum(false),
        sum(true)
    );
    assert!(sum(false) >= 300, "{} bodies were read", sum(false));
}

/// Every body's folder and name, in order.
fn names(root: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for folder in root.read_dir().expect("the fixtures") {
        let folder = folder.expect("an entry").path();
        for entry in folder.read_dir().into_iter().flatten() {
            let path = entry.expect("an entry").path();
            let path = path
                .strip_prefix(root)
                .expect("below")
                .to_string_lossy()
                .into_owned();
            let is_body = !path.ends_with(".headers.json") && !is_named(&path, "md");
            names.extend(is_body.then_some(path));
        }
    }
    names.sort_unstable();
    names
}

/// What the manifest lists is there, and what is there is listed; one folder has a list of its own.
fn check_manifest(root: &Path, names: &[String]) {
    let manifest = std::fs::read_to_string(root.join("MANIFEST.tsv")).expect("the manifest");
    let rows = manifest
        .lines()
        .skip(1)
        .filter_map(|row| row.split('\t').next());
    let mut listed: Vec<&str> = rows.collect();
    listed.sort_unstable();
    let found = names.iter().filter(|name| !name.starts_with("clients/"));
    assert_eq!(listed, found.collect::<Vec<_>>());
}

// === impl Body ===

impl<'a> Body<'a> {
    /// `folder/operation.status.rest`, or `clients/family.rest`, of a status of 200 unless it says so.
    fn of(path: &'a str, bytes: Bytes) -> Self {
        let (folder, name) = path.split_once('/').expect("a folder");
        let is_status =
            |part: &str| part.len() == 3 && part.bytes().all(|byte| byte.is_ascii_digit());
        let mut at = 0;
        let status = name.split('.').find(|part| {
            let found = is_status(part);
            at += if found { 0 } else { part.len() + 1 };
            found
        });
        let operation = match (folder, name.split('.').next()) {
            ("clients", Some("openai" | "mistral" | "azure")) => "chat.completions",
            ("clients", Some("responses")) => "responses",
            ("clients", Some("anthropic")) => "messages",
            ("clients", Some("gemini")) => "generateContent",
            ("clients", Some("bedrock")) => "converse",
            ("clients", Some("cohere")) => "v2.chat",
            _ => name.get(..at.saturating_sub(1)).expect("an operation"),
        };
        Self {
            name: path,
            operation,
            status: status.map_or(200, |status| status.parse().expect("a status")),
            bytes,
        }
    }

    fn read(&self, root: &Path) -> Read {
        if self.status >= 400 {
            return self.error(root);
        }
        let misfiled = MISFILED.iter().any(|part| self.name.contains(part));
        let Some(reader) = self.reader().filter(|_| !misfiled) else {
            return Read::Unasked;
        };
        match is_named(self.name, "json") && self.operation != "streamGenerateContent" {
            true => self.whole(&reader),
            false => self.stream(&reader),
        }
    }

    /// The reader of its operation; none of those that are listed as not asked for, and a failure of all others.
    fn reader(&self) -> Option<Reader> {
        let dialect = match self.operation {
            "chat.completions" => Dialect::OpenAi,
            "completions" => return Some(Reader::Passed(Operation::Completions)),
            "embeddings" => return Some(Reader::Passed(Operation::Embeddings)),
            "count_tokens" => return Some(Reader::Count),
            "responses" => Dialect::Responses,
            "messages" => Dialect::Anthropic,
            "generateContent" | "streamGenerateContent" => Dialect::Gemini,
            "converse" | "converse-stream" => Dialect::Bedrock,
            "v2.chat" => Dialect::Cohere,
            other => {
                let known = UNASKED.iter().any(|(begin, _)| other.starts_with(begin));
                assert!(known, "nobody reads {}", self.name);
                return None;
            }
        };
        Some(Reader::Upstream(dialect.upstream()))
    }

    /// An error says something, and has a class that is not that of nonsense.
    fn error(&self, root: &Path) -> Read {
        let headers = headers(&root.join(format!("{}.headers.json", self.name)));
        let facts = error_facts(self.status, &headers, &self.bytes, SystemTime::UNIX_EPOCH);
        assert!(!facts.message.is_empty(), "{}: {facts:?}", self.name);
        let class = classify(&Evidence::Status(facts), false);
        assert_ne!(class, Class::MalformedResponse, "{}", self.name);
        Read::Error
    }

    fn whole(&self, reader: &Reader) -> Read {
        let name = self.name;
        match reader {
            Reader::Count => {
                assert!(
                    count::read(&self.bytes).is_some_and(|count| count > 0),
                    "{name}"
                );
                Read::Count
            }
            Reader::Passed(operation) => match answer::read(*operation, &self.bytes, "a/m") {
                Answer::Good { .. } => Read::Answer,
                other => panic!("{name}: {other:?}"),
            },
            Reader::Upstream(upstream) => match upstream.read_answer(&self.bytes) {
                Whole::Good(_) => Read::Answer,
                Whole::Error(facts) => {
                    assert!(!facts.message.is_empty(), "{name}: {facts:?}");
                    Read::ErrorIn200
                }
                Whole::Malformed => panic!("{name} is malformed"),
            },
        }
    }

    fn stream(&self, reader: &Reader) -> Read {
        let events = self.events(reader);
        let verdicts = match reader {
            Reader::Upstream(upstream) => {
                let mut reader = upstream.reader();
                let mut pieces = Vec::new();
                let verdicts = events.iter().map(|(name, data, is_error)| {
                    let (data, is_error) = (data.as_slice(), *is_error);
                    reader.read(
                        Frame {
                            name,
                            data,
                            is_error,
                        },
                        &mut pieces,
                    )
                });
                verdicts.collect()
            }
            Reader::Passed(operation) => self.passed(*operation),
            Reader::Count => panic!("{}: a count is no stream", self.name),
        };
        self.judge(&verdicts)
    }

    /// A stream ends once, by its end or an error, and nothing in it is nonsense, unless it is known to be broken.
    fn judge(&self, verdicts: &[StreamEvent]) -> Read {
        let has = |is: fn(&StreamEvent) -> bool| verdicts.iter().any(is);
        let finished = has(|event| matches!(event, StreamEvent::Progress(one) if one.finished));
        let malformed = has(|event| matches!(event, StreamEvent::Malformed { .. }));
        let failed = has(|event| matches!(event, StreamEvent::Error(_)));
        if BROKEN.iter().any(|part| self.name.contains(part)) {
            assert!(malformed || !finished, "{} is not broken", self.name);
            return Read::Broken;
        }
        assert!(!malformed, "{} is malformed: {verdicts:?}", self.name);
        assert!(
            finished || failed,
            "{} does not end: {verdicts:?}",
            self.name
        );
        if failed {
            Read::ErrorIn200
        } else {
            Read::Stream
        }
    }

    /// What an older operation's stream says, which is passed on and has no other reader.
    fn passed(&self, operation: Operation) -> Vec<StreamEvent> {
        let expects = Expects {
            operation,
            choices: 1,
            usage: true,
            structured: false,
        };
        let mut stream = AnswerStream::new(expects, "a/m");
        let mut splitter = Splitter::new(LONGEST);
        splitter.push(self.bytes.clone());
        let mut verdicts = Vec::new();
        while let Some(event) = splitter.next() {
            verdicts.push(stream.read(&event.expect("a short event")).event);
        }
        verdicts.extend(splitter.finish().map(|event| stream.read(&event).event));
        verdicts
    }

    /// The events, which are the same however the bytes come.
    fn events(&self, reader: &Reader) -> Events {
        let lines = || {
            self.bytes
                .split(|byte| *byte == b'\n')
                .filter(|line| !line.is_empty())
        };
        let binary = matches!(reader, Reader::Upstream(upstream) if upstream.framing() == Framing::EventStream);
        let listed = is_named(self.name, "json");
        let payloads = is_named(self.name, "chunks") || self.name.ends_with(".chunks.txt");
        match (binary, payloads, listed) {
            (true, false, _) => self.at_every_split(&self.bytes, messages),
            // One event a line, named by its only field.
            (true, true, _) => lines().flat_map(named).collect(),
            (false, _, true) => {
                let list: Vec<&RawValue> = serde_json::from_slice(&self.bytes).expect("a list");
                let framed = list.iter().flat_map(|one| {
                    [b"data: ", one.get().replace('\n', " ").as_bytes(), b"\n\n"].concat()
                });
                self.at_every_split(&framed.collect(), sse)
            }
            (false, true, false) => {
                let framed = lines().flat_map(|line| [b"data: ", line, b"\n\n"].concat());
                self.at_every_split(&framed.collect(), sse)
            }
            (false, false, false) => self.at_every_split(&self.bytes, sse),
        }
    }

    fn at_every_split(&self, bytes: &Bytes, cut: impl Fn(&[Bytes]) -> Events) -> Events {
        let whole = cut(std::slice::from_ref(bytes));
        if bytes.len() <= SHORT {
            for at in 1..bytes.len() {
                let parts = [bytes.slice(..at), bytes.slice(at..)];
                assert_eq!(cut(&parts), whole, "{} in two at {at}", self.name);
            }
        }
        for size in CHUNKS {
            let parts: Vec<Bytes> = bytes
                .chunks(size)
                .map(|part| bytes.slice_ref(part))
                .collect();
            assert_eq!(cut(&parts), whole, "{} in chunks of {size}", self.name);
        }
        whole
    }
}

/// Whether a name ends so, behind a dot.
fn is_named(path: &str, extension: &str) -> bool {
    Path::new(path)
        .extension()
        .is_some_and(|found| found == extension)
}

/// The recorded headers, where there are some.
fn headers(sidecar: &Path) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let Ok(sidecar) = std::fs::read(sidecar) else {
        return headers;
    };
    let sidecar: Value = serde_json::from_slice(&sidecar).expect("JSON");
    for (name, value) in sidecar["headers"].as_object().into_iter().flatten() {
        let value = value.as_str().and_then(|value| value.parse().ok());
        let name = name.parse::<HeaderName>().ok();
        headers.extend(name.zip(value).map(|(name, value)| (Some(name), value)));
    }
    headers
}

fn sse(parts: &[Bytes]) -> Events {
    let mut splitter = Splitter::new(LONGEST);
    let mut found = Vec::new();
    for part in parts {
        splitter.push(part.clone());
        while let Some(event) = splitter.next() {
            found.push(event.expect("a short event"));
        }
    }
    // A recording may lack the last blank line.
    found.extend(splitter.finish());
    let events = found.iter().filter_map(|event| {
        let data = match event.data() {
            Data::None => return None,
            Data::Line(line) => line.to_vec(),
            Data::Joined(joined) => joined,
        };
        Some((event.name().to_owned(), data, false))
    });
    events.collect()
}

/// The messages up to one that is damaged.
fn messages(parts: &[Bytes]) -> Events {
    let mut splitter = event_stream::Splitter::new(LONGEST);
    let mut found = Vec::new();
    for part in parts {
        splitter.push(part);
        while let Some(Ok(message)) = splitter.next() {
            let frame = message.frame();
            found.push((frame.name.to_owned(), frame.data.to_vec(), frame.is_error));
        }
    }
    found
}

fn named(line: &[u8]) -> Events {
    let event: BTreeMap<String, &RawValue> = serde_json::from_slice(line).expect("an event");
    let event = event.into_iter();
    event
        .map(|(name, data)| (name, data.get().as_bytes().to_vec(), false))
        .collect()
}
