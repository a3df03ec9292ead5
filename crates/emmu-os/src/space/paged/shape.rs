//! The shape of page tables, and the kernel's part of the addresses.

use emmu_core::{PhysAddr, VirtAddr, Width, low_mask};
use emmu_paging::format::Plan;

/// The shape of an architecture's page tables. A table is as large as a page of the smallest size, and the root need
/// not fill it; level 0 is the level of the smallest pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableShape {
    /// Levels of tables, at least 2.
    pub levels: u8,
    /// Log2 of the bytes of the smallest page, 12 at least.
    pub page_bits: u8,
    /// An entry.
    pub entry: Width,
    /// Log2 of the bytes of addresses that one root covers, both halves' where they have one root. Addresses of more
    /// than 32 bits have 64, by sign extension.
    pub address_bits: u8,
    /// The level whose pages make up the kernel's window: below the root, or in it.
    pub window_level: u8,
    /// The number of roots.
    pub roots: Roots,
}

/// The roots of programs and of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Roots {
    /// One root, whose upper half is the kernel's: every program's has a copy of that.
    Shared,
    /// Two: a register each for the lower half of the addresses and for the upper.
    Apart,
}

impl TableShape {
    /// Returns the shape that a format's level plan has.
    pub(super) fn of(plan: &Plan) -> Self {
        Self {
            levels: plan.levels(),
            page_bits: plan.page_bits()[0],
            entry: plan.entry(),
            address_bits: plan.address_bits(),
            window_level: plan.window_level(),
            roots: if plan.has_two_roots() { Roots::Apart } else { Roots::Shared },
        }
    }

    /// Bytes of a page of the smallest size, and of a table.
    #[must_use]
    pub const fn page(&self) -> u64 {
        1 << self.page_bits
    }

    /// Log2 of the bytes that an entry of this level maps.
    pub(super) const fn level_bits(&self, level: u8) -> u32 {
        self.page_bits as u32 + self.index_bits() * level as u32
    }

    const fn index_bits(&self) -> u32 {
        self.page_bits as u32 - self.entry.bytes().trailing_zeros()
    }

    /// Returns the address of the entry for `addr` in a table of this level.
    pub(super) fn entry_addr(&self, table: PhysAddr, addr: VirtAddr, level: u8) -> PhysAddr {
        let low = self.level_bits(level);
        let count = self.index_bits().min(u32::from(self.address_bits).saturating_sub(low));
        table.wrapping_add(addr.bits(low, count) * self.entry.bytes())
    }

    /// Log2 of the bytes of programs' addresses, and of the kernel's.
    pub(super) const fn half_bits(&self) -> u32 {
        match self.roots {
            Roots::Shared => self.address_bits as u32 - 1,
            Roots::Apart => self.address_bits as u32,
        }
    }

    /// Bytes of a root that are for programs' addresses. The rest is the kernel's.
    pub(super) const fn users_part(&self) -> u64 {
        match self.roots {
            Roots::Shared => {
                self.entry.bytes() << (self.half_bits() - self.level_bits(self.levels - 1))
            }
            Roots::Apart => self.page(),
        }
    }

    /// Where the kernel sees physical address 0, if its window begins with physical address `base`.
    pub(super) const fn window(&self, base: PhysAddr) -> VirtAddr {
        let upper = !low_mask(self.half_bits()) & low_mask(if self.is_narrow() { 32 } else { 64 });
        VirtAddr::new(upper.wrapping_sub(base.raw()))
    }

    /// The physical address with which the window begins, for memory that starts here. Half of a 32-bit address space
    /// is too small to begin with 0, where on most machines there is no memory.
    pub(super) const fn base(&self, start: PhysAddr) -> PhysAddr {
        match self.is_narrow() {
            true => start.align_down(self.level_bits(self.window_level)),
            false => PhysAddr::ZERO,
        }
    }

    const fn is_narrow(&self) -> bool {
        self.address_bits <= 32
    }
}
