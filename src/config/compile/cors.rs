//! Owns the rules of `server.cors`: origins as browsers write them. Must never take a pattern that matches a page
//! of someone else.

use url::Url;

use crate::config::raw;
use crate::config::report::Report;
use crate::config::scalar::Text;
use crate::config::snapshot::{Cors, OriginPattern};
use crate::config::trail::Trail;

const ANY: &str = "*";
const HINT: &str =
    "write https://app.example.com, https://*.example.com for its sub-domains, or \"*\"";

pub(super) fn compile(config: &raw::Config, at: &Trail, report: &mut Report<'_>) -> Cors {
    let at = at.key("origins");
    let written = &config.server.cors.origins.0;
    if written.is_empty() {
        return Cors::Off;
    }
    let mut patterns = Vec::new();
    for (index, Text(text)) in written.iter().enumerate() {
        let at = at.index(index);
        match pattern(text) {
            _ if text == ANY => check_any(config, &at, report),
            Ok(pattern) if patterns.contains(&pattern) => {
                report.error(&at, format!("{} is listed twice", report.quoted(&at)));
            }
            Ok(pattern) => patterns.push(pattern),
            Err(why) => {
                let message = format!("{} {why}", report.quoted(&at));
                report.error_with(&at, message, HINT.to_owned());
            }
        }
    }
    let is_any = written.iter().any(|Text(text)| text == ANY);
    if is_any && !patterns.is_empty() {
        let hint = "remove them, or remove \"*\"".to_owned();
        report.warn(&at, "beside \"*\" the other origins have no effect", hint);
    }
    match is_any {
        true => Cors::Any,
        false => Cors::Only(patterns),
    }
}

/// A page runs where its reader's browser does, so a listener on loopback is no protection from it.
fn check_any(config: &raw::Config, at: &Trail, report: &mut Report<'_>) {
    if config.auth.keys.0.is_empty() {
        let hint = "add `auth.keys`, or name the origins".to_owned();
        let message = "any web page may call, and no key is asked for";
        report.warn(at, message, hint);
    }
}

fn pattern(text: &str) -> Result<OriginPattern, &'static str> {
    let Some((before, after)) = text.split_once('*') else {
        return exact(text).map(OriginPattern::Exact);
    };
    if !before.ends_with("://") || !after.starts_with('.') {
        return Err("has its `*` where no sub-domain stands");
    }
    // What any sub-domain may stand before is an origin with one.
    exact(&format!("{before}x{after}"))?;
    Ok(OriginPattern::Subdomains {
        before: before.to_owned(),
        after: after.to_owned(),
    })
}

/// The origin, where a browser would write it so: nothing else is ever equal to what it sends.
fn exact(text: &str) -> Result<String, &'static str> {
    const NO_ORIGIN: &str = "is not an origin";
    let (scheme, host) = text.split_once("://").ok_or(NO_ORIGIN)?;
    if host.contains(['/', '?', '#', '@', '*']) {
        return Err("has more than a scheme, a host and a port");
    }
    let url = Url::parse(text).map_err(|_| NO_ORIGIN)?;
    let origin = match scheme {
        "http" | "https" => url.origin().ascii_serialization(),
        // Browsers' extensions and embedded web views have schemes of their own.
        _ => text.to_owned(),
    };
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"\",;\\".contains(&byte);
    if host.is_empty() || !text.bytes().all(is_plain) {
        return Err(NO_ORIGIN);
    }
    match origin == text {
        true => Ok(origin),
        false => Err("is not as browsers write it: lower case, no default port, ASCII"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_taken_as_browsers_write_them() {
        let good = [
            "https://app.example.com",
            "http://localhost:3000",
            "http://[::1]:8080",
            "https://xn--mnchen-3ya.de",
            "chrome-extension://abcdefghijklmnop",
            "https://*.example.com",
            "http://*.example.com:3000",
        ];
        for text in good {
            assert!(pattern(text).is_ok(), "{text}: {:?}", pattern(text));
        }
        let bad = [
            "",
            "null",
            "app.example.com",
            "https://app.example.com/",
            "https://app.example.com/path",
            "https://App.example.com",
            "https://app.example.com:443",
            "https://user@example.com",
            "https://münchen.de",
            "https://",
            "https://*",
            "https://*example.com",
            "https://a.*.example.com",
            "*.example.com",
            "https://*.*.com",
        ];
        for text in bad {
            assert!(pattern(text).is_err(), "{text}: {:?}", pattern(text));
        }
    }

    #[test]
    fn a_pattern_takes_sub_domains_and_nothing_that_looks_like_them() {
        let of = |text| pattern(text).unwrap();
        let sub = of("https://*.example.com");
        for origin in ["https://a.example.com", "https://a.b-c.example.com"] {
            assert!(sub.matches(origin), "{origin}");
        }
        let others = [
            "https://example.com",
            "https://.example.com",
            "http://a.example.com",
            "https://a.example.com:8443",
            "https://a.example.com.evil.test",
            "https://evil.test/.example.com",
            "https://evil.test#.example.com",
            "https://aexample.com",
            "null",
        ];
        for origin in others {
            assert!(!sub.matches(origin), "{origin}");
        }
        assert!(!of("https://example.com").matches("https://a.example.com"));
    }
}
