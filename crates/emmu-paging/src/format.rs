//! What differs between page-table formats: bits and rules. The walk, the TLBs and the walk caches are the
//! same for all.

pub mod aarch64;
pub mod described;
pub mod riscv;
pub mod x86;

use core::fmt;
use emmu_core::{
    Access, AccessKind, Asid, Attributes, BusError, Cause, Invalidate, PhysAddr, Privilege,
    RegisterError, RegisterId, RegisterInfo, VirtAddr, Width,
};

/// The most levels that a walk can have.
pub const MAX_LEVELS: usize = 6;

/// Places in an array by level: more than there are levels, so that a masked level needs no check.
pub(crate) const LEVEL_SLOTS: usize = (MAX_LEVELS + 1).next_power_of_two();

/// A level's place in an array of [`LEVEL_SLOTS`].
#[inline]
pub(crate) const fn slot(level: u8) -> usize {
    level as usize & (LEVEL_SLOTS - 1)
}

/// How an address is cut into table indices, and how wide an entry is.
///
/// Level 0 is that of the smallest pages. `lows[level]` is the lowest address bit of the index at `level`,
/// which is also log2 of what one entry there maps; `lows[levels]` is one past the highest index bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    entry: Width,
    /// Log2 of the entry's bytes.
    entry_shift: u8,
    lows: [u8; LEVEL_SLOTS],
}

impl Shape {
    /// `levels` levels that index `stride` bits each above a page offset of `page_bits` bits. More than
    /// [`MAX_LEVELS`] levels are cut to that.
    #[must_use]
    pub const fn uniform(entry: Width, page_bits: u8, stride: u8, levels: u8) -> Self {
        let mut lows = [page_bits; LEVEL_SLOTS];
        let mut level = 1;
        while level < LEVEL_SLOTS {
            lows[level] = lows[level - 1] + if level <= levels as usize { stride } else { 0 };
            level += 1;
        }
        Self::from_lows(entry, lows)
    }

    /// The lowest address bit of each level's index, the last level's first; levels that are not there begin
    /// where the topmost one ends.
    #[must_use]
    pub(crate) const fn from_lows(entry: Width, lows: [u8; LEVEL_SLOTS]) -> Self {
        let entry_shift = match entry {
            Width::B1 => 0,
            Width::B2 => 1,
            Width::B4 => 2,
            Width::B8 => 3,
        };
        Self { entry, entry_shift, lows }
    }

    /// The same with another end: the topmost level's index stops below bit `end`.
    #[must_use]
    pub const fn with_end(mut self, levels: u8, end: u8) -> Self {
        self.lows[slot(levels)] = end;
        self
    }

    /// Width of an entry.
    #[must_use]
    #[inline]
    pub const fn entry(&self) -> Width {
        self.entry
    }

    /// Log2 of the bytes that an entry of this level maps.
    #[must_use]
    #[inline]
    pub const fn page_bits(&self, level: u8) -> u8 {
        self.lows[slot(level)]
    }

    /// Log2 of the bytes that a whole table of this level maps.
    #[must_use]
    #[inline]
    pub const fn table_bits(&self, level: u8) -> u8 {
        self.lows[slot(level.wrapping_add(1))]
    }

    /// Where, in the table of this level, the entry for `addr` is.
    #[must_use]
    #[inline]
    pub fn entry_addr(&self, table: PhysAddr, level: u8, addr: VirtAddr) -> PhysAddr {
        let (low, high) = (u32::from(self.page_bits(level)), u32::from(self.table_bits(level)));
        // An index has fewer than 64 bits, as has the offset below it: these shifts never wrap.
        let above = u64::MAX.wrapping_shl(high.wrapping_sub(low));
        let index = addr.raw().wrapping_shr(low) & !above;
        table.wrapping_add(index.wrapping_shl(self.entry_shift.into()))
    }
}

/// Where the walk for one access starts, and what it goes by.
#[derive(Clone, Copy, Debug)]
pub struct Root<P> {
    /// The topmost table.
    pub table: PhysAddr,
    /// The level of the entries in it.
    pub level: u8,
    /// How the address is cut.
    pub shape: Shape,
    /// The address space.
    pub asid: Asid,
    /// What the root allows; entries on the way take from it.
    pub permissions: P,
    /// The access with the address and the privilege that count: a tag byte removed, MPRV applied.
    pub access: Access,
}

/// What becomes of an access before any table is read.
#[derive(Clone, Copy, Debug)]
pub enum Route<P> {
    /// Translation is off: the physical address is the virtual one, up to (not including) 2^`bits`.
    Identity {
        /// The address as the bus is to see it.
        addr: PhysAddr,
        /// Log2 of the size of the space in bytes, 64 at most.
        bits: u8,
    },
    /// The tables decide.
    Walk(Root<P>),
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
        /// What all entries so far allow.
        permissions: P,
    },
    /// Maps memory.
    Leaf(Mapping<P>),
}

/// A block of memory as a leaf entry maps it, or a part of one as a TLB holds it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mapping<P> {
    /// First byte of the block, aligned to its size.
    pub frame: PhysAddr,
    /// Log2 of the block's size in bytes.
    pub bits: u8,
    /// What all entries on the way allow.
    pub permissions: P,
    /// Whether a write needs no visit to the table any more.
    pub dirty: bool,
    /// Whether it holds in every address space.
    pub global: bool,
    /// How the memory is to be treated.
    pub attributes: Attributes,
}

impl<P> Mapping<P> {
    /// Where `addr` is in it.
    #[must_use]
    #[inline]
    pub const fn phys(&self, addr: VirtAddr) -> PhysAddr {
        PhysAddr::new(self.frame.raw() | addr.offset(self.bits as u32))
    }

    /// Bytes from `addr` on to the end of the block.
    #[must_use]
    #[inline]
    pub const fn span(&self, addr: VirtAddr) -> u64 {
        emmu_core::low_mask(self.bits as u32) - addr.offset(self.bits as u32) + 1
    }

    /// The 2^`bits`-byte part of it around `addr`.
    #[must_use]
    pub fn part(self, addr: VirtAddr, bits: u8) -> Self {
        let frame = self.phys(addr).align_down(u32::from(bits));
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
    /// What entries allow, as far as a TLB must remember it.
    type Permissions: Copy + Default + PartialEq + fmt::Debug;

    /// The registers, in the order in which to show them.
    const REGISTERS: &'static [RegisterInfo];

    /// Whether invalidating one page also forgets every walk-cache entry of the address spaces concerned
    /// (Intel SDM Vol. 3, 5.10.4.1: INVLPG), not only those on the way to the page.
    const PAGE_INVALIDATION_EMPTIES_WALK_CACHES: bool = false;

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

    /// Whether and where to walk for this access.
    ///
    /// # Errors
    /// The cause, when the address alone decides it.
    fn route(&self, access: Access) -> Result<Route<Self::Permissions>, Cause>;

    /// What `raw`, read at `level`, means below entries that allow `inherited`.
    fn decode(
        &self,
        raw: u64,
        level: u8,
        root: &Root<Self::Permissions>,
        inherited: Self::Permissions,
    ) -> Entry<Self::Permissions>;

    /// Whether a mapping with these permissions allows the access.
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
