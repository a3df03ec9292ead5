//! The seam that makes translation units interchangeable.

use crate::{Access, Fault, Invalidate, PhysAddr, RegisterError, RegisterId, RegisterInfo};
use alloc::boxed::Box;

/// Where the first byte of an access is, and how far that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Translation {
    /// Physical address of the access's first byte.
    pub addr: PhysAddr,
    /// Bytes from there on, at least 1, that are contiguous in physical memory and allow the same access.
    /// The CPU port loops on it, and so never learns of pages, segments or bounds.
    pub span: u64,
    /// How the memory is to be treated.
    pub attributes: Attributes,
    /// Lets the CPU port repeat this translation without asking again: see [`Ticket`].
    pub ticket: Option<Ticket>,
}

impl Translation {
    /// `span` bytes from `addr` on, of ordinary memory, without a ticket.
    #[must_use]
    #[inline]
    pub const fn new(addr: PhysAddr, span: u64) -> Self {
        Self { addr, span, attributes: Attributes(0), ticket: None }
    }
}

/// The memory attributes of a mapping, as an index that the architecture defines: RISC-V PBMT (0–3), x86
/// PAT index (`PAT << 2 | PCD << 1 | PWT`, 0–7), AArch64 `AttrIndx` (0–7). emmu carries it and
/// does not act on it.
///
/// Of two stages, RISC-V's are combined as "Svpbmt" says. On x86 and AArch64 what both come to depends on the PAT and
/// MAIR registers, which are not modelled: the index is the first stage's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Attributes(pub u8);

/// Names the cached translation that served an access, so that the same access to the same RAM page
/// (2^[`crate::RAM_PAGE_BITS`] bytes of virtual address, aligned) can be served again by
/// [`TranslationUnit::repeat`].
///
/// A unit hands one out only if its whole RAM page translates contiguously, from a RAM-page-aligned
/// physical address, for this kind of access and privilege.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The place in the unit's first-level cache.
    pub slot: u32,
    /// What the place held then: the unit changes it when the content changes.
    pub version: u32,
    /// Under which registers: the unit changes it whenever a register or flush could change the answer.
    pub epoch: u64,
}

/// The registers of a unit. Privilege is told here and enforced by the CPU port.
pub trait Registers {
    /// All registers, in the order in which to show them.
    fn registers(&self) -> &[RegisterInfo];

    /// Reads one.
    ///
    /// # Errors
    /// [`RegisterError::Unknown`] if there is no such register.
    fn read_register(&self, id: RegisterId) -> Result<u64, RegisterError>;

    /// The words of one of its [`RegisterError`]s that say what is wrong with a value, if it has such words: for
    /// who reads a refusal back that was written down. The default knows none.
    fn known_reason(&self, words: &str) -> Option<&'static str> {
        let _ = words;
        None
    }
}

/// Turns virtual into physical addresses: base and bounds, segmentation, paging, or one's own.
///
/// The bus and the probe are parameters of the trait and not of its methods, so that one unit is
/// monomorphised in an embedder's hot loop and boxed (`Box<dyn TranslationUnit<B, P>>`) elsewhere.
pub trait TranslationUnit<B: ?Sized, P: ?Sized>: Registers {
    /// Translates the first byte of `access` and says how far the answer holds. Caches fill, accessed and
    /// dirty bits are set, and every step is told to `probe`.
    ///
    /// The answer covers `access.size` bytes only as far as `span` reaches; the caller asks again for the
    /// rest, as [`Access::at`].
    ///
    /// # Errors
    /// The [`Fault`] of the first byte. Nothing was written to memory then.
    fn translate(
        &mut self,
        access: Access,
        bus: &mut B,
        probe: &mut P,
    ) -> Result<Translation, Fault>;

    /// The same answer from the tables as they are, as a debugger wants it: no cache is asked or filled, no
    /// bit set, nothing told.
    ///
    /// # Errors
    /// The [`Fault`] of the first byte.
    fn peek(&self, access: Access, bus: &B) -> Result<Translation, Fault>;

    /// Writes a register and does what the architecture ties to it: a load of table entries, or an
    /// invalidation.
    ///
    /// # Errors
    /// [`RegisterError`]; the register and everything else is unchanged then.
    fn write_register(
        &mut self,
        id: RegisterId,
        value: u64,
        bus: &mut B,
        probe: &mut P,
    ) -> Result<(), RegisterError>;

    /// Writes a register of a unit in front of another: what the write reads of memory stands at addresses
    /// that the unit `behind` translates. Only units whose register writes read memory implement it.
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

    /// Forgets cached translations.
    fn invalidate(&mut self, scope: Invalidate);

    /// Repeats the hit that `ticket` was given out for: `access` has the same kind, privilege and RAM page,
    /// and stays within it. Does to replacement state, and tells the probe, exactly what [`Self::translate`]
    /// would; or does nothing and returns false if the answer may differ by now.
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
