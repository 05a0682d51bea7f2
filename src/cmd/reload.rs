//! Owns the change from one configuration to the next: when to look, and the transaction itself. A file that
//! cannot be used leaves the old generation serving. Must never drop a request.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;

use crate::config::snapshot::Server;
use crate::config::{self, Loaded};
use crate::edge::generation::Generation;
use crate::edge::plugin::Mainstay;
use crate::edge::tls::Shown;

/// After a file event, how long its writer may go on before the file is read.
const DEBOUNCE: Duration = Duration::from_millis(100);
/// How often the file is read without an event: some file systems have none.
const POLL: Duration = Duration::from_secs(10);

/// Watches one file and applies it.
#[derive(Debug)]
pub(crate) struct Reloader {
    path: PathBuf,
    mainstay: Mainstay,
    /// The certificates that listeners show.
    shown: Arc<Shown>,
    /// The hash of the text that was tried last, good or bad.
    tried: String,
}

/// Why the file is read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    Signal,
    FileEvent,
    Poll,
}

/// The triggers of a reload, armed.
#[derive(Debug)]
pub(crate) struct Triggers {
    hangup: Signal,
    changed: Arc<Notify>,
    /// Watches as long as it lives. `None` where the system has no file events.
    _watcher: Option<RecommendedWatcher>,
}

impl Triggers {
    /// Arms the signal and the file events. Must be called on a runtime, before anyone could send SIGHUP: without
    /// a handler it kills the process.
    ///
    /// # Errors
    /// The signal cannot be received.
    pub(crate) fn arm(path: &Path) -> std::io::Result<Self> {
        let changed = Arc::new(Notify::new());
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            _watcher: watch(path, changed.clone()),
            changed,
        })
    }

    async fn next(&mut self) -> Reason {
        tokio::select! {
            _ = self.hangup.recv() => Reason::Signal,
            () = self.changed.notified() => {
                tokio::time::sleep(DEBOUNCE).await;
                Reason::FileEvent
            }
            () = tokio::time::sleep(POLL) => Reason::Poll,
        }
    }
}

/// Watches the folder: an editor or Kubernetes replaces the file, and a watch on the old one sees nothing.
fn watch(path: &Path, changed: Arc<Notify>) -> Option<RecommendedWatcher> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or_else(|| Path::new("."));
    let name = path.file_name().map(OsStr::to_owned);
    let on_event = move |event: notify::Result<notify::Event>| {
        // Reading the file ourselves is an event too; answering it would never end.
        let concerns_us =
            |event: &notify::Event| !event.kind.is_access() && is_about(event, name.as_deref());
        if event.is_ok_and(|event| concerns_us(&event)) {
            changed.notify_one();
        }
    };
    let watcher = notify::recommended_watcher(on_event).and_then(|mut watcher| {
        watcher.watch(folder, RecursiveMode::NonRecursive)?;
        Ok(watcher)
    });
    watcher
        .inspect_err(|error| {
            tracing::warn!(%error, "no file events here: the file is polled and SIGHUP works");
        })
        .ok()
}

/// Whether an event is about the file, or about the links through which Kubernetes swaps it (`..data`). A log
/// in the same folder changes all the time.
fn is_about(event: &notify::Event, file: Option<&OsStr>) -> bool {
    event.paths.iter().any(|path| {
        let changed = path.file_name();
        changed == file || changed.is_some_and(|name| name.to_string_lossy().starts_with(".."))
    })
}

impl Reloader {
    pub(crate) fn new(path: PathBuf, mainstay: Mainstay, shown: Arc<Shown>) -> Self {
        let tried = mainstay.current().load().hash.clone();
        Self {
            path,
            mainstay,
            shown,
            tried,
        }
    }

    /// Applies the file whenever a trigger fires. Ends only with its task.
    pub(crate) async fn run(mut self, mut triggers: Triggers) {
        loop {
            let reason = triggers.next().await;
            self.look(reason);
        }
    }

    /// Reads the file; applies it where it is new.
    fn look(&mut self, reason: Reason) {
        let loaded = match config::load(&self.path, &|name| std::env::var(name).ok()) {
            Ok(loaded) => loaded,
            Err(error) => {
                let why = error.to_string();
                let tried = format!("refused {why}");
                if self.tried != tried || reason == Reason::Signal {
                    self.refuse(&why, reason);
                }
                self.tried = tried;
                return;
            }
        };
        if loaded.hash == self.mainstay.current().load().hash {
            self.unchanged(&loaded, reason);
            return;
        }
        // What failed beyond the text (a file that it names) is tried again when someone says so.
        if self.tried == loaded.hash && reason == Reason::Poll {
            return;
        }
        self.tried.clone_from(&loaded.hash);
        self.apply(loaded, reason);
    }

    fn unchanged(&mut self, loaded: &Loaded, reason: Reason) {
        if self.tried != loaded.hash {
            tracing::info!(?reason, "the file is again the one that serves");
            self.mainstay.mend();
        } else if reason == Reason::Signal {
            tracing::info!("reload asked for; the file has not changed");
        }
        self.tried.clone_from(&loaded.hash);
    }

    fn apply(&self, loaded: Loaded, reason: Reason) {
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        let last = self.mainstay.current().load_full();
        let generation = match self.mainstay.apply(loaded) {
            Ok(generation) => generation,
            Err(error) => return self.say_refused(&error.to_string(), reason),
        };
        let next = self.mainstay.current().load_full();
        self.shown.replace(next.identities());
        for what in needs_restart(&last, &next) {
            tracing::warn!("`{what}` has changed: that takes a restart");
        }
        tracing::info!(generation, ?reason, "configuration applied");
    }

    fn refuse(&self, why: &str, reason: Reason) {
        self.mainstay.refuse(why.to_owned());
        self.say_refused(why, reason);
    }

    fn say_refused(&self, why: &str, reason: Reason) {
        let generation = self.mainstay.current().load().number;
        tracing::error!(
            ?reason,
            "configuration refused, generation {generation} serves on\n{why}"
        );
    }
}

/// What a running process cannot change.
fn needs_restart(last: &Generation, next: &Generation) -> Vec<&'static str> {
    let (from, to) = (&last.snapshot.server, &next.snapshot.server);
    let changes = [
        (sockets(from) != sockets(to), "server.listen"),
        (asks_others(last, next), "client_ca_file"),
        (from.admin.listen != to.admin.listen, "server.admin.listen"),
        (from.threads != to.threads, "server.threads"),
    ];
    changes
        .into_iter()
        .filter_map(|(changed, what)| changed.then_some(what))
        .collect()
}

/// What a listener is bound to. The certificate it shows can change.
fn sockets(server: &Server) -> Vec<(SocketAddr, bool)> {
    let listen = server.listen.iter();
    listen
        .map(|listener| (listener.address, listener.tls.is_some()))
        .collect()
}

/// Whether a listener that stays asks its clients for other certificates.
fn asks_others(last: &Generation, next: &Generation) -> bool {
    last.identities().any(|(listener, identity)| {
        let mut next = next.identities();
        let same = next.find(|(other, _)| other.address == listener.address);
        same.is_some_and(|(_, other)| !identity.asks_like(other))
    })
}
