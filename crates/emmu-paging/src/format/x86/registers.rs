//! The paging registers, and what a write of one entails.

use super::{Mode, Pte, X86, reason};
use crate::format::{ReadWord, refuse_not_modelled};
use bitflags::bitflags;
use emmu_core::{
    Invalidate, PhysAddr, Privilege, RegisterError, RegisterId, RegisterInfo, VirtAddr, Width,
    bit_range, low_mask,
};

/// CR0: of it PE, WP, NW, CD and PG are kept.
pub const CR0: RegisterId = RegisterId(0);
/// CR3: the root, and the PCID if CR4.PCIDE.
pub const CR3: RegisterId = RegisterId(3);
/// CR4: of it PSE, PAE, PGE, LA57, PCIDE, SMEP, SMAP and PKE are kept.
pub const CR4: RegisterId = RegisterId(4);
/// IA32_EFER, by its MSR index: of it LME, LMA and NXE are kept.
pub const EFER: RegisterId = RegisterId(0xc000_0080);
/// RFLAGS, of which only AC matters here. The architecture has no number for it; this one is emmu's.
pub const RFLAGS: RegisterId = RegisterId(0x1_0000);
/// PKRU: two bits a protection key, access-disable and write-disable. The number is emmu's.
pub const PKRU: RegisterId = RegisterId(0x1_0001);

bitflags! {
    /// CR0.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Cr0: u64 {
        /// Protection enable.
        const PE = 1 << 0;
        /// Supervisor writes respect R/W.
        const WP = 1 << 16;
        /// Not write-through. It matters only in that a change loads the PDPTEs.
        const NW = 1 << 29;
        /// Cache disable, likewise.
        const CD = 1 << 30;
        /// Paging.
        const PG = 1 << 31;
    }
}

bitflags! {
    /// CR4.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Cr4: u64 {
        /// 4 MiB pages with 32-bit paging.
        const PSE = 1 << 4;
        /// 64-bit entries.
        const PAE = 1 << 5;
        /// Global pages.
        const PGE = 1 << 7;
        /// 5-level paging.
        const LA57 = 1 << 12;
        /// Process-context identifiers.
        const PCIDE = 1 << 17;
        /// No supervisor fetches from user pages.
        const SMEP = 1 << 20;
        /// No supervisor data accesses to user pages, unless EFLAGS.AC.
        const SMAP = 1 << 21;
        /// Protection keys for user pages.
        const PKE = 1 << 22;
    }
}

bitflags! {
    /// IA32_EFER.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Efer: u64 {
        /// IA-32e mode is wanted.
        const LME = 1 << 8;
        /// IA-32e mode is on: LME and CR0.PG. Read-only.
        const LMA = 1 << 10;
        /// Bit 63 of entries forbids execution.
        const NXE = 1 << 11;
    }
}

/// Bits of CR3 that change translation and are not modelled.
const CR3_NOT_MODELLED: [(u32, &str); 2] =
    [(61, "CR3.LAM_U57 (linear-address masking)"), (62, "CR3.LAM_U48 (linear-address masking)")];

/// Bits of CR4 that change translation and are not modelled. Bits that have nothing to do with it are ignored.
const CR4_NOT_MODELLED: [(u32, &str); 4] = [
    (23, "CR4.CET (shadow-stack pages)"),
    (24, "CR4.PKS (protection keys for supervisor pages)"),
    (27, "CR4.LASS (linear-address-space separation)"),
    (28, "CR4.LAM_SUP (linear-address masking)"),
];

/// Bits of CR4 that no processor has (SDM Vol. 3A, 2.5).
const CR4_RESERVED: u64 = bit_range(63, 33) | bit_range(31, 29) | 1 << 26 | 1 << 15;

/// Bits of IA32_EFER that are reserved (SDM Vol. 4, table 2-2). Bit 0 is SCE, which changes no translation.
const EFER_RESERVED: u64 = bit_range(63, 12) | 1 << 9 | bit_range(7, 1);

/// RFLAGS.AC: lifts SMAP for explicit accesses.
pub const RFLAGS_AC: u64 = 1 << 18;

/// CR3 bit 63 as an operand: with PCIDs, do not invalidate.
pub const CR3_NO_FLUSH: u64 = 1 << 63;

const fn register(
    id: RegisterId,
    name: &'static str,
    privilege: Privilege,
    about: &'static str,
) -> RegisterInfo {
    RegisterInfo { id, name, privilege, about }
}

pub(super) const ALL: &[RegisterInfo] = &[
    register(CR0, "cr0", Privilege::Supervisor, "PE, WP, NW, CD, PG"),
    register(CR3, "cr3", Privilege::Supervisor, "root table and PCID"),
    register(CR4, "cr4", Privilege::Supervisor, "PSE, PAE, PGE, LA57, PCIDE, SMEP, SMAP, PKE"),
    register(EFER, "efer", Privilege::Supervisor, "LME, LMA, NXE"),
    register(RFLAGS, "rflags", Privilege::User, "AC"),
    register(PKRU, "pkru", Privilege::User, "access and write disable of 16 protection keys"),
];

