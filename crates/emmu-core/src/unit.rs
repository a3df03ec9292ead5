//! `TranslationUnit`: the trait that makes translation units interchangeable.

use crate::{
    Access, Fault, Invalidate, PhysAddr, RegisterError, RegisterId, RegisterInfo,
    anatomy::{Inspection, UnitAnatomy},
};
use alloc::boxed::Box;

/// The answer of a translation unit: the physical address of the first byte, and how far the answer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Translation {
    /// The physical address of the first byte of the access.
    pub addr: PhysAddr,
    /// The number of bytes from `addr` on, at least 1, that are contiguous in physical memory and allow the
    /// same access. The CPU port loops over spans, so it needs to know nothing of pages, segments or bounds.
    pub span: u64,
    /// The memory attributes of the mapping.
    pub attributes: Attributes,
    /// Lets the CPU port repeat this translation without a new lookup: see [`Ticket`].
    pub ticket: Option<Ticket>,
}

impl Translation {
    /// Makes a translation to `span` bytes of ordinary memory from `addr` on, without a ticket.
    #[must_use]
    #[inline]
    pub const fn new(addr: PhysAddr, span: u64) -> Self {
        Self { addr, span, attributes: Attributes(0), ticket: None }
    }
}

/// The memory attributes of a mapping, as an index that the format defines. emmu passes the index on and does not
/// act on it. With two stages, the format of the second says how both indices are combined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Attributes(pub u8);

/// Names the cached translation that served an access. With the ticket, [`TranslationUnit::repeat`] can serve
/// the same access to the same RAM page again (2^[`crate::RAM_PAGE_BITS`] bytes of virtual address, aligned).
///
/// A unit gives out a ticket only if the whole RAM page translates contiguously, to a RAM-page-aligned physical
/// address, for this kind of access and privilege.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The slot of the translation in the first-level cache of the unit.
    pub slot: u32,
    /// The version of the slot's content. The unit changes it when it puts another translation into the slot.
    pub version: u32,
    /// The epoch of the unit. The unit changes it whenever a register write or an invalidation could change the
    /// answer.
    pub epoch: u64,
}

/// The registers of a unit. The unit says which privilege each register demands; the CPU port enforces it.
pub trait Registers {
    /// Returns all registers, in the order in which to show them.
    fn registers(&self) -> &[RegisterInfo];

    /// Reads a register.
    ///
    /// # Errors
    /// [`RegisterError::Unknown`] if there is no such register.
    fn read_register(&self, id: RegisterId) -> Result<u64, RegisterError>;

    /// Returns the static text that equals `words`, if it is one of the reasons that the [`RegisterError`]s of
    /// this unit give. A snapshot reads a stored refusal back with it. The default knows no text.
    fn known_reason(&self, words: &str) -> Option<&'static str> {
        let _ = words;
        None
    }

    /// Returns the anatomy of the unit's tables under the registers as they are, for tools that check or explain
    /// translations. The default says that nothing is known of them.
    fn anatomy(&self) -> Option<UnitAnatomy> {
        None
    }
}

/// A translation unit: it turns virtual addresses into physical addresses. Base and bounds, segmentation and
/// paging are units, and you can write your own.
///
/// The bus and the probe are parameters of the trait and not of its methods. So the same unit can be
/// monomorphised in the hot loop of an emulator, and boxed (`Box<dyn TranslationUnit<B, P>>`) elsewhere.
pub trait TranslationUnit<B: ?Sized, P: ?Sized>: Registers {
    /// Translates the first byte of `access` and says how far the answer holds. The unit fills its caches, sets
    /// accessed and dirty bits, and tells `probe` every step.
    ///
    /// The answer covers only the bytes within `span`. If `access.size` is larger, the caller asks again for
    /// the rest, with [`Access::at`].
    ///
    /// # Errors
    /// The [`Fault`] of the first byte. The unit has then written nothing to memory.
    fn translate(
        &mut self,
        access: Access,
        bus: &mut B,
        probe: &mut P,
    ) -> Result<Translation, Fault>;

