//! Words and numbers within a line. Each function reads from the front of the text; none allocates.

use emmu_core::VirtAddr;

/// Splits the text at its first blanks: the word before them, and the text after them.
pub(crate) fn split_word(text: &[u8]) -> (&[u8], &[u8]) {
    let blank = text.iter().position(|byte| matches!(byte, b' ' | b'\t'));
    let (word, rest) = text.split_at(blank.unwrap_or(text.len()));
    (word, rest.trim_ascii_start())
}

/// Reads 1 to 16 hexadecimal digits without a prefix, and returns the address and the text after it.
pub(crate) fn address(text: &[u8]) -> Result<(VirtAddr, &[u8]), &'static str> {
    let (digits, value) = leading(text, 16);
    match digits {
        0 => Err("a hexadecimal address"),
        1..=16 => Ok((VirtAddr::new(value), &text[digits..])),
        _ => Err("an address of at most 16 hexadecimal digits"),
    }
}

/// Reads a whole text as a size: a number from 1 to 65535 in the given base.
pub(crate) fn size(text: &[u8], base: u32) -> Option<u16> {
    let size = unsigned(text, base).and_then(|size| u16::try_from(size).ok());
    size.filter(|size| *size > 0)
}

/// Reads a whole text as an unsigned number in the given base. Returns `None` if it is none, or has more than 64 bits.
pub(crate) fn unsigned(text: &[u8], base: u32) -> Option<u64> {
    let digits = !text.is_empty() && text.iter().all(|byte| char::from(*byte).is_digit(base));
    str::from_utf8(text)
        .ok()
        .filter(|_| digits)
        .and_then(|text| u64::from_str_radix(text, base).ok())
}

/// Counts the leading digits in the given base, and returns their number and their value modulo 2^64.
fn leading(text: &[u8], base: u32) -> (usize, u64) {
    let digits = text.iter().map_while(|byte| char::from(*byte).to_digit(base));
    digits.fold((0, 0_u64), |(count, value), digit| {
        (count + 1, value.wrapping_mul(base.into()).wrapping_add(digit.into()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_ends_at_blanks_of_either_kind() {
        assert_eq!(split_word(b"2 \t 10 x"), (&b"2"[..], &b"10 x"[..]));
        assert_eq!(split_word(b"2"), (&b"2"[..], &b""[..]));
    }

    #[test]
    fn an_address_is_up_to_sixteen_digits_and_leaves_the_rest() {
        assert_eq!(address(b"fF,8"), Ok((VirtAddr::new(255), &b",8"[..])));
        assert_eq!(address(b"ffffffffffffffff"), Ok((VirtAddr::new(u64::MAX), &b""[..])));
        assert!(address(b"00000000000000001").is_err() && address(b",8").is_err());
    }

    #[test]
    fn a_size_is_a_whole_number_of_sixteen_bits_and_not_zero() {
        assert_eq!((size(b"65535", 10), size(b"ffff", 16)), (Some(u16::MAX), Some(u16::MAX)));
        for text in ["", "0", "65536", "+8", "8 ", "0x8", "99999999999999999999"] {
            assert_eq!(size(text.as_bytes(), 10), None, "{text:?}");
        }
    }
}
