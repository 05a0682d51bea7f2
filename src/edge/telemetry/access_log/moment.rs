//! Owns how the moment of a line is written: RFC 3339 in UTC, to the millisecond, as `humantime` writes it. What it has in
//! common with the others of its second is written once. Must never take a clock that goes back for one that stands.

use std::cell::RefCell;
use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Serialize, Serializer};

/// When a line was made.
pub(super) struct Moment(SystemTime);

/// The second that a thread wrote last.
#[derive(Default)]
struct Second {
    since_1970: u64,
    /// Empty before the first; else a whole moment, of which all but the milliseconds holds.
    text: String,
}

/// Bytes before the milliseconds: `2026-11-23T01:00:00.`; a year has four digits.
const BEFORE: usize = 20;

thread_local! {
    static LAST: RefCell<Second> = RefCell::default();
}

// === impl Moment ===

impl Moment {
    pub(super) fn at(wall_clock: SystemTime) -> Self {
        Self(wall_clock)
    }
}

impl Serialize for Moment {
    /// # Errors
    /// It is before 1970, or after the year 9999.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        LAST.with_borrow_mut(|last| {
            last.turn_to(self.0).map_err(serde::ser::Error::custom)?;
            serializer.serialize_str(&last.text)
        })
    }
}

// === impl Second ===

impl Second {
    fn turn_to(&mut self, moment: SystemTime) -> Result<(), &'static str> {
        const OUTSIDE: &str = "a moment that cannot be written";
        let since = moment.duration_since(UNIX_EPOCH).map_err(|_| OUTSIDE)?;
        if self.text.is_empty() || self.since_1970 != since.as_secs() {
            self.text.clear();
            let written = write!(self.text, "{}", humantime::format_rfc3339_millis(moment));
            if written.is_err() {
                self.text.clear();
                return Err(OUTSIDE);
            }
            self.since_1970 = since.as_secs();
            return Ok(());
        }
        let millis = since.subsec_millis();
        self.text.truncate(BEFORE);
        for digit in [millis / 100, millis / 10 % 10, millis % 10] {
            self.text.push(char::from_digit(digit, 10).unwrap_or('0'));
        }
        self.text.push('Z');
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_moment_is_written_as_humantime_writes_it_whatever_came_before() {
        // The last second of a year, and of a leap day; the first and the last that can be written.
        let seconds = [
            0,
            1_795_395_600,
            1_798_761_599,
            1_709_251_199,
            253_402_300_798,
        ];
        let nanos = [0, 999_999, 1_000_000, 99_999_999, 500_000_000, 999_999_999];
        let all = |second: u64| nanos.map(|nanos| Duration::new(second, nanos));
        let mut moments: Vec<_> = seconds
            .iter()
            .flat_map(|second| [all(*second), all(second + 1), all(*second)].concat())
            .collect();
        let back: Vec<_> = moments.iter().rev().copied().collect();
        moments.extend(back);
        for since in moments {
            let moment = UNIX_EPOCH + since;
            let text = serde_json::to_value(Moment(moment)).unwrap();
            assert_eq!(text, humantime::format_rfc3339_millis(moment).to_string());
        }
    }

    #[test]
    fn what_cannot_be_written_is_an_error_and_the_next_moment_is_written() {
        let outside = [
            UNIX_EPOCH - Duration::from_millis(1),
            UNIX_EPOCH + Duration::from_secs(253_402_300_800),
        ];
        for moment in outside {
            assert!(serde_json::to_value(Moment(moment)).is_err());
            let first = serde_json::to_value(Moment(UNIX_EPOCH)).unwrap();
            assert_eq!(first, "1970-01-01T00:00:00.000Z");
        }
    }
}
