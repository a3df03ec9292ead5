//! What differs between architectures: flags, address spaces, and the names of invalidations.

use crate::stage::{First, Regime, Stage};
use alloc::string::ToString;
use core::fmt;
use emmu_core::{Asid, Invalidate, PhysAddr, Registers, VirtAddr, find_register, low_mask};

/// An architecture, told by the registers that a unit has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// It has `satp`.
    RiscV,
    /// It has `cr3`.
    X86,
    /// It has `ttbr0_el1`.
    AArch64,
    /// Another one, whose flags and names are not known.
    Other,
}

/// What the flags of a leaf entry say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flags {
    pub(crate) accessed: bool,
    pub(crate) dirty: bool,
}

impl Architecture {
    /// That of this unit.
    #[must_use]
    pub fn of(unit: &(impl Registers + ?Sized)) -> Self {
        let has = |name| find_register(unit.registers(), name).is_some();
        match () {
            () if has("satp") => Self::RiscV,
            () if has("cr3") => Self::X86,
            () if has("ttbr0_el1") => Self::AArch64,
            () => Self::Other,
        }
    }

    /// The flags of a leaf, if their place is known.
    pub(crate) fn flags(self, raw: u64, stage: Stage) -> Option<Flags> {
        let set = |bit: u32| raw >> bit & 1 == 1;
        if let Stage::Second(_) = stage {
            return match self {
                // EPT entries (SDM Vol. 3C, "EPT Translation Mechanism").
                Self::X86 => Some(Flags { accessed: set(8), dirty: set(9) }),
                // DBM without S2AP[1].
                Self::AArch64 => Some(Flags { accessed: set(10), dirty: !set(51) || set(7) }),
                Self::RiscV | Self::Other => self.flags(raw, Stage::First),
            };
        }
        match self {
            Self::RiscV => Some(Flags { accessed: set(6), dirty: set(7) }),
            Self::X86 => Some(Flags { accessed: set(5), dirty: set(6) }),
            // DBM with AP[2] is writable and clean (Arm ARM D8.5).
            Self::AArch64 => Some(Flags { accessed: set(10), dirty: !(set(51) && set(7)) }),
            Self::Other => None,
        }
    }

    /// The bits that a walk sets by itself: a change of them alone makes no entry stale.
    pub(crate) const fn walker_bits(self, stage: Stage) -> u64 {
        match (self, stage) {
            (Self::RiscV, _) => 0b11 << 6,
            (Self::X86, Stage::Second(_)) => 0b11 << 8,
            (Self::X86, _) => 0b11 << 5,
            (Self::AArch64, _) => 1 << 10,
            (Self::Other, _) => 0,
        }
    }

    /// Whether the translation by these entries, the last of which is the leaf, is global.
    pub(crate) fn is_global(self, raws: impl DoubleEndedIterator<Item = u64>) -> bool {
        let mut raws = raws;
        match self {
            Self::RiscV => raws.any(|raw| raw >> 5 & 1 == 1),
            Self::X86 => raws.next_back().is_some_and(|raw| raw >> 8 & 1 == 1),
            Self::AArch64 => raws.next_back().is_some_and(|raw| raw >> 11 & 1 == 0),
            Self::Other => false,
        }
    }

    /// Whether an entry above the last level is a leaf, of either stage.
    pub(crate) const fn is_superpage(self, raw: u64) -> bool {
        match self {
            Self::RiscV => raw & 0b1110 != 0,
            Self::X86 => raw >> 7 & 1 == 1,
            Self::AArch64 => raw >> 1 & 1 == 0,
            Self::Other => false,
        }
    }

