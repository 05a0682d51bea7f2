//! Owns whether clients are still let in: until the process ends, or has a successor. Must never end what is
//! under way.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::IntoRawFd;
use std::sync::Arc;

use async_trait::async_trait;
use pingora::server::{Fds, ListenFds, ShutdownWatch};
use pingora::services::Service;
use tokio::sync::watch;

/// Whether clients are let in. Clones are handles to the same doors.
#[derive(Clone, Debug)]
pub(crate) struct Doors(Arc<watch::Sender<bool>>);

impl Default for Doors {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }
}

impl Doors {
    /// From here on no connection is accepted, and those that are open take no further request.
    pub(crate) fn close(&self) {
        self.0.send_replace(true);
    }

    /// Returns when they are closed.
    pub(crate) async fn closed(&self) {
        let mut watch = self.0.subscribe();
        // The sender lives as long as `self`.
        watch.wait_for(|closed| *closed).await.ok();
    }
}

/// A service of the process, which stops letting clients in when the doors close, not only when the process ends.
pub(crate) struct Behind<S> {
    service: S,
    doors: Doors,
    /// Where a listener of Pingora's finds its socket bound.
    sockets: ListenFds,
}

impl<S: Service> Behind<S> {
    pub(crate) fn new(service: S, doors: &Doors) -> Self {
        Self {
            service,
            doors: doors.clone(),
            sockets: Arc::new(Fds::new().into()),
        }
    }

    /// Gives it a socket for the listener of this address.
    pub(crate) fn with_socket(self, address: SocketAddr, listener: TcpListener) -> Self {
        let socket = listener.into_raw_fd();
        self.sockets.lock().add(address.to_string(), socket);
        self
    }
}

#[async_trait]
impl<S: Service> Service for Behind<S> {
    async fn start_service(
        &mut self,
        _fds: Option<ListenFds>,
        mut shutdown: ShutdownWatch,
        listeners_per_fd: usize,
    ) {
        let (end, ends) = watch::channel(false);
        let doors = self.doors.clone();
        let watching = tokio::spawn(async move {
            tokio::select! {
                () = doors.closed() => {}
                _ = shutdown.wait_for(|ends| *ends) => {}
            }
            end.send_replace(true);
            // A channel without its sender would be an end as well, told again and again.
            end.closed().await;
        });
        let sockets = Some(self.sockets.clone());
        self.service
            .start_service(sockets, ends, listeners_per_fd)
            .await;
        drop(watching);
    }

    fn name(&self) -> &str {
        self.service.name()
    }

    fn threads(&self) -> Option<usize> {
        self.service.threads()
    }
}
