//! Owns the step from a value to `raw::Config`. serde stops at its first error, so what it refuses is
//! reported, taken out and the rest read again. Must never quote a value: it may be a credential.

use serde::Deserialize;
use serde_path_to_error::{Path, Segment};
use serde_yaml::{Mapping, Value};

use crate::config::raw;
use crate::config::report::Report;
use crate::config::snippet;
use crate::config::trail::{Step, Trail};
use crate::core::nearest::did_you_mean;

/// Errors of this kind that one reading reports. Each costs up to three readings of the file.
const MOST: usize = 30;

/// A text this long where something else belongs may be a pasted credential; its line is not shown.
const LONG: usize = 20;

/// Reads the value, reporting everything that serde refuses. `None`: too little is left to go on.
pub(super) fn decode(mut value: Value, report: &mut Report<'_>) -> Option<raw::Config> {
    for _ in 0..MOST {
        let (at, message) = match attempt(&value) {
            Ok(config) => return Some(config),
            Err(refused) => refused,
        };
        tell(&at, &message, &value, report);
        if !take_out(&mut value, &at, is_unknown(&message)) {
            return None;
        }
    }
    None
}

fn attempt(value: &Value) -> Result<raw::Config, (Trail, String)> {
    let mut track = serde_path_to_error::Track::new();
    let tracked = serde_path_to_error::Deserializer::new(value, &mut track);
    raw::Config::deserialize(tracked).map_err(|error| (trail(&track.path()), error.to_string()))
}

fn trail(path: &Path) -> Trail {
    path.iter()
        .filter_map(|segment| match segment {
            Segment::Seq { index } => Some(Step::Index(*index)),
            Segment::Map { key } => Some(Step::Key(key.clone())),
            Segment::Enum { .. } | Segment::Unknown => None,
        })
        .collect()
}

fn is_unknown(message: &str) -> bool {
    message.starts_with("unknown field ")
}

fn tell(at: &Trail, message: &str, value: &Value, report: &mut Report<'_>) {
    let found = find(value, at);
    // A credential that lost the space before it is part of a key.
    if shown_key(at) != last_key(at) {
        report.hide_key(at);
    }
    if is_unknown(message) {
        // A misspelt `token` or `headers` still holds credentials.
        if found.is_some_and(|found| !found.is_null()) {
            report.hide(at);
        }
        let (message, hint) = unknown_field(at, message);
        report.key_error(at, message, hint);
        return;
    }
    if found.is_some_and(|found| is_long_text(found) || may_hold_credential(found)) {
        report.hide(at);
    }
    let hint = hint_for(message, found).or_else(|| misplaced(at, message, found));
    report.error_with(at, refusal(message, found), hint);
    report.settle(at);
}

fn may_hold_credential(value: &Value) -> bool {
    let text = value.as_str();
    text.is_some_and(|text| snippet::without_lookalikes(text) != text)
}

fn is_long_text(value: &Value) -> bool {
    value
        .as_str()
        .is_some_and(|text| text.chars().count() >= LONG)
}

/// serde's message without the value that it quotes. What it expected is our own text and comes last.
fn refusal(message: &str, found: Option<&Value>) -> String {
    let is_quoting = message.starts_with("invalid ");
    match message.rsplit_once(", expected ") {
        Some((head, expected)) if head.starts_with("invalid type") => {
            format!("expected {expected}, found {}", kind(found))
        }
        Some((_, expected)) => format!("expected {expected}"),
        None if is_quoting => "this value does not belong here".to_owned(),
        None => message.to_owned(),
    }
}

fn hint_for(message: &str, found: Option<&Value>) -> Option<String> {
    let is_scalar = matches!(found, Some(Value::Number(_) | Value::Bool(_)));
    if is_scalar && message.ends_with("expected text") {
        return Some("put it in quotes".to_owned());
    }
    if message.ends_with("expected a list") && found.is_some() {
        return Some("begin each entry with `- `, or put [ ] around them".to_owned());
    }
    let is_duration = message.contains("expected a duration");
    (is_scalar && is_duration).then(|| "write the unit, such as 30s".to_owned())
}

