//! Owns where an event ends: the state of the line scan between two chunks. The result depends on
//! the bytes alone, never on how they were cut into chunks.
//! Must never look at a line's content.

use memchr::memchr2;

/// What the last byte left open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Open {
    #[default]
    Nothing,
    /// A CR ended a line; a LF right after it belongs to that line end.
    Line,
    /// A CR ended a blank line in a stream whose lines end with CRLF: the event's last byte is
    /// likely the LF to come, and a client that looks for CRLF CRLF needs it in the same event.
    Event,
}

/// The scan's state: everything it must know of the bytes before the present chunk.
#[derive(Debug)]
pub(super) struct Lines {
    /// The present line has no byte yet.
    blank: bool,
    /// The last line of this event ended with CRLF.
    crlf: bool,
    open: Open,
}

// === impl Lines ===

impl Default for Lines {
    fn default() -> Self {
        Self {
            blank: true,
            crlf: false,
            open: Open::Nothing,
        }
    }
}

impl Lines {
    /// Where the present event ends within `chunk`, its blank line included; `None` where it goes on.
    /// An event that ends in a lone CR ends at once where the line before it did not end in CRLF, so a
    /// stream of CRs is not held back; a LF that still follows leads the next event, and is skipped.
    pub(super) fn event_end(&mut self, chunk: &[u8]) -> Option<usize> {
        let mut at = 0;
        while let Some(&byte) = chunk.get(at) {
            match self.open {
                Open::Event => {
                    let end = at + usize::from(byte == b'\n');
                    *self = Self::default();
                    return Some(end);
                }
                Open::Line => {
                    self.open = Open::Nothing;
                    self.crlf = byte == b'\n';
                    at += usize::from(self.crlf);
                }
                Open::Nothing => {
                    let rest = chunk.get(at..).unwrap_or_default();
                    let Some(length) = memchr2(b'\n', b'\r', rest) else {
                        self.blank = false;
                        return None;
                    };
                    at += length + 1;
                    let is_blank = std::mem::replace(&mut self.blank, true) && length == 0;
                    if self.line_ended(is_blank, rest.get(length) == Some(&b'\r')) {
                        return Some(at);
                    }
                }
            }
        }
        None
    }

    /// Takes one line end; true where it ends the event.
    fn line_ended(&mut self, is_blank: bool, is_cr: bool) -> bool {
        match (is_blank, is_cr) {
            (true, false) => {
                *self = Self::default();
                true
            }
            (true, true) if self.crlf => {
                self.open = Open::Event;
                false
            }
            (true, true) => {
                *self = Self::default();
                self.open = Open::Line;
                true
            }
            (false, true) => {
                self.open = Open::Line;
                false
            }
            (false, false) => {
                self.crlf = false;
                false
            }
        }
    }
}
