//! Owns one connection: reads requests, walks the steps of their answers, and misbehaves as they say.
//! Must never outlive its task, or hold more than a write's worth of an answer.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};

use crate::cmd::mock::answer::{self, End, Step};
use crate::cmd::mock::chat::Telling;
use crate::cmd::mock::http::{self, Head, Inbound, Outgoing, Unread};
use crate::cmd::mock::record::{Fate, Received};
use crate::cmd::mock::route::{self, Reply};
use crate::cmd::mock::script::Script;
use crate::cmd::mock::state::{Answering, Shared};
use crate::cmd::mock::{control, errors};

/// Waiting output is written when it reaches this size, and before every wait.
const WRITE_SIZE: usize = 16 * 1024;

/// One connection, over any stream.
#[derive(Debug)]
pub(crate) struct Connection<S> {
    shared: Arc<Shared>,
    number: u64,
    requests: u64,
    inbound: Inbound<ReadHalf<S>>,
    write: WriteHalf<S>,
}

/// The writing side of one answer.
struct Responder<'a, W> {
    write: &'a mut W,
    script: &'a Script,
    telling: Option<&'a Telling>,
    ticket: Option<&'a Answering>,
    is_http10: bool,
    keeps_alive: bool,
    framing: Outgoing,
    out: BytesMut,
}

// === impl Connection ===

impl<S: AsyncRead + AsyncWrite> Connection<S> {
    /// A connection that was just accepted.
    pub(crate) fn new(stream: S, shared: Arc<Shared>, number: u64) -> Self {
        let (read, write) = tokio::io::split(stream);
        Self {
            shared,
            number,
            requests: 0,
            inbound: Inbound::new(read),
            write,
        }
    }

    /// Serves until the connection ends, and says how: with `Reset` the caller resets it.
    pub(crate) async fn run(mut self) -> End {
        loop {
            match self.exchange().await {
                End::Complete | End::CleanCut => {}
                end => return end,
            }
        }
    }

    /// Reads one request and answers it.
    async fn exchange(&mut self) -> End {
        let head = match self.next_head().await {
            Ok(head) => head,
            Err(unread) => return self.refuse(unread).await,
        };
        let body = match self.body(&head).await {
            Ok(body) => body,
            Err(unread) => {
                // What never arrived whole is still logged, as left.
                drop(self.ticket(&head, &Bytes::new()));
                return self.refuse(unread).await;
            }
        };
        let is_reused = self.requests > 0;
        self.requests += 1;
        if control::is_control(&head) {
            let steps = control::answer(&self.shared, &head, &body);
            return self.respond(&head, steps.into(), None).await;
        }
        let ticket = self.ticket(&head, &body);
        let mut reply = route::reply(&self.shared, &head, &body, is_reused);
        if let Some(meaning) = reply.meaning.take() {
            ticket.meant(meaning);
        }
        tracing::debug!(mock = %self.shared.script().name, method = %head.method, path = %head.path(), "request");
        self.respond(&head, reply, Some(ticket)).await
    }

    async fn next_head(&mut self) -> Result<Head, Unread> {
        let idle = self.shared.script().idle.unwrap_or(Duration::MAX);
        // A client that only drips its head is as idle as a silent one.
        tokio::time::timeout(idle, self.inbound.head())
            .await
            .unwrap_or(Err(Unread::Left))
    }

    async fn body(&mut self, head: &Head) -> Result<Bytes, Unread> {
        if head.expects_continue() && self.inbound.awaits_body(head) {
            let go_on = self.write.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await;
            go_on.map_err(|_| Unread::Left)?;
            self.write.flush().await.map_err(|_| Unread::Left)?;
        }
        self.inbound.body(head).await
    }

    fn ticket(&self, head: &Head, body: &Bytes) -> Answering {
        Answering::begin(
            &self.shared,
            Received::new(self.shared.now(), self.number, head, body),
        )
    }

    /// Answers bytes that are no request, as far as anyone is left to hear it, and ends.
    async fn refuse(&mut self, unread: Unread) -> End {
        if let Unread::Refused(status, message) = unread {
            let script = self.shared.script();
            let steps = answer::json(status, errors::invalid(message));
            let mut responder = Responder::new(&mut self.write, &script);
            responder.keeps_alive = false;
            let _ = responder.walk(steps).await;
        }
        End::Close
    }

