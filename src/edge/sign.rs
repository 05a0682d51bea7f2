//! Owns the signing of requests to AWS (SigV4), with AWS's own crate. Must never keep a signature: each holds the time
//! and the body that it is for.

use std::fmt;
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningError, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use http::{HeaderName, HeaderValue};
use pingora::http::RequestHeader;

use crate::config::secret::Secret;
use crate::config::snapshot::Signing;

/// The service that requests are signed for: the one whose dialect is spoken.
const SERVICE: &str = "bedrock";
/// Where the credentials are from, as AWS's crate wants to know.
const SOURCE: &str = "mainstay";

/// Signs the requests of one key.
pub(crate) struct Signer {
    identity: Identity,
    region: String,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer")
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

// === impl Signer ===

impl Signer {
    /// Of the secret that belongs to `signing`.
    pub(crate) fn new(signing: &Signing, secret: &Secret) -> Self {
        let token = signing.session_token.as_ref();
        let token = token.map(|token| token.expose().to_owned());
        let id = signing.access_key_id.expose();
        Self {
            identity: Credentials::new(id, secret.expose(), token, None, SOURCE).into(),
            region: signing.region.clone(),
        }
    }

    /// The headers that make a request with this head and body one of the key's. Only the host and the time are
    /// signed beside the body: other headers may change on the way.
    ///
    /// # Errors
    /// The head is none that can be signed.
    pub(crate) fn sign(
        &self,
        head: &RequestHeader,
        body: &[u8],
        now: SystemTime,
    ) -> Result<Vec<(HeaderName, HeaderValue)>, SigningError> {
        let host = head.headers.get("host").and_then(|host| host.to_str().ok());
        let path = String::from_utf8_lossy(head.raw_path());
        let url = format!("https://{}{path}", host.unwrap_or_default());
        let params = v4::SigningParams::builder()
            .identity(&self.identity)
            .region(&self.region)
            .name(SERVICE)
            .time(now)
            .settings(SigningSettings::default())
            .build()
            .expect("nothing that it needs is missing")
            .into();
        let body = SignableBody::Bytes(body);
        let request = SignableRequest::new(head.method.as_str(), url, std::iter::empty(), body)?;
        let (instructions, _) = sign(request, &params)?.into_parts();
        let headers = instructions.headers().filter_map(|(name, value)| {
            let mut value = HeaderValue::from_str(value).ok()?;
            value.set_sensitive(true);
            Some((HeaderName::from_bytes(name.as_bytes()).ok()?, value))
        });
        Ok(headers.collect())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// What botocore 1.44.5 signs (`SigV4Auth` of the service `bedrock`) for the same request at the same time.
    const WITHOUT_TOKEN: &str = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261122/us-east-1/bedrock/aws4_request, \
        SignedHeaders=host;x-amz-date, Signature=dcb07bfaec0d5b756b0aeb74f053f384d229f9c79b9f488828b168e93a89ba0d";
    const WITH_TOKEN: &str = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261122/us-east-1/bedrock/aws4_request, \
        SignedHeaders=host;x-amz-date;x-amz-security-token, Signature=f6552981546222eb972842e6910ea5ee78fbb907150d12f9d23088f925d4a58d";

    fn authorization(token: Option<&str>) -> String {
        let signing = Signing {
            access_key_id: Secret::new("AKIDEXAMPLE"),
            session_token: token.map(Secret::new),
            region: "us-east-1".to_owned(),
        };
        let secret = Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
        let path = b"/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse";
        let mut head = RequestHeader::build("POST", path, None).unwrap();
        let host = "bedrock-runtime.us-east-1.amazonaws.com";
        head.insert_header("host", host).unwrap();
        // 2026-11-22T12:00:00Z
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_348_800);
        let signer = Signer::new(&signing, &secret);
        let headers = signer.sign(&head, br#"{"messages":[]}"#, now).unwrap();
        let sent = headers.iter().find(|(name, _)| name == "authorization");
        sent.unwrap().1.to_str().unwrap().to_owned()
    }

    #[test]
    fn a_model_with_a_colon_is_signed_as_botocore_signs_it() {
        assert_eq!(authorization(None), WITHOUT_TOKEN);
        assert_eq!(authorization(Some("session/token+1=")), WITH_TOKEN);
    }

    #[test]
    fn a_secret_is_not_shown() {
        let signing = Signing {
            access_key_id: Secret::new("AKIDEXAMPLE"),
            session_token: None,
            region: "us-east-1".to_owned(),
        };
        let signer = Signer::new(&signing, &Secret::new("secret"));
        assert_eq!(
            format!("{signer:?}"),
            r#"Signer { region: "us-east-1", .. }"#
        );
    }
}
