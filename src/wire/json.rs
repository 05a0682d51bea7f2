//! Owns what the dialects share of JSON itself: words that are looked at and not kept, lists of any length that are read an
//! element at a time, and texts written. Must never hold more than one element of what it reads.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{ControlFlow, Deref};

use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde_json::de::Read;

/// A short text that is looked at and not kept; escapes are read, so that `mod\u0065l` is the model.
#[derive(Debug, Deserialize)]
pub(in crate::wire) struct Word<'a>(#[serde(borrow)] Cow<'a, str>);

// === impl Word ===

impl<'a> Word<'a> {
    /// The text as it stands there; `None` where it has escapes.
    pub(in crate::wire) fn borrowed(&self) -> Option<&'a str> {
        match self.0 {
            Cow::Borrowed(text) => Some(text),
            Cow::Owned(_) => None,
        }
    }

    /// The text itself.
    pub(in crate::wire) fn into_text(self) -> Cow<'a, str> {
        self.0
    }
}

impl Deref for Word<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// A string, without its escapes; `None` for anything else.
pub(in crate::wire) fn text(json: &str) -> Option<Cow<'_, str>> {
    let word: Word<'_> = serde_json::from_str(json).ok()?;
    Some(word.into_text())
}

/// Hands each element of a list on, one at a time, until `take` breaks off: a list is as long as its client likes.
///
/// # Errors
/// It is no list, or an element is of another shape.
pub(in crate::wire) fn each<'de, T: Deserialize<'de>>(
    list: &'de str,
    take: impl FnMut(T) -> ControlFlow<()>,
) -> serde_json::Result<()> {
    each_of(serde_json::Deserializer::from_str(list), take)
}

/// The same of bytes, whose rest is not looked at.
///
/// # Errors
/// As for [`each`].
pub(in crate::wire) fn each_in_bytes<'de, T: Deserialize<'de>>(
    list: &'de [u8],
    take: impl FnMut(T) -> ControlFlow<()>,
) -> serde_json::Result<()> {
    each_of(serde_json::Deserializer::from_slice(list), take)
}

fn each_of<'de, T: Deserialize<'de>>(
    mut json: serde_json::Deserializer<impl Read<'de>>,
    mut take: impl FnMut(T) -> ControlFlow<()>,
) -> serde_json::Result<()> {
    let mut enough = false;
    let take = |element| {
        enough = take(element).is_break();
        enough
    };
    let read = json.deserialize_seq(Each(take, PhantomData));
    match enough {
        // How reading ends early.
        true => Ok(()),
        false => read,
    }
}

/// Text as a JSON string.
pub(in crate::wire) fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a string always serialises")
}

struct Each<F, T>(F, PhantomData<T>);

impl<'de, T: Deserialize<'de>, F: FnMut(T) -> bool> Visitor<'de> for Each<F, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        while let Some(element) = list.next_element()? {
            if (self.0)(element) {
                return Err(A::Error::custom("enough was read"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_come_one_at_a_time_until_it_is_enough() {
        let upto = |list: &str, last: u8| {
            let mut seen = Vec::new();
            let read = each(list, |number: u8| {
                seen.push(number);
                match number == last {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                }
            });
            (seen, read.is_ok())
        };
        assert_eq!(upto("[1, 2, 3]", 9), (vec![1, 2, 3], true));
        assert_eq!(upto("[1, 2, \"x\"]", 2), (vec![1, 2], true));
        assert_eq!(upto("[1, \"x\", 2]", 2), (vec![1], false));
        assert_eq!(upto("{}", 2), (vec![], false));
    }

    #[test]
    fn a_text_is_read_without_its_escapes() {
        assert_eq!(text(r#""mod\u0065l""#).as_deref(), Some("model"));
        assert_eq!(text("7"), None);
    }
}
