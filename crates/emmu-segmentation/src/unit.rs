//! The translation unit.

#[cfg(feature = "serde")]
mod snapshot;

use crate::register::{self, Field};
use crate::selection::Geometry;
use crate::{GeometryError, Parts, Refusal, Segment, SegmentFlags, Selection};
use alloc::vec;
use alloc::vec::Vec;
use emmu_core::{
    Access, Fault, Invalidate, PhysAddr, Privilege, RAM_PAGE_BITS, RegisterError, RegisterId,
    RegisterInfo, Registers, Ticket, Translation, TranslationUnit, VirtAddr, low_mask,
};

/// Segment registers and what the hardware does with them.
///
/// An access is checked in this order, and faults with the first [`Refusal`] that applies: the address is wider
/// than the address space; its selector has no segment; it is not within the segment, or has no physical
/// address; the segment does not allow it.
///
/// A translation spans to the end of its segment: what follows belongs to another one, even if that
/// happens to be its neighbour in physical memory too.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "snapshot::Read"))]
pub struct Segmentation {
    geometry: Geometry,
    segments: Vec<Segment>,
    /// Counts register writes: a ticket of an earlier epoch may be wrong.
    epoch: u64,
}

impl Segmentation {
    /// A unit after reset, with addresses of `address_bits` bits: all segments are empty.
    ///
    /// # Errors
    /// [`GeometryError`] if these numbers make no machine.
    pub fn new(address_bits: u32, selection: Selection) -> Result<Self, GeometryError> {
        let geometry = Geometry::new(address_bits, selection)?;
        let segments = vec![Segment::default(); selection.segments() as usize];
        Ok(Self { geometry, segments, epoch: 0 })
    }

    /// Returns this unit with these values in the registers of one segment.
    ///
    /// # Errors
    /// [`RegisterError`] of the first register that does not exist or take its value.
    pub fn with_segment(mut self, number: u32, segment: Segment) -> Result<Self, RegisterError> {
        self.set(register::base_register(number), segment.base)?;
        self.set(register::bounds_register(number), segment.bounds)?;
        self.set(register::flags_register(number), segment.flags.bits())?;
        Ok(self)
    }

    /// How the segment of an access is found.
    #[must_use]
    pub const fn selection(&self) -> Selection {
        self.geometry.selection
    }

    /// Width of virtual addresses.
    #[must_use]
    pub const fn address_bits(&self) -> u32 {
        self.geometry.address_bits
    }

    /// The registers of all segments.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The largest offset that a segment can have.
    #[must_use]
    pub fn last_offset(&self) -> u64 {
        self.geometry.last_offset()
    }

    /// The first step of translating a program's access: which segment it is made to, and where in it.
    ///
    /// # Errors
    /// [`Refusal::TooWide`] or [`Refusal::NoSegment`].
    #[inline]
    pub fn select(&self, access: Access) -> Result<(Parts, Segment), Refusal> {
        let parts = self.geometry.select(access)?;
        let segments = self.segments.len() as u64;
        let refusal = Refusal::NoSegment { selector: parts.selector, segments };
        Ok((parts, *self.segment(parts.selector).ok_or(refusal)?))
    }

    /// Where the first byte of a program's access is, and how many are there from it on: what a translation
    /// says, and if there is none, why.
    ///
    /// # Errors
    /// The first [`Refusal`] that applies.
    #[inline]
    pub fn place(&self, access: Access) -> Result<(PhysAddr, u64), Refusal> {
        let (parts, segment) = self.select(access)?;
        segment.place(parts.offset, self.geometry.last_offset(), access.kind)
    }

    #[inline]
    fn answer(&self, access: Access) -> Result<Translation, Fault> {
        let (addr, span) =
            self.locate(access).map_err(|refusal| Fault::new(access, refusal.cause()))?;
        Ok(Translation { ticket: self.ticket(access), ..Translation::new(addr, span) })
    }

    #[inline]
    fn locate(&self, access: Access) -> Result<(PhysAddr, u64), Refusal> {
        match access.privilege {
            Privilege::User => self.place(access),
            Privilege::Supervisor | Privilege::Machine => Ok(untranslated(access.addr)),
        }
    }

    #[inline]
    fn segment(&self, number: u64) -> Option<&Segment> {
        self.segments.get(usize::try_from(number).ok()?)
    }

