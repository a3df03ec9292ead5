//! RISC-V guests: Privileged Architecture, chapter "H" Extension, "Hypervisor Memory-Management Fence Instructions".

use super::{ADUE, BITS, SUM_MXR, asid, mode};
use crate::Run;
use crate::coherence::{
    EntryRead, Manual, Operands, Query, RegisterWrite, Space, WalkCacheScope, WriteContext,
};
use crate::differential::Fenced;
use emmu_core::{Access, Invalidate, PhysAddr, Privilege, Vmid};
use emmu_oracle::{
    Memory, TwoStage,
    riscv::{Xlen, hypervisor::Registers},
    two_stage::{Beyond, Nested, Visit},
};
use emmu_paging::format::riscv::{HENVCFG, HGATP, MSTATUS, VSATP, VSSTATUS};

const MPV: u64 = 1 << 39;

impl Manual for Registers {
    /// HFENCE.VVMA with an address covers leaf entries only, like SFENCE.VMA; HFENCE.GVMA covers all "implicit reads …
    /// done for G-stage address translation" of the address.
    const PAGE_WALK_CACHE_SCOPE: [WalkCacheScope; 2] =
        [WalkCacheScope::Nothing, WalkCacheScope::OnTheWay];

    /// "Conceptually, an implementation might contain two address-translation caches: one that maps guest virtual
    /// addresses to guest physical addresses, and another that maps guest physical addresses to supervisor physical
    /// addresses. HFENCE.GVMA need not flush the former cache".
    const FIRST_OUTLIVES_SECOND: bool = true;

    const BITS: &'static [u64] = &BITS;

    const UNTRANSLATED: Option<Privilege> = Some(Privilege::Machine);

    /// Returns the ASID for hosts, the VMID and the guest's ASID for guests, and the VMID for the second stage.
    fn space(&self, query: Query) -> Space {
        let (xlen, tables) = (self.hs.xlen, vmid(self).0.into());
        match query {
            Query::Second { .. } => Space::of_second(tables),
            Query::First(access) if self.is_of_guest(access) => Space {
                vmid: Some(vmid(self)),
                tables: Some(tables),
                ..Space::of_host(asid(xlen, self.vsatp))
            },
            Query::First(_) => Space::of_host(asid(xlen, self.hs.satp)),
        }
    }

    fn is_global(&self, path: &[EntryRead]) -> bool {
        self.hs.is_global(path)
    }

    fn root(&self) -> (PhysAddr, u64) {
        self.second_root()
    }

    fn with_root_of(&self, then: &Self) -> Self {
        let (hs, vsatp, hgatp) = (self.hs.with_root_of(&then.hs), then.vsatp, then.hgatp);
        Self { hs, vsatp, hgatp, ..self.clone() }
    }

    fn unprotected(&self) -> Self {
        Self { hs: self.hs.unprotected(), ..self.clone() }
    }

    fn first(
        &self,
        access: Access,
        memory: &dyn Memory,
        second: Beyond<'_, Self::Fault>,
    ) -> Nested<Self::Fault> {
        self.first_stage(access, memory, second)
    }

    fn second(
        &self,
        access: Access,
        visit: (PhysAddr, Visit),
        memory: &dyn Memory,
    ) -> Nested<Self::Fault> {
        self.second_stage(access, visit, memory)
    }

    fn run_of(&self, query: Query, leaf: u64, page_bits: u32) -> Option<Run> {
        self.hs.run_of(query, leaf, page_bits)
    }

    /// Makes an HFENCE.VVMA for the virtual machine of hgatp, or an HFENCE.GVMA, with every combination of operands.
    fn guest_scope(&self, choice: u8, named: Operands) -> Option<Invalidate> {
        let Operands { addr, gpa, asid, own, .. } = named;
        let with = |bit: u8| choice & bit != 0;
        let own_vmid = vmid(self);
        if with(0b100) {
            let tables = u64::from(own_vmid.0) ^ u64::from(!own);
            return Some(Invalidate::SecondStage {
                tables: with(1).then_some(tables),
                addr: with(2).then_some(gpa),
                combined: true,
            });
        }
        Some(Invalidate::Guest {
            vmid: own_vmid,
            asid: with(1).then_some(asid),
            addr: with(2).then_some(addr),
            keeps_global: false,
        })
    }

    /// Writes a register of the guest or of the host. No write invalidates anything: "writing satp", and so vsatp and
    /// hgatp, "does not imply any ordering constraints".
    fn turn(
        &mut self,
        choice: u8,
        value: u8,
        scene: WriteContext<'_, Self>,
    ) -> Option<RegisterWrite> {
        let WriteContext { given, roots, memory } = scene;
        let hs = |roots| WriteContext { given: &given.hs, roots, memory };
        let number = u64::from(value);
        match choice % 16 {
            0..=3 => {
                let shift = if self.hs.xlen == Xlen::Rv32 { 22 } else { 44 };
                let root = self.vsatp & ((1 << shift) - 1);
                let mode = mode(self.hs.xlen, [self.vsatp, given.vsatp], number >> 3);
                self.vsatp = mode | (number & 0b11) << shift | root;
                Some(RegisterWrite::plain(VSATP, self.vsatp))
            }
            4..=8 => {
                // Mostly, each second stage has a virtual machine of its own.
                let odd = if number & 0b11 == 0 { number >> 3 } else { number >> 2 } & 1 == 1;
                let (id, value) = *self.enter(odd, roots[usize::from(value >> 2 & 1)]).first()?;
                Some(RegisterWrite::plain(id, value)).filter(|turn| turn.id == HGATP)
            }
            9..=10 => {
                self.vsstatus = (number & 0b11) << 18;
                Some(RegisterWrite::plain(VSSTATUS, self.vsstatus))
            }
            11 => {
                self.hs.mstatus = self.hs.mstatus & !SUM_MXR & !MPV | (number & 0b11) << 18;
                self.hs.turn(6, value >> 2, hs(roots))?;
                self.hs.mstatus |= MPV * (number >> 5 & 1);
                Some(RegisterWrite::plain(MSTATUS, self.hs.mstatus))
            }
            12 => {
                self.henvcfg ^= ADUE;
                Some(RegisterWrite::plain(HENVCFG, self.henvcfg))
            }
            13 => self.hs.turn(7 + 8 * (value & 1), value >> 1, hs(roots)),
            _ => {
                let own = [self.hs.root().0; 2];
                self.hs.turn(0, value, hs(own))
            }
        }
    }
}

fn vmid(registers: &Registers) -> Vmid {
    let vmid = match registers.hs.xlen {
        Xlen::Rv32 => registers.hgatp >> 22 & 0x7f,
        Xlen::Rv64 => registers.hgatp >> 44 & 0x3fff,
    };
    Vmid(u16::try_from(vmid).unwrap_or(0))
}
