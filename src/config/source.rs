//! Owns a configuration's text on its way in. Must never show it: it may hold credentials.

use std::fmt;
use std::path::PathBuf;

/// A configuration's text and the name it has in messages.
#[derive(Clone)]
pub struct Source {
    pub path: PathBuf,
    pub text: String,
}

impl fmt::Debug for Source {
    /// Leaves the text out: it may hold credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