    /// A ticket, if the whole RAM page around the access is in the segment and stays a page. The stack flag
    /// is no part of what a ticket stands for, so where it decides there is none.
    #[inline]
    fn ticket(&self, access: Access) -> Option<Ticket> {
        let page = Access { addr: access.addr.align_down(RAM_PAGE_BITS), ..access };
        let (addr, span) = self.locate(page).ok()?;
        let whole = addr.offset(RAM_PAGE_BITS) == 0 && span > low_mask(RAM_PAGE_BITS);
        let certain =
            access.privilege != Privilege::User || self.geometry.ignores_flags(access.kind);
        (whole && certain).then_some(Ticket { slot: 0, version: 0, epoch: self.epoch })
    }

    /// Writes a register, if it takes the value.
    fn set(&mut self, id: RegisterId, value: u64) -> Result<(), RegisterError> {
        let last_offset = self.geometry.last_offset();
        let (number, field) = register::parse(id).ok_or(RegisterError::Unknown { id })?;
        let segment =
            self.segments.get_mut(number as usize).ok_or(RegisterError::Unknown { id })?;
        match field {
            Field::Base => segment.base = value,
            Field::Bounds => segment.bounds = checked_bounds(id, value, last_offset)?,
            Field::Flags => segment.flags = checked_flags(id, value)?,
        }
        self.epoch = self.epoch.wrapping_add(1);
        Ok(())
    }
}

/// Where the operating system's own accesses go; of 2^64 bytes from address 0 on, one less is told.
#[inline]
pub(crate) fn untranslated(addr: VirtAddr) -> (PhysAddr, u64) {
    (PhysAddr::new(addr.raw()), (u64::MAX - addr.raw()).saturating_add(1))
}

/// No segment can have more bytes than it has offsets.
fn checked_bounds(id: RegisterId, value: u64, last_offset: u64) -> Result<u64, RegisterError> {
    if value.checked_sub(1).is_some_and(|last| last > last_offset) {
        return Err(reserved(id, value, TOO_MANY_BYTES));
    }
    Ok(value)
}

fn checked_flags(id: RegisterId, value: u64) -> Result<SegmentFlags, RegisterError> {
    SegmentFlags::from_bits(value).ok_or_else(|| reserved(id, value, RESERVED_FLAGS))
}

const TOO_MANY_BYTES: &str = "more bytes than the segment has offsets";
const RESERVED_FLAGS: &str = "bits 63:4 are reserved";

fn reserved(id: RegisterId, value: u64, what: &'static str) -> RegisterError {
    RegisterError::Reserved { name: register::name(id), value, what }
}

impl Registers for Segmentation {
    fn registers(&self) -> &'static [RegisterInfo] {
        register::registers(self.segments.len())
    }

    fn read_register(&self, id: RegisterId) -> Result<u64, RegisterError> {
        let (number, field) = register::parse(id).ok_or(RegisterError::Unknown { id })?;
        let segment = self.segment(number.into()).ok_or(RegisterError::Unknown { id })?;
        Ok(match field {
            Field::Base => segment.base,
            Field::Bounds => segment.bounds,
            Field::Flags => segment.flags.bits(),
        })
    }

    fn known_reason(&self, words: &str) -> Option<&'static str> {
        [TOO_MANY_BYTES, RESERVED_FLAGS].into_iter().find(|known| *known == words)
    }
}

impl<B: ?Sized, P: ?Sized> TranslationUnit<B, P> for Segmentation {
    #[inline]
    fn translate(&mut self, access: Access, _: &mut B, _: &mut P) -> Result<Translation, Fault> {
        self.answer(access)
    }

    fn peek(&self, access: Access, _: &B) -> Result<Translation, Fault> {
        self.answer(access)
    }

    fn write_register(
        &mut self,
        id: RegisterId,
        value: u64,
        _: &mut B,
        _: &mut P,
    ) -> Result<(), RegisterError> {
        self.set(id, value)
    }

    /// Nothing: the registers are all there is.
    fn invalidate(&mut self, _: Invalidate) {}

    #[inline]
    fn repeat(&mut self, ticket: Ticket, _: Access, _: &mut P) -> bool {
        ticket.epoch == self.epoch
    }
}
