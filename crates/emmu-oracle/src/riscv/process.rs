//! The virtual address translation process, "Virtual Address Translation Process", step by step.

use super::{Exception, Registers, Scheme, Xlen};
use crate::reference::{Memory, Outcome, Write};
use emmu_core::{Access, AccessFlags, AccessKind, PhysAddr, Privilege};

/// PAGESIZE, in every scheme.
const PAGESIZE: u64 = 4096;

/// A page-table entry as it was read.
#[derive(Clone, Copy)]
struct Pte {
    addr: u64,
    bits: u64,
    /// The level at which it was found, `i`.
    level: u32,
}

impl Pte {
    fn bit(self, number: u32) -> bool {
        self.bits >> number & 1 == 1
    }
    fn v(self) -> bool {
        self.bit(0)
    }
    fn r(self) -> bool {
        self.bit(1)
    }
    fn w(self) -> bool {
        self.bit(2)
    }
    fn x(self) -> bool {
        self.bit(3)
    }
    fn u(self) -> bool {
        self.bit(4)
    }
    fn a(self) -> bool {
        self.bit(6)
    }
    fn d(self) -> bool {
        self.bit(7)
    }
    fn ppn(self) -> u64 {
        self.bits >> 10 & 0xfff_ffff_ffff
    }
    fn pbmt(self) -> u64 {
        self.bits >> 61 & 3
    }
    fn n(self) -> bool {
        self.bit(63)
    }
    /// Step 4: R = 1 or X = 1 makes a leaf.
    fn is_leaf(self) -> bool {
        self.r() || self.x()
    }
}

/// `va.vpn[i]`, which in the root of a widened scheme has 2 bits more.
fn vpn(va: u64, i: u32, scheme: Scheme) -> u64 {
    let wide = scheme.widened && i == scheme.levels - 1;
    let bits = scheme.vpn_bits + if wide { 2 } else { 0 };
    va >> (12 + i * scheme.vpn_bits) & ((1 << bits) - 1)
}

impl Registers {
    /// Steps 1 to 8 for an active `satp`.
    pub(super) fn translation_process(
        &self,
        scheme: Scheme,
        access: Access,
        privilege: Privilege,
        memory: &dyn Memory,
    ) -> Result<Outcome, Exception> {
        let page_fault = Exception::page_fault(access.kind);
        let Some(va) = self.incoming(scheme, access.addr.raw()) else { return Err(page_fault) };

        let pte = self.find_leaf(scheme, va, access.kind, memory)?;

        // Step 5. Is the access allowed by R, W, X and U, the privilege mode, SUM and MXR?
        if !self.permits(pte, access, privilege) {
            return Err(page_fault);
        }

        // Step 6. A misaligned superpage: i > 0 and ppn[i-1:0] is not 0.
        let low_ppn = (1 << (pte.level * scheme.vpn_bits)) - 1;
        if pte.ppn() & low_ppn != 0 {
            return Err(page_fault);
        }

        // Step 7. A = 0, or a store and D = 0.
        let writes = self.accessed_and_dirty(scheme, pte, access.kind)?;

        // Step 8. The translation is successful. Svnapot: the low 4 bits of ppn[0] come from
        // vpn[0], as if this were a 64 KiB superpage.
        let page_bits = if pte.n() { 16 } else { 12 + pte.level * scheme.vpn_bits };
        let offset = va & ((1 << page_bits) - 1);
        let base = (pte.ppn() * PAGESIZE) & !((1 << page_bits) - 1);
        Ok(Outcome { pa: PhysAddr::new(base | offset), page_bits, writes })
    }

    /// The address as the scheme cuts it up, or `None` if it has not the form that the scheme wants.
    fn incoming(&self, scheme: Scheme, addr: u64) -> Option<u64> {
        if scheme.widened {
            // "Sv39x4", "Sv48x4", "Sv57x4": bits 63 to 2 + VALEN must all be zeros. (Sv32x4: there are no others.)
            let bits = 12 + scheme.levels * scheme.vpn_bits + 2;
            return (addr >> bits == 0).then_some(addr);
        }
        // "Sv39", "Sv48", "Sv57": bits 63 to VALEN must equal bit VALEN-1, or else a page fault occurs.
        let va = self.truncate(addr);
        (self.xlen == Xlen::Rv32 || canonical(va, scheme)).then_some(va)
    }

    /// Steps 1 to 4: down to the leaf.
    fn find_leaf(
        &self,
        scheme: Scheme,
        va: u64,
        kind: AccessKind,
        memory: &dyn Memory,
    ) -> Result<Pte, Exception> {
        // Step 1. Let a be satp.ppn × PAGESIZE, and let i = LEVELS - 1.
        let mut a = self.root_ppn() * PAGESIZE;
        let mut i = scheme.levels - 1;
        loop {
            // Step 2. Let pte be the value at a + va.vpn[i] × PTESIZE.
            let addr = a + vpn(va, i, scheme) * u64::from(scheme.pte_size);
            let pte = Pte { addr, bits: self.read_pte(scheme, addr, kind, memory)?, level: i };

            // Step 3. V = 0, R = 0 and W = 1, or any reserved bit or encoding.
            if !pte.v() || (!pte.r() && pte.w()) || self.has_reserved_encoding(pte) {
                return Err(Exception::page_fault(kind));
            }

            // Step 4. A leaf; or a pointer to the next level, of which there is none below level 0.
            if pte.is_leaf() {
                return Ok(pte);
            }
            if i == 0 {
                return Err(Exception::page_fault(kind));
            }
            i -= 1;
            a = pte.ppn() * PAGESIZE;
        }
    }

