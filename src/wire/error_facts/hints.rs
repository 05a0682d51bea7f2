//! Owns the table that turns an error's code, type and words into a hint, each row with where it was
//! seen: a recorded fixture's folder, or the documentation of the one who sends it.
//! Must never guess: what no row names is left to the status.

use crate::core::outcome::Hint;

/// Codes and types, without regard to case. A code is asked before a type.
const NAMES: &[(&str, Hint)] = &[
    // Too long for the window.
    ("context_length_exceeded", Hint::ContextTooLong), // recorded: openai-responses; Groq, OpenRouter docs
    ("token_limit_exceeded", Hint::ContextTooLong),    // OpenRouter docs, error_type
    ("too_many_prompt_tokens", Hint::ContextTooLong),  // recorded: perplexity, as type
    ("too_many_tokens", Hint::ContextTooLong),         // recorded: cohere, as error_type
    ("tokens_limit_reached", Hint::ContextTooLong),    // GitHub Models, 413
    ("exceed_context_size_error", Hint::ContextTooLong), // llama.cpp server, type
    // Refused for its content.
    ("content_filter", Hint::ContentFiltered), // recorded: azure; Moonshot docs, type
    ("content_policy_violation", Hint::ContentFiltered), // OpenAI and OpenRouter docs
    ("ResponsibleAIPolicyViolation", Hint::ContentFiltered), // recorded: azure, inner code
    ("moderation_blocked", Hint::ContentFiltered), // OpenAI docs, images
    ("image_content_policy_violation", Hint::ContentFiltered), // OpenAI docs, in a response that failed
    ("data_inspection_failed", Hint::ContentFiltered),         // Alibaba Model Studio docs
    // A parameter that this model does not take.
    ("unsupported_parameter", Hint::UnsupportedParameter), // OpenAI docs
    ("unsupported_value", Hint::UnsupportedParameter),     // recorded: openai-chat
    ("unknown_parameter", Hint::UnsupportedParameter), // OpenAI docs; another seller may know it
    // Money.
    ("insufficient_quota", Hint::QuotaExhausted), // OpenAI docs, code and type, 429
    ("billing_hard_limit_reached", Hint::QuotaExhausted), // OpenAI docs, 400
    ("billing_not_active", Hint::QuotaExhausted), // OpenAI docs, 429
    ("exceeded_current_quota_error", Hint::QuotaExhausted), // Moonshot docs, type, 429
    ("payment_required", Hint::QuotaExhausted),   // OpenRouter docs, error_type
    ("insufficient_balance", Hint::QuotaExhausted), // Alibaba, MiniMax docs
    ("billing_error", Hint::QuotaExhausted),      // Anthropic docs, type, 402
    // The key.
    ("invalid_api_key", Hint::AuthRejected), // recorded: openai-chat, openai-other, openai-responses
    ("account_deactivated", Hint::AuthRejected), // OpenAI docs
    ("invalid_organization", Hint::AuthRejected), // OpenAI docs
    ("authentication_error", Hint::AuthRejected), // recorded: deepseek, as type beside a misleading code
    ("invalid_authentication_error", Hint::AuthRejected), // Moonshot docs, type
    ("authentication", Hint::AuthRejected),       // OpenRouter docs, error_type
    ("API_KEY_INVALID", Hint::AuthRejected),      // Google's ErrorInfo, 400
    ("CONSUMER_SUSPENDED", Hint::AuthRejected), // Google's ErrorInfo, 403 (google/generative-ai-docs#356)
    ("permission_error", Hint::Forbidden),      // Anthropic docs, type, through gateways
    ("permission_denied", Hint::Forbidden),     // OpenRouter docs, error_type; Google status
    ("unsupported_country_region_territory", Hint::Forbidden), // OpenAI docs, 403
    // The model.
    ("model_not_found", Hint::ModelUnavailable), // recorded: openai-chat, openai-responses (400), groq
    ("model_decommissioned", Hint::ModelUnavailable), // Groq docs, 400
    ("DeploymentNotFound", Hint::ModelUnavailable), // recorded: azure
    ("OperationNotSupported", Hint::ModelUnavailable), // Azure docs, 400: the deployment cannot chat
    ("unknown_model", Hint::ModelUnavailable),         // GitHub Models, 400
    ("NotFoundError", Hint::ModelUnavailable),         // vLLM, type
    ("not_found_error", Hint::ModelUnavailable),       // Anthropic docs, type, through gateways
    // Limits and load.
    ("rate_limit_exceeded", Hint::RateLimited), // OpenAI, Groq and OpenRouter docs
    ("rate_limit_error", Hint::RateLimited),    // Anthropic docs, type, through gateways
    ("rate_limit_reached_error", Hint::RateLimited), // Moonshot docs, type
    ("tokens", Hint::RateLimited),              // OpenAI, type beside a limit of tokens
    ("requests", Hint::RateLimited),            // OpenAI, type beside a limit of requests
    ("engine_overloaded", Hint::Overloaded),    // OpenAI docs
    ("engine_overloaded_error", Hint::Overloaded), // Moonshot docs, type, 429
    ("overloaded_error", Hint::Overloaded),     // Anthropic docs, type, through gateways
    ("slow_down", Hint::Overloaded),            // OpenAI docs, 503
    ("server_is_overloaded", Hint::Overloaded), // Responses, in streams (openai/codex#11388)
    ("service_unavailable_error", Hint::Overloaded), // the same, as type (anomalyco/opencode#25730)
    ("provider_overloaded", Hint::Overloaded),  // OpenRouter docs, error_type
    // AWS's types, in a header or in a stream's framing: Bedrock docs, errors of ConverseStream.
    ("ThrottlingException", Hint::RateLimited),
    ("ServiceQuotaExceededException", Hint::RateLimited), // 400
    ("ServiceUnavailableException", Hint::Overloaded),
    ("ModelNotReadyException", Hint::Overloaded), // 429
    ("ResourceNotFoundException", Hint::ModelUnavailable),
    ("ExpiredTokenException", Hint::AuthRejected), // recorded: bedrock, 403
    ("UnrecognizedClientException", Hint::AuthRejected), // recorded: bedrock, 403
    ("InvalidSignatureException", Hint::AuthRejected), // AWS docs, common errors, 403
];

