//! Owns what a client that asks is told of an exchange's attempts: compact, within the bounds of a header. Must never be told
//! unasked, or hold more than ids, classes and times.

use std::fmt::Write;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderName;

use crate::core::catalog::EndpointIx;
use crate::core::exchange::Exchange;
use crate::core::outcome::Class;
use crate::core::time::Time;
use crate::edge::generation::Generation;

/// Asks for it, and answers it.
pub(crate) static HEADER: HeaderName = HeaderName::from_static("x-mainstay-trace");
/// Bytes of the header's value.
const LONGEST: usize = 1024;

/// The attempts of an exchange, each in words.
pub(crate) struct Attempts(Vec<String>);

/// The attempts up to `now`, those under way at last. One that brought content is `ok`.
pub(crate) fn attempts(exchange: &Exchange, generation: &Generation, now: Time) -> Attempts {
    let asked = exchange.asked();
    let named = |endpoint: EndpointIx| {
        let entry = generation.snapshot.catalog.endpoint(endpoint);
        match entry.model == asked {
            true => format!("{}/{}", entry.provider, entry.key),
            false => entry.id.to_string(),
        }
    };
    let over = exchange.ended().iter().map(|attempt| {
        let class = match attempt.class {
            Class::Success => "ok",
            class => class.as_str(),
        };
        let first = attempt.first_content_at.map(|at| at.since(attempt.started));
        words(&named(attempt.endpoint), class, attempt.took, first)
    });
    let under_way = exchange.under_way().map(|attempt| {
        let class = match attempt.first_content_at {
            Some(_) => "ok",
            None => "begun",
        };
        let first = attempt.first_content_at.map(|at| at.since(attempt.started));
        words(
            &named(attempt.endpoint),
            class,
            now.since(attempt.started),
            first,
        )
    });
    Attempts(over.chain(under_way).collect())
}

/// How long it took, and where that is less, to the first content.
fn words(endpoint: &str, class: &str, took: Duration, first: Option<Duration>) -> String {
    let mut words = format!("{endpoint} {class} {}ms", took.as_millis());
    if let Some(first) = first.filter(|first| first.as_millis() < took.as_millis()) {
        // Writing to memory cannot fail.
        write!(words, " first={}ms", first.as_millis()).ok();
    }
    words
}

// === impl Attempts ===

impl Attempts {
    /// As the value of a header: the first and as many as fit.
    pub(crate) fn shortened(&self) -> String {
        let mut told = String::new();
        for (position, attempt) in self.0.iter().enumerate() {
            let more = format!("; +{} more", self.0.len() - position);
            if told.len() + attempt.len() + more.len() + 2 > LONGEST {
                told.push_str(more.trim_start_matches(if told.is_empty() { "; " } else { "" }));
                break;
            }
            if !told.is_empty() {
                told.push_str("; ");
            }
            told.push_str(attempt);
        }
        told
    }

    /// As a comment of a stream.
    pub(crate) fn as_comment(&self) -> Bytes {
        Bytes::from(format!(": {HEADER} {}\n\n", self.0.join("; ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_stays_short_and_says_what_it_leaves_out() {
        let one = "x".repeat(300);
        let attempts = Attempts(vec![one.clone(); 5]);
        let told = attempts.shortened();
        assert!(told.len() <= LONGEST, "{}", told.len());
        assert!(told.ends_with("; +2 more"), "{told}");
        assert_eq!(Attempts(vec!["y".repeat(5000)]).shortened(), "+1 more");
        assert_eq!(
            Attempts(vec!["a".to_owned(), "b".to_owned()]).shortened(),
            "a; b"
        );
    }

    #[test]
    fn the_first_content_is_told_apart_where_the_rest_took_longer() {
        let ms = Duration::from_millis;
        assert_eq!(words("p/k", "ok", ms(340), Some(ms(340))), "p/k ok 340ms");
        assert_eq!(
            words("p/k", "ok", ms(340), Some(ms(40))),
            "p/k ok 340ms first=40ms"
        );
        assert_eq!(
            words("p/k", "server_error", ms(3), None),
            "p/k server_error 3ms"
        );
    }
}
