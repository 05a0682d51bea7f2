//! S15: an outage of a minute, with a request every four seconds, at a tenth of the contract's times.

use std::time::{Duration, Instant};

use mainstay::cmd::mock::Script;

use crate::harness::{Config, fast, for_model, mock};
use crate::raw::{Ended, Request, Via};

const SCALE: f64 = 0.1;

fn scaled(seconds: u64) -> Duration {
    Duration::from_secs(seconds).mul_f64(SCALE)
}

/// The defaults of the configuration, at the scale of the outage.
const HEALTH: &str = "health: { rest: { connect: 500ms, server_error: 1s, timeout: 2s, auth: 6s }, \
                      probe_fast: { below: 250ms, every: 1s }, ramp: 500ms }\n\
                      retry_budget: { floor_per_second: 5 }";

/// A client that sends its twenty requests, and when each one was answered by the primary.
async fn outage(via: Via, stream: bool) {
    let primary = mock(Script {
        scale: SCALE,
        ..fast()
    })
    .await;
    let backup = mock(fast()).await;
    let proxy = Config::new()
        .provider("primary", primary.addr())
        .provider("backup", backup.addr())
        .model("ref/backup", &["backup"])
        .model_with("ref/s15", &["primary"], "fallbacks: [ref/backup]")
        .top(HEALTH)
        .start();
    let request = match stream {
        true => Request::stream("ref/s15"),
        false => Request::chat("ref/s15"),
    };
    let begun = Instant::now();
    let mut back_at = None;
    for number in 0..20 {
        let due = scaled(4) * number;
        tokio::time::sleep(due.saturating_sub(begun.elapsed())).await;
        let sent = begun.elapsed();
        let answer = proxy.call(via, &request).await;
        assert_eq!((answer.status, answer.end), (200, Ended::Whole), "{number}");
        assert_eq!(answer.content(), Script::default().answer(), "{number}");
        let is_primary = answer.model() == "ref/s15";
        assert!(
            !is_primary || sent + scaled(1) > scaled(60),
            "too early: {sent:?}"
        );
        if is_primary {
            back_at.get_or_insert(sent);
        }
    }
    let back = back_at.expect("the primary answers again before the end");
    let late = back.saturating_sub(scaled(60));
    assert!(late <= scaled(30), "back {late:?} after the recovery");
    let attempts = for_model(&primary, "s15");
    let failed = attempts
        .iter()
        .filter(|attempt| attempt.status == Some(503));
    let failed = failed.count();
    // The first requests until it trips, then at most one probe every ten seconds.
    assert!(failed <= 12, "{failed} attempts met the outage");
}

#[tokio::test(flavor = "multi_thread")]
async fn s15_an_outage_costs_no_request_and_the_primary_comes_back() {
    tokio::join!(
        outage(Via::H1, true),
        outage(Via::H2, true),
        outage(Via::H1, false)
    );
}
