//! Owns which trace an exchange is part of (W3C Trace Context): the client's, where it names one, else its own; and what its
//! attempts name to their upstreams. Must never trust a name that is not formed as one.

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::trace::{SpanId, TraceId};

/// The header that names a trace, and the one that goes with it.
pub(crate) static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub(crate) static TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// Bytes of its first version: `00-<32 digits>-<16 digits>-<2 digits>`.
const LENGTH: usize = 55;
/// An odd number whose multiples lie far from each other (2^64 over the golden ratio).
const APART: u64 = 0x9e37_79b9_7f4a_7c15;
/// Where its dashes are.
const DASHES: [usize; 3] = [2, 35, 52];
/// The bit of the flags that says that a trace is recorded.
const SAMPLED: u8 = 1;

/// An exchange's place in a trace.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Trace {
    pub(super) id: TraceId,
    /// Of the exchange.
    pub(super) span: SpanId,
    /// The client's.
    pub(super) parent: Option<SpanId>,
    pub(super) is_sampled: bool,
    /// How many attempts have begun.
    attempts: usize,
}

/// What a client names.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Named {
    trace: TraceId,
    span: SpanId,
    is_sampled: bool,
}

// === impl Trace ===

impl Trace {
    /// The trace that a request's headers name, as the client decided on it; else a new one, of which so many are recorded.
    pub(crate) fn begin(headers: &HeaderMap, ratio: f64) -> Self {
        let span = SpanId::from_bytes(fastrand::u64(1..).to_be_bytes());
        let attempts = 0;
        match named(headers) {
            Some(parent) => Self {
                id: parent.trace,
                span,
                parent: Some(parent.span),
                is_sampled: parent.is_sampled,
                attempts,
            },
            None => Self {
                id: TraceId::from_bytes(fastrand::u128(1..).to_be_bytes()),
                span,
                parent: None,
                is_sampled: fastrand::f64() < ratio,
                attempts,
            },
        }
    }

    pub(crate) fn is_sampled(&self) -> bool {
        self.is_sampled
    }

    /// Whether it goes on with the client's: what the client says of it goes on, too.
    pub(crate) fn is_the_clients(&self) -> bool {
        self.parent.is_some()
    }

    /// Begins an attempt. Returns what its upstream is told.
    pub(crate) fn attempt(&mut self) -> Option<HeaderValue> {
        let span = self.span_of(self.attempts);
        self.attempts += 1;
        HeaderValue::from_bytes(&self.parent_of(span)).ok()
    }

    /// The span of an attempt, by its place among those that began: none of them is kept, so that most requests need no memory
    /// for them. Each is another one than the exchange's and those before, and as random as that.
    pub(super) fn span_of(&self, nth: usize) -> SpanId {
        let own = u64::from_be_bytes(self.span.to_bytes());
        let far = APART.wrapping_mul(nth as u64 + 1);
        // Zero stands for none; so far from the exchange's own lies nothing else.
        let id = match own.wrapping_add(far) {
            0 => own.wrapping_sub(APART),
            id => id,
        };
        SpanId::from_bytes(id.to_be_bytes())
    }

    /// What is told of a span. Formatted by hand: the formatter takes ten times as long, for every attempt, recorded or not.
    fn parent_of(&self, span: SpanId) -> [u8; LENGTH] {
        let mut told = [b'0'; LENGTH];
        for at in DASHES {
            told[at] = b'-';
        }
        let (trace, span) = (digits(self.id.to_bytes()), digits(span.to_bytes()));
        told[DASHES[0] + 1..DASHES[1]].copy_from_slice(trace.as_flattened());
        told[DASHES[1] + 1..DASHES[2]].copy_from_slice(span.as_flattened());
        told[LENGTH - 1] = digit(u8::from(self.is_sampled));
        told
    }
}

/// Two digits for each byte.
fn digits<const N: usize>(bytes: [u8; N]) -> [[u8; 2]; N] {
    bytes.map(|byte| [byte >> 4, byte & 15].map(digit))
}

/// Without a branch and a table, so that many are made at once.
fn digit(value: u8) -> u8 {
    value + b'0' + u8::from(value > 9) * (b'a' - b'0' - 10)
}

/// The bytes that digits stand for; upper case is not allowed.
fn read_digits<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let (pairs, []) = digits.as_chunks::<2>() else {
        return None;
    };
    let pairs: &[[u8; 2]; N] = pairs.try_into().ok()?;
    let is_one = |digit: &u8| digit.is_ascii_digit() | (b'a'..=b'f').contains(digit);
    let value = |digit: u8| match digit {
        b'a'.. => digit - b'a' + 10,
        _ => digit & 15,
    };
    let all = digits.iter().fold(true, |all, digit| all & is_one(digit));
    all.then(|| pairs.map(|[high, low]| value(high) << 4 | value(low)))
}

fn named(headers: &HeaderMap) -> Option<Named> {
    let mut all = headers.get_all(&TRACEPARENT).iter();
    let one = all.next().filter(|_| all.next().is_none())?;
    read(one.as_bytes())
}

