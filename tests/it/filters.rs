//! What keeps a request from an endpoint whatever its health: labels, abilities, cost, and what may differ from the
//! asked. Judged by who received what.

use serde_json::json;

use mainstay::cmd::mock::{Kind, Mock, Script};

use crate::harness::{Config, Proxy, failing, fast, mock, provider_key};
use crate::raw::{Answer, Request};

/// A provider in the EU that keeps nothing, beside one of which nothing is known.
struct Pair {
    careful: Mock,
    other: Mock,
    proxy: Proxy,
}

impl Pair {
    async fn new(policy: &str, model: &str) -> Self {
        let (careful, other) = (mock(fast()).await, mock(fast()).await);
        let key = provider_key("careful");
        let labels =
            format!("region: eu, zdr: true, data_collection: deny, keys: [{{ value: {key} }}]");
        let proxy = Config::new()
            .provider("other", other.addr())
            .provider_with("careful", careful.addr(), &labels)
            .policy_named("strict", &format!("sort: ordered, {policy}"))
            .raw_model(
                "t/m",
                &format!(
                    "policy: strict, {model}, endpoints: [{{ provider: other }}, \
                     {{ provider: careful, quantization: bf16, price: {{ prompt: 1, completion: 1 }} }}]"
                ),
            )
            .start();
        Self {
            careful,
            other,
            proxy,
        }
    }