    /// The present address space of a unit, or of its RISC-V guest.
    pub(crate) fn asid(self, unit: &(impl Registers + ?Sized), is_guest: bool) -> Asid {
        let read = |name| read(unit, name);
        let asid = match self {
            Self::RiscV => Satp::new(read(if is_guest { "vsatp" } else { "satp" })).asid,
            Self::X86 if read("cr4") >> 17 & 1 == 1 => read("cr3") & 0xfff,
            Self::AArch64 => {
                let (tcr, name) = (read("tcr_el1"), ["ttbr0_el1", "ttbr1_el1"]);
                let ttbr = read(name[usize::from(tcr >> 22 & 1 == 1)]) >> 48;
                if tcr >> 36 & 1 == 1 { ttbr } else { ttbr & 0xff }
            }
            Self::X86 | Self::Other => 0,
        };
        Asid(u16::try_from(asid).unwrap_or(0))
    }

    /// How many levels of tables the walk for an address has.
    pub(crate) fn levels(self, unit: &(impl Registers + ?Sized), addr: VirtAddr) -> Option<u8> {
        let read = |name| read(unit, name);
        let bit = |name, bit: u32| read(name) >> bit & 1 == 1;
        match self {
            Self::RiscV => Satp::new(read("satp")).levels,
            Self::X86 => Some(match (bit("cr4", 5), bit("efer", 8), bit("cr4", 12)) {
                (true, true, true) => 5,
                (true, true, false) => 4,
                _ => 2,
            }),
            Self::AArch64 => arm_levels(read("tcr_el1"), addr),
            Self::Other => None,
        }
    }

    /// The invalidation of what one entry on the way to an address is cached as, as narrow as the manual has it.
    pub(crate) fn narrowest(
        self,
        addr: VirtAddr,
        asid: Asid,
        is_leaf: bool,
        is_global: bool,
    ) -> Invalidate {
        match self {
            // "Supervisor Memory-Management Fence Instruction": with an address, leaf entries only; with an address
            // space, none that are global.
            Self::RiscV => match (is_leaf, is_global) {
                (true, true) => Invalidate::Page(addr),
                (true, false) => Invalidate::PageInAsid { addr, asid, global: false },
                (false, true) => Invalidate::All,
                (false, false) => Invalidate::Asid(asid),
            },
            // INVLPG drops all paging-structure caches of the PCID; TLBI VAE1 applies to entries of all levels. Both reach
            // global entries.
            Self::X86 | Self::AArch64 => Invalidate::PageInAsid { addr, asid, global: true },
            Self::Other => Invalidate::Page(addr),
        }
    }

    /// The invalidation of an address space, which a change of its root needs.
    pub(crate) const fn of_space(self, asid: Asid, is_global: bool) -> Invalidate {
        if is_global { Invalidate::All } else { Invalidate::Asid(asid) }
    }

    /// Of which stage a register says where the tables are, or which address space or virtual machine they are of.
    pub(crate) fn root_of(self, name: &str) -> Option<Stage> {
        match (self, name) {
            (Self::RiscV, "satp" | "vsatp")
            | (Self::X86, "cr3")
            | (Self::AArch64, "ttbr0_el1" | "ttbr1_el1") => Some(Stage::First),
            (Self::RiscV, "hgatp")
            | (Self::X86, "eptp")
            | (Self::AArch64, "vttbr_el2" | "vtcr_el2" | "hcr_el2") => Some(Stage::Second(None)),
            _ => None,
        }
    }

    /// Whether a register has no say in the translations of this regime.
    pub(crate) fn is_foreign(self, name: &str, regime: Regime) -> bool {
        match (self, regime) {
            (Self::RiscV, Regime::One) => {
                matches!(name, "vsatp" | "hgatp" | "vsstatus" | "henvcfg")
            }
            (Self::RiscV, Regime::Guest(_)) => name == "satp",
            _ => false,
        }
    }

