//! Owns the configurations of the tests, put together field by field. Must never name a fixed port.

use std::net::SocketAddr;

use crate::harness::{Proxy, provider_key};

/// A configuration, put together line by line. Its default policy takes endpoints as listed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Config {
    server: Vec<String>,
    admin: Vec<String>,
    providers: Vec<String>,
    models: Vec<String>,
    policy: Vec<String>,
    policies: Vec<String>,
    top: Vec<String>,
}

impl Config {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A field of `server`.
    pub(crate) fn server(mut self, field: &str) -> Self {
        self.server.push(field.to_owned());
        self
    }

    /// A field of `server.admin`.
    pub(crate) fn admin(mut self, field: &str) -> Self {
        self.admin.push(field.to_owned());
        self
    }

    /// A provider at an address, with one key.
    pub(crate) fn provider(self, name: &str, at: SocketAddr) -> Self {
        let key = provider_key(name);
        self.provider_with(name, at, &format!("keys: [{{ value: {key} }}]"))
    }

    /// A provider at an address, with further fields.
    pub(crate) fn provider_with(self, name: &str, at: SocketAddr, fields: &str) -> Self {
        self.raw_provider(
            name,
            &format!("dialects: [openai], base_url: \"http://{at}/v1\", {fields}"),
        )
    }

    pub(crate) fn raw_provider(mut self, name: &str, fields: &str) -> Self {
        self.providers.push(format!("{name}: {{ {fields} }}"));
        self
    }

    /// A model that these providers serve.
    pub(crate) fn model(self, name: &str, providers: &[&str]) -> Self {
        self.model_with(name, providers, "")
    }

    /// A model with further fields.
    pub(crate) fn model_with(mut self, name: &str, providers: &[&str], fields: &str) -> Self {
        let endpoints: Vec<String> = providers
            .iter()
            .map(|provider| format!("{{ provider: {provider} }}"))
            .collect();
        let endpoints = endpoints.join(", ");
        self.models
            .push(format!("{name}: {{ endpoints: [{endpoints}], {fields} }}"));
        self
    }

    /// A model by all its fields.
    pub(crate) fn raw_model(mut self, name: &str, fields: &str) -> Self {
        self.models.push(format!("{name}: {{ {fields} }}"));
        self
    }

    /// A field of the default policy.
    pub(crate) fn policy(mut self, field: &str) -> Self {
        self.policy.push(field.to_owned());
        self
    }

    /// A further policy.
    pub(crate) fn policy_named(mut self, name: &str, fields: &str) -> Self {
        self.policies.push(format!("{name}: {{ {fields} }}"));
        self
    }

    /// A line at the top.
    pub(crate) fn top(mut self, line: &str) -> Self {
        self.top.push(line.to_owned());
        self
    }

    pub(crate) fn text(&self) -> String {
        let join = |fields: &[String]| fields.join(", ");
        let lines = |entries: &[String]| entries.join("\n  ");
        format!(
            "server: {{ listen: [127.0.0.1:0], admin: {{ listen: 127.0.0.1:0, {} }}, {} }}\n\
             policies:\n  default: {{ sort: ordered, {} }}\n  {}\n\
             providers:\n  {}\nmodels:\n  {}\n{}\n",
            join(&self.admin),
            join(&self.server),
            join(&self.policy),
            lines(&self.policies),
            lines(&self.providers),
            lines(&self.models),
            self.top.join("\n"),
        )
    }

    pub(crate) fn start(&self) -> Proxy {
        Proxy::start(&self.text())
    }
}