    fn received(&self) -> (usize, usize) {
        (self.other.received().len(), self.careful.received().len())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_policy_requires_decides_who_is_asked() {
    let window = "context_length: 100000";
    let table = [
        ("attempts: 3", (1, 0)),
        ("require: { region: [eu, us] }", (0, 1)),
        ("require: { data_collection: deny }", (0, 1)),
        ("require: { zdr: true }", (0, 1)),
        ("require: { min_quantization: fp8 }", (0, 1)),
        ("require: { only: [careful] }", (0, 1)),
        ("require: { ignore: [t/m@other/default] }", (0, 1)),
        ("max_cost: 0.01", (0, 1)),
    ];
    for (policy, expected) in table {
        let pair = Pair::new(policy, window).await;
        let answer = pair.proxy.send(&Request::chat("t/m")).await;
        assert_eq!(answer.status, 200, "{policy}: {answer:?}");
        assert_eq!(pair.received(), expected, "{policy}");
    }
}

/// The request is refused by ourselves, for these reasons, and nobody was asked.
fn is_refused(pair: &Pair, answer: &Answer, status: u16, code: &str, reasons: &[&str]) {
    assert_eq!(answer.status, status, "{answer:?}");
    let error = answer.error();
    let message = error["message"].as_str().unwrap();
    for reason in reasons {
        assert!(message.contains(reason), "{reason} in {message}");
    }
    assert_eq!(error["code"], code);
    assert_eq!(pair.received(), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_nobody_may_take_is_refused_with_the_reason_for_each() {
    let pair = Pair::new(
        "require: { ignore: [careful], zdr: true }",
        "context_length: 5",
    )
    .await;
    let reasons = ["t/m@other/default: ", "t/m@careful/default: ", "window"];
    let long = pair.proxy.send(&Request::chat("t/m")).await;
    is_refused(&pair, &long, 400, "context_length_exceeded", &reasons);

    let pair = Pair::new("require: { ignore: [careful], zdr: true }", "max_output: 9").await;
    let reasons = ["no zero data retention", "the policy ignores it"];
    let answer = pair.proxy.send(&Request::chat("t/m")).await;
    is_refused(&pair, &answer, 404, "no_endpoint_may", &reasons);
    let openrouter = pair
        .proxy
        .send(&Request::chat("t/m").at("/api/v1/chat/completions"))
        .await;
    assert_eq!(openrouter.error()["code"], 404);
    assert_eq!(openrouter.error()["metadata"]["error_type"], "not_found");
    let ten = Request::chat_with("t/m", r#","max_tokens":10"#);
    let reasons = ["max_tokens is more than the model's max_output"];
    is_refused(
        &pair,
        &pair.proxy.send(&ten).await,
        400,
        "no_endpoint_can",
        &reasons,
    );

    let pair = Pair::new("attempts: 3", "supports: [images]").await;
    for (more, missing) in [
        (
            r#","tools":[{"type":"function","function":{"name":"f"}}]"#,
            "tools",
        ),
        (
            r#","response_format":{"type":"json_schema","json_schema":{"name":"s","schema":{}}}"#,
            "json_schema",
        ),
        (r#","reasoning_effort":"low""#, "reasoning"),
    ] {
        let answer = pair.proxy.send(&Request::chat_with("t/m", more)).await;
        let reason = format!("the model does not support {missing}");
        is_refused(&pair, &answer, 400, "no_endpoint_can", &[&reason]);
    }
    let json = r#","response_format":{"type":"json_object"}"#;
    let answer = pair.proxy.send(&Request::chat_with("t/m", json)).await;
    assert_eq!(answer.status, 200, "a plain JSON object needs no schema");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_explanation_says_why_an_endpoint_is_left_out() {
    let pair = Pair::new("require: { zdr: true }", "max_output: 9").await;
    let told = pair.proxy.admin_get("/api/explain?model=t/m").await.json();
    let other = &told["models"][0]["endpoints"][0];
    assert_eq!(other["id"], "t/m@other/default");
    assert_eq!(
        (&other["verdict"], &other["why"]),
        (&json!("rejected"), &json!("it has no zero data retention"))
    );
    assert_eq!(told["models"][0]["endpoints"][1]["share"], 1.0);
}

/// A model that fails, and one of four times its price on another provider behind it.
async fn degraded(policy: &str, fields: &str) -> (Answer, usize) {
    let (bad, dear) = (mock(failing(Kind::status(500))).await, mock(fast()).await);
    let price = |usd: u8| format!("price: {{ prompt: {usd}, completion: {usd} }}");
    let key = provider_key("bad");
    let labels = format!("region: eu, keys: [{{ value: {key} }}]");
    let proxy = Config::new()
        .provider_with("bad", bad.addr(), &labels)
        .provider("dear", dear.addr())
        .policy_named("limited", &format!("sort: ordered, {policy}"))
        .raw_model(
            "u/dear",
            &format!("endpoints: [{{ provider: dear, {} }}]", price(4)),
        )
        .raw_model(
            "t/m",
            &format!(
                "policy: limited, fallbacks: [u/dear], \
                 endpoints: [{{ provider: bad, {fields} {} }}]",
                price(1)
            ),
        )
        .start();
    let answer = proxy.send(&Request::chat("t/m")).await;
    if answer.status == 200 {
        assert_eq!(answer.content(), Script::default().answer());
    }
    assert!(!bad.received().is_empty());
    (answer, dear.received().len())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fallback_beyond_the_limits_is_not_asked_and_the_original_failure_is_told() {
    let table = [
        ("max_price_ratio: 3", ""),
        ("models: [t/*]", ""),
        ("labels: [region]", ""),
        ("min_quantization: int8", "quantization: bf16,"),
    ];
    for (limit, fields) in table {
        let (answer, asked) = degraded(&format!("degrade: {{ {limit} }}"), fields).await;
        assert_eq!((answer.status, asked), (502, 0), "{limit}: {answer:?}");
        assert_eq!(answer.error()["code"], "server_error", "{limit}");
        assert_eq!(answer.header("x-mainstay-drift"), None);
    }
    let within = "degrade: { max_price_ratio: 4, models: [u/*], labels: [zdr] }";
    let (answer, asked) = degraded(within, "").await;
    assert_eq!((answer.status, asked), (200, 1));
    let drift = answer.header("x-mainstay-drift");
    assert_eq!(drift, Some("provider region model price=4.00"));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_limits_only_warn_the_answer_says_what_is_beyond_them() {
    let limits = "degrade: { max_price_ratio: 3, labels: [region], otherwise: warn }";
    let (answer, asked) = degraded(limits, "").await;
    assert_eq!((answer.status, asked), (200, 1));
    let drift = answer.header("x-mainstay-drift");
    assert_eq!(
        drift,
        Some("provider region model price=4.00 beyond=price,region")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_end_where_the_money_does() {
    // Expected: 300 tokens back, and some of the prompt: over 0.0003 USD the first, over 0.0012 the second.
    for (most, asked) in [("0.0010", 0), ("0.0100", 1)] {
        let (answer, dear) = degraded(&format!("max_cost: {most}"), "").await;
        assert_eq!(dear, asked, "{most}");
        assert_eq!(answer.status, if asked == 0 { 502 } else { 200 });
    }
}

/// Random chains and limits: whoever the providers' logs show was asked must have been within them.
#[tokio::test(flavor = "multi_thread")]
async fn no_provider_ever_sees_a_request_that_the_limits_forbid() {
    const FLEETS: u32 = 8;
    const MODELS: u32 = 6;
    let (bad, good) = (mock(failing(Kind::status(500))).await, mock(fast()).await);
    let mut random = fastrand::Rng::with_seed(17);
    let (mut asked, mut refused) = (0_usize, 0_usize);
    for fleet in 0..FLEETS {
        let mut config = Config::new()
            .provider("bad", bad.addr())
            .provider("good", good.addr());
        let mut forbidden = Vec::new();
        let mut names = Vec::new();
        for number in 0..MODELS {
            let (ratio, limit) = (random.u32(1..8), random.u32(1..8));
            let (model, other) = (
                format!("t/f{fleet}m{number}"),
                format!("u/f{fleet}m{number}"),
            );
            let policy = format!("p{number}");
            if ratio > limit {
                forbidden.push(other.replacen("u/", "", 1));
            }
            config = config
                .policy_named(
                    &policy,
                    &format!("sort: ordered, degrade: {{ max_price_ratio: {limit} }}"),
                )
                .raw_model(&other, &endpoint("good", ratio, ""))
                .raw_model(
                    &model,
                    &endpoint(
                        "bad",
                        1,
                        &format!("policy: {policy}, fallbacks: [{other}],"),
                    ),
                );
            names.push((model, ratio <= limit));
        }
        let proxy = config
            .top("retry_budget: { floor_per_second: 1000 }")
            .start();
        for (model, is_allowed) in names {
            let answer = proxy.send(&Request::chat(&model)).await;
            assert_eq!(answer.status == 200, is_allowed, "{model}: {answer:?}");
            refused += usize::from(!is_allowed);
        }
        asked = good.received().len();
        let seen = good
            .received()
            .into_iter()
            .filter_map(|request| request.model);
        let wrong: Vec<String> = seen.filter(|model| forbidden.contains(model)).collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }
    println!("{FLEETS} fleets of {MODELS} chains: {asked} fallbacks taken, {refused} forbidden");
    assert!(asked > 10 && refused > 10);
}

fn endpoint(provider: &str, usd: u32, fields: &str) -> String {
    format!(
        "{fields} endpoints: [{{ provider: {provider}, price: {{ prompt: {usd}, completion: {usd} }} }}]"
    )
}
