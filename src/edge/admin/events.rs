//! Owns what an open status page is told, as server-sent events: every endpoint each second, and at once when one
//! changes its state; how the process stands, and its reloads when there is another. Must never read what an answer to
//! the same question would not hold.

use std::time::Duration;

use bytes::Bytes;
use http::{Response, Version};
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;
use pingora::server::ShutdownWatch;
use serde::Serialize;
use tokio::time::timeout;

use crate::edge::admin::{Admin, endpoints};

/// How soon a change of state shows.
const LOOK: Duration = Duration::from_millis(200);
/// Looks from one full picture to the next.
const LOOKS: u32 = 5;
/// The longest that a page may take to read one picture; a laptop that was closed takes for ever.
const PATIENCE: Duration = Duration::from_secs(20);

/// What was told last, to tell what is new.
#[derive(Default)]
struct Told {
    states: Vec<&'static str>,
    reloads: String,
}

/// Feeds a page until it leaves or the process ends.
pub(super) async fn stream(
    admin: &Admin,
    session: &mut ServerSession,
    mut shutdown: ShutdownWatch,
) {
    if session.write_response_header(head(session)).await.is_err() {
        return;
    }
    let mut told = Told::default();
    for look in 0_u32.. {
        // Who has logged out, or whose token was replaced, sees no more.
        if !admin.is_admitted(session) {
            break;
        }
        let news = told.news(admin, look % LOOKS == 0);
        if !news.is_empty() {
            let writing = session.write_response_body(Bytes::from(news), false);
            if !matches!(timeout(PATIENCE, writing).await, Ok(Ok(()))) {
                return;
            }
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            _ = shutdown.changed() => break,
        }
    }
    // A page connects again by itself, to whoever serves then.
    session.write_response_body(Bytes::new(), true).await.ok();
}

/// Without a length or chunks the end of an HTTP/1 answer is its connection's: a cut would look like an end.
fn head(session: &ServerSession) -> Box<ResponseHeader> {
    let mut head = Response::builder()
        .header("content-type", "text/event-stream")
        .header("cache-control", "no-store");
    if session.req_header().version == Version::HTTP_11 {
        head = head.header("transfer-encoding", "chunked");
    }
    let head = head.body(()).expect("our own headers are all valid");
    Box::new(ResponseHeader::from(head.into_parts().0))
}

impl Told {
    /// The events that a page has not seen; `full`: the endpoints in any case.
    fn news(&mut self, admin: &Admin, full: bool) -> String {
        let generation = admin.current.load_full();
        let now = admin.clock.now();
        let mut news = String::new();
        let states: Vec<&'static str> = generation
            .endpoints()
            .map(|ix| generation.health.condition(ix, now).as_str())
            .collect();
        if full || states != self.states {
            event(&mut news, "endpoints", &endpoints::list(&generation, now));
            self.states = states;
        }
        if full {
            event(&mut news, "status", &admin.standing());
            let mut reloads = String::new();
            event(&mut reloads, "reloads", &admin.reloads.history());
            if reloads != self.reloads {
                news.push_str(&reloads);
                self.reloads = reloads;
            }
        }
        news
    }
}

/// JSON has no line breaks of its own, so one `data` line holds it.
fn event(into: &mut String, name: &str, data: &impl Serialize) {
    let data = serde_json::to_string(data).expect("plain fields always serialise");
    into.push_str("event: ");
    into.push_str(name);
    into.push_str("\ndata: ");
    into.push_str(&data);
    into.push_str("\n\n");
}