/// Names of a server's fault. They say less than words or a status of 500 and above: OpenAI's 503 for an
/// overloaded engine has the type `server_error` too.
const SERVER_FAULTS: &[&str] = &[
    "server_error",              // OpenAI docs, code and type
    "internal_server_error",     // Groq docs, type
    "InternalServerError",       // vLLM, type
    "provider_unavailable",      // OpenRouter docs, error_type
    "api_error",                 // Anthropic docs, type, in streams too
    "timeout_error",             // Anthropic docs, type
    "InternalServerException",   // Bedrock docs
    "ModelStreamErrorException", // Bedrock docs
    "ModelErrorException",       // Bedrock docs
    "ModelTimeoutException",     // Bedrock docs
    "InternalError",             // an error of AWS's framing
];

/// Names of a client's fault, which say less than words too. Beside a status they say no more than it does.
const CLIENT_FAULTS: &[&str] = &[
    "ValidationException", // Bedrock docs
    // What a response of OpenAI's can fail of that is the request's (API reference, ResponseErrorCode).
    "invalid_prompt",
    "invalid_image",
    "invalid_image_format",
    "invalid_base64_image",
    "invalid_image_url",
    "image_too_large",
    "image_too_small",
    "image_parse_error",
    "invalid_image_mode",
    "image_file_too_large",
    "unsupported_image_media_type",
    "empty_image_file",
    "failed_to_download_image",
    "image_file_not_found",
];

/// Words of a message, in lower case, and the statuses beside which they are believed.
struct Prose {
    words: &'static str,
    beside: fn(u16) -> bool,
    hint: Hint,
}

const fn prose(words: &'static str, beside: fn(u16) -> bool, hint: Hint) -> Prose {
    Prose {
        words,
        beside,
        hint,
    }
}