    /// Translates as a debugger wants it, from the tables as they are now: the unit looks up and fills no
    /// cache, sets no bit and tells no event.
    ///
    /// # Errors
    /// The [`Fault`] of the first byte.
    fn peek(&self, access: Access, bus: &B) -> Result<Translation, Fault>;

    /// Returns the table entries that [`Self::peek`] goes by, as far as a walk comes. `None`, the default, says that
    /// the unit cannot tell.
    fn inspect(&self, access: Access, bus: &B) -> Option<Inspection> {
        let _ = (access, bus);
        None
    }

    /// Writes a register and does what the architecture demands with it: it reads table entries, or invalidates
    /// cached translations.
    ///
    /// # Errors
    /// [`RegisterError`]. The register and everything else are then unchanged.
    fn write_register(
        &mut self,
        id: RegisterId,
        value: u64,
        bus: &mut B,
        probe: &mut P,
    ) -> Result<(), RegisterError>;

    /// Writes a register of a unit that stands in front of another. If the write reads memory, the unit
    /// `behind` translates the addresses that it reads. Only units whose register writes read memory implement
    /// this method.
    ///
    /// # Errors
    /// As [`Self::write_register`].
    fn write_register_before(
        &mut self,
        id: RegisterId,
        value: u64,
        behind: &mut dyn TranslationUnit<B, P>,
        bus: &mut B,
        probe: &mut P,
    ) -> Result<(), RegisterError> {
        let _ = behind;
        self.write_register(id, value, bus, probe)
    }

    /// Drops the cached translations that `scope` names, or more.
    fn invalidate(&mut self, scope: Invalidate);

    /// Repeats the hit for which the unit gave out `ticket`. `access` has the same kind, privilege and RAM
    /// page, and stays within that page. The unit changes its replacement state and tells the probe exactly as
    /// [`Self::translate`] would. If the answer may have changed since, it does nothing and returns false.
    #[inline]
    fn repeat(&mut self, ticket: Ticket, access: Access, probe: &mut P) -> bool {
        let _ = (ticket, access, probe);
        false
    }
}

macro_rules! forward_unit {
    ($($pointer:ty),*) => {$(
        impl<T: Registers + ?Sized> Registers for $pointer {
            fn registers(&self) -> &[RegisterInfo] {
                (**self).registers()
            }
            fn read_register(&self, id: RegisterId) -> Result<u64, RegisterError> {
                (**self).read_register(id)
            }
            fn known_reason(&self, words: &str) -> Option<&'static str> {
                (**self).known_reason(words)
            }
            fn anatomy(&self) -> Option<UnitAnatomy> {
                (**self).anatomy()
            }
        }

        impl<B: ?Sized, P: ?Sized, T: TranslationUnit<B, P> + ?Sized> TranslationUnit<B, P> for $pointer {
            #[inline]
            fn translate(
                &mut self,
                access: Access,
                bus: &mut B,
                probe: &mut P,
            ) -> Result<Translation, Fault> {
                (**self).translate(access, bus, probe)
            }
            fn peek(&self, access: Access, bus: &B) -> Result<Translation, Fault> {
                (**self).peek(access, bus)
            }
            fn inspect(&self, access: Access, bus: &B) -> Option<Inspection> {
                (**self).inspect(access, bus)
            }
            fn write_register(
                &mut self,
                id: RegisterId,
                value: u64,
                bus: &mut B,
                probe: &mut P,
            ) -> Result<(), RegisterError> {
                (**self).write_register(id, value, bus, probe)
            }
            fn write_register_before(
                &mut self,
                id: RegisterId,
                value: u64,
                behind: &mut dyn TranslationUnit<B, P>,
                bus: &mut B,
                probe: &mut P,
            ) -> Result<(), RegisterError> {
                (**self).write_register_before(id, value, behind, bus, probe)
            }
            fn invalidate(&mut self, scope: Invalidate) {
                (**self).invalidate(scope);
            }
            #[inline]
            fn repeat(&mut self, ticket: Ticket, access: Access, probe: &mut P) -> bool {
                (**self).repeat(ticket, access, probe)
            }
        }
    )*};
}

forward_unit!(&mut T, Box<T>);
