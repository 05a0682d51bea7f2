//! What is wrong with the key that a request is sent with, or with its limits: X08 and X09, in the words that each provider
//! has for it.

use mainstay::cmd::mock::{Kind, Script};

use super::bench::{Bench, Cell, Spare, dialects, explained, fields, root};
use super::words::{after, of, words};
use crate::config::Config;
use crate::dialects::cases::{Case, Inbound};
use crate::harness::{failing, fast, mock};
use crate::raw::Ended;

// === X08 ===

const NEVER_FITS: &str = r#"{"error":{"message":"Request too large for gpt-4o in organization org-1 on tokens per min (TPM): Limit 30000, Requested 30500.","type":"tokens","param":null,"code":"rate_limit_exceeded"}}"#;

/// Who says that it never fits is believed: no wait, no block.
#[tokio::test(flavor = "multi_thread")]
async fn x08_a_prompt_that_never_fits_blocks_nobody() {
    let bench = Bench::new(Spare::Model, |_| after(429, "30", NEVER_FITS)).await;
    for cell in Cell::all(&["openai", "openai-responses"], &[false, true]) {
        bench.run(cell).await.is_rescued_by_larger_window();
        // No limit was met: the next one is asked of it again.
        let again = bench.run(cell).await;
        assert_eq!(again.asked, 2, "{}", again.about());
        assert_eq!(
            again.classes(),
            ["context_too_long", "success"],
            "{}",
            again.about()
        );
    }
}

