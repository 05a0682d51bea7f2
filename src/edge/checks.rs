//! Owns the task that runs active checks: one loop for each provider that asks for them, as long as the generation
//! that serves does. A loop whose settings stay survives a reload. Must never keep a server out for good: a check
//! only says who is asked first.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::core::names::ProviderName;
use crate::edge::balance::Verdict;
use crate::edge::generation::Current;
use crate::edge::probe::Probe;
use crate::edge::telemetry::{CheckMetrics, Telemetry};

/// Failed checks in a row that make a server one that is down: one alone may be an accident.
const FAILURES: u32 = 2;

/// Runs the checks of whatever generation serves, until its service ends.
#[derive(Debug)]
pub(crate) struct Checks {
    pub(crate) current: Current,
    pub(crate) applied: Arc<Notify>,
    pub(crate) telemetry: Arc<Telemetry>,
}

/// The loop of one provider. Dropping it ends the loop.
struct Running {
    probe: Arc<Probe>,
    task: JoinSet<()>,
}

#[async_trait]
impl BackgroundService for Checks {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        tokio::select! {
            () = self.follow() => {}
            _ = shutdown.changed() => {}
        }
    }
}

impl Checks {
    async fn follow(&self) {
        let mut running = HashMap::new();
        loop {
            let probes = self.current.load().probes.clone();
            self.reconcile(&mut running, probes).await;
            self.applied.notified().await;
        }
    }

    /// Ends what is not asked for any more before it begins what is: both speak of the same servers.
    async fn reconcile(
        &self,
        running: &mut HashMap<ProviderName, Running>,
        probes: Vec<Arc<Probe>>,
    ) {
        let asked = |it: &Running| {
            let mut probes = probes.iter();
            probes.any(|probe| probe.provider == it.probe.provider && probe.is_like(&it.probe))
        };
        for (_, mut gone) in running.extract_if(|_, it| !asked(it)) {
            gone.task.shutdown().await;
        }
        for probe in probes {
            running.entry(probe.provider.clone()).or_insert_with(|| {
                let mut task = JoinSet::new();
                task.spawn(watch(probe.clone(), self.telemetry.clone()));
                Running { probe, task }
            });
        }
    }
}

/// Checks all servers of a provider, again and again.
async fn watch(probe: Arc<Probe>, telemetry: Arc<Telemetry>) {
    let mut watched = Watched {
        provider: probe.provider.clone(),
        metrics: &telemetry.metrics.checks,
        servers: HashMap::new(),
    };
    watched.metrics.begin(&watched.provider);
    loop {
        if let Some(addresses) = probe.addresses().await {
            watched.keep(&addresses, &probe);
        }
        let mut asking = JoinSet::new();
        for at in watched.servers.keys().copied() {
            let probe = probe.clone();
            asking.spawn(async move { (at, probe.ask(at).await) });
        }
        while let Some(asked) = asking.join_next().await {
            if let Ok((at, answer)) = asked {
                watched.hear(at, answer);
            }
        }
        tokio::time::sleep(probe.interval()).await;
    }
}

/// The servers of one provider under watch. When it goes, they count as up again, and their series end.
struct Watched<'a> {
    provider: ProviderName,
    metrics: &'a CheckMetrics,
    servers: HashMap<SocketAddr, Server>,
}

struct Server {
    verdict: Arc<Verdict>,
    /// In a row.
    failures: u32,
}

impl Watched<'_> {
    /// Watches these servers and no others.
    fn keep(&mut self, addresses: &[SocketAddr], probe: &Probe) {
        let gone = |at: &SocketAddr, _: &mut Server| !addresses.contains(at);
        for (at, server) in self.servers.extract_if(gone) {
            forget(self.metrics, &self.provider, at, &server);
        }
        for at in addresses {
            self.servers.entry(*at).or_insert_with(|| {
                self.metrics.show(&self.provider, *at, true);
                Server {
                    verdict: probe.verdict(*at),
                    failures: 0,
                }
            });
        }
    }

    fn hear(&mut self, at: SocketAddr, answer: pingora::Result<()>) {
        let Some(server) = self.servers.get_mut(&at) else {
            return;
        };
        server.failures = match &answer {
            Ok(()) => 0,
            Err(_) => server.failures.saturating_add(1),
        };
        let (was_down, is_down) = (server.verdict.is_down(), server.failures >= FAILURES);
        server.verdict.set(!is_down);
        let address = at.to_string();
        self.metrics.count(&self.provider, answer.is_ok());
        self.metrics.show(&self.provider, at, !is_down);
        let provider = self.provider.as_str();
        match answer {
            Err(error) if is_down && !was_down => {
                tracing::warn!(provider, address, %error, "address fails its health check");
            }
            _ if was_down && !is_down => {
                tracing::info!(provider, address, "address passes its health check again");
            }
            Ok(()) | Err(_) => {}
        }
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        for (at, server) in self.servers.drain() {
            forget(self.metrics, &self.provider, at, &server);
        }
        self.metrics.end(&self.provider);
    }
}

fn forget(metrics: &CheckMetrics, provider: &ProviderName, at: SocketAddr, server: &Server) {
    server.verdict.set(true);
    metrics.forget(provider, at);
}
