//! The host-side accelerator: from a page and a kind of access straight to the bytes of RAM.
//!
//! The accelerator is no TLB of the emulated machine. An entry holds the [`Ticket`] of a first-level hit and
//! the place of the page in the host's memory. The CPU asks the unit to repeat the hit, and moves bytes only if
//! the unit agrees. So no result, count or event depends on the accelerator, and it may be dropped at any time.

use alloc::boxed::Box;
use core::fmt;
use emmu_core::{
    Access, AccessFlags, PhysAddr, Privilege, RAM_PAGE_BITS, Ticket, VirtAddr, low_mask,
};

/// Log2 of the number of entries for each kind of access. So at most 1 MiB of each kind is in the table.
const INDEX_BITS: u32 = 8;
/// The number of all entries: one direct-mapped table after the other, in the order of `AccessKind`.
const LEN: usize = 4 << INDEX_BITS;
const IN_TABLE: u64 = (1 << INDEX_BITS) - 1;
const IN_PAGE: u64 = (1 << RAM_PAGE_BITS) - 1;

/// The state that must be equal for a hit, besides the page. It stands in the low bits of a tag, which the page
/// number leaves free:
///
/// | 11:7 | 6 | 5:2 | 1:0 |
/// |---|---|---|---|
/// | generation, never 0 | closed | access flags, of which the first four | privilege |
///
/// Accesses with other flags, which name an x86 segment, never enter the table: their key is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key(u64);

const FLAGS_SHIFT: u32 = 2;
const CLOSED: u64 = 1 << 6;
const GENERATION_SHIFT: u32 = 7;
const GENERATIONS: u64 = 1 << (RAM_PAGE_BITS - GENERATION_SHIFT);
/// The flags that have a place in a key.
const KEYED: AccessFlags = AccessFlags::STACK
    .union(AccessFlags::IMPLICIT)
    .union(AccessFlags::GUEST)
    .union(AccessFlags::EXECUTABLE);
const _: () = assert!(KEYED.bits() < 1 << 4, "access flags outgrow their place");

impl Key {
    /// Returns this key with the `CLOSED` bit, which no entry has, so that every lookup misses. The CPU closes
    /// its keys while the next access needs an extra check; the hot path need not make that check.
    pub(crate) const fn closed(self) -> Self {
        Self(self.0 | CLOSED)
    }

    /// Returns this key for an access that differs in privilege or flags from the CPU's own accesses.
    pub(crate) fn of(self, access: Access) -> Self {
        Self(self.0 & !low_mask(6) | mode_bits(access.privilege, access.flags))
    }
}

fn mode_bits(privilege: Privilege, flags: AccessFlags) -> u64 {
    let keyed = u64::from(flags.intersection(KEYED).bits()) << FLAGS_SHIFT;
    let closed = if KEYED.contains(flags) { 0 } else { CLOSED };
    privilege as u64 | keyed | closed
}

/// One page. An entry has 32 bytes, so that two share a cache line and none straddles two.
#[derive(Clone, Copy)]
#[repr(align(32))]
struct HotEntry {
    /// The page address and the key. No generation is 0, so a tag of 0 matches nothing.
    tag: u64,
    /// The offset of the page in the RAM of the bus.
    offset: usize,
    ticket: Ticket,
}

const _: () = assert!(size_of::<HotEntry>() == 32);

impl HotEntry {
    const EMPTY: Self =
        Self { tag: 0, offset: 0, ticket: Ticket { slot: 0, version: 0, epoch: 0 } };
}

/// The table. It knows neither unit nor bus.
#[derive(Clone)]
pub(crate) struct HotTable {
    entries: Box<[HotEntry; LEN]>,
    /// The physical pages. They are kept apart, because only a probe needs them.
    pages: Box<[PhysAddr; LEN]>,
    generation: u64,
}

/// The place of an access that was found.
#[derive(Clone, Copy)]
pub(crate) struct Hit {
    start: usize,
    /// The ticket of the first-level entry that served the page before.
    pub(crate) ticket: Ticket,
    /// The physical address of its first byte.
    pub(crate) addr: PhysAddr,
}

impl Hit {
    /// Returns the bytes of the access in the RAM of the bus, or `None` if the RAM is too short.
    #[inline(always)]
    pub(crate) fn bytes<'a>(&self, ram: &'a [u8], access: Access) -> Option<&'a [u8]> {
        // Two steps take less time than `start..end`: there is no end to compute, which could overflow.
        ram.get(self.start..)?.get(..access.size as usize)
    }

    /// Returns the bytes of the access, to be written.
    #[inline(always)]
    pub(crate) fn bytes_mut<'a>(&self, ram: &'a mut [u8], access: Access) -> Option<&'a mut [u8]> {
        ram.get_mut(self.start..)?.get_mut(..access.size as usize)
    }
}

impl HotTable {
    pub(crate) fn new() -> Self {
        Self {
            entries: Box::new([HotEntry::EMPTY; LEN]),
            pages: Box::new([PhysAddr::ZERO; LEN]),
            generation: 1,
        }
    }

    /// Returns the present key of accesses with this privilege and these flags.
    pub(crate) fn key(&self, privilege: Privilege, flags: AccessFlags) -> Key {
        Key(self.generation << GENERATION_SHIFT | mode_bits(privilege, flags))
    }

    /// Drops all entries. Keys change.
    pub(crate) fn clear(&mut self) {
        self.generation += 1;
        if self.generation == GENERATIONS {
            self.entries.fill(HotEntry::EMPTY);
            self.generation = 1;
        }
    }

