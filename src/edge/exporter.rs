//! Owns the way of spans to the collector that the configuration names: OTLP over HTTP, in batches, over Pingora's own client.
//! Must never hold up a request: what is not taken in time is counted and forgotten.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;
use percent_encoding::percent_decode_str;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;

use crate::config::snapshot::BaseUrl;
use crate::edge::dns::Resolver;
use crate::edge::generation::Current;
use crate::edge::outside::{Outside, Unanswered};
use crate::edge::telemetry::{Batch, Envelope, Telemetry};

/// How long the first exchange waits for others, unless there are enough for a batch.
const GATHER: Duration = Duration::from_millis(500);
/// How long a collector may take to accept a batch.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a batch is offered, and how long after the time before: a collector that restarts loses none.
const TRIES: usize = 3;
const PAUSE: Duration = Duration::from_secs(1);
/// Below the collector's root (OTLP/HTTP's own path).
const PATH: &str = "/v1/traces";
const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");
const OURSELVES: HeaderValue =
    HeaderValue::from_static(concat!("mainstay/", env!("CARGO_PKG_VERSION")));
/// Headers that the collector asks for (the specification of OTLP's exporters); the first that is there is meant.
const HEADERS: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
    "OTEL_EXPORTER_OTLP_HEADERS",
];

/// Sends what exchanges leave.
#[derive(Debug)]
pub(crate) struct Exporter {
    pub(crate) current: Current,
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) resolver: Arc<Resolver>,
}

/// The collector that is sent to at present.
#[derive(Debug)]
struct Collector {
    at: BaseUrl,
    outside: Outside,
    /// Of every request there.
    path: String,
    headers: HeaderMap,
    envelope: Envelope,
    /// It took the last batch; so does one that has not been asked.
    is_well: bool,
}

#[async_trait]
impl BackgroundService for Exporter {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        if !self.telemetry.traces.begin_sending() {
            return;
        }
        let mut collector = None;
        tokio::select! {
            () = self.send_all(&mut collector) => {}
            _ = shutdown.changed() => {}
        }
        // What is left gets one chance.
        let mut left = Batch::default();
        while let Some(batch) = self.telemetry.traces.take() {
            left.join(&batch);
        }
        self.send(&left, 1, &mut collector).await;
    }
}

// === impl Exporter ===

impl Exporter {
    async fn send_all(&self, collector: &mut Option<Collector>) {
        let traces = &self.telemetry.traces;
        loop {
            traces.some().await;
            // It is not full: so be it.
            tokio::time::timeout(GATHER, traces.full()).await.ok();
            if let Some(batch) = traces.take() {
                self.send(&batch, TRIES, collector).await;
            }
        }
    }

    /// Offers a batch so many times.
    async fn send(&self, batch: &Batch, tries: usize, collector: &mut Option<Collector>) {
        if batch.count == 0 {
            return;
        }
        self.follow(collector);
        let sent = match collector {
            Some(collector) => collector.offer(&batch.spans, tries).await,
            None => false,
        };
        if !sent {
            self.telemetry.metrics.count_dropped_spans(batch.count);
        }
    }

    /// Turns to the collector that the configuration names now.
    fn follow(&self, collector: &mut Option<Collector>) {
        let generation = self.current.load();
        let named = generation.snapshot.telemetry.otlp.as_ref();
        if collector.as_ref().map(|collector| &collector.at) == named {
            return;
        }
        *collector = named.and_then(|at| match Collector::new(at, &self.resolver) {
            Ok(collector) => Some(collector),
            Err(error) => {
                tracing::error!(collector = %at, %error, "no spans can be sent");
                None
            }
        });
    }
}

// === impl Collector ===

impl Collector {
    fn new(at: &BaseUrl, resolver: &Arc<Resolver>) -> Result<Self, Unanswered> {
        let named = HEADERS.iter().find_map(|name| std::env::var(name).ok());
        Ok(Self {
            at: at.clone(),
            outside: Outside::new("otlp", at, resolver)?,
            path: format!("{}{PATH}", at.path),
            headers: headers(&named.unwrap_or_default()),
            envelope: Envelope::of(&resource()),
            is_well: true,
        })
    }

    /// Whether spans were taken. A failure is told once until it passes.
    async fn offer(&mut self, spans: &[u8], tries: usize) -> bool {
        let was_well = self.is_well;
        let message = Bytes::from(self.envelope.around(spans));
        let mut why = String::new();
        for left in (0..tries).rev() {
            // Where it stands: it is long, and each move would copy all of it.
            let answer = {
                let posting = pin!(self.post(message.clone()));
                tokio::time::timeout(PATIENCE, posting).await
            };
            match answer {
                Ok(Ok(())) => {
                    self.is_well = true;
                    if !was_well {
                        tracing::info!(collector = %self.at, "spans are taken again");
                    }
                    return true;
                }
                Ok(Err(error)) => why = error.to_string(),
                Err(_) => "no answer in time".clone_into(&mut why),
            }
            // One that is known to be ill is offered each batch once, so that what waits is not older than need be.
            if left == 0 || !was_well {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
        self.is_well = false;
        if was_well {
            tracing::warn!(collector = %self.at, error = why, "spans are not taken, and dropped");
        }
        false
    }

    /// Sends a message. What the collector says of spans that it takes and does not like is left to its own log.
    async fn post(&self, message: Bytes) -> Result<(), Unanswered> {
        let to = (Method::POST, &*self.path);
        let (status, _) = self.outside.ask(to, &self.headers, message).await?;
        match status.is_success() {
            true => Ok(()),
            false => Err(format!("it answers with status {status}").into()),
        }
    }
}

/// What is said with every message: what it is, and what the operator has named, `name=value,...` with percent signs
/// (as W3C Baggage has them). What is no header is left out.
fn headers(named: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, PROTOBUF);
    headers.insert(USER_AGENT, OURSELVES);
    for (name, value) in named.split(',').filter_map(|one| one.split_once('=')) {
        let decoded = percent_decode_str(value.trim()).decode_utf8();
        let value = decoded.map_or(value.trim().into(), |decoded| decoded);
        let name = HeaderName::try_from(name.trim());
        let value = HeaderValue::try_from(&*value);
        if let (Ok(name), Ok(value)) = (name, value)
            && !value.is_empty()
        {
            headers.insert(name, value);
        }
    }
    headers
}

/// Who sends. `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` are the operator's.
fn resource() -> Resource {
    let named = std::env::var_os("OTEL_SERVICE_NAME").is_some_and(|name| !name.is_empty());
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let builder = Resource::builder().with_attribute(version);
    match named {
        true => builder.build(),
        false => builder.with_service_name("mainstay").build(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_those_that_the_operator_named_and_our_own() {
        let all = |named: &str| {
            let headers = headers(named);
            let text = |(name, value): (&HeaderName, &HeaderValue)| {
                format!("{name}: {}", value.to_str().unwrap())
            };
            let mut all: Vec<String> = headers.iter().map(text).collect();
            all.sort();
            all
        };
        let own = format!("user-agent: mainstay/{}", env!("CARGO_PKG_VERSION"));
        let protobuf = "content-type: application/x-protobuf".to_owned();
        assert_eq!(all(""), [protobuf.clone(), own.clone()]);
        let named = "api-key = a%20b=c%25 ,no header=1,empty=,alone,X-Tenant=t%zz,x-half=%ff";
        let expected = [
            "api-key: a b=c%",
            &protobuf,
            &own,
            "x-half: %ff",
            "x-tenant: t%zz",
        ];
        assert_eq!(all(named), expected);
    }
}
