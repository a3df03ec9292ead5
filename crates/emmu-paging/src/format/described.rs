//! A format that is described at run time: the paging machines of textbooks, and those of one's own design.
//!
//! ```
//! use emmu_core::{Access, Bus, PhysAddr, Registers, TranslationUnit, VirtAddr, Width};
//! use emmu_memory::Memory;
//! use emmu_paging::{Paging, format::described::{Described, Description, PTBR, MODE}};
//!
//! // A 15-bit address of two 5-bit indices and a 5-bit offset; entries of one byte, bit 7 valid, 7 bits of frame.
//! let machine = Description::new(Width::B1, 5, &[5, 5]).frame(0, 7).valid(7);
//! let mut unit = Paging::uncached(Described::new(machine)?);
//! let mut memory = Memory::ram(4096);
//! unit.write_register(PTBR, 17 << 5, &mut memory, &mut ())?;
//! unit.write_register(MODE, 1, &mut memory, &mut ())?;
//! memory.write(PhysAddr::new((17 << 5) + 3), Width::B1, 0x80 | 40)?;    // directory entry 3: table in frame 40
//! memory.write(PhysAddr::new((40 << 5) + 9), Width::B1, 0x80 | 99)?;    // table entry 9: page in frame 99
//! let addr = VirtAddr::new(3 << 10 | 9 << 5 | 21);
//! let found = unit.translate(Access::load(addr, 1), &mut memory, &mut ())?;
//! assert_eq!(found.addr, PhysAddr::new((99 << 5) + 21));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod description;
#[cfg(feature = "serde")]
mod snapshot;

pub use description::{Description, DescriptionError, Field};

use description::Bit;

use super::{Entry, Extent, Format, Mapping, ReadWord, Root, Route, Shape};
use bitflags::bitflags;
use emmu_core::{
    Access, AccessKind, Asid, Attributes, Cause, Invalidate, PhysAddr, Privilege, RegisterError,
    RegisterId, RegisterInfo,
    anatomy::{Anatomy, Dirty, Flags},
    low_mask,
};

/// Physical address of the topmost table.
pub const PTBR: RegisterId = RegisterId(0);
/// 1 translates, 0 passes addresses on as they are.
pub const MODE: RegisterId = RegisterId(1);
/// The address space, 0 to 65535.
pub const ASID: RegisterId = RegisterId(2);

bitflags! {
    /// The rights of a page.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Permissions: u8 {
        /// Readable.
        const R = 1 << 0;
        /// Writable.
        const W = 1 << 1;
        /// Executable.
        const X = 1 << 2;
        /// Accessible to user mode.
        const U = 1 << 3;
    }
}

impl Permissions {
    /// Checks that they allow the access: supervisor and machine mode are held to all but [`Permissions::U`].
    #[inline]
    pub(super) fn allow(self, access: Access) -> Result<(), Cause> {
        // spec: described-6
        let needed = match access.kind {
            AccessKind::Fetch => Self::X,
            AccessKind::Load => Self::R,
            AccessKind::Store => Self::W,
            AccessKind::Amo => Self::R | Self::W,
        };
        let reachable = access.privilege != Privilege::User || self.contains(Self::U);
        if reachable && self.contains(needed) { Ok(()) } else { Err(Cause::Permission) }
    }
}

/// A described format with its registers: [`PTBR`], [`MODE`] and [`ASID`].
///
/// While [`MODE`] is 0 an address is physical. Otherwise, in this order,
/// 1. an address wider than the described ones is not canonical;
/// 2. an entry is read, at the table's address + index × entry size, which need not be aligned and is counted modulo 2^64;
/// 3. it must be valid;
/// 4. at the last level, or if its superpage bit is set, it is a page, and otherwise names the next table;
/// 5. the frame of a page must be aligned to the page's size;
/// 6. its rights must allow the access: each kind needs its own, and an atomic those of a load and of a store; user mode needs
///    the user bit besides, other modes do not look at it;
/// 7. an access needs the accessed bit, and one that writes the dirty bit, too: hardware sets what is clear, or where software
///    does, it faults, for the accessed bit first;
/// 8. the physical address is the frame and the offset in the page.
///
/// Of entries that name tables no other bit counts. An access that faults changes no entry.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "snapshot::Machine", into = "snapshot::Machine"))]
pub struct Described {
    description: Description,
    shape: Shape,
    top_level: u8,
    extent: Extent,
    ptbr: PhysAddr,
    translates: bool,
    asid: Asid,
}

impl Described {
    /// The format of this description, with translation off.
    ///
    /// # Errors
    /// [`DescriptionError`], which names the field, if there can be no such format.
    pub fn new(description: Description) -> Result<Self, DescriptionError> {
        let shape = description.shape()?;
        description.validate_fields()?;
        Ok(Self {
            shape,
            top_level: description.top_level(),
            extent: Extent::unsigned(description.address_bits()),
            description,
            ptbr: PhysAddr::ZERO,
            translates: false,
            asid: Asid(0),
        })
    }

