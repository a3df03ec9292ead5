//! Invalidation scopes: they name the cached translations that a unit must drop.

use crate::{PhysAddr, VirtAddr};
use core::fmt;

/// An address-space identifier: RISC-V ASID, x86 PCID, AArch64 ASID.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Asid(pub u16);

impl fmt::Display for Asid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A virtual machine's identifier: RISC-V VMID, x86 VPID, AArch64 VMID.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Vmid(pub u16);

impl fmt::Display for Vmid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The scope of an invalidation. A unit drops at least the translations that the scope names, from every TLB
/// and walk cache. It may drop more.
///
/// | scope | RISC-V | x86 | AArch64 |
/// |---|---|---|---|
/// | `All` | `sfence.vma x0, x0` | `invpcid` type 2; CR4.PGE toggled | `tlbi vmalle1` |
/// | `NonGlobal` | – | `mov cr3` without PCIDs; `invpcid` type 3 | – |
/// | `Asid` | `sfence.vma x0, asid` | `invpcid` type 1 | `tlbi aside1` |
/// | `Page` | `sfence.vma va, x0` | – | `tlbi vaae1` |
/// | `PageInAsid`, not `global` | `sfence.vma va, asid` | `invpcid` type 0 | – |
/// | `PageInAsid`, `global` | – | `invlpg`, of the present PCID | `tlbi vae1` |
/// | `Range` | – | – | `tlbi rvaae1`; of an address space `tlbi rvae1` |
/// | `Guest` | `hfence.vvma`; `sfence.vma` with V = 1 | `invvpid` | – |
/// | `SecondStage` | `hfence.gvma` | `invept` | `tlbi ipas2e1`, `tlbi vmalls12e1`, `tlbi alle1` |
///
/// On a machine of two stages, the scopes from `All` to `Range` mean the context that the CPU is in: on x86 and
/// AArch64 the present virtual machine, on RISC-V the hypervisor's own address spaces.
///
/// For each of these scopes the architecture says how the invalidation of a page treats walk caches. SFENCE.VMA
/// and HFENCE.VVMA leave them alone, INVLPG empties them, and the others drop the tables on the way to the
/// page.
///
/// Svinval's `sinval.vma`, `hinval.vvma` and `hinval.gvma` do what `sfence.vma`, `hfence.vvma` and
/// `hfence.gvma` do. Svinval's `sfence.w.inval` and `sfence.inval.ir` order them and drop nothing: emmu
/// performs everything in order.
///
/// Later versions may add scopes. A unit drops every entry when it is asked for a scope that it does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Invalidate {
    /// Every entry, global ones too.
    All,
    /// Every entry that is not global, in every address space.
    NonGlobal,
    /// The entries of one address space that are not global.
    Asid(Asid),
    /// The page that holds this address, in every address space, global or not.
    Page(VirtAddr),
    /// The page that holds this address in one address space.
    PageInAsid {
        /// Any address in the page.
        addr: VirtAddr,
        /// The address space.
        asid: Asid,
        /// Drops the page also if it is global.
        global: bool,
    },
    /// Every page that holds one of the `len` bytes from `addr` on, global pages too.
    Range {
        /// The address of the first byte.
        addr: VirtAddr,
        /// The number of bytes. The range ends at the last address at the latest.
        len: u64,
        /// The address space whose non-global pages are dropped; `None` means every address space.
        asid: Option<Asid>,
    },
    /// First-stage translations of one virtual machine: of one address space or of all, and of the page that
    /// holds an address or of all pages.
    Guest {
        /// The virtual machine.
        vmid: Vmid,
        /// The address space, whose global entries stay; `None` means all address spaces.
        asid: Option<Asid>,
        /// Any address in the page; `None` means all pages.
        addr: Option<VirtAddr>,
        /// Keeps global entries if no address space is named (`invvpid` type 3).
        keeps_global: bool,
    },
    /// Second-stage translations of one virtual machine or of all, and of the page that holds a guest-physical
    /// address or of all pages.
    SecondStage {
        /// The second-stage tables, named by a VMID, or on x86 by an EPTP; `None` means all.
        tables: Option<u64>,
        /// Any guest-physical address in the page; `None` means all pages.
        addr: Option<PhysAddr>,
        /// Drops also the entries that hold the outcome of both stages. `tlbi ipas2e1` leaves these, and `tlbi
        /// vmalle1` must follow it.
        combined: bool,
    },
}

impl Invalidate {
    /// The names of all scopes, in the order in which reports list them.
    pub const NAMES: &'static [&'static str] =
        &["all", "non_global", "asid", "page", "page_in_asid", "range", "guest", "second_stage"];

    /// Returns the name of the scope in reports: one of [`Invalidate::NAMES`].
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::NonGlobal => "non_global",
            Self::Asid(_) => "asid",
            Self::Page(_) => "page",
            Self::PageInAsid { .. } => "page_in_asid",
            Self::Range { .. } => "range",
            Self::Guest { .. } => "guest",
            Self::SecondStage { .. } => "second_stage",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn the_names_are_those_of_the_scopes() {
        let (addr, asid) = (VirtAddr::ZERO, Asid(0));
        let scopes = [
            Invalidate::All,
            Invalidate::NonGlobal,
            Invalidate::Asid(asid),
            Invalidate::Page(addr),
            Invalidate::PageInAsid { addr, asid, global: false },
            Invalidate::Range { addr, len: 0, asid: None },
            Invalidate::Guest { vmid: Vmid(0), asid: None, addr: None, keeps_global: false },
            Invalidate::SecondStage { tables: None, addr: None, combined: false },
        ];
        let names: Vec<_> = scopes.into_iter().map(Invalidate::name).collect();
        assert_eq!(names, Invalidate::NAMES);
    }
}
