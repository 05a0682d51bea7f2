//! Owns the names of attributes: those of the GenAI, HTTP and server conventions
//! (<https://github.com/open-telemetry/semantic-conventions-genai>, 2026-11), and our own below `mainstay.`. Must never name
//! one that holds content.

pub(super) const OPERATION: &str = "gen_ai.operation.name";
pub(super) const PROVIDER: &str = "gen_ai.provider.name";
pub(super) const REQUEST_MODEL: &str = "gen_ai.request.model";
pub(super) const RESPONSE_MODEL: &str = "gen_ai.response.model";
pub(super) const INPUT_TOKENS: &str = "gen_ai.usage.input_tokens";
pub(super) const OUTPUT_TOKENS: &str = "gen_ai.usage.output_tokens";
pub(super) const ERROR_TYPE: &str = "error.type";
pub(super) const STATUS: &str = "http.response.status_code";
pub(super) const PATH: &str = "url.path";
pub(super) const CLIENT_ADDRESS: &str = "client.address";
pub(super) const SERVER_ADDRESS: &str = "server.address";
pub(super) const SERVER_PORT: &str = "server.port";

pub(super) const REQUEST_ID: &str = "mainstay.request_id";
pub(super) const KEY: &str = "mainstay.key";
pub(super) const ENDPOINT: &str = "mainstay.endpoint";
pub(super) const RESULT: &str = "mainstay.result";
pub(super) const ATTEMPTS: &str = "mainstay.attempts";
pub(super) const RECOVERY: &str = "mainstay.recovery_ms";
pub(super) const FALLBACK: &str = "mainstay.fallback";
pub(super) const DRIFT: &str = "mainstay.drift";
pub(super) const FIRST_TOKEN: &str = "mainstay.first_token_ms";
pub(super) const COST: &str = "mainstay.cost_usd";
pub(super) const WASTED: &str = "mainstay.wasted_usd";
pub(super) const OUTCOME: &str = "mainstay.outcome";
pub(super) const PROBE: &str = "mainstay.probe";
