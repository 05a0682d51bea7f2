//! Owns what is written of lines that are all the same but for their moment: so many a second as they are, the rest as one that
//! counts them. Must never fold a success, or lose a count.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::edge::telemetry::access_log::queue::Lines;

/// Lines of one kind that are written as they are within a window.
pub(super) const PLAIN: u64 = 10;
/// How long lines of one kind are counted together.
pub(super) const WINDOW: Duration = Duration::from_secs(1);
/// Kinds that are counted at once; further ones are written as they are. Models, classes and keys are the
/// configuration's, so that a client cannot make more.
const MOST_KINDS: usize = 4096;

/// The kinds of the present window.
#[derive(Debug, Default)]
pub(super) struct Folding {
    kinds: HashMap<String, Counted>,
    ends: Option<Instant>,
}

#[derive(Debug, Default)]
struct Counted {
    seen: u64,
    /// The last one that was not written.
    last: Vec<u8>,
}

// === impl Folding ===

impl Folding {
    /// Takes lines in: each is appended to `out`, or counted.
    pub(super) fn take_all(&mut self, lines: &Lines, now: Instant, out: &mut Vec<u8>) {
        self.end_window(now, out);
        for (line, kind) in lines.pieces() {
            match kind {
                None => out.extend_from_slice(line),
                Some(kind) => self.take((line, kind), now, out),
            }
        }
    }

    /// Takes a line of a kind in.
    fn take(&mut self, (line, kind): (&[u8], &str), now: Instant, out: &mut Vec<u8>) {
        if !self.kinds.contains_key(kind) {
            if self.kinds.len() >= MOST_KINDS {
                return out.extend_from_slice(line);
            }
            self.kinds.insert(kind.to_owned(), Counted::default());
        }
        let Some(counted) = self.kinds.get_mut(kind) else {
            return;
        };
        self.ends.get_or_insert(now + WINDOW);
        counted.seen += 1;
        if counted.seen > PLAIN {
            counted.last.clear();
            counted.last.extend_from_slice(line);
        } else {
            out.extend_from_slice(line);
        }
    }

    /// When something is to be written without a further line.
    pub(super) fn due(&self) -> Option<Instant> {
        let mut kinds = self.kinds.values();
        self.ends
            .filter(|_| kinds.any(|counted| counted.seen > PLAIN))
    }

    /// Writes what was counted, where the window is over.
    pub(super) fn end_window(&mut self, now: Instant, out: &mut Vec<u8>) {
        if self.ends.is_some_and(|ends| ends <= now) {
            self.flush(out);
        }
    }

    /// Writes what was counted: the last line of each kind, and how many it stands for.
    pub(super) fn flush(&mut self, out: &mut Vec<u8>) {
        self.ends = None;
        for (_, counted) in self.kinds.drain() {
            let folded = counted.seen.saturating_sub(PLAIN);
            match (folded, counted.last.strip_suffix(b"}\n")) {
                (0, _) => {}
                (1, _) | (_, None) => out.extend_from_slice(&counted.last),
                (folded, Some(open)) => {
                    out.extend_from_slice(open);
                    out.extend_from_slice(format!(",\"repeated\":{folded}}}\n").as_bytes());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::telemetry::access_log::queue::Queue;

    /// One line, as it is taken from the queue.
    fn line(number: u64, kind: Option<&str>) -> Lines {
        let (queue, mut lines) = (Queue::default(), Lines::default());
        let text = format!("{{\"n\":{number}}}\n");
        assert!(queue.push(text.as_bytes(), kind.map(str::to_owned)));
        queue.take(&mut lines);
        lines
    }

    fn lines(out: &[u8]) -> Vec<&str> {
        std::str::from_utf8(out).unwrap().lines().collect()
    }

    #[test]
    fn what_repeats_within_a_second_is_one_line_that_counts() {
        let (mut folding, mut out) = (Folding::default(), Vec::new());
        let begun = Instant::now();
        for number in 0..PLAIN + 5 {
            folding.take_all(&line(number, Some("a")), begun, &mut out);
        }
        folding.take_all(&line(99, Some("b")), begun, &mut out);
        assert_eq!(lines(&out).len() as u64, PLAIN + 1);
        assert_eq!(folding.due(), Some(begun + WINDOW));
        out.clear();
        folding.end_window(begun + WINDOW / 2, &mut out);
        assert!(out.is_empty(), "the window is not over");
        folding.end_window(begun + WINDOW, &mut out);
        assert_eq!(lines(&out), ["{\"n\":14,\"repeated\":5}"]);
        assert_eq!(folding.due(), None);
        // The next second begins anew.
        out.clear();
        folding.take_all(&line(100, Some("a")), begun + WINDOW, &mut out);
        assert_eq!(lines(&out), ["{\"n\":100}"]);
    }

    #[test]
    fn a_success_is_never_folded_and_a_single_line_needs_no_count() {
        let (mut folding, mut out) = (Folding::default(), Vec::new());
        let now = Instant::now();
        for number in 0..100 {
            folding.take_all(&line(number, None), now, &mut out);
        }
        assert_eq!(lines(&out).len(), 100);
        out.clear();
        for number in 0..=PLAIN {
            folding.take_all(&line(number, Some("a")), now, &mut out);
        }
        folding.flush(&mut out);
        assert_eq!(lines(&out).len() as u64, PLAIN + 1);
        assert!(!String::from_utf8(out).unwrap().contains("repeated"));
    }
}