/// Asked only where code and type say nothing. Left out on purpose: «exceeded your current quota», which Gemini
/// sends for a limit per minute too.
const WORDS: &[Prose] = &[
    prose("maximum context length", refused, Hint::ContextTooLong), // recorded: deepseek; vLLM, OpenRouter
    prose("context window", refused, Hint::ContextTooLong),         // recorded: openai-responses
    prose("context length", refused, Hint::ContextTooLong),         // Ollama, LM Studio
    prose("available context size", refused, Hint::ContextTooLong), // llama.cpp server
    prose("prompt is too long", refused, Hint::ContextTooLong),     // Anthropic, through gateways
    prose(
        "length of all messages is too long",
        refused,
        Hint::ContextTooLong,
    ), // recorded: perplexity
    prose(
        "exceeds the maximum number of tokens",
        refused,
        Hint::ContextTooLong,
    ), // Gemini, 400
    // Vertex AI, 400 (google-gemini/gemini-cli#19727)
    prose("input token count is", refused, Hint::ContextTooLong),
    // xAI, 400 (cline/cline#3120)
    prose("maximum prompt length", refused, Hint::ContextTooLong),
    prose("exceed context limit", refused, Hint::ContextTooLong), // Anthropic, 400: prompt and max_tokens together
    // Recorded: cohere. Beside 429 the same words are Bedrock's throttling.
    prose("too many tokens", mistaken, Hint::ContextTooLong),
    prose("content management policy", mistaken, Hint::ContentFiltered), // recorded: azure
    prose(
        "flagged as potentially violating",
        mistaken,
        Hint::ContentFiltered,
    ), // OpenAI, code invalid_prompt
    prose(
        "blocked by content filtering",
        mistaken,
        Hint::ContentFiltered,
    ), // Anthropic, 400 and in streams
    prose("violates usage guidelines", mistaken, Hint::ContentFiltered), // xAI, 403
    prose(
        "not supported with this model",
        mistaken,
        Hint::UnsupportedParameter,
    ), // recorded: openai-chat
    // Anthropic, 400: sampling on its newest models.
    prose(
        "is deprecated for this model",
        mistaken,
        Hint::UnsupportedParameter,
    ),
    prose(
        "cannot both be specified for this model",
        mistaken,
        Hint::UnsupportedParameter,
    ), // Anthropic, 400
    prose(
        "is not supported for this model",
        mistaken,
        Hint::UnsupportedParameter,
    ), // Anthropic, 400: a form of thinking
    prose(
        "does not support tools",
        mistaken,
        Hint::UnsupportedParameter,
    ), // Ollama, 400
    prose(
        "requires --enable-auto-tool-choice",
        mistaken,
        Hint::UnsupportedParameter,
    ), // vLLM, 400
    prose(
        "no endpoints found that support",
        mistaken,
        Hint::UnsupportedParameter,
    ), // OpenRouter, 404
    prose("input is too long", mistaken, Hint::ContextTooLong), // Bedrock, 400
    prose(
        "security token included in the request",
        mistaken,
        Hint::AuthRejected,
    ), // recorded: bedrock, 403
    prose(
        "this model doesn't support",
        mistaken,
        Hint::UnsupportedParameter,
    ), // recorded: bedrock, 400
    prose("extraneous key", mistaken, Hint::UnsupportedParameter), // Bedrock, 400: a field of another family
    // Gemini before generation 3, 400: tools and a form of the answer exclude each other.
    prose(
        "with a response mime type",
        mistaken,
        Hint::UnsupportedParameter,
    ),
    prose("credit balance is too low", refused, Hint::QuotaExhausted), // Anthropic, 400, through gateways
    prose("insufficient balance", refused, Hint::QuotaExhausted),      // DeepSeek docs, 402
    prose("api key not valid", mistaken, Hint::AuthRejected),          // Gemini, 400
    prose("incorrect api key", mistaken, Hint::AuthRejected),          // xAI, 400
    // Anthropic, 400 (anthropics/claude-code#19028)
    prose(
        "organization has been disabled",
        mistaken,
        Hint::AuthRejected,
    ),
    // Bedrock, 400: the account may use no model (kirodotdev/Kiro#11191)
    prose("operation not allowed", mistaken, Hint::AuthRejected),
    prose("is not a valid model id", mistaken, Hint::ModelUnavailable), // OpenRouter, 400
    prose("model not exist", mistaken, Hint::ModelUnavailable),         // DeepSeek, 400
    prose("has been decommissioned", mistaken, Hint::ModelUnavailable), // Groq, 400
    prose("overloaded", failed, Hint::Overloaded), // OpenAI, 500, 503 and once 429
    prose("rate limit", in_answer, Hint::RateLimited), // an error inside a 200
];

