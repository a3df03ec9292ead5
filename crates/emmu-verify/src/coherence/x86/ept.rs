//! x86 guests: Intel SDM Vol. 3C, "Caching Translation Information" of chapter "VMX Support for Address Translation".

use super::{PG, PGE, SMEP, Switches};
use crate::coherence::{
    EntryRead, FaultInvalidates, Manual, Operands, Query, RegisterWrite, Space, WalkCacheScope,
    WriteContext,
};
use crate::differential::Fenced;
use emmu_core::{Access, Invalidate, PhysAddr, Privilege, Vmid};
use emmu_oracle::{
    Memory, TwoStage,
    two_stage::{Beyond, Nested, Visit},
    x86::{
        self, Mode,
        ept::{Fault, Registers},
    },
};
use emmu_paging::format::x86::{CR3, EPTP, VPID};

/// Bit 8 of the exit qualification: the guest-physical address is the translation of the linear one.
const TRANSLATED: u64 = 1 << 8;

impl Manual for Registers {
    const PAGE_WALK_CACHE_SCOPE: [WalkCacheScope; 2] =
        [WalkCacheScope::AddressSpace, WalkCacheScope::Nothing];

    /// Bits of the guest's entries, and of EPT's: R, W, X, page, A, D.
    const BITS: &'static [u64] = &[
        1,
        1 << 1,
        1 << 2,
        1 << 5,
        1 << 6,
        1 << 7,
        1 << 8,
        1 << 9,
        1 << 63,
        1 << 59,
        1 << 12,
        1 << 13,
        1 << 21,
        1 << 22,
        1 << 30,
    ];

    const UNTRANSLATED: Option<Privilege> = None;

    fn which_root(&self, query: Query) -> u64 {
        match query {
            Query::First(_) => self.guest.which_root(query),
            Query::Second { .. } => 0,
        }
    }

    /// Returns the tags of a mapping. Guest-physical mappings are associated with the current EPTRTA; combined mappings
    /// with "the current VPID, the current PCID, and the current EPTRTA"; linear mappings, without EPT, with VPID and
    /// PCID.
    fn space(&self, query: Query) -> Space {
        let tables = Self::tables(self.eptp);
        match query {
            Query::Second { .. } => Space::of_second(tables),
            Query::First(_) => Space {
                vmid: Some(Vmid(self.vpid)),
                tables: self.enable_ept.then_some(tables),
                ..Space::of_host(self.guest.pcid())
            },
        }
    }

    /// Returns true for the current VPID: "Operations that architecturally invalidate entries in the TLBs or
    /// paging-structure caches independent of VMX operation … are required to do so only for the current VPID (but, for
    /// combined mappings, all EPTRTAs)".
    fn is_present(&self, space: Space) -> bool {
        space.vmid == Some(Vmid(self.vpid))
    }

    fn tables(number: u64) -> u64 {
        number & 0xf_ffff_ffff_f000
    }

    fn is_global(&self, path: &[EntryRead]) -> bool {
        self.guest.is_global(path)
    }

    fn root(&self) -> (PhysAddr, u64) {
        self.second_root()
    }

    fn with_root_of(&self, then: &Self) -> Self {
        Self { guest: self.guest.with_root_of(&then.guest), eptp: then.eptp, ..*self }
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

    /// Returns the entries that the fault invalidates: "An EPT violation invalidates any guest-physical mappings
    /// (associated with the current EPTRTA) that would be used to translate the guest-physical address that caused the
    /// EPT violation. If that guest-physical address was the translation of a linear address, the EPT violation also
    /// invalidates any combined mappings for that linear address associated with the current PCID, the current VPID,
    /// and the current EPTRTA."
    fn invalidated_by(&self, fault: &Fault) -> FaultInvalidates {
        match fault {
            Fault::Exception(exception) => self.guest.invalidated_by(exception),
            Fault::EptViolation { qualification, gpa, .. } => FaultInvalidates {
                linear: qualification & TRANSLATED != 0,
                gpa: Some(PhysAddr::new(*gpa)),
            },
            _ => FaultInvalidates::default(),
        }
    }

    /// Makes an INVVPID for an address, for a VPID, or for a VPID without global translations; or an INVEPT for one
    /// EPTP or for all.
    fn guest_scope(&self, choice: u8, named: Operands) -> Option<Invalidate> {
        let Operands { addr, own, roots, .. } = named;
        let vmid = Vmid(if own { self.vpid } else { self.vpid ^ 3 });
        let eptp = |root: &PhysAddr| self.eptp & 0xfff | root.raw();
        let other = roots.iter().map(eptp).find(|eptp| *eptp != self.eptp);
        let guest = |addr, keeps_global| Invalidate::Guest { vmid, asid: None, addr, keeps_global };
        let ept = |tables| Invalidate::SecondStage { tables, addr: None, combined: true };
        Some(match choice % 8 {
            0..=1 => guest(Some(addr), false),
            2 => guest(None, false),
            3 => guest(None, true),
            4 => ept(None),
            _ if own => ept(Some(self.eptp)),
            _ => ept(other),
        })
    }

    /// Makes a register write of the guest, or a VM entry with another EPTP or another VPID, which invalidates nothing
    /// where VPIDs are enabled. The VPID is 1 or 2: VM entry refuses 0. A guest with PAE paging does not load its
    /// PDPTEs: these stand in guest-physical memory.
    fn turn(
        &mut self,
        choice: u8,
        value: u8,
        scene: WriteContext<'_, Self>,
    ) -> Option<RegisterWrite> {
        let WriteContext { given, roots, memory } = scene;
        match choice % 16 {
            choice @ 0..=7 => {
                let (mut guest, own) = (self.guest, [self.guest.root().0; 2]);
                let turn = guest.turn(
                    choice,
                    value,
                    WriteContext { given: &given.guest, roots: own, memory },
                )?;
                // What PAE paging loads stands in guest-physical memory.
                if guest.mode() == Mode::Pae && !is_light(&self.guest, &guest, turn) {
                    return None;
                }
                self.guest = guest;
                Some(turn)
            }
            8..=13 => {
                let (id, value) = *self.enter(false, roots[usize::from(value & 1)]).first()?;
                Some(RegisterWrite::plain(id, value)).filter(|turn| turn.id == EPTP)
            }
            _ => {
                self.vpid = 1 + u16::from(value & 1);
                Some(RegisterWrite::plain(VPID, self.vpid.into()))
            }
        }
    }
}

/// Returns true if a write loads no PDPTEs with PAE paging (5.4.1). Writes of CR3 load them, and so do writes that
/// change CR0.PG, CR4.PGE or CR4.SMEP.
fn is_light(before: &x86::Registers, after: &x86::Registers, turn: RegisterWrite) -> bool {
    let loads = [(before.cr0 ^ after.cr0) & PG, (before.cr4 ^ after.cr4) & (PGE | SMEP)];
    turn.id != CR3 && loads == [0; 2]
}
