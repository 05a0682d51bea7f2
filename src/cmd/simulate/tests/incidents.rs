//! What each kind of incident does to an attempt.

use super::with_incident;
use crate::cmd::simulate::chance::{Subject, stream};
use crate::cmd::simulate::scenario::Scenario;
use crate::cmd::simulate::scenario::tests::scenario;
use crate::cmd::simulate::upstream::{Answer, Ask, Stream, Upstream};

const ASK: Ask = Ask {
    tokens: 300.0,
    faulty: false,
    model: 0,
    json: false,
    hidden: 0.0,
    prompt: 500.0,
};
const A: usize = 0;
const B: usize = 1;

/// Answers to attempts on an endpoint at these times, without random errors.
fn answers(
    scenario: &Scenario,
    endpoint: usize,
    times: impl IntoIterator<Item = f64>,
) -> Vec<Answer> {
    let mut quiet = scenario.clone();
    for endpoint in &mut quiet.fleet {
        endpoint.errors = 0.0;
    }
    let mut upstream = Upstream::new(&quiet);
    let mut rng = stream(3, Subject::Routing);
    let ask = |at| upstream.answer(endpoint, ASK, at, &mut rng);
    times.into_iter().map(ask).collect()
}

/// Many answers at one time.
fn many(scenario: &Scenario, at: f64) -> Vec<Answer> {
    answers(scenario, A, std::iter::repeat_n(at, 2000))
}

