//! Owns where the body of an answer ends: by its length, in chunks, or with the connection. It takes bytes as
//! they come, and says the same of them however they were cut.
//! Must never read past the end of a body, or call one whole that was cut.

use bytes::{Buf, Bytes, BytesMut};
use httparse::Status;

use super::Malformed;

/// The longest line of a chunk's size with its extensions, which nobody reads. nginx and Node.js stop at less
/// than 16 KiB.
const LONGEST_LINE: usize = 4 * 1024;
/// The most trailers, all of them together; they are dropped.
const LONGEST_TRAILERS: usize = 16 * 1024;

/// What is still to come of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// So many bytes.
    Length(u64),
    Chunked(Chunk),
    /// Whatever comes until the connection ends.
    UntilClose,
    /// Nothing.
    Over,
}

/// Where in a chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chunk {
    /// Before the line of a chunk's size.
    Size,
    /// So many bytes before the end of a chunk's data.
    Data(u64),
    /// Before the line break after the data.
    Break,
    /// Among the trailers, of which so many bytes have come.
    Trailers(usize),
}

/// What the bytes at hand yield.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Data(Bytes),
    /// More bytes are needed.
    More,
    End,
}

// === impl Body ===

impl Body {
    /// A body in chunks, from its beginning.
    pub(super) const CHUNKED: Self = Self::Chunked(Chunk::Size);

    /// Takes the next piece from the bytes that have come.
    pub(super) fn next(&mut self, buffer: &mut BytesMut) -> Result<Piece, Malformed> {
        match self {
            Body::Over | Body::Length(0) => {
                *self = Body::Over;
                Ok(Piece::End)
            }
            _ if buffer.is_empty() => Ok(Piece::More),
            Body::Length(left) => Ok(Piece::Data(take(left, buffer))),
            Body::UntilClose => Ok(Piece::Data(buffer.split().freeze())),
            Body::Chunked(chunk) => {
                let piece = chunk.next(buffer)?;
                if piece == Piece::End {
                    *self = Body::Over;
                }
                Ok(piece)
            }
        }
    }

    /// The connection has ended. Returns whether that is the body's end too.
    pub(super) fn ends_with_connection(&mut self) -> bool {
        if *self == Body::UntilClose {
            *self = Body::Over;
        }
        self.is_over()
    }

    /// Whether it came whole.
    pub(super) fn is_over(self) -> bool {
        matches!(self, Body::Over | Body::Length(0))
    }

    /// How many bytes are known to come.
    pub(super) fn expected(self) -> u64 {
        match self {
            Body::Length(left) | Body::Chunked(Chunk::Data(left)) => left,
            Body::Chunked(_) | Body::UntilClose | Body::Over => 0,
        }
    }
}

/// Takes what there is of so many bytes.
fn take(left: &mut u64, buffer: &mut BytesMut) -> Bytes {
    let there = usize::try_from(*left).map_or(buffer.len(), |left| left.min(buffer.len()));
    *left -= there as u64;
    buffer.split_to(there).freeze()
}

impl Chunk {
    fn next(&mut self, buffer: &mut BytesMut) -> Result<Piece, Malformed> {
        loop {
            let step = match self {
                Chunk::Size => self.size(buffer)?,
                Chunk::Data(left) if buffer.is_empty() && *left > 0 => Some(Piece::More),
                Chunk::Data(left) => {
                    let data = take(left, buffer);
                    if *left == 0 {
                        *self = Chunk::Break;
                    }
                    Some(Piece::Data(data))
                }
                Chunk::Break => self.line_break(buffer)?,
                Chunk::Trailers(seen) => trailers(seen, buffer)?,
            };
            if let Some(piece) = step {
                return Ok(piece);
            }
        }
    }

    /// Reads the line of a size. `None`: go on.
    fn size(&mut self, buffer: &mut BytesMut) -> Result<Option<Piece>, Malformed> {
        const WRONG: Malformed = Malformed("a chunk's size");
        let Some(first) = buffer.first() else {
            return Ok(Some(Piece::More));
        };
        // The parser takes no digit for zero, which would be the end.
        if !first.is_ascii_hexdigit() {
            return Err(WRONG);
        }
        let (line, size) = match httparse::parse_chunk_size(buffer).map_err(|_| WRONG)? {
            Status::Complete(read) => read,
            Status::Partial if buffer.len() > LONGEST_LINE => return Err(WRONG),
            Status::Partial => return Ok(Some(Piece::More)),
        };
        if line > LONGEST_LINE {
            return Err(WRONG);
        }
        buffer.advance(line);
        *self = match size {
            0 => Chunk::Trailers(0),
            size => Chunk::Data(size),
        };
        Ok(None)
    }

    fn line_break(&mut self, buffer: &mut BytesMut) -> Result<Option<Piece>, Malformed> {
        match buffer.as_ref() {
            [b'\r', b'\n', ..] => {
                buffer.advance(2);
                *self = Chunk::Size;
                Ok(None)
            }
            [] | [b'\r'] => Ok(Some(Piece::More)),
            _ => Err(Malformed("a chunk's end")),
        }
    }
}

/// Drops trailers up to the empty line that ends them. `None`: go on.
fn trailers(seen: &mut usize, buffer: &mut BytesMut) -> Result<Option<Piece>, Malformed> {
    const WRONG: Malformed = Malformed("a chunked body's trailers");
    let Some(end) = memchr::memchr(b'\n', buffer) else {
        return match *seen + buffer.len() > LONGEST_TRAILERS {
            true => Err(WRONG),
            false => Ok(Some(Piece::More)),
        };
    };
    let line = buffer.split_to(end + 1);
    *seen += line.len();
    match line.as_ref() {
        b"\r\n" => Ok(Some(Piece::End)),
        [.., b'\r', b'\n'] if *seen <= LONGEST_TRAILERS => Ok(None),
        _ => Err(WRONG),
    }
}

#[cfg(test)]
#[path = "framing_tests.rs"]
mod tests;
