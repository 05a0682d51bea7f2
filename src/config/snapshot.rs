//! Owns the validated configuration: everything resolved, nothing optional that has a default.
//! Must never be changed after `compile` made it, and never print a secret.

mod paths;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::config::secret::Secret;
use crate::core::catalog::{Catalog, EndpointIx, ModelIx};
use crate::core::health::{BudgetSettings, HealthSettings};
use crate::core::names::{CallerName, KeyName, PolicyName, ProviderName};
use crate::core::policy::Policy;
use crate::core::timeouts::TimeoutSettings;
use crate::wire::dialects::Dialect;

pub use paths::{PathPattern, Paths};

/// The validated configuration of one generation.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    pub server: Server,
    /// Empty: anyone who reaches the listener may call.
    pub callers: Vec<Caller>,
    pub providers: HashMap<ProviderName, Provider>,
    pub catalog: Catalog,
    pub well_known: WellKnown,
    /// The longest pattern first.
    pub routes: Vec<Route>,
    /// Always holds `default`.
    pub policies: HashMap<PolicyName, Arc<Policy>>,
    pub health: HealthSettings,
    pub retry_budget: BudgetSettings,
    pub store: Store,
    pub telemetry: Telemetry,
}

impl Snapshot {
    /// The policy that nothing more specific replaces.
    pub const DEFAULT_POLICY: &'static str = "default";

    /// Every certificate and key that it names, unread, in an order that does not change by itself.
    pub(super) fn certificates(&self) -> Vec<NamedFile> {
        let mut providers: Vec<_> = self.providers.iter().collect();
        providers.sort_by_key(|(name, _)| *name);
        let upstream = providers
            .into_iter()
            .flat_map(|(_, provider)| provider.tls.files());
        let listeners = self.server.listen.iter();
        let downstream = listeners.filter_map(|listener| listener.tls.as_ref());
        let files = downstream.flat_map(ListenerTls::files).chain(upstream);
        files
            .map(|path| NamedFile {
                path: path.clone(),
                holds: Holds::Certificate,
                digest: None,
            })
            .collect()
    }
}

/// What the file does not say and the catalogue of well-known models filled in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WellKnown {
    /// The endpoints whose price it is.
    pub prices: HashSet<EndpointIx>,
    /// The models, each with the names of its settings.
    pub models: HashMap<ModelIx, Vec<&'static str>>,
}

/// A file that a configuration names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedFile {
    pub path: PathBuf,
    pub holds: Holds,
    /// SHA-256 of what was read; `None` where it was not, or could not be.
    pub digest: Option<[u8; 32]>,
}

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// A certificate or its key, read when a generation is built.
    Certificate,
    /// A credential, read with the configuration.
    Credential,
    /// What is known of models, read with the configuration.
    Catalogue,
}

/// The listeners and limits of the process. Only limits and certificates change on a reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    pub listen: Vec<Listener>,
    pub admin: Admin,
    /// Worker threads; 0 = one a core.
    pub threads: usize,
    /// Bytes of a request body.
    pub max_body: u64,
    /// Bytes of all request bodies held at once.
    pub max_inflight_bytes: u64,
    /// Connections of clients, over all listeners.
    pub max_connections: usize,
    /// The longest a connection may go without a whole request head.
    pub idle_timeout: Duration,
    /// The longest a client may take to send its body.
    pub body_timeout: Duration,
    /// The longest wait for open exchanges at shutdown.
    pub drain: Duration,
    /// Where a process meets its successor: a Unix socket.
    pub upgrade_socket: Option<PathBuf>,
    /// Whose `X-Forwarded-For` is believed. IPv4 networks are never written as IPv6 ones.
    pub trusted_proxies: Vec<IpNet>,
    pub cors: Cors,
}

/// Which web pages may call from a browser.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Cors {
    /// None: no answer speaks of origins.
    #[default]
    Off,
    Any,
    /// At least one.
    Only(Vec<OriginPattern>),
}

/// Whom an answer is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OriginPattern {
    /// As browsers write it.
    Exact(String),
    /// Every sub-domain: what stands before its label (`https://`), and what follows it (`.example.com`).
    Subdomains { before: String, after: String },
}

