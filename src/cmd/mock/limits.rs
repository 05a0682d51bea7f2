//! Owns the rate limit of a mock: windows of fixed length, kept strictly, and told in the words of OpenAI. Must never
//! tell anything else than it keeps.

use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::cmd::mock::answer::{self, Step};
use crate::cmd::mock::fault::ErrorBody;
use crate::cmd::mock::script::{ScriptError, duration, range};
use crate::cmd::mock::voice::Tongue;

/// What a provider takes in a window; everything beyond it is a 429.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Requests in a window, at least one. Default: any number.
    pub requests: Option<u64>,
    /// Tokens in a window: a quarter of the body's bytes, and those of the answer. Default: any number.
    pub tokens: Option<u64>,
    /// How long a window is; the first begins with the first request. Default one minute.
    #[serde(deserialize_with = "duration")]
    pub window: Duration,
    /// Whether answers tell what remains, in `x-ratelimit-*` headers. Default true.
    pub told: bool,
}

/// The window that is open.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    opened: Option<Instant>,
    requests: u64,
    tokens: u64,
}

/// Whether a request is taken, and what its answer tells.
#[derive(Clone, Debug)]
pub(crate) struct Admission {
    pub(crate) is_taken: bool,
    pub(crate) headers: Vec<(String, String)>,
    /// Until the window is over.
    pub(crate) left: Duration,
}

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests: None,
            tokens: None,
            window: Duration::from_mins(1),
            told: true,
        }
    }
}

impl Limits {
    pub(crate) fn check(&self) -> Result<(), ScriptError> {
        let some = self.requests != Some(0) && self.tokens != Some(0);
        range("limits", some, "at least 1 of each")?;
        range("limits.window", !self.window.is_zero(), "longer than 0s")
    }

    /// Tells what remains of one limit.
    fn tell(
        &self,
        what: &str,
        most: Option<u64>,
        used: u64,
        left: Duration,
    ) -> Vec<(String, String)> {
        let Some(most) = most.filter(|_| self.told) else {
            return Vec::new();
        };
        let remaining = most.saturating_sub(used);
        vec![
            (format!("x-ratelimit-limit-{what}"), most.to_string()),
            (
                format!("x-ratelimit-remaining-{what}"),
                remaining.to_string(),
            ),
            (
                format!("x-ratelimit-reset-{what}"),
                format!("{}ms", left.as_millis()),
            ),
        ]
    }
}

// === impl Meter ===

impl Meter {
    /// Counts a request of so many tokens, if the limits still allow it.
    pub(crate) fn admit(&mut self, limits: &Limits, tokens: u64) -> Admission {
        let open = self
            .opened
            .filter(|opened| opened.elapsed() < limits.window);
        let opened = open.unwrap_or_else(|| {
            *self = Self::default();
            Instant::now()
        });
        self.opened = Some(opened);
        let fits = |most: Option<u64>, used: u64| most.is_none_or(|most| used <= most);
        let (requests, all_tokens) = (self.requests + 1, self.tokens.saturating_add(tokens));
        let is_taken = fits(limits.requests, requests) && fits(limits.tokens, all_tokens);
        if is_taken {
            (self.requests, self.tokens) = (requests, all_tokens);
        }
        let left = limits.window.saturating_sub(opened.elapsed());
        let mut headers = limits.tell("requests", limits.requests, self.requests, left);
        headers.extend(limits.tell("tokens", limits.tokens, self.tokens, left));
        Admission {
            is_taken,
            headers,
            left,
        }
    }
}

// === impl Admission ===

impl Admission {
    /// The steps with what is told in their head; `now` is in seconds since 1970.
    pub(crate) fn tell(self, mut steps: Vec<Step>, tongue: Tongue<'_>, now: u64) -> Vec<Step> {
        let headers = tongue.limits(self.headers, now + self.left.as_secs() + 1);
        for step in &mut steps {
            if let Step::Head(head) = step {
                head.headers.extend(headers.clone());
            }
        }
        steps
    }

    /// The 429 of a request that is one too many.
    pub(crate) fn refuse(self, tongue: Tongue<'_>, now: u64) -> Vec<Step> {
        let body = r#"{"error":{"message":"Rate limit reached for this model.","type":"requests","param":null,"code":"rate_limit_exceeded"}}"#;
        let wait = format!("{:.3}", self.left.as_secs_f64());
        let mut steps = match tongue {
            Tongue::Chat => answer::json(429, body),
            Tongue::Dialect(..) => tongue.error(ErrorBody::RateLimit, 429, Some(&wait)),
        };
        if let Some(Step::Head(head)) = steps.first_mut() {
            head.headers.push(("retry-after".to_owned(), wait));
        }
        self.tell(steps, tongue, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_takes_what_it_says_and_tells_it() {
        let limits = Limits {
            requests: Some(2),
            tokens: Some(100),
            ..Limits::default()
        };
        let mut meter = Meter::default();
        let first = meter.admit(&limits, 10);
        assert!(first.is_taken);
        let told = |admission: &Admission, name: &str| {
            let mut headers = admission.headers.iter();
            headers
                .find(|(known, _)| known == name)
                .map(|(_, value)| value.clone())
        };
        let remaining = "x-ratelimit-remaining-tokens";
        assert_eq!(told(&first, remaining).as_deref(), Some("90"));
        assert!(!meter.admit(&limits, 91).is_taken, "too many tokens");
        let second = meter.admit(&limits, 90);
        assert!(second.is_taken);
        assert_eq!(told(&second, remaining).as_deref(), Some("0"));
        let third = meter.admit(&limits, 0);
        assert!(!third.is_taken && !third.left.is_zero());
        let silent = Limits {
            told: false,
            ..limits
        };
        assert_eq!(meter.admit(&silent, 0).headers, []);
    }

    #[test]
    fn a_window_that_is_over_is_whole_again() {
        let limits = Limits {
            requests: Some(1),
            window: Duration::from_millis(1),
            ..Limits::default()
        };
        let mut meter = Meter::default();
        assert!(meter.admit(&limits, 0).is_taken);
        while meter.opened.unwrap().elapsed() < limits.window {}
        assert!(meter.admit(&limits, 0).is_taken);
    }
}