    /// Returns the description that the format was made from.
    #[must_use]
    pub fn description(&self) -> &Description {
        &self.description
    }

    fn frame(&self, raw: u64) -> PhysAddr {
        let (low, count) = self.description.frame;
        PhysAddr::new((raw >> low & low_mask(count.into())) << self.description.page_bits)
    }

    fn page(&self, raw: u64, level: u8) -> Entry<Permissions> {
        let (frame, bits) = (self.frame(raw), self.shape.page_bits(level));
        // spec: described-5
        if frame.offset(bits.into()) != 0 {
            return Entry::Invalid(Cause::Misaligned);
        }
        let Description { read, write, execute, user, global, dirty, .. } = self.description;
        let mut permissions = Permissions::empty();
        permissions.set(Permissions::R, granted(raw, read));
        permissions.set(Permissions::W, granted(raw, write));
        permissions.set(Permissions::X, granted(raw, execute));
        permissions.set(Permissions::U, granted(raw, user));
        Entry::Leaf(Mapping {
            frame,
            bits,
            permissions,
            dirty: granted(raw, dirty),
            global: has(raw, global),
            attributes: Attributes(0),
        })
    }
}

/// Returns true if the bit is there and set.
fn has(raw: u64, bit: Bit) -> bool {
    bit.is_some_and(|bit| raw >> bit & 1 != 0)
}

/// Returns true if the bit is set, or there is no such bit.
fn granted(raw: u64, bit: Bit) -> bool {
    bit.is_none_or(|bit| raw >> bit & 1 != 0)
}

const fn register(id: RegisterId, name: &'static str, about: &'static str) -> RegisterInfo {
    RegisterInfo { id, name, privilege: Privilege::Supervisor, about }
}

const NO_BIT: &str = "expected 0 or 1";
const WIDE_ASID: &str = "expected at most 65535";

impl Format for Described {
    type Permissions = Permissions;

