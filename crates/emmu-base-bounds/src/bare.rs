//! The machine before base and bounds: no registers, no relocation, no protection.

use emmu_core::{
    Access, Fault, Invalidate, PhysAddr, RAM_PAGE_BITS, RegisterError, RegisterId, RegisterInfo,
    Registers, Ticket, Translation, TranslationUnit, VirtAddr,
};

/// A machine that does not translate: every address that a program names is the physical one, in every
/// mode (Arpaci-Dusseau, "Operating Systems: Three Easy Pieces", 13.1 "Early Systems"; RISC-V calls it Bare).
/// Nothing stands between a program and the rest of memory.
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

/// Every whole page is where it says, for ever.
const TICKET: Ticket = Ticket { slot: 0, version: 0, epoch: 0 };

#[inline]
fn answer(access: Access) -> Translation {
    let (addr, span) = unrelocated(access.addr);
    let page = access.addr.align_down(RAM_PAGE_BITS);
    let whole = unrelocated(page).1 >= 1 << RAM_PAGE_BITS;
    Translation { ticket: whole.then_some(TICKET), ..Translation::new(addr, span) }
}

/// Where an access goes that is not relocated, and how many bytes are there.
#[inline]
pub(crate) fn unrelocated(addr: VirtAddr) -> (PhysAddr, u64) {
    (PhysAddr::new(addr.raw()), up_to_the_top(addr.raw()))
}

/// Bytes from `addr` to the top of the 64-bit space; one less than there are for address 0.
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

    /// Nothing: nothing is remembered.
    fn invalidate(&mut self, _: Invalidate) {}

    #[inline]
    fn repeat(&mut self, _: Ticket, _: Access, _: &mut P) -> bool {
        true
    }
}
