//! A hashed page table: one table for a whole address space, in which the hash of a page's number says where its
//! entry is. A walk reads one entry where no other page is in the way, and a walk in two dimensions three (Yaniv and
//! Tsafrir, "Hash, Don't Cache (the Page Table)", SIGMETRICS 2016). The layout is emmu's own.
//!
//! ```text
//! htab, htab2   63 E | 62..56 zero | 55..40 ASID or VMID | 39..13 base | 12..6 zero | 5..0 n
//! entry         63..38 tag | 37..10 frame | 9..7 probe | 6 D | 5 A | 4 U | 3 X | 2 W | 1 R | 0 V = 1
//! deleted       63..2 ignored                                                 | 1 one      | 0 V = 0
//! never used    63..2 ignored                                                 | 1 zero     | 0 V = 0
//! ```
//! With E set, the table of 2^n entries of 8 bytes at `base`, which is a multiple of its size, translates virtual
//! addresses of 48 bits to physical ones of 40, in pages of 4 KiB. n is 10 to 36.
//!
//! 1. The number of the page, bits 47:12 of the address, is cut into its low n bits and, above them, the *tag*. The low
//!    bits, exclusive-or each n bits of the tag, are the first place to look at: neighbours in memory are neighbours in
//!    the table, eight to a cache line.
//! 2. Probe k, from 0 to 7, reads the entry k places behind the first, from the end of the table on at its beginning.
//! 3. An entry with V set, this tag, and k for its `probe` is the page's. A place, a tag and a probe belong to
//!    one page only.
//! 4. An entry that is not the page's, or is deleted, sends the walk to the next probe. One that was never used ends the
//!    search: the page is absent. So it is after probe 7.
//! 5. R, W and X allow reads, writes and fetches, and U lets user mode at them (in a second stage U is ignored). Hardware
//!    sets A, and D with a write.
//!
//! In faults and events, probe k is level 7 − k. A walk cache that has level 7 − k remembers of a page that its entry is
//! not before probe k: it is read from there on until the page is invalidated.
//!
//! **Filling it.** Software asks [`HashTable::places`] where the page's entry may stand, makes sure that none of them
//! holds it, and writes [`Place::entry`] to the first one without V. If there is none, the table has to grow. To take the
//! page out it writes [`DELETED`] in its place, so that the entries behind are still found, and invalidates the page. A page
//! that was absent needs no invalidation. A table that takes the place of another, under the same ASID or VMID, needs that of
//! the whole address space.
//!
//! Each address space has a table of its own; the ASID is for TLBs. Not modelled: pages of other sizes, global pages, one
//! table for all address spaces (inverted), other hashes, and cuckoo tables.

mod table;

pub use super::described::Permissions;
pub use table::{DELETED, HashTable, PROBES, Place, Pte};

use table::ADDRESS_BITS;

use super::{Entry, Extent, Format, LEVEL_SLOTS, Mapping, ReadWord, Root, Route, Shape};
use crate::{ConfigError, Paging, PagingConfig, SecondStageFormat};
use emmu_core::{
    Access, Asid, Attributes, Cause, Invalidate, PhysAddr, Privilege, RegisterError, RegisterId,
    RegisterInfo, Width,
    anatomy::{Anatomy, Dirty, Flags},
    bit_range,
};

/// Place and size of the table, ASID, and whether it translates. Of two stages: the first's.
pub const HTAB: RegisterId = RegisterId(0);
/// Place and size of the second stage's table, VMID, and whether it translates.
pub const HTAB2: RegisterId = RegisterId(1);

const RESERVED: &str = "bits 62:56 and 12:6 are reserved";

/// Level of the first probe: each is one level of the walk.
const FIRST: u8 = PROBES - 1;
const _: () = assert!(PROBES as usize <= LEVEL_SLOTS, "a walk has no place for so many");

/// Every entry maps a page, whatever its probe.
const SHAPE: Shape = Shape::uniform(Width::B8, 12, 0, 0);

