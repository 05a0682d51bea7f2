//! Owns the facts of one provider and of its keys. Must never leave a credential as it is.

use super::fields::Fields;
use super::{Facts, Kind};
use crate::config::snapshot::{
    HealthCheck, PathPattern, Paths, Provider, TokenSource, UpstreamAuth, UpstreamTls,
};

// === impl Facts ===

impl Facts {
    pub(super) fn provider(&mut self, name: &str, provider: &Provider) {
        let Provider {
            dialects,
            base,
            paths:
                Paths {
                    path,
                    stream,
                    count_tokens,
                },
            anthropic_version,
            addresses,
            auth,
            keys,
            headers,
            tls,
            health_check,
            timeouts,
        } = provider;
        let UpstreamTls {
            ca_file,
            server_name,
            client,
        } = tls;
        let scheme = if base.tls { "https" } else { "http" };
        let mut fields = Fields::default()
            .list("dialects", dialects.iter().map(|dialect| dialect.as_str()))
            .plain(
                "base_url",
                format!("{scheme}://{}{}", base.authority(), base.path),
            )
            .optional("path", path.as_ref().map(PathPattern::as_str))
            .optional("stream_path", stream.as_ref().map(PathPattern::as_str))
            .optional(
                "count_tokens_path",
                count_tokens.as_ref().map(PathPattern::as_str),
            )
            .optional("anthropic_version", anthropic_version.as_ref())
            .list("addresses", addresses)
            .plain("auth", scheme_of(auth))
            .path("tls.ca_file", ca_file.as_deref())
            .optional("tls.server_name", server_name.as_ref())
            .path(
                "tls.client_cert_file",
                client.as_ref().map(|(file, _)| file.as_path()),
            )
            .path(
                "tls.client_key_file",
                client.as_ref().map(|(_, file)| file.as_path()),
            );
        fields = fields.timeouts(timeouts);
        if let Some(HealthCheck {
            path,
            interval,
            timeout,
        }) = health_check
        {
            fields = fields
                .optional("health_check.path", path.as_ref())
                .time("health_check.interval", *interval)
                .time("health_check.timeout", *timeout);
        }
        for (header, value) in headers {
            fields = fields.fact(&format!("headers.{header}"), self.digest(value.as_bytes()));
        }
        self.push(Kind::Provider, name, fields);
        for (key, secret) in keys {
            let fields = Fields::default().fact("value", self.secret(secret.as_ref()));
            self.push(Kind::ProviderKey, &format!("{name}/{key}"), fields);
        }
    }
}

fn scheme_of(auth: &UpstreamAuth) -> String {
    match auth {
        UpstreamAuth::Bearer => "bearer".to_owned(),
        UpstreamAuth::Header(name) => format!("header {name}"),
        UpstreamAuth::Query(name) => format!("query {name}"),
        UpstreamAuth::SigV4(signing) => format!("sigv4 {}", signing.region),
        UpstreamAuth::Google(TokenSource::ServiceAccount(account)) => {
            let key = account.key_id.as_deref().unwrap_or("unnamed");
            format!("google {}, key {key}, {}", account.email, account.token_uri)
        }
        UpstreamAuth::Google(TokenSource::Metadata(server)) => format!("google {server}"),
        UpstreamAuth::None => "none".to_owned(),
    }
}
