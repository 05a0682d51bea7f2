//! Owns what keeps requests apart whose speed must not be compared: how they are answered, whether the model
//! reasons first, how long the prompt is (amendment 4). Must never know an endpoint.

/// How a request is answered, and so how its speed is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Judged by its first token.
    Stream,
    /// Judged by its whole answer.
    Json,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 2] = [Kind::Stream, Kind::Json];

    /// The name used in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Stream => "stream",
            Kind::Json => "json",
        }
    }

    pub(crate) const fn position(self) -> usize {
        match self {
            Kind::Stream => 0,
            Kind::Json => 1,
        }
    }
}

/// How much there is to read before the first token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PromptSize {
    /// A body under 8 KiB: about 2,000 tokens.
    #[default]
    Short,
    /// Under 64 KiB: about 16,000 tokens.
    Medium,
    Long,
}

const SHORT_BYTES: u64 = 8 * 1024;
const MEDIUM_BYTES: u64 = 64 * 1024;

impl PromptSize {
    /// Of a request whose whole body has so many bytes.
    pub const fn of(body_bytes: u64) -> Self {
        match body_bytes {
            0..SHORT_BYTES => PromptSize::Short,
            SHORT_BYTES..MEDIUM_BYTES => PromptSize::Medium,
            _ => PromptSize::Long,
        }
    }
}

/// Requests that are compared with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Bucket {
    pub kind: Kind,
    /// The request asks for reasoning, which may pass in silence.
    pub reasons: bool,
    pub size: PromptSize,
}

impl Bucket {
    /// How many there are.
    pub(crate) const COUNT: usize = 12;

    /// Every one.
    pub(crate) fn all() -> impl Iterator<Item = Bucket> {
        let sizes = [PromptSize::Short, PromptSize::Medium, PromptSize::Long];
        Kind::ALL.into_iter().flat_map(move |kind| {
            [false, true].into_iter().flat_map(move |reasons| {
                sizes.into_iter().map(move |size| Bucket {
                    kind,
                    reasons,
                    size,
                })
            })
        })
    }

    pub(crate) const fn position(self) -> usize {
        let size = match self.size {
            PromptSize::Short => 0,
            PromptSize::Medium => 1,
            PromptSize::Long => 2,
        };
        self.kind.position() * 6 + (self.reasons as usize) * 3 + size
    }
}

impl From<Kind> for Bucket {
    /// Short prompts without reasoning.
    fn from(kind: Kind) -> Self {
        Self {
            kind,
            reasons: false,
            size: PromptSize::Short,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bucket_has_a_place_of_its_own() {
        let mut seen = Vec::new();
        for kind in Kind::ALL {
            for reasons in [false, true] {
                for bytes in [0, SHORT_BYTES, MEDIUM_BYTES] {
                    let size = PromptSize::of(bytes);
                    seen.push(
                        Bucket {
                            kind,
                            reasons,
                            size,
                        }
                        .position(),
                    );
                }
            }
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..Bucket::COUNT).collect::<Vec<_>>());
    }
}