    /// The tables of a guest's first stage.
    pub(crate) fn guest_tables(self, unit: &(impl Registers + ?Sized), addr: VirtAddr) -> First {
        let read = |name| read(unit, name);
        let bit = |name, bit: u32| read(name) >> bit & 1 == 1;
        let plain = self.levels(unit, addr);
        let (levels, root) = match self {
            Self::RiscV => {
                let Satp { levels, root, .. } = Satp::new(read("vsatp"));
                (levels, Some(root))
            }
            Self::X86 if !bit("cr0", 31) => (Some(0), None),
            // The root of PAE paging is in registers.
            Self::X86 if bit("cr4", 5) && !bit("efer", 8) => (plain, None),
            Self::X86 => (plain, Some(read("cr3") & 0xf_ffff_ffff_f000)),
            Self::AArch64 if !bit("sctlr_el1", 0) => (Some(0), None),
            Self::AArch64 => (plain, arm_root(unit, addr)),
            Self::Other => (None, None),
        };
        let has_superpages = self != Self::X86 || bit("cr4", 4) || bit("cr4", 5);
        First { architecture: self, levels, root: root.map(PhysAddr::new), has_superpages }
    }
}

/// What `satp` or `vsatp` says.
struct Satp {
    asid: u64,
    /// Levels of tables; 0 in mode Bare.
    levels: Option<u8>,
    root: u64,
}

impl Satp {
    fn new(satp: u64) -> Self {
        let field = |low: u32, count: u32| satp >> low & low_mask(count);
        // The register of RV32 has 32 bits.
        let (asid, levels, page) = match satp >> 32 {
            0 => (field(22, 9), field(31, 1) * 2, field(0, 22)),
            _ => (field(44, 16), field(60, 4).saturating_sub(5), field(0, 44)),
        };
        Self { asid, levels: u8::try_from(levels).ok(), root: page << 12 }
    }
}

/// The root of tables of the 4 KiB granule, if addresses are of 48 bits and the second stage has that granule too.
fn arm_root(unit: &(impl Registers + ?Sized), addr: VirtAddr) -> Option<u64> {
    let (tcr, vtcr) = (read(unit, "tcr_el1"), read(unit, "vtcr_el2"));
    let (is_4k, name) = match addr.bits(55, 1) {
        0 => (tcr >> 14 & 0b11 == 0, "ttbr0_el1"),
        _ => (tcr >> 30 & 0b11 == 0b10, "ttbr1_el1"),
    };
    let is_plain = is_4k && vtcr >> 14 & 0b11 == 0 && tcr >> 59 & 1 == 0;
    is_plain.then(|| read(unit, name) & 0xffff_ffff_f000)
}

pub(crate) fn read(unit: &(impl Registers + ?Sized), name: &str) -> u64 {
    let register = find_register(unit.registers(), name);
    register.and_then(|info| unit.read_register(info.id).ok()).unwrap_or(0)
}

/// As many as the bits of an address that `TCR_EL1.TnSZ` leaves need, by the granule of their half.
fn arm_levels(tcr: u64, addr: VirtAddr) -> Option<u8> {
    let (size, granule) = match addr.bits(55, 1) {
        0 => (tcr & 0x3f, [12, 16, 14, 12][usize::try_from(tcr >> 14 & 0b11).ok()?]),
        _ => (tcr >> 16 & 0x3f, [12, 14, 12, 16][usize::try_from(tcr >> 30 & 0b11).ok()?]),
    };
    let bits = 64_u64.checked_sub(size)?.checked_sub(granule)?;
    u8::try_from(bits.div_ceil(granule - 3)).ok()
}

/// An invalidation in an architecture's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fence {
    /// Whose words.
    pub architecture: Architecture,
    /// The invalidation.
    pub scope: Invalidate,
    /// Another one that must follow it, where it is not enough.
    pub then: Option<Invalidate>,
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { architecture, scope, then } = *self;
        match architecture {
            Architecture::RiscV => riscv(f, scope)?,
            Architecture::X86 => x86(f, scope)?,
            Architecture::AArch64 => aarch64(f, scope)?,
            Architecture::Other => write!(f, "{scope:?}")?,
        }
        match then {
            Some(scope) => write!(f, ", then {}", Self { architecture, scope, then: None }),
            None => Ok(()),
        }
    }
}

/// An operand, or `x0`.
struct Operand<T>(Option<T>);

impl<T: fmt::Display> fmt::Display for Operand<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(value) => value.fmt(f),
            None => f.write_str("x0"),
        }
    }
}

