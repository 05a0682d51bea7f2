//! Owns the status page's files and the headers that they are sent with: nothing is fetched from anywhere else, and
//! no other page may frame it. Must never hold what a file says of the running process: the page asks for that.

use http::{Response, StatusCode};

use crate::edge::admin::answer;

const INDEX: &str = include_str!("page/index.html");
const LOGIN: &str = include_str!("page/login.html");
const FILES: [(&str, &str, &str); 4] = [
    (
        "/page.css",
        "text/css; charset=utf-8",
        include_str!("page/page.css"),
    ),
    (
        "/page.js",
        "text/javascript; charset=utf-8",
        include_str!("page/page.js"),
    ),
    (
        "/uplot.css",
        "text/css; charset=utf-8",
        include_str!("page/uplot.css"),
    ),
    (
        "/uplot.js",
        "text/javascript; charset=utf-8",
        include_str!("page/uplot.js"),
    ),
];
/// Only what comes from here, no inline script, nobody's frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The page itself; who needed no token has nothing to log out of.
pub(super) fn index(guarded: bool) -> Response<Vec<u8>> {
    let page = INDEX.replace("{{logout}}", if guarded { "" } else { "hidden" });
    sealed(StatusCode::OK, "text/html; charset=utf-8", &page)
}

/// The form for the token, again where it was wrong.
pub(super) fn login(status: StatusCode) -> Response<Vec<u8>> {
    let said = match status {
        StatusCode::UNAUTHORIZED => "That is not the token.",
        _ => "",
    };
    let form = LOGIN.replace("{{said}}", said);
    sealed(status, "text/html; charset=utf-8", &form)
}

/// One of the files that the page names; they hold nothing secret.
pub(super) fn file(path: &str) -> Option<Response<Vec<u8>>> {
    let (_, kind, text) = FILES.iter().find(|(name, ..)| *name == path)?;
    Some(sealed(StatusCode::OK, kind, text))
}

/// Sends a browser from a form to the page.
pub(super) fn to_the_page(cookie: Option<&str>) -> Response<Vec<u8>> {
    let mut response = sealed(StatusCode::SEE_OTHER, "text/plain; charset=utf-8", "");
    let headers = response.headers_mut();
    headers.insert("location", http::HeaderValue::from_static("/"));
    if let Some(cookie) = cookie.and_then(|cookie| cookie.parse().ok()) {
        headers.insert("set-cookie", cookie);
    }
    response
}

fn sealed(status: StatusCode, kind: &str, text: &str) -> Response<Vec<u8>> {
    let mut response = answer(status, kind, text.as_bytes().to_vec());
    let fixed = [
        ("content-security-policy", POLICY),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "same-origin"),
        ("cache-control", "no-cache"),
    ];
    for (name, value) in fixed {
        let value = http::HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
    response
}
