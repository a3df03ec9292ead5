//! Of which stage's tables an entry is, where a unit has two.

use crate::{Architecture, architecture::read, record::Entry};
use alloc::vec::Vec;
use emmu_core::{
    Access, AccessFlags, AccessKind, Asid, Invalidate, PhysAddr, Privilege, Registers, VirtAddr,
    Vmid, Width, find_register,
};

/// Which tables an entry is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Those of virtual addresses.
    #[default]
    First,
    /// Those of guest-physical addresses, on the way of a single page of them if there is one.
    Second(Option<PhysAddr>),
    /// One or the other.
    Unknown,
}

/// Whose translations an access uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Regime {
    /// Those of a unit, or of a hypervisor itself, with one stage.
    One,
    /// A virtual machine's.
    Guest(Second),
    /// It cannot be told.
    Unknown,
}

/// A unit's second stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Second {
    /// What invalidations know its tables by: a VMID, or on x86 an EPTP.
    pub(crate) tables: u64,
    /// Levels of its tables; 0 if it is off.
    levels: u8,
}

impl Second {
    /// That of a unit, if it has one.
    pub(crate) fn of(unit: &(impl Registers + ?Sized), architecture: Architecture) -> Option<Self> {
        let read = |name| read(unit, name);
        let has = |name| find_register(unit.registers(), name).is_some();
        let (tables, levels) = match architecture {
            Architecture::RiscV if has("hgatp") => match read("hgatp") {
                // The register of RV32 has 32 bits.
                hgatp if hgatp >> 32 == 0 => (hgatp >> 22 & 0x7f, (hgatp >> 31) * 2),
                hgatp => (hgatp >> 44 & 0x3fff, (hgatp >> 60).saturating_sub(5)),
            },
            Architecture::X86 if has("eptp") => match read("eptp") {
                0 => (0, 0),
                eptp => (eptp, (eptp >> 3 & 0b111) + 1),
            },
            Architecture::AArch64 if has("vttbr_el2") => {
                let (vtcr, vmid) = (read("vtcr_el2"), read("vttbr_el2") >> 48);
                let vmid = if vtcr >> 19 & 1 == 1 { vmid } else { vmid & 0xff };
                (vmid, if read("hcr_el2") & 1 == 1 { stage_2_levels(vtcr) } else { 0 })
            }
            Architecture::Other if ["hgatp", "eptp", "vttbr_el2"].into_iter().any(has) => (0, 0),
            _ => return None,
        };
        Some(Self { tables, levels: u8::try_from(levels).unwrap_or(0) })
    }

    /// All that is cached of its tables, or of one page of them, and what both stages made with them.
    pub(crate) const fn invalidation(self, addr: Option<PhysAddr>) -> Invalidate {
        Invalidate::SecondStage { tables: Some(self.tables), addr, combined: true }
    }
}

/// By SL0 (`AArch64.S2StartLevel`).
const fn stage_2_levels(vtcr: u64) -> u64 {
    match (vtcr >> 14 & 0b11, vtcr >> 6 & 0b11) {
        (0, 3) => 1,
        (0, sl0) => sl0 + 2,
        (_, sl0) => sl0 + 1,
    }
}

impl Regime {
    /// That of an access to this unit.
    pub(crate) fn of(
        access: Access,
        architecture: Architecture,
        second: Option<Second>,
        mprv: bool,
    ) -> Self {
        let is_guest = access.flags.contains(AccessFlags::GUEST);
        match (architecture, second) {
            (_, None) => Self::One,
            (Architecture::Other, Some(_)) => Self::Unknown,
            (Architecture::RiscV, Some(second)) if is_guest => Self::Guest(second),
            // Whether that is a guest's, mstatus.MPV says, which a unit does not show.
            (Architecture::RiscV, Some(_))
                if mprv
                    && access.privilege == Privilege::Machine
                    && access.kind != AccessKind::Fetch =>
            {
                Self::Unknown
            }
            (Architecture::RiscV, Some(_)) => Self::One,
            (_, Some(second)) => Self::Guest(second),
        }
    }

    pub(crate) const fn second(self) -> Option<Second> {
        match self {
            Self::Guest(second) => Some(second),
            Self::One | Self::Unknown => None,
        }
    }

    /// An invalidation of the first stage: a hypervisor has others for a RISC-V guest than for itself.
    pub(crate) fn first(self, architecture: Architecture, scope: Invalidate) -> Option<Invalidate> {
        let (asid, addr) = match (self, architecture, scope) {
            (Self::Unknown, ..) => return None,
            (Self::Guest(_), Architecture::RiscV, Invalidate::PageInAsid { addr, asid, .. }) => {
                (Some(asid), Some(addr))
            }
            (Self::Guest(_), Architecture::RiscV, Invalidate::Page(addr)) => (None, Some(addr)),
            (Self::Guest(_), Architecture::RiscV, Invalidate::Asid(asid)) => (Some(asid), None),
            (Self::Guest(_), Architecture::RiscV, _) => (None, None),
            _ => return Some(scope),
        };
        self.second().map(|second| guest(second, asid, addr))
    }

