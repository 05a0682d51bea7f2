//! Owns where requests go below a provider's root, in patterns. Must never know a dialect's own paths.

/// What stands after a provider's root where that is not as its dialects have it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Paths {
    pub path: Option<PathPattern>,
    /// Of streams, where it is another.
    pub stream: Option<PathPattern>,
    /// Of requests that only have their tokens counted.
    pub count_tokens: Option<PathPattern>,
}

impl Paths {
    /// The pattern of a request's path; `None`: the path is the dialect's own.
    pub fn of(&self, counts: bool, stream: bool) -> Option<&PathPattern> {
        let path = self.path.as_ref();
        match (counts, stream) {
            // A path that does not tell operations apart is that of answers.
            (true, _) => {
                let apart = |path: &&PathPattern| path.as_str().contains("{operation}");
                self.count_tokens.as_ref().or(path.filter(apart))
            }
            (false, true) => self.stream.as_ref().or(path),
            (false, false) => path,
        }
    }
}

/// What stands after a provider's root: text with `{model}` and `{operation}` in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PathPattern(String);

impl PathPattern {
    /// Takes a pattern as it is written.
    pub fn new(pattern: impl Into<String>) -> Self {
        Self(pattern.into())
    }

    /// The pattern as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path of an operation, itself a path, for a model.
    pub fn path(&self, model: &str, operation: &str) -> String {
        // The model last: what it holds is no part of the pattern.
        self.0
            .replace("{operation}", operation)
            .replace("{model}", model)
    }
}
