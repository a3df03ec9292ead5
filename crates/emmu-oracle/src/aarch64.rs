//! AArch64 VMSAv8-64 stage 1 translation of the EL1&0 regime, as the Arm ARM's pseudocode tells it.
//!
//! Source: Arm Architecture Reference Manual for A-profile, DDI 0487, revision K.a: part D8 ("The AArch64
//! Virtual Memory System Architecture") and the shared pseudocode `aarch64/translation`. Every function here
//! names the pseudocode function that it follows; where this model has one case of several, it says so.
//!
//! Models: granules of 4, 16 and 64 KiB, every `TxSZ` of 48-bit virtual addresses (16 to 39, and with
//! FEAT_TTST, which is implemented here, up to 48 or, with 64 KiB, 47), TTBR0/TTBR1, EPDn, TBIn, HPDn, IPS,
//! hierarchical permissions, AP/UXN/PXN, PAN, WXN, the access flag, and hardware management of access flag
//! and dirty state (HA, HD, DBM); faults with level, ESR_EL1 and FAR_EL1.
//!
//! Stage 2 is in [`stage2`]. Does not model: EL2 and EL3 themselves, Secure state, FEAT_LVA, FEAT_LPA and FEAT_LPA2 (addresses of 52
//! bits), FEAT_D128, permission indirection and overlays, EPAN, E0PD, NFD, TBID, MTE, BBM's nT bit, HAFT,
//! big-endian tables (`SCTLR_EL1.EE`), alignment faults, and memory types.
//!
//! # Where the manual leaves a choice
//!
//! * A `TxSZ` outside its limits gives a Translation fault at level 0 (*Fault on `TxSZ` value below minimum*,
//!   *above maximum*: both true).
//! * A reserved granule (`TG0` = 0b11, `TG1` = 0b00) is 4 KiB.
//! * An IPS that is reserved or above the physical address size counts as that size.
//! * The contiguous bit is reported and changes nothing, however it is programmed (*Translation fault on
//!   misprogrammed contiguous bit*: false; the block or page alone is translated).
//! * An access that ends in a Permission fault leaves the access flag as it was (`Unpredictable_AFUPDATE`:
//!   false), so an access that faults changes nothing at all.
//! * A fetch from Device memory is an ordinary fetch (`Unpredictable_INSTRDEVICE`: none).
//! * `Privilege::Machine` does not exist here and counts as EL1.

mod fault;
mod params;
mod permissions;
pub mod stage2;
mod walk;

#[cfg(test)]
mod tests;

pub use fault::{Fault, FaultKind};

use crate::{Memory, Outcome, Reference, Write};
use emmu_core::{Access, AccessKind, PhysAddr, Privilege};
use fault::Abort;
use params::WalkParams;
use walk::Walked;

/// The registers that stage 1 of the EL1&0 regime depends on, and the size of physical addresses.
///
/// ```
/// use emmu_core::{Access, PhysAddr, VirtAddr};
/// use emmu_oracle::aarch64::{FaultKind, Registers};
/// use emmu_oracle::{Reference, reference::SparseMemory};
///
/// // 4 KiB pages, 25 bits of address below TTBR0_EL1: one table of level 3 and one above it.
/// let mut registers = Registers::default();
/// registers.tcr_el1 = 39 | 39 << 16 | 0b10 << 30 | 0b101 << 32;
/// registers.ttbr0_el1 = 0x8000;
/// registers.sctlr_el1 = 1;
/// let mut memory = SparseMemory::default();
/// memory.write64(PhysAddr::new(0x8000), 0x9003);
/// memory.write64(PhysAddr::new(0x9008), 0x0060_0000_0004_2403); // read and write at EL1, AF, no execution
///
/// let read = registers.translate(Access::load(VirtAddr::new(0x1234), 4), &memory);
/// assert_eq!(read.map(|outcome| outcome.pa), Ok(PhysAddr::new(0x42234)));
/// let fault = registers.translate(Access::fetch(VirtAddr::new(0x1234), 4), &memory).unwrap_err();
/// assert_eq!((fault.kind, fault.level, fault.esr), (FaultKind::Permission, 3, 0x8600_000f));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Registers {
    /// Translation table base of the lower range: `BADDR` 47:1, `ASID` 63:48 (ignored here).
    pub ttbr0_el1: u64,
    /// Translation table base of the upper range.
    pub ttbr1_el1: u64,
    /// Translation control: `T0SZ` 5:0, `EPD0` 7, `TG0` 15:14, `T1SZ` 21:16, `EPD1` 23, `TG1` 31:30,
    /// `IPS` 34:32, `TBI0` 37, `TBI1` 38, `HA` 39, `HD` 40, `HPD0` 41, `HPD1` 42.
    pub tcr_el1: u64,
    /// System control: `M` 0, `WXN` 19.
    pub sctlr_el1: u64,
    /// `PSTATE.PAN`.
    pub pan: bool,
    /// Bits of a physical address, 32 to 48: what `ID_AA64MMFR0_EL1.PARange` tells. A number beyond these
    /// limits counts as the nearer one.
    pub pa_bits: u32,
}

impl Default for Registers {
    /// Translation off, 48-bit physical addresses, everything else 0.
    fn default() -> Self {
        Self { ttbr0_el1: 0, ttbr1_el1: 0, tcr_el1: 0, sctlr_el1: 0, pan: false, pa_bits: 48 }
    }
}

