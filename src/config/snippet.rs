//! Owns the line of the file that a finding shows. Must never show a literal credential.

use crate::config::outline::{Outline, Spot};

/// Stands in for every character of a credential, so that columns stay true.
const MASK: char = '*';

/// Keys whose values are masked where the file cannot be parsed and only its text is known.
const SECRET_KEYS: [&str; 6] = [
    "key",
    "value",
    "token",
    "secret",
    "authorization",
    "password",
];

/// The line at the spot, with known credentials masked.
pub(super) fn of_line(text: &str, outline: &Outline, spot: Spot) -> String {
    masked(line(text, spot), outline.secrets_on(spot.line))
}

/// The line at the spot of a file that cannot be parsed: all that follows something like `key:` is masked,
/// but for variables.
pub(super) fn of_broken_line(text: &str, outline: &Outline, spot: Spot) -> String {
    let line = line(text, spot);
    let from = literal_secret(line).map(|column| (column, usize::MAX));
    masked(line, outline.secrets_on(spot.line).chain(from))
}

fn line(text: &str, spot: Spot) -> &str {
    text.lines().nth(spot.line - 1).unwrap_or_default()
}

fn masked(line: &str, secrets: impl Iterator<Item = (usize, usize)>) -> String {
    let secrets: Vec<(usize, usize)> = secrets.collect();
    let hides = |column: usize| {
        secrets
            .iter()
            .any(|(from, to)| (*from..*to).contains(&column))
    };
    let show = |(index, character): (usize, char)| match hides(index + 1) {
        true if !character.is_whitespace() => MASK,
        _ => character,
    };
    line.chars().enumerate().map(show).collect()
}

/// Where the line at the spot has `${` outside of quotes and comments.
pub(super) fn unquoted_variable(text: &str, spot: Spot) -> Option<Spot> {
    let mut quote = None;
    let mut last = ' ';
    for (index, character) in line(text, spot).chars().enumerate() {
        match (quote, character) {
            (None, '"' | '\'') => quote = Some(character),
            (None, '#') if last.is_whitespace() => return None,
            (None, '{') if last == '$' => {
                return Some(Spot {
                    line: spot.line,
                    column: index,
                });
            }
            (Some(open), close) if open == close => quote = None,
            _ => {}
        }
        last = character;
    }
    None
}

/// The column of the first value of a secret's key that is no variable.
fn literal_secret(line: &str) -> Option<usize> {
    let mut column = 1;
    let mut rest = line;
    while let Some((before, after)) = rest.split_once(':') {
        column += before.chars().count() + 1;
        let key = before.trim_end_matches(['"', '\'', ' ']).to_lowercase();
        let value = after.trim_start_matches(['"', '\'', ' ']);
        let is_literal = !value.starts_with("${") && !value.is_empty();
        if is_literal && SECRET_KEYS.iter().any(|secret| key.ends_with(secret)) {
            return Some(column);
        }
        rest = after;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_masked_even_where_the_file_is_broken() {
        let check = |line: &str, expected: &str| {
            let spot = Spot { line: 1, column: 1 };
            let shown = of_broken_line(line, &Outline::default(), spot);
            assert_eq!(shown, expected);
        };
        check("key: sk-1", "key: ****");
        check(
            "{ name: a, \"value\": \"sk-1\" ]",
            "{ name: a, \"value\": ****** *",
        );
        check("{ value: ${KEY} }", "{ value: ${KEY} }");
        check("{ value: ${A}, X-Key: sk }", "{ value: ${A}, X-Key: ** *");
        check("name: openai", "name: openai");
    }
}