impl fmt::Display for OriginPattern {
    /// As the file writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(exact) => f.write_str(exact),
            Self::Subdomains { before, after } => write!(f, "{before}*{after}"),
        }
    }
}

impl OriginPattern {
    /// Whether an `Origin` header names such a page.
    pub fn matches(&self, origin: &str) -> bool {
        match self {
            Self::Exact(exact) => origin == exact,
            Self::Subdomains { before, after } => {
                let rest = origin.strip_prefix(before.as_str());
                let labels = rest.and_then(|rest| rest.strip_suffix(after.as_str()));
                let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
                labels.is_some_and(|name| !name.is_empty() && name.bytes().all(is_name))
            }
        }
    }
}

/// Where clients connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    pub address: SocketAddr,
    pub tls: Option<ListenerTls>,
}

/// The PEM files of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerTls {
    pub cert_file: PathBuf,
    pub key_file: PathBuf,
    /// The authorities of clients' certificates; `None` = none is asked for.
    pub client_ca_file: Option<PathBuf>,
}

impl ListenerTls {
    fn files(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.cert_file, &self.key_file]
            .into_iter()
            .chain(&self.client_ca_file)
    }
}

/// The operator's port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    pub listen: SocketAddr,
    pub token: Option<Secret>,
    /// What `/metrics` takes beside it; `None` = it is open.
    pub metrics_token: Option<Secret>,
}

/// A downstream key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    pub name: CallerName,
    pub key: Secret,
    /// Patterns of models it may ask for (a name, or a prefix that ends in `*`); empty = all.
    pub models: Vec<String>,
    pub policy: Option<PolicyName>,
}

impl Caller {
    /// Whether the caller may ask for the model of this name, which of a wildcard is the name asked for.
    pub fn may_use(&self, model: &str) -> bool {
        self.models.is_empty()
            || self
                .models
                .iter()
                .any(|pattern| match pattern.strip_suffix('*') {
                    Some(prefix) => model.starts_with(prefix),
                    None => model == pattern,
                })
    }
}

impl Caller {
    /// Whether no model is kept from the caller, by whatever name.
    pub fn may_use_all(&self) -> bool {
        self.models.is_empty() || self.models.iter().any(|pattern| pattern == "*")
    }
}

/// A seller or server of models.
#[derive(Clone, PartialEq, Eq)]
pub struct Provider {
    /// What it speaks, the preferred first; at least one.
    pub dialects: Vec<Dialect>,
    pub base: BaseUrl,
    /// What stands after the root, where that is not as the dialects have it.
    pub paths: Paths,
    /// Requests in Anthropic's dialect name this version in their body, and their model in the path alone.
    pub anthropic_version: Option<String>,
    /// Where its servers are; empty: where DNS says.
    pub addresses: Vec<SocketAddr>,
    pub health_check: Option<HealthCheck>,
    /// As written; routes take them from here, an endpoint has its own copy.
    pub timeouts: TimeoutSettings,
    pub auth: UpstreamAuth,
    /// At least one; a provider without credentials has one that is `None`.
    pub keys: Vec<(KeyName, Option<Secret>)>,
    /// Sent with every request.
    pub headers: Vec<(String, String)>,
    pub tls: UpstreamTls,
}

impl fmt::Debug for Provider {
    /// Leaves the values of headers out: they may be credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Provider")
            .field("dialects", &self.dialects)
            .field("base", &self.base)
            .field("paths", &self.paths)
            .field("anthropic_version", &self.anthropic_version)
            .field("addresses", &self.addresses)
            .field("health_check", &self.health_check)
            .field("timeouts", &self.timeouts)
            .field("auth", &self.auth)
            .field("keys", &self.keys)
            .field("headers", &names)
            .field("tls", &self.tls)
            .finish()
    }
}

/// How a provider's servers are asked whether they live. It costs no tokens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HealthCheck {
    /// Of the server, not below the API root; `None`: it only has to accept a connection.
    pub path: Option<String>,
    /// From the end of one check to the next.
    pub interval: Duration,
    /// The longest one check may take.
    pub timeout: Duration,
}

