//! Numbers of variable length: seven bits a byte, least significant first, the top bit set on all but the
//! last; and signed differences folded onto them.

/// Appends `value` in 1 to 10 bytes.
pub(crate) fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push((value & 0x7f) as u8);
}

/// A part of a byte sequence that is being read from its front.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cursor {
    at: usize,
    end: usize,
}

impl Cursor {
    /// Makes the part from `at` up to and without `end`.
    pub(crate) const fn new(at: usize, end: usize) -> Self {
        Self { at, end }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.at >= self.end
    }

    /// Reads the next number; `None` if the part ends within it or it is larger than 64 bits.
    #[inline]
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Option<u64> {
        let first = self.byte(bytes)?;
        if first < 0x80 { Some(first.into()) } else { self.take_long(bytes, first) }
    }

    fn take_long(&mut self, bytes: &[u8], first: u8) -> Option<u64> {
        let mut value = u64::from(first & 0x7f);
        for shift in (7..64).step_by(7) {
            let byte = self.byte(bytes)?;
            let part = u64::from(byte & 0x7f);
            if (part << shift) >> shift != part {
                return None;
            }
            value |= part << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    #[inline]
    fn byte(&mut self, bytes: &[u8]) -> Option<u8> {
        if self.is_empty() {
            return None;
        }
        let byte = *bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }
}

/// Folds a difference modulo 2^64 so that small ones of either sign become small: 0, −1, 1, −2, …
#[inline]
pub(crate) const fn fold(difference: u64) -> u64 {
    (difference << 1) ^ (difference >> 63).wrapping_neg()
}

/// Returns the difference that [`fold`] folded.
#[inline]
pub(crate) const fn unfold(folded: u64) -> u64 {
    (folded >> 1) ^ (folded & 1).wrapping_neg()
}

#[cfg(test)]
mod tests {
    use super::*;
    use emmu_property::quickcheck;

    fn take(bytes: &[u8]) -> Option<u64> {
        Cursor::new(0, bytes.len()).take(bytes)
    }

    #[test]
    fn small_differences_of_either_sign_fold_to_small_numbers() {
        assert_eq!([0, u64::MAX, 1, u64::MAX - 1].map(fold), [0, 1, 2, 3]);
    }

    #[test]
    fn a_number_cut_short_is_none() {
        assert_eq!((take(&[]), take(&[0x80]), take(&[0xff, 0xff])), (None, None, None));
    }

    #[test]
    fn a_number_beyond_64_bits_is_none() {
        let mut bytes = [0xff; 10];
        bytes[9] = 1;
        assert_eq!(take(&bytes), Some(u64::MAX));
        bytes[9] = 2;
        assert_eq!(take(&bytes), None);
        assert_eq!(take(&[0x80; 11]), None);
    }

    quickcheck! {
        fn numbers_come_back(value: u64, shift: u8) -> bool {
            let value = value >> (shift % 64);
            let mut bytes = vec![];
            put(&mut bytes, value);
            let mut cursor = Cursor::new(0, bytes.len());
            cursor.take(&bytes) == Some(value) && cursor.is_empty()
        }

        fn differences_come_back(value: u64) -> bool {
            unfold(fold(value)) == value
        }
    }
}
