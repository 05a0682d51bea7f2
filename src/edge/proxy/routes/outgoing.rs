//! Owns what a provider sees of a routed request: the path at its API root, its own key, and nothing that
//! proves who the client is. Must never let a client's credential through.

use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;
use pingora::http::{RequestHeader, ResponseHeader};

use crate::config::snapshot::{Caller, UpstreamAuth};
use crate::edge::peer::{identify, insert, with_key};
use crate::edge::routes::Candidate;

/// What a client proves or tells us with, and what our own proxies add.
static WITHHELD: [HeaderName; 12] = [
    AUTHORIZATION,
    http::header::COOKIE,
    http::header::EXPECT,
    http::header::FORWARDED,
    http::header::PROXY_AUTHORIZATION,
    HeaderName::from_static("api-key"),
    HeaderName::from_static("openai-organization"),
    HeaderName::from_static("openai-project"),
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("x-goog-api-key"),
    HeaderName::from_static("cf-connecting-ip"),
    HeaderName::from_static("true-client-ip"),
];
/// Families of such headers, by what their names begin with.
const WITHHELD_FAMILIES: [&str; 4] = ["x-forwarded-", "x-real-", "x-client-", "x-mainstay-"];
const SUBPROTOCOL: &str = "sec-websocket-protocol";
/// How browsers, which cannot set headers, send their key to OpenAI's realtime API.
const KEY_IN_SUBPROTOCOL: &str = "openai-insecure-api-key.";
/// What belongs to the connection with the provider, or to its account.
const NOT_PASSED_BACK: [&str; 3] = ["set-cookie", "alt-svc", "openai-organization"];

/// Turns a client's head into the provider's. The error names what cannot be sent.
pub(crate) fn address_to(
    head: &mut RequestHeader,
    candidate: &Candidate,
    caller: Option<&Caller>,
) -> Result<(), String> {
    let provider = &candidate.source.provider;
    withhold(head, caller, &provider.auth);
    withhold_key_in_subprotocol(head)?;
    let target = match &provider.auth {
        UpstreamAuth::Query(name) => target(&provider.base.path, head, Some(name)),
        _ => target(&provider.base.path, head, None),
    };
    let target = with_key(target, provider, &candidate.key);
    head.set_raw_path(target.as_bytes())
        .map_err(|_| "the path".to_owned())?;
    insert(head, "host", &provider.base.authority())?;
    if let Some(grant) = &candidate.source.grant {
        let token = grant.held().ok_or_else(|| "no access token".to_owned())?;
        head.insert_header(AUTHORIZATION, token.header.clone())
            .map_err(|_| "the access token".to_owned())?;
    }
    identify(head, provider, &candidate.key)
}

/// Takes out what is not the provider's to see, and its own key's header, whoever wrote it. A caller's key goes
/// nowhere, in whatever header it stands; one that WebSockets hide in their subprotocols is taken out by itself.
fn withhold(head: &mut RequestHeader, caller: Option<&Caller>, auth: &UpstreamAuth) {
    for name in &WITHHELD {
        head.remove_header(name);
    }
    if let UpstreamAuth::Header(name) = auth {
        head.remove_header(name.as_str());
    }
    let key = caller.map(|caller| caller.key.expose().as_bytes());
    let tells = |name: &HeaderName, value: &HeaderValue| {
        let holds = |key| memchr::memmem::find(value.as_bytes(), key).is_some();
        let mut families = WITHHELD_FAMILIES.iter();
        families.any(|family| name.as_str().starts_with(family))
            || name.as_str() != SUBPROTOCOL && key.is_some_and(holds)
    };
    let headers = head.headers.iter();
    let telling = headers.filter(|(name, value)| tells(name, value));
    let telling: Vec<HeaderName> = telling.map(|(name, _)| name.clone()).collect();
    for name in &telling {
        head.remove_header(name);
    }
}