impl X86 {
    pub(super) fn read(&self, id: RegisterId) -> Result<u64, RegisterError> {
        match id {
            CR0 => Ok(self.cr0.bits()),
            CR3 => Ok(self.cr3),
            CR4 => Ok(self.cr4.bits()),
            EFER => Ok(self.efer.bits()),
            RFLAGS => Ok(if self.ac { RFLAGS_AC } else { 0 }),
            PKRU => Ok(self.pkru.into()),
            _ => Err(RegisterError::Unknown { id }),
        }
    }

    pub(super) fn write(
        &mut self,
        id: RegisterId,
        value: u64,
        read: ReadWord<'_>,
    ) -> Result<Option<Invalidate>, RegisterError> {
        match id {
            CR0 => self.write_cr0(value, read),
            CR3 => self.write_cr3(value, read),
            CR4 => self.write_cr4(value, read),
            EFER => self.write_efer(value),
            RFLAGS => {
                self.ac = value & RFLAGS_AC != 0;
                Ok(None)
            }
            PKRU => match u32::try_from(value) {
                Ok(pkru) => {
                    self.pkru = pkru;
                    Ok(None)
                }
                Err(_) => {
                    let what = reason::UPPER_HALF;
                    Err(RegisterError::Reserved { name: "pkru", value, what })
                }
            },
            _ => Err(RegisterError::Unknown { id }),
        }
    }

    fn switch(&mut self, cr0: Cr0, cr4: Cr4, efer: Efer, pdptes: [u64; 4]) {
        (self.cr0, self.cr4, self.efer, self.pdptes) = (cr0, cr4, efer, pdptes);
        self.derive();
    }

    /// MOV to CR0 (SDM Vol. 2, "MOV—Move to/from Control Registers"). All goes where PG changes (Vol. 3A, 12.9).
    fn write_cr0(
        &mut self,
        value: u64,
        read: ReadWord<'_>,
    ) -> Result<Option<Invalidate>, RegisterError> {
        // spec: x86-registers, x86-invalidate
        let refuse = |what| Err(RegisterError::Reserved { name: "cr0", value, what });
        let cr0 = Cr0::from_bits_truncate(value);
        if value >> 32 != 0 {
            return refuse(reason::UPPER_HALF);
        }
        if cr0.contains(Cr0::PG) && !cr0.contains(Cr0::PE) {
            return refuse(reason::PG_WITHOUT_PE);
        }
        if cr0.contains(Cr0::NW) && !cr0.contains(Cr0::CD) {
            return refuse(reason::NW_WITHOUT_CD);
        }
        let turned_on = cr0.contains(Cr0::PG) && !self.cr0.contains(Cr0::PG);
        let turned_off = self.cr0.contains(Cr0::PG) && !cr0.contains(Cr0::PG);
        if turned_on && self.efer.contains(Efer::LME) && !self.cr4.contains(Cr4::PAE) {
            return refuse(reason::LONG_WITHOUT_PAE);
        }
        if turned_off && self.cr4.contains(Cr4::PCIDE) {
            return refuse(reason::PCIDE_WITHOUT_PG);
        }
        let mut efer = self.efer;
        efer.set(Efer::LMA, cr0.contains(Cr0::PG) && efer.contains(Efer::LME));
        let loads = (self.cr0 ^ cr0).intersects(Cr0::CD | Cr0::NW | Cr0::PG);
        let mode = Mode::of(cr0, self.cr4, efer);
        let pdptes = match loads {
            true => self.load_pdptes("cr0", value, mode, self.cr3, read)?,
            false => self.pdptes,
        };
        let paging_changed = turned_on || turned_off;
        self.switch(cr0, self.cr4, efer, pdptes);
        Ok(paging_changed.then_some(Invalidate::All))
    }

    /// The invalidation that INVLPG means now: of the page in the present PCID, and where it is global.
    ///
    /// ```
    /// use emmu_core::{Asid, Invalidate, VirtAddr};
    /// use emmu_paging::X86;
    /// let addr = VirtAddr::new(0x1000);
    /// let page = Invalidate::PageInAsid { addr, asid: Asid(0), global: true };
    /// assert_eq!(X86::new(52).invlpg(addr), page);
    /// ```
    #[must_use]
    pub const fn invlpg(&self, addr: VirtAddr) -> Invalidate {
        Invalidate::PageInAsid { addr, asid: self.derived.pcid, global: true }
    }