/// An allowed access with all that the descriptor of its block or page says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// The physical address of the first byte.
    pub pa: PhysAddr,
    /// Log2 of the size in bytes of the block or page; 64 with translation off.
    pub page_bits: u32,
    /// The attributes of the descriptor; `None` with translation off.
    pub leaf: Option<Leaf>,
    /// The descriptor's new value, if hardware sets its access flag or marks it dirty.
    pub write: Option<Write>,
}

/// The attributes of a block or page descriptor besides address and permissions (D8.3.2, "Block descriptor and
/// Page descriptor attributes").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Leaf {
    /// The level where it stands, 1 to 3.
    pub level: u32,
    /// `Contiguous`, bit 52.
    pub contiguous: bool,
    /// `nG`, bit 11.
    pub not_global: bool,
    /// `AttrIndx`, bits 4:2.
    pub attr_index: u8,
}

impl Reference for Registers {
    type Fault = Fault;

    fn translate(&self, access: Access, memory: &dyn Memory) -> Result<Outcome, Fault> {
        let Mapping { pa, page_bits, write, .. } = self.mapping(access, memory)?;
        Ok(Outcome { pa, page_bits, writes: write.into_iter().collect() })
    }
}

impl Registers {
    /// Like [`Reference::translate`], with more to tell.
    ///
    /// # Errors
    /// The [`Fault`] that the access takes instead.
    pub fn mapping(&self, access: Access, memory: &dyn Memory) -> Result<Mapping, Fault> {
        self.s1_translate(access, memory).map_err(|abort| abort.report(access))
    }

    /// `AArch64.S1Translate()`.
    fn s1_translate(&self, access: Access, memory: &dyn Memory) -> Result<Mapping, Abort> {
        let va = access.addr.raw();
        let params = WalkParams::for_va(self, va);
        if bit(self.sctlr_el1, 0) == 0 {
            return self.s1_disabled_output(va, &params, access);
        }
        if params.txsz_faults() || params.va_is_out_of_range(va) {
            return Err(Abort::new(FaultKind::Translation, 0, access));
        }
        let walked = walk::s1_walk(&params, va, memory)
            .map_err(|(kind, level)| Abort::new(kind, level, access))?;
        let allowed = walked.permissions.compute(params.wxn, self.pan, access);
        permissions::s1_check_permissions(allowed, walked.level, access)?;
        let updated = updated_descriptor(&params, walked.descriptor, access.kind);
        Ok(mapping(&params, va, &walked, updated))
    }

    /// `AArch64.S1DisabledOutput()`: the address is the physical address, and too wide a one is an Address
    /// size fault. A tag byte that is ignored (`TBIn`) is ignored here too.
    fn s1_disabled_output(
        &self,
        va: u64,
        params: &WalkParams,
        access: Access,
    ) -> Result<Mapping, Abort> {
        if bits(va, params.addr_top(), self.pa_max()) != 0 {
            return Err(Abort::new(FaultKind::AddressSize, 0, access));
        }
        let pa = PhysAddr::new(bits(va, self.pa_max() - 1, 0));
        Ok(Mapping { pa, page_bits: 64, leaf: None, write: None })
    }

    /// `AArch64.PAMax()`.
    fn pa_max(&self) -> u32 {
        self.pa_bits.clamp(32, 48)
    }
}

/// The descriptor as hardware leaves it after an allowed access: `AArch64.S1Translate()`, from
/// `new_desc = descriptor` on.
fn updated_descriptor(params: &WalkParams, descriptor: u64, kind: AccessKind) -> u64 {
    let mut updated = descriptor;
    if params.ha {
        updated |= 1 << 10; // AF
    }
    let writes = matches!(kind, AccessKind::Store | AccessKind::Amo);
    if params.ha && params.hd && bit(descriptor, 51) == 1 && writes {
        updated &= !(1 << 7); // AP[2]: no longer clean
    }
    updated
}

/// `StageOA()`, and what else the descriptor tells.
fn mapping(params: &WalkParams, va: u64, walked: &Walked, updated: u64) -> Mapping {
    let page_bits = params.translation_size(walked.level);
    let changed = updated != walked.descriptor;
    Mapping {
        pa: PhysAddr::new(walked.output_base | bits(va, page_bits - 1, 0)),
        page_bits,
        leaf: Some(leaf(walked)),
        write: changed.then_some(Write {
            addr: walked.descriptor_address,
            size: 8,
            value: updated,
        }),
    }
}

fn leaf(walked: &Walked) -> Leaf {
    let [attr_index, ..] = bits(walked.descriptor, 4, 2).to_le_bytes();
    Leaf {
        level: walked.level,
        contiguous: bit(walked.descriptor, 52) == 1,
        not_global: bit(walked.descriptor, 11) == 1,
        attr_index,
    }
}

/// Returns true if the access is made at EL0.
fn at_el0(access: Access) -> bool {
    access.privilege == Privilege::User
}

/// `value<high:low>`, for `low <= high <= 63`.
fn bits(value: u64, high: u32, low: u32) -> u64 {
    value << (63 - high) >> (63 - high + low)
}

/// `value<index>`.
fn bit(value: u64, index: u32) -> u64 {
    bits(value, index, index)
}
