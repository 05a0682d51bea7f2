//! What a preset fills in, and that what is written wins.

use std::path::PathBuf;

use super::{load, read, with};
use crate::config::snapshot::{Provider, TokenSource, UpstreamAuth};
use crate::config::{Loaded, Source, parse};
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
        let path = provider(&settings).paths.path.unwrap();
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

/// A key file with this key, as Google writes it.
fn key_file(key: &str) -> String {
    let file = serde_json::json!({
        "type": "service_account", "project_id": "p-1", "private_key_id": "id-1", "private_key": key,
        "client_email": "a@p-1.iam.gserviceaccount.com", "token_uri": "https://oauth2.googleapis.com/token",
    });
    serde_json::to_string_pretty(&file).unwrap()
}

const KEY: &str = include_str!("../../../tests/keys/throwaway-one.pem");

/// A file with a provider at Vertex, read with this variable for all of Google's clients.
fn at_vertex(settings: &str, variable: Option<&str>) -> Result<Loaded, String> {
    let source = Source {
        path: PathBuf::from("mainstay.yaml"),
        text: format!(
            "providers: {{ p: {{ preset: vertex, {settings} }} }}\nmodels: {{ a/m: {{ endpoints: [{{ provider: p }}] }} }}\n"
        ),
    };
    let env = |name: &str| match name {
        "GOOGLE_APPLICATION_CREDENTIALS" => variable.map(str::to_owned),
        "ACCOUNT" => Some(key_file(KEY)),
        "BROKEN" => Some(key_file(
            "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n",
        )),
        "TRUNCATED" => Some(key_file(KEY).split_off(1)),
        "USER" => Some(r#"{"type":"authorized_user","refresh_token":"secret"}"#.to_owned()),
        _ => None,
    };
    parse(&source, &env).map_err(|error| error.to_string())
}

#[test]
fn a_service_account_is_read_from_its_key_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("account.json");
    std::fs::write(&path, key_file(KEY)).unwrap();
    let by_file = format!(
        "region: global, credentials: {{ service_account_file: \"{}\" }}",
        path.display()
    );
    let inline = "region: global, credentials: { service_account: \"${ACCOUNT}\" }";
    let named = path.display().to_string();
    let variable = Some(named.as_str());
    for (settings, variable) in [
        (by_file.as_str(), None),
        (inline, None),
        ("region: global", variable),
    ] {
        let loaded = at_vertex(settings, variable).unwrap();
        let provider = &loaded.snapshot.providers["p"];
        assert_eq!(
            provider.base.to_string(),
            "https://aiplatform.googleapis.com/v1"
        );
        let UpstreamAuth::Google(TokenSource::ServiceAccount(account)) = &provider.auth else {
            panic!("{:?}", provider.auth);
        };
        assert_eq!(account.email, "a@p-1.iam.gserviceaccount.com");
        assert_eq!(
            account.token_uri.to_string(),
            "https://oauth2.googleapis.com/token"
        );
        let key = provider.keys[0].1.as_ref().unwrap();
        assert_eq!(key.expose(), KEY);
        let path = provider.paths.path.as_ref().unwrap();
        assert_eq!(
            path.as_str(),
            "/projects/p-1/locations/global/publishers/google{operation}"
        );
        assert!(!format!("{loaded:?}").contains("PRIVATE"));
    }
    let server = at_vertex("region: us, project: p", None).unwrap();
    let provider = &server.snapshot.providers["p"];
    assert_eq!(provider.base.host, "aiplatform.us.rep.googleapis.com");
    let UpstreamAuth::Google(TokenSource::Metadata(server)) = &provider.auth else {
        panic!("{:?}", provider.auth);
    };
    assert_eq!(server.to_string(), "http://metadata.google.internal");
}

