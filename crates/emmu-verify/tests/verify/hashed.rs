//! A register of hashed page tables takes a value if, and only if, the reference model calls it possible.

use emmu_oracle::hashed::Registers;
use emmu_paging::format::hashed::Hashed;
use emmu_property::check;

/// Values near those that are possible: the fields, and a bit that is turned.
fn is_judged_alike(log2: u8, number: u64, asid: u16, turned: u8, on: bool) -> bool {
    let (log2, on) = (u64::from(log2 % 64), u64::from(on));
    let base = ((number % 8) << ((log2 + 3) % 64)) & 0xff_ffff_e000;
    let htab = on << 63 | u64::from(asid) << 40 | base | log2;
    let is_judged =
        |htab| Hashed::<false>::try_from(htab).is_ok() == Registers { htab }.is_possible();
    is_judged(htab) && is_judged(htab ^ 1 << (turned % 64)) && is_judged(number)
}

#[test]
fn a_register_takes_what_is_possible_and_nothing_else() {
    check(10_000, is_judged_alike as fn(u8, u64, u16, u8, bool) -> bool);
}
