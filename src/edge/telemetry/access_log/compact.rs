//! Owns how a line becomes JSON: as `serde_json` writes it, byte for byte, for fewer instructions (`make bench-telemetry`: a line
//! took 9 thousand of them at first, everything around it counted). Names of fields and variants are literals, ours, and not
//! searched for what must be escaped: inlined, each is a few moves. Texts are searched and copied sixteen bytes at a time. Must
//! never write what `serde_json` would not: whatever is no field, variant, text, whole number or list is left to it.

use std::fmt::Display;
use std::io::Write;

use serde::ser::{Impossible, Serialize, SerializeSeq, SerializeStruct, Serializer};
use serde_json::Error;

/// Appends a value to the text that it holds.
pub(super) struct Compact<'a>(pub(super) &'a mut Vec<u8>);

/// A list or a structure that has begun.
pub(super) struct Begun<'a> {
    out: &'a mut Vec<u8>,
    is_first: bool,
}

/// Bytes of a field's name, with what stands around it, that are written at once; a longer one is written in parts.
const NAME: usize = 24;

/// What is not zero where a byte must be escaped: a control character, a quote or a backslash. Without a branch, and each byte
/// for itself, so that all are compared at once.
#[inline]
fn marks<const N: usize>(bytes: &[u8; N]) -> [u8; N] {
    bytes.map(|byte| u8::from(byte < 0x20) | u8::from(byte == b'"') | u8::from(byte == b'\\'))
}

/// Whether one of these bytes must be escaped.
#[inline]
fn has_special<const N: usize>(bytes: &[u8; N]) -> bool {
    marks(bytes) != [0; N]
}

/// Appends a text that stands in JSON as it is. Returns whether it does; where it does not, what was appended is of no use.
/// What is left of the last whole piece is taken with bytes before it, which are written again.
#[inline]
fn append_plain(out: &mut Vec<u8>, text: &[u8]) -> bool {
    let Some(last) = text.last_chunk::<16>() else {
        return append_short(out, text);
    };
    let end = out.len() + text.len();
    let mut found = marks(last);
    let (pieces, _) = text.as_chunks::<16>();
    for piece in pieces {
        let here = marks(piece);
        found = std::array::from_fn(|at| found[at] | here[at]);
        out.extend_from_slice(piece);
    }
    if out.len() != end {
        out.truncate(end - last.len());
        out.extend_from_slice(last);
    }
    found == [0; 16]
}

/// As [`append_plain`], a text of less than sixteen bytes.
#[inline]
fn append_short(out: &mut Vec<u8>, text: &[u8]) -> bool {
    let end = out.len() + text.len();
    if let (Some(first), Some(last)) = (text.first_chunk::<8>(), text.last_chunk::<8>()) {
        let [first, last] = [first, last].map(|part| u64::from_le_bytes(*part));
        out.extend_from_slice(&first.to_le_bytes());
        out.truncate(end - 8);
        out.extend_from_slice(&last.to_le_bytes());
        let both = u128::from(first) | u128::from(last) << 64;
        return !has_special(&both.to_le_bytes());
    }
    if let (Some(first), Some(last)) = (text.first_chunk::<4>(), text.last_chunk::<4>()) {
        let [first, last] = [first, last].map(|part| u32::from_le_bytes(*part));
        out.extend_from_slice(&first.to_le_bytes());
        out.truncate(end - 4);
        out.extend_from_slice(&last.to_le_bytes());
        let both = u64::from(first) | u64::from(last) << 32;
        return !has_special(&both.to_le_bytes());
    }
    let mut special = false;
    for byte in text {
        special |= has_special(&[*byte]);
        out.push(*byte);
    }
    !special
}

/// Whether a text stands in JSON as it is.
fn is_plain(text: &[u8]) -> bool {
    let (pieces, rest) = text.as_chunks::<16>();
    !pieces.iter().any(has_special) && !rest.iter().any(|byte| has_special(&[*byte]))
}

/// Appends a number. Most have up to three digits, and are taken apart as the smallest numbers that they fit.
fn append_number(out: &mut Vec<u8>, number: u64) {
    let small = u16::try_from(number).unwrap_or(u16::MAX);
    match small {
        0..10 => out.push(digit(small)),
        10..100 => out.extend_from_slice(&[digit(small / 10), digit(small % 10)]),
        100..1000 => out.extend_from_slice(&three_digits(small)),
        1000.. => {
            append_number(out, number / 1000);
            let last = u16::try_from(number % 1000).unwrap_or_default();
            out.extend_from_slice(&three_digits(last));
        }
    }
}

#[inline]
fn three_digits(number: u16) -> [u8; 3] {
    let rest = number % 100;
    [digit(number / 100), digit(rest / 10), digit(rest % 10)]
}

