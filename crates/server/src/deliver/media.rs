//! A response body made of shared pieces.

use std::collections::VecDeque;

use bytes::Bytes;

/// Bytes that are sent as they are, without being copied together.
#[derive(Debug, Default)]
pub struct Media {
    first: Bytes,
    rest: VecDeque<Bytes>,
}

impl Media {
    /// Nothing.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// One after the other: the parts of a segment.
    #[must_use]
    pub fn chain(pieces: Vec<Bytes>) -> Self {
        let mut rest: VecDeque<Bytes> = pieces.into();
        rest.retain(|piece| !piece.is_empty());
        Self { first: rest.pop_front().unwrap_or_default(), rest }
    }

    /// Bytes still to be sent.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let rest: usize = self.rest.iter().map(Bytes::len).sum();
        (self.first.len() + rest) as u64
    }

    /// Nothing is left to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    /// The next piece.
    pub fn take_next(&mut self) -> Option<Bytes> {
        let next = std::mem::replace(&mut self.first, self.rest.pop_front().unwrap_or_default());
        (!next.is_empty()).then_some(next)
    }
}

impl From<Bytes> for Media {
    fn from(bytes: Bytes) -> Self {
        Self { first: bytes, rest: VecDeque::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_out_in_order_and_empty_ones_are_left_out() {
        let mut media = Media::chain(vec![Bytes::new(), Bytes::from("ab"), Bytes::new(), Bytes::from("c")]);
        assert_eq!(media.bytes(), 3);
        assert_eq!(media.take_next().as_deref(), Some(b"ab".as_slice()));
        assert_eq!(media.take_next().as_deref(), Some(b"c".as_slice()));
        assert!(media.is_empty());
        assert_eq!(media.take_next(), None);
    }
}
