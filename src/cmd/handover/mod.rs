//! Owns how a serving process hands its listening sockets to the next one, so that no client is refused between
//! the two. The old process keeps a door of its own, a Unix socket at `server.upgrade_socket`. The new one asks
//! there, is sent the sockets, builds everything, and says that it serves; only then does the old one close its
//! doors, finish what it carries and end. Whatever fails before that word leaves the old process as it was.
//!
//! Pingora's own transfer closes the old doors five seconds after the sockets were sent, whether the new process
//! lives or not, and panics where its socket cannot be made. Here it is what the sockets go into that is Pingora's:
//! a service gets them, and the end of letting clients in, as it gets them from Pingora.
//!
//! In reading order: `doors`, `give` (the old process), `take` (the new one). Must never close a door before the
//! successor has said that it serves.

mod doors;
mod give;
mod take;

use std::net::SocketAddr;

use pingora::server::ExecutionPhase;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

pub(crate) use doors::{Behind, Doors};
pub(crate) use give::Giver;
pub(crate) use take::{Predecessor, ask};

/// Of what is said on the socket: processes of another one do not understand each other.
const FORMAT: u32 = 1;
/// Sockets in one message; the kernel takes at most 253.
const MOST_SOCKETS: usize = 64;
/// The longest list of addresses.
const LONGEST_OFFER: usize = 16 * 1024;
/// What the successor says once it serves.
const SERVING: &[u8] = b"serving\n";

/// What the old process says as it sends the sockets: one line of JSON, the sockets beside it in this order.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Offer {
    format: u32,
    listeners: Vec<SocketAddr>,
}

/// Once the server lets clients in: tells the predecessor to go, and waits for a successor.
pub(crate) async fn attend(
    mut phases: broadcast::Receiver<ExecutionPhase>,
    predecessor: Option<Predecessor>,
    giver: Option<Giver>,
) {
    while !matches!(phases.recv().await, Ok(ExecutionPhase::Running) | Err(_)) {}
    if let Some(predecessor) = predecessor {
        predecessor.tell();
    }
    if let Some(giver) = giver {
        giver.run().await;
    }
}
