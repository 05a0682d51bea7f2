//! Owns the file that health outlives the process in: written beside the data path, read at the start. Must never stop
//! a process, hold a credential, or believe a file that is old or foreign.

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::config::snapshot::Snapshot;
use crate::core::catalog::{Credential, Endpoint, EndpointIx, HostIx, KeyIx};
use crate::core::health::{BreakerMemory, EndpointMemory, Health};
use crate::core::time::Time;
use crate::edge::clock::{Clock, unix_time};
use crate::edge::generation::Current;
use crate::edge::lifecycle::Lifecycle;

/// Of the file's layout: another one is foreign.
const FORMAT: u32 = 1;
/// What was measured longer ago than this is not believed (design section 7).
const OLDEST: Duration = Duration::from_secs(300);
/// How often it is written, where anything has changed.
const EVERY: Duration = Duration::from_secs(10);
/// No file of ours is larger: ten thousand endpoints with every kind of request.
const LARGEST: u64 = 64 * 1024 * 1024;
/// Digits of a fingerprint: enough to tell two credentials apart, too few to be of use elsewhere.
const DIGITS: usize = 16;

/// The file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    format: u32,
    /// Seconds since 1970.
    saved_at: f64,
    /// What the fingerprints are salted with, anew in each process.
    salt: String,
    endpoints: Vec<Entry<EndpointMemory>>,
    hosts: Vec<Entry<BreakerMemory>>,
    keys: Vec<Entry<BreakerMemory>>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry<M> {
    name: String,
    /// Of the server and model, of the credential: elsewhere, nothing learnt here holds.
    fingerprint: String,
    memory: M,
}

/// Why a file is not read.
#[derive(Debug, thiserror::Error)]
enum Unread {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("it is not ours: {0}")]
    Json(#[from] serde_json::Error),
    #[error("it is larger than any of ours")]
    Large,
    #[error("its format is {0}")]
    Format(u32),
    #[error("its date lies in the future")]
    Future,
}

/// Writes health to its file as long as the process serves, and once more at its end.
#[derive(Debug)]
pub(crate) struct Keeper {
    pub(crate) current: Current,
    pub(crate) clock: Clock,
    pub(crate) lifecycle: Arc<Lifecycle>,
}

// === impl Keeper ===

#[async_trait]
impl BackgroundService for Keeper {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let salt = Uuid::now_v7().to_string();
        let mut written = None;
        loop {
            let ends = tokio::select! {
                () = tokio::time::sleep(EVERY) => false,
                _ = shutdown.changed() => true,
            };
            self.keep(&salt, &mut written);
            if ends {
                return;
            }
        }
    }
}

impl Keeper {
    /// Writes whatever was written before.
    pub(crate) fn keep_now(&self) {
        self.keep(&Uuid::now_v7().to_string(), &mut None);
    }

    /// Writes where anything has changed since it was `written` last. A failure is told once until it passes.
    fn keep(&self, salt: &str, written: &mut Option<u64>) {
        if self.lifecycle.is_handed_over() {
            return;
        }
        let generation = self.current.load_full();
        let Some(path) = generation.snapshot.store.health.as_deref() else {
            return;
        };
        let mark = generation.health.mark();
        if *written == Some(mark) {
            return;
        }
        let now = self.clock.now();
        let stored = collect(&generation.snapshot, &generation.health, salt, now);
        match write(path, &stored) {
            Ok(()) => *written = Some(mark),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "health could not be written");
            }
        }
    }
}

/// Reads what the last process left, where the configuration names a file.
pub(crate) fn restore(snapshot: &Snapshot, health: &Health, now: Time) {
    let Some(path) = snapshot.store.health.as_deref() else {
        return;
    };
    match read(path) {
        Ok(Some((stored, away))) => apply(&stored, away, snapshot, health, now),
        Ok(None) => {}
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "health begins anew: the file is ignored");
        }
    }
}

/// The file and its age; `None` where there is none.
fn read(path: &Path) -> Result<Option<(Stored, Duration)>, Unread> {
    let length = match fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if length > LARGEST {
        return Err(Unread::Large);
    }
    let stored: Stored = serde_json::from_slice(&fs::read(path)?)?;
    if stored.format != FORMAT {
        return Err(Unread::Format(stored.format));
    }
    let age = unix_time().as_secs_f64() - stored.saved_at;
    // Clocks are set back by a little.
    if age < -60.0 {
        return Err(Unread::Future);
    }
    let age = Duration::try_from_secs_f64(age.max(0.0)).unwrap_or(Duration::MAX);
    Ok(Some((stored, age)))
}

