//! Owns how a reasoning item carries what only other makers' dialects have: a signature over the text, encrypted words, a
//! call's signature. It stands in `encrypted_content`, which clients send back as it came.
//! Must never be taken for encrypted content of OpenAI's own, which is one word of base64.

/// What every sealed content begins with.
pub(super) const MARK: &str = "mainstay:v1:";
/// What stands for encrypted content where a thought came in words alone: it goes back as words, and not to OpenAI.
pub(super) const UNPROVEN: &str = "mainstay:v1:words::0:";

/// Something bound to its maker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sealed<'a> {
    pub(super) what: What,
    /// Who made it: `anthropic-claude-v1`. `None`: nobody said.
    pub(super) format: Option<&'a str>,
    /// The maker's id of the thought, or the id of the call; may be empty.
    pub(super) id: &'a str,
    pub(super) payload: &'a str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// A signature over the item's summary, which is the thought itself.
    Signature,
    /// Encrypted words.
    Data,
    /// The signature of a call.
    Call,
    /// Nothing: the words are the whole thought.
    Words,
}

// === impl Sealed ===

impl<'a> Sealed<'a> {
    pub(super) fn seal(&self) -> String {
        let Self {
            what, id, payload, ..
        } = self;
        let format = self.format.unwrap_or_default();
        format!(
            "{MARK}{}:{format}:{}:{id}{payload}",
            what.as_str(),
            id.len()
        )
    }

    /// `None`: not sealed by us.
    pub(super) fn open(content: &'a str) -> Option<Self> {
        let mut pieces = content.strip_prefix(MARK)?.splitn(4, ':');
        let what = What::of(pieces.next()?)?;
        let format = pieces.next()?;
        let length: usize = pieces.next()?.parse().ok()?;
        let (id, payload) = pieces.next()?.split_at_checked(length)?;
        Some(Self {
            what,
            format: Some(format).filter(|format| !format.is_empty()),
            id,
            payload,
        })
    }
}

// === impl What ===

impl What {
    const ALL: [Self; 4] = [What::Signature, What::Data, What::Call, What::Words];

    const fn as_str(self) -> &'static str {
        match self {
            What::Signature => "signature",
            What::Data => "data",
            What::Call => "call",
            What::Words => "words",
        }
    }

    fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|what| what.as_str() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_as_it_was() {
        for what in What::ALL {
            for (format, id) in [
                (Some("anthropic-claude-v1"), "a:1"),
                (None, ""),
                (None, "żó"),
            ] {
                let sealed = Sealed {
                    what,
                    format,
                    id,
                    payload: "c2ln:=",
                };
                assert_eq!(Sealed::open(&sealed.seal()), Some(sealed));
            }
        }
    }

    #[test]
    fn what_is_not_ours_does_not_open() {
        for content in [
            "",
            "gAAAAABpPMlc",
            "mainstay:v1:",
            "mainstay:v1:odd:f:0:x",
            "mainstay:v1:data:f:x:y",
            "mainstay:v1:data:f:9:y",
            "mainstay:v1:data:f:1:ż",
        ] {
            assert_eq!(Sealed::open(content), None, "{content}");
        }
    }
}