/// An API root, taken apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BaseUrl {
    pub tls: bool,
    /// A name or an IP address, without brackets.
    pub host: String,
    pub port: u16,
    /// Begins with `/` unless empty; never ends with one.
    pub path: String,
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.path)
    }
}

impl BaseUrl {
    /// The value of the `Host` header: the port only where it is not the scheme's own.
    pub fn authority(&self) -> String {
        let host = match self.host.contains(':') {
            true => format!("[{}]", self.host),
            false => self.host.clone(),
        };
        match (self.tls, self.port) {
            (true, 443) | (false, 80) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }
}

/// Requests that are passed on as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    pub path: RoutePath,
    /// Those who may take them; at least one.
    pub providers: Vec<ProviderName>,
    /// The provider's first key takes them all.
    pub pin: bool,
}

/// An exact path, or a prefix that ends in `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoutePath(String);

impl RoutePath {
    /// Takes a pattern as it is written.
    pub fn new(pattern: &str) -> Self {
        Self(pattern.to_owned())
    }

    /// The pattern as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Bytes that a path must begin with or be.
    pub fn len(&self) -> usize {
        self.literal().len()
    }

    /// Whether every path matches.
    pub fn is_empty(&self) -> bool {
        self.literal().is_empty()
    }

    pub fn is_prefix(&self) -> bool {
        self.0.ends_with('*')
    }

    pub fn matches(&self, path: &str) -> bool {
        match self.is_prefix() {
            true => path.starts_with(self.literal()),
            false => path == self.0,
        }
    }

    fn literal(&self) -> &str {
        self.0.strip_suffix('*').unwrap_or(&self.0)
    }
}

/// How a request proves who pays for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpstreamAuth {
    /// `Authorization: Bearer KEY`.
    Bearer,
    /// `NAME: KEY`.
    Header(String),
    /// `?NAME=KEY`.
    Query(String),
    /// AWS's signature; the provider's one key is the secret.
    SigV4(Signing),
    /// `Authorization: Bearer TOKEN`, with tokens that are fetched; the provider's one key is the service account's, in PEM.
    Google(TokenSource),
    None,
}

/// Who gives access tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenSource {
    ServiceAccount(ServiceAccount),
    /// The metadata server of Google's cloud.
    Metadata(BaseUrl),
}

/// A service account, beside its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceAccount {
    pub email: String,
    /// The key's name at Google.
    pub key_id: Option<String>,
    /// Where tokens are given for its signature.
    pub token_uri: BaseUrl,
}

/// What requests to AWS are signed with, beside the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signing {
    pub access_key_id: Secret,
    /// Of a session that ends; `None`: the key is permanent.
    pub session_token: Option<Secret>,
    /// AWS's own name of it.
    pub region: String,
}

/// What an upstream's certificate is checked against.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpstreamTls {
    /// PEM file of the only authorities to trust; `None` = the system's.
    pub ca_file: Option<PathBuf>,
    /// The name to ask for and to check; `None` = the base URL's host.
    pub server_name: Option<String>,
    /// PEM files of the certificate that it is shown, and of its key.
    pub client: Option<(PathBuf, PathBuf)>,
}

impl UpstreamTls {
    fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let client = self
            .client
            .iter()
            .flat_map(|(certificate, key)| [certificate, key]);
        self.ca_file.iter().chain(client)
    }
}

/// What outlives the process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Store {
    /// The file that health goes to; `None`: it ends with the process.
    pub health: Option<PathBuf>,
}

/// What is told about the traffic.
#[derive(Clone, Debug, PartialEq)]
pub struct Telemetry {
    pub access_log: AccessLog,
    /// Exchanges that operators can look at; 0 = none.
    pub requests: usize,
    /// The root of the collector that gets traces; `None`: nobody does.
    pub otlp: Option<BaseUrl>,
    /// The part of the traces that begin here that is recorded, 0 to 1.
    pub trace_ratio: f64,
}

/// Where the one line of each exchange goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AccessLog {
    /// One JSON object a line.
    #[default]
    Json,
    Off,
}
