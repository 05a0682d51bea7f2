//! Owns how spans are written as OTLP has them (protobuf): appended to the bytes that are sent, in one pass, names and texts borrowed
//! from where they are. The messages' own crate allocates each name and measures each value at every level around it: that took four
//! times as long as all else that is done for a span. Fields are those of trace.proto, common.proto, resource.proto and
//! trace_service.proto (<https://github.com/open-telemetry/opentelemetry-proto>, 1.10); what is written on the wire is prost's. Must
//! never write what that crate would not: tests read it with that crate, and have it write the same bytes.

use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry::Value;
use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry_sdk::Resource;
use prost::encoding::{WireType, encode_varint, encoded_len_varint};

/// What stands before a field with one of the first fifteen numbers.
const fn key(field: u8, wire: WireType) -> u8 {
    field << 3 | wire as u8
}

const BYTES: WireType = WireType::LengthDelimited;

/// `ExportTraceServiceRequest.resource_spans`.
const RESOURCE_SPANS: u8 = key(1, BYTES);
/// Of `ResourceSpans`.
const RESOURCE: u8 = key(1, BYTES);
const SCOPE_SPANS: u8 = key(2, BYTES);
const SCHEMA_URL: u8 = key(3, BYTES);
/// `Resource.attributes`.
const RESOURCE_ATTRIBUTES: u8 = key(1, BYTES);
/// Of `ScopeSpans`.
const SCOPE: u8 = key(1, BYTES);
const SPANS: u8 = key(2, BYTES);
/// Of `InstrumentationScope`.
const SCOPE_NAME: u8 = key(1, BYTES);
const SCOPE_VERSION: u8 = key(2, BYTES);
/// Of `Span`.
const TRACE_ID: u8 = key(1, BYTES);
const SPAN_ID: u8 = key(2, BYTES);
const PARENT: u8 = key(4, BYTES);
const NAME: u8 = key(5, BYTES);
const KIND: u8 = key(6, WireType::Varint);
const BEGUN: u8 = key(7, WireType::SixtyFourBit);
const ENDED: u8 = key(8, WireType::SixtyFourBit);
const ATTRIBUTES: u8 = key(9, BYTES);
const STATUS: u8 = key(15, BYTES);
/// Of `Status`.
const MESSAGE: u8 = key(2, BYTES);
const CODE: u8 = key(3, WireType::Varint);
/// Of `KeyValue`.
const ATTRIBUTE_NAME: u8 = key(1, BYTES);
const ATTRIBUTE_VALUE: u8 = key(2, BYTES);
/// Of `AnyValue`.
const TEXT: u8 = key(1, BYTES);
const FLAG: u8 = key(2, WireType::Varint);
const WHOLE: u8 = key(3, WireType::Varint);
const DOUBLE: u8 = key(4, WireType::SixtyFourBit);

/// `Span.flags`, the sixteenth field: what stands before four bytes.
const FLAGS: [u8; 2] = [0x85, 0x01];
/// `SpanFlags`: recorded, and whether the parent is of another process is known.
const RECORDED: u32 = 0x101;
const PARENT_IS_REMOTE: u32 = 0x200;
/// `StatusCode.STATUS_CODE_ERROR`.
const ERROR: u8 = 2;

/// The largest length that takes one byte.
const SHORT: usize = 0x7f;
/// Bytes of an attribute up to its value that are written at once; longer ones are written in parts.
const ROOM: usize = 48;
/// Bytes of a span's length that are kept free before it: enough for 16 KB of them.
const LENGTH: usize = 2;

/// Who makes these spans.
const MAKER: &str = "mainstay";

/// `SpanKind`, of those that we have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Server = 2,
    Client = 3,
}

/// A span but for its attributes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head<'a> {
    pub(super) trace: TraceId,
    pub(super) id: SpanId,
    pub(super) parent: Option<SpanId>,
    /// The parent is of another process.
    pub(super) parent_is_remote: bool,
    pub(super) kind: Kind,
    /// With a space between them.
    pub(super) name: [&'a str; 2],
    pub(super) begun: SystemTime,
    pub(super) ended: SystemTime,
    /// What went wrong.
    pub(super) failed: Option<&'a str>,
}

/// What is said of a span.
pub(super) struct Attributes<'a> {
    out: &'a mut Vec<u8>,
    /// The key of the field that they are in.
    field: u8,
}

