//! Segments whose descriptors are in memory.

mod cache;
mod descriptor;
mod read;
mod register;
#[cfg(feature = "serde")]
mod snapshot;

pub use descriptor::{DESCRIPTOR_BYTES, Descriptor};

use crate::selection::Geometry;
use crate::unit::untranslated;
use crate::{GeometryError, Parts, Refusal, Segment};
use cache::{Cache, Held};
use emmu_assoc::Geometry as CacheGeometry;
use emmu_core::{
    Access, Bus, BusError, Event, Fault, FaultEntry, Invalidate, PhysAddr, Privilege, Probe,
    RAM_PAGE_BITS, RegisterError, RegisterId, RegisterInfo, Registers, Ticket, Translation,
    TranslationUnit, VirtAddr, low_mask,
};
use read::{Read, Refused};

/// A unit whose segments are described by a table in memory, thousands of them, as in Multics (Bensoussan,
/// Clingen and Daley, "The Multics Virtual Memory", CACM 15(5), 1972: descriptor segment, descriptor base
/// register, associative memory).
///
/// The top bits of an address are the number of its segment. The register `table_base` says where the table
/// begins, `table_length` how many [`Descriptor`]s it has. A descriptor that was read is kept in a cache, if the
/// unit has one, until a write of `table_base` or an invalidation. A cached descriptor that refuses an access
/// is read again, so that a segment may become larger or be allowed more without an invalidation, and every
/// fault tells of the descriptor in memory.
///
/// An access is checked in this order: the address is wider than the address space
/// ([`Cause::NonCanonical`]); its segment is not below `table_length` ([`Cause::NoSegment`]); its descriptor is
/// absent ([`Cause::Absent`]) or malformed ([`Cause::Reserved`]); it is not within the segment
/// ([`Cause::Bounds`]); the segment does not allow it ([`Cause::Permission`]).
///
/// [`Cause::NonCanonical`]: emmu_core::Cause::NonCanonical
/// [`Cause::NoSegment`]: emmu_core::Cause::NoSegment
/// [`Cause::Absent`]: emmu_core::Cause::Absent
/// [`Cause::Reserved`]: emmu_core::Cause::Reserved
/// [`Cause::Bounds`]: emmu_core::Cause::Bounds
/// [`Cause::Permission`]: emmu_core::Cause::Permission
///
/// To a probe the cache is a TLB of level 1, and each reading of a descriptor a walk that reads entries of
/// level 0.
///
/// ```
/// use emmu_core::{Access, Bus, Cause, PhysAddr, Privilege, TranslationUnit, VirtAddr};
/// use emmu_memory::Memory;
/// use emmu_segmentation::{Descriptor, Segment, SegmentFlags, SegmentTable};
///
/// // Addresses of 32 bits: 12 for the segment, 20 for the place in it. No cache.
/// let mut unit = SegmentTable::new(32, 12, None)?;
/// let mut memory = Memory::ram(1 << 20);
/// unit.write_register(SegmentTable::BASE, 0x1000, &mut memory, &mut ())?;
/// unit.write_register(SegmentTable::LENGTH, 4096, &mut memory, &mut ())?;
///
/// let heap = Segment { base: 0x8_0000, bounds: 300, flags: SegmentFlags::READ | SegmentFlags::WRITE };
/// let descriptor = Descriptor::present(heap).expect("these bounds fit").to_bytes();
/// memory.write_bytes(PhysAddr::new(0x1000 + 16 * 2047), &descriptor)?;
///
/// let mut load = |addr| {
///     let access = Access::load(VirtAddr::new(addr), 1).with_privilege(Privilege::User);
///     unit.translate(access, &mut memory, &mut ())
/// };
/// assert_eq!(load(2047 << 20 | 299)?.addr, PhysAddr::new(0x8_0000 + 299));
/// assert_eq!(load(2047 << 20 | 300).unwrap_err().cause, Cause::Bounds);
/// assert_eq!(load(2048 << 20).unwrap_err().cause, Cause::Absent);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "snapshot::Read"))]
pub struct SegmentTable {
    geometry: Geometry,
    base: PhysAddr,
    length: u64,
    cache: Cache,
    /// Changes with everything but the cache's content that could change an answer.
    epoch: u64,
}

/// The ticket slot of the operating system's accesses, which no descriptor serves.
const UNTRANSLATED: u32 = u32::MAX;

impl SegmentTable {
    /// Number of the register `table_base`: the physical address of descriptor 0, a multiple of 16.
    ///
    /// The numbers are free in all of emmu's other units, so that a [`emmu_core::Chain`] can have both.
    pub const BASE: RegisterId = RegisterId(0x60);
    /// Number of the register `table_length`: how many descriptors the table has.
    pub const LENGTH: RegisterId = RegisterId(0x61);

