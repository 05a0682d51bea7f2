//! Owns the change of named spans of a body, every other byte shared with the original.
//! Must never look at what the bytes mean.

use std::ops::Range;

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::wire::rope::Rope;

/// One span of a body and what stands there instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Edit {
    pub(crate) at: Range<usize>,
    pub(crate) with: Bytes,
}

// === impl Edit ===

impl Edit {
    /// Nothing stands there any more.
    pub(crate) fn removal(at: Range<usize>) -> Self {
        Self {
            at,
            with: Bytes::new(),
        }
    }
}

/// Applies edits, which stand in order and do not overlap.
pub(crate) fn splice<'a>(body: &Bytes, edits: impl IntoIterator<Item = &'a Edit>) -> Rope {
    let mut rope = Rope::default();
    let mut done = 0;
    for edit in edits {
        rope.push(body.slice(done..edit.at.start));
        rope.push(edit.with.clone());
        done = edit.at.end;
    }
    rope.push(body.slice(done..));
    rope
}

/// Where `part`, a piece borrowed from `whole`, stands in it.
pub(crate) fn span_of(whole: &str, part: &str) -> Range<usize> {
    let start = part.as_ptr() as usize - whole.as_ptr() as usize;
    start..start + part.len()
}

/// Where the member of an object stands whose value stands at `value`, its name included. `body` is JSON.
pub(crate) fn member_of(body: &[u8], value: Range<usize>) -> Range<usize> {
    let before = body.get(..value.start).unwrap_or_default();
    // No quote stands inside the name: names that are looked for have none.
    let mut quotes = before
        .iter()
        .enumerate()
        .rev()
        .filter(|(_, byte)| **byte == b'"');
    let open = quotes.nth(1).map_or(value.start, |(at, _)| at);
    open..value.end
}

/// The `whole` with the model that `part` of it names called `model`; `None` where it is called so, or where no
/// model is named. `find` finds the name in a JSON text.
pub(crate) fn renamed(
    whole: &Bytes,
    part: &[u8],
    model: &str,
    find: impl for<'a> FnOnce(&'a str) -> Option<&'a RawValue>,
) -> Option<Bytes> {
    let json = std::str::from_utf8(part).ok()?;
    let named = find(json).filter(|named| named.get().starts_with('"'))?;
    let with = serde_json::to_string(model).ok()?;
    if named.get() == with {
        return None;
    }
    let offset = part.as_ptr() as usize - whole.as_ptr() as usize;
    let at = span_of(json, named.get());
    let edit = Edit {
        at: at.start + offset..at.end + offset,
        with: with.into(),
    };
    Some(splice(whole, [&edit]).into_bytes())
}

/// Finds what to remove with a member of a list or an object so that the commas still fit: the comma before it, or,
/// as long as no member was kept, the one after it.
#[derive(Debug)]
pub(crate) struct Cut<'a> {
    text: &'a str,
    /// Where the member before ended.
    from: usize,
    kept_one: bool,
}

// === impl Cut ===

impl<'a> Cut<'a> {
    /// Begins behind the bracket or brace at `open`.
    pub(crate) fn behind(text: &'a str, open: usize) -> Self {
        Self {
            text,
            from: open + 1,
            kept_one: false,
        }
    }

    /// The next member, which ends there, stays.
    pub(crate) fn keep(&mut self, end: usize) {
        self.from = end;
        self.kept_one = true;
    }

    /// What goes with the next member, which ends there.
    pub(crate) fn remove(&mut self, end: usize) -> Range<usize> {
        let mut until = end;
        if !self.kept_one {
            let rest = self.text.as_bytes().get(end..).unwrap_or_default();
            let blanks = rest.iter().take_while(|byte| byte.is_ascii_whitespace());
            let comma = blanks.count();
            if rest.get(comma) == Some(&b',') {
                until = end + comma + 1;
            }
        }
        std::mem::replace(&mut self.from, until)..until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_replace_insert_and_remove() {
        let body = Bytes::from_static(b"abcdef");
        let edit = |at, with: &'static str| Edit {
            at,
            with: with.into(),
        };
        let edits = [edit(0..1, "X"), edit(2..2, "--"), edit(4..6, "")];
        assert_eq!(splice(&body, &edits).segments().concat(), b"Xb--cd");
        assert_eq!(splice(&body, &[]).segments(), ["abcdef"]);
    }

    #[test]
    fn a_member_begins_with_its_name() {
        let body = br#"{"a": "b", "mod\u0065l"  :  "m", "c": 1}"#;
        let value = 28..31;
        assert_eq!(&body[value.clone()], br#""m""#);
        let member = member_of(body, value);
        assert_eq!(&body[member], br#""mod\u0065l"  :  "m""#);
    }

    #[test]
    fn a_borrowed_part_is_found() {
        let whole = "abcdef";
        let (_, part) = whole.split_at(2);
        assert_eq!(span_of(whole, part), 2..6);
    }
}
