//! An address cut into its parts, for the headline.

use super::Radix;
use emmu_core::low_mask;

/// The most bits that are written out.
const WIDEST: u32 = 32;

/// A part of an address: its name and its number of bits.
pub(super) type Part = (String, u32);

/// Shows the bits and the value of each part, the topmost part first. Bits above all parts, which make the address
/// wider than the machine's addresses, come first as a part of their own.
pub(super) fn cut(addr: u64, parts: &[Part], show: Radix) -> String {
    let width: u32 = parts.iter().map(|(_, bits)| bits).sum();
    let used = u64::BITS - addr.leading_zeros();
    let excess = ("excess".to_owned(), used.saturating_sub(width));
    let parts: Vec<_> = [&excess].into_iter().filter(|(_, bits)| *bits > 0).chain(parts).collect();
    let mut low = used.max(width);
    let (mut digits, mut named) = (String::new(), Vec::new());
    for (name, bits) in parts {
        low -= bits;
        let value = addr.checked_shr(low).unwrap_or(0) & low_mask(*bits);
        named.push(format!("{name} {}", show.show(value)));
        if *bits > 0 {
            digits += &format!(" {value:0width$b}", width = *bits as usize);
        }
    }
    let digits = if used.max(width) > WIDEST { "" } else { digits.trim_start() };
    let digits = if digits.is_empty() { String::new() } else { format!("{digits}b, ") };
    format!("{digits}{}", named.join(" | "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut_at(addr: u64, parts: &[(&str, u32)]) -> String {
        let parts: Vec<_> = parts.iter().map(|&(name, bits)| (name.to_owned(), bits)).collect();
        cut(addr, &parts, Radix::Hexadecimal)
    }

    #[test]
    fn bits_are_grouped_by_part() {
        assert_eq!(
            cut_at(0x3229, &[("VPN", 2), ("offset", 12)]),
            "11 001000101001b, VPN 0x3 | offset 0x229"
        );
        assert_eq!(
            cut_at(5, &[("selector", 0), ("offset", 4)]),
            "0101b, selector 0x0 | offset 0x5"
        );
    }

    #[test]
    fn bits_that_are_too_many_come_first() {
        assert_eq!(
            cut_at(0x4001, &[("VPN", 2), ("offset", 12)]),
            "1 00 000000000001b, excess 0x1 | VPN 0x0 | offset 0x1"
        );
    }

    #[test]
    fn wide_addresses_are_told_without_bits() {
        assert_eq!(cut_at(u64::MAX, &[("offset", 64)]), "offset 0xffffffffffffffff");
        assert_eq!(cut_at(1 << 33, &[("offset", 8)]), "excess 0x2000000 | offset 0x0");
    }
}
