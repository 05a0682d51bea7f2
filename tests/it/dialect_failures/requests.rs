//! What is wrong with the request: S12 and S13, in the words that each provider has for it. A body is as it was recorded
//! or documented where no other source is given.

use mainstay::cmd::mock::{ErrorBody, Kind};

use super::bench::{Bench, Cell, Run, Spare, dialects};
use super::reading::{error_message, finish};
use super::words::{of, words};
use crate::dialects::cases::Inbound;
use crate::raw::Ended;

/// Requests that are enough to close an endpoint of which each failure counts.
const MANY: usize = 6;

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
            bench.run(cell).await.is_rescued_by_larger_window();
        }
    }
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
        bench.run(cell).await.is_rescued_by_larger_window();
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
