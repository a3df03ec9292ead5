//! Base and bounds: the unit adds one register to every address of a program, and checks the address against
//! another register.
//!
//! Models: dynamic relocation in hardware (Arpaci-Dusseau, "Operating Systems: Three Easy Pieces", ch. 15,
//! "Mechanism: Address Translation"). There are two privileged registers, `base` and `bounds`. `bounds` is a
//! number of bytes or the physical address at which the program's memory ends, as [`Convention`] says. Programs
//! are relocated. The operating system runs in physical memory, as in the book, so supervisor and machine
//! accesses are not relocated.
//!
//! Does not model: permissions, which this machine does not have.
//!
//! Which type you want: [`BaseBounds`], or [`Bare`], the machine that relocates nothing.
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

/// The meaning of the bounds register. Both conventions are in use, and they can express the same machine
/// (OSTEP 15.4): a size of `n` is an end of `base + n`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Convention {
    /// The number of bytes of the program. It is compared with the virtual address, before the base is added.
    #[default]
    Size,
    /// The physical address one past the last byte of the program. It is compared with the sum. With this
    /// convention no program can have the last byte of the 64-bit space.
    End,
}

/// The reason why an access is refused, with the number that decided it. The fault is in both cases that the
/// address is out of bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum Refusal {
    /// The number that is compared is at or past the bounds.
    #[error("past the bounds by {by} bytes")]
    PastBounds {
        /// The distance in bytes: 0 for the first byte past the bounds.
        by: u64,
    },
    /// The sum of base and address exceeds 64 bits.
    #[error("past the last physical address")]
    NoPlace,
}

/// The translation unit. After reset both registers are 0, and a program can access nothing.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct BaseBounds {
    convention: Convention,
    base: u64,
    bounds: u64,
    /// The number of register writes. A ticket of an earlier epoch may be wrong.
    epoch: u64,
}

impl BaseBounds {
    /// The number of the register `base`: the physical address of byte 0 of the program.
    ///
    /// The textbook gives no numbers. No other unit of emmu uses these two, so that a [`emmu_core::Chain`] can
    /// have both.
    pub const BASE: RegisterId = RegisterId(0x10);
    /// The number of the register `bounds`: see [`Convention`].
    pub const BOUNDS: RegisterId = RegisterId(0x11);

    /// Makes a unit after reset.
    #[must_use]
    pub const fn new(convention: Convention) -> Self {
        Self { convention, base: 0, bounds: 0, epoch: 0 }
    }

    /// Returns this unit with these values in its registers. Every value is legal.
    #[must_use]
    pub const fn with_registers(self, base: u64, bounds: u64) -> Self {
        Self { base, bounds, epoch: self.epoch.wrapping_add(1), ..self }
    }

    /// Returns the meaning of the bounds register.
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

    /// Returns the physical address of a byte, and the number of bytes from there on.
    #[inline]
    fn locate(&self, addr: VirtAddr, privilege: Privilege) -> Result<(PhysAddr, u64), Refusal> {
        match privilege {
            Privilege::User => self.relocate(addr),
            Privilege::Supervisor | Privilege::Machine => Ok(unrelocated(addr)),
        }
    }

    /// Returns the physical address of a byte of the program, and the number of bytes from there on: the
    /// content of a translation, or the reason why there is none.
    ///
    /// # Errors
    /// The [`Refusal`], if the byte is out of bounds.
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

    /// Returns a ticket, if the whole RAM page around the access belongs to the program and is aligned in
    /// physical memory.
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

    /// Does nothing, because the unit has only registers.
    fn invalidate(&mut self, _: Invalidate) {}

    #[inline]
    fn repeat(&mut self, ticket: Ticket, _: Access, _: &mut P) -> bool {
        ticket.epoch == self.epoch
    }
}
