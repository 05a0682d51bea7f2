//! Owns `${VAR}`, `${VAR:-default}` and `$$` in the scalars of a parsed file: after parsing, so that a value
//! with `:` or `#` cannot change the YAML. Must never put a variable's value into a finding.

use serde_yaml::Value;

use crate::config::report::Report;
use crate::config::trail::Trail;

/// Looks a variable up.
pub(super) type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Expands every scalar in place. What cannot be expanded is reported and becomes empty.
pub(super) fn expand(value: &mut Value, env: Env<'_>, report: &mut Report<'_>) {
    expand_below(value, &Trail::default(), env, report);
}

fn expand_below(value: &mut Value, at: &Trail, env: Env<'_>, report: &mut Report<'_>) {
    match value {
        Value::String(text) if text.contains('$') => match expanded(text, env) {
            Ok(expanded) => *text = expanded,
            Err(trouble) => {
                report.error_with(at, trouble.message, Some(trouble.hint));
                report.settle(at);
                text.clear();
            }
        },
        Value::Sequence(list) => {
            for (index, element) in list.iter_mut().enumerate() {
                expand_below(element, &at.index(index), env, report);
            }
        }
        Value::Mapping(map) => {
            for (key, value) in map.iter_mut() {
                let below = at.key(key.as_str().unwrap_or_default());
                expand_below(value, &below, env, report);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Tagged(_) => {}
    }
}

#[derive(Debug, PartialEq)]
struct Trouble {
    message: String,
    hint: String,
}

fn expanded(text: &str, env: Env<'_>) -> Result<String, Trouble> {
    let mut done = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        done.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            done.push('$');
            rest = after;
        } else if let Some(after) = after.strip_prefix('{') {
            let (inner, after) = after.split_once('}').ok_or_else(unclosed)?;
            done.push_str(&variable(inner, env)?);
            rest = after;
        } else {
            done.push('$');
            rest = after;
        }
    }
    done.push_str(rest);
    Ok(done)
}

/// The value of `VAR` or `VAR:-default`; the default also replaces an empty value, as in a shell.
fn variable(inner: &str, env: Env<'_>) -> Result<String, Trouble> {
    let (name, default) = match inner.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inner, None),
    };
    if !is_name(name) {
        return Err(Trouble {
            message: "not a variable's name inside ${...}".to_owned(),
            hint: "write ${NAME} or ${NAME:-default}; a literal dollar sign is $$".to_owned(),
        });
    }
    match (env(name), default) {
        (Some(value), None) => Ok(value),
        (Some(value), Some(_)) if !value.is_empty() => Ok(value),
        (_, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(Trouble {
            message: format!("environment variable {name} is not set"),
            hint: format!("set it, or write a default: ${{{name}:-...}}"),
        }),
    }
}

fn is_name(name: &str) -> bool {
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    begins && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn unclosed() -> Trouble {
    Trouble {
        message: "`${` without a closing `}`".to_owned(),
        hint: "a literal dollar sign is $$".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_defaults_and_dollars() {
        let env = |name: &str| match name {
            "A" => Some("a: #1".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(expanded(text, &env).ok().as_deref(), expected, "{text}");
        };
        check("${A}", Some("a: #1"));
        check("x${A}y${A}", Some("xa: #1ya: #1"));
        check("${EMPTY}", Some(""));
        check("${EMPTY:-d}", Some("d"));
        check("${NONE:-}", Some(""));
        check("${NONE:-http://x:1}", Some("http://x:1"));
        check("$$ $${A} pa$word $", Some("$ ${A} pa$word $"));
        check("${NONE}", None);
        check("${A", None);
        check("${}", None);
        check("${1A}", None);
        check("${A-x}", None);
    }
}
