//! Owns which trace an exchange is part of (W3C Trace Context): the client's, where it names one, else its own; and what its
//! attempts name to their upstreams. Must never trust a name that is not formed as one.

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceId};
use opentelemetry_sdk::propagation::TraceContextPropagator;

/// The header that names a trace, and the one that goes with it.
pub(crate) const TRACEPARENT: &str = "traceparent";
pub(crate) const TRACESTATE: &str = "tracestate";
/// Bytes of its first version: `00-<32 digits>-<16 digits>-<2 digits>`.
const LENGTH: usize = 55;
/// As the map of headers looks for it.
const PARENT: HeaderName = HeaderName::from_static(TRACEPARENT);
/// An odd number whose multiples lie far from each other (2^64 over the golden ratio).
const APART: u64 = 0x9e37_79b9_7f4a_7c15;
const DIGITS: [u8; 16] = *b"0123456789abcdef";
/// Where its dashes are.
const DASHES: [usize; 3] = [2, 35, 52];

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

/// Where the propagator finds headers.
struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

// === impl Trace ===

impl Trace {
    /// The trace that a request's headers name, as the client decided on it; else a new one, of which so many are recorded.
    pub(crate) fn begin(headers: &HeaderMap, ratio: f64) -> Self {
        let span = SpanId::from_bytes(fastrand::u64(1..).to_be_bytes());
        let attempts = 0;
        match named(headers) {
            Some(parent) => Self {
                id: parent.trace_id(),
                span,
                parent: Some(parent.span_id()),
                is_sampled: parent.is_sampled(),
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
        write_digits(&mut told[DASHES[0] + 1..DASHES[1]], &self.id.to_bytes());
        write_digits(&mut told[DASHES[1] + 1..DASHES[2]], &span.to_bytes());
        told[LENGTH - 1] = DIGITS[usize::from(self.is_sampled)];
        told
    }
}

/// Writes two digits for each byte.
fn write_digits(into: &mut [u8], bytes: &[u8]) {
    let (pairs, _) = into.as_chunks_mut();
    for (pair, byte) in pairs.iter_mut().zip(bytes) {
        *pair = [byte >> 4, byte & 15].map(|digit| DIGITS[usize::from(digit)]);
    }
}

fn named(headers: &HeaderMap) -> Option<SpanContext> {
    let mut all = headers.get_all(PARENT).iter();
    let one = all.next().filter(|_| all.next().is_none())?;
    if !is_well_formed(one.as_bytes()) {
        return None;
    }
    let propagator = TraceContextPropagator::new();
    let context = propagator.extract_with_context(&Context::new(), &Headers(headers));
    let named = context.span().span_context().clone();
    named.is_valid().then_some(named)
}

/// The library is lenient about digits. Versions to come may be longer.
fn is_well_formed(name: &[u8]) -> bool {
    let (Some(known), Some(version)) = (name.get(..LENGTH), name.get(..2)) else {
        return false;
    };
    let in_place = |(at, byte): (usize, &u8)| match DASHES.contains(&at) {
        true => *byte == b'-',
        false => byte.is_ascii_digit() || (b'a'..=b'f').contains(byte),
    };
    let ends = match version {
        b"ff" => false,
        b"00" => name.len() == LENGTH,
        _ => name.get(LENGTH).is_none_or(|next| *next == b'-'),
    };
    ends && known.iter().enumerate().all(in_place)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    fn begun(parent: &str, ratio: f64) -> Trace {
        let mut headers = HeaderMap::new();
        headers.insert(TRACEPARENT, HeaderValue::from_str(parent).unwrap());
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
            two.append(TRACEPARENT, HeaderValue::try_from(value).unwrap());
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
