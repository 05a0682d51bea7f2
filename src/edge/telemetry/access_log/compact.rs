//! Owns how a line becomes JSON: as `serde_json` writes it, byte for byte, for fewer instructions (`make bench-telemetry`: a line
//! took 9 thousand of them before, everything around it counted, and 5). Names of fields are literals and are not
//! searched for what must be escaped; texts are searched eight bytes at a time. Must never write what `serde_json` would
//! not: whatever is no field, text or list is left to it.

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

/// Whether a text stands in JSON as it is: no control character, quote or backslash.
fn is_plain(text: &[u8]) -> bool {
    let (words, rest) = text.as_chunks::<8>();
    let is_special = |byte: &u8| *byte < 0x20 || matches!(byte, b'"' | b'\\');
    !words.iter().copied().any(has_special) && !rest.iter().any(is_special)
}

/// Whether one of eight bytes must be escaped. A byte below another leaves its highest bit set when the other is taken from it, where it
/// had none itself (S. E. Anderson, "Bit Twiddling Hacks", a word that has a byte less than n).
fn has_special(bytes: [u8; 8]) -> bool {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let word = u64::from_le_bytes(bytes);
    let has_less = |word: u64, than: u64| word.wrapping_sub(EACH * than) & !word & (EACH * 0x80);
    let has = |byte: u8| has_less(word ^ (EACH * u64::from(byte)), 1);
    has_less(word, 0x20) | has(b'"') | has(b'\\') != 0
}

// === impl Begun ===

impl Begun<'_> {
    fn separate(&mut self) {
        if !std::mem::replace(&mut self.is_first, false) {
            self.out.push(b',');
        }
    }
}

impl SerializeStruct for Begun<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        self.separate();
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
        value.serialize(Compact(self.out))
    }

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

    fn end(self) -> Result<(), Error> {
        self.out.push(b']');
        Ok(())
    }
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

    left!(
        serialize_bool(bool),
        serialize_i8(i8),
        serialize_i16(i16),
        serialize_i32(i32),
        serialize_i64(i64),
        serialize_u8(u8),
        serialize_u16(u16),
        serialize_u32(u32),
        serialize_u64(u64),
        serialize_f32(f32),
        serialize_f64(f64),
        serialize_char(char),
        serialize_bytes(&[u8]),
    );

    fn serialize_str(self, value: &str) -> Result<(), Error> {
        if !is_plain(value.as_bytes()) {
            return serde_json::to_writer(self.0, value);
        }
        self.0.push(b'"');
        self.0.extend_from_slice(value.as_bytes());
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

    fn serialize_none(self) -> Result<(), Error> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

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
        self.serialize_str(variant)
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

    fn serialize_seq(self, _length: Option<usize>) -> Result<Begun<'a>, Error> {
        self.0.push(b'[');
        Ok(Begun {
            out: self.0,
            is_first: true,
        })
    }

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
        for length in 0..24 {
            for at in 0..length {
                for byte in 0..=u8::MAX {
                    let mut text = vec![b'a'; length];
                    text[at] = byte;
                    let plain = !(byte < 0x20 || byte == b'"' || byte == b'\\');
                    assert_eq!(is_plain(&text), plain, "{byte} at {at} of {length}");
                    cases += 1;
                }
            }
        }
        assert_eq!(cases, 276 * 256);
        println!("{cases} texts");
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
