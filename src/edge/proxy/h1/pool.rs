//! Owns the connections that wait for their next request: the latest first, at most so many, none for longer
//! than it may. One task looks after all of them, and ends with the last. Must never hand out a connection of
//! another peer, or one that has something to say.

use std::collections::HashMap;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use pingora::protocols::Stream;
use pingora::upstreams::peer::{HttpPeer, Peer};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::task::coop::unconstrained;

/// An idle connection is closed after this long.
const IDLE: Duration = Duration::from_secs(60);
/// So much before the upstream says it will close one, it is no longer used.
const MARGIN: Duration = Duration::from_secs(1);
/// As many as are kept in all. Each is a descriptor; the oldest goes first.
const MOST: usize = 512;
/// How often the idle ones are looked through: an upstream that has closed one holds a descriptor until then.
const SWEEP: Duration = Duration::from_secs(5);

/// Which connections are as good as each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    /// Pingora's digest of what a connection depends on, trust and certificates included.
    peer: u64,
    /// Beside it, as two peers may have one digest.
    address: Option<SocketAddr>,
}

impl Key {
    pub(crate) fn of(peer: &HttpPeer) -> Self {
        Self {
            peer: peer.reuse_hash(),
            address: peer._address.as_inet().copied(),
        }
    }
}

/// The idle connections.
#[derive(Default)]
pub(crate) struct Pool(Arc<Mutex<Shelves>>);

#[derive(Default)]
struct Shelves {
    /// Of each key the latest last.
    idle: HashMap<Key, Vec<Idle>>,
    count: usize,
    is_swept: bool,
}

struct Idle {
    stream: Stream,
    since: Instant,
    until: Instant,
}

// === impl Pool ===

impl Pool {
    /// A connection that still waits, the latest one first.
    pub(crate) fn take(&self, key: Key) -> Option<Stream> {
        let now = Instant::now();
        loop {
            let mut idle = self.lock().pop(key)?;
            // What is not handed out is closed here, out of the lock.
            if idle.is_good(now) {
                return Some(idle.stream);
            }
        }
    }

    /// Keeps a connection, for as long as the upstream does where it has said so.
    pub(crate) fn put(&self, key: Key, stream: Stream, kept: Option<Duration>) {
        let since = Instant::now();
        let kept = kept.map(|kept| kept.saturating_sub(MARGIN));
        let until = since + kept.map_or(IDLE, |kept| kept.min(IDLE));
        let mut idle = Idle {
            stream,
            since,
            until,
        };
        if !idle.is_good(since) {
            return;
        }
        let mut shelves = self.lock();
        let spare = (shelves.count >= MOST).then(|| shelves.pop_oldest());
        shelves.idle.entry(key).or_default().push(idle);
        shelves.count += 1;
        if !std::mem::replace(&mut shelves.is_swept, true) {
            tokio::spawn(sweep(Arc::downgrade(&self.0), SWEEP));
        }
        drop(shelves);
        drop(spare);
    }

    fn lock(&self) -> MutexGuard<'_, Shelves> {
        lock(&self.0)
    }
}

fn lock(shelves: &Mutex<Shelves>) -> MutexGuard<'_, Shelves> {
    shelves.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Closes what need not wait any longer. It ends with the pool, or where nothing waits.
async fn sweep(pool: Weak<Mutex<Shelves>>, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        let Some(shelves) = pool.upgrade() else {
            return;
        };
        let mut shelves = lock(&shelves);
        let gone = shelves.remove_bad(Instant::now());
        shelves.is_swept = shelves.count > 0;
        if !shelves.is_swept {
            return;
        }
        drop(shelves);
        drop(gone);
    }
}

// === impl Shelves ===

impl Shelves {
    fn pop(&mut self, key: Key) -> Option<Idle> {
        let idle = self.idle.get_mut(&key)?.pop()?;
        self.count -= 1;
        Some(idle)
    }

    fn pop_oldest(&mut self) -> Option<Idle> {
        let shelves = self.idle.values_mut();
        let oldest =
            shelves.min_by_key(|shelf| shelf.first().map_or(Instant::now(), |idle| idle.since))?;
        if oldest.is_empty() {
            return None;
        }
        self.count -= 1;
        Some(oldest.remove(0))
    }

    fn remove_bad(&mut self, now: Instant) -> Vec<Idle> {
        let mut gone = Vec::new();
        for shelf in self.idle.values_mut() {
            gone.extend(shelf.extract_if(.., |idle| !idle.is_good(now)));
        }
        self.idle.retain(|_, shelf| !shelf.is_empty());
        self.count -= gone.len();
        gone
    }
}

// === impl Idle ===

