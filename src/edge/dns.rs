//! Owns the addresses of upstream hosts: looked up off the workers, used a little longer than fresh while a new
//! answer is fetched, kept when a lookup fails. Must never make a request wait where an address is known.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::task::JoinSet;

/// How long an answer is used before a new one is asked for. The system's resolver hides the record's own
/// lifetime; half a minute follows a provider's failover soon enough.
const FRESH: Duration = Duration::from_secs(30);
/// The longest one lookup may take.
const LOOKUP: Duration = Duration::from_secs(5);

/// A host and port.
type Name = (String, u16);

/// Finds the addresses of a host: the system's resolver, or whatever a process has instead.
#[async_trait]
pub trait Lookup: std::fmt::Debug + Send + Sync {
    /// Asks once; the caller bounds the wait.
    ///
    /// # Errors
    /// The host has no address, or nobody can say.
    async fn lookup(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Unresolved>;
}

/// The system's resolver.
#[derive(Debug)]
struct System;

/// Remembers where hosts are.
#[derive(Debug)]
pub struct Resolver {
    source: Arc<dyn Lookup>,
    fresh: Duration,
    known: Arc<Mutex<Table>>,
    /// Lookups under way behind the requests' backs; they end with the resolver.
    refreshing: Mutex<JoinSet<()>>,
}

#[derive(Debug, Default)]
struct Table {
    hosts: HashMap<Name, Known>,
    asking: HashSet<Name>,
}

#[derive(Debug, Clone)]
struct Known {
    /// The one to try first stands first.
    addresses: Vec<SocketAddr>,
    asked: Instant,
}

/// Why a host has no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unresolved {
    /// The resolver says that there is none.
    NoSuchHost,
    /// The resolver does not answer: that is our trouble, not the host's.
    ResolverDown,
}

impl Default for Resolver {
    /// Asks the system.
    fn default() -> Self {
        Self::new(Arc::new(System), FRESH)
    }
}

impl Resolver {
    /// Asks `source`, and again once an answer is older than `fresh`.
    pub fn new(source: Arc<dyn Lookup>, fresh: Duration) -> Self {
        Self {
            source,
            fresh,
            known: Arc::default(),
            refreshing: Mutex::default(),
        }
    }

    /// The addresses of the host, the one to try first first.
    ///
    /// # Errors
    /// The host was never found, and is not found now.
    pub async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Unresolved> {
        let name = (host.to_owned(), port);
        let known = lock(&self.known).hosts.get(&name).cloned();
        let Some(known) = known else {
            let addresses = ask(&*self.source, &name).await?;
            lock(&self.known).learn(name, addresses.clone());
            return Ok(addresses);
        };
        if known.asked.elapsed() >= self.fresh {
            self.refresh(name);
        }
        Ok(known.addresses)
    }

    /// A connection to the address failed: the next one is tried first from now on.
    pub fn avoid(&self, host: &str, port: u16, address: SocketAddr) {
        let mut table = lock(&self.known);
        if let Some(known) = table.hosts.get_mut(&(host.to_owned(), port))
            && known.addresses.first() == Some(&address)
        {
            known.addresses.rotate_left(1);
        }
    }

    /// Asks again in the background, once at a time for each host.
    fn refresh(&self, name: Name) {
        if !lock(&self.known).asking.insert(name.clone()) {
            return;
        }
        let (known, source) = (self.known.clone(), self.source.clone());
        let asking = async move {
            let found = ask(&*source, &name).await;
            let mut table = lock(&known);
            table.asking.remove(&name);
            match found {
                Ok(addresses) => table.learn(name, addresses),
                Err(error) => {
                    tracing::warn!(
                        host = name.0,
                        ?error,
                        "lookup failed, the last addresses serve on"
                    );
                    table.retry_later(&name);
                }
            }
        };
        let mut refreshing = lock(&self.refreshing);
        while refreshing.try_join_next().is_some() {}
        refreshing.spawn(asking);
    }
}

impl Table {
    /// Takes in an answer. Addresses that stay keep their order, so that a bad one is not tried first again.
    fn learn(&mut self, name: Name, found: Vec<SocketAddr>) {
        let mut addresses: Vec<SocketAddr> = match self.hosts.get(&name) {
            Some(last) => {
                let stay = last
                    .addresses
                    .iter()
                    .filter(|address| found.contains(address));
                stay.copied().collect()
            }
            None => Vec::new(),
        };
        for address in found {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        let asked = Instant::now();
        self.hosts.insert(name, Known { addresses, asked });
    }

    fn retry_later(&mut self, name: &Name) {
        if let Some(known) = self.hosts.get_mut(name) {
            known.asked = Instant::now();
        }
    }
}

async fn ask(source: &dyn Lookup, (host, port): &Name) -> Result<Vec<SocketAddr>, Unresolved> {
    match tokio::time::timeout(LOOKUP, source.lookup(host, *port)).await {
        Ok(Ok(addresses)) if addresses.is_empty() => Err(Unresolved::NoSuchHost),
        Ok(answer) => answer,
        Err(_) => Err(Unresolved::ResolverDown),
    }
}

#[async_trait]
impl Lookup for System {
    async fn lookup(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Unresolved> {
        let found = tokio::net::lookup_host((host, port)).await;
        found
            .map(Iterator::collect)
            .map_err(|error| verdict(&error))
    }
}

/// `EAI_AGAIN` comes as text only: "Temporary failure in name resolution".
fn verdict(error: &io::Error) -> Unresolved {
    let temporary =
        error.raw_os_error().is_some() || error.to_string().contains("emporary failure");
    match temporary {
        true => Unresolved::ResolverDown,
        false => Unresolved::NoSuchHost,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, last], 9))
    }

    fn stale(resolver: &Resolver, host: &str, addresses: &[SocketAddr]) {
        let known = Known {
            addresses: addresses.to_vec(),
            asked: Instant::now().checked_sub(FRESH * 2).unwrap(),
        };
        let name = (host.to_owned(), 9);
        lock(&resolver.known).hosts.insert(name, known);
    }

    #[tokio::test]
    async fn a_host_that_does_not_exist_is_an_error() {
        let resolver = Resolver::default();
        assert!(resolver.resolve("nobody.invalid", 80).await.is_err());
    }

    #[tokio::test]
    async fn a_known_address_serves_on_without_waiting() {
        let resolver = Resolver::default();
        stale(&resolver, "nobody.invalid", &[address(1)]);
        let begun = Instant::now();
        let found = resolver.resolve("nobody.invalid", 9).await.unwrap();
        assert_eq!(found, [address(1)]);
        assert!(begun.elapsed() < Duration::from_millis(50));
        while lock(&resolver.refreshing).try_join_next().is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let found = resolver.resolve("nobody.invalid", 9).await.unwrap();
        assert_eq!(found, [address(1)], "the last good answer is kept");
    }

    #[tokio::test]
    async fn an_address_that_failed_is_tried_last_and_stays_last() {
        let resolver = Resolver::default();
        stale(&resolver, "two.invalid", &[address(1), address(2)]);
        resolver.avoid("two.invalid", 9, address(1));
        let name = ("two.invalid".to_owned(), 9);
        let found = vec![address(1), address(2), address(3)];
        lock(&resolver.known).learn(name, found);
        let found = resolver.resolve("two.invalid", 9).await.unwrap();
        assert_eq!(found, [address(2), address(1), address(3)]);
    }
}
