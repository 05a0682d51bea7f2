//! Owns the question whether a call's arguments are whole. Must never judge them: only braces outside of strings are counted.

/// Whether pieces of JSON have come to the end of an object: braces outside of strings are counted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Balance {
    depth: u32,
    begun: bool,
    quoted: bool,
    escaped: bool,
}

// === impl Balance ===

impl Balance {
    /// Counts the next piece.
    pub(super) fn take(&mut self, json: &str) {
        for byte in json.bytes() {
            if self.quoted {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.quoted = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.quoted = true,
                b'{' | b'[' => {
                    self.depth = self.depth.saturating_add(1);
                    self.begun = true;
                }
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
    }

    /// Whether an object has come to its end.
    pub(super) fn is_whole(self) -> bool {
        self.begun && self.depth == 0 && !self.quoted
    }
}
