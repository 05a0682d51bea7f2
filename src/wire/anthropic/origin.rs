//! Owns the mark by which a thought of another dialect goes through a client of this one, and comes back known.
//!
//! Only the provider that made a thought takes it back, and this dialect's blocks have no field for who that was. So what is not
//! Anthropic's is written into the one field that clients must send back unchanged: the block's signature, or the data of a
//! redacted one. It is never left empty: SDKs of the dialect declare it as a string, and a block that came back with an empty
//! one could not be told from a thought of Anthropic's own, which refuses a request with any signature that is not its
//! own («Invalid `signature` in `thinking` block»).
//! Must never change a signature of Anthropic's.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::wire::hub::{Thought, ThoughtKind};

/// Who made a thought, where it is the dialect's own.
pub(super) const FORMAT: &str = "anthropic-claude-v1";
/// What a mark begins with; no signature of Anthropic's, which are base64, holds a colon.
pub(super) const MARK: &str = "mainstay:";

/// What a mark tells.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
struct Origin<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<Cow<'a, str>>,
    /// Of a redacted block: what is encrypted.
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Cow<'a, str>>,
    /// The words are a summary.
    #[serde(skip_serializing_if = "is_false")]
    summary: bool,
    /// The signature belongs to the tool call of this id, not to a thought.
    #[serde(skip_serializing_if = "Option::is_none")]
    call: Option<Cow<'a, str>>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_false(value: &bool) -> bool {
    !value
}

/// What a redacted block held.
#[derive(Debug, PartialEq)]
pub(super) enum Redacted {
    Thought(Thought),
    /// A signature of the tool call of that id.
    Call {
        id: String,
        signature: String,
    },
}

/// A thought's place in the dialect.
#[derive(Clone, Copy, Debug)]
pub(super) struct Made<'a> {
    pub(super) kind: ThoughtKind,
    pub(super) signature: Option<&'a str>,
    pub(super) id: Option<&'a str>,
    pub(super) format: Option<&'a str>,
}

// === impl Made ===

impl<'a> Made<'a> {
    pub(super) fn of(thought: &'a Thought) -> Self {
        Self {
            kind: thought.kind,
            signature: thought.signature.as_deref(),
            id: thought.id.as_deref(),
            format: thought.format.as_deref(),
        }
    }

    /// What stands as the signature of a thinking block.
    pub(super) fn signature(self) -> Cow<'a, str> {
        match self.signature {
            Some(own) if self.is_own() && !own.is_empty() => Cow::Borrowed(own),
            _ => Cow::Owned(mark(&Origin {
                summary: self.kind == ThoughtKind::Summary,
                ..self.origin()
            })),
        }
    }

    /// What stands as the data of a redacted block.
    pub(super) fn data(self, encrypted: &'a str) -> Cow<'a, str> {
        match self.is_own() {
            true => Cow::Borrowed(encrypted),
            false => Cow::Owned(mark(&Origin {
                data: Some(encrypted.into()),
                ..self.origin()
            })),
        }
    }

    pub(super) fn is_own(self) -> bool {
        self.format == Some(FORMAT)
    }

    fn origin(self) -> Origin<'a> {
        Origin {
            format: self.format.map(Cow::Borrowed),
            id: self.id.map(Cow::Borrowed),
            signature: self.signature.map(Cow::Borrowed),
            ..Origin::default()
        }
    }
}

/// The data of a redacted block that keeps the signature of a tool call, which tool blocks have no place for.
pub(super) fn call_mark(id: &str, signature: &str) -> String {
    mark(&Origin {
        call: Some(id.into()),
        signature: Some(signature.into()),
        ..Origin::default()
    })
}

fn mark(origin: &Origin<'_>) -> String {
    let told = serde_json::to_string(origin).expect("strings always serialise");
    [MARK, &told].concat()
}

/// What a mark tells; one that cannot be read tells nothing, and is ours all the same.
fn marked(field: &str) -> Option<Origin<'_>> {
    let told = field.strip_prefix(MARK)?;
    Some(serde_json::from_str(told).unwrap_or_default())
}

