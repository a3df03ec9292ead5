//! The machine without base and bounds: no registers, no relocation, no protection.

use emmu_core::{
    Access, Fault, Invalidate, PhysAddr, RAM_PAGE_BITS, RegisterError, RegisterId, RegisterInfo,
    Registers, Ticket, Translation, TranslationUnit, VirtAddr,
};

/// A machine that does not translate: every address of a program is the physical address, in every mode
/// (Arpaci-Dusseau, "Operating Systems: Three Easy Pieces", 13.1 "Early Systems"; RISC-V calls it Bare).
/// Nothing protects the rest of memory from a program.
///
/// ```
/// use emmu_base_bounds::Bare;
/// use emmu_core::{Access, PhysAddr, Privilege, TranslationUnit, VirtAddr};
///
/// let load = Access::load(VirtAddr::new(100), 4).with_privilege(Privilege::User);
/// let found = Bare.translate(load, &mut (), &mut ())?;
/// assert_eq!(found.addr, PhysAddr::new(100));
/// # Ok::<(), emmu_core::Fault>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Bare;

/// The ticket of every page. It is always valid, because no page ever moves.
const TICKET: Ticket = Ticket { slot: 0, version: 0, epoch: 0 };

#[inline]
fn answer(access: Access) -> Translation {
    let (addr, span) = unrelocated(access.addr);
    let page = access.addr.align_down(RAM_PAGE_BITS);
    let whole = unrelocated(page).1 >= 1 << RAM_PAGE_BITS;
    Translation { ticket: whole.then_some(TICKET), ..Translation::new(addr, span) }
}

/// Returns the address of an access that is not relocated, and the number of bytes from there on.
#[inline]
pub(crate) fn unrelocated(addr: VirtAddr) -> (PhysAddr, u64) {
    (PhysAddr::new(addr.raw()), up_to_the_top(addr.raw()))
}

/// Returns the number of bytes from `addr` to the top of the 64-bit space; for address 0 it is one too few,
/// because 2^64 does not fit.
#[inline]
pub(crate) fn up_to_the_top(addr: u64) -> u64 {
    (u64::MAX - addr).saturating_add(1)
}

impl Registers for Bare {
    fn registers(&self) -> &'static [RegisterInfo] {
        &[]
    }

    fn read_register(&self, id: RegisterId) -> Result<u64, RegisterError> {
        Err(RegisterError::Unknown { id })
    }
}

impl<B: ?Sized, P: ?Sized> TranslationUnit<B, P> for Bare {
    #[inline]
    fn translate(&mut self, access: Access, _: &mut B, _: &mut P) -> Result<Translation, Fault> {
        Ok(answer(access))
    }

    fn peek(&self, access: Access, _: &B) -> Result<Translation, Fault> {
        Ok(answer(access))
    }

    fn write_register(
        &mut self,
        id: RegisterId,
        _: u64,
        _: &mut B,
        _: &mut P,
    ) -> Result<(), RegisterError> {
        Err(RegisterError::Unknown { id })
    }

    /// Does nothing, because the unit caches nothing.
    fn invalidate(&mut self, _: Invalidate) {}

    #[inline]
    fn repeat(&mut self, _: Ticket, _: Access, _: &mut P) -> bool {
        true
    }
}
