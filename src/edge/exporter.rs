//! Owns the way of spans to the collector that the configuration names: OTLP over HTTP, in batches, over Pingora's own client.
//! Must never hold up a request: what is not taken in time is counted and forgotten.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, Request, Response};
use opentelemetry::KeyValue;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, RetryPolicy, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use tokio::sync::mpsc::Receiver;

use crate::config::snapshot::BaseUrl;
use crate::edge::dns::Resolver;
use crate::edge::generation::Current;
use crate::edge::outside::Outside;
use crate::edge::telemetry::{Finished, Telemetry};

/// Exchanges that are sent together, and how long the first of them waits for others.
const BATCH: usize = 256;
const GATHER: Duration = Duration::from_millis(500);
/// How long a collector may take to accept a batch.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a batch is offered, and how long after the time before: a collector that restarts loses none.
const TRIES: usize = 3;
const PAUSE: Duration = Duration::from_secs(1);
/// Below the collector's root (OTLP/HTTP's own path).
const PATH: &str = "/v1/traces";

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
    exporter: SpanExporter,
    /// It took the last batch; so does one that has not been asked.
    is_well: bool,
}

#[async_trait]
impl BackgroundService for Exporter {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let Some(mut queue) = self.telemetry.traces.take_queue() else {
            return;
        };
        let (mut batch, mut collector) = (Vec::new(), None);
        tokio::select! {
            () = self.send_all(&mut queue, &mut batch, &mut collector) => {}
            _ = shutdown.changed() => {}
        }
        // What is left gets one chance.
        while let Ok(finished) = queue.try_recv() {
            batch.push(finished);
        }
        self.send(batch, 1, &mut collector).await;
    }
}

// === impl Exporter ===

impl Exporter {
    async fn send_all(
        &self,
        queue: &mut Receiver<Finished>,
        batch: &mut Vec<Finished>,
        collector: &mut Option<Collector>,
    ) {
        loop {
            if queue.recv_many(batch, BATCH).await == 0 {
                return;
            }
            if batch.len() < BATCH {
                tokio::time::sleep(GATHER).await;
            }
            while let (true, Ok(more)) = (batch.len() < BATCH, queue.try_recv()) {
                batch.push(more);
            }
            self.send(std::mem::take(batch), TRIES, collector).await;
        }
    }

    /// Offers a batch so many times.
    async fn send(&self, batch: Vec<Finished>, tries: usize, collector: &mut Option<Collector>) {
        if batch.is_empty() {
            return;
        }
        self.follow(collector);
        let sent = match collector {
            Some(collector) => collector.offer(&batch, tries).await,
            None => false,
        };
        if !sent {
            let spans = batch.iter().map(Finished::spans).sum();
            self.telemetry.metrics.count_dropped_spans(spans);
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
    fn new(at: &BaseUrl, resolver: &Arc<Resolver>) -> Result<Self, HttpError> {
        let client = Client(Outside::new("otlp", at, resolver)?);
        let mut exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_endpoint(format!("{at}{PATH}"))
            .with_protocol(Protocol::HttpBinary)
            .with_timeout(PATIENCE)
            // Its pauses would block the thread.
            .with_retry_policy(RetryPolicy::disabled())
            .build()?;
        exporter.set_resource(&resource());
        Ok(Self {
            at: at.clone(),
            exporter,
            is_well: true,
        })
    }

    /// Whether a batch was taken. A failure is told once until it passes.
    async fn offer(&mut self, batch: &[Finished], tries: usize) -> bool {
        let was_well = self.is_well;
        let mut why = String::new();
        for left in (0..tries).rev() {
            // Made anew for another try: most batches are taken at the first, and a copy costs as much as they do.
            let spans: Vec<SpanData> = batch.iter().flat_map(Finished::to_spans).collect();
            let sending = self.exporter.export(spans);
            match tokio::time::timeout(PATIENCE, sending).await {
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

/// How the exporter's crate reaches the collector.
#[derive(Debug)]
struct Client(Outside);

// === impl Client ===

impl Client {
    async fn post(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (parts, body) = request.into_parts();
        let path = parts
            .uri
            .path_and_query()
            .map_or(PATH, |path| path.as_str());
        let asking = self.0.ask((Method::POST, path), &parts.headers, body);
        let (status, told) = asking.await?;
        Ok(Response::builder().status(status).body(told)?)
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        match tokio::time::timeout(PATIENCE, self.post(request)).await {
            Ok(answer) => answer,
            Err(_) => Err("no answer in time".into()),
        }
    }
}
