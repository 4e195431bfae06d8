//! Reading bits out of parameter sets. Private to `codec`: a parameter set is untrusted and may end anywhere.

use bytes::Bytes;

/// Reads bits from the most significant end. Every read past the end is `None`; nothing panics.
pub(super) struct BitReader<'a> {
    data: &'a [u8],
    /// Bits already taken.
    position: usize,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self { data, position: 0 }
    }

    /// Bits taken so far.
    pub(super) fn position(&self) -> usize {
        self.position
    }

    /// One bit.
    pub(super) fn flag(&mut self) -> Option<bool> {
        let byte = *self.data.get(self.position / 8)?;
        let bit = byte >> (7 - self.position % 8) & 1;
        self.position += 1;
        Some(bit == 1)
    }

    /// `count` bits, at most 32, as a number.
    pub(super) fn u(&mut self, count: u32) -> Option<u32> {
        debug_assert!(count <= 32, "a number of at most 32 bits");
        let mut value = 0u32;
        for _ in 0..count {
            value = value << 1 | u32::from(self.flag()?);
        }
        Some(value)
    }

    /// As [`u`](Self::u) for numbers of at most 8 bits.
    pub(super) fn u8(&mut self, count: u32) -> Option<u8> {
        debug_assert!(count <= 8, "a number of at most 8 bits");
        u8::try_from(self.u(count)?).ok()
    }

    /// Passes over `count` bits.
    pub(super) fn skip(&mut self, count: usize) -> Option<()> {
        let position = self.position.checked_add(count)?;
        if position > self.data.len().checked_mul(8)? {
            return None;
        }
        self.position = position;
        Some(())
    }

    /// An unsigned Exp-Golomb number (`ue(v)` of H.264 and HEVC, `uvlc()` of AV1).
    pub(super) fn ue(&mut self) -> Option<u32> {
        let mut zeros = 0u32;
        while !self.flag()? {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        // With at most 31 leading zeros the sum stays below 2^32.
        Some((1u32 << zeros) - 1 + self.u(zeros)?)
    }

    /// A signed Exp-Golomb number (`se(v)`).
    pub(super) fn se(&mut self) -> Option<i32> {
        let code = i64::from(self.ue()?);
        let value = if code % 2 == 1 { (code + 1) / 2 } else { -(code / 2) };
        i32::try_from(value).ok()
    }
}

/// A NAL unit's payload without its emulation prevention bytes (`00 00 03` becomes `00 00`).
pub(super) fn unescape(nal: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(nal.len());
    let mut zeros = 0;
    for &byte in nal {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        out.push(byte);
    }
    out
}

/// The NAL units of a payload in which each stands behind its length in `length_size` bytes (1 to 4).
///
/// Ends at the first length that reaches past the payload.
pub(super) fn nal_units(payload: &[u8], length_size: u8) -> impl Iterator<Item = &[u8]> {
    let size = usize::from(length_size);
    let mut rest = payload;
    std::iter::from_fn(move || {
        let (length, after) = rest.split_at_checked(size)?;
        let length = length.iter().fold(0usize, |value, &byte| value << 8 | usize::from(byte));
        let (nal, after) = after.split_at_checked(length)?;
        rest = after;
        Some(nal)
    })
}

/// Takes bytes off the front of a record.
pub(super) struct ByteReader {
    rest: Bytes,
}

impl ByteReader {
    pub(super) fn new(record: Bytes) -> Self {
        Self { rest: record }
    }

    pub(super) fn take(&mut self, count: usize) -> Option<Bytes> {
        (count <= self.rest.len()).then(|| self.rest.split_to(count))
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        let bytes = self.take(2)?;
        Some(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    pub(super) fn rest(self) -> Bytes {
        self.rest
    }
}

/// A frame rate as a reduced fraction, or `None` when it is not one that a camera or a screen has.
pub(super) fn frame_rate(num: u64, den: u64) -> Option<(u32, u32)> {
    if num == 0 || den == 0 || num < den || num / den > 1_000 {
        return None;
    }
    let (mut a, mut b) = (num, den);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    Some((u32::try_from(num / a).ok()?, u32::try_from(den / a).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_golomb_numbers_follow_the_table() {
        // 1, 010, 011, 00100 → 0, 1, 2, 3
        let mut bits = BitReader::new(&[0b1010_0110, 0b0100_0000]);
        assert_eq!((bits.ue(), bits.ue(), bits.ue(), bits.ue()), (Some(0), Some(1), Some(2), Some(3)));
        let mut bits = BitReader::new(&[0b1010_0110, 0b0100_0000]);
        assert_eq!((bits.se(), bits.se(), bits.se(), bits.se()), (Some(0), Some(1), Some(-1), Some(2)));
    }

    #[test]
    fn reading_past_the_end_is_none() {
        let mut bits = BitReader::new(&[0]);
        assert_eq!(bits.ue(), None);
        assert_eq!(BitReader::new(&[1]).u(9), None);
        assert_eq!(BitReader::new(&[1]).skip(9), None);
    }

    #[test]
    fn emulation_prevention_bytes_disappear() {
        assert_eq!(unescape(&[0, 0, 3, 1, 0, 0, 3, 0, 0, 3]), [0, 0, 1, 0, 0, 0, 0]);
    }

    #[test]
    fn a_nal_unit_that_lies_about_its_length_ends_the_list() {
        let units: Vec<_> = nal_units(&[0, 1, 9, 0, 5, 1], 2).collect();
        assert_eq!(units, [&[9u8][..]]);
    }
}
