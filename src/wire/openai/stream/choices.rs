//! Owns which choices of a stream were seen, are finished, and have a tool call under way.
//! Must never allocate: the format allows 128 choices, one bit each.

/// The highest index with a bit of its own; a higher one shares it.
const LAST: u32 = u128::BITS - 1;

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Choices {
    seen: u128,
    finished: u128,
    tool_calls: u128,
}

// === impl Choices ===

impl Choices {
    /// Takes what a chunk said of one choice.
    pub(super) fn see(&mut self, index: u32, tool_call: bool, finished: bool) {
        let bit = 1_u128 << index.min(LAST);
        self.seen |= bit;
        self.tool_calls |= if tool_call { bit } else { 0 };
        self.finished |= if finished { bit } else { 0 };
    }

    /// Whether every choice seen has its finish reason, and so many of them at least.
    pub(super) fn are_finished(self, expected: u32) -> bool {
        self.seen == self.finished && self.finished.count_ones() >= expected.max(1)
    }

    /// Whether a tool call has begun in a choice that is not finished.
    pub(super) fn has_open_tool_call(self) -> bool {
        self.tool_calls & !self.finished != 0
    }
}
