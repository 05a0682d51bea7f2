//! Owns how single values are read: each also loads from text, since variables expand to text. Must never
//! put the value itself into an error: it may be a credential in the wrong place.

mod schema;

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use bytesize::ByteSize;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Unexpected, Visitor};

use crate::config::secret::Secret;

/// The longest duration that can be meant. It keeps sums of durations and times far from overflow.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// A value of one word.
trait Scalar: Sized {
    /// What a reader should have written.
    const EXPECTED: &'static str;

    fn from_text(text: &str) -> Option<Self>;

    fn from_bool(_: bool) -> Option<Self> {
        None
    }

    fn from_count(_: u64) -> Option<Self> {
        None
    }

    fn from_number(_: f64) -> Option<Self> {
        None
    }
}

struct ScalarVisitor<S>(PhantomData<S>);

fn checked<S: Scalar, E: Error>(value: Option<S>, found: &'static str) -> Result<S, E> {
    value.ok_or_else(|| E::invalid_value(Unexpected::Other(found), &S::EXPECTED))
}

impl<S: Scalar> Visitor<'_> for ScalarVisitor<S> {
    type Value = S;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(S::EXPECTED)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<S, E> {
        checked(S::from_text(value.trim()), "other text")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<S, E> {
        checked(S::from_bool(value), "true or false")
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<S, E> {
        let count = S::from_count(value).or_else(|| S::from_number(value as f64));
        checked(count, "a number")
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<S, E> {
        let count = u64::try_from(value).ok().and_then(S::from_count);
        checked(count.or_else(|| S::from_number(value as f64)), "a number")
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<S, E> {
        checked(S::from_number(value), "a number")
    }
}

/// Reads a type through its `Scalar`.
macro_rules! scalar {
    ($name:ty) => {
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(ScalarVisitor(PhantomData))
            }
        }
    };
}

/// A whole number, 0 or more.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Count(pub(super) u64);
scalar!(Count);

impl Scalar for Count {
    const EXPECTED: &'static str = "a whole number, 0 or more";

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }

    fn from_count(count: u64) -> Option<Self> {
        Some(Self(count))
    }
}

/// A finite number.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Number(pub(super) f64);
scalar!(Number);

impl Scalar for Number {
    const EXPECTED: &'static str = "a number";

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok().and_then(Self::from_number)
    }

    fn from_number(number: f64) -> Option<Self> {
        number.is_finite().then_some(Self(number))
    }
}

/// Yes or no.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Flag(pub(super) bool);
scalar!(Flag);

impl Scalar for Flag {
    const EXPECTED: &'static str = "true or false";

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }

    fn from_bool(value: bool) -> Option<Self> {
        Some(Self(value))
    }
}

/// A length of time: `250ms`, `2s`, `10m`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Span(pub(super) Duration);
scalar!(Span);

impl Scalar for Span {
    const EXPECTED: &'static str = "a duration such as 250ms, 2s or 10m";

    fn from_text(text: &str) -> Option<Self> {
        let has_unit = text.ends_with(|c: char| c.is_ascii_alphabetic());
        let span = humantime::parse_duration(text).ok()?;
        (has_unit && span <= LONGEST).then_some(Self(span))
    }
}

/// A number of bytes: `32MiB`, or the plain number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Size(pub(super) u64);
scalar!(Size);

impl Scalar for Size {
    const EXPECTED: &'static str = "a size such as 64KiB, 32MiB or 1GiB";

    fn from_text(text: &str) -> Option<Self> {
        text.parse::<ByteSize>()
            .ok()
            .map(|size| Self(size.as_u64()))
    }

    fn from_count(count: u64) -> Option<Self> {
        Some(Self(count))
    }
}

/// Text. Spaces around it are kept out: they come from block scalars and from files behind variables.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Text(pub(super) String);
scalar!(Text);

impl Scalar for Text {
    const EXPECTED: &'static str = "text";

    fn from_text(text: &str) -> Option<Self> {
        Some(Self(text.to_owned()))
    }
}

impl Scalar for Secret {
    const EXPECTED: &'static str = "text";

    fn from_text(text: &str) -> Option<Self> {
        Some(Self::new(text))
    }
}
scalar!(Secret);

/// Entries by name, in the order of the file. Nothing at all is an empty map.
#[derive(Debug)]
pub(super) struct Named<T>(pub(super) Vec<(String, T)>);

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NamedVisitor(PhantomData))
    }
}

struct NamedVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for NamedVisitor<T> {
    type Value = Named<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map by name")
    }

    fn visit_unit<E: Error>(self) -> Result<Named<T>, E> {
        Ok(Named::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Named<T>, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Named(entries))
    }
}

/// A list. Nothing at all is an empty list.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct List<T>(pub(super) Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ListVisitor(PhantomData))
    }
}

struct ListVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ListVisitor<T> {
    type Value = List<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_unit<E: Error>(self) -> Result<List<T>, E> {
        Ok(List::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<List<T>, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = access.next_element()? {
            list.push(element);
        }
        Ok(List(list))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, String> {
        serde_yaml::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn scalars_also_load_from_text() {
        for text in ["7", "\"7\""] {
            assert_eq!(read::<Count>(text), Ok(Count(7)));
            assert_eq!(read::<Number>(text), Ok(Number(7.0)));
            assert_eq!(read::<Size>(text), Ok(Size(7)));
        }
        for text in ["true", "\"true\""] {
            assert_eq!(read::<Flag>(text), Ok(Flag(true)));
        }
        assert_eq!(read::<Size>("32MiB"), Ok(Size(32 << 20)));
        assert_eq!(read::<Size>("1GiB"), Ok(Size(1 << 30)));
        assert_eq!(read::<Number>("-0.5"), Ok(Number(-0.5)));
    }

    #[test]
    fn durations_need_a_unit() {
        let check = |text: &str, expected: Option<u64>| {
            let span = read::<Span>(text).ok();
            assert_eq!(
                span,
                expected.map(|ms| Span(Duration::from_millis(ms))),
                "{text}"
            );
        };
        check("250ms", Some(250));
        check("2s", Some(2_000));
        check("1m 30s", Some(90_000));
        check("0s", Some(0));
        check("60", None);
        check("\"60\"", None);
        check("soon", None);
        check("-1s", None);
        check("900years", None);
        check("99999999999999999999s", None);
    }

    #[test]
    fn nonsense_is_refused_without_quoting_it() {
        for text in [
            "sk-secret",
            "-1",
            "1.5",
            ".nan",
            "[sk-secret]",
            "{ sk: secret }",
        ] {
            let error = read::<Count>(text).unwrap_err();
            assert!(!error.contains("secret"), "{error}");
        }
        for text in ["123456789", "[sk-secret]", "true"] {
            let error = read::<Secret>(text).unwrap_err();
            assert!(
                !error.contains("secret") && !error.contains("123"),
                "{error}"
            );
        }
        assert!(read::<Number>(".inf").is_err());
        assert!(read::<Text>("5").is_err());
    }
}