/// A code or type of rate limits beside these words is about one request that never fits. Seen: OpenAI 429 and
/// Groq 413, «Request too large for model ... Limit 6000, Requested 7000».
const NEVER_FITS: &str = "request too large";

/// The client's side or an error inside a 200.
fn refused(status: u16) -> bool {
    mistaken(status) || status == 429
}

/// As `refused`, but no limit of rate.
fn mistaken(status: u16) -> bool {
    in_answer(status) || (400..500).contains(&status) && status != 429
}

fn failed(status: u16) -> bool {
    in_answer(status) || status == 429 || (500..600).contains(&status)
}

fn in_answer(status: u16) -> bool {
    status == 200
}

/// What the one name means that Google's `ErrorInfo` has for a reason. It says more than the status beside it.
pub(super) fn of_reason(reason: &str) -> Option<Hint> {
    by_name(reason)
}

/// What an error means, where a row names it: by its code, its type, then its words.
pub(super) fn find(
    status: u16,
    code: Option<&str>,
    kind: Option<&str>,
    message: &str,
) -> Option<Hint> {
    let message = message.to_ascii_lowercase();
    let named = [code, kind].into_iter().flatten().find_map(by_name);
    match named {
        None | Some(Hint::RateLimited) if refused(status) && message.contains(NEVER_FITS) => {
            Some(Hint::ContextTooLong)
        }
        Some(hint) => Some(hint),
        None => by_words(status, &message)
            .or_else(|| by_number(status, code))
            .or_else(|| client_fault(status, [code, kind]))
            .or_else(|| server_fault(status, [code, kind])),
    }
}

fn client_fault(status: u16, names: [Option<&str>; 2]) -> Option<Hint> {
    (in_answer(status) && is_among(CLIENT_FAULTS, names)).then_some(Hint::InvalidRequest)
}

fn server_fault(status: u16, names: [Option<&str>; 2]) -> Option<Hint> {
    (status < 500 && is_among(SERVER_FAULTS, names)).then_some(Hint::ServerError)
}

fn is_among(rows: &[&str], names: [Option<&str>; 2]) -> bool {
    let mut names = names.into_iter().flatten();
    names.any(|name| rows.iter().any(|row| row.eq_ignore_ascii_case(name)))
}

fn by_name(name: &str) -> Option<Hint> {
    let row = NAMES.iter().find(|(row, _)| row.eq_ignore_ascii_case(name));
    row.map(|(_, hint)| *hint)
}

fn by_words(status: u16, message: &str) -> Option<Hint> {
    let row = WORDS
        .iter()
        .find(|row| (row.beside)(status) && message.contains(row.words));
    row.map(|row| row.hint)
}

