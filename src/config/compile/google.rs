//! Owns the rules of credentials of Google's: the key file of a service account, or a metadata server. Must never put any of a
//! key file into a finding.

use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde::Deserialize;

use crate::config::compile::base_url;
use crate::config::raw::providers::{Credentials, Provider};
use crate::config::report::Report;
use crate::config::scalar::Text;
use crate::config::secret::Secret;
use crate::config::snapshot::{ServiceAccount, TokenSource};
use crate::config::trail::Trail;

/// What a key file is that a program of one's own uses.
const KIND: &str = "service_account";
/// Where key files have tokens given, unless they say otherwise (RFC 7523 at Google:
/// <https://developers.google.com/identity/protocols/oauth2/service-account>, 2026-11-22).
const TOKEN_URI: &str = "https://oauth2.googleapis.com/token";
/// Its name inside Google's cloud (<https://cloud.google.com/compute/docs/metadata/querying-metadata>, 2026-11-22).
const METADATA: &str = "http://metadata.google.internal";

/// Who asks for tokens.
pub(super) struct Account {
    pub(super) source: TokenSource,
    /// The service account's key, in PEM.
    pub(super) key: Option<Secret>,
    pub(super) project: Option<String>,
}

/// A key file, as Google writes it; what is not needed is left aside.
#[derive(Deserialize)]
struct KeyFile {
    #[serde(rename = "type")]
    kind: String,
    project_id: Option<String>,
    private_key_id: Option<String>,
    private_key: Option<String>,
    client_email: Option<String>,
    token_uri: Option<String>,
}

/// Whether credentials are some of Google's.
pub(super) fn is_meant(credentials: &Credentials) -> bool {
    credentials.service_account.is_some()
        || credentials.service_account_file.is_some()
        || credentials.metadata_server.is_some()
}

/// Who asks for the provider's tokens. What is wrong is reported.
pub(super) fn account(written: &Provider, at: &Trail, report: &mut Report<'_>) -> Option<Account> {
    let at = at.key("credentials");
    let none = Credentials::default();
    let credentials = written.credentials.as_ref().unwrap_or(&none);
    if credentials.access_key_id.is_some() || credentials.secret_access_key.is_some() {
        let message = "`auth: google` takes a service account or a metadata server";
        report.error(&at, message);
        return None;
    }
    let is_account =
        credentials.service_account.is_some() || credentials.service_account_file.is_some();
    match &credentials.metadata_server {
        Some(_) if is_account => {
            let message = "a service account and a metadata server are both written";
            report.error_with(&at, message, "keep one of them".to_owned());
            None
        }
        None if is_account => {
            // A file that could not be read was told.
            let written = credentials.service_account.as_ref()?;
            let field = match credentials.service_account_file {
                Some(_) => "service_account_file",
                None => "service_account",
            };
            let at = at.key(field);
            if credentials.service_account_file.is_none() {
                report.hide(&at);
            }
            service_account(written, &at, report)
        }
        server => {
            let server = server.clone().unwrap_or_else(|| Text(METADATA.to_owned()));
            let server = base_url::of_tokens(&server, &at.key("metadata_server"), report)?;
            Some(Account {
                source: TokenSource::Metadata(server),
                key: None,
                project: None,
            })
        }
    }
}

fn service_account(written: &Secret, at: &Trail, report: &mut Report<'_>) -> Option<Account> {
    let file: KeyFile = match serde_json::from_str(written.expose()) {
        Ok(file) => file,
        // The error's own words may quote the file.
        Err(error) => {
            let (line, column) = (error.line(), error.column());
            let message = format!("no key file of a service account: line {line}, column {column}");
            let hint = "it is the JSON that Google gives for a new key".to_owned();
            report.error_with(at, message, hint);
            return None;
        }
    };
    if file.kind != KIND {
        let message = "the credentials are not of the type `service_account`";
        let hint = "make a key for a service account, or run in Google's cloud".to_owned();
        report.error_with(at, message, hint);
        return None;
    }
    let mut part = |part: Option<String>, name: &str| {
        let part = part.filter(|part| !part.is_empty());
        if part.is_none() {
            report.error(at, format!("the key file has no `{name}`"));
        }
        part
    };
    let email = part(file.client_email, "client_email");
    let key = part(file.private_key, "private_key");
    let key = key.filter(|key| {
        let works = is_key(key);
        if !works {
            report.error(
                at,
                "the key file's `private_key` is no RSA key that can sign",
            );
        }
        works
    });
    let uri = Text(file.token_uri.unwrap_or_else(|| TOKEN_URI.to_owned()));
    let token_uri = base_url::of_tokens(&uri, at, report);
    Some(Account {
        source: TokenSource::ServiceAccount(ServiceAccount {
            email: email?,
            key_id: file.private_key_id,
            token_uri: token_uri?,
        }),
        key: Some(Secret::new(key?)),
        project: file.project_id,
    })
}

/// Whether a text is a key that can sign, in PEM.
fn is_key(pem: &str) -> bool {
    let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes());
    der.is_ok_and(|der| ring::rsa::KeyPair::from_pkcs8(der.secret_pkcs8_der()).is_ok())
}
