//! Owns the rules of a provider's `tls`: there is always a name to check a certificate against. Must never
//! read a certificate.

use std::path::PathBuf;

use crate::config::compile::base_url::is_ip;
use crate::config::compile::server::path;
use crate::config::raw::providers::Tls;
use crate::config::report::Report;
use crate::config::scalar::Text;
use crate::config::snapshot::{BaseUrl, UpstreamTls};
use crate::config::trail::Trail;

/// What the certificate of the provider at `at` is checked against. `base` is `None` where it was refused.
pub(super) fn compile(
    written: &Tls,
    base: Option<&BaseUrl>,
    at: &Trail,
    report: &mut Report<'_>,
) -> UpstreamTls {
    let server_name = written.server_name.as_ref().map(|name| name.0.as_str());
    let file = |file: &Option<Text>, field: &str, report: &mut Report<'_>| {
        path(file.as_ref(), &at.key("tls").key(field), report)
    };
    let ca_file = file(&written.ca_file, "ca_file", report);
    if server_name.is_some_and(|name| !is_host_name(name)) {
        let at = at.key("tls").key("server_name");
        report.error(&at, format!("{} is not a host name", report.quoted(&at)));
    }
    let tls = UpstreamTls {
        ca_file,
        server_name: server_name.map(str::to_owned),
        client: client(written, &at.key("tls"), report),
    };
    if let Some(base) = base {
        check_against(base, &tls, at, report);
    }
    tls
}

/// The certificate that the provider is shown, and its key.
fn client(written: &Tls, at: &Trail, report: &mut Report<'_>) -> Option<(PathBuf, PathBuf)> {
    let (at_cert, at_key) = (at.key("client_cert_file"), at.key("client_key_file"));
    let certificate = path(written.client_cert_file.as_ref(), &at_cert, report);
    let key = path(written.client_key_file.as_ref(), &at_key, report);
    match (&certificate, &key) {
        (Some(_), None) => report.error(&at_cert, "`client_cert_file` needs `client_key_file`"),
        (None, Some(_)) => report.error(&at_key, "`client_key_file` needs `client_cert_file`"),
        (Some(_), Some(_)) | (None, None) => {}
    }
    certificate.zip(key)
}

fn check_against(base: &BaseUrl, tls: &UpstreamTls, at: &Trail, report: &mut Report<'_>) {
    if base.tls && is_ip(&base.host) && tls.server_name.is_none() {
        report.error_with(
            &at.key("base_url"),
            "a certificate cannot be checked against an IP address",
            "use the host's name, or set `tls.server_name`".to_owned(),
        );
    } else if !base.tls && *tls != UpstreamTls::default() {
        let message = "`tls` has no effect: `base_url` is http";
        report.warn(&at.key("tls"), message, None);
    }
}

/// A name that a certificate can be checked against. An empty one would switch the check off.
fn is_host_name(name: &str) -> bool {
    let is_label = |label: &str| {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        !label.is_empty() && label.len() <= 63 && label.chars().all(is_plain)
    };
    name.len() <= 253 && name.split('.').all(is_label) && !is_ip(name)
}
