//! Owns when the configuration is read again: a signal, a change in one of the folders that hold its files, an
//! operator's request, or time. Must never read a file itself.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, mpsc};

use crate::edge::admin::Request;

/// After a file event, how long its writer may go on before the file is read.
const DEBOUNCE: Duration = Duration::from_millis(100);
/// How often the files are read without an event: some file systems have none.
const POLL: Duration = Duration::from_secs(10);

/// Why the files are read again.
#[derive(Debug)]
pub(super) enum Trigger {
    Signal,
    FileEvent,
    Poll,
    /// Someone waits for the answer.
    Operator(Request),
}

impl Trigger {
    /// Whether someone asked, and is told also that nothing has changed.
    pub(super) fn is_asked_for(&self) -> bool {
        match self {
            Self::Signal | Self::Operator(_) => true,
            Self::FileEvent | Self::Poll => false,
        }
    }

    /// For the log.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Signal => "signal",
            Self::FileEvent => "file event",
            Self::Poll => "poll",
            Self::Operator(_) => "operator",
        }
    }
}

/// The triggers of a reload, armed.
#[derive(Debug)]
pub(crate) struct Triggers {
    hangup: Signal,
    requests: Option<mpsc::Receiver<Request>>,
    changed: Arc<Notify>,
    watched: Folders,
    /// Watches as long as it lives. `None` where the system has no file events.
    watcher: Option<RecommendedWatcher>,
}

/// The names of interest in each folder.
type Folders = BTreeMap<PathBuf, BTreeSet<OsString>>;

impl Triggers {
    /// Arms the signal and the events of the configuration's own file. Must be called on a runtime, before anyone
    /// could send SIGHUP: without a handler it kills the process.
    ///
    /// # Errors
    /// The signal cannot be received.
    pub(crate) fn arm(path: &Path) -> std::io::Result<Self> {
        let mut triggers = Self {
            hangup: signal(SignalKind::hangup())?,
            requests: None,
            changed: Arc::default(),
            watched: Folders::new(),
            watcher: None,
        };
        triggers.watch([path]);
        Ok(triggers)
    }

    /// Takes operators' requests too.
    pub(super) fn hear(&mut self, requests: Option<mpsc::Receiver<Request>>) {
        self.requests = requests;
    }

    /// Watches these files, and no others any more.
    pub(super) fn watch<'p>(&mut self, files: impl IntoIterator<Item = &'p Path>) {
        let folders = folders(files);
        if folders != self.watched {
            self.watcher = watcher(&folders, self.changed.clone());
            self.watched = folders;
        }
    }

    pub(super) async fn next(&mut self) -> Trigger {
        let requests = &mut self.requests;
        let request = async {
            match requests {
                Some(requests) => requests.recv().await,
                None => None,
            }
        };
        tokio::select! {
            _ = self.hangup.recv() => Trigger::Signal,
            Some(request) = request => Trigger::Operator(request),
            () = self.changed.notified() => {
                tokio::time::sleep(DEBOUNCE).await;
                Trigger::FileEvent
            }
            () = tokio::time::sleep(POLL) => Trigger::Poll,
        }
    }
}

/// An editor or Kubernetes replaces a file, and a watch on the old one sees nothing: folders are watched.
fn folders<'p>(files: impl IntoIterator<Item = &'p Path>) -> Folders {
    let mut folders = Folders::new();
    for file in files {
        let folder = file
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or_else(|| Path::new("."));
        let names = folders.entry(folder.to_owned()).or_default();
        names.extend(file.file_name().map(ToOwned::to_owned));
    }
    folders
}

fn watcher(folders: &Folders, changed: Arc<Notify>) -> Option<RecommendedWatcher> {
    let names: BTreeSet<OsString> = folders.values().flatten().cloned().collect();
    let on_event = move |event: notify::Result<notify::Event>| {
        // Reading the file ourselves is an event too; answering it would never end.
        let concerns_us =
            |event: &notify::Event| !event.kind.is_access() && is_about(event, &names);
        if event.is_ok_and(|event| concerns_us(&event)) {
            changed.notify_one();
        }
    };
    let mut watcher = notify::recommended_watcher(on_event)
        .inspect_err(|error| {
            tracing::warn!(%error, "no file events here: files are polled and SIGHUP works");
        })
        .ok()?;
    for folder in folders.keys() {
        if let Err(error) = watcher.watch(folder, RecursiveMode::NonRecursive) {
            let folder = folder.display();
            tracing::warn!(%error, "no file events in {folder}: its files are polled");
        }
    }
    Some(watcher)
}

/// Whether an event is about one of the files, or about the links through which Kubernetes swaps them (`..data`).
/// A log in the same folder changes all the time.
fn is_about(event: &notify::Event, files: &BTreeSet<OsString>) -> bool {
    event.paths.iter().any(|path| {
        path.file_name()
            .is_some_and(|name| files.contains(name) || name.to_string_lossy().starts_with(".."))
    })
}