    /// `satp`.PPN.
    fn root_ppn(&self) -> u64 {
        match self.xlen {
            Xlen::Rv32 => self.satp & 0x3f_ffff,
            Xlen::Rv64 => self.satp & 0xfff_ffff_ffff,
        }
    }

    /// Step 2, "if accessing pte violates a PMA or PMP check, raise an access-fault exception corresponding
    /// to the original access type". A hole is a PMA violation; 3.7.2: the privilege mode is S.
    fn read_pte(
        &self,
        scheme: Scheme,
        addr: u64,
        kind: AccessKind,
        memory: &dyn Memory,
    ) -> Result<u64, Exception> {
        let access_fault = Exception::access_fault(kind);
        let size = u64::from(scheme.pte_size);
        if !self.pmp_allows(AccessKind::Load, Privilege::Supervisor, addr, size) {
            return Err(access_fault);
        }
        let bits = match scheme.pte_size {
            4 => memory.read32(PhysAddr::new(addr)).map(u64::from),
            _ => memory.read64(PhysAddr::new(addr)),
        };
        bits.map_err(|_| access_fault)
    }

    /// Step 3, "any bits or encodings that are reserved for future standard use".
    fn has_reserved_encoding(&self, pte: Pte) -> bool {
        // "Sv32", PTE format: for non-leaf PTEs, the D, A and U bits are reserved.
        if !pte.is_leaf() && (pte.d() || pte.a() || pte.u()) {
            return true;
        }
        // An Sv32 PTE has no more bits than those; all that follow are 0 in it.
        // "Sv39": bits 60-54 are reserved.
        if pte.bits >> 54 & 0x7f != 0 {
            return true;
        }
        self.has_reserved_napot(pte) || self.has_reserved_pbmt(pte)
    }

    /// "Sv39" and "Svnapot": N is reserved without Svnapot, in non-leaf PTEs, above level 0, and with any
    /// ppn[0] but x xxxx 1000.
    fn has_reserved_napot(&self, pte: Pte) -> bool {
        let encodes_64_kib = pte.is_leaf() && pte.level == 0 && pte.ppn() & 0xf == 0b1000;
        pte.n() && !(self.svnapot && encodes_64_kib)
    }

    /// "Sv39" and "Svpbmt": PBMT is reserved without menvcfg.PBMTE and in non-leaf PTEs; 3 is reserved.
    fn has_reserved_pbmt(&self, pte: Pte) -> bool {
        let pbmte = self.menvcfg >> 62 & 1 == 1;
        pte.pbmt() != 0 && !(pbmte && pte.is_leaf() && pte.pbmt() != 3)
    }

    /// Step 5, with the meaning of U, SUM and MXR from 3.1.6.3 and "Sv32".
    fn permits(&self, pte: Pte, access: Access, privilege: Privilege) -> bool {
        let kind = access.kind;
        let sum = self.mstatus >> 18 & 1 == 1;
        let mxr = self.mstatus >> 19 & 1 == 1;
        let mode_ok = match privilege {
            Privilege::User => pte.u(),
            // Irrespective of SUM, the supervisor may not execute code on pages with U = 1.
            _ => !pte.u() || (sum && kind != AccessKind::Fetch),
        };
        // HLVX: "execute permission takes the place of read permission".
        let hlvx = access.flags.contains(AccessFlags::EXECUTABLE);
        let readable = if hlvx { pte.x() } else { pte.r() || (mxr && pte.x()) };
        let kind_ok = match kind {
            AccessKind::Fetch => pte.x(),
            AccessKind::Load => readable,
            AccessKind::Store => pte.w(),
            AccessKind::Amo => readable && pte.w(),
        };
        mode_ok && kind_ok
    }

    /// Step 7: the entry with A, and D for a store, set; or a page fault where hardware does not set them
    /// (3.1.18, menvcfg.ADUE = 0: Svade).
    fn accessed_and_dirty(
        &self,
        scheme: Scheme,
        pte: Pte,
        kind: AccessKind,
    ) -> Result<Vec<Write>, Exception> {
        let store = kind == AccessKind::Store || kind == AccessKind::Amo;
        if pte.a() && (pte.d() || !store) {
            return Ok(Vec::new());
        }
        let adue = self.menvcfg >> 61 & 1 == 1;
        if !adue {
            return Err(Exception::page_fault(kind));
        }
        // If a store to pte would violate a PMA or PMP check, raise an access-fault exception.
        let size = u64::from(scheme.pte_size);
        if !self.pmp_allows(AccessKind::Store, Privilege::Supervisor, pte.addr, size) {
            return Err(Exception::access_fault(kind));
        }
        let dirty = if store { 1 << 7 } else { 0 };
        let value = pte.bits | 1 << 6 | dirty;
        Ok(vec![Write { addr: PhysAddr::new(pte.addr), size: scheme.pte_size, value }])
    }
}

/// Returns true if all bits from the top of the VPN up are equal.
fn canonical(va: u64, scheme: Scheme) -> bool {
    let va_bits = 12 + scheme.levels * scheme.vpn_bits;
    let upper = va >> (va_bits - 1);
    upper == 0 || upper == u64::MAX >> (va_bits - 1)
}
