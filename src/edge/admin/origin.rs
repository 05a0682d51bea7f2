//! Owns whether a request may come from another site's page. Operators' browsers reach this port where strangers
//! cannot, so a stranger's page could send requests through them. Must never turn away what is no browser.

use std::net::IpAddr;

use http::{HeaderMap, Method};

/// Whether another site's page made a browser send this: one that would change something, or, where no token
/// guards the port, one that reached it under a name of the stranger's own (DNS rebinding).
pub(super) fn is_foreign(method: &Method, headers: &HeaderMap, host: &str, guarded: bool) -> bool {
    let text = |name: &str| headers.get(name)?.to_str().ok();
    let site = text("sec-fetch-site");
    let origin = text("origin");
    let is_browser = site.is_some() || origin.is_some();
    if is_browser && !guarded && !is_own_name(host) {
        return true;
    }
    if matches!(*method, Method::GET | Method::HEAD) {
        return false;
    }
    let from_elsewhere = site.is_some_and(|site| !matches!(site, "same-origin" | "none"));
    let authority = |origin: &str| origin.split_once("://").map(|(_, rest)| rest.to_owned());
    from_elsewhere || origin.is_some_and(|origin| authority(origin).as_deref() != Some(host))
}

/// An address, or a name that no stranger can have: what is resolved elsewhere may be anybody's.
fn is_own_name(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || name.ends_with(".localhost") || address.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn foreign(
        method: &Method,
        headers: &[(&'static str, &str)],
        host: &str,
        guarded: bool,
    ) -> bool {
        let pairs = headers
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()));
        is_foreign(method, &pairs.collect(), host, guarded)
    }

    #[test]
    fn a_strangers_page_changes_nothing_and_programs_are_not_asked() {
        let (get, post, host) = (&Method::GET, &Method::POST, "127.0.0.1:8081");
        assert!(!foreign(post, &[], host, false), "curl");
        assert!(!foreign(
            post,
            &[("origin", "http://127.0.0.1:8081")],
            host,
            false
        ));
        assert!(!foreign(
            post,
            &[("sec-fetch-site", "same-origin")],
            host,
            true
        ));
        assert!(foreign(
            post,
            &[("origin", "https://evil.example")],
            host,
            true
        ));
        assert!(foreign(
            post,
            &[("sec-fetch-site", "cross-site")],
            host,
            true
        ));
        assert!(foreign(post, &[("origin", "null")], host, true));
        assert!(!foreign(get, &[("sec-fetch-site", "none")], host, false));
    }

    #[test]
    fn a_name_of_the_strangers_own_reads_nothing_where_no_token_guards() {
        let browser: &[(&str, &str)] = &[("sec-fetch-site", "same-origin")];
        assert!(foreign(&Method::GET, browser, "evil.example:8081", false));
        assert!(!foreign(&Method::GET, browser, "evil.example:8081", true));
        assert!(!foreign(&Method::GET, &[], "mainstay.internal:8081", false));
        for own in ["localhost:8081", "127.0.0.1:8081", "[::1]:8081", "10.0.0.7"] {
            assert!(!foreign(&Method::GET, browser, own, false), "{own}");
        }
    }
}
