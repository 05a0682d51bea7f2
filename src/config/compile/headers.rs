//! Owns which headers an operator may add to upstream requests. Must never quote a value.

use http::{HeaderName, HeaderValue};

use crate::config::report::Report;
use crate::config::scalar::Named;
use crate::config::secret::Secret;
use crate::config::snapshot::UpstreamAuth;
use crate::config::trail::Trail;

/// Headers of one connection, and those that the proxy writes itself.
const RESERVED: [&str; 13] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "host",
    "content-length",
    "authorization",
    "expect",
];

/// Headers that no key can be sent in; `authorization` can.
fn is_reserved_for_auth(name: &str) -> bool {
    name != "authorization" && RESERVED.contains(&name)
}

pub(super) fn compile(
    written: &Named<Secret>,
    auth: Option<&UpstreamAuth>,
    at: &Trail,
    report: &mut Report<'_>,
) -> Vec<(String, String)> {
    let mut headers: Vec<(String, String)> = Vec::new();
    for (name, value) in &written.0 {
        let at = at.key(name);
        let message = match HeaderName::try_from(name.as_str()) {
            Err(_) => Some(format!("\"{name}\" is not a header name")),
            Ok(lower) => objection(lower.as_str(), auth, &headers),
        };
        if let Some(message) = message {
            report.key_error(&at, message, None);
        } else if HeaderValue::from_str(value.expose()).is_err() {
            report.error(&at, "the value holds characters that no header can carry");
        }
        headers.push((name.clone(), value.expose().to_owned()));
    }
    headers
}

fn objection(
    name: &str,
    auth: Option<&UpstreamAuth>,
    earlier: &[(String, String)],
) -> Option<String> {
    let is_auth =
        matches!(auth, Some(UpstreamAuth::Header(auth)) if auth.eq_ignore_ascii_case(name));
    if RESERVED.contains(&name) {
        Some(format!("the header `{name}` is written by the proxy"))
    } else if is_auth {
        Some(format!("the header `{name}` carries the key"))
    } else if earlier
        .iter()
        .any(|(other, _)| other.eq_ignore_ascii_case(name))
    {
        Some(format!("the header `{name}` is written twice"))
    } else {
        None
    }
}

/// The header that carries a provider's key.
pub(super) fn auth_header(name: &str, at: &Trail, report: &mut Report<'_>) -> Option<String> {
    match HeaderName::try_from(name) {
        Ok(lower) if is_reserved_for_auth(lower.as_str()) => {
            report.error(at, "this header cannot carry a key");
            None
        }
        Ok(_) => Some(name.to_owned()),
        Err(_) => {
            report.error(at, format!("{} does not name a header", report.quoted(at)));
            None
        }
    }
}
