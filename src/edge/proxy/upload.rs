//! Owns the writing of a request's body while its upstream may answer already. Over h2 both go on at once; Pingora's
//! HTTP/1.1 session cannot read while a write waits, so an answer is looked for between two pieces.
//! Must never finish a body that the upstream no longer wants.

use std::time::Duration;

use bytes::Bytes;
use h2::SendStream;
use pingora::protocols::http::client::HttpSession;
use pingora::protocols::http::v2::client::Http2Session;
use pingora::{BError, Error, ErrorType, OrErr};

use crate::wire::rope::Rope;

/// The longest one write may block before the connection counts as lost.
pub(super) const WRITE_STALL: Duration = Duration::from_secs(20);
/// A body is written in pieces of at most so many bytes, each under that limit.
const PIECE: usize = 64 * 1024;

/// What became of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Upload {
    Whole,
    /// The upstream has refused the request before it had read it; its head was read.
    Refused,
}

/// Why a body could not be written.
pub(super) struct Failed {
    pub(super) cause: BError,
    /// The answer's side said so: there is nothing more to read.
    pub(super) unreadable: bool,
}

impl From<BError> for Failed {
    fn from(cause: BError) -> Self {
        let unreadable = false;
        Self { cause, unreadable }
    }
}

fn unreadable(cause: BError) -> Failed {
    let unreadable = true;
    Failed { cause, unreadable }
}

/// Writes the body of a request whose head was written.
pub(super) async fn upload(session: &mut HttpSession, body: &Rope) -> Result<Upload, Failed> {
    if let HttpSession::H2(stream) = session {
        return multiplexed(stream, body).await;
    }
    for (nth, piece) in pieces(body).enumerate() {
        if nth > 0 && is_refused_early(session).await.map_err(unreadable)? {
            return Ok(Upload::Refused);
        }
        session.write_request_body(piece, false).await?;
    }
    let finishing = tokio::time::timeout(WRITE_STALL, session.finish_request_body());
    finishing.await.map_err(|_| stalled())??;
    Ok(Upload::Whole)
}

fn pieces(body: &Rope) -> impl Iterator<Item = Bytes> {
    body.segments().iter().flat_map(|segment| {
        let mut rest = segment.clone();
        std::iter::from_fn(move || (!rest.is_empty()).then(|| rest.split_to(rest.len().min(PIECE))))
    })
}

/// Looks for a head that has come already. Pingora keeps the part of one that is not whole yet.
async fn is_refused_early(session: &mut HttpSession) -> Result<bool, BError> {
    if session
        .response_header()
        .is_some_and(|head| !head.status.is_informational())
    {
        return Ok(false);
    }
    let looking = tokio::time::timeout(Duration::ZERO, session.read_response_header());
    match looking.await {
        Ok(read) => read.map(|()| is_refusal(session.response_header().map(|head| head.status))),
        Err(_) => Ok(false),
    }
}

fn is_refusal(status: Option<http::StatusCode>) -> bool {
    status.is_some_and(|status| !status.is_informational() && !status.is_success())
}

async fn multiplexed(stream: &mut Http2Session, body: &Rope) -> Result<Upload, Failed> {
    let Some(mut writer) = stream.take_request_body_writer() else {
        return Err(Error::explain(ErrorType::InternalError, "no stream to write to").into());
    };
    let writing = write(&mut writer, body);
    tokio::pin!(writing);
    tokio::select! {
        biased;
        written = &mut writing => {
            written?;
            return Ok(Upload::Whole);
        }
        read = stream.read_response_header() => read.map_err(unreadable)?,
    }
    if is_refusal(stream.response_header().map(|head| head.status)) {
        return Ok(Upload::Refused);
    }
    writing.await?;
    Ok(Upload::Whole)
}

async fn write(writer: &mut SendStream<Bytes>, body: &Rope) -> Result<(), BError> {
    for mut piece in pieces(body) {
        while !piece.is_empty() {
            writer.reserve_capacity(piece.len());
            let room = std::future::poll_fn(|context| writer.poll_capacity(context));
            let room = tokio::time::timeout(WRITE_STALL, room);
            let Some(room) = room.await.map_err(|_| stalled())? else {
                return Err(Error::explain(
                    ErrorType::WriteError,
                    "the stream is closed",
                ));
            };
            let room = room.or_err(ErrorType::WriteError, "waiting for room")?;
            let part = piece.split_to(room.min(piece.len()));
            writer
                .send_data(part, false)
                .or_err(ErrorType::WriteError, "writing the request")?;
        }
    }
    writer
        .send_data(Bytes::new(), true)
        .or_err(ErrorType::WriteError, "ending the request")
}

#[expect(
    clippy::unnecessary_box_returns,
    reason = "the form in which Pingora hands errors on"
)]
fn stalled() -> BError {
    Error::explain(ErrorType::WriteTimedout, "writing the request")
}
