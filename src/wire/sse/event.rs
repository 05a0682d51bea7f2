//! Owns one event: its bytes as they came, and its data.
//! Must never change the bytes, or copy data that stands on one line.

use bytes::Bytes;
use memchr::memchr2;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// One event of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    raw: Bytes,
    /// Where its first line begins: after a byte order mark.
    start: usize,
    /// The blank line that ends it came.
    closed: bool,
}

/// What an event's `data` lines hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data<'a> {
    /// No `data` line: a comment, or fields that a client does not act on.
    None,
    /// The one line's value, within the event's bytes.
    Line(&'a [u8]),
    /// Several lines' values, joined with line feeds.
    Joined(Vec<u8>),
}

// === impl Event ===

impl Event {
    pub(super) fn new(raw: Bytes, first: bool) -> Self {
        let marked = first && raw.starts_with(BYTE_ORDER_MARK);
        Self {
            start: if marked { BYTE_ORDER_MARK.len() } else { 0 },
            raw,
            closed: true,
        }
    }

    /// The same as the stream's last, which ended without a blank line.
    pub(super) fn unclosed(self) -> Self {
        Self {
            closed: false,
            ..self
        }
    }

    /// The event byte for byte, the blank line that ends it included.
    pub fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// Whether the blank line that ends it came. Where it did not, whatever is sent next would become
    /// part of this event.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// What its `data` lines hold.
    pub fn data(&self) -> Data<'_> {
        let mut data = Data::None;
        for value in self.lines().filter_map(data_value) {
            data = match data {
                Data::None => Data::Line(value),
                Data::Line(line) => Data::Joined([line, b"\n", value].concat()),
                Data::Joined(mut joined) => {
                    joined.push(b'\n');
                    joined.extend_from_slice(value);
                    Data::Joined(joined)
                }
            };
        }
        data
    }

    /// The value of its first `event` line; empty where it has none.
    pub fn name(&self) -> &str {
        let mut names = self.lines().filter_map(|line| field(line, b"event"));
        let name = names.next().and_then(|name| std::str::from_utf8(name).ok());
        name.unwrap_or_default()
    }

    /// Whether it holds nothing but comments and blank lines.
    pub fn is_comment(&self) -> bool {
        self.lines()
            .all(|line| line.is_empty() || line.starts_with(b":"))
    }

    /// The same event with other data, its other lines kept. The data's line feeds become lines.
    pub(crate) fn with_data(&self, data: &[u8]) -> Bytes {
        let mut out = Vec::with_capacity(self.raw.len() + data.len());
        let others = self.lines().filter(|line| data_value(line).is_none());
        for line in others.filter(|line| !line.is_empty()) {
            out.extend_from_slice(line);
            out.push(b'\n');
        }
        for line in data.split(|byte| *byte == b'\n') {
            out.extend_from_slice(b"data: ");
            out.extend_from_slice(line);
            out.push(b'\n');
        }
        out.push(b'\n');
        out.into()
    }

    fn lines(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.raw.get(self.start..).unwrap_or_default();
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let length = memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
            let (line, tail) = rest.split_at(length);
            rest = tail
                .strip_prefix(b"\r\n")
                .or_else(|| tail.get(1..))
                .unwrap_or_default();
            Some(line)
        })
    }
}

fn data_value(line: &[u8]) -> Option<&[u8]> {
    field(line, b"data")
}

/// The value of a line of the field: after the colon, less one leading space.
fn field<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let value = line.strip_prefix(name)?;
    if value.is_empty() {
        return Some(value);
    }
    let value = value.strip_prefix(b":")?;
    Some(value.strip_prefix(b" ").unwrap_or(value))
}