/// Hashed page tables with their register: [`HTAB`], or, as the second of two stages, [`HTAB2`].
///
/// Addresses of more than 48 bits are not canonical. Supervisor and machine mode are held to all rights but the user bit.
/// No write of a register invalidates anything.
///
/// ```
/// use emmu_core::{Access, Bus, PhysAddr, TranslationUnit, VirtAddr, Width};
/// use emmu_memory::Memory;
/// use emmu_paging::{Paging, format::hashed::{HTAB, HashTable, Hashed, Pte}};
///
/// let htab = 1 << 63 | 0x10_0000 | 10;
/// let mut memory = Memory::ram(1 << 21);
/// let mut unit = Paging::uncached(Hashed::new());
/// unit.write_register(HTAB, htab, &mut memory, &mut ())?;
///
/// let page = VirtAddr::new(0x1234_5000);
/// let place = HashTable::of(htab)?.places(page).next().ok_or("there are eight")?;
/// memory.write(place.addr(), Width::B8, place.entry(PhysAddr::new(0x7000), Pte::R))?;
/// let found = unit.translate(Access::load(VirtAddr::new(0x1234_5678), 8), &mut memory, &mut ())?;
/// assert_eq!(found.addr, PhysAddr::new(0x7678));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "u64", into = "u64"))]
pub struct Hashed<const SECOND: bool = false> {
    htab: u64,
    table: HashTable,
}

/// Hashed page tables that make guest-physical addresses physical.
pub type HashedSecond = Hashed<true>;

/// A machine with hashed page tables at both stages.
pub type HashedGuest = Paging<Hashed, Paging<HashedSecond>>;

impl Hashed {
    /// Switched off.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A machine with a second stage of the same kind: `config` says what holds the outcome of both stages, `second` what
    /// holds translations of guest-physical addresses.
    ///
    /// # Errors
    /// [`ConfigError`] if there can be no such TLBs.
    pub fn guest(
        self,
        config: &PagingConfig,
        second: &PagingConfig,
    ) -> Result<HashedGuest, ConfigError> {
        Paging::two_stage(self, config, Paging::new(HashedSecond::default(), second)?)
    }
}

impl<const SECOND: bool> Default for Hashed<SECOND> {
    fn default() -> Self {
        Self { htab: 0, table: HashTable { base: PhysAddr::ZERO, bits: 10 } }
    }
}

impl<const SECOND: bool> Hashed<SECOND> {
    const REGISTER: RegisterInfo = RegisterInfo {
        id: if SECOND { HTAB2 } else { HTAB },
        name: if SECOND { "htab2" } else { "htab" },
        privilege: Privilege::Supervisor,
        about: "place and size of the hashed table, address space, and whether it translates",
    };

    fn write(&mut self, value: u64) -> Result<(), RegisterError> {
        let name = Self::REGISTER.name;
        if value & (bit_range(62, 56) | bit_range(12, 6)) != 0 {
            return Err(RegisterError::Reserved { name, value, what: RESERVED });
        }
        if is_on(value) {
            self.table = HashTable::named(name, value)?;
        }
        self.htab = value;
        Ok(())
    }

    const fn asid(&self) -> Asid {
        #[expect(clippy::cast_possible_truncation, reason = "sixteen bits are meant")]
        Asid((self.htab >> 40) as u16)
    }

    #[inline]
    const fn place(&self, base: PhysAddr, level: u8, access: Access) -> Place {
        self.table.place(base, access.addr, FIRST.saturating_sub(level))
    }

    fn page(raw: u64) -> Mapping<Permissions> {
        let own = Permissions::from_bits_truncate((raw >> 1 & 0b1111) as u8);
        Mapping {
            frame: table::frame(raw),
            bits: SHAPE.page_bits(0),
            permissions: if SECOND { own | Permissions::U } else { own },
            dirty: Pte::from_bits_retain(raw).contains(Pte::D),
            global: false,
            attributes: Attributes(0),
        }
    }
}

const fn is_on(htab: u64) -> bool {
    htab >> 63 == 1
}