fn streams(answers: &[Answer]) -> Vec<Stream> {
    let stream = |answer: &Answer| match answer {
        Answer::Stream(stream) => Some(*stream),
        Answer::ConnectFails { .. }
        | Answer::Status { .. }
        | Answer::Silence
        | Answer::Json { .. }
        | Answer::Lost { .. } => None,
    };
    answers.iter().filter_map(stream).collect()
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The share of answers with a status, and the statuses that came.
fn refused(answers: &[Answer]) -> (f64, Vec<u16>) {
    let statuses = answers.iter().filter_map(|answer| match answer {
        Answer::Status { status, .. } => Some(*status),
        Answer::ConnectFails { .. }
        | Answer::Silence
        | Answer::Stream(_)
        | Answer::Json { .. }
        | Answer::Lost { .. } => None,
    });
    let mut statuses: Vec<u16> = statuses.collect();
    let share = statuses.len() as f64 / answers.len() as f64;
    statuses.dedup();
    (share, statuses)
}

#[test]
fn an_incident_is_at_its_endpoint_and_in_its_time_only() {
    let hole = with_incident(r#""hole""#);
    assert_eq!(answers(&hole, A, [20.0, 59.9]), [Answer::Silence; 2]);
    assert_eq!(streams(&answers(&hole, A, [19.9, 60.0])).len(), 2);
    assert_eq!(streams(&answers(&hole, B, [30.0])).len(), 1);
}

#[test]
fn without_an_incident_an_endpoint_has_its_usual_speed_and_its_random_errors() {
    let usual = scenario(r#""rps": 10, "dur": 100"#);
    let all = streams(&many(&usual, 1.0));
    assert!((median(all.iter().map(|one| one.first)) - 0.4).abs() < 0.02);
    assert!((median(all.iter().map(|one| one.speed)) - 100.0).abs() < 3.0);
    assert!(
        all.iter()
            .all(|one| one.tokens == 300.0 && one.cut.is_none())
    );
    let mut upstream = Upstream::new(&usual);
    let mut rng = stream(1, Subject::Routing);
    let all: Vec<_> = (0..40_000)
        .map(|_| upstream.answer(A, ASK, 1.0, &mut rng))
        .collect();
    let (share, statuses) = refused(&all);
    assert!((share - 0.005).abs() < 0.0012, "{share}");
    assert_eq!(statuses, [500]);
}

#[test]
fn connections_are_refused_soon_or_dropped_after_the_delay() {
    let refused = many(&with_incident(r#""refuse""#), 30.0);
    let soon = |answer: &Answer| matches!(answer, Answer::ConnectFails { after } if (0.005..0.015).contains(after));
    assert!(refused.iter().all(soon));
    let dropped = many(&with_incident(r#""syn_drop", "delay": 1.5"#), 30.0);
    assert!(
        dropped
            .iter()
            .all(|answer| *answer == Answer::ConnectFails { after: 1.5 })
    );
}

#[test]
fn a_rhythm_lets_requests_through_in_between() {
    let flapping = with_incident(r#""refuse", "period": 20, "on": 10"#);
    let through = streams(&answers(&flapping, A, [25.0, 35.0, 45.0, 55.0]));
    assert_eq!(through.len(), 2);
}

#[test]
fn errors_have_their_share_their_slope_and_their_delay() {
    let sloping = with_incident(r#""err", "p": 0.2, "p_to": 0.8"#);
    for (at, expected) in [(20.0, 0.2), (40.0, 0.5), (59.9, 0.8)] {
        let (share, statuses) = refused(&many(&sloping, at));
        assert!((share - expected).abs() < 0.04, "{at}: {share}");
        assert_eq!(statuses, [500]);
    }
    let early = |answer: &Answer| match answer {
        Answer::Status { after, .. } => *after,
        other => panic!("{other:?}"),
    };
    let sure = many(&with_incident(r#""err", "p": 1.0"#), 30.0);
    let middle = median(sure.iter().map(early));
    // The middle of 0.05 to 0.5 times the first token's median.
    assert!((middle - 0.4 * 0.275).abs() < 0.02, "{middle}");
    let delayed = many(&with_incident(r#""err", "p": 1.0, "delay": 0.005"#), 30.0);
    assert!(delayed.iter().all(|answer| early(answer) == 0.005));
}

#[test]
fn first_tokens_and_streams_slow_down_by_their_factor() {
    let slow = streams(&many(&with_incident(r#""ttft", "k": 10"#), 30.0));
    assert!((median(slow.iter().map(|one| one.first)) - 4.0).abs() < 0.2);
    assert!((median(slow.iter().map(|one| one.speed)) - 100.0).abs() < 3.0);
    let slow = streams(&many(&with_incident(r#""tps", "k": 10"#), 30.0));
    assert!((median(slow.iter().map(|one| one.first)) - 0.4).abs() < 0.02);
    assert!((median(slow.iter().map(|one| one.speed)) - 10.0).abs() < 0.3);
}

#[test]
fn a_rate_limit_admits_its_burst_and_then_its_rate() {
    // 0.5 times 10 a second is 5 a second, with a burst of one second.
    let limited = with_incident(r#""rate", "rate_x": 0.5, "retry_after": 3"#);
    let at_once = answers(&limited, A, std::iter::repeat_n(30.0, 12));
    assert_eq!(streams(&at_once).len(), 5);
    let limits = at_once.iter().filter(|answer| {
        matches!(answer, Answer::Status { status: 429, after, retry_after: Some(wait) }
            if (0.03..0.08).contains(after) && *wait == 3.0)
    });
    assert_eq!(limits.count(), 7);
    // Empty at 30 s; half a second later two and a half have come.
    let times = std::iter::repeat_n(30.0, 5).chain(std::iter::repeat_n(30.5, 9));
    assert_eq!(streams(&answers(&limited, A, times)).len(), 5 + 2);
}

#[test]
fn a_rate_limit_without_a_wait_says_none_and_a_tiny_one_lets_two_through() {
    let limited = with_incident(r#""rate", "rate_x": 0.01, "retry_after": 0"#);
    let at_once = answers(&limited, A, std::iter::repeat_n(30.0, 5));
    assert_eq!(streams(&at_once).len(), 2);
    let silent = |answer: &&Answer| {
        matches!(
            answer,
            Answer::Status {
                retry_after: None,
                ..
            }
        )
    };
    assert_eq!(at_once.iter().filter(silent).count(), 3);
}

#[test]
fn a_ramp_admits_more_and_more_and_answers_503_beyond() {
    let ramp = with_incident(r#""ramp", "rate_x": 0.1, "rate_to": 1.1"#);
    // 20 attempts a second in three of its seconds; capacities there are about 1, 6 and 10.5 a second.
    let second = |from: f64| (0..20).map(move |nth| from + f64::from(nth) / 20.0);
    let admitted = |from: f64| {
        // The second before it empties the bucket.
        let all = answers(&ramp, A, second(from - 1.0).chain(second(from)));
        streams(&all[20..]).len()
    };
    assert!((1..=2).contains(&admitted(21.0)), "{}", admitted(21.0));
    assert!((5..=7).contains(&admitted(39.5)), "{}", admitted(39.5));
    assert!((9..=12).contains(&admitted(58.5)), "{}", admitted(58.5));
    let (_, statuses) = refused(&answers(&ramp, A, second(21.0)));
    assert_eq!(statuses, [503]);
}

#[test]
fn streams_are_cut_with_their_probability_and_behind_the_first_token() {
    let cut = streams(&many(&with_incident(r#""cut", "p": 0.3"#), 30.0));
    let cuts: Vec<f64> = cut.iter().filter_map(|one| one.cut).collect();
    let share = cuts.len() as f64 / cut.len() as f64;
    assert!((share - 0.3).abs() < 0.04, "{share}");
    assert!(cuts.iter().all(|at| (0.0..1.0).contains(at)));
}

#[test]
fn a_dead_key_and_a_callers_error_have_their_status() {
    let dead = many(&with_incident(r#""auth""#), 30.0);
    assert_eq!(refused(&dead), (1.0, vec![401]));
    let mut usual = scenario(r#""rps": 10, "dur": 100"#);
    usual.fleet[B].errors = 0.0;
    let faulty = Ask {
        faulty: true,
        ..ASK
    };
    let mut rng = stream(1, Subject::Routing);
    let answer = Upstream::new(&usual).answer(B, faulty, 1.0, &mut rng);
    assert!(matches!(answer, Answer::Status { status: 400, .. }));
}
