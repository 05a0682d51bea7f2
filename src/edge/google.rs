//! Owns how Google is asked for an access token: the signed assertion of a service account (RFC 7523), or a metadata server. Must
//! never keep an assertion, or say what a token is.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};

use crate::config::secret::Secret;
use crate::config::snapshot::{BaseUrl, ServiceAccount, TokenSource};

/// What tokens are for: all of Google Cloud that the account may use
/// (<https://developers.google.com/identity/protocols/oauth2/scopes#aiplatform>, 2026-11-22).
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// How long an assertion holds, the longest that is taken.
const LIFETIME: Duration = Duration::from_secs(3600);
/// What stands before an assertion in a request (RFC 7523, 2.1).
const GRANT: &str = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=";
/// The account that a machine in Google's cloud runs as (<https://cloud.google.com/compute/docs/metadata/querying-metadata>).
const MACHINE: &str = "/computeMetadata/v1/instance/service-accounts/default/token";
/// What is believed of a token's lifetime: twice the longest that Google gives
/// (<https://cloud.google.com/iam/docs/create-short-lived-credentials-direct>, 2026-11-22).
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// Longer error codes are none.
const LONGEST_CODE: usize = 64;

/// Asks for tokens.
pub(crate) enum Asker {
    ServiceAccount(Box<Account>),
    Metadata(BaseUrl),
}

/// A service account that can sign.
pub(crate) struct Account {
    about: ServiceAccount,
    key: RsaKeyPair,
}

/// A request for a token.
pub(crate) struct Question {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    typ: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<&'a str>,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    scope: &'a str,
    aud: &'a str,
    iat: u64,
    exp: u64,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    /// Seconds.
    expires_in: u64,
}

#[derive(Deserialize)]
struct Denied {
    error: String,
}

impl fmt::Debug for Asker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Asker").field(self.at()).finish()
    }
}

// === impl Asker ===

impl Asker {
    /// Of the key that belongs to `source`; `None` where it cannot sign.
    pub(crate) fn new(source: &TokenSource, key: Option<&Secret>) -> Option<Self> {
        match source {
            TokenSource::Metadata(at) => Some(Self::Metadata(at.clone())),
            TokenSource::ServiceAccount(about) => {
                let pem = key?.expose().as_bytes();
                let der = PrivatePkcs8KeyDer::from_pem_slice(pem).ok()?;
                let key = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).ok()?;
                let about = about.clone();
                Some(Self::ServiceAccount(Box::new(Account { about, key })))
            }
        }
    }

    /// Who is asked.
    pub(crate) fn at(&self) -> &BaseUrl {
        match self {
            Self::ServiceAccount(account) => &account.about.token_uri,
            Self::Metadata(at) => at,
        }
    }

    /// What is asked `now`, a time since 1970.
    pub(crate) fn question(&self, now: Duration) -> Question {
        let mut headers = HeaderMap::new();
        match self {
            Self::ServiceAccount(account) => {
                let form = HeaderValue::from_static("application/x-www-form-urlencoded");
                headers.insert(CONTENT_TYPE, form);
                let path = account.about.token_uri.path.as_str();
                let path = if path.is_empty() { "/" } else { path };
                Question {
                    method: Method::POST,
                    path: path.to_owned(),
                    headers,
                    body: format!("{GRANT}{}", account.assertion(now)).into(),
                }
            }
            Self::Metadata(at) => {
                let flavor = HeaderName::from_static("metadata-flavor");
                headers.insert(flavor, HeaderValue::from_static("Google"));
                Question {
                    method: Method::GET,
                    path: format!("{}{MACHINE}", at.path),
                    headers,
                    body: Bytes::new(),
                }
            }
        }
    }
}

// === impl Account ===

