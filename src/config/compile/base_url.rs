//! Owns the rules of `base_url`, and of other roots that requests are sent to. Must never quote one: it may hold a password.

use std::net::IpAddr;

use url::Url;

use crate::config::report::Report;
use crate::config::scalar::Text;
use crate::config::snapshot::BaseUrl;
use crate::config::trail::Trail;

pub(super) fn compile(
    written: Option<&Text>,
    at: &Trail,
    report: &mut Report<'_>,
) -> Option<BaseUrl> {
    let Some(written) = written else {
        report.error(at, "the provider has no `base_url`");
        return None;
    };
    let root = Root {
        name: "a base URL",
        example: "write the API root, such as https://api.openai.com/v1",
        credential: "use `keys`",
    };
    root.read(written, at, report)
}

/// The root of a collector of traces.
pub(super) fn of_collector(written: &Text, at: &Trail, report: &mut Report<'_>) -> Option<BaseUrl> {
    let root = Root {
        name: "a collector's URL",
        example: "write its root, such as http://127.0.0.1:4318",
        credential: "set OTEL_EXPORTER_OTLP_HEADERS",
    };
    root.read(written, at, report)
}

/// Where access tokens are given.
pub(super) fn of_tokens(written: &Text, at: &Trail, report: &mut Report<'_>) -> Option<BaseUrl> {
    let root = Root {
        name: "the URL of a token's source",
        example: "such as https://oauth2.googleapis.com/token or http://metadata.google.internal",
        credential: "tokens are given for `credentials`",
    };
    root.read(written, at, report)
}

/// What a URL is for, in the words of findings.
struct Root {
    name: &'static str,
    example: &'static str,
    /// Where a credential belongs.
    credential: &'static str,
}

impl Root {
    fn read(&self, written: &Text, at: &Trail, report: &mut Report<'_>) -> Option<BaseUrl> {
        if written.0.contains('@') {
            report.hide(at);
        }
        let url = match Url::parse(&written.0) {
            Ok(url) => url,
            Err(error) => {
                report.error_with(at, format!("not a URL: {error}"), self.example.to_owned());
                return None;
            }
        };
        if let Some(message) = self.objection(&url) {
            report.error(at, message);
            return None;
        }
        taken_apart(&url)
    }

    fn objection(&self, url: &Url) -> Option<String> {
        let Self {
            name, credential, ..
        } = self;
        let has_user = !url.username().is_empty() || url.password().is_some();
        let has_tail = url.query().is_some() || url.fragment().is_some();
        match url.scheme() {
            "http" | "https" if has_user => {
                Some(format!("{name} may hold no user or password; {credential}"))
            }
            "http" | "https" if has_tail => Some(format!("{name} may hold no `?` or `#`")),
            "http" | "https" if url.port() == Some(0) => {
                Some(format!("{name}'s port may not be 0"))
            }
            "http" | "https" => None,
            _ => Some(format!("{name} begins with http:// or https://")),
        }
    }
}

fn taken_apart(url: &Url) -> Option<BaseUrl> {
    let host = url.host_str()?;
    Some(BaseUrl {
        tls: url.scheme() == "https",
        host: host.trim_matches(['[', ']']).to_owned(),
        port: url.port_or_known_default()?,
        path: url.path().trim_end_matches('/').to_owned(),
    })
}

pub(super) fn is_ip(host: &str) -> bool {
    host.parse::<IpAddr>().is_ok()
}