    /// A unit after reset, with an empty table: addresses have `address_bits` bits, of which the top
    /// `selector_bits` are the number of the segment. Without a `cache`, every access reads its descriptor.
    ///
    /// # Errors
    /// [`GeometryError`] if these numbers make no machine.
    pub fn new(
        address_bits: u32,
        selector_bits: u32,
        cache: Option<CacheGeometry>,
    ) -> Result<Self, GeometryError> {
        Ok(Self {
            geometry: Geometry::of_table(address_bits, selector_bits)?,
            base: PhysAddr::ZERO,
            length: 0,
            cache: Cache::new(cache),
            epoch: 0,
        })
    }

    /// Width of virtual addresses.
    #[must_use]
    pub const fn address_bits(&self) -> u32 {
        self.geometry.address_bits
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
    pub fn select(&self, access: Access) -> Result<Parts, Refusal> {
        let parts = self.geometry.select(access)?;
        match parts.selector < self.length {
            true => Ok(parts),
            false => Err(Refusal::NoSegment { selector: parts.selector, segments: self.length }),
        }
    }

    /// Where the descriptor of a segment is, if physical addresses reach so far.
    #[must_use]
    pub fn descriptor_addr(&self, selector: u64) -> Option<PhysAddr> {
        let addr = self.base.checked_add(selector.checked_mul(DESCRIPTOR_BYTES)?)?;
        addr.checked_add(DESCRIPTOR_BYTES - 1).map(|_| addr)
    }

    /// The cache does not settle the access: the descriptor in memory does, and takes the place of what the
    /// cache held.
    #[inline(never)]
    fn translate_slowly(
        &mut self,
        access: Access,
        parts: Parts,
        held: Option<Held>,
        bus: &mut (impl Bus + ?Sized),
        probe: &mut (impl Probe + ?Sized),
    ) -> Result<Translation, Fault> {
        probe.on(Event::WalkBegin(access));
        let outcome = self.read(parts.selector, &mut OnBus { bus, probe });
        probe.on(Event::WalkEnd { faulted: outcome.is_err() });
        let (segment, entry) = match outcome {
            Ok(found) => found,
            Err(refused) => {
                self.cache.invalidate(parts.selector);
                return Err(refused.of(access));
            }
        };
        let older = held.and_then(|held| held.place);
        let offset_bits = self.geometry.offset_bits();
        let held = self.cache.fill(parts.selector, segment, older, offset_bits, probe);
        self.found(access, parts, held)
            .map_err(|refusal| Fault::new(access, refusal.cause()).with_entry(entry))
    }

    /// The segment that the table describes, and the word of its descriptor that decides faults.
    fn read(&self, selector: u64, from: &mut impl Read) -> Result<(Segment, FaultEntry), Refused> {
        read::read(self.descriptor_addr(selector), from, self.geometry.last_offset())
    }

    /// The answer that a descriptor gives.
    #[inline]
    fn found(&self, access: Access, parts: Parts, held: Held) -> Result<Translation, Refusal> {
        let last = self.geometry.last_offset();
        let (addr, span) = held.segment.place(parts.offset, last, access.kind)?;
        let ticket = self.ticket(access, parts, held);
        Ok(Translation { ticket, ..Translation::new(addr, span) })
    }

    /// A ticket, if the whole RAM page around the access is in the segment and stays a page.
    #[inline]
    fn ticket(&self, access: Access, parts: Parts, held: Held) -> Option<Ticket> {
        let last = self.geometry.last_offset();
        let first = parts.offset & !low_mask(RAM_PAGE_BITS);
        let (addr, span) = held.segment.place(first, last, access.kind).ok()?;
        let whole = addr.offset(RAM_PAGE_BITS) == 0 && span > low_mask(RAM_PAGE_BITS);
        let (slot, version) = held.place.filter(|_| whole)?.numbers()?;
        Some(Ticket { slot, version, epoch: self.epoch })
    }

    /// The operating system's own access.
    #[inline]
    fn physical(&self, access: Access) -> Translation {
        let (addr, span) = untranslated(access.addr);
        let whole = access.addr.align_down(RAM_PAGE_BITS);
        let ticket = Ticket { slot: UNTRANSLATED, version: 0, epoch: self.epoch };
        let ticket = (untranslated(whole).1 > low_mask(RAM_PAGE_BITS)).then_some(ticket);
        Translation { ticket, ..Translation::new(addr, span) }
    }
}

impl Registers for SegmentTable {
    fn registers(&self) -> &'static [RegisterInfo] {
        &register::ALL
    }