fn apply(stored: &Stored, away: Duration, snapshot: &Snapshot, health: &Health, now: Time) {
    let names = Names::of(snapshot, &stored.salt);
    let fresh = away <= OLDEST;
    let mut known = 0_usize;
    for entry in &stored.endpoints {
        let Some(endpoint) = find(&names.endpoints, entry) else {
            continue;
        };
        if entry.memory.drained {
            health.drain(endpoint);
        }
        if fresh {
            known += 1;
            health.recall(endpoint, &entry.memory, away, now);
        }
    }
    if !fresh {
        tracing::info!(age = ?away, "the health of the last process is too old, and begins anew");
        return;
    }
    for entry in &stored.hosts {
        if let Some(host) = find(&names.hosts, entry) {
            health.recall_host(host, &entry.memory, away, now);
        }
    }
    for entry in &stored.keys {
        if let Some(key) = find(&names.keys, entry) {
            health.recall_key(key, &entry.memory, away, now);
        }
    }
    tracing::info!(endpoints = known, age = ?away, "health goes on from the last process");
}

fn find<I: Copy, M>(names: &HashMap<Name, I>, entry: &Entry<M>) -> Option<I> {
    let name = (entry.name.clone(), entry.fingerprint.clone());
    names.get(&name).copied()
}

fn collect(snapshot: &Snapshot, health: &Health, salt: &str, now: Time) -> Stored {
    let Names {
        endpoints,
        hosts,
        keys,
    } = Names::of(snapshot, salt);
    Stored {
        format: FORMAT,
        saved_at: unix_time().as_secs_f64(),
        salt: salt.to_owned(),
        endpoints: entries(endpoints, |ix| health.remember(ix, now)),
        hosts: entries(hosts, |ix| health.remember_host(ix, now)),
        keys: entries(keys, |ix| health.remember_key(ix, now)),
    }
}

fn entries<I, M>(names: HashMap<Name, I>, remember: impl Fn(I) -> M) -> Vec<Entry<M>> {
    let entry = |((name, fingerprint), ix)| Entry {
        name,
        fingerprint,
        memory: remember(ix),
    };
    names.into_iter().map(entry).collect()
}

/// Replaces the file in one step: a reader finds the old one or the new one, whole.
fn write(path: &Path, stored: &Stored) -> std::io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let mut file = fs::File::create(&beside)?;
    file.write_all(&serde_json::to_vec(stored)?)?;
    file.sync_all()?;
    fs::rename(&beside, path)
}

/// A name and a fingerprint.
type Name = (String, String);

/// What there is to remember, by names that hold in another process too.
#[derive(Debug)]
struct Names {
    endpoints: HashMap<Name, EndpointIx>,
    hosts: HashMap<Name, HostIx>,
    keys: HashMap<Name, KeyIx>,
}

impl Names {
    fn of(snapshot: &Snapshot, salt: &str) -> Self {
        let catalog = &snapshot.catalog;
        let endpoints = catalog.endpoints().iter().enumerate();
        let hosts = catalog.hosts().iter().enumerate();
        let keys = catalog.credentials().iter().enumerate();
        Self {
            endpoints: endpoints
                .map(|(ix, endpoint)| {
                    let fingerprint = digest(salt, &server(snapshot, endpoint));
                    let name = endpoint.id.to_string();
                    ((name, fingerprint), EndpointIx::new(ix))
                })
                .collect(),
            hosts: hosts
                .map(|(ix, host)| ((host.to_string(), String::new()), HostIx::new(ix)))
                .collect(),
            keys: keys
                .map(|(ix, key)| {
                    let fingerprint = digest(salt, &secret(snapshot, key));
                    let name = format!("{}/{}", key.provider, key.key);
                    ((name, fingerprint), KeyIx::new(ix))
                })
                .collect(),
        }
    }
}

/// Where an endpoint's requests go, and what they ask for there.
fn server(snapshot: &Snapshot, endpoint: &Endpoint) -> String {
    let base = &snapshot.providers[&endpoint.provider].base;
    format!(
        "{} {} {} {} {}",
        base.tls, base.host, base.port, base.path, endpoint.upstream_model
    )
}

fn secret(snapshot: &Snapshot, credential: &Credential) -> String {
    let keys = &snapshot.providers[&credential.provider].keys;
    let found = keys.iter().find(|(name, _)| *name == credential.key);
    let secret = found.and_then(|(_, secret)| secret.as_ref());
    secret.map_or_else(String::new, |secret| secret.expose().to_owned())
}

fn digest(salt: &str, what: &str) -> String {
    let digest = Sha256::new()
        .chain_update(salt)
        .chain_update(what)
        .finalize();
    let mut digits = format!("{digest:x}");
    digits.truncate(DIGITS);
    digits
}
