//! Owns the lines that wait for the writer: one text, behind a lock that is held for a copy. Must never make a request wait for
//! a reader: a line that finds no room is refused.

use std::ops::Range;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Lines that may wait for the writer before new ones are dropped and counted.
const QUEUE: usize = 4096;
/// Bytes of room that are kept for the lines to come, however many there have been at once.
const KEPT: usize = 256 * 1024;

/// What waits.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    came: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: Lines,
    /// The writer sleeps until the next line.
    is_awaited: bool,
    has_ended: bool,
}

/// Lines in the order they came.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// JSON, and each line's end.
    text: Vec<u8>,
    count: usize,
    /// Where those are that may be folded, and what each has in common with others.
    kinds: Vec<(Range<usize>, String)>,
}

// === impl Queue ===

impl Queue {
    /// Takes a line in, and what it has in common with others where it may be folded. Returns whether there was room.
    pub(super) fn push(&self, line: &[u8], kind: Option<String>) -> bool {
        let mut waiting = self.lock();
        if waiting.lines.count >= QUEUE {
            return false;
        }
        waiting.lines.push(line, kind);
        let is_awaited = std::mem::take(&mut waiting.is_awaited);
        drop(waiting);
        if is_awaited {
            self.came.notify_one();
        }
        true
    }

    /// No line comes any more.
    pub(super) fn end(&self) {
        self.lock().has_ended = true;
        self.came.notify_one();
    }

    /// Waits for a line or for the end, no longer than something else is due. Returns whether there is a line.
    pub(super) fn wait(&self, due: Option<Instant>) -> bool {
        let mut waiting = self.lock();
        while waiting.lines.count == 0 && !waiting.has_ended {
            let left = due.map(|due| due.saturating_duration_since(Instant::now()));
            waiting.is_awaited = true;
            waiting = match left {
                None => self
                    .came
                    .wait(waiting)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(left) if left.is_zero() => break,
                Some(left) => {
                    let woken = self.came.wait_timeout(waiting, left);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        waiting.is_awaited = false;
        waiting.lines.count > 0
    }

    /// Takes all that waits, in the place of what is there. Returns whether none will come any more.
    pub(super) fn take(&self, lines: &mut Lines) -> bool {
        lines.clear();
        let mut waiting = self.lock();
        std::mem::swap(&mut waiting.lines, lines);
        waiting.has_ended
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Lines ===

impl Lines {
    fn push(&mut self, line: &[u8], kind: Option<String>) {
        let begun = self.text.len();
        self.text.extend_from_slice(line);
        self.count += 1;
        if let Some(kind) = kind {
            self.kinds.push((begun..self.text.len(), kind));
        }
    }

    fn clear(&mut self) {
        self.text.clear();
        self.text.shrink_to(KEPT);
        self.kinds.clear();
        self.count = 0;
    }

    /// Each line that may be folded, with its kind, and what stands between them as it is.
    pub(super) fn pieces(&self) -> impl Iterator<Item = (&[u8], Option<&str>)> {
        let begins = std::iter::once(0).chain(self.kinds.iter().map(|(line, _)| line.end));
        let ends = self.kinds.iter().map(|(line, _)| line.start);
        let between = begins.zip(ends.chain([self.text.len()]));
        let mut kinds = self.kinds.iter();
        between.flat_map(move |(begin, end)| {
            let plain = (&self.text[begin..end], None);
            let kinded = kinds.next();
            let kinded = kinded.map(|(line, kind)| (&self.text[line.clone()], Some(&**kind)));
            std::iter::once(plain).chain(kinded)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;

    fn pieces(lines: &Lines) -> Vec<(&str, Option<&str>)> {
        let text = |text| std::str::from_utf8(text).unwrap();
        let all = lines.pieces().map(|(line, kind)| (text(line), kind));
        all.filter(|(line, _)| !line.is_empty()).collect()
    }

    #[test]
    fn lines_come_out_in_their_order_each_with_its_kind() {
        let (queue, mut lines) = (Queue::default(), Lines::default());
        for (line, kind) in [
            ("a\n", None),
            ("b\n", None),
            ("c\n", Some("x")),
            ("d\n", Some("y")),
            ("e\n", None),
        ] {
            assert!(queue.push(line.as_bytes(), kind.map(str::to_owned)));
        }
        assert!(queue.wait(None) && !queue.take(&mut lines));
        let all = [
            ("a\nb\n", None),
            ("c\n", Some("x")),
            ("d\n", Some("y")),
            ("e\n", None),
        ];
        assert_eq!(pieces(&lines), all);
        assert!(queue.push(b"f\n", Some("x".to_owned())));
        queue.end();
        assert!(queue.wait(None) && queue.take(&mut lines), "the last ones");
        assert_eq!(pieces(&lines), [("f\n", Some("x"))]);
        assert!(!queue.wait(None) && queue.take(&mut lines));
        assert_eq!(pieces(&lines), []);
    }

    #[test]
    fn what_finds_no_room_is_refused_until_there_is_room() {
        let (queue, mut lines) = (Queue::default(), Lines::default());
        let long = vec![b'a'; 1024];
        assert!((0..QUEUE).all(|_| queue.push(&long, None)));
        assert!(!queue.push(&long, None));
        queue.take(&mut lines);
        assert_eq!(lines.text.len(), QUEUE * long.len());
        assert!(queue.push(&long, None));
        queue.take(&mut lines);
        assert_eq!(lines.text, long);
        assert!(
            queue.lock().lines.text.capacity() <= KEPT,
            "the room is given back"
        );
    }

    #[test]
    fn the_writer_wakes_for_a_line_for_what_is_due_and_for_the_end() {
        let queue = Arc::new(Queue::default());
        let soon = Instant::now() + Duration::from_millis(5);
        assert!(!queue.wait(Some(soon)) && Instant::now() >= soon);
        let other = queue.clone();
        let waiting = std::thread::spawn(move || {
            let mut lines = Lines::default();
            let first = other.wait(None) && !other.take(&mut lines);
            first && !other.wait(None) && other.take(&mut lines)
        });
        let asleep = || {
            while !queue.lock().is_awaited {
                std::thread::yield_now();
            }
        };
        asleep();
        assert!(queue.push(b"a\n", None));
        asleep();
        queue.end();
        assert!(waiting.join().unwrap());
    }
}
