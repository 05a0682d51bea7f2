//! Owns the line of the file that a finding shows. Must never show a literal credential.

use crate::config::outline::{Outline, Spot};

/// Stands in for every character of a credential, so that columns stay true.
const MASK: char = '*';

/// Digits and letters mixed over this many characters are no word of any language, and no version or date.
const MIXED: usize = 8;

/// Keys whose values are masked where the file cannot be parsed and only its text is known.
const SECRET_KEYS: [&str; 6] = [
    "key",
    "value",
    "token",
    "secret",
    "authorization",
    "password",
];

/// The line at the spot, with known credentials masked, and what looks like one in another place.
pub(super) fn of_line(text: &str, outline: &Outline, spot: Spot) -> String {
    let line = line(text, spot);
    masked(line, outline.secrets_on(spot.line).chain(lookalikes(line)))
}

/// The line at the spot of a file that cannot be parsed: all that follows something like `key:` is masked as well,
/// but for variables.
pub(super) fn of_broken_line(text: &str, outline: &Outline, spot: Spot) -> String {
    let line = line(text, spot);
    let from = literal_secret(line).map(|column| (column, usize::MAX));
    let known = outline.secrets_on(spot.line).chain(from);
    masked(line, known.chain(lookalikes(line)))
}

/// The text without what looks like a credential, for messages about names that nobody knows.
pub(super) fn without_lookalikes(text: &str) -> String {
    masked(text, lookalikes(text))
}

/// Where parts of words mix digits and letters as credentials do, as columns. `claude-sonnet-4-5-20250929` does not.
fn lookalikes(line: &str) -> impl Iterator<Item = (usize, usize)> {
    let characters: Vec<char> = line.chars().collect();
    let mut column = 1;
    let mut found = Vec::new();
    for part in characters.chunk_by(|a, b| a.is_ascii_alphanumeric() == b.is_ascii_alphanumeric()) {
        let has = |is: fn(&char) -> bool| part.iter().any(is);
        if part.len() >= MIXED && has(char::is_ascii_digit) && has(char::is_ascii_alphabetic) {
            found.push((column, column + part.len()));
        }
        column += part.len();
    }
    found.into_iter()
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
    // The beginning of a variable is no secret, and what a finding may be about.
    let next = line.chars().skip(1).map(Some).chain([None]);
    let show = |(index, (character, next)): (usize, (char, Option<char>))| {
        let begins_variable = character == '$' && next == Some('{');
        match hides(index + 1) {
            true if !character.is_whitespace() && !begins_variable => MASK,
            _ => character,
        }
    };
    line.chars().zip(next).enumerate().map(show).collect()
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
        check(
            "  sk-proj-41d8e077aa9b2c # x",
            "  sk-proj-************** # x",
        );
        check(
            "- claude-sonnet-4-5-20250929",
            "- claude-sonnet-4-5-20250929",
        );
    }
}
