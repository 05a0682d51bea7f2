//! Owns the change from one configuration to the next as a transaction: read, check, build, swap, report. A file
//! that cannot be used leaves the old generation serving. Must never drop a request. Beside it: `triggers`.

mod triggers;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

use crate::config::diff::Diff;
use crate::config::{self, ConfigError, Loaded};
use crate::edge::admin::Reloaded;
use crate::edge::generation::Generation;
use crate::edge::plugin::{Applied, Mainstay};
use crate::edge::tls::Shown;

use triggers::Trigger;
pub(crate) use triggers::Triggers;

/// Changes that the log tells one by one.
const TOLD: usize = 20;

/// Watches the files of one configuration and applies them.
#[derive(Debug)]
pub(crate) struct Reloader {
    path: PathBuf,
    mainstay: Mainstay,
    /// The certificates that listeners show.
    shown: Arc<Shown>,
    /// The hash of what was tried last, good or bad.
    tried: String,
    /// Generations that served before, as long as requests finish on them. Held, so that the last of those requests
    /// does not free a whole generation on a thread that others wait for: that is done here.
    retired: Vec<Arc<Generation>>,
}

impl Reloader {
    pub(crate) fn new(path: PathBuf, mainstay: Mainstay, shown: Arc<Shown>) -> Self {
        let tried = mainstay.current().load().hash.clone();
        Self {
            path,
            mainstay,
            shown,
            tried,
            retired: Vec::new(),
        }
    }

    /// Applies the file whenever a trigger fires. Ends only with its task.
    pub(crate) async fn run(mut self, mut triggers: Triggers) {
        triggers.hear(self.mainstay.reloads().requests());
        loop {
            let generation = self.mainstay.current().load_full();
            let files = generation.files().iter().map(|file| file.path.as_path());
            triggers.watch(files.chain([self.path.as_path()]));
            drop(generation);
            let trigger = triggers.next().await;
            let reloaded = self.look(&trigger);
            self.free_unused();
            if let (Trigger::Operator(request), Some(reloaded)) = (trigger, reloaded) {
                // Who asked may have gone.
                let _gone = request.send(reloaded);
            }
        }
    }

    /// Reads the file; applies it where it is new. `None`: nobody asked, and there is nothing to say.
    fn look(&mut self, trigger: &Trigger) -> Option<Reloaded> {
        match config::load(&self.path, &|name| std::env::var(name).ok()) {
            Ok(loaded) if loaded.hash == self.serving() => Some(self.unchanged(&loaded, trigger)),
            // What failed beyond the text (a file that it names) is tried again when someone says so.
            Ok(loaded) if loaded.hash == self.tried && matches!(trigger, Trigger::Poll) => None,
            Ok(loaded) => {
                self.tried.clone_from(&loaded.hash);
                Some(self.apply(loaded, trigger))
            }
            Err(error) => self.unusable(&error, trigger),
        }
    }

    /// Frees what no request uses any more; time is a trigger too, so that none is kept for long.
    fn free_unused(&mut self) {
        self.retired
            .retain(|generation| Arc::strong_count(generation) > 1);
    }

    fn serving(&self) -> String {
        self.mainstay.current().load().hash.clone()
    }

    fn number(&self) -> u64 {
        self.mainstay.current().load().number
    }

    fn unusable(&mut self, error: &ConfigError, trigger: &Trigger) -> Option<Reloaded> {
        let why = error.to_string();
        let tried = format!("refused {why}");
        if self.tried == tried && !trigger.is_asked_for() {
            return None;
        }
        self.tried = tried;
        self.mainstay.refuse(why.clone());
        self.say_refused(&why, trigger);
        Some(Reloaded::Refused {
            generation: self.number(),
            findings: error.findings().to_vec(),
            error: None,
        })
    }

    fn unchanged(&mut self, loaded: &Loaded, trigger: &Trigger) -> Reloaded {
        if self.tried != loaded.hash {
            tracing::info!(
                reason = trigger.name(),
                "the file is again the one that serves"
            );
            self.mainstay.mend();
        } else if trigger.is_asked_for() {
            tracing::info!(
                reason = trigger.name(),
                "reload asked for; the file has not changed"
            );
        }
        self.tried.clone_from(&loaded.hash);
        Reloaded::Unchanged {
            generation: self.number(),
        }
    }

    fn apply(&mut self, loaded: Loaded, trigger: &Trigger) -> Reloaded {
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        let warnings = loaded.warnings.clone();
        let last = self.mainstay.current().load_full();
        let Applied {
            generation,
            changes,
        } = match self.mainstay.apply(loaded) {
            Ok(applied) => applied,
            Err(error) => {
                let why = error.to_string();
                self.say_refused(&why, trigger);
                return Reloaded::Refused {
                    generation: self.number(),
                    findings: Vec::new(),
                    error: Some(why),
                };
            }
        };
        self.retired.push(last);
        self.shown
            .replace(self.mainstay.current().load_full().identities());
        say_applied(generation, &changes, trigger);
        Reloaded::Applied {
            generation,
            changes,
            warnings,
        }
    }

    fn say_refused(&self, why: &str, trigger: &Trigger) {
        let (generation, reason) = (self.number(), trigger.name());
        tracing::error!(
            reason,
            "configuration refused, generation {generation} serves on\n{why}"
        );
    }
}

fn say_applied(generation: u64, changes: &Diff, trigger: &Trigger) {
    let reason = trigger.name();
    let mut told: Vec<String> = changes
        .changes
        .iter()
        .take(TOLD)
        .map(ToString::to_string)
        .collect();
    let more = changes.changes.len().saturating_sub(TOLD);
    if more > 0 {
        told.push(format!("and {more} more"));
    }
    let told = told.join("; ");
    tracing::info!(generation, reason, changes = %told, "configuration applied");
    for change in changes.restarts() {
        tracing::warn!("{change}");
    }
}