/// What stands around the spans of each batch: who sends them.
#[derive(Debug)]
pub(crate) struct Envelope {
    /// `ResourceSpans.resource`, whole.
    resource: Vec<u8>,
    /// `ScopeSpans.scope`, whole.
    scope: Vec<u8>,
    /// `ResourceSpans.schema_url`, whole.
    schema: Vec<u8>,
}

/// Appends a span to others.
pub(super) fn append(out: &mut Vec<u8>, head: &Head<'_>, about: impl FnOnce(&mut Attributes<'_>)) {
    out.push(SPANS);
    let begun = out.len();
    out.extend_from_slice(&[0; LENGTH]);
    append_head(out, head);
    about(&mut Attributes {
        out,
        field: ATTRIBUTES,
    });
    append_status(out, head.failed);
    let flags = match head.parent_is_remote {
        true => RECORDED | PARENT_IS_REMOTE,
        false => RECORDED,
    };
    out.extend_from_slice(&FLAGS);
    out.extend_from_slice(&flags.to_le_bytes());
    close(out, begun);
}

fn append_head(out: &mut Vec<u8>, head: &Head<'_>) {
    out.extend_from_slice(&[TRACE_ID, 16]);
    out.extend_from_slice(&head.trace.to_bytes());
    out.extend_from_slice(&[SPAN_ID, 8]);
    out.extend_from_slice(&head.id.to_bytes());
    if let Some(parent) = head.parent {
        out.extend_from_slice(&[PARENT, 8]);
        out.extend_from_slice(&parent.to_bytes());
    }
    let [first, second] = head.name;
    out.push(NAME);
    append_length(out, first.len() + 1 + second.len());
    out.extend_from_slice(first.as_bytes());
    out.push(b' ');
    out.extend_from_slice(second.as_bytes());
    out.extend_from_slice(&[KIND, head.kind as u8]);
    append_moment(out, BEGUN, head.begun);
    append_moment(out, ENDED, head.ended);
}

/// Nothing where nothing went wrong, which is a field without content.
fn append_status(out: &mut Vec<u8>, failed: Option<&str>) {
    let Some(words) = failed else {
        return out.extend_from_slice(&[STATUS, 0]);
    };
    let code = [CODE, ERROR];
    let message = match words.len() {
        0 => 0,
        length => width(length),
    };
    out.push(STATUS);
    append_length(out, message + code.len());
    if message > 0 {
        append_bytes(out, MESSAGE, words.as_bytes());
    }
    out.extend_from_slice(&code);
}

/// A moment in nanoseconds since 1970, which stands for those before; zero is not written.
fn append_moment(out: &mut Vec<u8>, field: u8, moment: SystemTime) {
    let since = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
    let nanos = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
    if nanos > 0 {
        out.push(field);
        out.extend_from_slice(&nanos.to_le_bytes());
    }
}

/// Bytes that a field takes whose content is so long.
fn width(length: usize) -> usize {
    1 + encoded_len_varint(length as u64) + length
}

fn append_bytes(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    out.push(field);
    append_length(out, bytes.len());
    out.extend_from_slice(bytes);
}

#[inline]
fn append_length(out: &mut Vec<u8>, length: usize) {
    append_varint(out, length as u64);
}

/// Appends a number; most of ours take a byte.
#[inline]
fn append_varint(out: &mut Vec<u8>, number: u64) {
    match u8::try_from(number) {
        Ok(short @ ..=0x7f) => out.push(short),
        Ok(_) | Err(_) => encode_varint(number, out),
    }
}

/// Says before a message how long it has become. `begun`: where room was kept for that.
fn close(out: &mut Vec<u8>, begun: usize) {
    let length = out.len() - begun - LENGTH;
    let mut said = [0; LENGTH];
    if encoded_len_varint(length as u64) == said.len() {
        encode_varint(length as u64, &mut said.as_mut_slice());
        return out[begun..begun + LENGTH].copy_from_slice(&said);
    }
    let mut said = Vec::new();
    append_length(&mut said, length);
    out.splice(begun..begun + LENGTH, said);
}

// === impl Attributes ===

