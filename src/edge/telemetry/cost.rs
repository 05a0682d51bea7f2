//! Owns what an exchange cost, in USD: its answer, and what was paid for attempts that did not answer. Must never take an
//! unknown price for nothing.

use crate::core::exchange::{AttemptRecord, Record};
use crate::core::outcome::Class;
use crate::edge::generation::Generation;

/// The answer, where the endpoint's price and the upstream's count are known.
pub(crate) fn of_answer(generation: &Generation, record: &Record) -> Option<f64> {
    let price = generation.snapshot.catalog.endpoint(record.served?).price;
    let usage = record.usage?;
    price.prompt.or(price.completion)?;
    Some(price.of(usage.prompt_tokens, usage.completion_tokens))
}

/// What the attempts that did not answer cost together; zero where none is billed or no price is known.
pub(crate) fn wasted(generation: &Generation, record: &Record) -> f64 {
    let attempts = record.attempts.iter();
    let wasted = attempts.filter_map(|attempt| of_waste(generation, record, attempt));
    // The sum of nothing is -0.0.
    wasted.fold(0.0, |sum, cost| sum + cost)
}

/// What an attempt cost that did not answer: as its upstream counted, else the prompt as estimated and a token for each event
/// with content. `None`: it answered, its upstream had not got the whole request or refused it, or its price is unknown.
pub(crate) fn of_waste(
    generation: &Generation,
    record: &Record,
    attempt: &AttemptRecord,
) -> Option<f64> {
    if attempt.class == Class::Success {
        return None;
    }
    let refused = attempt.told.as_ref().is_some_and(|told| told.status != 200);
    let counted_as_answer = record.usage.is_some()
        && attempt.usage == record.usage
        && record.served == Some(attempt.endpoint);
    if attempt.sent_at.is_none() || refused || counted_as_answer {
        return None;
    }
    let price = generation.snapshot.catalog.endpoint(attempt.endpoint).price;
    price.prompt.or(price.completion)?;
    let (prompt, completion) = match attempt.usage {
        Some(usage) => (usage.prompt_tokens, usage.completion_tokens),
        None => (record.prompt_estimate, u64::from(attempt.contents)),
    };
    Some(price.of(prompt, completion))
}