    const REGISTERS: &'static [RegisterInfo] = &[
        register(PTBR, "ptbr", "physical address of the topmost table"),
        register(MODE, "mode", "1 translates, 0 does not"),
        register(ASID, "asid", "address space"),
    ];

    const REASONS: &'static [&'static str] = &[NO_BIT, WIDE_ASID];

    fn anatomy(&self) -> Anatomy {
        let Description { accessed, dirty, .. } = self.description;
        let accessed = accessed.map_or(0, |bit| 1 << bit);
        let dirty = dirty.map_or(Dirty::None, |bit| Dirty::Flag(1 << bit));
        Anatomy::new().with_flags(Flags::new(accessed, dirty)).with_roots(&[PTBR, ASID])
    }

    fn read_register(&self, id: RegisterId) -> Result<u64, RegisterError> {
        match id {
            PTBR => Ok(self.ptbr.raw()),
            MODE => Ok(self.translates.into()),
            ASID => Ok(self.asid.0.into()),
            _ => Err(RegisterError::Unknown { id }),
        }
    }

    /// No write invalidates anything.
    fn write_register(
        &mut self,
        id: RegisterId,
        value: u64,
        _: ReadWord<'_>,
    ) -> Result<Option<Invalidate>, RegisterError> {
        let reserved = |name, what| Err(RegisterError::Reserved { name, value, what });
        match (id, u16::try_from(value)) {
            (PTBR, _) => self.ptbr = PhysAddr::new(value),
            (MODE, Ok(mode @ 0..=1)) => self.translates = mode == 1,
            (MODE, _) => return reserved("mode", NO_BIT),
            (ASID, Ok(asid)) => self.asid = Asid(asid),
            (ASID, Err(_)) => return reserved("asid", WIDE_ASID),
            _ => return Err(RegisterError::Unknown { id }),
        }
        Ok(None)
    }

    #[inline]
    fn route(&self, access: Access) -> Result<Route, Cause> {
        if !self.translates {
            return Ok(Route::Identity { access, bits: 64 });
        }
        // spec: described-1
        if !self.extent.has(access.addr) {
            return Err(Cause::NonCanonical);
        }
        Ok(Route::Tables { access, asid: self.asid })
    }

    #[inline]
    fn root(&self, _: Access) -> Result<Root<Permissions>, Cause> {
        Ok(Root { table: self.ptbr, level: self.top_level, permissions: Permissions::all() })
    }

    #[inline]
    fn shape(&self, _: Access) -> &Shape {
        &self.shape
    }

    #[inline]
    fn decode(&self, raw: u64, level: u8, _: Access, inherited: Permissions) -> Entry<Permissions> {
        // spec: described-3
        if !granted(raw, self.description.valid) {
            return Entry::Invalid(Cause::Absent);
        }
        // spec: described-4
        if level == 0 || has(raw, self.description.page) {
            return self.page(raw, level);
        }
        Entry::Table { table: self.frame(raw), permissions: inherited }
    }

    #[inline]
    fn permits(&self, permissions: Permissions, access: Access) -> Result<(), Cause> {
        permissions.allow(access)
    }

    fn admit(
        &self,
        raw: u64,
        mapping: &Mapping<Permissions>,
        access: Access,
    ) -> Result<u64, Cause> {
        self.permits(mapping.permissions, access)?;
        // spec: described-7
        let Description { accessed, dirty, flags_fault, .. } = self.description;
        let dirty = dirty.filter(|_| access.kind.writes());
        match () {
            () if flags_fault && !granted(raw, accessed) => Err(Cause::AccessFlag),
            () if flags_fault && !granted(raw, dirty) => Err(Cause::DirtyFlag),
            () => Ok([accessed, dirty].into_iter().flatten().fold(raw, |raw, bit| raw | 1 << bit)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use emmu_core::{VirtAddr, Width};
    use std::string::ToString;

    fn two_levels() -> Description {
        Description::new(Width::B1, 5, &[5, 5]).frame(0, 7).valid(7)
    }

    fn refusal(description: Description) -> std::string::String {
        Described::new(description).unwrap_err().to_string()
    }

    #[test]
    fn an_impossible_description_names_the_field() {
        assert_eq!(
            refusal(Description::new(Width::B4, 12, &[]).frame(0, 20).valid(31)),
            "index_bits: 0 levels, expected 1 to 6"
        );
        assert_eq!(refusal(Description::new(Width::B4, 12, &[9])), "frame: missing");
        assert_eq!(refusal(Description::new(Width::B4, 12, &[9]).frame(0, 4)), "valid: missing");
        assert_eq!(refusal(two_levels().valid(6)), "valid: bit 6 belongs to another field already");
        assert_eq!(
            refusal(two_levels().user(8)),
            "user: bit 8, expected less than 8, the entry's width"
        );
        assert_eq!(
            refusal(two_levels().frame(2, 7)),
            "frame: bit 8, expected less than 8, the entry's width"
        );
        assert_eq!(
            refusal(Description::new(Width::B8, 40, &[9, 9, 9]).frame(0, 8).valid(63)),
            "page_bits and index_bits: 67 bits of virtual address, expected at most 64"
        );
        assert_eq!(
            refusal(Description::new(Width::B8, 40, &[0, 9]).frame(0, 8).valid(63)),
            "index_bits: a level of 0 bits, expected at least 1"
        );
        assert_eq!(
            refusal(Description::new(Width::B8, 0, &[62]).frame(0, 8).valid(63)),
            "index_bits: a table of 2^65 bytes, expected at most 2^64"
        );
        assert_eq!(
            refusal(Description::new(Width::B8, 12, &[9]).frame(0, 60).valid(63)),
            "frame: 72 bits of physical address, expected at most 64"
        );
    }

    #[test]
    fn an_entry_splits_into_the_described_fields() {
        let description = two_levels().rights(Some(4), None, None).frame(5, 2);
        let fields: std::vec::Vec<_> =
            description.fields().map(|field| (field.name, field.of(0b1101_0000))).collect();
        assert_eq!(fields, [("frame", 0b10), ("valid", 1), ("read", 1)]);
    }

    #[test]
    fn rights_without_a_bit_are_granted() {
        let format = Described::new(two_levels()).unwrap();
        let Entry::Leaf(mapping) = format.page(0x80, 0) else { panic!("a valid entry is a page") };
        assert_eq!((mapping.permissions, mapping.dirty), (Permissions::all(), true));
    }

    #[test]
    fn software_records_by_faults_and_hardware_by_writes() {
        let access = Access::store(VirtAddr::new(0), 1);
        let base = Description::new(Width::B2, 5, &[5]).frame(0, 7).valid(7);
        let mapping = Mapping { permissions: Permissions::all(), ..Mapping::default() };
        let hardware = Described::new(base.clone().recorded(Some(8), Some(9))).unwrap();
        assert_eq!(hardware.admit(0x80, &mapping, access), Ok(0x380));
        let software = Described::new(base.recorded_by_software(Some(8), Some(9))).unwrap();
        assert_eq!(software.admit(0x80, &mapping, access), Err(Cause::AccessFlag));
        assert_eq!(software.admit(0x180, &mapping, access), Err(Cause::DirtyFlag));
        assert_eq!(software.admit(0x380, &mapping, access), Ok(0x380));
    }
}
