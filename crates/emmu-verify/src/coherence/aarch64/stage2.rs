//! AArch64 with stage 2: Arm ARM, chapter D8, "TLB maintenance", and the TLBI instructions.

use super::asid;
use crate::Run;
use crate::aarch64::contiguous;
use crate::coherence::{
    EntryRead, Manual, Operands, Query, RegisterWrite, Space, WalkCacheScope, WriteContext,
};
use crate::differential::Fenced;
use emmu_core::{Access, Invalidate, PhysAddr, Privilege, VirtAddr, Vmid};
use emmu_oracle::{
    Memory, TwoStage,
    aarch64::stage2::{Fault, Registers},
    two_stage::{Beyond, Nested, Visit},
};
use emmu_paging::format::aarch64::VTTBR_EL2;

const BADDR: u64 = 0xffff_ffff_ffff;

impl Manual for Registers {
    /// TLBI VAE1 and TLBI IPAS2E1 apply to entries "from any level of the translation table walk" of their stage.
    const PAGE_WALK_CACHE_SCOPE: [WalkCacheScope; 2] = [WalkCacheScope::OnTheWay; 2];

    /// Valid, table, AP and S2AP, AF, nG, DBM, Contiguous, XN, the hierarchical ones, and low bits of the address at
    /// each level.
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

    fn place(&self, addr: VirtAddr) -> u64 {
        self.el1.place(addr)
    }

    fn meant(&self, addr: VirtAddr) -> VirtAddr {
        self.el1.meant(addr)
    }

    fn which_root(&self, query: Query) -> u64 {
        match query {
            Query::First(_) => self.el1.which_root(query),
            Query::Second { .. } => 0,
        }
    }

    /// Returns the VMID, and for stage 1 the ASID too.
    fn space(&self, query: Query) -> Space {
        let tables = vmid(self).0.into();
        match query {
            Query::Second { .. } => Space::of_second(tables),
            Query::First(_) => Space {
                vmid: Some(vmid(self)),
                tables: Some(tables),
                ..Space::of_host(asid(&self.el1))
            },
        }
    }

    /// Returns true for the current VMID: "The entry would be used with the current VMID."
    fn is_present(&self, space: Space) -> bool {
        space.vmid == Some(vmid(self))
    }

    fn is_global(&self, path: &[EntryRead]) -> bool {
        self.el1.is_global(path)
    }

    fn root(&self) -> (PhysAddr, u64) {
        self.second_root()
    }

    fn with_root_of(&self, then: &Self) -> Self {
        Self { el1: self.el1.with_root_of(&then.el1), vttbr_el2: then.vttbr_el2, ..*self }
    }

    fn first(
        &self,
        access: Access,
        memory: &dyn Memory,
        second: Beyond<'_, Fault>,
    ) -> Nested<Fault> {
        self.first_stage(access, memory, second)
    }

    fn second(
        &self,
        access: Access,
        visit: (PhysAddr, Visit),
        memory: &dyn Memory,
    ) -> Nested<Fault> {
        self.second_stage(access, visit, memory)
    }

    /// Returns the run of the descriptor: "The Contiguous bit" of either stage. The bit of a stage-2 descriptor has no
    /// effect where the input addresses of stage 2 are fewer than the run.
    fn run_of(&self, query: Query, leaf: u64, page_bits: u32) -> Option<Run> {
        match query {
            Query::First(_) => self.el1.run_of(query, leaf, page_bits),
            Query::Second { .. } => {
                let t0sz = u32::try_from(self.vtcr_el2 & 0x3f).unwrap_or(0);
                contiguous(leaf, page_bits, 64 - t0sz)
            }
        }
    }

    /// Makes a TLBI IPAS2E1, which leaves translations of both stages, a TLBI VMALLS12E1, VMALLE1 or ALLE1. All but
    /// ALLE1 are for the current VMID.
    fn guest_scope(&self, choice: u8, Operands { gpa, .. }: Operands) -> Option<Invalidate> {
        let tables = Some(vmid(self).0.into());
        Some(match choice % 8 {
            0..=3 => Invalidate::SecondStage { tables, addr: Some(gpa), combined: false },
            4..=5 => Invalidate::SecondStage { tables, addr: None, combined: true },
            6 => Invalidate::All,
            _ => Invalidate::SecondStage { tables: None, addr: None, combined: true },
        })
    }

    /// Writes a register of stage 1, or VTTBR_EL2. No write invalidates anything.
    fn turn(
        &mut self,
        choice: u8,
        value: u8,
        scene: WriteContext<'_, Self>,
    ) -> Option<RegisterWrite> {
        let WriteContext { given, roots, memory } = scene;
        if choice % 16 <= 8 {
            let choice = if choice % 16 == 8 { 15 } else { choice % 8 };
            let own = [PhysAddr::new(self.el1.ttbr0_el1 & BADDR); 2];
            return self.el1.turn(
                choice,
                value,
                WriteContext { given: &given.el1, roots: own, memory },
            );
        }
        // Mostly, each stage 2 has a virtual machine of its own.
        let odd = if value & 0b11 == 0 { value >> 3 } else { value >> 2 } & 1 == 1;
        let (id, value) = *self.enter(odd, roots[usize::from(value >> 2 & 1)]).first()?;
        Some(RegisterWrite::plain(id, value)).filter(|turn| turn.id == VTTBR_EL2)
    }
}

/// Returns the VMID, which has 16 bits or 8 (`VTCR_EL2.VS`).
fn vmid(registers: &Registers) -> Vmid {
    let mask = if registers.vtcr_el2 >> 19 & 1 == 1 { 0xffff } else { 0xff };
    Vmid(u16::try_from(registers.vttbr_el2 >> 48 & mask).unwrap_or(0))
}