impl Account {
    /// The assertion that the account asks itself, signed. Nothing of it needs escaping in a form.
    fn assertion(&self, now: Duration) -> String {
        let header = Header {
            alg: "RS256",
            typ: "JWT",
            kid: self.about.key_id.as_deref(),
        };
        let claims = Claims {
            iss: &self.about.email,
            scope: SCOPE,
            aud: &self.about.token_uri.to_string(),
            iat: now.as_secs(),
            exp: (now + LIFETIME).as_secs(),
        };
        let mut text = format!("{}.{}", part(&header), part(&claims));
        let mut signature = vec![0; self.key.public().modulus_len()];
        let signed = self.key.sign(
            &RSA_PKCS1_SHA256,
            &SystemRandom::new(),
            text.as_bytes(),
            &mut signature,
        );
        signed.expect("a key pair signs into as many bytes as its modulus has");
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut text);
        text
    }
}

fn part(json: &impl Serialize) -> String {
    let json = serde_json::to_vec(json).expect("structs of strings and numbers always serialise");
    URL_SAFE_NO_PAD.encode(json)
}

/// The token in an answer, and how long it holds. The error says why there is none, in words that hold no secret.
pub(crate) fn read(status: StatusCode, body: &[u8]) -> Result<(Secret, Duration), String> {
    if !status.is_success() {
        let denied = serde_json::from_slice::<Denied>(body);
        let is_plain = |c: char| c.is_ascii_lowercase() || c == '_';
        let code = denied.map(|denied| denied.error).unwrap_or_default();
        let is_code = !code.is_empty() && code.len() <= LONGEST_CODE && code.chars().all(is_plain);
        return Err(match is_code {
            true => format!("status {} {code}", status.as_u16()),
            false => format!("status {}", status.as_u16()),
        });
    }
    let granted: Granted =
        serde_json::from_slice(body).map_err(|_| "the answer holds no token".to_owned())?;
    let lifetime = Duration::from_secs(granted.expires_in).min(LONGEST);
    Ok((Secret::new(granted.access_token), lifetime))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = include_str!("../../tests/keys/throwaway-one.pem");
    /// What google-auth 2.62.2 asks at the same time with the same key file
    /// (`service_account.Credentials._make_authorization_grant_assertion`).
    const ASSERTION: &str = "eyJ0eXAiOiAiSldUIiwgImFsZyI6ICJSUzI1NiIsICJraWQiOiAia2V5LTEifQ.eyJpYXQiOiAxNzk1MzQ4ODAwLCAiZXhwIjogMTc5NTM1MjQwMCwgImlzcyI6ICJtYWluc3RheUB0ZXN0LXByb2plY3QuaWFtLmdzZXJ2aWNlYWNjb3VudC5jb20iLCAiYXVkIjogImh0dHBzOi8vb2F1dGgyLmdvb2dsZWFwaXMuY29tL3Rva2VuIiwgInNjb3BlIjogImh0dHBzOi8vd3d3Lmdvb2dsZWFwaXMuY29tL2F1dGgvY2xvdWQtcGxhdGZvcm0ifQ.uY_45kNnIixl4TUMlookbjR9Y8qKX_6XnO-qyC-0c-PRFhsghKnO8HPrFQdw9nOIn1SGWDIjO_0H59oIgViNYpaqzaiUNn0YovZotDVjSPVJ2kvHWRBt9GSwlp4pdwAFca1yKrTP-pCN3E7sIqyOJ81WO57cbqKAlTrrjxgdEvHDKhHY0DwlHYIfVRBZqUoTm6cn1UBLHmRzptmVoebREpVd0L8BNOkGV6E5-nxufdP-rDvCchDRA7l8h3bm8YWwLM60J_UQfHRU-m67LNT3UoDAapun7CfZ-1qrun9ey7H4xd0NK43UmYWR-PE0PN-L8ySOZySkyG69M49KOy_j8w";
    /// The signature that its `crypt.RSASigner` makes of our own text: RS256 leaves no choice.
    const SIGNATURE: &str = "FupgfY_dmqKtDSvS5I2e9-bqoXhLRvym-PuTrBMt2eRnnrpd5GsJPM-tcDu3SWJhgNaEuU3BaOtpfdDjUlexk3cFl04jq3BLXt83Y9r4G2gejtFxZXfcAy4m1HYvUbQ7xT0ElREuizvuwjeC-FQqqv5Ync1yNV-oZUK2eDflBohfD0jMjdbUo_prKuyEgNydR-oEhpRrvMAK5MOYjcKcvMkqU4dBbWUMibBVMGVq1XUA5QNnJ8FPiwJDljHyjORAgEjmJkULsHjnyPATu7pO6N8YCTxwutFoT9--Pb_iC-FH11fTzFCZwuvyUMJBIXww9xRiqqilVFW2H0G_RLz7wQ";
    /// 2026-11-22T12:00:00Z
    const NOW: Duration = Duration::from_secs(1_795_348_800);

    fn account() -> Asker {
        let source = TokenSource::ServiceAccount(ServiceAccount {
            email: "mainstay@test-project.iam.gserviceaccount.com".to_owned(),
            key_id: Some("key-1".to_owned()),
            token_uri: BaseUrl {
                tls: true,
                host: "oauth2.googleapis.com".to_owned(),
                port: 443,
                path: "/token".to_owned(),
            },
        });
        Asker::new(&source, Some(&Secret::new(KEY))).unwrap()
    }

    fn json(part: &str) -> serde_json::Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    }

    #[test]
    fn an_assertion_says_what_googles_own_client_says_and_is_signed_as_it_signs() {
        let body = account().question(NOW).body;
        let body = std::str::from_utf8(&body).unwrap();
        let own: Vec<&str> = body.strip_prefix(GRANT).unwrap().split('.').collect();
        let theirs: Vec<&str> = ASSERTION.split('.').collect();
        assert_eq!(json(own[0]), json(theirs[0]));
        assert_eq!(json(own[1]), json(theirs[1]));
        assert_eq!(own[2], SIGNATURE);
    }

    #[test]
    fn a_key_is_not_shown_and_a_broken_one_is_none() {
        let shown = format!("{:?}", account());
        assert!(
            shown.contains("oauth2.googleapis.com") && !shown.contains("key-1"),
            "{shown}"
        );
        let source = match account() {
            Asker::ServiceAccount(account) => TokenSource::ServiceAccount(account.about),
            Asker::Metadata(at) => TokenSource::Metadata(at),
        };
        let (_, half) = KEY.split_at(KEY.len() / 2);
        assert!(Asker::new(&source, Some(&Secret::new(half))).is_none());
        assert!(Asker::new(&source, None).is_none());
    }

    #[test]
    fn an_answer_is_a_token_or_a_reason_without_secrets() {
        let read =
            |status: u16, body: &str| read(StatusCode::from_u16(status).unwrap(), body.as_bytes());
        let (token, lifetime) = read(
            200,
            r#"{"access_token":"ya29.x","expires_in":3599,"token_type":"Bearer"}"#,
        )
        .unwrap();
        assert_eq!((token.expose(), lifetime.as_secs()), ("ya29.x", 3599));
        let endless = format!(r#"{{"access_token":"t","expires_in":{}}}"#, u64::MAX);
        assert_eq!(read(200, &endless).unwrap().1, LONGEST);
        assert_eq!(
            read(403, r#"{"error":{"code":403}}"#).unwrap_err(),
            "status 403"
        );
        let denied = r#"{"error":"invalid_grant","error_description":"ya29.x"}"#;
        assert_eq!(read(400, denied).unwrap_err(), "status 400 invalid_grant");
        assert_eq!(
            read(500, r#"{"error":"Ya29.x"}"#).unwrap_err(),
            "status 500"
        );
        assert_eq!(read(200, "{}").unwrap_err(), "the answer holds no token");
    }
}
