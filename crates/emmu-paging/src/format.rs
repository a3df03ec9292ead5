//! Page-table formats: the bits and rules in which they differ. All formats share the walk, the TLBs and the walk
//! caches.

pub mod aarch64;
pub mod described;
pub mod hashed;
mod plan;
pub mod riscv;
mod shape;
#[cfg(feature = "serde")]
mod snapshot;
pub mod x86;

pub use plan::{PagingFormat, Plan};
pub(crate) use shape::{LEVEL_SLOTS, slot};
pub use shape::{MAX_LEVELS, Shape, ShapeError};

use crate::{WalkCacheReach, walk::WalkTable};
use core::fmt;
use emmu_core::{
    Access, AccessKind, Asid, Attributes, BusError, Cause, Invalidate, PhysAddr, Privilege,
    RegisterError, RegisterId, RegisterInfo, VirtAddr, Width, anatomy::Anatomy, low_mask,
};

/// Which virtual addresses there are: those whose `outside` bits are all clear or, in the upper half, as in
/// `upper`. Worked out once a register write, since every access asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extent {
    outside: u64,
    upper: u64,
}

impl Extent {
    /// Addresses of `bits` bits.
    pub(crate) const fn unsigned(bits: u32) -> Self {
        Self { outside: !low_mask(bits), upper: 0 }
    }

    /// Addresses that are the sign extension of their low `bits` bits, 1 at least.
    pub(crate) const fn sign_extended(bits: u32) -> Self {
        Self::halves(!low_mask(bits - 1))
    }

    /// Two halves of addresses, in which these bits are all clear or all set.
    pub(crate) const fn halves(outside: u64) -> Self {
        Self { outside, upper: outside }
    }

    #[inline]
    pub(crate) const fn has(&self, addr: VirtAddr) -> bool {
        let outside = addr.raw() & self.outside;
        outside == 0 || outside == self.upper
    }
}

/// Refuses a value with one of these bits, which change translation in ways that are not modelled: the number of each,
/// and what it does.
pub(crate) fn refuse_not_modelled(
    name: &'static str,
    value: u64,
    bits: &[(u32, &'static str)],
) -> Result<(), RegisterError> {
    match bits.iter().find(|(bit, _)| value >> bit & 1 != 0) {
        Some(&(_, what)) => Err(RegisterError::NotModelled { name, value, what }),
        None => Ok(()),
    }
}

/// The route of an access, chosen before any table is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Translation is off: the physical address is the virtual one, up to (not including) 2^`bits`.
    Identity {
        /// The access with the address and the privilege that count: a tag byte removed, MPRV applied.
        access: Access,
        /// Log2 of the size of the space in bytes, 64 at most.
        bits: u8,
    },
    /// The tables decide, or what a TLB remembers of them.
    Tables {
        /// The access with the address and the privilege that count: a tag byte removed, MPRV applied.
        access: Access,
        /// The address space.
        asid: Asid,
    },
}

/// Where a walk starts.
#[derive(Clone, Copy, Debug)]
pub struct Root<P> {
    /// The topmost table.
    pub table: PhysAddr,
    /// The level of the entries in it: at most 7, whether levels are steps through tables or probes of one.
    pub level: u8,
    /// The rights at the root; entries on the way take from them.
    pub permissions: P,
}

impl<P: Copy> Root<P> {
    /// The topmost table, and what is allowed there.
    #[must_use]
    #[inline]
    pub const fn first(&self) -> WalkTable<P> {
        WalkTable { addr: self.table, permissions: self.permissions }
    }
}

/// A decoded entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry<P> {
    /// Maps nothing, for this reason.
    Invalid(Cause),
    /// Points to a table of the next lower level.
    Table {
        /// Where that table is.
        table: PhysAddr,
        /// The rights that all entries so far leave.
        permissions: P,
    },
    /// Maps memory.
    Leaf(Mapping<P>),
}

/// A block of memory as a leaf entry maps it, or a part of one as a TLB holds it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Mapping<P> {
    /// First byte of the block, aligned to its size.
    pub frame: PhysAddr,
    /// Log2 of the block's size in bytes.
    pub bits: u8,
    /// The rights that all entries on the way leave.
    pub permissions: P,
    /// True if a write needs no visit to the table any more.
    pub dirty: bool,
    /// True if the mapping holds in every address space.
    pub global: bool,
    /// How the memory is to be treated.
    pub attributes: Attributes,
}

impl<P> Mapping<P> {
    /// Where `addr` is in it.
    #[must_use]
    #[inline]
    pub const fn phys(&self, addr: VirtAddr) -> PhysAddr {
        // spec: riscv-10, x86-page, described-8
        PhysAddr::new(self.frame.raw() | addr.raw() & self.within())
    }

    /// Bytes from `addr` on to the end of the block.
    #[must_use]
    #[inline]
    pub const fn span(&self, addr: VirtAddr) -> u64 {
        (!addr.raw() & self.within()) + 1
    }

    /// Returns the mapping with other permissions.
    #[inline]
    pub(crate) fn with<Q>(self, permissions: Q) -> Mapping<Q> {
        let Self { frame, bits, dirty, global, attributes, .. } = self;
        Mapping { frame, bits, permissions, dirty, global, attributes }
    }

    /// The address bits within the block. A block has fewer than 64 of them, so this shift never wraps.
    const fn within(&self) -> u64 {
        !u64::MAX.wrapping_shl(self.bits as u32)
    }

    /// The 2^`bits`-byte part of it around `addr`.
    #[must_use]
    pub fn part(self, addr: VirtAddr, bits: u8) -> Self {
        let frame = self.phys(addr).align_down(bits.into());
        Self { frame, bits, ..self }
    }
}

