//! Owns the demo's proxy: the real one, on a thread of its own, until it is told to end. Must never listen beyond this
//! machine.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, bail};
use async_trait::async_trait;
use bytes::Bytes;
use pingora::server::{ShutdownSignal, ShutdownSignalWatch};
use tokio::runtime::Runtime;
use tokio::sync::Notify;

use crate::cmd::client::Client;
use crate::cmd::process::Process;
use crate::config::Loaded;
use crate::edge::plugin::Mainstay;
use crate::edge::telemetry::{AccessLog, Telemetry};

/// The longest wait for the listeners.
const START: Duration = Duration::from_secs(20);

/// A proxy that runs.
pub(crate) struct Proxy {
    pub(crate) mainstay: Mainstay,
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    stop: Arc<Notify>,
    thread: JoinHandle<()>,
}

/// Ends the proxy when the demo says so.
#[derive(Debug)]
struct WhenTold(Arc<Notify>);

#[async_trait]
impl ShutdownSignalWatch for WhenTold {
    async fn recv(&self) -> ShutdownSignal {
        self.0.notified().await;
        // Nothing is under way any more: the demo has waited for its own clients.
        ShutdownSignal::FastShutdown
    }
}

impl Proxy {
    /// Starts one, and waits until it answers. Must not be called on a runtime: the proxy brings its own.
    ///
    /// # Errors
    /// It could not be started.
    pub(crate) fn start(runtime: &Runtime, loaded: Loaded) -> anyhow::Result<Self> {
        let process = Process::new(loaded, Telemetry::new(AccessLog::nowhere()), None)?;
        let mainstay = process.mainstay.clone();
        let address = *process.addresses.first().context("no listener")?;
        let admin = process.admin;
        let stop = Arc::new(Notify::new());
        let watch = Box::new(WhenTold(stop.clone()));
        let thread = std::thread::Builder::new()
            .name("proxy".to_owned())
            .spawn(move || process.run(watch))?;
        runtime.block_on(until_ready(admin))?;
        runtime.block_on(until_ready(address))?;
        Ok(Self {
            mainstay,
            address,
            admin,
            stop,
            thread,
        })
    }

    /// Ends it.
    pub(crate) fn end(self) {
        self.stop.notify_one();
        self.thread.join().ok();
    }
}

/// Waits for an answer, whatever it is.
async fn until_ready(address: SocketAddr) -> anyhow::Result<()> {
    let client = Client::of(address);
    let asking = async {
        loop {
            let asked = client.send("GET", "/readyz", &[], Bytes::new()).await;
            if asked.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    match tokio::time::timeout(START, asking).await {
        Ok(()) => Ok(()),
        Err(_) => bail!("nothing answers on {address}"),
    }
}
