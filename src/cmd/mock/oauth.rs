//! Owns access tokens as Google gives them: for the signed assertion of a service account, or to a machine in its cloud. It reads
//! assertions with code of its own. Must never take one whose signature, audience, scope or time is wrong.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde::Deserialize;
use serde_json::json;

use crate::cmd::mock::answer::{self, Step};
use crate::cmd::mock::http::Head;
use crate::cmd::mock::route::unix_seconds;
use crate::cmd::mock::script::duration;
use crate::cmd::mock::state::Shared;

const ASKED: &str = "/token";
const MACHINE: &str = "/computeMetadata/v1/instance/service-accounts/default/token";
const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// Seconds that an assertion may hold, and that clocks may differ.
const LONGEST: u64 = 3600;
const SKEW: u64 = 60;

/// Who gets access tokens, for how long.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OAuth {
    /// What assertions are checked with: an RSA public key (PKCS#1, DER) in base64. Default: empty, no assertion is taken.
    pub public_key: String,
    /// The only account that is given tokens. Default: any.
    pub email: Option<String>,
    /// How long a token holds. Default 1h.
    #[serde(deserialize_with = "duration")]
    pub lifetime: Duration,
}

/// The tokens that were given.
#[derive(Debug, Default)]
pub(crate) struct Issued {
    given: u64,
    live: HashMap<String, Instant>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    typ: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    iss: String,
    scope: String,
    aud: String,
    iat: u64,
    exp: u64,
}

impl Default for OAuth {
    fn default() -> Self {
        Self {
            public_key: String::new(),
            email: None,
            lifetime: Duration::from_hours(1),
        }
    }
}

// === impl Issued ===

impl Issued {
    /// Whether a token is let in.
    pub(crate) fn holds(&self, token: &str) -> bool {
        self.live
            .get(token)
            .is_some_and(|end| Instant::now() < *end)
    }

    /// Lets none in that was given until now.
    pub(crate) fn clear(&mut self) {
        self.live.clear();
    }

    fn give(&mut self, lifetime: Duration) -> String {
        let now = Instant::now();
        self.live.retain(|_, end| now < *end);
        self.given += 1;
        let token = format!("ya29.mock-token-{}", self.given);
        self.live.insert(token.clone(), now + lifetime);
        token
    }
}

/// Whether a request asks for a token.
pub(crate) fn is_asked(method: &str, path: &str) -> bool {
    matches!((method, path), ("POST", ASKED) | ("GET", MACHINE))
}

/// The answer to a request for a token.
pub(crate) fn answer(shared: &Shared, head: &Head, body: &Bytes) -> Vec<Step> {
    let script = shared.script();
    let Some(oauth) = &script.oauth else {
        return denied(404, "not_found", "no tokens are given");
    };
    let is_machine = head.path() == MACHINE;
    if is_machine && head.header("metadata-flavor") != Some("Google") {
        return denied(403, "forbidden", "the header Metadata-Flavor is missing");
    }
    let granted = if is_machine {
        Ok(())
    } else {
        let host = head.header("host").unwrap_or_default();
        let audience = format!("http://{host}{ASKED}");
        asserted(body).and_then(|it| oauth.check(&it, &audience, unix_seconds()))
    };
    match granted {
        Ok(()) => {
            let token = shared.issued().give(oauth.lifetime);
            let lifetime = oauth.lifetime.as_secs();
            let told =
                json!({"access_token": token, "expires_in": lifetime, "token_type": "Bearer"});
            answer::json(200, told.to_string())
        }
        Err(why) => denied(400, "invalid_grant", why),
    }
}

fn denied(status: u16, error: &str, why: &str) -> Vec<Step> {
    let told = json!({"error": error, "error_description": why});
    answer::json(status, told.to_string())
}

fn asserted(body: &Bytes) -> Result<String, &'static str> {
    let mut fields: HashMap<_, _> = url::form_urlencoded::parse(body).into_owned().collect();
    match fields.get("grant_type").map(String::as_str) {
        Some(GRANT) => fields.remove("assertion").ok_or("no assertion"),
        _ => Err("not the grant type of an assertion"),
    }
}

// === impl OAuth ===