/// Reads one word of a table for a register write.
pub type ReadWord<'a> = &'a mut dyn FnMut(PhysAddr, Width) -> Result<u64, BusError>;

/// A page-table format with the registers that govern it: consts, decoding and rules, no algorithm.
///
/// Walk and TLB hit ask the same [`Format::permits`]. Registers that only permissions depend on can change at
/// any time and count at the next access; nothing of them is ever cached.
pub trait Format {
    /// The rights of a mapping, as far as a TLB must remember them.
    type Permissions: Copy + Default + PartialEq + fmt::Debug;

    /// The registers, in the order in which to show them.
    const REGISTERS: &'static [RegisterInfo];

    /// True if a fault invalidates the entries that are cached for its address, so that it does not recur once the
    /// tables in memory allow the access (Intel SDM Vol. 3, 5.10.4.1: page faults; 30.4.3.1: EPT violations).
    const FAULTS_INVALIDATE: bool = false;

    /// True if the architecture lets an implementation remember that an entry was invalid, so that the entry may go
    /// on to fault after it has been made valid, until it is invalidated
    /// ([`PagingConfig::invalid_entries`](crate::PagingConfig::invalid_entries)).
    const MAY_CACHE_INVALID: bool = false;

    /// The words of [`RegisterError::Reserved`] for values that are refused: all the words that
    /// [`write_register`](Format::write_register) has for it, so that a refusal that was written down can be read back.
    const REASONS: &'static [&'static str] = &[];

    /// Returns the anatomy of the tables: flags, root registers, and the instructions that invalidate. Tools ask for it,
    /// translations do not. Which entries are leaves or global, and how many levels there are, [`Format::decode`] and
    /// [`Format::root`] say. The default knows nothing.
    fn anatomy(&self) -> Anatomy {
        Anatomy::new()
    }

    /// Reads a register.
    ///
    /// # Errors
    /// [`RegisterError::Unknown`].
    fn read_register(&self, id: RegisterId) -> Result<u64, RegisterError>;

    /// Writes a register, and says what the architecture invalidates with it. `read` reads physical memory.
    ///
    /// # Errors
    /// [`RegisterError`]; nothing has changed then.
    fn write_register(
        &mut self,
        id: RegisterId,
        value: u64,
        read: ReadWord<'_>,
    ) -> Result<Option<Invalidate>, RegisterError>;

    /// Returns the route of this access: through the tables, or past them.
    ///
    /// # Errors
    /// The cause, when the address alone decides.
    fn route(&self, access: Access) -> Result<Route, Cause>;

    /// Where the walk for an access of [`Route::Tables`] starts. Asked only when no TLB knows the answer.
    ///
    /// # Errors
    /// The cause, when there is no table to start at.
    fn root(&self, access: Access) -> Result<Root<Self::Permissions>, Cause>;

    /// How an access's address is cut into indices.
    fn shape(&self, access: Access) -> &Shape;

    /// Where, in the table that the walk has come to, the entry of this level for an access is. Unless said otherwise,
    /// its shape's index counts from the table's beginning. A table that is hashed is looked up in another way.
    #[inline]
    fn entry_addr(&self, table: PhysAddr, level: u8, access: Access) -> PhysAddr {
        self.shape(access).entry_addr(table, level, access.addr)
    }

    /// Decodes `raw`, read at `level` on the way of an access, below entries that leave the rights `inherited`.
    fn decode(
        &self,
        raw: u64,
        level: u8,
        access: Access,
        inherited: Self::Permissions,
    ) -> Entry<Self::Permissions>;

    /// Checks that a mapping with these permissions allows the access.
    ///
    /// # Errors
    /// The cause, when it does not.
    fn permits(&self, permissions: Self::Permissions, access: Access) -> Result<(), Cause>;

    /// The leaf entry as the hardware leaves it after this access, or why the access is refused: permissions
    /// and accessed and dirty flags, in the manual's order.
    ///
    /// # Errors
    /// The cause of the refusal.
    fn admit(
        &self,
        raw: u64,
        mapping: &Mapping<Self::Permissions>,
        access: Access,
    ) -> Result<u64, Cause>;

    /// A table entry as the hardware leaves it after a successful walk through it.
    #[inline]
    fn pass(&self, raw: u64) -> u64 {
        raw
    }

    /// The address as caches go by it, for one that an invalidation names: without a tag byte.
    #[inline]
    fn untagged(&self, addr: VirtAddr) -> VirtAddr {
        addr
    }

    /// The address space that an invalidation means by this one: without bits that are not implemented, where they
    /// are ignored.
    fn implemented(&self, asid: Asid) -> Asid {
        asid
    }

    /// Returns the entries of walk caches that an invalidation by address must drop, in the address spaces concerned.
    #[must_use]
    fn walk_cache_reach(scope: Invalidate) -> WalkCacheReach {
        let _ = scope;
        WalkCacheReach::OnTheWay
    }

    /// How many bytes from `addr` on physical memory protection grants alike, given that it grants the first
    /// `len`. Table reads and updates are asked about as supervisor loads and stores.
    ///
    /// # Errors
    /// The cause, when those `len` bytes are not granted to an access of this kind and privilege.
    #[inline]
    fn grants(
        &self,
        addr: PhysAddr,
        len: u64,
        kind: AccessKind,
        privilege: Privilege,
    ) -> Result<u64, Cause> {
        let _ = (addr, len, kind, privilege);
        Ok(u64::MAX)
    }
}