/// Inside a 200 a number as code is the status that the answer would have had (OpenRouter docs).
fn by_number(status: u16, code: Option<&str>) -> Option<Hint> {
    if !in_answer(status) {
        return None;
    }
    match code?.parse::<u16>().ok()? {
        400 | 413 | 422 => Some(Hint::InvalidRequest),
        401 => Some(Hint::AuthRejected),
        402 => Some(Hint::QuotaExhausted),
        403 => Some(Hint::Forbidden),
        404 => Some(Hint::ModelUnavailable),
        429 => Some(Hint::RateLimited),
        503 | 529 => Some(Hint::Overloaded),
        500..=599 => Some(Hint::ServerError),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_asked_before_a_type_and_words_last() {
        let table = [
            (
                429,
                Some("insufficient_quota"),
                Some("insufficient_quota"),
                "",
                Some(Hint::QuotaExhausted),
            ),
            (
                429,
                Some("rate_limit_exceeded"),
                Some("tokens"),
                "Rate limit reached",
                Some(Hint::RateLimited),
            ),
            (
                401,
                Some("invalid_request_error"),
                Some("authentication_error"),
                "",
                Some(Hint::AuthRejected),
            ),
            (
                400,
                Some("string_above_max_length"),
                Some("invalid_request_error"),
                "too long",
                None,
            ),
            (
                400,
                Some("INVALID_API_KEY"),
                None,
                "",
                Some(Hint::AuthRejected),
            ),
            (
                400,
                None,
                None,
                "This model's maximum context length is 8 tokens",
                Some(Hint::ContextTooLong),
            ),
            (
                400,
                Some("model_not_found"),
                None,
                "maximum context length",
                Some(Hint::ModelUnavailable),
            ),
        ];
        for (status, code, kind, message, expected) in table {
            assert_eq!(
                find(status, code, kind, message),
                expected,
                "{code:?} {message}"
            );
        }
    }

    #[test]
    fn words_are_believed_beside_their_statuses_only() {
        let find = |status, message| find(status, None, None, message);
        assert_eq!(find(500, "the maximum context length table is gone"), None);
        let form = "Function calling with a response mime type: 'application/json' is unsupported";
        let extraneous = "Malformed input request: #: extraneous key [top_k] is not permitted";
        for words in [form, extraneous] {
            assert_eq!(
                find(400, words),
                Some(Hint::UnsupportedParameter),
                "{words}"
            );
            assert_eq!(find(500, words), None);
        }
        assert_eq!(
            find(400, "Too many tokens: limit exceeded"),
            Some(Hint::ContextTooLong)
        );
        assert_eq!(find(429, "Too many tokens, please wait"), None);
        assert_eq!(
            find(429, "You exceeded your current quota. Please retry in 26s"),
            None
        );
        assert_eq!(
            find(503, "The engine is currently overloaded"),
            Some(Hint::Overloaded)
        );
        assert_eq!(find(400, "operator is overloaded"), None);
        assert_eq!(find(200, "Rate limit reached"), Some(Hint::RateLimited));
        assert_eq!(find(500, ""), None);
    }

    #[test]
    fn a_servers_fault_leaves_the_verdict_to_a_status_that_says_more() {
        let find = |status, message| find(status, None, Some("server_error"), message);
        assert_eq!(find(503, ""), None);
        assert_eq!(find(500, ""), None);
        assert_eq!(
            find(500, "The server is overloaded"),
            Some(Hint::Overloaded)
        );
        assert_eq!(
            find(429, "That model is currently overloaded"),
            Some(Hint::Overloaded)
        );
        assert_eq!(find(200, ""), Some(Hint::ServerError));
    }

    #[test]
    fn a_response_may_fail_of_the_request() {
        let find = |code, message| find(200, Some(code), None, message);
        assert_eq!(find("invalid_prompt", "no"), Some(Hint::InvalidRequest));
        let flagged = "Your prompt was flagged as potentially violating our usage policy";
        assert_eq!(find("invalid_prompt", flagged), Some(Hint::ContentFiltered));
        assert_eq!(find("image_too_small", ""), Some(Hint::InvalidRequest));
        assert_eq!(find("vector_store_timeout", ""), None);
    }

    #[test]
    fn sellers_have_their_own_words_for_a_prompt_that_is_too_long() {
        let find = |message| find(400, None, Some("INVALID_ARGUMENT"), message);
        for words in [
            "Unable to submit request because the input token count is 1251952 but model only supports up to 1048576.",
            "This model's maximum prompt length is 131072 but the request contains 136973 tokens.",
        ] {
            assert_eq!(find(words), Some(Hint::ContextTooLong), "{words}");
        }
    }

    #[test]
    fn a_request_that_never_fits_is_no_rate_limit() {
        let message =
            "Request too large for gpt-4o on tokens per min (TPM): Limit 30000, Requested 30500";
        for status in [429, 413] {
            let found = find(status, Some("rate_limit_exceeded"), Some("tokens"), message);
            assert_eq!(found, Some(Hint::ContextTooLong));
        }
    }

    #[test]
    fn a_number_counts_inside_a_200_only() {
        assert_eq!(find(200, Some("429"), None, ""), Some(Hint::RateLimited));
        assert_eq!(find(200, Some("502"), None, ""), Some(Hint::ServerError));
        assert_eq!(find(400, Some("429"), None, ""), None);
        assert_eq!(find(200, Some("7"), None, ""), None);
    }

    #[test]
    fn rows_are_distinct_and_words_are_lower_case() {
        let mut names: Vec<_> = NAMES
            .iter()
            .map(|(name, _)| name.to_ascii_lowercase())
            .collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), NAMES.len());
        assert!(
            WORDS
                .iter()
                .all(|row| row.words == row.words.to_ascii_lowercase())
        );
    }
}
