//! How much of what a unit has cached is to be forgotten.

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

/// The scope of an invalidation: at least what it names is forgotten, in every TLB and walk cache.
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
/// Where there are two stages, the scopes down to `Range` are those of the context that the CPU is in: of the
/// present virtual machine on x86 and AArch64, and of the hypervisor's own address spaces on RISC-V.
///
/// What an invalidation of a page does to walk caches, an architecture says for each of these scopes: SFENCE.VMA and
/// HFENCE.VVMA leave them alone, INVLPG empties them, the others forget the tables on the way to the page.
///
/// Svinval's `sinval.vma`, `hinval.vvma` and `hinval.gvma` are what `sfence.vma`, `hfence.vvma` and `hfence.gvma` are. Its
/// `sfence.w.inval` and `sfence.inval.ir` order them, and forget nothing: here all is done in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Invalidate {
    /// Everything, global entries too.
    All,
    /// Everything but global entries, in every address space.
    NonGlobal,
    /// One address space's entries that are not global.
    Asid(Asid),
    /// The page that holds this address, in every address space, global or not.
    Page(VirtAddr),
    /// The page that holds this address in one address space.
    PageInAsid {
        /// Any address in the page.
        addr: VirtAddr,
        /// The address space.
        asid: Asid,
        /// Whether the page is forgotten, too, if it is global.
        global: bool,
    },
    /// Every page that holds one of `len` bytes from `addr` on, global ones too.
    Range {
        /// First byte.
        addr: VirtAddr,
        /// Bytes. The range ends at the last address at the latest.
        len: u64,
        /// Whose pages that are not global; `None` for those of every address space.
        asid: Option<Asid>,
    },
    /// First-stage translations of one virtual machine: those of one address space or of all, of the page
    /// that holds an address or of all pages.
    Guest {
        /// The virtual machine.
        vmid: Vmid,
        /// The address space, whose global entries stay; `None` for all.
        asid: Option<Asid>,
        /// Any address in the page; `None` for all.
        addr: Option<VirtAddr>,
        /// Whether global entries stay where no address space is named (`invvpid` type 3).
        keeps_global: bool,
    },
    /// Second-stage translations of one virtual machine or of all, of the page that holds a guest-physical
    /// address or of all pages.
    SecondStage {
        /// Whose tables: a VMID, or on x86 an EPTP; `None` for all.
        tables: Option<u64>,
        /// Any guest-physical address in the page; `None` for all.
        addr: Option<PhysAddr>,
        /// Whether entries that hold the outcome of both stages are forgotten too. `tlbi ipas2e1` leaves
        /// them, and `tlbi vmalle1` must follow.
        combined: bool,
    },
}