/// Reads a name by hand, as it is formatted: the library reads digits leniently, and reads what goes with them, at four
/// times the price. Versions to come may be longer.
fn read(name: &[u8]) -> Option<Named> {
    let known = name.get(..LENGTH)?;
    let [first, second, third] = DASHES;
    let [version] = read_digits(&known[..first])?;
    let ends = match version {
        0xff => false,
        0 => name.len() == LENGTH,
        _ => name.get(LENGTH).is_none_or(|next| *next == b'-'),
    };
    if !ends || DASHES.iter().any(|at| known[*at] != b'-') {
        return None;
    }
    let trace = TraceId::from_bytes(read_digits(&known[first + 1..second])?);
    let span = SpanId::from_bytes(read_digits(&known[second + 1..third])?);
    let [flags] = read_digits(&known[third + 1..])?;
    let named = Named {
        trace,
        span,
        is_sampled: flags & SAMPLED != 0,
    };
    (trace != TraceId::INVALID && span != SpanId::INVALID).then_some(named)
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use opentelemetry::Context;
    use opentelemetry::propagation::TextMapPropagator;
    use opentelemetry::trace::TraceContextExt;
    use opentelemetry_sdk::propagation::TraceContextPropagator;

    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    fn begun(parent: &str, ratio: f64) -> Trace {
        let mut headers = HeaderMap::new();
        headers.insert(&TRACEPARENT, HeaderValue::from_str(parent).unwrap());
        Trace::begin(&headers, ratio)
    }

    #[test]
    fn a_clients_trace_goes_on_as_it_decided() {
        for (flags, sampled) in [("01", true), ("00", false), ("03", true)] {
            let mut trace = begun(&format!("00-{TRACE}-00f067aa0ba902b7-{flags}"), 0.5);
            assert_eq!(trace.id.to_string(), TRACE);
            assert_eq!(trace.parent.unwrap().to_string(), "00f067aa0ba902b7");
            assert_eq!(trace.is_sampled(), sampled, "{flags}");
            let told = trace.attempt().unwrap();
            let own = format!("00-{TRACE}-{}-0{}", trace.span_of(0), u8::from(sampled));
            assert_eq!(told, own.as_str());
        }
        let later = begun(&format!("cc-{TRACE}-00f067aa0ba902b7-01-more"), 0.0);
        assert!(later.is_the_clients(), "a version to come");
    }

    #[test]
    fn a_name_is_read_as_the_library_reads_it() {
        let propagator = TraceContextPropagator::new();
        for _ in 0..2_000 {
            let mut trace = Trace::begin(&HeaderMap::new(), 0.5);
            let name = trace.attempt().unwrap();
            let name = name.to_str().unwrap();
            let carried = HashMap::from([(TRACEPARENT.to_string(), name.to_owned())]);
            let context = propagator.extract_with_context(&Context::new(), &carried);
            let context = context.span().span_context().clone();
            let expected = Named {
                trace: context.trace_id(),
                span: context.span_id(),
                is_sampled: context.is_sampled(),
            };
            assert_eq!(read(name.as_bytes()), Some(expected), "{name}");
            let own = (trace.id, trace.span_of(0), trace.is_sampled);
            assert_eq!((expected.trace, expected.span, expected.is_sampled), own);
        }
    }

    #[test]
    fn every_byte_that_is_no_digit_is_refused_at_every_place() {
        let good = format!("00-{TRACE}-00f067aa0ba902b7-01").into_bytes();
        assert!(read(&good).is_some());
        for at in 0..LENGTH {
            for byte in 0..=u8::MAX {
                let mut name = good.clone();
                name[at] = byte;
                let is_digit = byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
                let fits = match DASHES.contains(&at) {
                    true => byte == b'-',
                    false => is_digit && (at > 1 || name.get(..2) != Some(b"ff")),
                };
                assert_eq!(read(&name).is_some(), fits, "{byte} at {at}");
            }
        }
    }

    #[test]
    fn each_attempt_has_a_span_of_its_own() {
        let mut trace = Trace::begin(&HeaderMap::new(), 1.0);
        // The one whose sum with the first step is none.
        for span in [
            trace.span,
            SpanId::from_bytes(APART.wrapping_neg().to_be_bytes()),
        ] {
            trace.span = span;
            let spans = (0..1_000).map(|nth| trace.span_of(nth)).chain([span]);
            let spans: HashSet<SpanId> = spans.collect();
            assert!(spans.len() == 1_001 && !spans.contains(&SpanId::INVALID));
        }
    }

    #[test]
    fn what_is_no_name_of_a_trace_is_ignored() {
        for wrong in [
            "",
            "00",
            &format!("00-{TRACE}-00f067aa0ba902b7"),
            &format!("00-{TRACE}-00f067aa0ba902b7-01-more"),
            &format!("ff-{TRACE}-00f067aa0ba902b7-01"),
            &format!("00-{TRACE}-0000000000000000-01"),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            &format!("00-{}-00f067aa0ba902b7-01", TRACE.to_uppercase()),
            &format!("00-{TRACE}-+0f067aa0ba902b7-01"),
            &format!("00-{TRACE}-00f067aa0ba902b7-0"),
        ] {
            let trace = begun(wrong, 1.0);
            assert!(!trace.is_the_clients(), "{wrong}");
            assert!(
                trace.is_sampled() && trace.id.to_string() != TRACE,
                "{wrong}"
            );
        }
        let mut two = HeaderMap::new();
        for _ in 0..2 {
            let value = format!("00-{TRACE}-00f067aa0ba902b7-01");
            two.append(&TRACEPARENT, HeaderValue::try_from(value).unwrap());
        }
        assert!(!Trace::begin(&two, 1.0).is_the_clients(), "it is sent once");
    }

    #[test]
    fn of_ones_own_traces_so_many_are_recorded() {
        let share = |ratio: f64| {
            let sampled = |_: &usize| Trace::begin(&HeaderMap::new(), ratio).is_sampled();
            (0..2_000).filter(sampled).count()
        };
        assert_eq!((share(0.0), share(1.0)), (0, 2_000));
        assert!((300..=500).contains(&share(0.2)));
    }
}
