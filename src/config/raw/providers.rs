//! Owns the shape of `providers` and of `timeouts`, wherever those stand.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::scalar::{Flag, List, Named, Span, Text};
use crate::config::secret::Secret;

/// What nobody has excluded.
pub(super) const DATA_COLLECTION: &str = "allow";
/// The documentation's example (surface); twice the time to notice a server that has died.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// A server that needs longer to say that it lives has no time for work either.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);
/// The name of a provider's only key.
const KEY_NAME: &str = "default";

/// A seller or server of models.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map of provider settings")]
pub(in crate::config) struct Provider {
    /// A well-known provider or server, whose settings are those that are not written here: `mainstay models --presets`
    /// lists them. Absent = none.
    pub(in crate::config) preset: Option<Text>,
    /// What it speaks, the preferred first: `openai`, `openai-responses`, `anthropic`, `gemini`, `bedrock`, `cohere`. A request
    /// in one of them passes through untouched, others are translated to the first. Absent = the preset's, else `[openai]`.
    pub(in crate::config) dialects: Option<List<Text>>,
    /// The API root as the provider's documentation gives it, version included. Required unless the preset has one; http or
    /// https.
    pub(in crate::config) base_url: Option<Text>,
    /// Where its servers are, `ip:port` each. Default: where DNS says that the host of `base_url` is.
    pub(in crate::config) addresses: List<Text>,
    /// How its servers are asked whether they live. Default: they are not.
    pub(in crate::config) health_check: Option<HealthCheck>,
    /// What stands after the root where that is not as the dialect has it: `{model}` is the provider's name of the model,
    /// `{operation}` the dialect's own path, `{api_version}` that setting. Absent = the preset's, else the dialect's own.
    pub(in crate::config) path: Option<Text>,
    /// The same for streams. Absent = the preset's, else `path`.
    pub(in crate::config) stream_path: Option<Text>,
    /// The same for the counting of tokens. Absent = the preset's, else `path` where that names the `{operation}`.
    pub(in crate::config) count_tokens_path: Option<Text>,
    /// The version that `path` names. Absent = the preset's.
    pub(in crate::config) api_version: Option<Text>,
    /// The project that `path` names. Absent = the service account's.
    pub(in crate::config) project: Option<Text>,
    /// Of requests in Anthropic's dialect: the `anthropic_version` that their body names. The model then stands in `path` alone.
    /// Absent = the preset's, else the body names the model and no version.
    pub(in crate::config) anthropic_version: Option<Text>,
    /// How a request proves who pays: `bearer`, `header NAME`, `query NAME`, `sigv4` (AWS, with `credentials` and `region`), `google`
    /// (access tokens of a service account) or `none`. Absent = what `credentials` are for, else the preset's, else bearer.
    pub(in crate::config) auth: Option<Text>,
    /// Those of AWS or Google, in the place of `keys`. Absent = none; for Google the file that GOOGLE_APPLICATION_CREDENTIALS
    /// names, else the metadata server.
    pub(in crate::config) credentials: Option<Credentials>,
    /// Credentials, each its own unit of health. At least one unless `auth` is none.
    pub(in crate::config) keys: List<ProviderKey>,
    /// Where it runs, in words of your own. Absent = unknown.
    pub(in crate::config) region: Option<Text>,
    /// Whether it may keep or learn from what it is sent: `allow` or `deny`. Default allow.
    pub(in crate::config) data_collection: Text,
    /// It keeps nothing after the answer. Default false.
    pub(in crate::config) zdr: Flag,
    /// Deadlines of its attempts; a policy's win, field by field.
    pub(in crate::config) timeouts: Timeouts,
    /// Sent with every request. Default none. Values may be credentials.
    pub(in crate::config) headers: Named<Secret>,
    /// What its certificate is checked against, and what it is shown.
    pub(in crate::config) tls: Tls,
}

impl Default for Provider {
    fn default() -> Self {
        Self {
            preset: None,
            dialects: None,
            base_url: None,
            addresses: List::default(),
            health_check: None,
            path: None,
            stream_path: None,
            count_tokens_path: None,
            api_version: None,
            project: None,
            anthropic_version: None,
            auth: None,
            credentials: None,
            keys: List::default(),
            region: None,
            data_collection: Text(DATA_COLLECTION.to_owned()),
            zdr: Flag(false),
            timeouts: Timeouts::default(),
            headers: Named::default(),
            tls: Tls::default(),
        }
    }
}