    fn read_register(&self, id: RegisterId) -> Result<u64, RegisterError> {
        match id {
            Self::BASE => Ok(self.base.raw()),
            Self::LENGTH => Ok(self.length),
            _ => Err(RegisterError::Unknown { id }),
        }
    }

    fn known_reason(&self, words: &str) -> Option<&'static str> {
        register::REASONS.into_iter().find(|known| *known == words)
    }
}

impl<B: Bus + ?Sized, P: Probe + ?Sized> TranslationUnit<B, P> for SegmentTable {
    #[inline]
    fn translate(
        &mut self,
        access: Access,
        bus: &mut B,
        probe: &mut P,
    ) -> Result<Translation, Fault> {
        if access.privilege != Privilege::User {
            return Ok(self.physical(access));
        }
        let parts = self.select(access).map_err(|refusal| Fault::new(access, refusal.cause()))?;
        let held = self.cache.lookup(parts.selector, access, probe);
        match held.map(|held| self.found(access, parts, held)) {
            Some(Ok(found)) => Ok(found),
            _ => self.translate_slowly(access, parts, held, bus, probe),
        }
    }

    fn peek(&self, access: Access, bus: &B) -> Result<Translation, Fault> {
        if access.privilege != Privilege::User {
            return Ok(Translation { ticket: None, ..self.physical(access) });
        }
        let refuse = |refusal: Refusal| Fault::new(access, refusal.cause());
        let parts = self.select(access).map_err(refuse)?;
        let (segment, entry) =
            self.read(parts.selector, &mut Peek(bus)).map_err(|refused| refused.of(access))?;
        self.found(access, parts, Held { segment, place: None })
            .map_err(|refusal| refuse(refusal).with_entry(entry))
    }

    /// A write of `table_base` empties the cache. Later changes of the table itself need an invalidation.
    fn write_register(
        &mut self,
        id: RegisterId,
        value: u64,
        _: &mut B,
        _: &mut P,
    ) -> Result<(), RegisterError> {
        match id {
            Self::BASE => {
                self.base = register::base(value)?;
                self.cache.invalidate_all();
            }
            Self::LENGTH => self.length = register::length(value, self.geometry)?,
            _ => return Err(RegisterError::Unknown { id }),
        }
        self.epoch = self.epoch.wrapping_add(1);
        Ok(())
    }

    /// Invalidates cached descriptors. Segments take the place of pages, and there is one address space, of which
    /// nothing is global. There are no virtual machines, so their scopes name nothing here.
    fn invalidate(&mut self, scope: Invalidate) {
        self.epoch = self.epoch.wrapping_add(1);
        let bits = self.geometry.offset_bits();
        match scope {
            Invalidate::Page(addr) | Invalidate::PageInAsid { addr, .. } => {
                self.cache.invalidate(addr.block(bits));
            }
            Invalidate::Range { len: 0, .. } => {}
            Invalidate::Range { addr, len, .. } => {
                let last = addr.checked_add(len - 1).unwrap_or(VirtAddr::new(u64::MAX));
                self.cache.invalidate_range(addr.block(bits), last.block(bits));
            }
            Invalidate::Guest { .. } | Invalidate::SecondStage { .. } => {}
            // All address spaces are one here, and no entry is global. Nor is less known of any other scope.
            _ => self.cache.invalidate_all(),
        }
    }

    #[inline]
    fn repeat(&mut self, ticket: Ticket, access: Access, probe: &mut P) -> bool {
        ticket.epoch == self.epoch
            && (ticket.slot == UNTRANSLATED
                || self.cache.repeat((ticket.slot, ticket.version), access, probe))
    }
}

/// The table on the bus, with every read told to the probe.
struct OnBus<'a, B: ?Sized, P: ?Sized> {
    bus: &'a mut B,
    probe: &'a mut P,
}

impl<B: Bus + ?Sized, P: Probe + ?Sized> Read for OnBus<'_, B, P> {
    fn word(&mut self, addr: PhysAddr) -> Result<u64, BusError> {
        let raw = self.bus.read(addr, read::WORD)?;
        self.probe.on(Event::EntryRead { level: 0, addr, raw });
        Ok(raw)
    }
}

/// The table as a debugger sees it.
struct Peek<'a, B: ?Sized>(&'a B);

impl<B: Bus + ?Sized> Read for Peek<'_, B> {
    fn word(&mut self, addr: PhysAddr) -> Result<u64, BusError> {
        self.0.peek(addr, read::WORD)
    }
}
