//! Owns the undoing of a compression that was not asked for: gzip and deflate, piece by piece. Each piece that
//! comes out is small, so that the bounds on what is held and on an event hold for what is decoded too.
//! Must never take the end of the bytes for the end of the content.

use std::io::{self, Write};

use bytes::{Buf, Bytes};
use flate2::write::GzDecoder;
use flate2::{Decompress, FlushDecompress, Status};

/// The most that one step yields.
const PIECE: usize = 32 * 1024;

/// How a body is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    Plain,
    Gzip,
    Deflate,
    /// Nothing here can read it.
    Unknown,
}

impl Coding {
    /// The one that a head's value names.
    pub(crate) fn named(value: &[u8]) -> Self {
        let name = value.trim_ascii().to_ascii_lowercase();
        match name.as_slice() {
            b"" | b"identity" => Self::Plain,
            b"gzip" | b"x-gzip" => Self::Gzip,
            b"deflate" => Self::Deflate,
            _ => Self::Unknown,
        }
    }
}

/// Decodes one body.
pub(crate) struct Decoder {
    state: State,
    /// What has come and is not decoded yet.
    rest: Bytes,
}

enum State {
    Gzip(Box<GzDecoder<Vec<u8>>>),
    /// Not a byte has come: whether it is wrapped in zlib's format, as it should be, or bare is not known yet.
    Deflate,
    Inflate(Inflate),
}

struct Inflate {
    inflate: Decompress,
    ended: bool,
}

impl Decoder {
    /// For a body that is coded, in a way that can be read.
    pub(crate) fn new(coding: Coding) -> Option<Self> {
        let state = match coding {
            Coding::Gzip => State::Gzip(Box::new(GzDecoder::new(Vec::new()))),
            Coding::Deflate => State::Deflate,
            Coding::Plain | Coding::Unknown => return None,
        };
        let rest = Bytes::new();
        Some(Self { state, rest })
    }

    /// Takes what came, once `next` has nothing more.
    pub(crate) fn push(&mut self, bytes: Bytes) {
        self.rest = bytes;
        if matches!(self.state, State::Deflate)
            && let Some(first) = self.rest.first()
        {
            let has_wrapper = first & 0x0f == 8 && first >> 4 <= 7;
            self.state = State::Inflate(Inflate {
                inflate: Decompress::new(has_wrapper),
                ended: false,
            });
        }
    }

    /// The next decoded piece. `None`: more is needed.
    pub(crate) fn next(&mut self) -> io::Result<Option<Bytes>> {
        let piece = match &mut self.state {
            State::Gzip(decoder) => ungzip(decoder, &mut self.rest)?,
            State::Inflate(decoder) => decoder.step(&mut self.rest)?,
            State::Deflate => Vec::new(),
        };
        Ok((!piece.is_empty()).then(|| piece.into()))
    }

    /// Whether the content is whole, checksum included.
    pub(crate) fn end(&mut self) -> io::Result<()> {
        match &mut self.state {
            State::Gzip(decoder) => decoder.try_finish(),
            State::Inflate(Inflate { ended: true, .. }) => Ok(()),
            State::Inflate(_) | State::Deflate => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// One write of flate2's yields at most one of its buffers.
fn ungzip(decoder: &mut GzDecoder<Vec<u8>>, rest: &mut Bytes) -> io::Result<Vec<u8>> {
    while !rest.is_empty() {
        let read = decoder.write(rest)?;
        if read == 0 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        rest.advance(read);
        if !decoder.get_ref().is_empty() {
            return Ok(std::mem::take(decoder.get_mut()));
        }
    }
    decoder.flush()?;
    Ok(std::mem::take(decoder.get_mut()))
}

impl Inflate {
    fn step(&mut self, rest: &mut Bytes) -> io::Result<Vec<u8>> {
        let mut piece = Vec::with_capacity(PIECE);
        while !self.ended && piece.is_empty() {
            let before = self.inflate.total_in();
            let flush = FlushDecompress::None;
            let status = self.inflate.decompress_vec(rest, &mut piece, flush)?;
            let read = usize::try_from(self.inflate.total_in() - before).unwrap_or(rest.len());
            rest.advance(read);
            self.ended = status == Status::StreamEnd;
            if read == 0 && piece.is_empty() && !self.ended {
                break;
            }
        }
        match (piece.is_empty(), rest.is_empty()) {
            // What comes after the end, or cannot be read, is no part of the content.
            (true, false) => Err(io::ErrorKind::InvalidData.into()),
            _ => Ok(piece),
        }
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(text: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn bare(text: &[u8]) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    /// What comes out, and whether it is whole.
    fn decode(coding: Coding, coded: &[u8], cut: usize) -> (Vec<u8>, bool) {
        let mut decoder = Decoder::new(coding).unwrap();
        let mut text = Vec::new();
        for piece in coded.chunks(cut) {
            decoder.push(Bytes::copy_from_slice(piece));
            loop {
                match decoder.next() {
                    Ok(Some(decoded)) => {
                        assert!(decoded.len() <= 3 * PIECE, "{} bytes", decoded.len());
                        text.extend_from_slice(&decoded);
                    }
                    Ok(None) => break,
                    Err(_) => return (text, false),
                }
            }
        }
        let whole = decoder.end().is_ok();
        (text, whole)
    }

    fn cases(text: &[u8]) -> [(Coding, Vec<u8>); 3] {
        [
            (Coding::Gzip, gzip(text)),
            (Coding::Deflate, zlib(text)),
            (Coding::Deflate, bare(text)),
        ]
    }

    #[test]
    fn any_cut_of_the_bytes_decodes_to_the_same() {
        let text: Vec<u8> = (0..100_000u32).flat_map(u32::to_le_bytes).collect();
        for (coding, coded) in cases(&text) {
            for cut in [1, 2, 7, 1000, coded.len()] {
                assert_eq!(decode(coding, &coded, cut), (text.clone(), true), "{cut}");
            }
        }
    }

    #[test]
    fn a_cut_or_spoilt_body_is_not_whole() {
        for (coding, coded) in cases(b"some text that is long enough to be cut") {
            for length in 0..coded.len() {
                let (_, whole) = decode(coding, &coded[..length], 1000);
                assert!(!whole, "{coding:?} {length}");
            }
            let longer = [coded.as_slice(), b"x"].concat();
            assert!(!decode(coding, &longer, 1000).1, "{coding:?}");
        }
        assert!(!decode(Coding::Gzip, b"plain text", 1000).1);
    }

    #[test]
    fn a_bomb_comes_out_in_small_pieces() {
        for (coding, coded) in cases(&vec![0; 50 << 20]) {
            // The sizes are checked by `decode`.
            assert_eq!(decode(coding, &coded, 16 * 1024).0.len(), 50 << 20);
        }
    }

    #[test]
    fn what_a_body_sends_first_comes_out_first() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(b"data: 1\n\n").unwrap();
        encoder.flush().unwrap();
        let mut decoder = Decoder::new(Coding::Gzip).unwrap();
        decoder.push(Bytes::copy_from_slice(encoder.get_ref()));
        assert_eq!(decoder.next().unwrap().unwrap(), &b"data: 1\n\n"[..]);
    }

    #[test]
    fn a_head_names_its_coding() {
        let check = |value: &str, expected: Coding| {
            assert_eq!(Coding::named(value.as_bytes()), expected, "{value}");
        };
        check("", Coding::Plain);
        check("identity", Coding::Plain);
        check(" GZip ", Coding::Gzip);
        check("deflate", Coding::Deflate);
        check("br", Coding::Unknown);
        check("gzip, br", Coding::Unknown);
    }
}