    /// MOV to CR3: without PCIDs all but global entries go; with them, those of the new PCID unless bit 63
    /// is set (SDM 5.10.4.1).
    fn write_cr3(
        &mut self,
        value: u64,
        read: ReadWord<'_>,
    ) -> Result<Option<Invalidate>, RegisterError> {
        // spec: x86-registers, x86-invalidate
        refuse_not_modelled("cr3", value, &CR3_NOT_MODELLED)?;
        let pcids = self.cr4.contains(Cr4::PCIDE);
        let root = if pcids { value & !CR3_NO_FLUSH } else { value };
        let limit = match self.derived.mode {
            Mode::Bits32 | Mode::Pae => 32,
            Mode::Off | Mode::Level4 | Mode::Level5 => self.max_phys_bits,
        };
        if root & !low_mask(limit.into()) != 0 {
            let what = reason::WIDE;
            return Err(RegisterError::Reserved { name: "cr3", value, what });
        }
        self.pdptes = self.load_pdptes("cr3", value, self.derived.mode, root, read)?;
        self.cr3 = root;
        self.derived.pcid = self.pcid();
        Ok(match pcids {
            false => Some(Invalidate::NonGlobal),
            true if value & CR3_NO_FLUSH != 0 => None,
            true => Some(Invalidate::Asid(self.pcid())),
        })
    }

    /// MOV to CR4.
    fn write_cr4(
        &mut self,
        value: u64,
        read: ReadWord<'_>,
    ) -> Result<Option<Invalidate>, RegisterError> {
        // spec: x86-registers, x86-invalidate
        let refuse = |what| Err(RegisterError::Reserved { name: "cr4", value, what });
        refuse_not_modelled("cr4", value, &CR4_NOT_MODELLED)?;
        if value & CR4_RESERVED != 0 {
            return refuse(reason::CR4_BITS);
        }
        let cr4 = Cr4::from_bits_truncate(value);
        let changed = self.cr4 ^ cr4;
        let lma = self.efer.contains(Efer::LMA);
        if lma && changed.intersects(Cr4::PAE | Cr4::LA57) {
            return refuse(reason::LONG_LEVELS);
        }
        if changed.contains(Cr4::PCIDE)
            && cr4.contains(Cr4::PCIDE)
            && (!lma || self.cr3 & 0xfff != 0)
        {
            return refuse(reason::PCIDE);
        }
        let mode = Mode::of(self.cr0, cr4, self.efer);
        let loads = changed.intersects(Cr4::PAE | Cr4::PGE | Cr4::PSE | Cr4::SMEP);
        let pdptes = match loads {
            true => self.load_pdptes("cr4", value, mode, self.cr3, read)?,
            false => self.pdptes,
        };
        self.switch(self.cr0, cr4, self.efer, pdptes);
        Ok(self.invalidated_by_cr4(changed))
    }

    /// Returns the invalidation that a change of these bits of CR4 entails: all where PSE, PGE or PAE has (SDM Vol.
    /// 3A, 12.9) or PCIDE was cleared, what is of the current PCID where SMEP was set (5.10.4.1).
    fn invalidated_by_cr4(&self, changed: Cr4) -> Option<Invalidate> {
        // spec: x86-invalidate
        let (set, cleared) = (changed & self.cr4, changed - self.cr4);
        let invalidating = Cr4::PSE | Cr4::PAE | Cr4::PGE;
        if changed.intersects(invalidating) || cleared.contains(Cr4::PCIDE) {
            return Some(Invalidate::All);
        }
        set.contains(Cr4::SMEP).then_some(Invalidate::Asid(self.derived.pcid))
    }

    /// WRMSR to IA32_EFER. LMA is not writable; LME cannot change while paging is on.
    fn write_efer(&mut self, value: u64) -> Result<Option<Invalidate>, RegisterError> {
        // spec: x86-registers
        let refuse = |what| Err(RegisterError::Reserved { name: "efer", value, what });
        if value & EFER_RESERVED != 0 {
            return refuse(reason::EFER_BITS);
        }
        let lma = self.efer & Efer::LMA;
        let efer = (Efer::from_bits_truncate(value) - Efer::LMA) | lma;
        if self.cr0.contains(Cr0::PG) && (self.efer ^ efer).contains(Efer::LME) {
            return refuse(reason::LME);
        }
        self.efer = efer;
        self.derive();
        Ok(None)
    }

    /// The PDPTEs for this mode and root: with PAE paging they are read and checked at once (SDM 5.4.1), by every
    /// write of CR3, and by writes of CR0 and CR4 that change one of CD, NW, PG, PAE, PGE, PSE and SMEP.
    fn load_pdptes(
        &self,
        name: &'static str,
        value: u64,
        mode: Mode,
        cr3: u64,
        read: ReadWord<'_>,
    ) -> Result<[u64; 4], RegisterError> {
        // spec: x86-pae
        if mode != Mode::Pae {
            return Ok(self.pdptes);
        }
        let table = PhysAddr::new(cr3 & bit_range(31, 5));
        let mut pdptes = [0; 4];
        for (pdpte, offset) in pdptes.iter_mut().zip((0..).step_by(8)) {
            *pdpte = read(table.wrapping_add(offset), Width::B8)
                .map_err(|error| RegisterError::Bus { name, error })?;
            let reserved =
                bit_range(63, 52) | self.reserved_phys() | bit_range(8, 5) | bit_range(2, 1);
            if *pdpte & Pte::P.bits() != 0 && *pdpte & reserved != 0 {
                let what = reason::PDPTE;
                return Err(RegisterError::Reserved { name, value, what });
            }
        }
        Ok(pdptes)
    }
}