/// Of a number below ten.
#[inline]
fn digit(number: u16) -> u8 {
    let [digit, _] = number.to_le_bytes();
    b'0' | digit
}

// === impl Begun ===

impl Begun<'_> {
    #[inline]
    fn separate(&mut self) {
        if !std::mem::replace(&mut self.is_first, false) {
            self.out.push(b',');
        }
    }

    /// Appends a field's name, what separates it from the field before, and the colon. A literal that is known where this is
    /// inlined becomes a store of a constant.
    #[expect(clippy::inline_always, reason = "the name is known only there")]
    #[inline(always)]
    fn name(&mut self, key: &'static str) {
        let mut all = [0; NAME];
        let begin: &[u8] = match std::mem::replace(&mut self.is_first, false) {
            true => b"\"",
            false => b",\"",
        };
        let length = begin.len() + key.len() + 2;
        let Some(room) = all.get_mut(..length) else {
            self.out.extend_from_slice(begin);
            self.out.extend_from_slice(key.as_bytes());
            return self.out.extend_from_slice(b"\":");
        };
        let (before, rest) = room.split_at_mut(begin.len());
        before.copy_from_slice(begin);
        let (name, after) = rest.split_at_mut(key.len());
        name.copy_from_slice(key.as_bytes());
        after.copy_from_slice(b"\":");
        self.out.extend_from_slice(room);
    }
}

impl SerializeStruct for Begun<'_> {
    type Ok = ();
    type Error = Error;

    #[expect(clippy::inline_always, reason = "see `name`")]
    #[inline(always)]
    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        self.name(key);
        value.serialize(Compact(self.out))
    }

    #[inline]
    fn end(self) -> Result<(), Error> {
        self.out.push(b'}');
        Ok(())
    }
}

impl SerializeSeq for Begun<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.separate();
        value.serialize(Compact(self.out))
    }

    #[inline]
    fn end(self) -> Result<(), Error> {
        self.out.push(b']');
        Ok(())
    }
}

/// Whole numbers above zero.
macro_rules! number {
    ($($method:ident($type:ty)),+ $(,)?) => {
        $(#[inline]
        fn $method(self, value: $type) -> Result<(), Error> {
            append_number(self.0, value.into());
            Ok(())
        })+
    };
}

/// Leaves a value to `serde_json`.
macro_rules! left {
    ($($method:ident($type:ty)),+ $(,)?) => {
        $(fn $method(self, value: $type) -> Result<(), Error> {
            serde_json::to_writer(self.0, &value)
        })+
    };
}

// === impl Compact ===

impl<'a> Serializer for Compact<'a> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Begun<'a>;
    type SerializeStruct = Begun<'a>;
    type SerializeTuple = Impossible<(), Error>;
    type SerializeTupleStruct = Impossible<(), Error>;
    type SerializeTupleVariant = Impossible<(), Error>;
    type SerializeMap = Impossible<(), Error>;
    type SerializeStructVariant = Impossible<(), Error>;

    number!(
        serialize_u8(u8),
        serialize_u16(u16),
        serialize_u32(u32),
        serialize_u64(u64),
    );

    left!(
        serialize_i8(i8),
        serialize_i16(i16),
        serialize_i32(i32),
        serialize_i64(i64),
        serialize_f32(f32),
        serialize_f64(f64),
        serialize_char(char),
        serialize_bytes(&[u8]),
    );

    #[inline]
    fn serialize_bool(self, value: bool) -> Result<(), Error> {
        let word: &[u8] = if value { b"true" } else { b"false" };
        self.0.extend_from_slice(word);
        Ok(())
    }

    fn serialize_str(self, value: &str) -> Result<(), Error> {
        let before = self.0.len();
        self.0.push(b'"');
        if !append_plain(self.0, value.as_bytes()) {
            self.0.truncate(before);
            return serde_json::to_writer(self.0, value);
        }
        self.0.push(b'"');
        Ok(())
    }

    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<(), Error> {
        let before = self.0.len();
        self.0.push(b'"');
        write!(self.0, "{value}").map_err(serde::ser::Error::custom)?;
        if !self.0.get(before + 1..).is_some_and(is_plain) {
            self.0.truncate(before);
            return serde_json::to_writer(self.0, &value.to_string());
        }
        self.0.push(b'"');
        Ok(())
    }

    #[inline]
    fn serialize_none(self) -> Result<(), Error> {
        self.serialize_unit()
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    #[inline]
    fn serialize_unit(self) -> Result<(), Error> {
        self.0.extend_from_slice(b"null");
        Ok(())
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result<(), Error> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
    ) -> Result<(), Error> {
        // A name of ours.
        self.0.push(b'"');
        self.0.extend_from_slice(variant.as_bytes());
        self.0.push(b'"');
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        _variant: &'static str,
        _value: &T,
    ) -> Result<(), Error> {
        Err(unforeseen())
    }

    #[inline]
    fn serialize_seq(self, _length: Option<usize>) -> Result<Begun<'a>, Error> {
        self.0.push(b'[');
        Ok(Begun {
            out: self.0,
            is_first: true,
        })
    }

    #[inline]
    fn serialize_struct(self, _name: &'static str, _length: usize) -> Result<Begun<'a>, Error> {
        self.0.push(b'{');
        Ok(Begun {
            out: self.0,
            is_first: true,
        })
    }

    fn serialize_tuple(self, _length: usize) -> Result<Self::SerializeTuple, Error> {
        Err(unforeseen())
    }

    fn serialize_tuple_struct(
        self,
        _name: &'static str,
        _length: usize,
    ) -> Result<Self::SerializeTupleStruct, Error> {
        Err(unforeseen())
    }

    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        _variant: &'static str,
        _length: usize,
    ) -> Result<Self::SerializeTupleVariant, Error> {
        Err(unforeseen())
    }

    fn serialize_map(self, _length: Option<usize>) -> Result<Self::SerializeMap, Error> {
        Err(unforeseen())
    }

    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        _variant: &'static str,
        _length: usize,
    ) -> Result<Self::SerializeStructVariant, Error> {
        Err(unforeseen())
    }
}

