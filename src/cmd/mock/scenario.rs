//! Owns the sixteen scenarios of the failure contract as faults, and which model names ask for one.
//! Must never hold behaviour of its own: each scenario is composed from what scripts can say too.

use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;

use crate::cmd::mock::fault::{Cut, ErrorBody, Fault, Kind};

/// One of S01 to S16.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Scenario(u8);

/// A word that is not `s01` to `s16`.
#[derive(Debug, thiserror::Error)]
#[error("not a scenario: they are s01 to s16")]
pub struct NotAScenario;

// === impl Scenario ===

impl Scenario {
    /// The scenario a model's name ends in, when that ending stands alone: `x/gpt-S08`, but not `opus16`.
    pub fn of_model(model: &str) -> Option<Self> {
        let start = model.len().checked_sub(3)?;
        let (before, id) = (model.get(..start)?, model.get(start..)?);
        if before.ends_with(|c: char| c.is_alphanumeric()) {
            return None;
        }
        id.parse().ok()
    }

    /// Its key in a script: `s01`.
    pub fn key(self) -> String {
        format!("s{:02}", self.0)
    }

    /// What it does, with every duration multiplied by `scale`.
    pub fn fault(self, scale: f64) -> Fault {
        let seconds = |count: u64| Duration::from_secs(count).mul_f64(scale.clamp(0.0, 1000.0));
        match self.0 {
            1 => Fault::first(1, Kind::retry_after(429, "2")), // literal: whole seconds do not scale
            2 => Fault::always(Kind::error(429, ErrorBody::RateLimit)),
            3 => Fault::first(1, Kind::error(500, ErrorBody::Server)),
            5 => Fault::first(1, Kind::Reset),
            6 => Fault::always(Kind::Silence {
                lasts: seconds(120),
            }),
            7 => Fault::always(Kind::HeadThenSilence { lasts: seconds(20) }),
            8 | 14 => Fault::always(Kind::CutAfter {
                tokens: 40,
                how: Cut::Close,
            }),
            9 => Fault::always(Kind::StallAfter {
                tokens: 20,
                lasts: seconds(30),
                how: Cut::Close,
                resumes: false,
            }),
            10 => Fault::always(Kind::MalformedEvent { at: 10 }),
            11 => Fault::always(Kind::NoDone),
            12 => Fault::always(Kind::error(400, ErrorBody::ContextLength)),
            13 => Fault::always(Kind::error(400, ErrorBody::ContentPolicy)),
            15 => Fault::within(seconds(60), Kind::error(503, ErrorBody::Overloaded)),
            _ => Fault::always(Kind::error(503, ErrorBody::Overloaded)), // S04 and S16
        }
    }
}

impl FromStr for Scenario {
    type Err = NotAScenario;

    fn from_str(text: &str) -> Result<Self, NotAScenario> {
        let digits = text
            .strip_prefix(['s', 'S'])
            .filter(|digits| digits.len() == 2);
        let number = digits.and_then(|digits| digits.parse().ok());
        match number {
            Some(number @ 1..=16) => Ok(Self(number)),
            _ => Err(NotAScenario),
        }
    }
}

impl TryFrom<String> for Scenario {
    type Error = NotAScenario;

    fn try_from(text: String) -> Result<Self, NotAScenario> {
        text.parse()
    }
}
