//! What is wrong with the request, or with the key that it is sent with: S12, S13, X08 and X09, in the words that each
//! provider has for it. A body is as it was recorded or documented where no other source is given.

use std::collections::BTreeMap;
use std::time::Duration;

use mainstay::cmd::mock::{ErrorBody, Kind, Script};

use super::bench::{Bench, Cell, Run, Spare, dialects, explained, fields};
use super::reading::{error_message, finish};
use crate::config::Config;
use crate::dialects::cases::{Case, Inbound};
use crate::harness::{failing, fast, mock};
use crate::raw::Ended;

/// Requests that are enough to close an endpoint of which each failure counts.
const MANY: usize = 6;

/// An error in a provider's own words, with AWS's name for it in the header.
fn words(status: u16, body: &str) -> Kind {
    let name = match body {
        body if body.contains("security token") => "UnrecognizedClientException",
        body if body.contains("Too many") => "ThrottlingException",
        _ => "ValidationException",
    };
    Kind::Status {
        status,
        retry_after: None,
        headers: BTreeMap::from([("x-amzn-errortype".to_owned(), name.to_owned())]),
        body: ErrorBody::Auto,
        text: Some(body.to_owned()),
        delay: Duration::ZERO,
    }
}

/// The row of a dialect.
fn of<T: Copy>(table: &[(&str, T)], dialect: &str) -> T {
    let row = table.iter().find(|(name, _)| *name == dialect);
    row.map(|(_, value)| *value).expect("a row")
}

// === S12 ===

const TOO_LONG: [(&str, &str); 6] = [
    (
        "openai",
        r#"{"error":{"message":"This model's maximum context length is 128000 tokens. However, your messages resulted in 130000 tokens.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#,
    ),
    (
        "openai-responses",
        r#"{"error":{"message":"Your input exceeds the context window of this model. Please adjust your input and try again.","type":"invalid_request_error","param":"input","code":"context_length_exceeded"}}"#,
    ),
    (
        "anthropic",
        r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 208310 tokens > 200000 maximum"},"request_id":"req_1"}"#,
    ),
    (
        "gemini",
        r#"{"error":{"code":400,"message":"The input token count (1250025) exceeds the maximum number of tokens allowed (1048576).","status":"INVALID_ARGUMENT"}}"#,
    ),
    (
        "bedrock",
        r#"{"message":"Input is too long for requested model."}"#,
    ),
    (
        "cohere",
        r#"{"error_type":"TOO_MANY_TOKENS","id":"c","message":"too many tokens: size limit exceeded by 25836 tokens. Try using shorter or fewer inputs. The limit for this model is 288000 tokens."}"#,
    ),
];

