//! Owns what becomes of a request's body while its upstream may answer already, and its writing over h2, where
//! both go on at once. Must never finish a body that the upstream no longer wants.

use std::time::Duration;

use bytes::Bytes;
use h2::SendStream;
use pingora::protocols::http::v2::client::Http2Session;
use pingora::{BError, Error, ErrorType, OrErr};

use crate::wire::rope::Rope;

/// The longest one write may block before the connection counts as lost.
pub(super) const WRITE_STALL: Duration = Duration::from_secs(20);
/// Over h2 a body is written in pieces of at most so many bytes, each under that limit.
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
pub(super) async fn upload(stream: &mut Http2Session, body: &Rope) -> Result<Upload, Failed> {
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
    let head = stream.response_header();
    if head.is_some_and(|head| !head.status.is_informational() && !head.status.is_success()) {
        return Ok(Upload::Refused);
    }
    writing.await?;
    Ok(Upload::Whole)
}

fn pieces(body: &Rope) -> impl Iterator<Item = Bytes> {
    body.segments().iter().flat_map(|segment| {
        let mut rest = segment.clone();
        std::iter::from_fn(move || (!rest.is_empty()).then(|| rest.split_to(rest.len().min(PIECE))))
    })
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
