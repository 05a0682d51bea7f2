//! What is written is read with the messages' own crate, and that crate writes the same bytes.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue as Pair};
use opentelemetry_proto::tonic::resource::v1::Resource as WrittenResource;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use proptest::prelude::*;
use prost::Message;

use super::*;

/// A span as the test has it.
#[derive(Clone, Debug)]
struct Own {
    ids: (u128, u64, Option<u64>),
    is_remote: bool,
    is_server: bool,
    name: [String; 2],
    /// Nanoseconds since 1970.
    times: (u64, u64),
    failed: Option<String>,
    about: Vec<(String, Any)>,
}

impl Own {
    fn append_to(&self, out: &mut Vec<u8>) {
        let (trace, id, parent) = self.ids;
        let at = |nanos: u64| UNIX_EPOCH + Duration::from_nanos(nanos);
        let head = Head {
            trace: TraceId::from_bytes(trace.to_be_bytes()),
            id: SpanId::from_bytes(id.to_be_bytes()),
            parent: parent.map(|parent| SpanId::from_bytes(parent.to_be_bytes())),
            parent_is_remote: self.is_remote,
            kind: if self.is_server {
                Kind::Server
            } else {
                Kind::Client
            },
            name: [&self.name[0], &self.name[1]],
            begun: at(self.times.0),
            ended: at(self.times.1),
            failed: self.failed.as_deref(),
        };
        append(out, &head, |about| {
            for (name, value) in &self.about {
                match value {
                    Any::StringValue(value) => about.text(name, value),
                    Any::IntValue(value) => about.whole(name, *value),
                    Any::DoubleValue(value) => about.double(name, *value),
                    Any::BoolValue(value) => about.flag(name, *value),
                    other => panic!("{other:?}"),
                }
            }
        });
    }

    /// As the messages' crate has it.
    fn span(&self) -> Span {
        let (trace, id, parent) = self.ids;
        let code = self
            .failed
            .as_ref()
            .map_or(StatusCode::Unset, |_| StatusCode::Error);
        let kind = if self.is_server {
            SpanKind::Server
        } else {
            SpanKind::Client
        };
        Span {
            trace_id: trace.to_be_bytes().into(),
            span_id: id.to_be_bytes().into(),
            parent_span_id: parent
                .map(|parent| parent.to_be_bytes().into())
                .unwrap_or_default(),
            flags: if self.is_remote { 0x301 } else { 0x101 },
            name: self.name.join(" "),
            kind: kind.into(),
            start_time_unix_nano: self.times.0,
            end_time_unix_nano: self.times.1,
            attributes: self
                .about
                .iter()
                .map(|(name, value)| pair(name, value.clone()))
                .collect(),
            status: Some(Status {
                message: self.failed.clone().unwrap_or_default(),
                code: code.into(),
            }),
            ..Span::default()
        }
    }
}

fn pair(name: &str, value: Any) -> Pair {
    Pair {
        key: name.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..Pair::default()
    }
}

/// Writes spans, reads them back, and has them written by the messages' crate.
fn check(spans: &[Own], resource: &Resource) {
    let mut out = Vec::new();
    for span in spans {
        span.append_to(&mut out);
    }
    let message = Envelope::of(resource).around(&out);
    let about = resource.iter().map(|(name, value)| match value {
        Value::I64(number) => pair(name.as_str(), Any::IntValue(*number)),
        Value::F64(number) => pair(name.as_str(), Any::DoubleValue(*number)),
        Value::Bool(flag) => pair(name.as_str(), Any::BoolValue(*flag)),
        other => pair(name.as_str(), Any::StringValue(other.to_string())),
    });
    let expected = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(WrittenResource {
                attributes: about.collect(),
                ..WrittenResource::default()
            }),
            scope_spans: vec![ScopeSpans {
                scope: Some(InstrumentationScope {
                    name: "mainstay".to_owned(),
                    version: env!("CARGO_PKG_VERSION").to_owned(),
                    ..InstrumentationScope::default()
                }),
                spans: spans.iter().map(Own::span).collect(),
                ..ScopeSpans::default()
            }],
            schema_url: resource.schema_url().unwrap_or_default().to_owned(),
        }],
    };
    let read = ExportTraceServiceRequest::decode(&*message).unwrap();
    assert_eq!(read, expected);
    assert!(message == expected.encode_to_vec(), "the same bytes");
}