    /// Sends an answer while watching for the client to leave.
    async fn respond(&mut self, head: &Head, reply: Reply, ticket: Option<Answering>) -> End {
        let script = self.shared.script();
        let keeps_alive = head.keeps_alive();
        let mut responder = Responder {
            telling: reply.telling.as_ref(),
            ticket: ticket.as_ref(),
            is_http10: head.is_http10,
            keeps_alive,
            ..Responder::new(&mut self.write, &script)
        };
        let sent = tokio::select! {
            biased;
            sent = responder.walk(reply.steps) => sent,
            () = self.inbound.departure() => Err(io::ErrorKind::ConnectionAborted.into()),
        };
        let may_go_on = keeps_alive && responder.framing != Outgoing::UntilClose;
        let Ok(end) = sent else {
            if let Some(ticket) = ticket {
                ticket.settle(Fate::ClientLeft);
            }
            return End::Close;
        };
        if may_go_on || end == End::Reset {
            end
        } else {
            End::Close
        }
    }
}

// === impl Responder ===

impl<'a, W: AsyncWrite + Unpin> Responder<'a, W> {
    fn new(write: &'a mut W, script: &'a Script) -> Self {
        Self {
            write,
            script,
            telling: None,
            ticket: None,
            is_http10: false,
            keeps_alive: true,
            framing: Outgoing::Sized,
            out: BytesMut::new(),
        }
    }

    /// Does the steps in order, up to the first end.
    async fn walk(&mut self, steps: Vec<Step>) -> io::Result<End> {
        for step in steps {
            match step {
                Step::Wait(wait) => {
                    self.flush().await?;
                    tokio::time::sleep(wait).await;
                }
                Step::Head(head) => self.head(&head),
                Step::Bytes(bytes) => self.piece(&bytes).await?,
                Step::Event(event) => {
                    let rendered = || self.telling.map(|telling| telling.render(&event));
                    let bytes = event.bytes().cloned().or_else(rendered);
                    self.piece(&bytes.unwrap_or_default()).await?;
                }
                Step::End(end) => return self.end(end).await,
            }
        }
        self.end(End::Complete).await
    }

    fn head(&mut self, head: &answer::Head) {
        self.framing = match (head.length, self.is_http10) {
            (Some(_), _) => Outgoing::Sized,
            (None, false) => Outgoing::Chunked,
            (None, true) => Outgoing::UntilClose,
        };
        let mut more = Vec::new();
        if !self.script.name.is_empty() {
            more.push(("x-mock", self.script.name.as_str()));
        }
        if !self.keeps_alive || self.framing == Outgoing::UntilClose {
            more.push(("connection", "close"));
        }
        http::write_head(&mut self.out, head, self.framing, &more);
        if let Some(ticket) = self.ticket {
            ticket.sent(head.status);
        }
    }

    /// Puts a piece of the body out; in the script's small pieces when it asks for them.
    async fn piece(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(size) = self.script.split else {
            if !bytes.is_empty() {
                http::write_piece(&mut self.out, bytes, self.framing);
            }
            return if self.out.len() >= WRITE_SIZE {
                self.flush().await
            } else {
                Ok(())
            };
        };
        for small in bytes.chunks(size.get()) {
            http::write_piece(&mut self.out, small, self.framing);
            self.flush().await?;
        }
        Ok(())
    }

    async fn end(&mut self, end: End) -> io::Result<End> {
        let is_framed = matches!(end, End::Complete | End::CleanCut);
        if is_framed && self.framing == Outgoing::Chunked {
            self.out.extend_from_slice(b"0\r\n\r\n");
        }
        // Before the last bytes leave, so that a client that has them all finds the fate in the log.
        if let Some(ticket) = self.ticket {
            ticket.settle(if end == End::Complete {
                Fate::Answered
            } else {
                Fate::Cut
            });
        }
        self.flush().await?;
        Ok(end)
    }

    async fn flush(&mut self) -> io::Result<()> {
        if !self.out.is_empty() {
            self.write.write_all(&self.out).await?;
            self.out.clear();
        }
        self.write.flush().await
    }
}
