//! Owns which ways of writing requests an endpoint takes, by their positions in a list that this floor does not know.
//! Must never know what any of them looks like.

/// Ways of writing requests there may be.
pub const TONGUES: usize = 8;

/// The ways that an endpoint takes requests in, the preferred one first among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tongues {
    /// A bit each.
    set: u8,
    first: u8,
}

/// How a request is written, and into which other ways it cannot be carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Speech {
    /// The position of the client's own way.
    pub tongue: u8,
    /// For each other way, the field without which the answer would not be what was asked for.
    pub unsayable: [Option<&'static str>; TONGUES],
}

// === impl Tongues ===

impl Default for Tongues {
    /// The list's first alone.
    fn default() -> Self {
        Self { set: 1, first: 0 }
    }
}

impl Tongues {
    /// Of positions, the preferred first; none is the list's first alone.
    pub fn of(positions: impl IntoIterator<Item = u8>) -> Self {
        let mut positions = positions.into_iter().peekable();
        let Some(first) = positions.peek().copied() else {
            return Self::default();
        };
        let set = positions.fold(0, |set, position| set | bit(position));
        Self { set, first }
    }

    /// Whether requests written this way are taken as they are.
    pub fn has(self, tongue: u8) -> bool {
        self.set & bit(tongue) != 0
    }

    /// What other requests are carried into.
    pub fn first(self) -> u8 {
        self.first
    }
}

fn bit(position: u8) -> u8 {
    1_u8.checked_shl(position.into()).unwrap_or(0)
}

// === impl Speech ===

impl Speech {
    /// The field for which the endpoint cannot be sent the request, if there is one.
    pub fn lost_on(&self, endpoint: Tongues) -> Option<&'static str> {
        if endpoint.has(self.tongue) {
            return None;
        }
        *self.unsayable.get(usize::from(endpoint.first()))?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_does_not_take_a_request_as_it_is_loses_of_it() {
        let mut speech = Speech {
            tongue: 2,
            ..Speech::default()
        };
        speech.unsayable[1] = Some("n");
        assert_eq!(speech.lost_on(Tongues::of([1, 2])), None);
        assert_eq!(speech.lost_on(Tongues::of([1])), Some("n"));
        assert_eq!(speech.lost_on(Tongues::of([0, 1])), None);
        assert_eq!(Tongues::of([]), Tongues::of([0]));
        assert!(!Tongues::of([200]).has(200));
    }
}