/// What stands where a provider, model or policy is expected is most often a setting of the one above, too far left.
fn misplaced(at: &Trail, message: &str, found: Option<&Value>) -> Option<String> {
    let [Step::Key(section), Step::Key(_)] = at.steps() else {
        return None;
    };
    let is_entry = message.contains("expected a map of ");
    let is_other = found.is_some_and(|found| !found.is_mapping() && !found.is_null());
    let name = shown_key(at);
    (is_entry && is_other).then(|| {
        format!("this takes \"{name}\" for one of `{section}`; if it is a setting of the one above, indent it further")
    })
}

fn kind(value: Option<&Value>) -> &'static str {
    match value {
        Some(Value::String(_)) => "text",
        Some(Value::Number(_)) => "a number",
        Some(Value::Bool(_)) => "true or false",
        Some(Value::Sequence(_)) => "a list",
        Some(Value::Mapping(_)) => "a map",
        Some(Value::Tagged(_)) => "a tag",
        Some(Value::Null) | None => "nothing",
    }
}

fn unknown_field(at: &Trail, message: &str) -> (String, Option<String>) {
    let written = shown_key(at);
    let known = known_fields(message);
    let hint = did_you_mean(&written, known.iter().copied())
        .unwrap_or_else(|| format!("known here: {}", known.join(", ")));
    (format!("unknown field \"{written}\""), Some(hint))
}

fn last_key(at: &Trail) -> &str {
    match at.split_last() {
        Some((Step::Key(key), _)) => key,
        Some((Step::Index(_), _)) | None => "",
    }
}

/// The key as a message may quote it.
fn shown_key(at: &Trail) -> String {
    snippet::without_lookalikes(last_key(at))
}

/// The names in serde's "expected one of `a`, `b`".
pub(super) fn known_fields(message: &str) -> Vec<&str> {
    let list = message
        .rsplit_once(", expected ")
        .map_or("", |(_, list)| list);
    list.split('`').skip(1).step_by(2).collect()
}

/// Removes what was refused, leaving its neighbours where they are. An entry that is no map becomes an empty
/// one first, so that references to its name still hold. False: nothing helps.
fn take_out(value: &mut Value, at: &Trail, is_unknown: bool) -> bool {
    let Some((last, owner)) = at.split_last() else {
        return false;
    };
    let is_last_try = is_unknown || find(value, at).is_some_and(is_empty_map);
    match (find_mut(value, &owner), last) {
        (Some(Value::Mapping(map)), Step::Key(key)) if is_last_try => {
            map.shift_remove(key.as_str()).is_some()
        }
        (Some(Value::Mapping(map)), Step::Key(key)) => {
            replace(map.get_mut(key.as_str()), Value::Mapping(Mapping::new()))
        }
        (Some(Value::Sequence(list)), Step::Index(index)) => {
            let element = list.get_mut(*index);
            let is_empty_text = element.as_ref().is_some_and(|e| e.as_str() == Some(""));
            let substitute = match is_last_try {
                true => Value::String(String::new()),
                false => Value::Mapping(Mapping::new()),
            };
            !is_empty_text && replace(element, substitute)
        }
        _ => false,
    }
}

fn replace(slot: Option<&mut Value>, substitute: Value) -> bool {
    slot.map(|slot| *slot = substitute).is_some()
}

fn is_empty_map(value: &Value) -> bool {
    value.as_mapping().is_some_and(Mapping::is_empty)
}

fn find<'v>(value: &'v Value, at: &Trail) -> Option<&'v Value> {
    at.steps().iter().try_fold(value, |value, step| match step {
        Step::Key(key) => value.as_mapping()?.get(key.as_str()),
        Step::Index(index) => value.as_sequence()?.get(*index),
    })
}

pub(super) fn find_mut<'v>(value: &'v mut Value, at: &Trail) -> Option<&'v mut Value> {
    at.steps().iter().try_fold(value, |value, step| match step {
        Step::Key(key) => value.as_mapping_mut()?.get_mut(key.as_str()),
        Step::Index(index) => value.as_sequence_mut()?.get_mut(*index),
    })
}
