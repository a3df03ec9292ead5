//! Base and bounds: every address of a program is shifted by one register and checked against another.
//!
//! Models: dynamic relocation in hardware (Arpaci-Dusseau, "Operating Systems: Three Easy Pieces", ch. 15,
//! "Mechanism: Address Translation"). Two privileged registers, `base` and `bounds`; `bounds` counts bytes
//! or is the physical address where the program's memory ends, as [`Convention`] says. Programs are
//! relocated; the operating system runs in physical memory, as in the book, so supervisor and machine
//! accesses go where they say.
//!
//! Does not model: permissions, which this machine does not have.
//!
//! Which type you want: [`BaseBounds`]; or [`Bare`], the machine before it, which relocates nothing.
//!
//! ```
//! use emmu_base_bounds::{BaseBounds, Convention};
//! use emmu_core::{Access, Cause, PhysAddr, Privilege, TranslationUnit, VirtAddr};
//!
//! let mut unit: Box<dyn TranslationUnit<(), ()>> = Box::new(BaseBounds::new(Convention::Size));
//! unit.write_register(BaseBounds::BASE, 12418, &mut (), &mut ())?;
//! unit.write_register(BaseBounds::BOUNDS, 472, &mut (), &mut ())?;
//!
//! let load = |addr| Access::load(VirtAddr::new(addr), 1).with_privilege(Privilege::User);
//! let found = unit.translate(load(430), &mut (), &mut ())?;
//! assert_eq!((found.addr, found.span), (PhysAddr::new(12848), 42));
//! let refused = unit.translate(load(523), &mut (), &mut ()).unwrap_err();
//! assert_eq!(refused.cause, Cause::Bounds);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![no_std]

mod bare;

pub use bare::Bare;

use bare::{unrelocated, up_to_the_top};
use emmu_core::{
    Access, Cause, Fault, Invalidate, PhysAddr, Privilege, RAM_PAGE_BITS, RegisterError,
    RegisterId, RegisterInfo, Registers, Ticket, Translation, TranslationUnit, VirtAddr, low_mask,
};
use thiserror::Error;

/// What the bounds register says. Both conventions are in use, and they can express the same machine
/// (OSTEP 15.4): a size of `n` is an end of `base + n`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Convention {
    /// How many bytes the program has; checked against the virtual address, before the base is added.
    #[default]
    Size,
    /// The physical address one past the program's last byte; checked against the sum. No program can
    /// have the last byte of the 64-bit space then.
    End,
}

/// Why an access does not go through, with the number that decided it. A fault says of both that the address is
/// out of bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum Refusal {
    /// What is checked is at or past the bounds.
    #[error("past the bounds by {by} bytes")]
    PastBounds {
        /// By how many bytes: 0 for the first byte past them.
        by: u64,
    },
    /// Base and address come to no 64-bit address.
    #[error("past the last physical address")]
    NoPlace,
}

/// The translation unit. After reset both registers are 0, and a program can reach nothing.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct BaseBounds {
    convention: Convention,
    base: u64,
    bounds: u64,
    /// Counts register writes: a ticket of an earlier epoch may be wrong.
    epoch: u64,
}

impl BaseBounds {
    /// Number of the register `base`: the physical address of the program's byte 0.
    ///
    /// The textbook gives no numbers; these two are free in all of emmu's other units, so that a
    /// [`emmu_core::Chain`] can have both.
    pub const BASE: RegisterId = RegisterId(0x10);
    /// Number of the register `bounds`: see [`Convention`].
    pub const BOUNDS: RegisterId = RegisterId(0x11);

    /// A unit after reset.
    #[must_use]
    pub const fn new(convention: Convention) -> Self {
        Self { convention, base: 0, bounds: 0, epoch: 0 }
    }

    /// The same unit with these values in its registers, of which every one is legal.
    #[must_use]
    pub const fn with_registers(self, base: u64, bounds: u64) -> Self {
        Self { base, bounds, epoch: self.epoch.wrapping_add(1), ..self }
    }

    /// What the bounds register says.
    #[must_use]
    pub const fn convention(&self) -> Convention {
        self.convention
    }

    #[inline]
    fn answer(&self, access: Access) -> Result<Translation, Fault> {
        let (addr, span) = self
            .locate(access.addr, access.privilege)
            .map_err(|_| Fault::new(access, Cause::Bounds))?;
        Ok(Translation { ticket: self.ticket(access), ..Translation::new(addr, span) })
    }

    /// Where a byte is, and how many are there from it on.
    #[inline]
    fn locate(&self, addr: VirtAddr, privilege: Privilege) -> Result<(PhysAddr, u64), Refusal> {
        match privilege {
            Privilege::User => self.relocate(addr),
            Privilege::Supervisor | Privilege::Machine => Ok(unrelocated(addr)),
        }
    }

    /// Where a byte of the program is, and how many are there from it on: what a translation says, and if there
    /// is none, why.
    ///
    /// # Errors
    /// The [`Refusal`].
    #[inline]
    pub fn relocate(&self, addr: VirtAddr) -> Result<(PhysAddr, u64), Refusal> {
        let sum = self.base.checked_add(addr.raw());
        let (checked, sum) = match self.convention {
            Convention::Size => (addr.raw(), sum),
            Convention::End => {
                let sum = sum.ok_or(Refusal::NoPlace)?;
                (sum, Some(sum))
            }
        };
        if checked >= self.bounds {
            return Err(Refusal::PastBounds { by: checked - self.bounds });
        }
        let sum = sum.ok_or(Refusal::NoPlace)?;
        Ok((PhysAddr::new(sum), (self.bounds - checked).min(up_to_the_top(sum))))
    }

    /// A ticket, if the whole RAM page around the access is the program's and stays a page.
    #[inline]
    fn ticket(&self, access: Access) -> Option<Ticket> {
        let page = access.addr.align_down(RAM_PAGE_BITS);
        let (addr, span) = self.locate(page, access.privilege).ok()?;
        let whole = addr.offset(RAM_PAGE_BITS) == 0 && span > low_mask(RAM_PAGE_BITS);
        whole.then_some(Ticket { slot: 0, version: 0, epoch: self.epoch })
    }
}

const REGISTERS: [RegisterInfo; 2] = [
    RegisterInfo {
        id: BaseBounds::BASE,
        name: "base",
        privilege: Privilege::Supervisor,
        about: "physical address of the program's byte 0",
    },
    RegisterInfo {
        id: BaseBounds::BOUNDS,
        name: "bounds",
        privilege: Privilege::Supervisor,
        about: "bytes the program has, or the physical address where they end",
    },
];

impl Registers for BaseBounds {
    fn registers(&self) -> &'static [RegisterInfo] {
        &REGISTERS
    }

    fn read_register(&self, id: RegisterId) -> Result<u64, RegisterError> {
        match id {
            Self::BASE => Ok(self.base),
            Self::BOUNDS => Ok(self.bounds),
            _ => Err(RegisterError::Unknown { id }),
        }
    }
}

impl<B: ?Sized, P: ?Sized> TranslationUnit<B, P> for BaseBounds {
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
        let register = match id {
            Self::BASE => &mut self.base,
            Self::BOUNDS => &mut self.bounds,
            _ => return Err(RegisterError::Unknown { id }),
        };
        *register = value;
        self.epoch = self.epoch.wrapping_add(1);
        Ok(())
    }

    /// Nothing: the registers are all there is.
    fn invalidate(&mut self, _: Invalidate) {}

    #[inline]
    fn repeat(&mut self, ticket: Ticket, _: Access, _: &mut P) -> bool {
        ticket.epoch == self.epoch
    }
}
