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

use super::{
    Entry, Extent, Format, LEVEL_SLOTS, MAX_LEVELS, Mapping, ReadWord, Root, Route, Shape,
};
use alloc::vec::Vec;
use bitflags::bitflags;
use emmu_core::{
    Access, AccessKind, Asid, Attributes, Cause, Invalidate, PhysAddr, Privilege, RegisterError,
    RegisterId, RegisterInfo, VirtAddr, Width, low_mask,
};
use thiserror::Error;

/// Physical address of the topmost table.
pub const PTBR: RegisterId = RegisterId(0);
/// 1 translates, 0 passes addresses on as they are.
pub const MODE: RegisterId = RegisterId(1);
/// The address space, 0 to 65535.
pub const ASID: RegisterId = RegisterId(2);

/// A bit of an entry, or none.
type Bit = Option<u8>;

/// What a page table looks like: geometry, and where in an entry things are.
///
/// All bits but `frame` and `valid` are optional. Rights that have no bit are granted; without an accessed or
/// dirty bit nothing is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    entry: Width,
    page_bits: u8,
    index_bits: Vec<u8>,
    frame: (u8, u8),
    valid: Bit,
    page: Bit,
    read: Bit,
    write: Bit,
    execute: Bit,
    user: Bit,
    global: Bit,
    accessed: Bit,
    dirty: Bit,
    flags_fault: bool,
}

/// Why a description is no format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum DescriptionError {
    /// A walk has one to six levels.
    #[error("index_bits: {count} levels, expected 1 to 6")]
    Levels {
        /// How many were described.
        count: usize,
    },
    /// Every level but the topmost may be any size, but none may be empty.
    #[error("index_bits: a level of 0 bits, expected at least 1")]
    EmptyLevel,
    /// Offset and indices together are the virtual address.
    #[error("page_bits and index_bits: {bits} bits of virtual address, expected at most 64")]
    AddressBits {
        /// How many were described.
        bits: u32,
    },
    /// A field lies outside of the entry.
    #[error("{field}: bit {bit}, expected less than {width}, the entry's width")]
    OutsideEntry {
        /// Which field.
        field: &'static str,
        /// Its highest bit.
        bit: u32,
        /// Bits in an entry.
        width: u32,
    },
    /// Two fields claim the same bit.
    #[error("{field}: bit {bit} belongs to another field already")]
    Overlap {
        /// The field that comes second.
        field: &'static str,
        /// The lowest bit shared.
        bit: u32,
    },
    /// A frame number that is shifted out of 64 bits names no frame.
    #[error("frame: {bits} bits of physical address, expected at most 64")]
    FrameBits {
        /// Frame number and page offset together.
        bits: u32,
    },
    /// Something that cannot be left out.
    #[error("{field}: missing")]
    Missing {
        /// Which field.
        field: &'static str,
    },
}

impl Description {
    /// Entries of `entry` bytes; pages of 2^`page_bits` bytes; indices of so many bits, the topmost level
    /// first. Where the frame number and the valid bit are is still to be said.
    #[must_use]
    pub fn new(entry: Width, page_bits: u8, index_bits: &[u8]) -> Self {
        Self {
            entry,
            page_bits,
            index_bits: index_bits.to_vec(),
            frame: (0, 0),
            valid: None,
            page: None,
            read: None,
            write: None,
            execute: None,
            user: None,
            global: None,
            accessed: None,
            dirty: None,
            flags_fault: false,
        }
    }

    /// The frame number: `count` bits from bit `low` on. In an entry above the last level it is the frame in
    /// which the next table starts.
    #[must_use]
    pub fn frame(mut self, low: u8, count: u8) -> Self {
        self.frame = (low, count);
        self
    }

    /// The bit that says that the entry means anything.
    #[must_use]
    pub fn valid(mut self, bit: u8) -> Self {
        self.valid = Some(bit);
        self
    }

    /// The bit that makes an entry above the last level a page. Without it, only the last level has pages.
    #[must_use]
    pub fn superpage(mut self, bit: u8) -> Self {
        self.page = Some(bit);
        self
    }