fn plain() -> Own {
    Own {
        ids: (1, 2, Some(3)),
        is_remote: false,
        is_server: true,
        name: ["chat".to_owned(), "t/m".to_owned()],
        times: (1_795_395_600_000_000_001, 1_795_395_600_000_000_002),
        failed: None,
        about: vec![],
    }
}

fn nobody() -> Resource {
    Resource::builder_empty().build()
}

#[test]
fn lengths_around_what_takes_another_byte_are_written_as_they_are() {
    let near = |at: usize| at.saturating_sub(40)..at + 3;
    for length in (0..3)
        .chain(near(128))
        .chain(near(16_384))
        .chain([3_000_000])
    {
        let text = "a".repeat(length);
        let about = vec![(String::from("a.name"), Any::StringValue(text.clone()))];
        let long_name = vec![(format!("n{text}"), Any::IntValue(-1))];
        let model = ["chat".to_owned(), text.clone()];
        let long = [
            Own { about, ..plain() },
            Own {
                about: long_name,
                ..plain()
            },
            Own {
                name: model,
                ..plain()
            },
            Own {
                failed: Some(text),
                ..plain()
            },
        ];
        check(&long, &nobody());
    }
}

#[test]
fn numbers_of_every_size_and_names_of_every_length_are_written_as_they_are() {
    let mut about = Vec::new();
    for bit in 0..64 {
        let power = 1_i64 << bit;
        for number in [power, power.wrapping_sub(1), power.wrapping_neg()] {
            about.push((format!("n{bit}"), Any::IntValue(number)));
        }
    }
    for length in 1..140 {
        about.push(("x".repeat(length), Any::BoolValue(length % 2 == 0)));
    }
    for number in [0.0, -0.0, 1e-300, f64::INFINITY, f64::MIN] {
        about.push(("double".to_owned(), Any::DoubleValue(number)));
    }
    check(&[Own { about, ..plain() }, plain()], &nobody());
}

#[test]
fn moments_before_1970_are_its_beginning() {
    let mut out = Vec::new();
    append_moment(&mut out, BEGUN, UNIX_EPOCH - Duration::from_secs(1));
    assert!(out.is_empty(), "zero is not written");
}

#[test]
fn who_sends_is_said_once_with_every_kind_of_value() {
    let long = "v".repeat(20_000);
    let about = [
        KeyValue::new("service.name", "mainstay"),
        KeyValue::new("long", long),
        KeyValue::new("whole", -7),
        KeyValue::new("double", 0.5),
        KeyValue::new("flag", true),
    ];
    for url in ["", "https://opentelemetry.io/schemas/1.0.0"] {
        let resource = Resource::builder_empty()
            .with_schema_url(about.clone(), url)
            .build();
        check(&[plain(), plain()], &resource);
        check(&[], &resource);
    }
}

fn value() -> impl Strategy<Value = Any> {
    prop_oneof![
        ".{0,200}".prop_map(Any::StringValue),
        any::<i64>().prop_map(Any::IntValue),
        (-9_i64..9).prop_map(Any::IntValue),
        any::<i32>().prop_map(|number| Any::DoubleValue(f64::from(number) / 7.0)),
        any::<bool>().prop_map(Any::BoolValue),
    ]
}

fn own() -> impl Strategy<Value = Own> {
    let ids = (any::<u128>(), any::<u64>(), any::<Option<u64>>());
    let times = (0..u64::MAX / 4, 0..u64::MAX / 4);
    let about = prop::collection::vec(("[a-zA-Z_.é]{1,60}", value()), 0..30);
    let flags = (any::<bool>(), any::<bool>());
    let texts = (["[a-z]{0,9}", ".{0,150}"], prop::option::of(".{0,150}"));
    (ids, flags, texts, times, about).prop_map(
        |(ids, (is_remote, is_server), (name, failed), times, about)| Own {
            ids,
            is_remote,
            is_server,
            name,
            times,
            failed,
            about,
        },
    )
}

proptest! {
    #[test]
    fn whatever_is_written_is_read_back(spans in prop::collection::vec(own(), 0..4)) {
        check(&spans, &nobody());
    }
}
