//! x86: Intel SDM Vol. 3A, 5.10.4.1, "Operations that Invalidate TLBs and Paging-Structure Caches".

mod ept;

use super::{
    EntryRead, FaultInvalidates, Manual, Query, RegisterWrite, Space, WalkCacheScope, WriteContext,
};
use emmu_core::{Asid, Invalidate, PhysAddr, Privilege};
use emmu_oracle::{
    reference::SparseMemory,
    x86::{Fault, Mode, Registers},
};
use emmu_paging::format::x86::{CR0, CR3, CR3_NO_FLUSH, CR4, PKRU, RFLAGS};

const WP: u64 = 1 << 16;
const PG: u64 = 1 << 31;
const PGE: u64 = 1 << 7;
const PCIDE: u64 = 1 << 17;
const SMEP: u64 = 1 << 20;
const SMAP: u64 = 1 << 21;
const PKE: u64 = 1 << 22;
const AC: u64 = 1 << 18;

impl Manual for Registers {
    /// INVLPG "also invalidates all entries in all paging-structure caches associated with the current PCID,
    /// regardless of the linear addresses to which they correspond".
    const PAGE_WALK_CACHE_SCOPE: [WalkCacheScope; 2] =
        [WalkCacheScope::AddressSpace, WalkCacheScope::Nothing];

    /// P, R/W, U/S, A, D, PS, G, XD, a protection key, and low bits of the address at each level.
    const BITS: &'static [u64] = &[
        1,
        1 << 1,
        1 << 2,
        1 << 5,
        1 << 6,
        1 << 7,
        1 << 8,
        1 << 8,
        1 << 63,
        1 << 59,
        1 << 12,
        1 << 13,
        1 << 21,
        1 << 22,
        1 << 30,
    ];

    const UNTRANSLATED: Option<Privilege> = None;

    /// Returns the number of the PDPTE under PAE paging, which has four.
    fn which_root(&self, query: Query) -> u64 {
        if self.mode() == Mode::Pae { query.addr().bits(30, 2) } else { 0 }
    }

    fn space(&self, _: Query) -> Space {
        Space::of_host(self.pcid())
    }

    /// Returns true if the G flag of the entry that maps the page is set and CR4.PGE = 1 (5.10.2.4, "Global Pages").
    fn is_global(&self, path: &[EntryRead]) -> bool {
        self.cr4 & PGE != 0 && path.last().is_some_and(|leaf| leaf.raw >> 8 & 1 == 1)
    }

    fn root(&self) -> (PhysAddr, u64) {
        match self.mode() {
            Mode::Pae => (PhysAddr::new(self.cr3 & 0xffff_ffe0), 32),
            _ => (PhysAddr::new(self.cr3 & 0xf_ffff_ffff_f000), 4096),
        }
    }

    fn with_root_of(&self, then: &Self) -> Self {
        Self { cr3: then.cr3, pdptes: then.pdptes, ..*self }
    }

    /// Returns the entries that a page fault invalidates: "A page-fault exception resulting from an attempt to use a
    /// linear address will invalidate any TLB entries that are for a page number corresponding to that linear address
    /// and that are associated with the current PCID. It also invalidates all entries in the paging-structure caches
    /// that would be used for that linear address". Global entries are invalidated too, or else the exception would
    /// recur.
    fn invalidated_by(&self, fault: &Fault) -> FaultInvalidates {
        FaultInvalidates { linear: matches!(fault, Fault::PageFault { .. }), gpa: None }
    }

    fn turn(
        &mut self,
        choice: u8,
        value: u8,
        scene: WriteContext<'_, Self>,
    ) -> Option<RegisterWrite> {
        let WriteContext { roots, memory, .. } = scene;
        match choice % 8 {
            0..=3 => self.switch(value, roots[usize::from(value >> 2 & 1)], memory),
            4 => {
                self.ac = !self.ac;
                Some(RegisterWrite::plain(RFLAGS, if self.ac { AC } else { 0 }))
            }
            5 => {
                self.pkru = if value < 0x80 { u32::from(value) * 0x0202_0202 } else { 0 };
                Some(RegisterWrite::plain(PKRU, self.pkru.into()))
            }
            6 if self.mode() == Mode::Off || value.is_multiple_of(8) => self.paging(memory),
            6 => {
                self.cr0 ^= WP;
                Some(RegisterWrite::plain(CR0, self.cr0))
            }
            _ => self.control(value, memory),
        }
    }
}

