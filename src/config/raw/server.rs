//! Owns the shape of `server`.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

use crate::config::scalar::{Count, List, Size, Span, Text};
use crate::config::secret::Secret;

/// Only this machine can reach it until the operator says otherwise.
const LISTEN: &str = "127.0.0.1:8080";
const ADMIN_LISTEN: &str = "127.0.0.1:8081";
/// Room for a long conversation with images; larger parses would hold up a worker.
const MAX_BODY: u64 = 32 << 20;
const MAX_INFLIGHT_BYTES: u64 = 1 << 30;
/// nginx's usual order of size: with two descriptors a stream it fits the 65536 that containers allow.
const MAX_CONNECTIONS: u64 = 20_000;
/// nginx's default `keepalive_timeout`.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// Half a minute more than the longest answer most clients wait for.
const DRAIN: Duration = Duration::from_secs(330);

/// Listeners and limits of the process.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map of server settings")]
pub(in crate::config) struct Server {
    /// Where clients connect. Default `[127.0.0.1:8080]`.
    pub(in crate::config) listen: List<Listen>,
    /// The operator's port.
    pub(in crate::config) admin: Admin,
    /// Worker threads. Default 0 = one per core; at most 1024.
    pub(in crate::config) threads: Count,
    /// Bytes of a request body, larger ones get 413. Default 32MiB; at least 1, at most `max_inflight_bytes`.
    pub(in crate::config) max_body: Size,
    /// Bytes of all request bodies held at once, beyond it requests get 503. Default 1GiB.
    pub(in crate::config) max_inflight_bytes: Size,
    /// Connections of clients, over all listeners; further ones are closed at once. Default 20000; at least 1.
    pub(in crate::config) max_connections: Count,
    /// The longest a connection may go without a whole request head: new, idle, or slow. Default 75s; more than 0s.
    pub(in crate::config) idle_timeout: Span,
    /// The longest a client may take to send its body. Default 30s; more than 0s.
    pub(in crate::config) body_timeout: Span,
    /// The longest wait for open exchanges at shutdown; shorter when none is left. Default 330s.
    pub(in crate::config) drain: Span,
    /// A Unix socket's path, where `run --upgrade` takes over from the process that serves. Absent = it cannot.
    pub(in crate::config) upgrade_socket: Option<Text>,
    /// Addresses and networks whose `X-Forwarded-For` is believed. Default none.
    pub(in crate::config) trusted_proxies: List<Text>,
    /// Which web pages may call.
    pub(in crate::config) cors: Cors,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: List(vec![Listen(Listener::plain(LISTEN))]),
            admin: Admin::default(),
            threads: Count(0),
            max_body: Size(MAX_BODY),
            max_inflight_bytes: Size(MAX_INFLIGHT_BYTES),
            max_connections: Count(MAX_CONNECTIONS),
            idle_timeout: Span(IDLE_TIMEOUT),
            body_timeout: Span(BODY_TIMEOUT),
            drain: Span(DRAIN),
            upgrade_socket: None,
            trusted_proxies: List::default(),
            cors: Cors::default(),
        }
    }
}

/// Cross-origin calls from browsers.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map of CORS settings")]
pub(in crate::config) struct Cors {
    /// `https://app.example.com`, `https://*.example.com`, or `*` for every page. Default none.
    pub(in crate::config) origins: List<Text>,
}

/// The operator's port.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map of admin settings")]
pub(in crate::config) struct Admin {
    /// `address:port`. Default 127.0.0.1:8081; elsewhere than loopback a token is required.
    pub(in crate::config) listen: Address,
    /// What operators send as `Authorization: Bearer TOKEN`. Absent or empty = no token is asked for.
    pub(in crate::config) token: Option<Secret>,
    /// A file that holds the token instead. Read again on a reload.
    pub(in crate::config) token_file: Option<Text>,
    /// What Prometheus sends for `/metrics`; the operators' token serves too. Absent or empty = none is asked for.
    pub(in crate::config) metrics_token: Option<Secret>,
    /// A file that holds the metrics' token instead. Read again on a reload.
    pub(in crate::config) metrics_token_file: Option<Text>,
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            listen: Address(ADMIN_LISTEN.to_owned()),
            token: None,
            token_file: None,
            metrics_token: None,
            metrics_token_file: None,
        }
    }
}

/// A listener as a map, or as its address alone.
#[derive(Debug)]
pub(in crate::config) struct Listen(pub(in crate::config) Listener);

/// Where clients connect, and how.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Listener {
    /// `address:port`; port 0 = any free one. Required.
    pub(in crate::config) address: Option<Address>,
    /// Absent = none: h1 and h2c on one port. With TLS the client chooses between h1 and h2.
    pub(in crate::config) tls: Option<ListenerTls>,
}

impl Listener {
    fn plain(address: &str) -> Self {
        Self {
            address: Some(Address(address.to_owned())),
            tls: None,
        }
    }
}

/// What a listener shows its clients, and what it asks of them.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map of TLS settings")]
#[expect(
    clippy::struct_field_names,
    reason = "the names are the configuration's own"
)]
pub(in crate::config) struct ListenerTls {
    /// PEM file of the certificate and what links it to its authority. Required; read again on a reload.
    pub(in crate::config) cert_file: Option<Text>,
    /// PEM file of its private key. Required; read again on a reload.
    pub(in crate::config) key_file: Option<Text>,
    /// PEM file of the authorities that clients' certificates must come from. Absent = none is asked for.
    pub(in crate::config) client_ca_file: Option<Text>,
}

/// An address as written.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::config) struct Address(pub(in crate::config) String);

const ADDRESS: &str = "an address and port such as 127.0.0.1:8080";

impl JsonSchema for Address {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Address".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "examples": ["127.0.0.1:8080"] })
    }
}

impl JsonSchema for Listen {
    fn schema_name() -> Cow<'static, str> {
        "Listen".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (address, listener) = (
            generator.subschema_for::<Address>(),
            generator.subschema_for::<Listener>(),
        );
        json_schema!({ "anyOf": [address, listener] })
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AddressVisitor)
    }
}

struct AddressVisitor;

impl Visitor<'_> for AddressVisitor {
    type Value = Address;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(ADDRESS)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Address, E> {
        Ok(Address(value.trim().to_owned()))
    }
}

impl<'de> Deserialize<'de> for Listen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ListenVisitor)
    }
}

struct ListenVisitor;

impl<'de> Visitor<'de> for ListenVisitor {
    type Value = Listen;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(ADDRESS)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Listen, E> {
        Ok(Listen(Listener::plain(value.trim())))
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<Listen, A::Error> {
        Listener::deserialize(MapAccessDeserializer::new(access)).map(Listen)
    }
}