#[test]
fn what_is_wrong_with_a_service_account_is_told_without_it() {
    let told =
        |settings: &str| at_vertex(&format!("region: us-east5, {settings}"), None).unwrap_err();
    let inline = |name: &str| {
        told(&format!(
            "credentials: {{ service_account: \"${{{name}}}\" }}"
        ))
    };
    let table = [
        (inline("BROKEN"), "no RSA key that can sign"),
        (
            inline("TRUNCATED"),
            "no key file of a service account: line 1, column 14",
        ),
        (inline("USER"), "not of the type `service_account`"),
        (
            told("credentials: { service_account_file: /no/such/file }"),
            "cannot use the file \"/no/such/file\"",
        ),
        (
            told("credentials: { metadata_server: \"http://m\" }"),
            "the path names {project}",
        ),
        (
            told("credentials: { metadata_server: \"http://m\", service_account: \"${ACCOUNT}\" }"),
            "both written",
        ),
        (
            told("auth: google, credentials: { access_key_id: a, secret_access_key: b }"),
            "takes a service account",
        ),
        (
            told("auth: bearer, credentials: { service_account: \"${ACCOUNT}\" }"),
            "never uses them",
        ),
        (
            told("project: p, keys: [{ value: k }]"),
            "paid with access tokens",
        ),
        (
            at_vertex("project: p", None).unwrap_err(),
            "has no `base_url`",
        ),
    ];
    for (told, wanted) in table {
        assert!(told.contains(wanted), "{wanted}: {told}");
        assert!(
            !told.contains("c2VjcmV0") && !told.contains("MIIE"),
            "{told}"
        );
        assert!(!told.contains("refresh"), "{told}");
    }
}

#[test]
fn a_sellers_paths_and_versions_are_data() {
    let known = provider("preset: vertex-anthropic, region: us-east5, project: p-2");
    assert_eq!(
        known.anthropic_version.as_deref(),
        Some("vertex-2023-10-16")
    );
    let at = "/projects/p-2/locations/us-east5/publishers/anthropic/models";
    let path = |counts, stream| {
        let pattern = known.paths.of(counts, stream).unwrap();
        pattern.path("m", "/messages")
    };
    assert_eq!(path(false, false), format!("{at}/m:rawPredict"));
    assert_eq!(path(false, true), format!("{at}/m:streamRawPredict"));
    assert_eq!(path(true, false), format!("{at}/count-tokens:rawPredict"));
    let own = provider(
        "base_url: \"http://10.0.0.1\", auth: none, path: \"/i/{model}\", stream_path: \"/s/{model}\", count_tokens_path: /c, \
         anthropic_version: v-1, dialects: [anthropic]",
    );
    let path = |counts, stream| own.paths.of(counts, stream).unwrap().as_str();
    assert_eq!(
        [path(false, false), path(false, true), path(true, false)],
        ["/i/{model}", "/s/{model}", "/c"]
    );
    assert_eq!(own.anthropic_version.as_deref(), Some("v-1"));
    let apart = provider("base_url: \"http://10.0.0.1\", auth: none, path: \"/x{operation}\"");
    assert!(apart.paths.of(true, false).is_some());
    let refused = read(&with("").replace("keys:", "anthropic_version: v, keys:"));
    assert!(refused.unwrap_err().to_string().contains("names no model"));
}

#[test]
fn a_route_to_a_provider_that_wants_signatures_is_doubted() {
    let route = |provider: &str| {
        let text = format!(
            "providers:\n  aws: {{ preset: bedrock, region: us-east-1, credentials: {{ access_key_id: a, secret_access_key: b }} }}\n  \
             google: {{ preset: vertex, region: global, project: p }}\n\
             models: {{ a/m: {{ endpoints: [{{ provider: aws }}, {{ provider: google }}] }} }}\n\
             routes: [{{ path: /v1/x, providers: [{provider}] }}]\n"
        );
        load(&text).warnings
    };
    let warnings = route("google, aws");
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert_eq!(warnings[0].path, "routes[0].providers[1]");
    assert!(warnings[0].message.contains("not signed"));
    assert!(route("google").is_empty());
}