    /// The narrowest invalidation for a change of an entry that an access to this address came by.
    pub(crate) fn narrowest(
        self,
        architecture: Architecture,
        entry: &Entry,
        (addr, asid): (VirtAddr, Asid),
        is_global: bool,
    ) -> Option<Invalidate> {
        match entry.stage {
            Stage::First => {
                let scope = architecture.narrowest(addr, asid, entry.is_leaf, is_global);
                self.first(architecture, scope)
            }
            Stage::Second(page) => {
                let takes_page = match architecture {
                    Architecture::RiscV | Architecture::AArch64 => true,
                    // INVEPT has no address.
                    Architecture::X86 | Architecture::Other => false,
                };
                Some(self.second()?.invalidation(page.filter(|_| takes_page)))
            }
            Stage::Unknown => None,
        }
    }
}

fn guest(second: Second, asid: Option<Asid>, addr: Option<VirtAddr>) -> Invalidate {
    let vmid = Vmid(u16::try_from(second.tables).unwrap_or(0));
    Invalidate::Guest { vmid, asid, addr, keeps_global: false }
}

/// The first stage's tables, as the registers have them for an access.
#[derive(Clone, Copy, Debug)]
pub(crate) struct First {
    pub(crate) architecture: Architecture,
    /// Levels of its tables; 0 if it is off.
    pub(crate) levels: Option<u8>,
    /// The root, where that is a table of 4 KiB and all others are.
    pub(crate) root: Option<PhysAddr>,
    /// Whether an entry above the last level can be a leaf.
    pub(crate) has_superpages: bool,
}

/// The entries in the order in which a look at the tables reads them: before each one of the first stage, those that
/// lead to it.
struct Reader {
    architecture: Architecture,
    second: Second,
    rest: alloc::vec::IntoIter<Entry>,
    sorted: Vec<Entry>,
}

/// Says of each entry of a walk that succeeds of which stage it is; of all that it is not known, if the registers and the
/// entries do not agree.
pub(crate) fn sort(
    addr: VirtAddr,
    first: First,
    second: Second,
    mut entries: Vec<Entry>,
) -> Vec<Entry> {
    let (rest, sorted) = (entries.clone().into_iter(), Vec::new());
    let mut reader = Reader { architecture: first.architecture, second, rest, sorted };
    if reader.read(addr, first).is_some() {
        return unshared(reader.sorted);
    }
    entries.iter_mut().for_each(|entry| entry.stage = Stage::Unknown);
    entries
}

/// An entry on several ways is of no single page.
fn unshared(mut entries: Vec<Entry>) -> Vec<Entry> {
    let places: Vec<_> = entries.iter().map(|entry| entry.addr).collect();
    for entry in &mut entries {
        let times = places.iter().filter(|place| **place == entry.addr).count();
        if times > 1 && matches!(entry.stage, Stage::Second(_)) {
            entry.stage = Stage::Second(None);
        }
    }
    entries
}

impl Reader {
    fn read(&mut self, addr: VirtAddr, first: First) -> Option<()> {
        let mut page = first.root;
        let levels = first.levels?;
        if levels == 0 {
            page = Some(PhysAddr::new(addr.raw()).align_down(12));
        }
        for level in (0..levels).rev() {
            self.second_stage(page)?;
            let entry = self.rest.next()?;
            let is_leaf =
                level == 0 || first.has_superpages && self.architecture.is_superpage(entry.raw);
            page = page.and_then(|_| next(self.architecture, &entry, level, is_leaf, addr));
            self.sorted.push(Entry { level: Some(level), is_leaf, stage: Stage::First, ..entry });
            if is_leaf {
                break;
            }
        }
        // What is read after that, to see whether flags can be set, has been read before.
        self.second_stage(page)
    }

    /// The entries of the second stage for a guest-physical page.
    fn second_stage(&mut self, page: Option<PhysAddr>) -> Option<()> {
        for level in (0..self.second.levels).rev() {
            let entry = self.rest.next()?;
            let is_leaf = level == 0 || self.architecture.is_superpage(entry.raw);
            let stage = Stage::Second(page);
            self.sorted.push(Entry { level: Some(level), is_leaf, stage, ..entry });
            if is_leaf {
                break;
            }
        }
        Some(())
    }
}

/// The guest-physical page to which an entry of the first stage leads, if that is plain.
fn next(
    architecture: Architecture,
    entry: &Entry,
    level: u8,
    is_leaf: bool,
    addr: VirtAddr,
) -> Option<PhysAddr> {
    let number = match architecture {
        // Svnapot: the low bits of the number are not the page's.
        Architecture::RiscV if entry.raw >> 63 == 1 => return None,
        Architecture::RiscV => entry.raw >> 10 & ((1 << 44) - 1),
        // PSE-36: bits of the number stand elsewhere.
        Architecture::X86 if entry.width == Width::B4 && is_leaf && level > 0 => return None,
        Architecture::X86 => entry.raw >> 12 & ((1 << 40) - 1),
        Architecture::AArch64 => entry.raw >> 12 & ((1 << 36) - 1),
        Architecture::Other => return None,
    };
    let stride = if entry.width == Width::B4 { 10 } else { 9 };
    let bits = if is_leaf { 12 + stride * u32::from(level) } else { 12 };
    let within = addr.raw() & ((1 << bits) - 1);
    let frame = PhysAddr::new(number << 12).align_down(bits);
    Some(PhysAddr::new(frame.raw() | within).align_down(12))
}
