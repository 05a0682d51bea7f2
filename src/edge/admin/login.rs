//! Owns the sessions of people at the status page: the token is typed once, and a cookie stands for it. A session
//! ends with its token. Must never keep a token or a session's name as it was sent, or answer guesses quickly.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::header::COOKIE;
use http::{HeaderMap, Response, StatusCode};
use pingora::protocols::http::ServerSession;
use url::form_urlencoded;
use uuid::Uuid;

use crate::core::time::Time;
use crate::edge::admin::page;
use crate::edge::admin::reading::body;
use crate::edge::auth::{self, Digest};

const COOKIE_NAME: &str = "mainstay_session";
/// A working day, and a bit.
const LONGEST: Duration = Duration::from_secs(12 * 3600);
/// Sessions at once; the oldest makes room.
const MOST: usize = 64;
/// A form with a token.
const LONGEST_FORM: u64 = 16 * 1024;
/// Guessing takes this long a guess and connection.
const WRONG: Duration = Duration::from_millis(500);

/// Who has logged in.
#[derive(Debug, Default)]
pub struct Sessions(Mutex<Vec<Session>>);

#[derive(Debug)]
struct Session {
    name: Digest,
    /// The token that it was opened with.
    token: Digest,
    until: Time,
}

impl Sessions {
    /// Whether the request's cookie names a session that was opened with this token.
    pub(super) fn admits(&self, headers: &HeaderMap, token: &str, now: Time) -> bool {
        let Some(name) = cookie(headers).map(auth::digest) else {
            return false;
        };
        let token = auth::digest(token);
        let sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = sessions.iter();
        all.any(|one| one.name == name && one.token == token && now < one.until)
    }

    fn open(&self, token: &str, now: Time) -> String {
        // 122 random bits each, from the operating system.
        let name = Uuid::new_v4().to_string();
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|one| now < one.until);
        if sessions.len() >= MOST {
            sessions.remove(0);
        }
        sessions.push(Session {
            name: auth::digest(&name),
            token: auth::digest(token),
            until: now + LONGEST,
        });
        name
    }

    fn close(&self, headers: &HeaderMap) {
        let name = cookie(headers).map(auth::digest);
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|one| Some(&one.name) != name.as_ref());
    }

    /// Answers the form: a cookie and the page, or the form again.
    pub(super) async fn log_in(
        &self,
        session: &mut ServerSession,
        token: Option<&str>,
        now: Time,
    ) -> Response<Vec<u8>> {
        let form = body(session, LONGEST_FORM).await.unwrap_or_default();
        let typed = form_urlencoded::parse(&form).find(|(name, _)| name == "token");
        let typed = typed.map(|(_, token)| token.into_owned());
        match (token, typed) {
            (None, _) => page::to_the_page(None),
            (Some(token), Some(typed)) if auth::is_same(token, &typed) => {
                let name = self.open(token, now);
                let cookie = set_cookie(&name, LONGEST.as_secs());
                page::to_the_page(Some(&cookie))
            }
            (Some(_), _) => {
                tokio::time::sleep(WRONG).await;
                page::login(StatusCode::UNAUTHORIZED)
            }
        }
    }

    /// Ends the session that the cookie names.
    pub(super) fn log_out(&self, headers: &HeaderMap) -> Response<Vec<u8>> {
        self.close(headers);
        page::to_the_page(Some(&set_cookie("", 0)))
    }
}

/// Scripts cannot read it, and no other site's page can have it sent.
fn set_cookie(name: &str, seconds: u64) -> String {
    format!("{COOKIE_NAME}={name}; HttpOnly; SameSite=Strict; Path=/; Max-Age={seconds}")
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let all = headers.get_all(COOKIE).iter();
    let mut pairs = all
        .filter_map(|value| value.to_str().ok())
        .flat_map(|line| line.split(';'));
    pairs.find_map(|pair| pair.trim().strip_prefix(COOKIE_NAME)?.strip_prefix('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(cookie: &str) -> HeaderMap {
        HeaderMap::from_iter([(COOKIE, cookie.parse().unwrap())])
    }

    #[test]
    fn a_session_lasts_as_long_as_its_token_and_no_longer_than_a_day() {
        let sessions = Sessions::default();
        let name = sessions.open("right", Time::ZERO);
        let sent = headers(&format!("a=b; {COOKIE_NAME}={name}"));
        let soon = Time::ZERO + Duration::from_secs(60);
        assert!(sessions.admits(&sent, "right", soon));
        assert!(!sessions.admits(&sent, "another", soon));
        assert!(!sessions.admits(&headers("a=b"), "right", soon));
        assert!(!sessions.admits(&headers(&format!("{COOKIE_NAME}=guess")), "right", soon));
        assert!(!sessions.admits(&sent, "right", Time::ZERO + LONGEST));
        sessions.log_out(&sent);
        assert!(!sessions.admits(&sent, "right", soon));
    }

    #[test]
    fn sessions_are_bounded() {
        let sessions = Sessions::default();
        let first = sessions.open("t", Time::ZERO);
        for _ in 0..MOST {
            sessions.open("t", Time::ZERO);
        }
        let sent = headers(&format!("{COOKIE_NAME}={first}"));
        assert!(!sessions.admits(&sent, "t", Time::ZERO));
        assert_eq!(sessions.0.lock().unwrap().len(), MOST);
    }
}
