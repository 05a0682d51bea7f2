//! Owns the status page's past: the task that notes where every endpoint stands, and the answer that tells of it. Must
//! never note more often than [`STEP`], or tell of endpoints that are gone.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use http::{Response, StatusCode};
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use serde::Serialize;

use crate::core::catalog::EndpointIx;
use crate::core::health::Kind;
use crate::edge::admin::json;
use crate::edge::clock::{Clock, wall_clock};
use crate::edge::generation::{Current, Generation};
use crate::edge::planning::shares;
use crate::edge::telemetry::{Moment, STEP, Stood, Telemetry};

/// Draws of one moment, over all endpoints, and at most for one model: a line of 20 pixels asks for no more.
const DRAWS: (u32, u32) = (50_000, 50);

/// Notes where endpoints stand, whether or not a page is open.
#[derive(Debug)]
pub(crate) struct Historian {
    pub(crate) current: Current,
    pub(crate) clock: Clock,
    pub(crate) telemetry: Arc<Telemetry>,
}

/// The last minutes of the endpoints that there are.
#[derive(Debug, Serialize)]
struct Past<'a> {
    /// Milliseconds of the Unix clock, the oldest first.
    at: Vec<u64>,
    endpoints: BTreeMap<&'a str, Lines>,
}

/// One endpoint at those moments; null where it was not there, or nothing was known.
#[derive(Debug, Default, Serialize)]
struct Lines {
    health: Vec<Option<f32>>,
    share: Vec<Option<f32>>,
    p50: Vec<Option<f64>>,
    p95: Vec<Option<f64>>,
}

#[async_trait]
impl BackgroundService for Historian {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        loop {
            self.note();
            tokio::select! {
                () = tokio::time::sleep(STEP) => {}
                _ = shutdown.changed() => return,
            }
        }
    }
}

impl Historian {
    fn note(&self) {
        let generation = self.current.load_full();
        let now = self.clock.now();
        let shares = shares(&generation.snapshot, &generation.health, DRAWS, now);
        let stood = |endpoint: EndpointIx| {
            let health = &generation.health;
            let first = health.endpoint(endpoint).show(now).first_content;
            let millis = |time: std::time::Duration| (time.as_secs_f64() * 1e3).round();
            Stood {
                health: rounded(health.view(endpoint, Kind::Stream, now).expected),
                share: rounded(shares.get(&endpoint).copied().unwrap_or_default()),
                first_token: first.map(|known| (millis(known.p50), millis(known.p95))),
            }
        };
        self.telemetry.history.keep(Moment {
            at: wall_clock(),
            names: generation.names.clone(),
            stood: generation.endpoints().map(stood).collect(),
        });
    }
}

/// Answers `GET /api/history`.
pub(super) fn answer(generation: &Generation, telemetry: &Telemetry) -> Response<Vec<u8>> {
    let moments = telemetry.history.moments();
    let there = generation.endpoints().map(|ix| generation.id(ix));
    let mut endpoints: BTreeMap<&str, Lines> = there.map(|id| (id, Lines::default())).collect();
    for (nth, moment) in moments.iter().enumerate() {
        for (id, stood) in moment.endpoints() {
            if let Some(lines) = endpoints.get_mut(id) {
                lines.add(Some(stood));
            }
        }
        for lines in endpoints
            .values_mut()
            .filter(|lines| lines.health.len() <= nth)
        {
            lines.add(None);
        }
    }
    let since = |at: std::time::SystemTime| {
        let since = at.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    };
    let at = moments.iter().map(|moment| since(moment.at)).collect();
    json(StatusCode::OK, &Past { at, endpoints })
}

impl Lines {
    fn add(&mut self, stood: Option<Stood>) {
        let first = stood.and_then(|stood| stood.first_token);
        self.health.push(stood.map(|stood| stood.health));
        self.share.push(stood.map(|stood| stood.share));
        self.p50.push(first.map(|(p50, _)| p50));
        self.p95.push(first.map(|(_, p95)| p95));
    }
}

/// Three digits: it is drawn.
fn rounded(ratio: f32) -> f32 {
    (ratio * 1e3).round() / 1e3
}
