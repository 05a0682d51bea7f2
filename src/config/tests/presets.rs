//! What a preset fills in, and that what is written wins.

use super::load;
use crate::config::snapshot::{Provider, UpstreamAuth};
use crate::wire::dialects::Dialect;

fn provider(settings: &str) -> Provider {
    let text = format!(
        "providers: {{ p: {{ {settings} }} }}\nmodels: {{ a/m: {{ endpoints: [{{ provider: p }}] }} }}\n"
    );
    load(&text).snapshot.providers["p"].clone()
}

#[test]
fn a_preset_fills_what_is_not_written() {
    let known = provider("preset: anthropic, keys: [{ value: k }]");
    assert_eq!(known.dialects, [Dialect::Anthropic]);
    assert_eq!(known.base.to_string(), "https://api.anthropic.com/v1");
    assert_eq!(known.auth, UpstreamAuth::Header("x-api-key".to_owned()));
    let own = provider(
        "preset: anthropic, dialects: [openai], base_url: \"http://10.0.0.1/v9\", auth: bearer, keys: [{ value: k }]",
    );
    assert_eq!(own.dialects, [Dialect::OpenAi]);
    assert_eq!(own.base.to_string(), "http://10.0.0.1/v9");
    assert_eq!(own.auth, UpstreamAuth::Bearer);
    let local = provider("preset: vllm");
    assert_eq!(local.auth, UpstreamAuth::None);
    let azure = |version: &str| {
        let settings = format!(
            "preset: azure, base_url: \"https://a.example\", {version} keys: [{{ value: k }}]"
        );
        let path = provider(&settings).path.unwrap();
        path.path("gpt 5", "/chat/completions")
    };
    let path = "/openai/deployments/gpt 5/chat/completions?api-version=";
    assert_eq!(azure(""), format!("{path}2024-10-21"));
    assert_eq!(azure("api_version: v7,"), format!("{path}v7"));
}

#[test]
fn a_region_is_part_of_a_root_that_needs_one() {
    let at = |region: &str| provider(&format!("preset: bedrock, {region} keys: [{{ value: k }}]"));
    let base = at("region: eu-west-1,").base.to_string();
    assert_eq!(base, "https://bedrock-runtime.eu-west-1.amazonaws.com");
}

#[test]
fn requests_to_aws_are_signed_with_what_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let (secret, token) = (file("secret", "s2"), file("token", "t2"));
    let signed = |credentials: &str| {
        let provider = provider(&format!(
            "preset: bedrock, region: us-east-1, credentials: {{ {credentials} }}"
        ));
        let UpstreamAuth::SigV4(signing) = provider.auth else {
            panic!("not signed: {:?}", provider.auth);
        };
        let token = signing.session_token.map(|token| token.expose().to_owned());
        let secret = provider.keys[0]
            .1
            .as_ref()
            .map(|secret| secret.expose().to_owned());
        (
            signing.access_key_id.expose().to_owned(),
            secret,
            token,
            signing.region,
        )
    };
    let expected = |secret: &str, token: Option<&str>| {
        let (token, secret) = (token.map(str::to_owned), Some(secret.to_owned()));
        ("id".to_owned(), secret, token, "us-east-1".to_owned())
    };
    let plain = signed("access_key_id: id, secret_access_key: s1");
    assert_eq!(plain, expected("s1", None));
    let with_token = signed("access_key_id: id, secret_access_key: s1, session_token: t1");
    assert_eq!(with_token, expected("s1", Some("t1")));
    let by_file = signed(&format!(
        "access_key_id: id, secret_access_key_file: \"{secret}\", session_token_file: \"{token}\""
    ));
    assert_eq!(by_file, expected("s2", Some("t2")));
}
