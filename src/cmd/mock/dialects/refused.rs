//! Owns why a request is not understood: where in it, and what is wrong there. Reads JSON into strict shapes.
//! Must never be lenient: a field that a dialect does not have is refused, as its provider refuses it.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;

use super::understood::Blob;

/// A request that is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Refused {
    /// The way to the field, one word a step.
    pub(crate) path: Vec<Step>,
    /// The field that nothing knows.
    pub(crate) unknown: Option<String>,
    /// The field that is missing.
    pub(crate) missing: Option<String>,
    /// What is wrong.
    pub(crate) message: String,
}

/// One step of a way into JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Name(String),
    Index(usize),
}

// === impl Refused ===

impl Refused {
    /// A refusal for a reason of its own.
    pub(crate) fn because(path: &str, message: impl Into<String>) -> Self {
        let steps = path.split('.').filter(|step| !step.is_empty());
        Self {
            path: steps.map(step).collect(),
            message: message.into(),
            ..Self::default()
        }
    }

    /// The way with dots: `messages.0.content`.
    pub(crate) fn dotted(&self) -> String {
        let steps = self.steps().into_iter().map(|step| match step {
            Step::Name(name) => name,
            Step::Index(index) => index.to_string(),
        });
        steps.collect::<Vec<_>>().join(".")
    }

    /// The way with brackets: `input[0].content`.
    pub(crate) fn bracketed(&self) -> String {
        let mut way = String::new();
        for step in self.steps() {
            match step {
                Step::Name(name) if way.is_empty() => way.push_str(&name),
                Step::Name(name) => way.extend([".", &name]),
                Step::Index(index) => {
                    let _ = write!(way, "[{index}]");
                }
            }
        }
        way
    }

    /// The way, the unknown or missing field at its end.
    fn steps(&self) -> Vec<Step> {
        let mut steps = self.path.clone();
        if let Some(name) = self.unknown.as_ref().or(self.missing.as_ref()) {
            let last = Step::Name(name.clone());
            if steps.last() != Some(&last) {
                steps.push(last);
            }
        }
        steps
    }
}

fn step(text: &str) -> Step {
    let index = text.parse().map(Step::Index);
    index.unwrap_or_else(|_| Step::Name(text.to_owned()))
}

/// Reads a body into a shape.
pub(crate) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refused> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let shape: T = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let message = error.inner().to_string();
        let named = |before: &str| {
            let (_, rest) = message.split_once(before)?;
            rest.split('`').next().map(str::to_owned)
        };
        Refused {
            path: error.path().iter().filter_map(segment).collect(),
            unknown: named("unknown field `"),
            missing: named("missing field `"),
            message: plain(&message),
        }
    })?;
    let end = reader.end();
    end.map_err(|error| Refused::because("", plain(&error.to_string())))?;
    Ok(shape)
}

fn segment(segment: &Segment) -> Option<Step> {
    match segment {
        Segment::Seq { index } => Some(Step::Index(*index)),
        Segment::Map { key } => Some(Step::Name(key.clone())),
        Segment::Enum { .. } | Segment::Unknown => None,
    }
}

/// The message without its line and column.
fn plain(message: &str) -> String {
    message
        .rsplit_once(" at line ")
        .map_or(message, |(before, _)| before)
        .to_owned()
}

/// Base64 as bytes.
pub(crate) fn decoded(path: &str, data: &str) -> Result<Vec<u8>, Refused> {
    let bytes = STANDARD.decode(data);
    bytes.map_err(|_| Refused::because(path, "the data is not base64"))
}

/// What a URL points at: the bytes inside a `data:` URL, or an address.
pub(crate) fn blob_of(path: &str, url: &str) -> Result<Blob, Refused> {
    let Some(rest) = url.strip_prefix("data:") else {
        if url.starts_with("https://") || url.starts_with("http://") {
            return Ok(Blob::url(url));
        }
        return Err(Refused::because(
            path,
            "the address is no http, https or data URL",
        ));
    };
    let Some((media_type, data)) = rest.split_once(";base64,") else {
        return Err(Refused::because(path, "the data URL is not in base64"));
    };
    Ok(Blob::bytes(media_type, &decoded(path, data)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        #[expect(dead_code, reason = "read for its refusals")]
        inner: Vec<Inner>,
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[expect(dead_code, reason = "read for its refusals")]
        known: u8,
    }

    #[test]
    fn a_refusal_says_where() {
        let refused = |body: &str| read::<Outer>(body.as_bytes()).unwrap_err();
        let unknown = refused(r#"{"inner":[{"known":1},{"known":2,"odd":3}]}"#);
        assert_eq!(unknown.unknown.as_deref(), Some("odd"));
        assert_eq!(
            (unknown.dotted(), unknown.bracketed()),
            ("inner.1.odd".into(), "inner[1].odd".into())
        );
        let missing = refused(r#"{"inner":[{}]}"#);
        assert_eq!(
            (missing.missing.as_deref(), missing.dotted()),
            (Some("known"), "inner.0.known".into())
        );
        let wrong = refused(r#"{"inner":[{"known":"x"}]}"#);
        assert_eq!(wrong.dotted(), "inner.0.known");
        assert!(!wrong.message.contains("line"), "{}", wrong.message);
        assert!(read::<Outer>(br#"{"inner":[]} x"#).is_err());
    }

    #[test]
    fn blobs_are_hashed_or_named() {
        let blob = blob_of("at", "data:image/png;base64,AAEC").unwrap();
        assert_eq!(
            blob.sha256,
            Some(super::super::understood::sha256(&[0, 1, 2]))
        );
        assert_eq!(
            blob_of("at", "https://x/y").unwrap(),
            Blob::url("https://x/y")
        );
        for odd in [
            "data:image/png,xx",
            "data:image/png;base64,*",
            "ftp://x",
            "",
        ] {
            assert!(blob_of("at", odd).is_err(), "{odd}");
        }
    }
}
