//! Owns the way from the root of the file to one of its nodes. Must never hold a value, which may be a secret.

use std::fmt;

/// One step down.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

/// A node's address, written `models.openai/gpt-5-mini.endpoints[0].provider`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Trail(Vec<Step>);

impl Trail {
    /// The entry `key` of the root.
    pub(super) fn top(key: &str) -> Self {
        Self::default().key(key)
    }

    /// The entry `key` of this map.
    pub(super) fn key(&self, key: &str) -> Self {
        self.step(Step::Key(key.to_owned()))
    }

    /// The element `index` of this list.
    pub(super) fn index(&self, index: usize) -> Self {
        self.step(Step::Index(index))
    }

    fn step(&self, step: Step) -> Self {
        Self(self.0.iter().cloned().chain([step]).collect())
    }

    pub(super) fn steps(&self) -> &[Step] {
        &self.0
    }

    /// The last step and the way to its owner; `None` at the root.
    pub(super) fn split_last(&self) -> Option<(&Step, Self)> {
        let (last, owner) = self.0.split_last()?;
        Some((last, Self(owner.to_vec())))
    }

    /// This node and everything above it.
    pub(super) fn ancestry(&self) -> impl Iterator<Item = Self> + '_ {
        (0..=self.0.len()).map(|steps| Self(self.0.iter().take(steps).cloned().collect()))
    }
}

impl FromIterator<Step> for Trail {
    fn from_iter<I: IntoIterator<Item = Step>>(steps: I) -> Self {
        Self(steps.into_iter().collect())
    }
}

impl fmt::Display for Trail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if position == 0 => write!(f, "{key}")?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}