/// The path at the provider's root, with the query but for the field that the provider's own key is sent in.
fn target(root: &str, head: &RequestHeader, key_field: Option<&str>) -> String {
    let path = head.uri.path();
    let rest = path.strip_prefix("/v1").unwrap_or(path);
    let is_key = |pair: &&str| {
        let name = pair.split('=').next().unwrap_or_default();
        let name = percent_decode_str(name).decode_utf8_lossy();
        key_field.is_some_and(|field| name == field)
    };
    let pairs = head.uri.query().into_iter().flat_map(|it| it.split('&'));
    let query: Vec<&str> = pairs.filter(|pair| !is_key(pair)).collect();
    match query.is_empty() {
        true => format!("{root}{rest}"),
        false => format!("{root}{rest}?{}", query.join("&")),
    }
}

fn withhold_key_in_subprotocol(head: &mut RequestHeader) -> Result<(), String> {
    let offered = head.headers.get_all(SUBPROTOCOL).iter();
    let offered: Vec<String> = offered
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(',').map(|word| word.trim().to_owned()))
        .collect();
    if offered.is_empty() {
        return Ok(());
    }
    head.remove_header(SUBPROTOCOL);
    let kept: Vec<String> = offered
        .into_iter()
        .filter(|word| !word.starts_with(KEY_IN_SUBPROTOCOL))
        .collect();
    if kept.is_empty() {
        return Ok(());
    }
    let value = HeaderValue::from_str(&kept.join(", ")).map_err(|_| SUBPROTOCOL.to_owned())?;
    head.insert_header(SUBPROTOCOL, value)
        .map_err(|_| SUBPROTOCOL.to_owned())
}

/// Takes out of an answer what is not the client's.
pub(crate) fn clean(head: &mut ResponseHeader) {
    for name in NOT_PASSED_BACK {
        head.remove_header(name);
    }
}

/// Whether a path could mean another one to the provider than it does here.
pub(crate) fn is_ambiguous(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    // Some servers cut a path's parameters off before they look for dots.
    let is_dots = |part: &str| matches!(part.split(';').next(), Some("." | ".."));
    !path.is_ascii()
        || lower.contains("%2e")
        || lower.contains("%2f")
        || lower.contains("%5c")
        || path.contains('\\')
        || path.contains("//")
        || path.split('/').any(is_dots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_leads_elsewhere_is_found_out() {
        for path in [
            "/v1/files/../chat/completions",
            "/v1/files/%2E%2e/models",
            "/v1/files/.",
            "/v1/files//x",
            "/v1/files/..%2Fmodels",
            "/v1/files/..;x=y/models",
            "/v1/files/\u{fffd}",
        ] {
            assert!(is_ambiguous(path), "{path}");
        }
        assert!(!is_ambiguous("/v1/files/file-1.jsonl/content%20x"));
    }

    #[test]
    fn a_key_in_the_subprotocol_stays_here() {
        let mut head = RequestHeader::build("GET", b"/v1/realtime?model=x", None).unwrap();
        let offered = "realtime, openai-insecure-api-key.sk-client, openai-beta.realtime-v1";
        head.insert_header(SUBPROTOCOL, offered).unwrap();
        withhold_key_in_subprotocol(&mut head).unwrap();
        assert_eq!(
            head.headers[SUBPROTOCOL],
            "realtime, openai-beta.realtime-v1"
        );
        assert_eq!(target("/api", &head, None), "/api/realtime?model=x");
    }

    #[test]
    fn a_clients_own_key_in_the_query_gives_way_to_the_providers() {
        let head = |path: &[u8]| RequestHeader::build("GET", path, None).unwrap();
        let of = |path: &[u8]| target("/v1beta", &head(path), Some("key"));
        assert_eq!(of(b"/v1/files?a=1&key=x&%6bey=y&b"), "/v1beta/files?a=1&b");
        assert_eq!(of(b"/v1/files?key=x"), "/v1beta/files");
    }
}
