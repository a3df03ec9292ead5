//! The host-side accelerator: from a page and a kind of access straight to the bytes of RAM.
//!
//! It is no TLB of the emulated machine. An entry remembers the [`Ticket`] of a first-level hit and where
//! the page lies in the host's memory; the unit is asked to repeat the hit, and only if it agrees are the
//! bytes moved. So no result, no count and no event depends on it, and it may be dropped at any time.

use alloc::boxed::Box;
use core::fmt;
use emmu_core::{
    Access, AccessFlags, PhysAddr, Privilege, RAM_PAGE_BITS, Ticket, VirtAddr, low_mask,
};

/// Log2 of the entries for each kind of access: 1 MiB of each is hot at most.
const INDEX_BITS: u32 = 8;
/// All entries: one direct-mapped table after the other, in the order of `AccessKind`.
const LEN: usize = 4 << INDEX_BITS;
const IN_TABLE: u64 = (1 << INDEX_BITS) - 1;
const IN_PAGE: u64 = (1 << RAM_PAGE_BITS) - 1;

/// What must be equal besides the page, in the low bits of a tag, which the page number leaves free:
///
/// | 11:7 | 6 | 5:2 | 1:0 |
/// |---|---|---|---|
/// | generation, never 0 | closed | access flags, of which the first four | privilege |
///
/// Accesses with other flags, which name an x86 segment, are not remembered: their key is closed.
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
    /// No entry has this key's `CLOSED` bit, so every lookup misses. The CPU locks the table so while
    /// something must be looked at before the next access, and the hot path need not ask.
    pub(crate) const fn closed(self) -> Self {
        Self(self.0 | CLOSED)
    }

    /// The same key for an access that differs in privilege or flags from what the CPU would do itself.
    pub(crate) fn of(self, access: Access) -> Self {
        Self(self.0 & !low_mask(6) | mode_bits(access.privilege, access.flags))
    }
}

fn mode_bits(privilege: Privilege, flags: AccessFlags) -> u64 {
    let keyed = u64::from(flags.intersection(KEYED).bits()) << FLAGS_SHIFT;
    let closed = if KEYED.contains(flags) { 0 } else { CLOSED };
    privilege as u64 | keyed | closed
}

/// One page. 32 bytes, so that two share a cache line and none straddles one.
#[derive(Clone, Copy)]
#[repr(align(32))]
struct Entry {
    /// Page address and key. No generation is 0, so 0 is no tag.
    tag: u64,
    /// Where the page starts in the bus's RAM.
    offset: usize,
    ticket: Ticket,
}

const _: () = assert!(size_of::<Entry>() == 32);

impl Entry {
    const EMPTY: Self =
        Self { tag: 0, offset: 0, ticket: Ticket { slot: 0, version: 0, epoch: 0 } };
}

/// The table. It knows neither unit nor bus.
#[derive(Clone)]
pub(crate) struct HotTable {
    entries: Box<[Entry; LEN]>,
    /// The physical pages, apart: only a probe wants them.
    pages: Box<[PhysAddr; LEN]>,
    generation: u64,
}

/// Where an access that was found goes.
#[derive(Clone, Copy)]
pub(crate) struct Hit {
    start: usize,
    /// Names the first-level entry that served it before.
    pub(crate) ticket: Ticket,
    /// The physical address of its first byte.
    pub(crate) addr: PhysAddr,
}

impl Hit {
    /// The bytes of the access in the bus's RAM, if it still has them.
    #[inline(always)]
    pub(crate) fn bytes<'a>(&self, ram: &'a [u8], access: Access) -> Option<&'a [u8]> {
        // Two steps take less time than `start..end`: there is no end to compute, which could overflow.
        ram.get(self.start..)?.get(..access.size as usize)
    }

    /// The same bytes, to write.
    #[inline(always)]
    pub(crate) fn bytes_mut<'a>(&self, ram: &'a mut [u8], access: Access) -> Option<&'a mut [u8]> {
        ram.get_mut(self.start..)?.get_mut(..access.size as usize)
    }
}

impl HotTable {
    pub(crate) fn new() -> Self {
        Self {
            entries: Box::new([Entry::EMPTY; LEN]),
            pages: Box::new([PhysAddr::ZERO; LEN]),
            generation: 1,
        }
    }

    /// The key of accesses with this privilege and these flags, for now.
    pub(crate) fn key(&self, privilege: Privilege, flags: AccessFlags) -> Key {
        Key(self.generation << GENERATION_SHIFT | mode_bits(privilege, flags))
    }

    /// Forgets everything; keys change.
    pub(crate) fn clear(&mut self) {
        self.generation += 1;
        if self.generation == GENERATIONS {
            self.entries.fill(Entry::EMPTY);
            self.generation = 1;
        }
    }

    /// Looks up an access that lies in one RAM page.
    ///
    /// The entry is chosen by the page of the first byte and compared with the page of the last. Where
    /// these differ they are neighbours, whose entries are different ones: one compare proves both that
    /// the page is here and that the access stays in it.
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

    /// Remembers that `ticket` served `access`, whose page is `page` on the bus and starts at `offset` in
    /// its RAM.
    pub(crate) fn fill(&mut self, access: Access, ticket: Ticket, page: PhysAddr, offset: usize) {
        if !KEYED.contains(access.flags) {
            return;
        }
        let at = index(access);
        let key = self.key(access.privilege, access.flags);
        self.entries[at] = Entry { tag: tag(access.addr, key), offset, ticket };
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

    /// A table that knows the page at 0x5000, loaded in user mode, to lie at 0x9000 and RAM offset 0x2000.
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
