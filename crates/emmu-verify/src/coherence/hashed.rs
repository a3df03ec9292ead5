//! Hashed page tables: the page of the guide, and the documentation of the unit, "Filling it".

use super::{EntryRead, Manual, Query, RegisterWrite, Space, WalkCacheScope, WriteContext};
use emmu_core::{Asid, PhysAddr, Privilege};
use emmu_oracle::hashed::Registers;
use emmu_paging::format::hashed::HTAB;

const ON: u64 = 1 << 63;
const BASE: u64 = 0xff_ffff_e000;

impl Manual for Registers {
    /// A walk cache holds the probe at which the search for a page begins, until the page is invalidated.
    const PAGE_WALK_CACHE_SCOPE: [WalkCacheScope; 2] = [WalkCacheScope::OnTheWay; 2];

    /// V, R or the mark of a deleted entry, W, X, U, A, D, and low bits of probe, frame and tag.
    const BITS: &'static [u64] =
        &[1, 1 << 1, 1 << 2, 1 << 3, 1 << 4, 1 << 5, 1 << 6, 1 << 7, 1 << 8, 1 << 10, 1 << 38];

    const UNTRANSLATED: Option<Privilege> = None;

    /// Returns the page number: each page is searched for on its own, though searches may read the same entries.
    fn which_root(&self, query: Query) -> u64 {
        query.addr().raw() >> 12
    }

    fn space(&self, _: Query) -> Space {
        let [.., low, high, _] = self.htab.to_le_bytes();
        Space::of_host(Asid(u16::from_le_bytes([low, high])))
    }

    /// Returns false: there are no global pages.
    fn is_global(&self, _: &[EntryRead]) -> bool {
        false
    }

    fn root(&self) -> (PhysAddr, u64) {
        (PhysAddr::new(self.htab & BASE), 8 << (self.htab & 63))
    }

    fn with_root_of(&self, then: &Self) -> Self {
        *then
    }

    /// Selects another table or another address space, or turns translation off or on. No such write invalidates
    /// anything. Each table has address spaces of its own: an address space "that takes the place of another, under the
    /// same ASID", needs an invalidation.
    fn turn(
        &mut self,
        choice: u8,
        value: u8,
        scene: WriteContext<'_, Self>,
    ) -> Option<RegisterWrite> {
        let number = value >> 2 & 1;
        let root = scene.roots[usize::from(number)].raw();
        let own = self.htab & !(BASE | 0xffff << 40);
        let htab = match choice % 4 {
            0..=2 => own | root | u64::from(2 * number + (value & 1)) << 40,
            _ if self.htab & ON != 0 && value >= 0x40 => return None,
            _ => self.htab ^ ON,
        };
        let then = Self { htab };
        (root & !BASE == 0 && then.is_possible()).then(|| {
            *self = then;
            RegisterWrite::plain(HTAB, htab)
        })
    }
}
