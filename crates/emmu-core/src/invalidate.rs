//! Invalidation scopes: they name the cached translations that a unit must drop.

use crate::{PhysAddr, VirtAddr};
use core::fmt;

/// An address-space identifier. x86 calls it PCID.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Asid(pub u16);

impl fmt::Display for Asid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A virtual machine's identifier. x86 calls it VPID.
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
/// The format of the tables says which instruction asks for which scope ([`Fences`](crate::anatomy::Fences)); the
/// book has the table, in "Find a missing invalidation in your kernel".
///
/// On a machine of two stages, the scopes from `All` to `Range` mean the context that the CPU is in: the present virtual
/// machine, or the hypervisor's own address spaces where it has such. How the invalidation of a page treats walk
/// caches is the format's rule.
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
