//! AArch64: Arm ARM, chapter D8, "TLB maintenance", and the TLBI instructions.

mod stage2;

use super::{EntryRead, Manual, Query, RegisterWrite, Space, WalkCacheScope, WriteContext};
use crate::Run;
use crate::aarch64::{address_bits, contiguous};
use emmu_core::{Asid, PhysAddr, Privilege, VirtAddr};
use emmu_oracle::aarch64::Registers;
use emmu_paging::format::aarch64::{PAN, SCTLR_EL1, TCR_EL1, TTBR0_EL1, TTBR1_EL1};

const WXN: u64 = 1 << 19;
const BADDR: u64 = 0xffff_ffff_ffff;

/// EPD0, EPD1, A1, AS, TBI0, TBI1, HA, HD, HPD0 and HPD1.
const TCR: [u64; 10] =
    [1 << 7, 1 << 23, 1 << 22, 1 << 36, 1 << 37, 1 << 38, 1 << 39, 1 << 40, 1 << 41, 1 << 42];

impl Manual for Registers {
    /// TLBI VAE1 applies to entries "from any level of the translation table walk" that translate the address.
    const PAGE_WALK_CACHE_SCOPE: [WalkCacheScope; 2] = [WalkCacheScope::OnTheWay; 2];

    /// Valid, table, AP\[1\], AP\[2\], AF, nG, DBM, Contiguous, PXN, UXN, the hierarchical ones, and low bits of the
    /// address at each level.
    const BITS: &'static [u64] = &[
        1,
        1 << 1,
        1 << 6,
        1 << 7,
        1 << 10,
        1 << 11,
        1 << 11,
        1 << 51,
        1 << 52,
        1 << 53,
        1 << 54,
        1 << 60,
        1 << 61,
        1 << 62,
        1 << 12,
        1 << 14,
        1 << 16,
        1 << 21,
        1 << 30,
    ];

    const UNTRANSLATED: Option<Privilege> = None;

    /// Returns bits 55:0. Bit 55 chooses the half of the address space; the bits above are a tag or equal to bit 55,
    /// and TLBI does not take them.
    fn place(&self, addr: VirtAddr) -> u64 {
        addr.bits(0, 56)
    }

    /// Returns the address with bits 63:56 equal to bit 55: TLBI takes bits 55:12.
    fn meant(&self, addr: VirtAddr) -> VirtAddr {
        let above = if addr.bits(55, 1) == 1 { 0xff << 56 } else { 0 };
        VirtAddr::new(addr.bits(0, 56) | above)
    }

    fn which_root(&self, query: Query) -> u64 {
        query.addr().bits(55, 1)
    }

    fn space(&self, _: Query) -> Space {
        Space::of_host(asid(self))
    }

    /// Returns true if the nG bit of the block or page descriptor is clear.
    fn is_global(&self, path: &[EntryRead]) -> bool {
        path.last().is_some_and(|leaf| leaf.raw >> 11 & 1 == 0)
    }

    /// Returns the first table of the lower half. A table has at most 64 KiB.
    fn root(&self) -> (PhysAddr, u64) {
        (PhysAddr::new(self.ttbr0_el1 & BADDR), 1 << 16)
    }

    fn with_root_of(&self, then: &Self) -> Self {
        Self { ttbr0_el1: then.ttbr0_el1, ttbr1_el1: then.ttbr1_el1, ..*self }
    }

    /// Returns the run of the descriptor: "The Contiguous bit".
    fn run_of(&self, query: Query, leaf: u64, page_bits: u32) -> Option<Run> {
        contiguous(leaf, page_bits, address_bits(self, query.addr()))
    }

    /// Writes TTBR0_EL1, TTBR1_EL1, PAN, `TCR_EL1` or SCTLR_EL1. No write invalidates anything. Fields of `TCR_EL1` are
    /// "permitted to be cached in a TLB".
    fn turn(
        &mut self,
        choice: u8,
        value: u8,
        scene: WriteContext<'_, Self>,
    ) -> Option<RegisterWrite> {
        let WriteContext { roots, .. } = scene;
        let asid = u64::from(value & 0b11) << 48;
        match choice % 8 {
            0..=2 => {
                self.ttbr0_el1 = asid | roots[usize::from(value >> 2 & 1)].raw();
                Some(RegisterWrite::plain(TTBR0_EL1, self.ttbr0_el1))
            }
            3..=4 => {
                self.ttbr1_el1 = self.ttbr1_el1 & BADDR | asid;
                Some(RegisterWrite::plain(TTBR1_EL1, self.ttbr1_el1))
            }
            5..=6 => {
                self.pan = !self.pan;
                Some(RegisterWrite::plain(PAN, u64::from(self.pan) << 22))
            }
            _ if choice & 8 != 0 => {
                let flip = TCR[usize::from(value) % TCR.len()];
                self.tcr_el1 ^= flip;
                Some(RegisterWrite::fenced(TCR_EL1, self.tcr_el1))
            }
            _ => {
                self.sctlr_el1 ^= WXN;
                Some(RegisterWrite::plain(SCTLR_EL1, self.sctlr_el1))
            }
        }
    }
}

/// Returns the ASID. `TCR_EL1.A1` chooses the TTBR that holds the ASID, and AS its width.
fn asid(registers: &Registers) -> Asid {
    let Registers { tcr_el1, ttbr0_el1, ttbr1_el1, .. } = *registers;
    let ttbr = if tcr_el1 >> 22 & 1 == 1 { ttbr1_el1 } else { ttbr0_el1 };
    let mask = if tcr_el1 >> 36 & 1 == 1 { 0xffff } else { 0xff };
    Asid(u16::try_from(ttbr >> 48 & mask).unwrap_or(0))
}
