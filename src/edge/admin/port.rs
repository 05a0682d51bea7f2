//! Owns a connection of the operator's port: reads requests, writes answers, and keeps the status page's events
//! flowing. Pingora's `ServeHttp` cannot stream, so this is an application of its own. Must never keep a page's
//! connection when the process ends, or serve more pages than it can feed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use async_trait::async_trait;
use http::{Method, Response, StatusCode};
use pingora::apps::{HttpPersistentSettings, HttpServerApp, ReusedHttpStream};
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;
use pingora::server::ShutdownWatch;

use crate::edge::admin::{Admin, events, text};

/// Seconds that a connection may idle.
const KEEPALIVE: u64 = 60;
/// Pages that are fed at once; more are many operators, or one who forgot.
const MOST_PAGES: usize = 32;

/// The application behind the admin listener.
#[derive(Debug)]
pub struct Port {
    pub(super) admin: Admin,
    pages: AtomicUsize,
}

/// A page that is being fed.
struct Page<'a>(&'a AtomicUsize);

impl Drop for Page<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Port {
    pub fn new(admin: Admin) -> Self {
        Self {
            admin,
            pages: AtomicUsize::new(0),
        }
    }

    fn page(&self) -> Option<Page<'_>> {
        let page = Page(&self.pages);
        (self.pages.fetch_add(1, Relaxed) < MOST_PAGES).then_some(page)
    }

    /// Whether the events were asked for and streamed; `Some`: what is to be answered instead.
    async fn answer(
        &self,
        session: &mut ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<Response<Vec<u8>>> {
        let request = session.req_header();
        let wants_events = request.uri.path() == "/api/events" && request.method == Method::GET;
        if !wants_events || !self.admin.is_admitted(session) {
            return Some(self.admin.answer(session).await);
        }
        let Some(_page) = self.page() else {
            let said = "too many status pages are open\n";
            return Some(text(StatusCode::SERVICE_UNAVAILABLE, said));
        };
        events::stream(&self.admin, session, shutdown.clone()).await;
        None
    }
}

#[async_trait]
impl HttpServerApp for Port {
    async fn process_new_http(
        self: &Arc<Self>,
        mut session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        if !matches!(session.read_request().await, Ok(true)) {
            return None;
        }
        let ends = *shutdown.borrow();
        session.set_keepalive((!ends).then_some(KEEPALIVE));
        let answer = self.answer(&mut session, shutdown).await?;
        let (head, body) = answer.into_parts();
        let head = Box::new(ResponseHeader::from(head));
        session.write_response_header(head).await.ok()?;
        if !body.is_empty() {
            session.write_response_body(body.into(), true).await.ok()?;
        }
        let settings = HttpPersistentSettings::for_session(&session);
        let stream = session.finish().await.ok()??;
        Some(ReusedHttpStream::from_reusable_stream(stream, settings))
    }
}