    /// The bits that allow reading, writing and executing, in the entry of the page.
    #[must_use]
    pub fn rights(mut self, read: Option<u8>, write: Option<u8>, execute: Option<u8>) -> Self {
        (self.read, self.write, self.execute) = (read, write, execute);
        self
    }

    /// The bit that lets user mode at the page.
    #[must_use]
    pub fn user(mut self, bit: u8) -> Self {
        self.user = Some(bit);
        self
    }

    /// The bit of pages that are alike in every address space.
    #[must_use]
    pub fn global(mut self, bit: u8) -> Self {
        self.global = Some(bit);
        self
    }

    /// The bits that record an access and a write, set by hardware.
    #[must_use]
    pub fn recorded(mut self, accessed: Option<u8>, dirty: Option<u8>) -> Self {
        (self.accessed, self.dirty, self.flags_fault) = (accessed, dirty, false);
        self
    }

    /// The same bits where software sets them: an access that finds one clear faults.
    #[must_use]
    pub fn recorded_by_software(self, accessed: Option<u8>, dirty: Option<u8>) -> Self {
        Self { flags_fault: true, ..self.recorded(accessed, dirty) }
    }

    /// Every single bit that is there, with its name.
    fn bits(&self) -> impl Iterator<Item = (&'static str, u8)> {
        let named = [
            ("valid", self.valid),
            ("superpage", self.page),
            ("read", self.read),
            ("write", self.write),
            ("execute", self.execute),
            ("user", self.user),
            ("global", self.global),
            ("accessed", self.accessed),
            ("dirty", self.dirty),
        ];
        named.into_iter().filter_map(|(name, bit)| Some((name, bit?)))
    }

    fn address_bits(&self) -> u32 {
        let indices: u32 = self.index_bits.iter().map(|&bits| u32::from(bits)).sum();
        indices + u32::from(self.page_bits)
    }

    fn validate_geometry(&self) -> Result<(), DescriptionError> {
        let count = self.index_bits.len();
        if count == 0 || count > MAX_LEVELS {
            return Err(DescriptionError::Levels { count });
        }
        if self.index_bits.contains(&0) {
            return Err(DescriptionError::EmptyLevel);
        }
        match self.address_bits() {
            bits @ 65.. => Err(DescriptionError::AddressBits { bits }),
            _ => Ok(()),
        }
    }

    fn validate_fields(&self) -> Result<(), DescriptionError> {
        let width = self.entry as u32 * 8;
        let (low, count) = (u32::from(self.frame.0), u32::from(self.frame.1));
        let outside = |field, bit| DescriptionError::OutsideEntry { field, bit, width };
        match () {
            () if count == 0 => return Err(DescriptionError::Missing { field: "frame" }),
            () if self.valid.is_none() => return Err(DescriptionError::Missing { field: "valid" }),
            () if low + count > width => return Err(outside("frame", low + count - 1)),
            () => {}
        }
        let bits = count + u32::from(self.page_bits);
        if bits > 64 {
            return Err(DescriptionError::FrameBits { bits });
        }
        let mut taken = low_mask(count) << low;
        for (field, bit) in self.bits() {
            let bit = u32::from(bit);
            if bit >= width {
                return Err(outside(field, bit));
            }
            if taken >> bit & 1 != 0 {
                return Err(DescriptionError::Overlap { field, bit });
            }
            taken |= 1 << bit;
        }
        Ok(())
    }

    fn shape(&self) -> Shape {
        let mut lows = [self.page_bits; LEVEL_SLOTS];
        let mut low = self.page_bits;
        for (level, end) in lows.iter_mut().skip(1).enumerate() {
            low += self.index_bits.iter().rev().nth(level).copied().unwrap_or(0);
            *end = low;
        }
        Shape::from_lows(self.entry, lows)
    }

    fn top_level(&self) -> u8 {
        u8::try_from(self.index_bits.len()).unwrap_or(0).saturating_sub(1)
    }
}

