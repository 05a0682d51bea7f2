//! Owns a line of text with its styles, cut to a width, with colour or without; and how durations and
//! numbers are written. Must never write an escape sequence where colour is not wanted.

use std::time::Duration;

/// How a piece of text stands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    Dim,
    Bold,
    Good,
    Warn,
    Bad,
}

/// One line of a view.
#[derive(Clone, Debug, Default)]
pub(crate) struct Line(Vec<(Style, String)>);

const RESET: &str = "\x1b[0m";

impl Style {
    const fn code(self) -> &'static str {
        match self {
            Style::Plain => "",
            Style::Dim => "\x1b[2m",
            Style::Bold => "\x1b[1m",
            Style::Good => "\x1b[32m",
            Style::Warn => "\x1b[33m",
            Style::Bad => "\x1b[1;31m",
        }
    }
}

impl Line {
    /// The line with a piece added.
    #[must_use]
    pub(crate) fn with(mut self, style: Style, text: impl Into<String>) -> Self {
        self.0.push((style, text.into()));
        self
    }

    /// The line's text, at most `width` characters of it.
    pub(crate) fn render(&self, width: usize, colour: bool) -> String {
        let mut left = width;
        let mut out = String::new();
        for (style, text) in &self.0 {
            let piece: String = text.chars().take(left).collect();
            left -= piece.chars().count();
            match colour && *style != Style::Plain && !piece.is_empty() {
                true => out.extend([style.code(), &piece, RESET]),
                false => out.push_str(&piece),
            }
        }
        out
    }
}

impl From<String> for Line {
    fn from(text: String) -> Self {
        Line::default().with(Style::Plain, text)
    }
}

/// `84 ms`, `1.25 s`.
pub(crate) fn duration(duration: Duration) -> String {
    match duration.as_millis() {
        millis @ 0..1000 => format!("{millis} ms"),
        _ => format!("{:.2} s", duration.as_secs_f64()),
    }
}

/// The same, or a dash where there is none.
pub(crate) fn maybe(measured: Option<Duration>) -> String {
    measured.map_or_else(|| "-".to_owned(), duration)
}

/// `0:07`.
pub(crate) fn minutes(duration: Duration) -> String {
    let seconds = duration.as_secs();
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

/// `1 request`, `2 requests`.
pub(crate) fn count(number: u64, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_by_what_is_seen_of_it() {
        let line = Line::default()
            .with(Style::Bad, "café")
            .with(Style::Plain, " lamps");
        assert_eq!(line.render(80, false), "café lamps");
        assert_eq!(line.render(6, false), "café l");
        assert_eq!(line.render(6, true), "\x1b[1;31mcafé\x1b[0m l");
        assert_eq!(line.render(0, true), "");
    }

    #[test]
    fn durations_read_well() {
        assert_eq!(duration(Duration::from_millis(84)), "84 ms");
        assert_eq!(duration(Duration::from_millis(1250)), "1.25 s");
        assert_eq!(minutes(Duration::from_secs(67)), "1:07");
        assert_eq!(maybe(None), "-");
    }
}