/// The others say the same of a prompt that never fits as of one that does not fit now.
const NOT_NOW: [(&str, &str); 4] = [
    (
        "anthropic",
        r#"{"type":"error","error":{"type":"rate_limit_error","message":"This request would exceed your organization's rate limit of 30,000 input tokens per minute. Please try again in 40s."}}"#,
    ),
    (
        "gemini",
        r#"{"error":{"code":429,"message":"You exceeded your current quota, please check your plan and billing details.\n* Quota exceeded for metric: generativelanguage.googleapis.com/generate_content_paid_tier_input_token_count, limit: 1000000\nPlease retry in 48.939935699s.","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"48s"}]}}"#,
    ),
    (
        "bedrock",
        r#"{"message":"Too many tokens, please wait before trying again."}"#,
    ),
    (
        "cohere",
        r#"{"id":"c","message":"Too many tokens: your key is limited to 100000 tokens per minute"}"#,
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn x08_a_prompt_that_does_not_fit_now_is_answered_by_another_model() {
    let bench = Bench::new(Spare::Model, |dialect| {
        match NOT_NOW.iter().any(|row| row.0 == dialect) {
            true => words(429, of(&NOT_NOW, dialect)),
            false => Kind::status(429),
        }
    })
    .await;
    let dialects = NOT_NOW.map(|(dialect, _)| dialect);
    for cell in Cell::all(&dialects, &[false, true]) {
        let run = bench.run(cell).await;
        run.is_whole("t/large");
        let classes = run.classes();
        let (last, before) = classes.split_last().expect("attempts");
        assert_eq!(*last, "success", "{}", run.about());
        assert!(
            before.iter().all(|class| *class == "rate_limited"),
            "{}",
            run.about()
        );
        // Where nothing is said of a wait, one short one is tried.
        let most = if matches!(cell.dialect, "bedrock" | "cohere") {
            2
        } else {
            1
        };
        assert!(run.asked <= most, "{}", run.about());
        let fallback = run.answer.header("x-mainstay-fallback");
        assert_eq!(fallback, Some("rate_limited"), "{}", run.about());
    }
}

// === X09 ===

/// What ends a key, or the account behind it.
const KEYS: [(&str, u16, &str, &str); 15] = [
    (
        "openai",
        401,
        r#"{"error":{"message":"Incorrect API key provided: sk-w***.","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}"#,
        "auth_rejected",
    ),
    (
        "openai",
        429,
        r#"{"error":{"message":"You exceeded your current quota.","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#,
        "quota_exhausted",
    ),
    (
        "openai-responses",
        401,
        r#"{"error":{"message":"Incorrect API key provided: sk-w***.","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}"#,
        "auth_rejected",
    ),
    (
        "openai-responses",
        429,
        r#"{"error":{"message":"You exceeded your current quota.","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#,
        "quota_exhausted",
    ),
    (
        "openai-responses",
        401,
        r#"{"error":{"message":"The account is deactivated.","type":"invalid_request_error","param":null,"code":"account_deactivated"}}"#,
        "auth_rejected",
    ),
    (
        "anthropic",
        401,
        r#"{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}}"#,
        "auth_rejected",
    ),
    (
        "anthropic",
        402,
        r#"{"type":"error","error":{"type":"billing_error","message":"There is an issue with your billing."}}"#,
        "quota_exhausted",
    ),
    (
        "anthropic",
        400,
        r#"{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the Anthropic API."}}"#,
        "quota_exhausted",
    ),
    (
        "anthropic",
        400,
        r#"{"type":"error","error":{"type":"invalid_request_error","message":"This organization has been disabled."}}"#,
        "auth_rejected",
    ),
    (
        "gemini",
        400,
        r#"{"error":{"code":400,"message":"API key expired. Please renew the API key.","status":"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID","domain":"googleapis.com"}]}}"#,
        "auth_rejected",
    ),
    (
        "gemini",
        403,
        r#"{"error":{"code":403,"message":"Permission denied: Consumer 'api_key:AIzaX' has been suspended.","status":"PERMISSION_DENIED","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"CONSUMER_SUSPENDED","domain":"googleapis.com"}]}}"#,
        "auth_rejected",
    ),
    (
        "bedrock",
        403,
        r#"{"message":"The security token included in the request is expired"}"#,
        "auth_rejected",
    ),
    (
        "bedrock",
        400,
        r#"{"message":"Operation not allowed"}"#,
        "auth_rejected",
    ),
    (
        "cohere",
        401,
        r#"{"id":"c","message":"Incorrect API key provided: ***********."}"#,
        "auth_rejected",
    ),
    (
        "cohere",
        402,
        r#"{"message":"You have reached your billing limit. Add or update a payment method."}"#,
        "payment_required",
    ),
];

/// The key rests for all its models, the request goes on elsewhere, nothing of the words is shown, and the operator
/// sees whose key it was.
#[tokio::test(flavor = "multi_thread")]
async fn x09_what_ends_a_key_ends_it_for_all_its_models() {
    let good = mock(fast()).await;
    let (mut config, mut broke) = (Config::new(), Vec::new());
    config = config.raw_provider("rich", &fields("anthropic", &good));
    for (nth, (dialect, status, body, _)) in KEYS.iter().enumerate() {
        let mock = mock(failing(words(*status, body))).await;
        config = config.raw_provider(&format!("broke{nth}"), &fields(dialect, &mock));
        for model in ["m", "n"] {
            config = config.model(
                &format!("t/{model}{nth}"),
                &[&format!("broke{nth}"), "rich"],
            );
        }
        broke.push(mock);
    }
    let proxy = config.start();
    for (nth, (dialect, _, body, class)) in KEYS.iter().enumerate() {
        let mut first = true;
        for inbound in Inbound::ALL {
            for (model, stream) in [("m", false), ("m", true), ("n", false), ("n", true)] {
                let asked = inbound.request(&format!("t/{model}{nth}"), Case::Text, stream);
                let answer = proxy.send(&asked).await;
                let about = format!("{inbound:?} {dialect} {body}: {answer:?}");
                assert_eq!((answer.status, answer.end), (200, Ended::Whole), "{about}");
                assert_eq!(
                    inbound.objection(Case::Text, stream, &answer),
                    None,
                    "{about}"
                );
                let told = explained(&proxy, &answer).await;
                let attempt = &told["attempts"][0];
                if std::mem::take(&mut first) {
                    assert_eq!(attempt["class"], *class, "{about}: {told}");
                    assert_eq!(attempt["scope"], "key", "{about}: {told}");
                    assert_eq!(attempt["tripped"], true, "{about}: {told}");
                    assert_eq!(told["attempts"][1]["class"], "success", "{about}: {told}");
                } else {
                    assert_eq!(attempt["class"], "success", "{about}: {told}");
                }
            }
        }
        assert_eq!(
            broke[nth].received().len(),
            1,
            "{dialect} {body}: asked once"
        );
        let provider = format!("broke{nth}");
        let closed = [("provider", provider.as_str()), ("state", "closed")];
        let metrics = proxy.metrics().await;
        assert!(
            metrics.sum("mainstay_endpoint_state", &closed) < 0.5,
            "{dialect} {body}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn x09_one_key_of_several_is_left_out_in_every_dialect() {
    let script = Script {
        keys: vec!["sk-right-4f".to_owned()],
        ..fast()
    };
    let mock = mock(script).await;
    let mut config = Config::new();
    for cell in Cell::all(&dialects(), &[false]) {
        let (name, at) = (cell.slug(), mock.addr());
        let root = root(cell.dialect);
        let fields = format!(
            "dialects: [{}], base_url: \"http://{at}{root}\", \
             keys: [{{ name: one, value: sk-wrong-8a }}, {{ name: two, value: sk-right-4f }}]",
            cell.dialect
        );
        config = config
            .raw_provider(&name, &fields)
            .model(&cell.model(), &[&name]);
    }
    let proxy = config.start();
    for cell in Cell::all(&dialects(), &[false]) {
        for (stream, attempts) in [(false, "2"), (true, "1"), (false, "1")] {
            let asked = cell.inbound.request(&cell.model(), Case::Text, stream);
            let answer = proxy.send(&asked).await;
            let about = format!("{cell:?}: {answer:?}");
            assert_eq!((answer.status, answer.end), (200, Ended::Whole), "{about}");
            assert_eq!(
                answer.header("x-mainstay-attempts"),
                Some(attempts),
                "{about}"
            );
            let endpoint = format!("{}@{}/two", cell.model(), cell.slug());
            assert_eq!(
                answer.header("x-mainstay-endpoint"),
                Some(endpoint.as_str()),
                "{about}"
            );
            assert!(!answer.text().contains("sk-"), "{about}");
        }
    }
}
