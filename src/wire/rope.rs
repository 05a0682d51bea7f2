//! Owns a body held as a few shared segments, so that a large request is sent again without a copy.
//! Must never copy more than `COALESCE_MAX` bytes unless it is asked for one piece.

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

    /// Adds the segments of another at the end.
    pub fn append(&mut self, other: Rope) {
        self.len += other.len;
        match self.segments.is_empty() {
            true => self.segments = other.segments,
            false => self.segments.extend(other.segments),
        }
    }

    /// The segments in order, handed over.
    pub fn into_segments(self) -> Vec<Bytes> {
        self.segments
    }

    /// All of it in one piece; a copy where there was more than one segment.
    pub fn into_bytes(mut self) -> Bytes {
        match self.segments.len() {
            0 => Bytes::new(),
            1 => self.segments.swap_remove(0),
            _ => self.segments.concat().into(),
        }
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
    fn ropes_are_put_together_and_end_in_one_piece() {
        let mut whole = Rope::default();
        for part in [
            rope(&[&"ab".into()]),
            rope(&[]),
            rope(&[&"cd".into(), &"e".into()]),
        ] {
            whole.append(part);
        }
        assert_eq!((whole.len(), whole.segments().len()), (5, 3));
        assert_eq!(whole.into_bytes(), "abcde");
        let one = Bytes::from(vec![b'x'; 10]);
        assert_eq!(Rope::from(one.clone()).into_bytes().as_ptr(), one.as_ptr());
        assert!(Rope::default().into_bytes().is_empty());
    }

    #[test]
    fn nothing_is_empty() {
        assert!(Rope::from(Bytes::new()).is_empty());
        assert!(Rope::default().coalesce().segments().is_empty());
    }
}
