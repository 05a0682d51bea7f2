//! Owns AWS's binary event stream: the cutting of a byte stream into messages, whatever its chunks. In each are a length,
//! headers, a payload and two checksums (<https://smithy.io/2.0/aws/amazon-eventstream.html>, 2026-11-22).
//! Must never hold more than one message that is not complete, or go on behind one that is broken.

use aws_smithy_eventstream::frame::read_message_from;
use aws_smithy_types::event_stream::{HeaderValue, Message as Raw};
use bytes::{Buf, Bytes, BytesMut};

use crate::wire::dialect::Frame;

/// Two lengths, two checksums, and nothing between.
const SHORTEST: usize = 16;

/// The stream cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    #[error("a message of the stream is longer than {max_message_bytes} bytes")]
    TooLong { max_message_bytes: usize },
    /// A checksum or a length in it is wrong.
    #[error("a message of the stream is damaged")]
    Damaged,
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The event's type, the exception's, or the error's code.
    name: String,
    payload: Bytes,
    is_error: bool,
}

/// Cuts a stream into messages, chunk by chunk.
#[derive(Debug)]
pub struct Splitter {
    max_message_bytes: usize,
    buffer: BytesMut,
    failed: bool,
}

// === impl Message ===

impl Message {
    /// As dialects read it.
    pub fn frame(&self) -> Frame<'_> {
        Frame {
            name: &self.name,
            data: &self.payload,
            is_error: self.is_error,
        }
    }

    fn of(raw: &Raw) -> Self {
        let kind = header(raw, ":message-type").unwrap_or("event");
        let (name, payload) = match kind {
            "exception" => (header(raw, ":exception-type"), raw.payload().clone()),
            "error" => (header(raw, ":error-code"), error_payload(raw)),
            _ => (header(raw, ":event-type"), raw.payload().clone()),
        };
        Self {
            name: name.unwrap_or_default().to_owned(),
            payload,
            is_error: matches!(kind, "exception" | "error"),
        }
    }
}

/// A header's text.
fn header<'a>(raw: &'a Raw, name: &str) -> Option<&'a str> {
    let mut headers = raw.headers().iter();
    let found = headers.find(|header| header.name().as_str() == name)?;
    match found.value() {
        HeaderValue::String(text) => Some(text.as_str()),
        _ => None,
    }
}

/// An error of the framing has its words in a header. They get the form that an exception's have.
fn error_payload(raw: &Raw) -> Bytes {
    match header(raw, ":error-message") {
        Some(message) => serde_json::json!({ "message": message }).to_string().into(),
        None => raw.payload().clone(),
    }
}

// === impl Splitter ===

impl Splitter {
    /// Makes a splitter that refuses messages longer than `max_message_bytes`, all of it counted.
    pub fn new(max_message_bytes: usize) -> Self {
        Self {
            max_message_bytes,
            buffer: BytesMut::new(),
            failed: false,
        }
    }

    /// Takes the next chunk of the stream.
    pub fn push(&mut self, chunk: &[u8]) {
        if !self.failed {
            self.buffer.extend_from_slice(chunk);
        }
    }

    /// The next complete message, `None` until more is pushed. After an error there is nothing more.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator ends at its first None; this goes on after the next push"
    )]
    pub fn next(&mut self) -> Option<Result<Message, Broken>> {
        let length = self.buffer.get(..4)?.get_u32();
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > self.max_message_bytes {
            let max_message_bytes = self.max_message_bytes;
            return Some(Err(self.fail(Broken::TooLong { max_message_bytes })));
        }
        if length < SHORTEST {
            return Some(Err(self.fail(Broken::Damaged)));
        }
        if self.buffer.len() < length {
            return None;
        }
        let mut bytes = self.buffer.split_to(length).freeze();
        match read_message_from(&mut bytes) {
            Ok(raw) => Some(Ok(Message::of(&raw))),
            Err(_) => Some(Err(self.fail(Broken::Damaged))),
        }
    }

    /// Whether the stream may end here: every byte pushed so far was given out, and none was damaged.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty() && !self.failed
    }

    fn fail(&mut self, broken: Broken) -> Broken {
        self.failed = true;
        self.buffer = BytesMut::new();
        broken
    }
}

#[cfg(test)]
pub(in crate::wire) mod tests {
    use aws_smithy_eventstream::frame::write_message_to;
    use aws_smithy_types::event_stream::Header;

    use super::*;

    /// A message as AWS sends it.
    pub(in crate::wire) fn message(headers: &[(&str, &str)], payload: &str) -> Vec<u8> {
        let text = |value: &str| HeaderValue::String(value.to_owned().into());
        let headers = headers
            .iter()
            .map(|(name, value)| Header::new((*name).to_owned(), text(value)));
        let raw = Raw::new_from_parts(headers.collect(), payload.to_owned());
        let mut out = Vec::new();
        write_message_to(&raw, &mut out).expect("a short message");
        out
    }

    fn event(name: &str, payload: &str) -> Vec<u8> {
        let headers = [
            (":event-type", name),
            (":content-type", "application/json"),
            (":message-type", "event"),
        ];
        message(&headers, payload)
    }

