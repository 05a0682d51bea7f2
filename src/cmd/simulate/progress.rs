//! Owns the line on a terminal that says how far the runs are. Must never write to anything but a terminal.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Characters of the bar.
const WIDTH: usize = 30;

/// How far the runs are, on standard error.
#[derive(Debug)]
pub(super) struct Progress {
    all: usize,
    done: AtomicUsize,
    shown: bool,
}

// === impl Progress ===

impl Progress {
    pub(super) fn new(all: usize) -> Self {
        Self {
            all,
            done: AtomicUsize::new(0),
            shown: io::stderr().is_terminal(),
        }
    }

    /// One more run is over.
    pub(super) fn step(&self, scenario: &str) {
        let done = self.done.fetch_add(1, Relaxed) + 1;
        if self.shown {
            // A terminal that has gone away stops nothing.
            write!(io::stderr(), "\r{}\x1b[K", line(done, self.all, scenario)).ok();
        }
    }

    /// Takes the line away.
    pub(super) fn end(&self) {
        if self.shown {
            write!(io::stderr(), "\r\x1b[K").ok();
        }
    }
}

fn line(done: usize, all: usize, scenario: &str) -> String {
    let full = WIDTH * done / all.max(1);
    let bar: String = (0..WIDTH)
        .map(|at| if at < full { '#' } else { '.' })
        .collect();
    format!("[{bar}] {done}/{all} {scenario}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_is_full_at_the_end() {
        assert!(line(1, 4, "a").starts_with("[#######......"));
        assert!(line(4, 4, "a").ends_with("###] 4/4 a"));
    }
}