/// How a provider's servers are asked whether they live.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(
    default,
    deny_unknown_fields,
    expecting = "a map with `path` and `interval`"
)]
pub(in crate::config) struct HealthCheck {
    /// A path of the server that answers 2xx while it can work. Absent = it only has to accept a connection.
    pub(in crate::config) path: Option<Text>,
    /// From the end of one check to the next. Default 5s; at least 100ms.
    pub(in crate::config) interval: Span,
    /// The longest one check may take. Default 2s; more than 0s.
    pub(in crate::config) timeout: Span,
}

impl Default for HealthCheck {
    fn default() -> Self {
        Self {
            path: None,
            interval: Span(CHECK_INTERVAL),
            timeout: Span(CHECK_TIMEOUT),
        }
    }
}

/// What requests to AWS are signed with, or what Google gives access tokens for.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(
    default,
    deny_unknown_fields,
    expecting = "a map with `access_key_id` and `secret_access_key`, or with `service_account_file`"
)]
pub(in crate::config) struct Credentials {
    /// AWS: the key's public half. Required there.
    pub(in crate::config) access_key_id: Option<Secret>,
    /// Its secret half. This or `secret_access_key_file` is required; not empty.
    pub(in crate::config) secret_access_key: Option<Secret>,
    /// A file that holds the secret half instead. Read again on a reload.
    pub(in crate::config) secret_access_key_file: Option<Text>,
    /// Of a session that ends. Absent = the key is permanent.
    pub(in crate::config) session_token: Option<Secret>,
    /// A file that holds the session's token instead. Read again on a reload.
    pub(in crate::config) session_token_file: Option<Text>,
    /// Google: the key file of a service account, its JSON as it is.
    pub(in crate::config) service_account: Option<Secret>,
    /// The file itself instead. Read again on a reload.
    pub(in crate::config) service_account_file: Option<Text>,
    /// Google: the server that gives tokens to what runs in its cloud, in the place of a service account. Absent where there is
    /// none: `http://metadata.google.internal`.
    pub(in crate::config) metadata_server: Option<Text>,
}

/// A credential of a provider.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(
    default,
    deny_unknown_fields,
    expecting = "a map with `value` or `value_file`"
)]
pub(in crate::config) struct ProviderKey {
    /// Part of the endpoint's id. Default `default`; unique in its provider.
    pub(in crate::config) name: Text,
    /// The credential itself. This or `value_file` is required; not empty.
    pub(in crate::config) value: Option<Secret>,
    /// A file that holds the credential instead. Read again on a reload.
    pub(in crate::config) value_file: Option<Text>,
}

impl Default for ProviderKey {
    fn default() -> Self {
        Self {
            name: Text(KEY_NAME.to_owned()),
            value: None,
            value_file: None,
        }
    }
}

/// Deadlines of an attempt. Absent = the next level's: policy, provider, built-in.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map of timeouts")]
pub(in crate::config) struct Timeouts {
    /// DNS, TCP and TLS together. Built-in 2s.
    pub(in crate::config) connect: Option<Span>,
    /// Request sent to the first content of a stream. Built-in: learnt.
    pub(in crate::config) first_token: Option<Span>,
    /// Request sent to the last byte of an answer that is no stream. Built-in 120s.
    pub(in crate::config) answer: Option<Span>,
    /// Silence between two pieces of content. Built-in 20s.
    pub(in crate::config) idle: Option<Span>,
    /// The whole exchange. Built-in 10m.
    pub(in crate::config) total: Option<Span>,
}

/// What an upstream's certificate is checked against, and what it is shown.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map of TLS settings")]
pub(in crate::config) struct Tls {
    /// PEM file of the only authorities to trust. Absent = the system's.
    pub(in crate::config) ca_file: Option<Text>,
    /// The name to ask for and to check. Absent = the host of `base_url`, which then must be a name.
    pub(in crate::config) server_name: Option<Text>,
    /// PEM file of the certificate that it is shown. Absent = none; needs `client_key_file`.
    pub(in crate::config) client_cert_file: Option<Text>,
    /// PEM file of that certificate's private key.
    pub(in crate::config) client_key_file: Option<Text>,
}
