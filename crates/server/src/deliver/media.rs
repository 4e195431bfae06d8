//! A response body made of shared pieces.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use crate::access::Seat;

/// The most that is handed over at once: a connection that breaks in the middle of a part has not taken all of it. Larger
/// than what a connection holds back for a slow reader, so that a fast one is asked a few times per part and no more.
const SLICE_BYTES_MAX: usize = 128 * 1024;

/// Bytes that are sent as they are, without being copied together.
#[derive(Debug, Default)]
pub struct Media {
    first: Bytes,
    rest: VecDeque<Bytes>,
    /// Who is held to have taken what is handed over.
    taker: Option<Arc<Seat>>,
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
        Self { first: rest.pop_front().unwrap_or_default(), rest, taker: None }
    }

    /// The same, and what is handed over is [weighed](Seat::weigh): not what an answer would have had in it, because who
    /// comes back after a break asks for the same again.
    #[must_use]
    pub fn weighed_for(self, seat: Arc<Seat>) -> Self {
        Self { taker: Some(seat), ..self }
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

    /// The next bytes, at most [`SLICE_BYTES_MAX`] of them.
    pub fn take_next(&mut self) -> Option<Bytes> {
        let next = if self.first.len() > SLICE_BYTES_MAX {
            self.first.split_to(SLICE_BYTES_MAX)
        } else {
            std::mem::replace(&mut self.first, self.rest.pop_front().unwrap_or_default())
        };
        if next.is_empty() {
            return None;
        }
        if let Some(taker) = &self.taker {
            taker.took(next.len() as u64);
        }
        Some(next)
    }
}

impl From<Bytes> for Media {
    fn from(bytes: Bytes) -> Self {
        Self { first: bytes, rest: VecDeque::new(), taker: None }
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

    #[test]
    fn a_large_piece_is_handed_over_in_slices() {
        let whole: Vec<u8> = (0..300_000_u32).map(|at| at.to_le_bytes()[0]).collect();
        let mut media = Media::chain(vec![Bytes::from(whole.clone()), Bytes::from("end")]);
        let mut taken = Vec::new();
        let mut left = media.bytes();
        while let Some(slice) = media.take_next() {
            assert!((1..=SLICE_BYTES_MAX).contains(&slice.len()));
            left -= slice.len() as u64;
            assert_eq!((media.bytes(), media.is_empty()), (left, left == 0));
            taken.extend_from_slice(&slice);
        }
        assert_eq!(taken, [whole.as_slice(), b"end"].concat());
    }
}
