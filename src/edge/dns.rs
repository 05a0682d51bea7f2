//! Owns the addresses of upstream hosts: looked up off the workers, remembered for a while, the last good
//! answer kept when a lookup fails. Must never block a worker.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long an answer is used before it is asked for again. The system's resolver hides the record's own
/// lifetime; half a minute follows a provider's failover soon enough.
const FRESH: Duration = Duration::from_secs(30);

/// Remembers where hosts are.
#[derive(Debug, Default)]
pub struct Resolver {
    known: Mutex<HashMap<(String, u16), Known>>,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    address: SocketAddr,
    asked: Instant,
}

impl Resolver {
    /// An address of the host. The caller's deadline bounds the wait.
    ///
    /// # Errors
    /// The resolver's own, where the host was never found before.
    pub async fn resolve(&self, host: &str, port: u16) -> io::Result<SocketAddr> {
        let known = self.known(host, port);
        if let Some(known) = known
            && known.asked.elapsed() < FRESH
        {
            return Ok(known.address);
        }
        match lookup(host, port).await {
            Ok(address) => {
                self.remember(host, port, address);
                Ok(address)
            }
            Err(error) => known.map(|known| known.address).ok_or(error),
        }
    }

    fn known(&self, host: &str, port: u16) -> Option<Known> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&(host.to_owned(), port)).copied()
    }

    fn remember(&self, host: &str, port: u16, address: SocketAddr) {
        let known = Known {
            address,
            asked: Instant::now(),
        };
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert((host.to_owned(), port), known);
    }
}

async fn lookup(host: &str, port: u16) -> io::Result<SocketAddr> {
    let mut addresses = tokio::net::lookup_host((host, port)).await?;
    addresses
        .next()
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the host has no address"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_host_that_does_not_exist_is_an_error() {
        let resolver = Resolver::default();
        assert!(resolver.resolve("nobody.invalid", 80).await.is_err());
    }

    #[tokio::test]
    async fn a_known_address_outlives_a_failed_lookup() {
        let resolver = Resolver::default();
        let address: SocketAddr = "127.0.0.1:9".parse().unwrap();
        let long_ago = Instant::now().checked_sub(FRESH * 2).unwrap();
        let known = Known {
            address,
            asked: long_ago,
        };
        let key = ("nobody.invalid".to_owned(), 9);
        resolver.known.lock().unwrap().insert(key, known);
        assert_eq!(
            resolver.resolve("nobody.invalid", 9).await.unwrap(),
            address
        );
    }
}