impl<const SECOND: bool> Format for Hashed<SECOND> {
    type Permissions = Permissions;

    const REGISTERS: &'static [RegisterInfo] = &[Self::REGISTER];

    const REASONS: &'static [&'static str] = &[RESERVED, table::NO_BASE, table::NO_SIZE];

    fn anatomy(&self) -> Anatomy {
        Anatomy::new()
            .with_flags(Flags::new(Pte::A.bits(), Dirty::Flag(Pte::D.bits())))
            .with_roots(if SECOND { &[HTAB2] } else { &[HTAB] })
    }

    fn read_register(&self, id: RegisterId) -> Result<u64, RegisterError> {
        if id == Self::REGISTER.id { Ok(self.htab) } else { Err(RegisterError::Unknown { id }) }
    }

    fn write_register(
        &mut self,
        id: RegisterId,
        value: u64,
        _: ReadWord<'_>,
    ) -> Result<Option<Invalidate>, RegisterError> {
        if id != Self::REGISTER.id {
            return Err(RegisterError::Unknown { id });
        }
        self.write(value).map(|()| None)
    }

    #[inline]
    fn route(&self, access: Access) -> Result<Route, Cause> {
        if !is_on(self.htab) {
            return Ok(Route::Identity { access, bits: 64 });
        }
        if !Extent::unsigned(ADDRESS_BITS).has(access.addr) {
            return Err(Cause::NonCanonical);
        }
        Ok(Route::Tables { access, asid: self.asid() })
    }

    #[inline]
    fn root(&self, _: Access) -> Result<Root<Permissions>, Cause> {
        Ok(Root { table: self.table.base, level: FIRST, permissions: Permissions::all() })
    }

    #[inline]
    fn shape(&self, _: Access) -> &Shape {
        &SHAPE
    }

    #[inline]
    fn entry_addr(&self, table: PhysAddr, level: u8, access: Access) -> PhysAddr {
        self.place(table, level, access).addr()
    }

    #[inline]
    fn decode(
        &self,
        raw: u64,
        level: u8,
        access: Access,
        inherited: Permissions,
    ) -> Entry<Permissions> {
        let table = self.table.base;
        match self.place(table, level, access).holds(raw) {
            true => Entry::Leaf(Self::page(raw)),
            false if table::ends_search(raw) || level == 0 => Entry::Invalid(Cause::Absent),
            false => Entry::Table { table, permissions: inherited },
        }
    }

    #[inline]
    fn permits(&self, permissions: Permissions, access: Access) -> Result<(), Cause> {
        permissions.allow(access)
    }

    #[inline]
    fn admit(
        &self,
        raw: u64,
        mapping: &Mapping<Permissions>,
        access: Access,
    ) -> Result<u64, Cause> {
        self.permits(mapping.permissions, access)?;
        let dirty = if access.kind.writes() { Pte::D } else { Pte::empty() };
        Ok(raw | (Pte::A | dirty).bits())
    }
}

impl HashedSecond {
    /// The number of the virtual machine: its VMID plus one, or 0 while nothing is translated here.
    #[inline]
    fn present(&self) -> u32 {
        if is_on(self.htab) { u32::from(self.asid().0) + 1 } else { 0 }
    }
}

impl SecondStageFormat for HashedSecond {
    #[inline]
    fn context(&self, _: Access) -> u32 {
        self.present()
    }

    fn is_present(&self, context: u32) -> bool {
        context == self.present()
    }

    fn rights(&self, permissions: Permissions) -> u8 {
        (permissions - Permissions::U).bits()
    }
}

impl<const SECOND: bool> From<Hashed<SECOND>> for u64 {
    fn from(Hashed { htab, .. }: Hashed<SECOND>) -> Self {
        htab
    }
}

/// As a write of the register to a machine that is switched off.
impl<const SECOND: bool> TryFrom<u64> for Hashed<SECOND> {
    type Error = RegisterError;

    fn try_from(htab: u64) -> Result<Self, RegisterError> {
        let mut format = Self::default();
        format.write(htab).map(|()| format)
    }
}
