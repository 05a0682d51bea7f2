//! Owns what a mock may be told: the healthy behaviour, and which faults are laid over it.
//! Must never do anything with it: a script is data.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::cmd::mock::fault::Fault;
use crate::cmd::mock::limits::Limits;
use crate::cmd::mock::oauth::OAuth;

/// The sixty words of the healthy answer. One of them is not ASCII, so that a split inside a character shows.
pub const WORDS: &str = "A harbour pilot knows every rock by its name and still watches the water. When one lamp \
goes dark she steers by the next, and the passengers in the café below feel only a gentle turn. Nobody claps for a \
storm that never reached the deck. Her log keeps each decision anyway, plain enough for strangers to read at dawn.";

/// How a mock behaves. Durations are written as `250ms`, `1m 30s`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Script {
    /// Shown in the `x-mock` header and in logs. Default: empty, then no header.
    pub name: String,
    /// Wait until the first content event; the head and the role delta go out before it. Default 20 ms.
    #[serde(deserialize_with = "duration")]
    pub first_token: Duration,
    /// Wait between two tokens. Default 2 ms. A JSON answer waits for the sum before its head.
    #[serde(deserialize_with = "duration")]
    pub pace: Duration,
    /// Tokens of an answer, 100 000 at most; the words repeat when there are more tokens than words. Default 60.
    pub tokens: u32,
    /// Every healthy wait is drawn from `1 - jitter` to `1 + jitter` times itself, 0 to 1. Default 0.
    pub jitter: f64,
    /// The answer's text; one word with its trailing space is one token. Default: [`WORDS`].
    pub words: String,
    /// Whether answers carry usage (streams only when the request asks). Default true.
    pub usage: bool,
    /// Keys that are let in, as bearer token or in `api-key`. Default: none listed, any or no key is let in.
    pub keys: Vec<String>,
    /// Share of the otherwise healthy requests that fail with `status`, 0 to 1. Default 0.
    pub fail: f64,
    /// The status of such a failure. Default 500.
    pub status: u16,
    /// Multiplies all durations of the built-in scenarios (not of scripted faults). Default 1.
    pub scale: f64,
    /// Faults by model: the exact name, the name without its author, or a scenario to redefine (`s01`).
    pub models: BTreeMap<String, Fault>,
    /// A fault for every request, the model list and `/health` included. Comes before those of models.
    pub fault: Option<Fault>,
    /// Access tokens are given, and nothing else is let in. Default: none are.
    pub oauth: Option<OAuth>,
    /// A rate limit that is kept and told. It comes before all faults. Default: none.
    pub limits: Option<Limits>,
    /// A request that ends in an assistant message gets the words after it, not the whole text again. Default false.
    pub continues: bool,
    /// Every answer is the digest of its request, as a request that says `digest` gets it. Default false.
    pub digest: bool,
    /// Chat is read as strictly as the other dialects, and answered by what it means. Default false.
    pub strict: bool,
    /// Calls of tools, one an answer and in this order, as long as a request offers the tool that is next; how many the
    /// conversation holds already says which one that is. Then, and elsewhere, the words. Default: none.
    pub calls: Vec<ScriptedCall>,
    /// Closes a connection that has been idle this long. Default: never.
    #[serde(deserialize_with = "optional_duration")]
    pub idle: Option<Duration>,
    /// Resets every new connection at once. Default false.
    pub refuse: bool,
    /// Writes the body in pieces of this many bytes, each its own chunk and its own write. Default: one an event.
    pub split: Option<NonZeroUsize>,
    /// Makes the draws of `fail` and `jitter` repeatable. Default: a fresh seed.
    pub seed: Option<u64>,
}

/// A call of a tool, word for word.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptedCall {
    /// The tool's name.
    pub tool: String,
    /// What it is called with, as JSON. Default: an empty object.
    #[serde(default = "empty_object")]
    pub arguments: Value,
}

/// A script that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    #[error("{0}")]
    Syntax(#[from] serde_path_to_error::Error<serde_yaml::Error>),
    #[error("{field} must be {wanted}")]
    Range {
        field: &'static str,
        wanted: &'static str,
    },
}

// === impl Script ===

impl Default for Script {
    fn default() -> Self {
        Self {
            name: String::new(),
            first_token: Duration::from_millis(20),
            pace: Duration::from_millis(2),
            tokens: 60,
            jitter: 0.0,
            words: WORDS.to_owned(),
            usage: true,
            keys: Vec::new(),
            fail: 0.0,
            status: 500,
            scale: 1.0,
            models: BTreeMap::new(),
            fault: None,
            oauth: None,
            limits: None,
            continues: false,
            digest: false,
            strict: false,
            calls: Vec::new(),
            idle: None,
            refuse: false,
            split: None,
            seed: None,
        }
    }
}

impl Script {
    /// Reads a script from YAML or JSON. An empty text is the default script.
    pub fn parse(text: &str) -> Result<Self, ScriptError> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let script: Self =
            serde_path_to_error::deserialize(serde_yaml::Deserializer::from_str(text))?;
        script.check()?;
        Ok(script)
    }

    /// The tokens of a healthy answer, in order.
    pub fn pieces(&self) -> Vec<String> {
        let words = self.words.split_whitespace().map(|word| format!("{word} "));
        let wanted = usize::try_from(self.tokens).unwrap_or(usize::MAX);
        words.cycle().take(wanted).collect()
    }

    /// The text of a healthy answer.
    pub fn answer(&self) -> String {
        self.pieces().concat()
    }

    fn check(&self) -> Result<(), ScriptError> {
        let share = |field, value: f64| range(field, (0.0..=1.0).contains(&value), "from 0 to 1");
        share("jitter", self.jitter)?;
        share("fail", self.fail)?;
        range(
            "scale",
            (0.0..=1000.0).contains(&self.scale),
            "from 0 to 1000",
        )?;
        range("tokens", self.tokens <= 100_000, "at most 100000")?;
        range("status", is_status(self.status), "from 200 to 599")?;
        self.limits.as_ref().map_or(Ok(()), Limits::check)?;
        self.models
            .values()
            .chain(&self.fault)
            .try_for_each(Fault::check)
    }
}

fn empty_object() -> Value {
    Value::Object(serde_json::Map::new())
}

pub(crate) fn range(
    field: &'static str,
    holds: bool,
    wanted: &'static str,
) -> Result<(), ScriptError> {
    if holds {
        Ok(())
    } else {
        Err(ScriptError::Range { field, wanted })
    }
}

pub(crate) fn is_status(status: u16) -> bool {
    (200..600).contains(&status)
}

pub(crate) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_duration(&text).map_err(D::Error::custom)
}

pub(crate) fn optional_duration<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| parse_duration(&text))
        .transpose()
        .map_err(D::Error::custom)
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(duration) if duration <= LONGEST => Ok(duration),
        Ok(_) => Err(format!("`{text}` is longer than a year")),
        Err(_) => Err(format!(
            "`{text}` is not a duration such as 250ms or 1m 30s"
        )),
    }
}

/// Short enough to be multiplied without overflow.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);
