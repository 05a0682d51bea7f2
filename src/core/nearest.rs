//! Owns the guess at what a misspelt name was meant to be. Must never guess wildly: a far name is no help.

/// The known name that is closest to the written one, if one is close.
pub fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let written = written.to_lowercase();
    let limit = (written.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|name| (distance(&written, &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= limit || is_slug_of(&written, name))
        .min()
        .map(|(_, name)| name)
}

/// `did you mean "x"?`, where a name is close.
pub fn did_you_mean<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(written, known).map(|name| format!("did you mean \"{name}\"?"))
}

/// Whether the written name is a full model name without its author.
fn is_slug_of(written: &str, name: &str) -> bool {
    name.split_once('/')
        .is_some_and(|(_, slug)| slug.eq_ignore_ascii_case(written))
}

/// The number of characters to insert, delete, replace or swap with a neighbour.
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for (row, a) in from.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, b) in to.iter().enumerate() {
            let replaced = last[column] + usize::from(a != b);
            let mut best = replaced.min(last[column + 1] + 1).min(current[column] + 1);
            let swapped =
                row > 0 && column > 0 && *a == to[column - 1] && from[row - 1] == *b && a != b;
            if swapped {
                best = best.min(before_last[column - 1] + 1);
            }
            current.push(best);
        }
        before_last = std::mem::replace(&mut last, current);
    }
    last[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_close_name_is_found_and_a_far_one_is_not() {
        let known = ["openai", "anthropic", "openai/gpt-5-mini"];
        let check = |written: &str, expected: Option<&str>| {
            assert_eq!(nearest(written, known), expected, "{written}");
        };
        check("opena", Some("openai"));
        check("OpenAI", Some("openai"));
        check("opneai", Some("openai"));
        check("antropic", Some("anthropic"));
        check("gpt-5-mini", Some("openai/gpt-5-mini"));
        check("mistral", None);
        check("", None);
    }
}
