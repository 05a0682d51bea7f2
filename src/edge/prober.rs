//! Owns the task that sends probes of our own, where the configuration asks for them: it looks around, and health says
//! whom to ask. Must never send anything unasked, to a drained endpoint, or while the process drains.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use tokio::task::JoinSet;

use crate::core::catalog::EndpointIx;
use crate::core::exchange::Usage;
use crate::core::health::{ActiveEnd, ActiveErrand};
use crate::core::outcome::{Class, Evidence, classify};
use crate::core::time::Time;
use crate::edge::generation::Generation;
use crate::edge::proxy::{Gateway, Probing};

/// How often it looks around: so many times between two probes, and never more often or more seldom than this.
const LOOKS: u32 = 10;
const MOST_OFTEN: Duration = Duration::from_millis(20);
const MOST_SELDOM: Duration = Duration::from_secs(1);

/// Probes on behalf of whatever generation serves, until its service ends.
#[derive(Debug)]
pub(crate) struct Prober {
    pub(crate) gateway: Gateway,
}

#[async_trait]
impl BackgroundService for Prober {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        tokio::select! {
            () = self.follow() => {}
            _ = shutdown.changed() => {}
        }
    }
}

impl Prober {
    /// Ends when the process drains, and what is under way with it.
    async fn follow(&self) {
        let mut under_way = JoinSet::new();
        while !self.gateway.lifecycle.is_draining() {
            let generation = self.gateway.current.load_full();
            let settings = generation.health.settings().active_probe;
            if settings.is_some() {
                self.look_around(&generation, &mut under_way);
            }
            while under_way.try_join_next().is_some() {}
            let pause = settings.map_or(MOST_SELDOM, |settings| settings.every / LOOKS);
            tokio::time::sleep(pause.clamp(MOST_OFTEN, MOST_SELDOM)).await;
        }
    }

    fn look_around(&self, generation: &Arc<Generation>, under_way: &mut JoinSet<()>) {
        for endpoint in generation.endpoints() {
            let now = self.gateway.clock.now();
            // Of a wildcard nobody knows a model to ask for.
            let catalog = &generation.snapshot.catalog;
            let model = catalog.endpoint(endpoint).model;
            if catalog.model(model).is_wildcard() {
                continue;
            }
            if let Some(errand) = generation.health.begin_active_probe(endpoint, now) {
                let probe = Probe {
                    gateway: self.gateway.clone(),
                    generation: generation.clone(),
                    endpoint,
                    errand,
                    started: now,
                    ended: false,
                };
                under_way.spawn(probe.run());
            }
        }
    }
}

/// A probe under way. Dropped before its end, it gives its place back.
struct Probe {
    gateway: Gateway,
    generation: Arc<Generation>,
    endpoint: EndpointIx,
    errand: ActiveErrand,
    started: Time,
    ended: bool,
}

impl Probe {
    async fn run(mut self) {
        let probing = Probing {
            generation: self.generation.clone(),
            connector: self.gateway.connector.clone(),
            endpoint: self.endpoint,
        };
        let (class, retry_after) = match probing.run(self.errand).await {
            Ok(usage) => {
                self.charge(usage);
                (Class::Success, None)
            }
            Err(evidence) => (classify(&evidence, false), retry_after(&evidence)),
        };
        if self.end(class, retry_after) {
            let series = self.generation.endpoint_metrics(self.endpoint);
            series.count_trip(class);
        }
        let endpoint = self.generation.id(self.endpoint);
        tracing::debug!(endpoint, outcome = class.as_str(), "active probe");
        let metrics = &self.gateway.telemetry.metrics;
        metrics.probes.count(class == Class::Success);
    }

    /// Tells health. Returns whether the probe tripped a breaker.
    fn end(&mut self, class: Class, retry_after: Option<Duration>) -> bool {
        self.ended = true;
        let end = ActiveEnd {
            errand: self.errand,
            class,
            retry_after,
            started: self.started,
            jitter: fastrand::f32(),
        };
        let now = self.gateway.clock.now();
        self.generation
            .health
            .end_active_probe(self.endpoint, &end, now)
    }

    /// What it cost goes to nobody's request.
    fn charge(&self, usage: Option<Usage>) {
        let Some(usage) = usage else {
            return;
        };
        let price = self
            .generation
            .snapshot
            .catalog
            .endpoint(self.endpoint)
            .price;
        let cost = price.of(usage.prompt_tokens, usage.completion_tokens);
        self.gateway.telemetry.metrics.probes.charge(cost);
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        if !self.ended {
            self.end(Class::Superseded, None);
        }
    }
}

fn retry_after(evidence: &Evidence) -> Option<Duration> {
    match evidence {
        Evidence::Status(facts) | Evidence::InAnswer(facts) => facts.retry_after,
        _ => None,
    }
}