impl OAuth {
    /// Checks an assertion for an audience at a time, seconds since 1970.
    fn check(&self, assertion: &str, audience: &str, now: u64) -> Result<(), &'static str> {
        let (text, signature) = assertion.rsplit_once('.').ok_or("not a JWT")?;
        let (header, claims) = text.split_once('.').ok_or("not a JWT")?;
        let header: Header = part(header)?;
        if (header.alg.as_str(), header.typ.as_str()) != ("RS256", "JWT") {
            return Err("not signed with RS256");
        }
        let key = STANDARD.decode(&self.public_key).map_err(|_| "no key")?;
        let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key);
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| "not a JWT")?;
        key.verify(text.as_bytes(), &signature)
            .map_err(|_| "Invalid JWT Signature.")?;
        let claims: Claims = part(claims)?;
        let is_known = self.email.as_ref().is_none_or(|email| *email == claims.iss);
        let is_timely = claims.iat <= now + SKEW
            && now < claims.exp
            && claims.exp.saturating_sub(claims.iat) <= LONGEST;
        match () {
            () if !is_known => Err("the account is not known"),
            () if claims.aud != audience => Err("the audience is another"),
            () if !claims.scope.split(' ').any(|scope| scope == SCOPE) => {
                Err("the scope is another")
            }
            () if !is_timely => Err("the time is not now"),
            () => Ok(()),
        }
    }
}

fn part<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, &'static str> {
    let json = URL_SAFE_NO_PAD.decode(text).map_err(|_| "not a JWT")?;
    serde_json::from_slice(&json).map_err(|_| "a JWT with other parts")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of google-auth 2.62.2: an assertion of `mainstay@test-project...` from 2026-11-22T12:00:00Z on.
    const ASSERTION: &str = "eyJ0eXAiOiAiSldUIiwgImFsZyI6ICJSUzI1NiIsICJraWQiOiAia2V5LTEifQ.eyJpYXQiOiAxNzk1MzQ4ODAwLCAiZXhwIjogMTc5NTM1MjQwMCwgImlzcyI6ICJtYWluc3RheUB0ZXN0LXByb2plY3QuaWFtLmdzZXJ2aWNlYWNjb3VudC5jb20iLCAiYXVkIjogImh0dHBzOi8vb2F1dGgyLmdvb2dsZWFwaXMuY29tL3Rva2VuIiwgInNjb3BlIjogImh0dHBzOi8vd3d3Lmdvb2dsZWFwaXMuY29tL2F1dGgvY2xvdWQtcGxhdGZvcm0ifQ.uY_45kNnIixl4TUMlookbjR9Y8qKX_6XnO-qyC-0c-PRFhsghKnO8HPrFQdw9nOIn1SGWDIjO_0H59oIgViNYpaqzaiUNn0YovZotDVjSPVJ2kvHWRBt9GSwlp4pdwAFca1yKrTP-pCN3E7sIqyOJ81WO57cbqKAlTrrjxgdEvHDKhHY0DwlHYIfVRBZqUoTm6cn1UBLHmRzptmVoebREpVd0L8BNOkGV6E5-nxufdP-rDvCchDRA7l8h3bm8YWwLM60J_UQfHRU-m67LNT3UoDAapun7CfZ-1qrun9ey7H4xd0NK43UmYWR-PE0PN-L8ySOZySkyG69M49KOy_j8w";
    const NOW: u64 = 1_795_348_800;
    const AUDIENCE: &str = "https://oauth2.googleapis.com/token";

    #[test]
    fn an_assertion_of_googles_own_client_is_taken_and_any_change_of_it_is_not() {
        let oauth = OAuth {
            public_key: include_str!("../../../tests/keys/throwaway-one.public").to_owned(),
            email: Some("mainstay@test-project.iam.gserviceaccount.com".to_owned()),
            ..OAuth::default()
        };
        assert_eq!(oauth.check(ASSERTION, AUDIENCE, NOW), Ok(()));
        assert!(oauth.check(ASSERTION, AUDIENCE, NOW + 3600).is_err());
        assert!(oauth.check(ASSERTION, AUDIENCE, NOW - 61).is_err());
        assert!(
            oauth
                .check(ASSERTION, "https://other.test/token", NOW)
                .is_err()
        );
        let other = include_str!("../../../tests/keys/throwaway-two.public").to_owned();
        let other = OAuth {
            public_key: other,
            ..oauth.clone()
        };
        assert_eq!(
            other.check(ASSERTION, AUDIENCE, NOW),
            Err("Invalid JWT Signature.")
        );
        let stranger = OAuth {
            email: Some("x@y".to_owned()),
            ..oauth
        };
        assert!(stranger.check(ASSERTION, AUDIENCE, NOW).is_err());
    }
}