fn riscv(f: &mut fmt::Formatter<'_>, scope: Invalidate) -> fmt::Result {
    match scope {
        Invalidate::Page(addr) => write!(f, "sfence.vma {addr}, x0"),
        Invalidate::PageInAsid { addr, asid, global } => {
            write!(f, "sfence.vma {addr}, {asid}{}", if global { ", and global" } else { "" })
        }
        Invalidate::Asid(asid) => write!(f, "sfence.vma x0, {asid}"),
        Invalidate::Range { addr, len, asid } => {
            write!(f, "sfence.vma for {len:#x} bytes at {addr}, {}", Operand(asid))
        }
        Invalidate::All | Invalidate::NonGlobal => f.write_str("sfence.vma x0, x0"),
        Invalidate::Guest { vmid, asid, addr, .. } => {
            write!(f, "hfence.vvma {}, {} (vmid {vmid})", Operand(addr), Operand(asid))
        }
        Invalidate::SecondStage { tables, addr, .. } => {
            // The instruction takes the address without its two low bits.
            let shifted = addr.map(|addr| format_args!("{addr} >> 2").to_string());
            write!(f, "hfence.gvma {}, {}", Operand(shifted), Operand(tables))
        }
    }
}

fn x86(f: &mut fmt::Formatter<'_>, scope: Invalidate) -> fmt::Result {
    match scope {
        Invalidate::Page(addr) => write!(f, "invlpg [{addr}] (every pcid)"),
        Invalidate::PageInAsid { addr, asid: Asid(0), global: true } => {
            write!(f, "invlpg [{addr}]")
        }
        Invalidate::PageInAsid { addr, asid, global: true } => {
            write!(f, "invlpg [{addr}] (pcid {asid})")
        }
        Invalidate::PageInAsid { addr, asid, global: false } => {
            write!(f, "invpcid 0 (pcid {asid}, {addr})")
        }
        Invalidate::Asid(asid) => {
            write!(f, "invpcid 1 (pcid {asid}), or mov cr3 with bit 63 clear")
        }
        Invalidate::Range { addr, len, .. } => write!(f, "invlpg for {len:#x} bytes at {addr}"),
        Invalidate::NonGlobal => f.write_str("invpcid 3"),
        Invalidate::All => f.write_str("invpcid 2"),
        Invalidate::Guest { .. } => f.write_str("invvpid"),
        Invalidate::SecondStage { tables: Some(eptp), .. } => {
            write!(f, "invept 1 (eptp {eptp:#x})")
        }
        Invalidate::SecondStage { tables: None, .. } => f.write_str("invept 2"),
    }
}

fn aarch64(f: &mut fmt::Formatter<'_>, scope: Invalidate) -> fmt::Result {
    match scope {
        Invalidate::Page(addr) => write!(f, "tlbi vaae1, {addr}"),
        Invalidate::PageInAsid { addr, asid, global } => {
            let but = if global { "" } else { ", but not if it is global" };
            write!(f, "tlbi vae1, {addr} of asid {asid}{but}")
        }
        Invalidate::Asid(asid) => write!(f, "tlbi aside1, {asid}"),
        Invalidate::Range { addr, len, asid: None } => {
            write!(f, "tlbi rvaae1, {len:#x} bytes at {addr}")
        }
        Invalidate::Range { addr, len, asid: Some(asid) } => {
            write!(f, "tlbi rvae1, {len:#x} bytes at {addr} of asid {asid}")
        }
        Invalidate::All | Invalidate::NonGlobal => f.write_str("tlbi vmalle1"),
        Invalidate::Guest { .. } => f.write_str("tlbi vmalle1"),
        Invalidate::SecondStage { addr: Some(addr), combined, .. } => {
            let then = if combined { ", then tlbi vmalle1" } else { "" };
            write!(f, "tlbi ipas2e1, {addr}{then}")
        }
        Invalidate::SecondStage { tables: Some(_), .. } => f.write_str("tlbi vmalls12e1"),
        Invalidate::SecondStage { tables: None, .. } => f.write_str("tlbi alle1"),
    }
}
