//! Page walks as loops.

/// Levels that counts tell apart.
pub(super) const WALK_LEVELS: usize = 8;

/// In a leaf, beside the frame: that it may be read, and that it is a user's.
const READ: u64 = 1;
const USER: u64 = 2;
const FRAME: u64 = !0xfff;

/// How one kind of table is read.
pub trait Tables {
    /// Levels of tables.
    const LEVELS: usize;
    /// Bits of the index into the first table.
    const ROOT_BITS: u32 = 9;
    /// True if the leaves belong to the user, and loads are the user's too.
    const OF_USER: bool = false;

    /// Returns true if an address can be translated at all.
    fn takes(addr: u64) -> bool;

    /// Returns the address to which an entry points, and true if it is a leaf. Returns `None` if the entry is
    /// invalid.
    fn decode(raw: u64, level: usize) -> Option<(u64, bool)>;

    /// Returns two flags: a leaf may be read, and it belongs to the user.
    fn rights(raw: u64) -> (bool, bool);
}

/// RISC-V's three levels.
#[derive(Debug)]
pub struct Sv39;

/// RISC-V's three levels as a second stage.
#[derive(Debug)]
pub struct Sv39x4;

/// x86's four levels, without execute-disable.
#[derive(Debug)]
pub struct Long;

/// Extended page tables of four levels, without accessed and dirty flags.
#[derive(Debug)]
pub struct Ept;

impl Tables for Sv39 {
    const LEVELS: usize = 3;

    #[inline]
    fn takes(addr: u64) -> bool {
        addr >> 38 == 0 || addr >> 38 == (1 << 26) - 1
    }

    #[inline]
    fn decode(raw: u64, _: usize) -> Option<(u64, bool)> {
        let is_valid = raw & 1 != 0 && raw & 0b110 != 0b100 && raw >> 54 == 0;
        let is_leaf = raw & 0b1010 != 0;
        // A leaf must have been accessed; a pointer has none of A, D and U.
        let is_sound = if is_leaf { raw & 0x40 != 0 } else { raw & 0xd0 == 0 };
        (is_valid && is_sound).then_some((raw >> 10 << 12, is_leaf))
    }

    #[inline]
    fn rights(raw: u64) -> (bool, bool) {
        (raw & 2 != 0, raw & 0x10 != 0)
    }
}

impl Tables for Sv39x4 {
    const LEVELS: usize = 3;
    const ROOT_BITS: u32 = 11;
    const OF_USER: bool = true;

    #[inline]
    fn takes(addr: u64) -> bool {
        addr >> 41 == 0
    }

    #[inline]
    fn decode(raw: u64, level: usize) -> Option<(u64, bool)> {
        Sv39::decode(raw, level)
    }

    #[inline]
    fn rights(raw: u64) -> (bool, bool) {
        Sv39::rights(raw)
    }
}

/// Bits of an x86 entry that are an address of 46 bits, and those above that must be clear.
const X86_ADDR: u64 = (1 << 46) - (1 << 12);
const X86_RESERVED: u64 = (1 << 52) - (1 << 46);

impl Tables for Long {
    const LEVELS: usize = 4;

    #[inline]
    fn takes(addr: u64) -> bool {
        addr >> 47 == 0 || addr >> 47 == (1 << 17) - 1
    }

    #[inline]
    fn decode(raw: u64, level: usize) -> Option<(u64, bool)> {
        let is_large = raw & 0x80 != 0 && level > 0;
        let is_valid = raw & 1 != 0 && raw & (X86_RESERVED | 1 << 63) == 0;
        // No page is as large as the topmost table's entries map; accessed it must be.
        let is_sound = !(is_large && level == 3) && raw & 0x20 != 0;
        (is_valid && is_sound).then_some((raw & X86_ADDR, is_large || level == 0))
    }

    #[inline]
    fn rights(raw: u64) -> (bool, bool) {
        (true, raw & 4 != 0)
    }
}

impl Tables for Ept {
    const LEVELS: usize = 4;

    #[inline]
    fn takes(addr: u64) -> bool {
        addr >> 48 == 0
    }

    #[inline]
    fn decode(raw: u64, level: usize) -> Option<(u64, bool)> {
        let is_large = raw & 0x80 != 0 && level > 0;
        let is_leaf = is_large || level == 0;
        let is_valid = raw & 1 != 0 && raw & X86_RESERVED == 0;
        // Memory types 2, 3 and 7 are none; in entries that are no leaves the bits are reserved.
        let memory_type = raw >> 3 & 7;
        let is_sound = match is_leaf {
            true if is_large && level == 3 => false,
            true => !matches!(memory_type, 2 | 3 | 7),
            false => raw & 0xf8 == 0,
        };
        (is_valid && is_sound).then_some((raw & X86_ADDR, is_leaf))
    }

    #[inline]
    fn rights(raw: u64) -> (bool, bool) {
        (raw & 1 != 0, false)
    }
}

/// Where an entry leads to.
pub(super) enum Next {
    Table(u64),
    /// The frame of 4 KiB with its rights.
    Leaf(u64),
}

/// Walks from the first table to a leaf; `read` is told where an entry is and of which level.
#[inline]
pub(super) fn walk<T: Tables>(
    root: u64,
    addr: u64,
    mut read: impl FnMut(u64, usize) -> Option<u64>,
) -> Option<u64> {
    if !T::takes(addr) {
        return None;
    }
    let mut table = root;
    for level in (0..T::LEVELS).rev() {
        let raw = read(entry_addr::<T>(table, level, addr), level)?;
        match next::<T>(raw, level, addr)? {
            Next::Table(below) => table = below,
            Next::Leaf(leaf) => return Some(leaf),
        }
    }
    None
}

#[inline]
pub(super) fn entry_addr<T: Tables>(table: u64, level: usize, addr: u64) -> u64 {
    let bits = if level + 1 == T::LEVELS { T::ROOT_BITS } else { 9 };
    table + (addr >> (12 + 9 * level) & ((1 << bits) - 1)) * 8
}

#[inline]
pub(super) fn next<T: Tables>(raw: u64, level: usize, addr: u64) -> Option<Next> {
    let (to, is_leaf) = T::decode(raw, level)?;
    if !is_leaf {
        return (level > 0).then_some(Next::Table(to));
    }
    let offset = (1 << (12 + 9 * level)) - 1;
    let (read, user) = T::rights(raw);
    let readable = if read { READ } else { 0 };
    let rights = if user == T::OF_USER { readable } else { readable | USER };
    (to & offset == 0).then_some(Next::Leaf((to | addr & offset) & FRAME | rights))
}

/// The physical address of a load, if it may be made.
#[inline]
pub(super) fn of_load(leaf: u64, addr: u64) -> Option<u64> {
    (leaf & (READ | USER) == READ).then_some(leaf & FRAME | addr & !FRAME)
}
