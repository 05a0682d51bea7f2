//! Owns the fetching of access tokens: one task for each grant, which asks in time and again after a failure. Must never ask twice
//! at once for one grant, or let one source hold up another.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use tokio::task::JoinSet;

use crate::edge::clock::unix_time;
use crate::edge::dns::Resolver;
use crate::edge::google;
use crate::edge::outside::Outside;
use crate::edge::tokens::{Grant, Tokens};

/// A token is fetched anew so long before it ends, and one that holds less than twice as long when half of it is over.
const EARLY: Duration = Duration::from_secs(300);
/// Never more often than this.
const SHORTEST: Duration = Duration::from_millis(500);
/// How long a source may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// The pause after a first failure; it doubles up to the longest.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How often it looks whether anybody still has the grant.
const LOOK: Duration = Duration::from_secs(30);

/// Keeps the tokens of whatever generation serves, until its service ends.
#[derive(Debug)]
pub(crate) struct TokenKeeper {
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) resolver: Arc<Resolver>,
}

#[async_trait]
impl BackgroundService for TokenKeeper {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        tokio::select! {
            () = self.follow() => {}
            _ = shutdown.changed() => {}
        }
    }
}

// === impl TokenKeeper ===

impl TokenKeeper {
    async fn follow(&self) {
        // They end with it.
        let mut keeping = JoinSet::new();
        loop {
            for grant in self.tokens.take_unkept() {
                keeping.spawn(keep(grant, self.resolver.clone()));
            }
            while keeping.try_join_next().is_some() {}
            self.tokens.came.notified().await;
        }
    }
}

/// Keeps one grant as long as anybody has it.
async fn keep(grant: Weak<Grant>, resolver: Arc<Resolver>) {
    let mut failures = 0;
    let mut source = None;
    while let Some(held) = grant.upgrade() {
        let asked = fetch(&held, &resolver, &mut source).await;
        let pause = match asked {
            Ok(lifetime) => {
                if failures > 0 {
                    tracing::info!(source = %held.asker.at(), "access tokens are given again");
                }
                failures = 0;
                until_next(lifetime)
            }
            Err(why) => {
                let without = held.fail();
                if failures == 0 || without {
                    tracing::warn!(source = %held.asker.at(), error = why, without, "no access token could be fetched");
                }
                failures += 1;
                after(failures).mul_f64(0.5 + 0.5 * fastrand::f64())
            }
        };
        let wanted = held.wanted.clone();
        drop(held);
        let due = Instant::now() + pause;
        while Instant::now() < due && grant.strong_count() > 0 {
            let left = due.saturating_duration_since(Instant::now());
            let is_wanted = tokio::time::timeout(left.min(LOOK), wanted.notified()).await;
            if is_wanted.is_ok() {
                break;
            }
        }
    }
}

/// Fetches one token. Returns how long it holds.
async fn fetch(
    grant: &Grant,
    resolver: &Arc<Resolver>,
    source: &mut Option<Outside>,
) -> Result<Duration, String> {
    let known = match source.take() {
        Some(known) => known,
        None => {
            Outside::new("google", grant.asker.at(), resolver).map_err(|error| error.to_string())?
        }
    };
    let known = source.insert(known);
    let asked = Instant::now();
    let question = grant.asker.question(unix_time());
    let asking = known.ask(
        (question.method, &question.path),
        &question.headers,
        question.body,
    );
    let (status, body) = match tokio::time::timeout(PATIENCE, asking).await {
        Ok(answer) => answer.map_err(|error| error.to_string())?,
        Err(_) => return Err("no answer in time".to_owned()),
    };
    let (token, lifetime) = google::read(status, &body)?;
    match grant.hold(&token, lifetime, asked) {
        true => Ok(lifetime),
        false => Err("the token holds characters that no header can carry".to_owned()),
    }
}

/// How long after it was fetched a token is fetched anew.
fn until_next(lifetime: Duration) -> Duration {
    let early = EARLY.min(lifetime / 2);
    lifetime.saturating_sub(early).max(SHORTEST)
}

/// The pause after so many failures in a row.
fn after(failures: u32) -> Duration {
    let doubled = PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(16));
    doubled.min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_fetched_anew_five_minutes_before_its_end() {
        let next = |seconds| until_next(Duration::from_secs(seconds)).as_secs();
        assert_eq!(
            [next(3599), next(600), next(400), next(4)],
            [3299, 300, 200, 2]
        );
        assert_eq!(until_next(Duration::ZERO), SHORTEST);
    }

    #[test]
    fn pauses_double_up_to_a_minute() {
        let pauses = [1, 2, 3, 7, 40].map(|failures| after(failures).as_secs());
        assert_eq!(pauses, [1, 2, 4, 60, 60]);
    }
}
