//! Owns a body held as a few shared segments, so that a large request is sent again without a copy.
//! Must never copy more than `COALESCE_MAX` bytes.

use bytes::Bytes;

/// Up to this size one copy costs less than several writes.
const COALESCE_MAX: usize = 64 * 1024;

/// A body in segments. A clone shares them.
#[derive(Clone, Debug, Default)]
pub struct Rope {
    segments: Vec<Bytes>,
    len: usize,
}

// === impl Rope ===

impl Rope {
    /// Adds a segment at the end.
    pub fn push(&mut self, segment: Bytes) {
        if !segment.is_empty() {
            self.len += segment.len();
            self.segments.push(segment);
        }
    }

    /// The segments in order; none of them is empty.
    pub fn segments(&self) -> &[Bytes] {
        &self.segments
    }

    /// Bytes in all.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no byte in it.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// One segment where the body is small, else as it is.
    #[must_use]
    pub fn coalesce(self) -> Self {
        if self.segments.len() < 2 || self.len > COALESCE_MAX {
            return self;
        }
        Self {
            len: self.len,
            segments: vec![self.segments.concat().into()],
        }
    }
}

impl From<Bytes> for Rope {
    fn from(segment: Bytes) -> Self {
        let mut rope = Self::default();
        rope.push(segment);
        rope
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rope(parts: &[&Bytes]) -> Rope {
        let mut rope = Rope::default();
        for part in parts {
            rope.push((*part).clone());
        }
        rope
    }

    #[test]
    fn a_small_rope_becomes_one_segment() {
        let rope = rope(&[&"ab".into(), &"".into(), &"cd".into()]);
        assert_eq!((rope.len(), rope.segments().len()), (4, 2));
        let rope = rope.coalesce();
        assert_eq!(rope.segments(), ["abcd"]);
        assert_eq!(rope.len(), 4);
    }

    #[test]
    fn a_large_rope_keeps_its_segments_and_shares_them() {
        let large = Bytes::from(vec![b'x'; COALESCE_MAX]);
        let rope = rope(&[&large, &"y".into()]).coalesce();
        assert_eq!(rope.segments().len(), 2);
        assert_eq!(rope.clone().segments()[0].as_ptr(), large.as_ptr());
    }

    #[test]
    fn nothing_is_empty() {
        assert!(Rope::from(Bytes::new()).is_empty());
        assert!(Rope::default().coalesce().segments().is_empty());
    }
}
