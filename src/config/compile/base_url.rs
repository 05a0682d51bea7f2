//! Owns the rules of `base_url`. Must never quote one: it may hold a password.

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
    if written.0.contains('@') {
        report.hide(at);
    }
    let url = match Url::parse(&written.0) {
        Ok(url) => url,
        Err(error) => {
            let hint = "write the API root, such as https://api.openai.com/v1".to_owned();
            report.error_with(at, format!("not a URL: {error}"), hint);
            return None;
        }
    };
    if let Some(message) = objection(&url) {
        report.error(at, message);
        return None;
    }
    taken_apart(&url)
}

fn objection(url: &Url) -> Option<&'static str> {
    let has_user = !url.username().is_empty() || url.password().is_some();
    let has_tail = url.query().is_some() || url.fragment().is_some();
    match url.scheme() {
        "http" | "https" if has_user => Some("a base URL may hold no user or password; use `keys`"),
        "http" | "https" if has_tail => Some("a base URL may hold no `?` or `#`"),
        "http" | "https" if url.port() == Some(0) => Some("a base URL's port may not be 0"),
        "http" | "https" => None,
        _ => Some("a base URL begins with http:// or https://"),
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
