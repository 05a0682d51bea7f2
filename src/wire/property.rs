//! Owns what the property tests of several dialects draw from, and the spoiling of bytes. Must never know a dialect.

use std::ops::Range;

use proptest::prelude::*;
use serde_json::value::RawValue;

use crate::wire::hub::{
    Format, Image, Message, Part, Role, Schema, Source, Tool, ToolCall, ToolChoice, ToolResult,
};

/// A short text with what JSON must escape.
pub(in crate::wire) fn text() -> impl Strategy<Value = String> {
    "[a-zé\"\\\\\n ]{1,12}"
}

pub(in crate::wire) fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).unwrap()
}

/// A picture with its place.
pub(in crate::wire) fn picture(source: Source, detail: Option<&str>) -> Part {
    Part::Image(Image {
        source,
        detail: detail.map(str::to_owned),
        cache: None,
    })
}

pub(in crate::wire) fn format() -> impl Strategy<Value = Format> {
    prop_oneof![
        Just(Format::Text),
        Just(Format::Json),
        (text(), any::<Option<bool>>()).prop_map(|(name, strict)| Format::Schema(Schema {
            name,
            description: None,
            schema: raw("{\"type\":\"object\"}"),
            strict,
        })),
    ]
}

pub(in crate::wire) fn choice() -> impl Strategy<Value = ToolChoice> {
    prop_oneof![
        Just(ToolChoice::Auto),
        Just(ToolChoice::None),
        Just(ToolChoice::Required),
        text().prop_map(ToolChoice::Named),
    ]
}

pub(in crate::wire) fn tool(name: String, strict: Option<bool>) -> Tool {
    Tool {
        description: Some(name.clone()),
        name,
        parameters: Some(raw("{}")),
        strict,
        cache: None,
    }
}

/// A turn that says something and calls a tool, and the one with the tool's result.
pub(in crate::wire) fn called(
    said: Vec<Part>,
    (id, name): (String, String),
    result: Vec<Part>,
) -> Vec<Message> {
    let call = ToolCall {
        id: id.clone(),
        name,
        arguments: "{\"a\":1}".to_owned(),
        ..ToolCall::default()
    };
    let result = ToolResult {
        id,
        parts: result,
        ..ToolResult::default()
    };
    vec![
        Message {
            role: Role::Assistant,
            parts: said.into_iter().chain([Part::ToolCall(call)]).collect(),
        },
        Message {
            role: Role::User,
            parts: vec![Part::ToolResult(result)],
        },
    ]
}

/// Bodies that each case spoils anew.
const CASES: u64 = 20_000;
/// How many bytes a case changes.
const CHANGES: Range<usize> = 1..6;
/// Bytes that do more harm than others.
const HARMFUL: &[u8] = b"0{}[]\",:";

/// Bytes that a reader is given, told where it panics.
struct Given<'b>(u64, &'b [u8]);

// === impl Given ===

impl Drop for Given<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("case {}: {}", self.0, self.1.escape_ascii());
        }
    }
}

/// Hands `read` every sample as it is, spoilt in many ways, far too deep, and bytes that are none: it must not panic.
pub(in crate::wire) fn check_spoilt(samples: &[&[u8]], deep: &[u8], read: impl Fn(&[u8])) {
    for sample in samples {
        read(sample);
    }
    read(&b"[".repeat(100_000));
    read(&deep.repeat(10_000));
    for case in 0..CASES {
        let mut rng = fastrand::Rng::with_seed(case);
        let sample = samples[rng.usize(..samples.len())];
        let spoilt = spoilt(sample, &mut rng);
        let arbitrary: Vec<u8> = (0..rng.usize(..64)).map(|_| rng.u8(..)).collect();
        for bytes in [&spoilt, &arbitrary] {
            let _given = Given(case, bytes);
            read(bytes);
        }
    }
    println!("{CASES} spoilt bodies");
}

fn spoilt(sample: &[u8], rng: &mut fastrand::Rng) -> Vec<u8> {
    let mut bytes = sample.to_vec();
    for _ in 0..rng.usize(CHANGES) {
        if bytes.is_empty() {
            break;
        }
        let at = rng.usize(..bytes.len());
        match rng.u8(..6) {
            0 | 1 => bytes[at] = rng.u8(..),
            2 | 3 => bytes[at] = HARMFUL[rng.usize(..HARMFUL.len())],
            4 => drop(bytes.remove(at)),
            _ => bytes.truncate(at.max(20)),
        }
    }
    bytes
}