/// Whether a signature, or a redacted block's data, is a mark of ours.
pub(super) fn is_marked(field: &str) -> bool {
    field.starts_with(MARK)
}

/// Whether a signature, or a redacted block's data, binds its block to who made it.
pub(super) fn is_bound(field: &str) -> bool {
    match marked(field) {
        Some(origin) => origin.signature.is_some() || origin.data.is_some(),
        None => !field.is_empty(),
    }
}

/// The thought of a thinking block.
pub(super) fn thought(text: String, signature: Option<String>) -> Thought {
    let signature = signature.filter(|signature| !signature.is_empty());
    let Some(field) = signature else {
        return Thought {
            text,
            ..Thought::default()
        };
    };
    match marked(&field) {
        Some(origin) => Thought {
            text,
            ..origin.into_thought()
        },
        None => Thought {
            text,
            signature: Some(field),
            format: Some(FORMAT.to_owned()),
            ..Thought::default()
        },
    }
}

/// What a redacted block holds.
pub(super) fn redacted(data: String) -> Redacted {
    let Some(origin) = marked(&data) else {
        return Redacted::Thought(Thought {
            kind: ThoughtKind::Encrypted,
            text: data,
            format: Some(FORMAT.to_owned()),
            ..Thought::default()
        });
    };
    match (origin.call, origin.signature) {
        (Some(id), Some(signature)) => Redacted::Call {
            id: id.into_owned(),
            signature: signature.into_owned(),
        },
        (_, signature) => Redacted::Thought(Thought {
            kind: ThoughtKind::Encrypted,
            text: origin.data.unwrap_or_default().into_owned(),
            signature: signature.map(Cow::into_owned),
            id: origin.id.map(Cow::into_owned),
            format: origin.format.map(Cow::into_owned),
        }),
    }
}

// === impl Origin ===

impl Origin<'_> {
    fn into_thought(self) -> Thought {
        Thought {
            kind: match self.summary {
                true => ThoughtKind::Summary,
                false => ThoughtKind::Text,
            },
            text: String::new(),
            signature: self.signature.map(Cow::into_owned),
            id: self.id.map(Cow::into_owned),
            format: self.format.map(Cow::into_owned),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(kind: ThoughtKind, signature: Option<&str>, format: Option<&str>) -> Thought {
        Thought {
            kind,
            text: "so".to_owned(),
            signature: signature.map(str::to_owned),
            id: Some("rs_1".to_owned()).filter(|_| format != Some(FORMAT)),
            format: format.map(str::to_owned),
        }
    }

    #[test]
    fn every_thought_comes_back_as_it_went() {
        let formats = [None, Some(FORMAT), Some("google-gemini-v1")];
        for format in formats {
            for kind in [ThoughtKind::Text, ThoughtKind::Summary] {
                for signature in [None, Some("c2ln"), Some("with \"quotes\"")] {
                    let before = made(kind, signature, format);
                    let field = Made::of(&before).signature().into_owned();
                    assert!(!field.is_empty());
                    let own = format == Some(FORMAT) && signature.is_some();
                    assert_eq!(is_marked(&field), !own);
                    assert_eq!(is_bound(&field), signature.is_some());
                    let mut after = thought("so".to_owned(), Some(field));
                    if own {
                        // Anthropic has no summaries of another kind.
                        after.kind = kind;
                    }
                    assert_eq!(after, before);
                }
            }
            let before = made(ThoughtKind::Encrypted, None, format);
            let data = Made::of(&before).data("so").into_owned();
            assert!(is_bound(&data));
            assert_eq!(redacted(data), Redacted::Thought(before));
        }
    }

    #[test]
    fn a_broken_mark_is_still_ours_and_binds_nobody() {
        let broken = "mainstay:{\"signature\":";
        assert!(is_marked(broken) && !is_bound(broken));
        assert_eq!(
            thought(String::new(), Some(broken.to_owned())),
            Thought::default()
        );
        assert!(!is_bound("") && is_bound("c2ln"));
        let call = Redacted::Call {
            id: "a".to_owned(),
            signature: "s".to_owned(),
        };
        assert_eq!(redacted(call_mark("a", "s")), call);
    }
}