impl Idle {
    /// Whether it may still be used: in its time, and silent. What has closed is readable, as is what speaks
    /// without being asked.
    fn is_good(&mut self, now: Instant) -> bool {
        if now >= self.until {
            return false;
        }
        let mut byte = [0];
        let mut buffer = ReadBuf::new(&mut byte);
        let reading = poll_fn(|context| Pin::new(&mut self.stream).poll_read(context, &mut buffer));
        // The task's budget must not make a closed connection look silent.
        let reading = pin!(unconstrained(reading));
        reading
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_pending()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    use super::*;

    const LOCAL: std::net::Ipv4Addr = std::net::Ipv4Addr::LOCALHOST;
    /// For what must come.
    const WAIT: Duration = Duration::from_secs(20);

    fn key(port: u16) -> Key {
        Key::of(&HttpPeer::new((LOCAL, port), false, String::new()))
    }

    fn connection() -> (Stream, DuplexStream) {
        let (ours, theirs) = tokio::io::duplex(64);
        (Box::new(ours), theirs)
    }

    #[tokio::test]
    async fn the_latest_connection_of_the_same_peer_is_used_again() {
        let pool = Pool::default();
        let mut peers = Vec::new();
        for _ in 0..2 {
            let (ours, theirs) = connection();
            pool.put(key(1), ours, None);
            peers.push(theirs);
        }
        assert!(pool.take(key(2)).is_none());
        let mut taken = pool.take(key(1)).unwrap();
        taken.write_all(b"x").await.unwrap();
        assert_eq!(peers[1].read_u8().await.unwrap(), b'x');
        assert!(pool.take(key(1)).is_some());
        assert!(pool.take(key(1)).is_none());
    }

    #[tokio::test]
    async fn a_connection_that_closed_or_spoke_is_not() {
        let pool = Pool::default();
        let (ours, theirs) = connection();
        pool.put(key(1), ours, None);
        let (ours, mut chatty) = connection();
        pool.put(key(1), ours, None);
        drop(theirs);
        chatty.write_all(b"HTTP/1.1 408 Timeout").await.unwrap();
        assert!(pool.take(key(1)).is_none());
        let (ours, theirs) = connection();
        drop(theirs);
        pool.put(key(1), ours, None);
        assert_eq!(pool.lock().count, 0, "it is not even kept");
    }

    #[tokio::test]
    async fn what_has_closed_goes_without_being_asked_for() {
        let pool = Pool::default();
        let (ours, _theirs) = connection();
        pool.put(key(1), ours, Some(MARGIN));
        assert_eq!(pool.lock().count, 0, "its upstream does not keep it");
        let (ours, kept) = connection();
        pool.put(key(1), ours, None);
        let (ours, closed) = connection();
        pool.put(key(2), ours, None);
        assert!(pool.lock().is_swept);
        drop(closed);
        let every = Duration::from_millis(1);
        let mut sweeping = pin!(sweep(Arc::downgrade(&pool.0), every));
        let long = Duration::from_millis(200);
        let ended = tokio::time::timeout(long, &mut sweeping).await;
        assert!(ended.is_err(), "one is left to look after");
        assert_eq!(pool.lock().count, 1);
        drop(kept);
        let ended = tokio::time::timeout(WAIT, sweeping).await;
        assert!(ended.is_ok());
        assert!(!pool.lock().is_swept);
    }

    #[tokio::test]
    async fn who_looks_after_a_pool_ends_with_it() {
        let pool = Pool::default();
        let (ours, _theirs) = connection();
        pool.put(key(1), ours, None);
        let sweeping = sweep(Arc::downgrade(&pool.0), Duration::from_millis(1));
        drop(pool);
        assert!(tokio::time::timeout(WAIT, sweeping).await.is_ok());
    }

    #[tokio::test]
    async fn the_oldest_makes_room() {
        let pool = Pool::default();
        let mut peers = Vec::new();
        for nth in 0..=MOST {
            let (ours, theirs) = connection();
            pool.put(key(u16::try_from(nth % 7).unwrap()), ours, None);
            peers.push(theirs);
        }
        assert_eq!(pool.lock().count, MOST);
        assert_eq!(peers[0].read(&mut [0]).await.unwrap(), 0, "closed");
        let kept = tokio::time::timeout(Duration::from_millis(1), peers[1].read_u8());
        assert!(kept.await.is_err());
    }

    #[test]
    fn peers_that_differ_in_anything_have_their_own() {
        let plain = HttpPeer::new((LOCAL, 1), false, String::new());
        let mut grouped = plain.clone();
        grouped.group_key = 1;
        let tls = HttpPeer::new((LOCAL, 1), true, "a".to_owned());
        let named = HttpPeer::new((LOCAL, 1), true, "b".to_owned());
        let keys = [&plain, &grouped, &tls, &named].map(Key::of);
        for (nth, key) in keys.iter().enumerate() {
            assert!(!keys[..nth].contains(key));
        }
        assert_eq!(Key::of(&plain.clone()), keys[0]);
    }
}
