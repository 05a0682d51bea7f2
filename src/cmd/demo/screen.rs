//! Owns what is written to: redraws a block in place in a terminal, appends lines elsewhere. Must never leave
//! the cursor hidden, or mind that its reader has left.

use std::io::{self, ErrorKind, Write};

use crate::cmd::demo::text::Line;

/// Assumed where the terminal does not say.
const WIDTH: usize = 80;
const HEIGHT: usize = 24;

/// Where the demo is shown.
#[derive(Debug)]
pub(crate) struct Screen<W: Write> {
    out: W,
    terminal: bool,
    colour: bool,
    /// Lines of the block that the next one replaces.
    drawn: usize,
    closed: bool,
}

impl<W: Write> Screen<W> {
    pub(crate) fn new(out: W, terminal: bool, colour: bool) -> Self {
        Self {
            out,
            terminal,
            colour: terminal && colour,
            drawn: 0,
            closed: false,
        }
    }

    /// Whether blocks can be redrawn in place.
    pub(crate) fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Whether the reader has left.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Writes a line that stays.
    ///
    /// # Errors
    /// It cannot be written, for another reason than that nobody reads.
    pub(crate) fn line(&mut self, line: &Line) -> io::Result<()> {
        let mut text = line.render(usize::MAX, self.colour);
        text.push('\n');
        self.drawn = 0;
        self.write(&text)
    }

    /// Replaces the last block by this one.
    ///
    /// # Errors
    /// As for `line`.
    pub(crate) fn draw(&mut self, lines: &[Line]) -> io::Result<()> {
        let (width, height) = size();
        let mut text = String::from("\x1b[?25l");
        if self.drawn > 0 {
            text.extend(["\x1b[", &self.drawn.to_string(), "A"]);
        }
        // What is taller than the terminal cannot be replaced.
        let shown = lines.len().min(height.saturating_sub(1));
        for line in lines.iter().take(shown) {
            text.push('\r');
            // The last column stays free: some terminals wrap when it is written.
            text.push_str(&line.render(width.saturating_sub(1), self.colour));
            text.push_str("\x1b[K\n");
        }
        text.push_str("\x1b[J");
        self.drawn = shown;
        self.write(&text)
    }

    /// Ends the redrawing: the last block stays, and the cursor comes back.
    ///
    /// # Errors
    /// As for `line`.
    pub(crate) fn settle(&mut self) -> io::Result<()> {
        self.drawn = 0;
        match self.terminal {
            true => self.write("\x1b[?25h"),
            false => Ok(()),
        }
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        if self.closed {
            return Ok(());
        }
        let written = self.out.write_all(text.as_bytes());
        match written.and_then(|()| self.out.flush()) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(())
            }
            other => other,
        }
    }
}

impl<W: Write> Drop for Screen<W> {
    fn drop(&mut self) {
        self.settle().ok();
    }
}

fn size() -> (usize, usize) {
    let known = terminal_size::terminal_size();
    known.map_or((WIDTH, HEIGHT), |(width, height)| {
        (width.0.into(), height.0.into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Line {
        text.to_owned().into()
    }

    #[test]
    fn a_block_is_redrawn_over_the_last_one_and_the_cursor_comes_back() {
        let mut out = Vec::new();
        let mut screen = Screen::new(&mut out, true, false);
        screen.draw(&[line("one"), line("two")]).unwrap();
        screen.draw(&[line("three"), line("four")]).unwrap();
        drop(screen);
        let text = String::from_utf8(out).unwrap();
        let expected = "\x1b[?25l\rone\x1b[K\n\rtwo\x1b[K\n\x1b[J\
                        \x1b[?25l\x1b[2A\rthree\x1b[K\n\rfour\x1b[K\n\x1b[J\x1b[?25h";
        assert_eq!(text, expected);
    }

    #[test]
    fn elsewhere_than_in_a_terminal_there_are_only_lines() {
        let mut out = Vec::new();
        let mut screen = Screen::new(&mut out, false, true);
        screen.line(&line("one")).unwrap();
        drop(screen);
        assert_eq!(out, b"one\n");
    }

    #[test]
    fn a_reader_that_leaves_is_noticed_and_no_error() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut screen = Screen::new(Gone, false, false);
        screen.line(&line("one")).unwrap();
        assert!(screen.is_closed());
    }
}
