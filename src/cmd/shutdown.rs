//! Owns how a process ends, on a signal or because a successor serves: readiness first, then the wait for what is under way, then Pingora's stop.
//! Must never cut an exchange before the drain limit.

use std::time::Duration;

use async_trait::async_trait;
use pingora::server::{ShutdownSignal, ShutdownSignalWatch};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cmd::handover::Doors;
use crate::edge::plugin::Mainstay;

/// Ends the process on SIGTERM or when its doors have closed (drain), SIGINT (drain; a second one at once).
#[derive(Debug)]
pub(crate) struct OnSignal {
    pub(crate) mainstay: Mainstay,
    pub(crate) doors: Doors,
}

#[async_trait]
impl ShutdownSignalWatch for OnSignal {
    async fn recv(&self) -> ShutdownSignal {
        let (mut terminate, mut interrupt) = match (
            signal(SignalKind::terminate()),
            signal(SignalKind::interrupt()),
        ) {
            (Ok(terminate), Ok(interrupt)) => (terminate, interrupt),
            (Err(error), _) | (_, Err(error)) => {
                tracing::error!(%error, "no signal can be received: only a kill ends this process");
                return std::future::pending().await;
            }
        };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = self.doors.closed() => {}
        }
        self.drain(&mut interrupt).await
    }
}

impl OnSignal {
    async fn drain(&self, interrupt: &mut Signal) -> ShutdownSignal {
        self.mainstay.lifecycle().drain();
        let limit = self.mainstay.current().load().snapshot.server.drain;
        let open = self.mainstay.lifecycle().exchanges();
        tracing::info!(open, limit = ?limit, "draining");
        tokio::select! {
            () = self.mainstay.lifecycle().until_idle() => {}
            () = tokio::time::sleep(limit) => {
                let left = self.mainstay.lifecycle().exchanges();
                tracing::warn!(left, "the drain limit is over: what is left is cut");
            }
            _ = interrupt.recv() => return ShutdownSignal::FastShutdown,
        }
        // An answer that was finished just now may still be on its way out.
        tokio::time::sleep(Duration::from_millis(50)).await;
        ShutdownSignal::GracefulTerminate
    }
}