#[expect(
    clippy::inline_always,
    reason = "names are literals: inlined, what stands before a value is a store of constants"
)]
impl Attributes<'_> {
    /// Adds a text.
    #[inline(always)]
    pub(super) fn text(&mut self, name: &str, value: &str) {
        let length = encoded_len_varint(value.len() as u64) + value.len();
        self.begin(name, TEXT, length);
        append_length(self.out, value.len());
        self.out.extend_from_slice(value.as_bytes());
    }

    /// Adds a whole number.
    #[inline(always)]
    pub(super) fn whole(&mut self, name: &str, value: i64) {
        // As protobuf has negative numbers: the largest ones.
        let value = value.cast_unsigned();
        self.begin(name, WHOLE, encoded_len_varint(value));
        append_varint(self.out, value);
    }

    /// Adds a number.
    #[inline(always)]
    pub(super) fn double(&mut self, name: &str, value: f64) {
        self.begin(name, DOUBLE, size_of::<f64>());
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    /// Adds a yes or no.
    #[inline(always)]
    pub(super) fn flag(&mut self, name: &str, value: bool) {
        self.begin(name, FLAG, 1);
        self.out.push(u8::from(value));
    }

    /// Begins an attribute, up to the key of its value, which takes `length` bytes.
    #[inline(always)]
    fn begin(&mut self, name: &str, value: u8, length: usize) {
        // The key and length of the name and of the value, and the value's own key.
        let around = 2 + 2 + 1;
        let (all, mut room) = (around + name.len() + length, [0; ROOM]);
        let parts = room.get_mut(..2 + around + name.len());
        match parts {
            Some(parts) if all <= SHORT => {
                let (before, rest) = parts.split_at_mut(4);
                let (middle, after) = rest.split_at_mut(name.len());
                // No length is above that of all.
                let short = |length: usize| u8::try_from(length).unwrap_or(u8::MAX);
                before.copy_from_slice(&[
                    self.field,
                    short(all),
                    ATTRIBUTE_NAME,
                    short(name.len()),
                ]);
                middle.copy_from_slice(name.as_bytes());
                after.copy_from_slice(&[ATTRIBUTE_VALUE, short(1 + length), value]);
                self.out.extend_from_slice(parts);
            }
            _ => self.begin_long(name, value, length),
        }
    }

    #[cold]
    fn begin_long(&mut self, name: &str, value: u8, length: usize) {
        self.out.push(self.field);
        append_length(self.out, width(name.len()) + width(1 + length));
        append_bytes(self.out, ATTRIBUTE_NAME, name.as_bytes());
        self.out.push(ATTRIBUTE_VALUE);
        append_length(self.out, 1 + length);
        self.out.push(value);
    }

    /// Adds what the library has.
    fn value(&mut self, name: &str, value: &Value) {
        match value {
            Value::Bool(value) => self.flag(name, *value),
            Value::I64(value) => self.whole(name, *value),
            Value::F64(value) => self.double(name, *value),
            // Lists cannot come from the environment; more kinds may come to the library.
            other => self.text(name, &other.as_str()),
        }
    }
}

// === impl Envelope ===

impl Envelope {
    /// Of spans that are a resource's.
    pub(crate) fn of(resource: &Resource) -> Self {
        let mut about = Vec::new();
        for (name, value) in resource {
            let mut attributes = Attributes {
                out: &mut about,
                field: RESOURCE_ATTRIBUTES,
            };
            attributes.value(name.as_str(), value);
        }
        let mut maker = Vec::new();
        append_bytes(&mut maker, SCOPE_NAME, MAKER.as_bytes());
        append_bytes(
            &mut maker,
            SCOPE_VERSION,
            env!("CARGO_PKG_VERSION").as_bytes(),
        );
        let url = resource.schema_url().unwrap_or_default();
        Self {
            resource: field(RESOURCE, &about),
            scope: field(SCOPE, &maker),
            schema: if url.is_empty() {
                Vec::new()
            } else {
                field(SCHEMA_URL, url.as_bytes())
            },
        }
    }

    /// The message that takes spans there.
    pub(crate) fn around(&self, spans: &[u8]) -> Vec<u8> {
        let scoped = self.scope.len() + spans.len();
        let all = self.resource.len() + width(scoped) + self.schema.len();
        let mut out = Vec::with_capacity(width(all));
        out.push(RESOURCE_SPANS);
        append_length(&mut out, all);
        out.extend_from_slice(&self.resource);
        out.push(SCOPE_SPANS);
        append_length(&mut out, scoped);
        out.extend_from_slice(&self.scope);
        out.extend_from_slice(spans);
        out.extend_from_slice(&self.schema);
        out
    }
}

fn field(key: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    append_bytes(&mut out, key, bytes);
    out
}

#[cfg(test)]
mod tests;
