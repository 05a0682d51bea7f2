//! The pace of an upstream's own word, under virtual time.

use super::*;

fn at(millis: u64) -> Time {
    Time::ZERO + Duration::from_millis(millis)
}

const SMALL: Need = Need {
    prompt: 10,
    completion: 10,
    least: 5,
};

fn requests(limit: u64, remaining: u64, resets_in: Option<Duration>) -> Quotas {
    told(Quantity::Requests, limit, remaining, resets_in)
}

fn told(quantity: Quantity, limit: u64, remaining: u64, resets_in: Option<Duration>) -> Quotas {
    let mut quotas = Quotas::default();
    let window = Window {
        limit: Some(limit),
        remaining: Some(remaining),
        resets_in,
        period: None,
    };
    quotas.set(quantity, window);
    quotas
}

/// Ten requests a second for ten seconds.
fn busy() -> (Pacing, Mark) {
    let mut pacing = Pacing::default();
    let mut mark = Mark::default();
    for nth in 0..100 {
        mark = pacing.send(&SMALL, at(nth * 100));
    }
    (pacing, mark)
}

const NOW: u64 = 10_000;
const TEN: Option<Duration> = Some(Duration::from_secs(10));

#[test]
fn what_lasts_is_not_paced_and_what_is_short_is_spread_until_the_reset() {
    let (mut pacing, mark) = busy();
    pacing.hear(&requests(1000, 500, TEN), mark, at(NOW));
    assert_eq!(pacing.advice(at(NOW)).rate, None);
    pacing.hear(&requests(1000, 50, TEN), mark, at(NOW));
    let rate = pacing.advice(at(NOW)).rate.unwrap();
    assert!((rate - 5.0).abs() < 0.01, "{rate}");
    assert_eq!(pacing.advice(at(20_000)).rate, None, "the reset is past");
}

#[test]
fn a_limit_of_tokens_paces_by_what_a_request_takes() {
    let (mut pacing, mark) = busy();
    pacing.hear(&told(Quantity::Tokens, 9000, 1000, TEN), mark, at(NOW));
    let rate = pacing.advice(at(NOW)).rate.unwrap();
    assert!((rate - 5.0).abs() < 0.01, "20 tokens each: {rate}");
}

#[test]
fn requests_that_began_since_count_and_the_latest_word_wins() {
    let (mut pacing, mark) = busy();
    for _ in 0..3 {
        pacing.send(&SMALL, at(NOW));
    }
    pacing.hear(&requests(20, 4, TEN), mark, at(NOW));
    assert_eq!(pacing.show(at(NOW))[0].left, 1);
    let later = pacing.send(&SMALL, at(NOW));
    assert_eq!(pacing.show(at(NOW))[0].left, 0);
    pacing.hear(&requests(20, 9, TEN), later, at(NOW));
    pacing.hear(&requests(20, 2, TEN), mark, at(NOW));
    assert_eq!(
        pacing.show(at(NOW))[0].left,
        9,
        "an older answer came later"
    );
    assert_eq!(pacing.show(at(NOW + 10_000))[0].left, 20);
}

#[test]
fn with_nothing_left_nobody_is_sent_until_the_reset_and_never_for_longer_than_a_minute() {
    let check = |resets_in: u64, expected: u64| {
        let (mut pacing, mark) = busy();
        let resets_in = Some(Duration::from_secs(resets_in));
        pacing.hear(&requests(20, 0, resets_in), mark, at(NOW));
        let spent = pacing.advice(at(NOW)).spent_until;
        assert_eq!(spent, at(NOW) + Duration::from_secs(expected));
    };
    check(7, 7);
    check(365 * 86_400, 60);
    let (mut pacing, mark) = busy();
    pacing.hear(&requests(20, 0, Some(Duration::ZERO)), mark, at(NOW));
    assert_eq!(pacing.advice(at(NOW)).spent_until, Time::ZERO, "it is over");
}

#[test]
fn a_429_knows_better_when_there_is_something_again() {
    let (mut pacing, mark) = busy();
    pacing.hear(
        &requests(20, 0, Some(Duration::from_secs(60))),
        mark,
        at(NOW),
    );
    pacing.hear(&told(Quantity::Tokens, 9000, 1000, TEN), mark, at(NOW));
    pacing.limited();
    let advice = pacing.advice(at(NOW));
    assert_eq!(advice.spent_until, Time::ZERO);
    assert!(advice.rate.is_some(), "the other limit holds");
}

#[test]
fn without_a_reset_a_period_begins_where_more_is_left_than_before() {
    let (mut pacing, mark) = busy();
    let resets_at = |pacing: &Pacing| pacing.show(at(NOW))[0].resets_at;
    pacing.hear(&requests(100, 90, None), mark, at(NOW));
    assert_eq!(resets_at(&pacing), at(NOW + 60_000));
    pacing.hear(&requests(100, 80, None), mark, at(NOW + 20_000));
    assert_eq!(resets_at(&pacing), at(NOW + 60_000));
    pacing.hear(&requests(100, 99, None), mark, at(NOW + 30_000));
    assert_eq!(resets_at(&pacing), at(NOW + 90_000));
}

/// A bucket that is refilled all the time tells when it would be full, as OpenAI's and Anthropic's do: the pace settles
/// at the rate of its refill, with the bucket half full.
#[test]
fn a_bucket_is_used_at_the_rate_of_its_refill() {
    let mut pacing = Pacing::default();
    let (mut level, mut taken, mut turn) = (100.0_f32, 0, Time::ZERO);
    for step in 0..120_000_u64 {
        let now = at(step);
        level = (level + 5.0 / 1000.0).min(100.0); // five a second
        if step % 100 != 0 {
            continue; // ten a second come
        }
        let rate = pacing.advice(now).rate;
        if rate.is_some() && turn > now {
            continue;
        }
        assert!(level >= 1.0, "a 429 after {step} ms");
        let mark = pacing.send(&SMALL, now);
        (level, taken) = (level - 1.0, taken + u32::from(step >= 60_000));
        turn = now + rate.map_or(Duration::ZERO, |rate| Duration::from_secs_f32(1.0 / rate));
        let full_in = Duration::from_secs_f32((100.0 - level) / 5.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "from 0 to 100"
        )]
        pacing.hear(&requests(100, level as u64, Some(full_in)), mark, now);
    }
    assert!((270..=300).contains(&taken), "{taken} of 300");
    assert!((30.0..70.0).contains(&level), "{level}");
}

#[test]
fn numbers_without_sense_do_no_harm() {
    let (mut pacing, mark) = busy();
    let far = Some(Duration::MAX);
    for quantity in Quantity::ALL {
        pacing.hear(&told(quantity, u64::MAX, u64::MAX, far), mark, at(NOW));
    }
    for now in [at(NOW), at(NOW + 5000), Time::NEVER] {
        let advice = pacing.advice(now);
        assert_eq!((advice.rate, advice.spent_until), (None, Time::ZERO));
    }
    let huge = Need {
        prompt: u64::MAX,
        completion: u64::MAX,
        least: u64::MAX,
    };
    pacing.send(&huge, at(NOW));
    assert!(pacing.advice(at(NOW)).rate.is_none_or(f32::is_finite));
}