/// A line has no such field; a test writes one of each.
fn unforeseen() -> Error {
    serde::ser::Error::custom("a kind of field that no line has")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_be_escaped_is_found_wherever_it_stands() {
        let mut cases = 0;
        for length in 0..=48 {
            let plain = vec![b'a'; length];
            check(&plain, true);
            for at in 0..length {
                for byte in 0..=u8::MAX {
                    let mut text = plain.clone();
                    text[at] = byte;
                    check(&text, !(byte < 0x20 || byte == b'"' || byte == b'\\'));
                    cases += 1;
                }
            }
        }
        assert_eq!(cases, 48 * 49 / 2 * 256);
    }

    fn check(text: &[u8], plain: bool) {
        let mut out = b"before".to_vec();
        assert_eq!(append_plain(&mut out, text), plain, "{text:?}");
        assert_eq!(out.strip_prefix(b"before"), Some(text), "as it is");
        assert_eq!(is_plain(text), plain, "{text:?}");
    }

    #[test]
    fn texts_of_every_length_are_written_as_serde_json_writes_them() {
        // Each byte is another one, so that none can stand in for its neighbour.
        let all: String = (' '..='~').filter(|c| !matches!(c, '"' | '\\')).collect();
        for length in 0..=all.len() {
            let text = all.get(..length).unwrap();
            for text in [
                text.to_owned(),
                format!("{text}\""),
                format!("{text}\u{fc}\n"),
            ] {
                let mut out = b"[".to_vec();
                text.serialize(Compact(&mut out)).unwrap();
                assert_eq!(out[1..], serde_json::to_vec(&text).unwrap());
            }
        }
    }

    #[test]
    fn numbers_are_written_as_serde_json_writes_them() {
        let powers = (0..20).map(|power| 10_u64.pow(power));
        let near = powers.flat_map(|power| [power - 1, power, power.saturating_add(power - 1)]);
        for number in (0..2_000).chain(near).chain([u64::MAX]) {
            let mut out = Vec::new();
            number.serialize(Compact(&mut out)).unwrap();
            assert_eq!(out, serde_json::to_vec(&number).unwrap());
        }
    }

    #[test]
    fn a_long_name_and_a_short_one_are_written_whole() {
        #[derive(serde::Serialize)]
        struct Named {
            a: u16,
            a_name_of_twenty_two__: bool,
            a_name_that_is_longer_than_others: Option<bool>,
        }
        let named = Named {
            a: 1,
            a_name_of_twenty_two__: true,
            a_name_that_is_longer_than_others: Some(false),
        };
        let mut out = Vec::new();
        named.serialize(Compact(&mut out)).unwrap();
        assert_eq!(out, serde_json::to_vec(&named).unwrap());
    }

    #[test]
    fn what_displays_itself_is_written_as_a_text() {
        for text in ["2026-11-23T01:00:00.000Z", "a\"b\\c\nd", "", "über"] {
            let mut out = b"[".to_vec();
            Compact(&mut out).collect_str(&text).unwrap();
            assert_eq!(out[1..], *serde_json::to_vec(text).unwrap());
        }
    }
}
