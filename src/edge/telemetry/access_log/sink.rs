//! Owns where lines end up: it writes them, and goes on after a failure as soon as writing works again. Must never end
//! because a disk is full, or let the half of a line that a failure left swallow the next one.

use std::io::{Error, ErrorKind, Write};
use std::sync::{Arc, OnceLock};

use prometheus::IntCounter;

/// Where lines that are lost are counted, once somebody has said.
pub(super) type Lost = Arc<OnceLock<IntCounter>>;

/// A writer that fails now and then.
pub(super) struct Sink<W> {
    out: W,
    lost: Lost,
    /// The last byte that was written does not end a line.
    is_torn: bool,
    /// The last write succeeded.
    is_well: bool,
}

// === impl Sink ===

impl<W: Write> Sink<W> {
    pub(super) fn new(out: W, lost: Lost) -> Self {
        Self {
            out,
            lost,
            is_torn: false,
            is_well: true,
        }
    }

    /// Writes whole lines. What cannot be written is counted; that it cannot is said once, until it can again.
    pub(super) fn write(&mut self, lines: &[u8]) {
        if lines.is_empty() {
            return;
        }
        let failed = match self.heal() {
            Ok(()) => self.write_all(lines),
            Err(error) => Err((lines, error)),
        };
        match failed {
            Ok(()) if !self.is_well => tracing::info!("the access log is written again"),
            Ok(()) => {}
            Err((left, error)) => {
                self.count(left);
                if self.is_well {
                    tracing::warn!(%error, "the access log cannot be written; its lines are dropped and counted");
                }
                self.is_well = false;
                return;
            }
        }
        self.is_well = true;
    }

    /// Ends the half of a line.
    fn heal(&mut self) -> Result<(), Error> {
        if self.is_torn {
            self.out.write_all(b"\n")?;
            self.is_torn = false;
        }
        Ok(())
    }

    /// Returns what was left to write where it fails.
    fn write_all<'a>(&mut self, lines: &'a [u8]) -> Result<(), (&'a [u8], Error)> {
        let mut left = lines;
        while !left.is_empty() {
            match self.out.write(left) {
                Ok(0) => return Err((left, ErrorKind::WriteZero.into())),
                Ok(written) => {
                    let (done, rest) = left.split_at(written.min(left.len()));
                    self.is_torn = done.last() != Some(&b'\n');
                    left = rest;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err((left, error)),
            }
        }
        self.out.flush().map_err(|error| (left, error))
    }

    fn count(&self, left: &[u8]) {
        let lines = memchr::memchr_iter(b'\n', left).count();
        if let Some(lost) = self.lost.get() {
            lost.inc_by(lines as u64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk with so many bytes of room.
    #[derive(Default)]
    struct Disk {
        held: Vec<u8>,
        room: usize,
    }

    impl Write for &mut Disk {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let fits = bytes.len().min(self.room);
            if fits == 0 {
                return Err(ErrorKind::StorageFull.into());
            }
            self.room -= fits;
            self.held.extend_from_slice(&bytes[..fits]);
            Ok(fits)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_costs_the_lines_that_do_not_fit_and_no_others() {
        let lost = Lost::default();
        lost.set(IntCounter::new("lost", "Lost.").unwrap()).unwrap();
        let mut disk = Disk {
            room: 12,
            ..Disk::default()
        };
        let mut sink = Sink::new(&mut disk, lost.clone());
        sink.write(b"one line\ntwo lines\nthree\n");
        assert_eq!(lost.get().unwrap().get(), 2, "the torn one and the next");
        sink.write(b"four\n");
        assert_eq!(lost.get().unwrap().get(), 3);
        sink.out.room = 100;
        sink.write(b"five\n");
        sink.write(b"six\n");
        assert_eq!(lost.get().unwrap().get(), 3);
        assert_eq!(disk.held, b"one line\ntwo\nfive\nsix\n");
    }
}