    fn read(bytes: &[u8], chunk: usize) -> (Vec<Message>, Option<Broken>, bool) {
        let mut splitter = Splitter::new(1 << 16);
        let mut found = Vec::new();
        for part in bytes.chunks(chunk) {
            splitter.push(part);
            while let Some(next) = splitter.next() {
                match next {
                    Ok(message) => found.push(message),
                    Err(broken) => return (found, Some(broken), splitter.is_empty()),
                }
            }
        }
        (found, None, splitter.is_empty())
    }

    #[test]
    fn any_split_gives_the_same_messages() {
        let stream = [
            event("messageStart", r#"{"role":"assistant"}"#),
            event(
                "contentBlockDelta",
                &format!(r#"{{"a":"{}"}}"#, "é".repeat(5000)),
            ),
            message(
                &[
                    (":message-type", "exception"),
                    (":exception-type", "throttlingException"),
                ],
                r#"{"message":"slow"}"#,
            ),
            message(
                &[
                    (":message-type", "error"),
                    (":error-code", "InternalError"),
                    (":error-message", "a \"word\""),
                ],
                "",
            ),
            event("", ""),
        ]
        .concat();
        let (whole, broken, empty) = read(&stream, stream.len());
        assert_eq!((broken, empty), (None, true));
        let seen: Vec<_> = whole
            .iter()
            .map(|message| {
                (
                    message.name.as_str(),
                    message.is_error,
                    message.payload.len(),
                )
            })
            .collect();
        assert_eq!(
            seen,
            [
                ("messageStart", false, 20),
                ("contentBlockDelta", false, 10_008),
                ("throttlingException", true, 18),
                ("InternalError", true, 24),
                ("", false, 0),
            ]
        );
        for chunk in [1, 2, 3, 7, 100, 4096] {
            assert_eq!(read(&stream, chunk), (whole.clone(), None, true), "{chunk}");
        }
    }

    #[test]
    fn a_cut_stream_is_not_empty() {
        let stream = event("messageStop", "{}");
        for end in 1..stream.len() {
            let (messages, broken, empty) = read(&stream[..end], 5);
            assert_eq!((messages.len(), broken, empty), (0, None, false), "{end}");
        }
    }

    #[test]
    fn a_long_message_is_refused_before_it_is_held() {
        let mut splitter = Splitter::new(100);
        splitter.push(&event("a", &"x".repeat(100))[..4]);
        let too_long = Broken::TooLong {
            max_message_bytes: 100,
        };
        assert_eq!(splitter.next(), Some(Err(too_long)));
        splitter.push(&event("a", ""));
        assert_eq!(splitter.next(), None);
        assert!(!splitter.is_empty());
    }

    #[test]
    fn every_flipped_bit_is_seen() {
        let stream = event("contentBlockDelta", r#"{"delta":{"text":"a"}}"#);
        for at in 0..stream.len() {
            for bit in 0..8 {
                let mut damaged = stream.clone();
                damaged[at] ^= 1 << bit;
                let (messages, broken, empty) = read(&damaged, 64);
                assert_eq!(messages, [], "byte {at}, bit {bit}");
                // A length that grew waits for what never comes.
                assert!(broken.is_some() || !empty, "byte {at}, bit {bit}");
            }
        }
    }

    #[test]
    fn headers_that_lie_break_nothing() {
        let mut rng = fastrand::Rng::with_seed(11);
        let cases = 50_000;
        let mut whole = 0;
        for _ in 0..cases {
            let headers: Vec<u8> = (0..rng.usize(0..24)).map(|_| rng.u8(0..12)).collect();
            let payload: Vec<u8> = (0..rng.usize(0..9)).map(|_| rng.u8(..)).collect();
            let claimed = match rng.bool() {
                true => headers.len(),
                false => rng.usize(0..64),
            };
            let stream = summed(claimed, &[headers, payload].concat());
            whole += read(&stream, 7).0.len();
        }
        println!("{cases} messages with right checksums, {whole} of them whole");
        assert!(whole > 0 && whole < cases);
    }

    /// A message whose checksums are right, whatever is in it.
    fn summed(headers: usize, rest: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&u32::try_from(rest.len() + SHORTEST).unwrap().to_be_bytes());
        out.extend_from_slice(&u32::try_from(headers).unwrap().to_be_bytes());
        out.extend_from_slice(&crc(&out).to_be_bytes());
        out.extend_from_slice(rest);
        out.extend_from_slice(&crc(&out).to_be_bytes());
        out
    }

    /// CRC-32 as zlib has it, the slow way.
    fn crc(bytes: &[u8]) -> u32 {
        let step = |crc: u32, _| (crc >> 1) ^ (0xEDB8_8320 & 0_u32.wrapping_sub(crc & 1));
        !bytes.iter().fold(u32::MAX, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), step)
        })
    }

    #[test]
    fn arbitrary_bytes_break_nothing() {
        let mut rng = fastrand::Rng::with_seed(3);
        let cases = 20_000;
        for _ in 0..cases {
            let mut bytes: Vec<u8> = (0..rng.usize(0..80)).map(|_| rng.u8(..)).collect();
            // Most lengths would be far too long.
            bytes.iter_mut().take(3).for_each(|byte| *byte = 0);
            read(&bytes, rng.usize(1..9));
        }
        println!("{cases} arbitrary streams");
    }
}
