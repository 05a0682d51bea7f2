//! One request, explained: to operators by its id, to a client that asks by a header and a comment.

use std::time::Instant;

use mainstay::cmd::mock::{Cut, ErrorBody, Fault, Kind, Mock, Script};
use serde_json::Value;

use crate::harness::{Config, Proxy, closed_port, failing, fast, mock, provider_key};
use crate::raw::{Answer, BOTH, PATIENCE, Request};

const TRACE: &str = "x-mainstay-trace";
const PROMPT: &str = "the-clients-own-words";

/// Two providers, of which the first fails.
async fn unlucky(kind: Kind) -> (Vec<Mock>, Config) {
    let (bad, good) = (mock(failing(kind)).await, mock(fast()).await);
    let config = Config::new()
        .provider("bad", bad.addr())
        .provider("good", good.addr())
        .model("t/m", &["bad", "good"])
        .model("t/well", &["good"])
        .model("t/ill", &["bad"])
        .policy("layers: [failover, fallback]");
    (vec![bad, good], config)
}

/// What is kept of a request, once it is.
async fn explained(proxy: &Proxy, id: &str) -> Value {
    let begun = Instant::now();
    loop {
        let answer = proxy.admin_get(&format!("/api/requests/{id}")).await;
        if answer.status == 200 {
            return answer.json();
        }
        assert!(begun.elapsed() < PATIENCE, "never kept: {id}");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

async fn list(proxy: &Proxy, query: &str) -> Vec<Value> {
    let answer = proxy.admin_get(&format!("/api/requests{query}")).await;
    assert_eq!(answer.status, 200);
    answer.json().as_array().unwrap().clone()
}

fn ids(list: &[Value]) -> Vec<&str> {
    list.iter().map(|one| one["id"].as_str().unwrap()).collect()
}

fn id(answer: &Answer) -> &str {
    answer.header("x-request-id").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recovered_request_tells_its_whole_story_over_both_protocols() {
    let (_mocks, config) = unlucky(Kind::error(500, ErrorBody::Server)).await;
    let price = "price: { prompt: 1, completion: 2 }";
    let proxy = config
        .raw_model(
            "t/paid",
            &format!("endpoints: [{{ provider: good, {price} }}]"),
        )
        .start();
    for via in BOTH {
        let before = Instant::now();
        let answer = proxy.call(via, &Request::stream("t/m")).await;
        let took = u64::try_from(before.elapsed().as_millis()).unwrap();
        assert_eq!(answer.status, 200, "{via:?}");
        let told = explained(&proxy, id(&answer)).await;
        let same = explained(&proxy, answer.header("x-generation-id").unwrap()).await;
        assert_eq!(told, same, "both ids lead to it");
        assert_eq!(told["model"], "t/m");
        assert_eq!(told["served"], "t/m");
        assert_eq!(told["result"], "answered");
        assert_eq!(told["relayed"]["status"], 200);
        assert_eq!(told["relayed"]["finish"], "whole");
        assert_eq!(told["relayed"]["bytes"], answer.body.len() as u64, "{told}");
        let events = answer.data().len() as u64;
        assert_eq!(told["relayed"]["events"], events, "{told}");
        assert_eq!(told["completion_tokens"], 60);
        assert!(told["ms"].as_u64().unwrap() <= took, "{told}");
        // The first to fail rests; later requests go straight to the other.
        if via != BOTH[0] {
            continue;
        }
        let plan = told["plan"].as_array().unwrap();
        assert_eq!(plan.len(), 2, "{told}");
        assert!(
            plan.iter()
                .all(|one| one["kept"] == true && one["verdict"] == "available")
        );
        assert_eq!(told["drift"], "provider");
        let [failed, answered] = [&told["attempts"][0], &told["attempts"][1]];
        assert_eq!(failed["endpoint"], "t/m@bad/default");
        assert_eq!(failed["class"], "server_error");
        assert_eq!(failed["scope"], "endpoint");
        assert_eq!(failed["evidence"]["status"], 500);
        assert!(failed["evidence"]["message"].is_string(), "{told}");
        assert!(failed["first_token_ms"].is_null());
        assert_eq!(answered["endpoint"], "t/m@good/default");
        assert_eq!(answered["class"], "success");
        let times = [
            "start_ms",
            "connected_ms",
            "sent_ms",
            "head_ms",
            "first_token_ms",
            "end_ms",
        ];
        let times: Vec<u64> = times
            .iter()
            .map(|name| answered[name].as_u64().unwrap())
            .collect();
        assert!(times.is_sorted(), "{times:?}");
        assert!(*times.last().unwrap() <= told["ms"].as_u64().unwrap());
        assert!(failed["end_ms"].as_u64() <= answered["start_ms"].as_u64());
        assert_eq!(told["recovery_ms"], answered["start_ms"]);
    }
    let answer = proxy.send(&Request::chat("t/paid")).await;
    let told = explained(&proxy, id(&answer)).await;
    assert!(told["cost_usd"].as_f64().unwrap() > 1e-6, "{told}");
    assert_eq!(told["stream"], false);
    assert_eq!(told["relayed"]["bytes"], answer.body.len() as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_left_out_and_who_was_resting_is_told_with_the_reason() {
    let (_held, refused) = closed_port();
    let good = mock(fast()).await;
    let proxy = Config::new()
        .provider("gone", refused)
        .provider("good", good.addr())
        .provider_with("far", good.addr(), "region: us, keys: [{ value: k }]")
        .model("t/m", &["gone", "good", "far"])
        .policy("require: { ignore: [far] }")
        .start();
    for id in ["first", "second"] {
        let request = Request::stream("t/m").header("x-request-id", id);
        assert_eq!(proxy.send(&request).await.status, 200);
    }
    let told = explained(&proxy, "second").await;
    let plan = told["plan"].as_array().unwrap();
    let of = |name: &str| {
        let mut plan = plan.iter();
        plan.find(|one| one["endpoint"] == format!("t/m@{name}/default"))
            .unwrap()
    };
    assert_eq!(of("gone")["verdict"], "resting", "{told}");
    assert_eq!(of("gone")["why"], "connect_failed");
    assert_eq!(of("gone")["kept"], true);
    assert_eq!(of("good")["verdict"], "available");
    assert_eq!(of("far")["kept"], false);
    assert_eq!(of("far")["why"], "the policy ignores it");
    assert_eq!(told["attempts"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_and_a_break_are_told_with_what_they_wasted() {
    let cut = Kind::CutAfter {
        tokens: 5,
        how: Cut::Close,
    };
    let (bad, good) = (mock(failing(cut)).await, mock(fast()).await);
    let price = "price: { prompt: 1, completion: 2 }";
    let proxy = Config::new()
        .provider("bad", bad.addr())
        .provider("good", good.addr())
        .raw_model(
            "t/breaks",
            &format!("endpoints: [{{ provider: bad, {price} }}]"),
        )
        .start();
    for via in BOTH {
        let answer = proxy.call(via, &Request::stream("t/breaks")).await;
        let told = explained(&proxy, id(&answer)).await;
        assert_eq!(told["result"], "broken", "{told}");
        assert_eq!(told["relayed"]["finish"], "error_event");
        assert_eq!(told["attempts"][0]["class"], "stream_broken");
        let wasted = told["wasted_usd"].as_f64().unwrap();
        assert!(
            wasted >= 2.0 * 5.0 / 1e6,
            "the prompt and five tokens: {told}"
        );
        assert_eq!(told["attempts"][0]["wasted_usd"], told["wasted_usd"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_before_a_plan_is_told_too_and_pushes_nothing_out() {
    let good = mock(fast()).await;
    let config = Config::new().provider("good", good.addr());
    let proxy = config
        .model("t/m", &["good"])
        .server("max_body: 4KiB")
        .top("auth: { keys: [{ name: app, key: client-key-1 }] }")
        .top("telemetry: { requests: 20 }")
        .start();
    let post = |body: String| Request::post("/v1/chat/completions", body).key("client-key-1");
    let cases = [
        (Request::chat("t/m").key("a-guess-77"), 401, "key", None),
        (post("{ not json: Erika".to_owned()), 400, "request", None),
        (
            Request::chat("t/nobody").key("client-key-1"),
            404,
            "model",
            Some("t/nobody"),
        ),
        (
            post(format!("{{\"x\":\"{}\"}}", "y".repeat(8_000))),
            413,
            "too_large",
            None,
        ),
    ];
    let well = Request::chat("t/m").key("client-key-1");
    assert_eq!(proxy.send(&well).await.status, 200);
    for (request, status, cause, model) in cases {
        let refused = proxy.send(&request).await;
        assert_eq!(refused.status, status);
        let told = explained(&proxy, id(&refused)).await;
        assert_eq!(told["result"], "refused", "{told}");
        assert_eq!(told["status"], status);
        assert_eq!(told["model"].as_str(), model);
        assert!(
            told["error"].is_string() && told["at"].is_string(),
            "{told}"
        );
        let text = told.to_string();
        assert!(
            !text.contains("a-guess-77") && !text.contains("Erika"),
            "{text}"
        );
        proxy
            .counts("mainstay_refused_requests_total", &[("cause", cause)], 1.0)
            .await;
    }
    let all = list(&proxy, "").await;
    let results: Vec<&str> = all
        .iter()
        .map(|one| one["result"].as_str().unwrap())
        .collect();
    assert_eq!(
        results,
        ["refused", "refused", "refused", "refused", "answered"]
    );
    assert!(list(&proxy, "?recovered=1").await.is_empty());
    // Somebody guesses keys.
    for _ in 0..40 {
        proxy.send(&Request::chat("t/m").key("another-guess")).await;
    }
    let all = list(&proxy, "").await;
    assert_eq!(all.len(), 6, "a quarter of 20, and what was answered");
    assert_eq!(all[5]["result"], "answered");
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_are_percent_decoded_and_unknown_ones_are_404() {
    let (_mocks, config) = unlucky(Kind::status(500)).await;
    let proxy = config.start();
    let request = Request::chat("t/well").header("x-request-id", "my.id-1");
    proxy.send(&request).await;
    let told = explained(&proxy, "my%2Eid%2d1").await;
    assert_eq!(told["id"], "my.id-1");
    for unknown in ["nobody", "my.id", "%ff%00", "my.id-1/x"] {
        let answer = proxy.admin_get(&format!("/api/requests/{unknown}")).await;
        assert_eq!(answer.status, 404, "{unknown}");
    }
    let posted = crate::raw::call(BOTH[0], proxy.admin, &Request::post("/api/requests", "")).await;
    assert_eq!(posted.status, 405);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ring_is_bounded_and_keeps_what_failed_the_longest() {
    let (_mocks, config) = unlucky(Kind::status(400)).await;
    let proxy = Proxy::start_unwatched(&config.clone().top("telemetry: { requests: 4 }").text());
    let send = async |model: &str, id: &str| {
        let request = Request::chat(model).header("x-request-id", id);
        proxy.send(&request).await;
        explained(&proxy, id).await;
    };
    send("t/ill", "failed").await;
    for number in 0..8 {
        send("t/well", &format!("well-{number}")).await;
    }
    let kept = list(&proxy, "").await;
    assert_eq!(ids(&kept), ["well-7", "well-6", "well-5", "failed"]);
    assert_eq!(kept[3]["result"], "failed");
    assert_eq!(kept[3]["error"], "invalid_request");
    assert_eq!(ids(&list(&proxy, "?limit=2").await), ["well-7", "well-6"]);
    assert!(list(&proxy, "?recovered=1").await.is_empty());
    // Many failures leave a quarter of the room to successes.
    for number in 0..8 {
        send("t/ill", &format!("ill-{number}")).await;
    }
    let kept = list(&proxy, "").await;
    assert_eq!(ids(&kept), ["ill-7", "ill-6", "ill-5", "well-7"]);
    // A reload takes it down at once, and off.
    proxy.write_config(&config.clone().top("telemetry: { requests: 1 }").text());
    proxy.signal("HUP");
    proxy.counts("mainstay_config_generation", &[], 2.0).await;
    assert_eq!(list(&proxy, "").await.len(), 1);
    proxy.write_config(&config.top("telemetry: { requests: 0 }").text());
    proxy.signal("HUP");
    proxy.counts("mainstay_config_generation", &[], 3.0).await;
    proxy.send(&Request::chat("t/well")).await;
    proxy.counts("mainstay_requests_total", &[], 18.0).await;
    assert!(list(&proxy, "").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_names_what_was_recovered() {
    let (_mocks, config) = unlucky(Kind::status(503)).await;
    let proxy = config.start();
    proxy
        .send(&Request::stream("t/well").header("x-request-id", "well"))
        .await;
    proxy
        .send(&Request::stream("t/m").header("x-request-id", "saved"))
        .await;
    explained(&proxy, "saved").await;
    let recovered = list(&proxy, "?recovered=1").await;
    assert_eq!(ids(&recovered), ["saved"]);
    let one = &recovered[0];
    for text in ["id", "at", "model", "served", "result"] {
        assert!(one[text].is_string(), "{text}: {one}");
    }
    assert!(one["recovery_ms"].is_u64());
    let attempt = &one["attempts"][1];
    assert_eq!(attempt["class"], "success");
    for number in ["start_ms", "first_token_ms", "end_ms"] {
        assert!(attempt[number].is_u64(), "{number}: {one}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_asks_is_told_of_the_attempts() {
    let (_mocks, config) = unlucky(Kind::status(500)).await;
    // Nothing rests: each request meets the failure.
    let proxy = config
        .model_with("t/falls", &["bad"], "fallbacks: [t/well]")
        .start();
    let well_formed = |told: &str| {
        for attempt in told.split("; ") {
            let words: Vec<&str> = attempt.split(' ').collect();
            assert!(words.len() >= 3 && words[2].ends_with("ms"), "{told}");
        }
    };
    for via in BOTH {
        let asked = Request::stream("t/well").header(TRACE, "1");
        let answer = proxy.call(via, &asked).await;
        let told = answer.header(TRACE).unwrap();
        well_formed(told);
        assert!(told.starts_with("good/default ok "), "{told}");
        let end = answer.text().rsplit_once(": x-mainstay-trace ").unwrap().1;
        let (words, rest) = end.split_once("\n\n").unwrap();
        well_formed(words);
        assert_eq!(rest, "data: [DONE]\n\n", "{end}");
        assert_eq!(answer.text().matches(TRACE).count(), 1);
        assert_eq!(answer.content(), Script::default().answer());
    }
    let answer = proxy
        .send(&Request::stream("t/falls").header(TRACE, "1"))
        .await;
    let told = answer.header(TRACE).unwrap();
    assert!(told.starts_with("bad/default server_error "), "{told}");
    assert!(told.contains("; t/well@good/default ok "), "{told}");
    // JSON answers have the header alone, errors too.
    let json = proxy
        .send(&Request::chat("t/well").header(TRACE, "1"))
        .await;
    assert!(json.header(TRACE).unwrap().starts_with("good/default ok "));
    assert!(!json.text().contains(TRACE));
    let failed = proxy.send(&Request::chat("t/ill").header(TRACE, "1")).await;
    assert!(failed.status >= 500, "{}", failed.status);
    assert!(failed.header(TRACE).unwrap().starts_with("bad/default "));
    // Nobody else is.
    for (name, value) in [(TRACE, "0"), (TRACE, ""), ("x-other", "1")] {
        let answer = proxy
            .send(&Request::stream("t/well").header(name, value))
            .await;
        assert_eq!(answer.header(TRACE), None, "{value}");
        assert!(!answer.text().contains(TRACE), "{value}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_breaks_tells_of_its_attempts_before_its_error() {
    let cut = Kind::CutAfter {
        tokens: 5,
        how: Cut::Close,
    };
    let bad = mock(failing(cut)).await;
    let proxy = Config::new()
        .provider("bad", bad.addr())
        .model("t/breaks", &["bad"])
        .start();
    for via in BOTH {
        let answer = proxy
            .call(via, &Request::stream("t/breaks").header(TRACE, "1"))
            .await;
        let end = answer.text().rsplit_once(": x-mainstay-trace ").unwrap().1;
        assert!(end.starts_with("bad/default stream_broken "), "{end}");
        assert!(end.contains("\"finish_reason\":\"error\""), "{end}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_the_content_and_no_secret_is_kept() {
    let key = provider_key("bad");
    let text = format!(
        r#"{{"error":{{"message":"bad key {key} and \"{PROMPT} {PROMPT} {PROMPT}\" by sk-live-1234","type":"invalid_request_error","code":"{key}"}}}}"#
    );
    let fault = Kind::Status {
        status: 401,
        retry_after: None,
        headers: [("x-note".to_owned(), key.clone())].into(),
        body: ErrorBody::Auto,
        text: Some(text),
        delay: std::time::Duration::ZERO,
    };
    let bad = mock(Script {
        fault: Some(Fault::always(fault)),
        ..fast()
    })
    .await;
    let good = mock(fast()).await;
    let proxy = Config::new()
        .provider("bad", bad.addr())
        .provider("good", good.addr())
        .model("t/m", &["bad", "good"])
        .top("auth: { keys: [{ name: app, key: client-key-1 }] }")
        .start();
    let body = format!(
        r#"{{"model":"t/m","stream":true,"messages":[{{"role":"user","content":"{PROMPT}"}}]}}"#
    );
    let request = Request::post("/v1/chat/completions", body)
        .key("client-key-1")
        .header(TRACE, "1")
        .header("x-request-id", "one");
    let answer = proxy.send(&request).await;
    assert_eq!(answer.status, 200);
    let told = explained(&proxy, "one").await;
    assert_eq!(told["key"], "app");
    let message = told["attempts"][0]["evidence"]["message"].as_str().unwrap();
    assert!(message.starts_with("bad key … and …"), "{message}");
    let shown = [
        told.to_string(),
        Value::from(list(&proxy, "").await).to_string(),
        proxy.output(),
        answer.header(TRACE).unwrap().to_owned(),
    ]
    .join("\n");
    for secret in [PROMPT, &key, "client-key-1", "sk-live-1234"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}