    /// Looks up an access that lies in one RAM page.
    ///
    /// The page of the first byte selects the entry, and the page of the last byte is compared with its tag. If
    /// the two pages differ, they are neighbours and have different entries. So one compare proves both that
    /// the page is in the table and that the access stays in it.
    #[inline(always)]
    pub(crate) fn find(&self, key: Key, access: Access) -> Option<Hit> {
        let at = index(access);
        let entry = &self.entries[at];
        let last = access.addr.wrapping_add(u64::from(access.size).wrapping_sub(1));
        if entry.tag != tag(last, key) || u64::from(access.size) > 1 << RAM_PAGE_BITS {
            return None;
        }
        let within = access.addr.offset(RAM_PAGE_BITS);
        Some(Hit {
            start: entry.offset.wrapping_add((within & IN_PAGE) as usize),
            ticket: entry.ticket,
            addr: self.pages[at].wrapping_add(within),
        })
    }

    /// Enters the page of `access`, which `ticket` served. The page is `page` on the bus and starts at `offset`
    /// in its RAM.
    pub(crate) fn fill(&mut self, access: Access, ticket: Ticket, page: PhysAddr, offset: usize) {
        if !KEYED.contains(access.flags) {
            return;
        }
        let at = index(access);
        let key = self.key(access.privilege, access.flags);
        self.entries[at] = HotEntry { tag: tag(access.addr, key), offset, ticket };
        self.pages[at] = page;
    }
}

impl fmt::Debug for HotTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HotTable").field("generation", &self.generation).finish_non_exhaustive()
    }
}

#[inline(always)]
fn index(access: Access) -> usize {
    let page = access.addr.bits(RAM_PAGE_BITS, INDEX_BITS);
    (access.kind as usize) << INDEX_BITS | (page & IN_TABLE) as usize
}

#[inline(always)]
fn tag(addr: VirtAddr, Key(key): Key) -> u64 {
    addr.align_down(RAM_PAGE_BITS).raw() | key
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    const TICKET: Ticket = Ticket { slot: 3, version: 5, epoch: 7 };

    /// Makes a table that holds the page at 0x5000, loaded in user mode, at physical 0x9000 and RAM offset
    /// 0x2000.
    fn table() -> (HotTable, Key) {
        let mut table = HotTable::new();
        table.fill(user_load(0x5ff0, 8), TICKET, PhysAddr::new(0x9000), 0x2000);
        let key = table.key(Privilege::User, AccessFlags::empty());
        (table, key)
    }

    fn user_load(addr: u64, size: u32) -> Access {
        Access::load(VirtAddr::new(addr), size).with_privilege(Privilege::User)
    }

    #[test]
    fn an_access_in_the_page_is_found_with_its_place() {
        let (table, key) = table();
        let access = user_load(0x5004, 4);
        let hit = table.find(key, access).unwrap();
        let ram: Vec<u8> = (0..=u8::MAX).cycle().take(0x2008).collect();
        assert_eq!(hit.bytes(&ram, access), Some(&[4, 5, 6, 7][..]));
        assert_eq!(hit.bytes(&ram[1..], access), None, "RAM has shrunk");
        assert_eq!((hit.addr, hit.ticket), (PhysAddr::new(0x9004), TICKET));
    }

    #[test]
    fn an_access_that_leaves_the_page_is_not_found() {
        let (table, key) = table();
        assert!(table.find(key, user_load(0x5ff8, 8)).is_some());
        assert!(table.find(key, user_load(0x5ff9, 8)).is_none());
        assert!(table.find(key, user_load(0x4fff, 2)).is_none());
    }

    #[test]
    fn a_slice_that_wraps_around_the_table_into_the_page_is_not_found() {
        let (table, key) = table();
        let bytes: u32 = 1 << (INDEX_BITS + RAM_PAGE_BITS);
        let first = 0x5000u64.wrapping_sub(bytes.into());
        assert!(table.find(key, user_load(first, bytes + 1)).is_none());
    }

    #[test]
    fn kind_privilege_and_flags_must_be_the_same() {
        let (table, key) = table();
        let access = user_load(0x5000, 1);
        let store = Access { kind: emmu_core::AccessKind::Store, ..access };
        assert!(table.find(key, store).is_none());
        assert!(
            table.find(table.key(Privilege::Supervisor, AccessFlags::empty()), access).is_none()
        );
        assert!(table.find(key.of(access.with_flags(AccessFlags::STACK)), access).is_none());
        assert!(table.find(key.of(access), access).is_some());
    }

    #[test]
    fn an_access_through_a_named_segment_is_not_remembered() {
        let (mut table, key) = table();
        let access = user_load(0x7000, 1).with_flags(AccessFlags::FS);
        table.fill(access, TICKET, PhysAddr::new(0x9000), 0x2000);
        assert!(table.find(key.of(access), access).is_none());
        assert!(table.find(key, user_load(0x7000, 1)).is_none());
    }

    #[test]
    fn a_closed_key_finds_nothing() {
        let (table, key) = table();
        assert!(table.find(key.closed(), user_load(0x5000, 1)).is_none());
    }

    #[test]
    fn a_cleared_table_finds_nothing_whatever_the_generation() {
        for clears in 1..=2 * GENERATIONS {
            let (mut table, _) = table();
            (0..clears).for_each(|_| table.clear());
            let key = table.key(Privilege::User, AccessFlags::empty());
            assert!(table.find(key, user_load(0x5000, 1)).is_none(), "after {clears} clears");
        }
    }
}