trait Switches {
    fn pcid(&self) -> Asid;
    fn switch(&mut self, value: u8, root: PhysAddr, memory: &SparseMemory)
    -> Option<RegisterWrite>;
    fn paging(&mut self, memory: &SparseMemory) -> Option<RegisterWrite>;
    fn control(&mut self, value: u8, memory: &SparseMemory) -> Option<RegisterWrite>;
    fn takes_root(&self, root: u64) -> bool;
}

impl Switches for Registers {
    fn pcid(&self) -> Asid {
        let pcid = if self.cr4 & PCIDE == 0 { 0 } else { self.cr3 & 0xfff };
        Asid(u16::try_from(pcid).unwrap_or(0))
    }

    /// Makes a MOV to CR3. Without PCIDs, it invalidates the non-global translations of PCID 0; with PCIDs, those of
    /// the new PCID, or none if bit 63 of the operand is set.
    fn switch(
        &mut self,
        value: u8,
        root: PhysAddr,
        memory: &SparseMemory,
    ) -> Option<RegisterWrite> {
        if !self.takes_root(root.raw()) {
            return None;
        }
        let mut then = *self;
        let pcids = self.cr4 & PCIDE != 0;
        let pcid = if pcids { u64::from(value & 0b11) } else { 0 };
        let bit_63 = if pcids && value & 0x18 != 0 { CR3_NO_FLUSH } else { 0 };
        then.cr3 = root.raw() | pcid;
        then.pdptes = then.load_pdptes(memory).ok()?;
        *self = then;
        let asid = self.pcid();
        let invalidates = if bit_63 == 0 { Some(Invalidate::Asid(asid)) } else { None };
        Some(RegisterWrite::invalidating(CR3, self.cr3 | bit_63, invalidates))
    }

    /// Makes a MOV to CR0 that changes PG. Clearing PG, which PCIDs forbid, invalidates everything; setting it,
    /// nothing.
    fn paging(&mut self, memory: &SparseMemory) -> Option<RegisterWrite> {
        let mut then = Self { cr0: self.cr0 ^ PG, ..*self };
        let (turns_on, pcids) = (then.cr0 & PG != 0, self.cr4 & PCIDE != 0);
        if !turns_on && pcids || !then.takes_root(self.cr3) {
            return None;
        }
        then.pdptes = then.load_pdptes(memory).ok()?;
        *self = then;
        let invalidates = (!turns_on).then_some(Invalidate::All);
        Some(RegisterWrite::invalidating(CR0, self.cr0, invalidates))
    }

    /// Returns true if CR3 can hold the root: outside of IA-32e mode CR3 has 32 bits.
    fn takes_root(&self, root: u64) -> bool {
        root >> 32 == 0 || !matches!(self.mode(), Mode::Bits32 | Mode::Pae)
    }

    /// Makes a MOV to CR4. A change of PGE and clearing PCIDE invalidate everything; setting SMEP invalidates the
    /// entries of the current PCID. PCIDE can be set in IA-32e mode and with PCID 0 only. With PAE paging, changes of
    /// PGE and SMEP load the PDPTEs (5.4.1).
    fn control(&mut self, value: u8, memory: &SparseMemory) -> Option<RegisterWrite> {
        let flip = [PGE, PGE, SMEP, SMAP, PKE, PCIDE][usize::from(value % 6)];
        let mut then = Self { cr4: self.cr4 ^ flip, ..*self };
        let is_set = then.cr4 & flip != 0;
        let pcids = matches!(self.mode(), Mode::Level4 | Mode::Level5) && self.cr3 & 0xfff == 0;
        if flip == PCIDE && is_set && !pcids {
            return None;
        }
        if flip & (PGE | SMEP) != 0 {
            then.pdptes = then.load_pdptes(memory).ok()?;
        }
        *self = then;
        let invalidates = match (flip, is_set) {
            (PGE, _) | (PCIDE, false) => Some(Invalidate::All),
            (SMEP, true) => Some(Invalidate::Asid(self.pcid())),
            _ => None,
        };
        Some(RegisterWrite::invalidating(CR4, self.cr4, invalidates))
    }
}