/// The same said otherwise: by DeepSeek, by xAI without a code, for prompt and answer together, by Vertex AI in a list, by
/// Claude behind Bedrock, by Cohere without a type.
const TOO_LONG_TOO: [(&str, &str); 6] = [
    (
        "openai",
        r#"{"error":{"message":"This model's maximum context length is 1048565 tokens. However, you requested 1250025 tokens.","type":"invalid_request_error","param":null,"code":"invalid_request_error"}}"#,
    ),
    (
        "openai-responses",
        r#"{"error":{"message":"This model's maximum prompt length is 131072 but the request contains 136973 tokens.","type":"invalid_request_error","param":null,"code":null}}"#,
    ),
    (
        "anthropic",
        r#"{"type":"error","error":{"type":"invalid_request_error","message":"input length and `max_tokens` exceed context limit: 197202 + 21333 > 200000, decrease input length or `max_tokens` and try again"}}"#,
    ),
    (
        "gemini",
        r#"[{"error":{"code":400,"message":"Unable to submit request because the input token count is 1251952 but model only supports up to 1048576. Reduce the input token count and try again.","status":"INVALID_ARGUMENT"}}]"#,
    ),
    (
        "bedrock",
        r#"{"message":"The model returned the following errors: prompt is too long: 208310 tokens > 200000 maximum"}"#,
    ),
    (
        "cohere",
        r#"{"message":"too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 4292."}"#,
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn s12_a_prompt_that_is_too_long_goes_to_a_larger_window() {
    for table in [TOO_LONG, TOO_LONG_TOO] {
        let bench = Bench::new(Spare::Model, |dialect| words(400, of(&table, dialect))).await;
        for cell in Cell::all(&dialects(), &[false, true]) {
            rescued_by_model(&bench.run(cell).await);
        }
    }
}

fn rescued_by_model(run: &Run) {
    run.is_rescued("t/large", "context_too_long");
    let fallback = run.answer.header("x-mainstay-fallback");
    assert_eq!(fallback, Some("context_too_long"), "{}", run.about());
    assert_eq!(
        run.told["attempts"][0]["scope"],
        "request",
        "{}",
        run.about()
    );
}

/// The stream began, with a head of 200, before the provider found out. (Cohere has no such event.)
#[tokio::test(flavor = "multi_thread")]
async fn s12_a_stream_that_says_so_goes_to_a_larger_window_too() {
    let body = ErrorBody::ContextLength;
    let bench = Bench::new(Spare::Model, |_| Kind::ErrorEvent { at: 1, body }).await;
    let dialects: Vec<_> = dialects()
        .into_iter()
        .filter(|it| *it != "cohere")
        .collect();
    for cell in Cell::all(&dialects, &[false, true]) {
        rescued_by_model(&bench.run(cell).await);
    }
}

// === S13 ===

/// The answers of those who refuse with a status, and what must come of it to the client.
const POLICY: [(&str, &str); 3] = [
    (
        "openai",
        r#"{"error":{"message":"Your request was rejected by the safety system.","type":"invalid_request_error","param":null,"code":"content_policy_violation"}}"#,
    ),
    (
        "openai-responses",
        r#"{"error":{"message":"Invalid prompt: your prompt was flagged as potentially violating our usage policy, as the safety system found.","type":"invalid_request_error","param":null,"code":"invalid_prompt"}}"#,
    ),
    (
        "anthropic",
        r#"{"type":"error","error":{"type":"invalid_request_error","message":"Output blocked by content filtering policy, which is a safety system"}}"#,
    ),
];

/// Recorded at Azure; xAI's 403; Anthropic's words through a gateway.
const POLICY_TOO: [(&str, &str); 3] = [
    (
        "openai",
        r#"{"error":{"message":"The response was filtered due to the prompt triggering Azure OpenAI's content management policy (a safety system).","type":null,"param":"prompt","code":"content_filter","status":400,"innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#,
    ),
    (
        "openai-responses",
        r#"{"code":"The caller does not have permission","error":"Content violates usage guidelines of the safety system."}"#,
    ),
    (
        "anthropic",
        r#"{"error":{"type":"invalid_request_error","message":"Output blocked by content filtering policy, which is a safety system"}}"#,
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn s13_a_refused_prompt_is_returned_at_once() {
    for table in [POLICY, POLICY_TOO] {
        let refused: Vec<&'static str> = table.iter().map(|(dialect, _)| *dialect).collect();
        let bench = Bench::new(Spare::Provider, |dialect| {
            match refused.contains(&dialect) {
                true => words(400, of(&table, dialect)),
                false => Kind::Filtered { tokens: 0 },
            }
        })
        .await;
        for cell in Cell::all(&refused, &[false, true]) {
            is_refused(&bench, cell, "safety system").await;
        }
    }
}

/// The stream began, with a head of 200, before the provider found out.
#[tokio::test(flavor = "multi_thread")]
async fn s13_a_stream_that_says_so_is_returned_at_once() {
    let body = ErrorBody::ContentPolicy;
    let bench = Bench::new(Spare::Provider, |_| Kind::ErrorEvent { at: 1, body }).await;
    for cell in Cell::all(&["openai", "openai-responses"], &[false, true]) {
        is_refused(&bench, cell, "safety system").await;
    }
    for cell in Cell::all(&["anthropic"], &[false, true]) {
        is_refused(&bench, cell, "content filtering").await;
    }
}

/// Gemini refuses a prompt with an answer that has no candidate.
#[tokio::test(flavor = "multi_thread")]
async fn s13_a_blocked_prompt_of_geminis_is_returned_at_once() {
    let bench = Bench::new(Spare::Provider, |_| Kind::Filtered { tokens: 0 }).await;
    for cell in Cell::all(&["gemini"], &[false, true]) {
        is_refused(&bench, cell, "PROHIBITED_CONTENT").await;
    }
}

/// The provider's reason in the client's dialect, one attempt each time, and nothing held against the endpoint.
async fn is_refused(bench: &Bench, cell: Cell, reason: &str) {
    for count in 1..=MANY {
        let run = bench.run(cell).await;
        let about = run.about();
        assert_eq!(
            (run.answer.status, run.answer.end),
            (400, Ended::Whole),
            "{about}"
        );
        let message = error_message(cell.inbound, &run.answer).expect("an error of the dialect");
        assert!(message.contains(reason), "{about}");
        blames_nobody(&run, "content_filtered", count);
    }
}

fn blames_nobody(run: &Run, class: &str, count: usize) {
    let about = run.about();
    assert_eq!(run.classes(), [class], "{about}");
    assert_eq!(run.told["attempts"][0]["tripped"], false, "{about}");
    // Had it been held against the endpoint, another would be asked by now.
    assert_eq!((run.asked, run.spared), (count, 0), "{about}");
}

/// Words that a filter cut short, or never let through: an answer, which ends in the client's word for it.
#[tokio::test(flavor = "multi_thread")]
async fn s13_a_filtered_answer_is_returned_as_one() {
    for tokens in [0, 3] {
        let bench = Bench::new(Spare::Provider, |_| Kind::Filtered { tokens }).await;
        let filtered = dialects()
            .into_iter()
            .filter(|it| tokens > 0 || *it != "gemini");
        for cell in Cell::all(&filtered.collect::<Vec<_>>(), &[false, true]) {
            for count in 1..=MANY {
                let run = bench.run(cell).await;
                let about = run.about();
                assert_eq!(
                    (run.answer.status, run.answer.end),
                    (200, Ended::Whole),
                    "{about}"
                );
                let word = match cell.inbound {
                    Inbound::Chat | Inbound::Responses => "content_filter",
                    Inbound::Messages => "refusal",
                };
                assert_eq!(finish(cell.inbound, &run.answer), word, "{about}");
                blames_nobody(&run, "success", count);
            }
        }
    }
}

// === X08 ===

const NEVER_FITS: &str = r#"{"error":{"message":"Request too large for gpt-4o in organization org-1 on tokens per min (TPM): Limit 30000, Requested 30500.","type":"tokens","param":null,"code":"rate_limit_exceeded"}}"#;

/// Who says that it never fits is believed: no wait, no block.
#[tokio::test(flavor = "multi_thread")]
async fn x08_a_prompt_that_never_fits_blocks_nobody() {
    let bench = Bench::new(Spare::Model, |_| {
        let mut kind = words(429, NEVER_FITS);
        if let Kind::Status { retry_after, .. } = &mut kind {
            *retry_after = Some("30".to_owned());
        }
        kind
    })
    .await;
    for cell in Cell::all(&["openai", "openai-responses"], &[false, true]) {
        rescued_by_model(&bench.run(cell).await);
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
        let root = super::bench::root(cell.dialect);
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