bitflags! {
    /// What a page allows.
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

/// A described format with its registers: [`PTBR`], [`MODE`] and [`ASID`].
///
/// Addresses wider than the described ones are not canonical. Supervisor and machine mode are held to all
/// rights but the user bit.
#[derive(Clone, Debug, PartialEq, Eq)]
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
        description.validate_geometry()?;
        description.validate_fields()?;
        Ok(Self {
            shape: description.shape(),
            top_level: description.top_level(),
            extent: Extent::unsigned(description.address_bits()),
            description,
            ptbr: PhysAddr::ZERO,
            translates: false,
            asid: Asid(0),
        })
    }

    /// What it was made from.
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

/// Whether the bit is there and set.
fn has(raw: u64, bit: Bit) -> bool {
    bit.is_some_and(|bit| raw >> bit & 1 != 0)
}

/// Whether the bit is set, or there is no such bit.
fn granted(raw: u64, bit: Bit) -> bool {
    bit.is_none_or(|bit| raw >> bit & 1 != 0)
}

const fn register(id: RegisterId, name: &'static str, about: &'static str) -> RegisterInfo {
    RegisterInfo { id, name, privilege: Privilege::Supervisor, about }
}

impl Format for Described {
    type Permissions = Permissions;

    const REGISTERS: &'static [RegisterInfo] = &[
        register(PTBR, "ptbr", "physical address of the topmost table"),
        register(MODE, "mode", "1 translates, 0 does not"),
        register(ASID, "asid", "address space"),
    ];

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
            (MODE, _) => return reserved("mode", "expected 0 or 1"),
            (ASID, Ok(asid)) => self.asid = Asid(asid),
            (ASID, Err(_)) => return reserved("asid", "expected at most 65535"),
            _ => return Err(RegisterError::Unknown { id }),
        }
        Ok(None)
    }

    #[inline]
    fn route(&self, access: Access) -> Result<Route, Cause> {
        if !self.translates {
            return Ok(Route::Identity { addr: PhysAddr::new(access.addr.raw()), bits: 64 });
        }
        if !self.extent.has(access.addr) {
            return Err(Cause::NonCanonical);
        }
        Ok(Route::Tables { access, asid: self.asid })
    }

    #[inline]
    fn root(&self, _: VirtAddr) -> Result<Root<Permissions>, Cause> {
        Ok(Root { table: self.ptbr, level: self.top_level, permissions: Permissions::all() })
    }

    #[inline]
    fn shape(&self, _: VirtAddr) -> &Shape {
        &self.shape
    }

    #[inline]
    fn decode(
        &self,
        raw: u64,
        level: u8,
        _: VirtAddr,
        inherited: Permissions,
    ) -> Entry<Permissions> {
        if !granted(raw, self.description.valid) {
            return Entry::Invalid(Cause::Absent);
        }
        if level == 0 || has(raw, self.description.page) {
            return self.page(raw, level);
        }
        Entry::Table { table: self.frame(raw), permissions: inherited }
    }

    #[inline]
    fn permits(&self, permissions: Permissions, access: Access) -> Result<(), Cause> {
        let needed = match access.kind {
            AccessKind::Fetch => Permissions::X,
            AccessKind::Load => Permissions::R,
            AccessKind::Store => Permissions::W,
            AccessKind::Amo => Permissions::R | Permissions::W,
        };
        let reachable = access.privilege != Privilege::User || permissions.contains(Permissions::U);
        if reachable && permissions.contains(needed) { Ok(()) } else { Err(Cause::Permission) }
    }

    fn admit(
        &self,
        raw: u64,
        mapping: &Mapping<Permissions>,
        access: Access,
    ) -> Result<u64, Cause> {
        self.permits(mapping.permissions, access)?;
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
            refusal(Description::new(Width::B8, 12, &[9]).frame(0, 60).valid(63)),
            "frame: 72 bits of physical address, expected at most 64"
        );
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
