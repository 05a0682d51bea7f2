//! What one request and one stream event cost on the wire floor.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mainstay::wire::client_request::Expects;
use mainstay::wire::client_request::operation::Operation;
use mainstay::wire::openai::request::scan;
use mainstay::wire::openai::stream::AnswerStream;
use mainstay::wire::sse::Splitter;

const EVENTS: usize = 256;

/// A streamed request whose messages take about `size` bytes, the model last.
fn request(size: usize) -> Bytes {
    let text = "The quick brown fox said \\\"hello\\\" to the żółw.\\n".repeat(size / 50);
    let body = format!(
        r#"{{"messages":[{{"role":"user","content":"{text}"}}],"stream":true,"provider":{{"sort":"price"}},"model":"author/slug"}}"#
    );
    body.into()
}

fn stream() -> Bytes {
    let event = concat!(
        r#"data: {"id":"chatcmpl-C4HqHBe4xca0k0EzsCnf1t6V3YFXp","object":"chat.completion.chunk","#,
        r#""created":1755137933,"model":"upstream-model-2025-08-07","service_tier":"default","#,
        r#""system_fingerprint":null,"choices":[{"index":0,"delta":{"content":" about"},"#,
        r#""logprobs":null,"finish_reason":null}],"usage":null,"obfuscation":"AhjV0cXZqo72k8"}"#,
        "\n\n"
    );
    event.repeat(EVENTS).into()
}

/// Reads every event of a stream that came in chunks of `chunk` bytes.
fn read(stream: &Bytes, chunk: usize, model: &str) {
    let expects = Expects {
        operation: Operation::Chat,
        choices: 1,
        usage: false,
        structured: false,
    };
    let mut splitter = Splitter::new(1 << 20);
    let mut reader = AnswerStream::new(expects, model);
    let mut rest = stream.clone();
    while !rest.is_empty() {
        splitter.push(rest.split_to(chunk.min(rest.len())));
        while let Some(Ok(event)) = splitter.next() {
            black_box(reader.read(&event));
        }
    }
}

fn requests(criterion: &mut Criterion) {
    for (name, size) in [("2 KB", 2_000), ("200 KB", 200_000)] {
        let body = request(size);
        let mut group = criterion.benchmark_group("scan and rewrite");
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let request = scan(Operation::Chat, &body).expect("the body is valid");
                black_box(request.rewrite(&body, "upstream-model"))
            });
        });
        group.finish();
    }
}

fn events(criterion: &mut Criterion) {
    let stream = stream();
    let mut group = criterion.benchmark_group("split and read an event");
    group.throughput(Throughput::Elements(EVENTS as u64));
    let table = [
        ("model renamed", 16_384, "author/slug"),
        ("model kept", 16_384, "upstream-model-2025-08-07"),
        ("chunks of 100 bytes", 100, "author/slug"),
    ];
    for (name, chunk, model) in table {
        group.bench_function(name, |bencher| bencher.iter(|| read(&stream, chunk, model)));
    }
    group.finish();
}

criterion_group!(benches, requests, events);
criterion_main!(benches);
