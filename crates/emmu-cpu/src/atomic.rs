//! Atomic read-modify-write, and load-reserved with store-conditional.

use crate::path::Missed;
use crate::pieces::{self, Located, Piece, put, take};
use crate::{Cpu, Exception, Stop};
use emmu_core::{
    Access, AccessKind, Bus, Fault, PhysAddr, Probe, Transfer, TranslationUnit, VirtAddr, Width,
};

/// The reservation of a load-reserved. The reservation set is exactly the bytes that it read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Reservation {
    /// The physical address of the first byte. All virtual addresses of the byte share the reservation.
    addr: PhysAddr,
    width: Width,
    /// The value of the bytes. The store-conditional compares it, so that writes of others (a device, the page
    /// walker) break the reservation too.
    held: u64,
}

impl Reservation {
    /// Returns true if the bytes can have had this value.
    #[cfg(feature = "serde")]
    pub(crate) const fn is_sound(self) -> bool {
        self.held & !self.width.mask() == 0
    }

    fn is_touched_by(self, pieces: &[Piece]) -> bool {
        pieces.iter().any(|piece| piece.touches(self.addr, self.width.bytes()))
    }
}

/// Atomics. They must be naturally aligned; otherwise the CPU takes [`Exception::Misaligned`], and there is no
/// access.
impl<U, B, P> Cpu<U, B, P>
where
    U: TranslationUnit<B, P>,
    B: Bus,
    P: Probe,
{
    /// Replaces the number at `addr` by `change` of that number, as one access that needs the permissions to
    /// read and to write, and returns the old number. `change` receives the number extended with zeros; the low
    /// `width` bytes of its result count (RISC-V Unprivileged ISA, "Zaamo"; x86 `lock` prefix).
    ///
    /// # Errors
    /// [`Stop`] if the access is misaligned or refused, or the CPU halted; nothing is then changed.
    #[inline]
    pub fn amo(
        &mut self,
        addr: VirtAddr,
        width: Width,
        change: impl FnOnce(u64) -> u64,
    ) -> Result<u64, Stop> {
        let access = self.access(AccessKind::Amo, addr, width as u32);
        if !is_aligned(access) {
            return Err(self.misaligned(access));
        }
        match self.hot_bytes_mut(self.keys.write, access) {
            Ok(ram) => Ok(replace(ram, change)),
            Err(Missed) => self.amo_cold(addr, width, change),
        }
    }

    /// Writes `new` if the bytes at `addr` hold `current`, as an [`amo`](Self::amo), and returns what they
    /// held. The exchange took place exactly if the result equals `current` (RISC-V "Zacas"; x86 `cmpxchg`).
    ///
    /// # Errors
    /// Like [`amo`](Self::amo).
    #[inline]
    pub fn compare_exchange(
        &mut self,
        addr: VirtAddr,
        width: Width,
        current: u64,
        new: u64,
    ) -> Result<u64, Stop> {
        self.amo(addr, width, |held| if held == current { new } else { held })
    }

    /// Reads a number and reserves its bytes on the bus for a [`store_conditional`](Self::store_conditional)
    /// (RISC-V Unprivileged ISA, "Zalrsc"). To the unit it is a load.
    ///
    /// There is one reservation. It ends with the next load-reserved, with any store-conditional, with a store
    /// or [`amo`](Self::amo) of this CPU to any of its bytes, or with a trap. Bytes that are not contiguous on
    /// the bus are read, but not reserved.
    ///
    /// # Errors
    /// [`Stop`] if the access is misaligned or refused, or the CPU halted.
    pub fn load_reserved(&mut self, addr: VirtAddr, width: Width) -> Result<u64, Stop> {
        let access = self.access(AccessKind::Load, addr, width as u32);
        if !is_aligned(access) {
            return Err(self.misaligned(access));
        }
        self.begin(access)?;
        self.translate(access)
            .and_then(|found| self.load_and_reserve(access, found, width))
            .map_err(|fault| self.refuse(access, fault))
    }

    fn load_and_reserve(
        &mut self,
        access: Access,
        found: Located,
        width: Width,
    ) -> Result<u64, Fault> {
        let held = self.load_found(access, found, width)?;
        self.reservation = match found {
            Located::Whole(addr) => Some(Reservation { addr, width, held }),
            Located::Pieces => None,
        };
        self.rekey();
        Ok(held)
    }

    /// Writes the low `width` bytes of `value` if these bytes are still reserved by
    /// [`load_reserved`](Self::load_reserved), and returns true if it did. Either way the reservation ends
    /// (RISC-V Unprivileged ISA, "Zalrsc").
    ///
    /// For the unit it is a store, even if it fails: it then faults, and sets accessed and dirty bits, like a
    /// store. The manual leaves this open. It also leaves open that address and width must be those of the
    /// load-reserved.
    ///
    /// # Errors
    /// [`Stop`] if the access is misaligned or refused, or the CPU halted; nothing is written then.
    pub fn store_conditional(
        &mut self,
        addr: VirtAddr,
        width: Width,
        value: u64,
    ) -> Result<bool, Stop> {
        let access = self.access(AccessKind::Store, addr, width as u32);
        if !is_aligned(access) {
            return Err(self.misaligned(access));
        }
        self.begin(access)?;
        self.translate(access)
            .and_then(|found| self.store_if_reserved(access, found, width, value))
            .map_err(|fault| self.refuse(access, fault))
    }

    fn store_if_reserved(
        &mut self,
        access: Access,
        found: Located,
        width: Width,
        value: u64,
    ) -> Result<bool, Fault> {
        let reservation = self.reservation.take();
        self.rekey();
        let (Some(reserved), Located::Whole(addr)) = (reservation, found) else {
            return Ok(false);
        };
        if (addr, width) != (reserved.addr, reserved.width) {
            return Ok(false);
        }
        let piece = Piece { access, addr };
        let held = self
            .bus
            .compare_exchange(addr, width, reserved.held, value)
            .map_err(|error| piece.fault(error))?;
        let stored = held == reserved.held;
        if stored {
            self.probe.on(piece.transferred());
        }
        Ok(stored)
    }

    /// Ends the reservation if a write touched its bytes.
    #[inline]
    pub(crate) fn break_reservation(&mut self, access: Access, written: Located) {
        let Some(reservation) = self.reservation else { return };
        let touched = match written {
            Located::Whole(addr) => reservation.is_touched_by(&[Piece { access, addr }]),
            Located::Pieces => reservation.is_touched_by(&self.pieces),
        };
        if touched {
            self.reservation = None;
            self.rekey();
        }
    }

    #[cold]
    #[inline(never)]
    fn amo_cold(
        &mut self,
        addr: VirtAddr,
        width: Width,
        change: impl FnOnce(u64) -> u64,
    ) -> Result<u64, Stop> {
        let access = self.access(AccessKind::Amo, addr, width as u32);
        self.begin(access)?;
        self.translate(access)
            .and_then(|found| self.replace_found(access, found, width, change))
            .map_err(|fault| self.refuse(access, fault))
    }

    /// Reads, changes and writes. The bus accepts both transfers before it performs either.
    fn replace_found(
        &mut self,
        access: Access,
        found: Located,
        width: Width,
        change: impl FnOnce(u64) -> u64,
    ) -> Result<u64, Fault> {
        let whole;
        let pieces = match found {
            Located::Whole(addr) => {
                whole = [Piece { access, addr }];
                &whole
            }
            Located::Pieces => self.pieces.as_slice(),
        };
        pieces::check(pieces, &self.bus, Transfer::Read)?;
        pieces::check(pieces, &self.bus, Transfer::Write)?;
        let mut bytes = [0; 8];
        let bytes = &mut bytes[..width as usize];
        // The event of the write stands for both transfers.
        pieces::read(pieces, &mut self.bus, &mut (), bytes)?;
        let old = take(bytes);
        self.store_found(access, found, width, change(old))?;
        Ok(old)
    }

    #[cold]
    fn misaligned(&mut self, access: Access) -> Stop {
        self.raise(Exception::Misaligned(access))
    }
}

/// Changes the number that `bytes` hold, and returns the old number.
#[inline(always)]
fn replace(bytes: &mut [u8], change: impl FnOnce(u64) -> u64) -> u64 {
    let old = take(bytes);
    put(bytes, change(old));
    old
}

/// Returns true if the address is a multiple of the size, which is a power of two.
#[inline(always)]
fn is_aligned(access: Access) -> bool {
    access.addr.raw() & (u64::from(access.size) - 1) == 0
}
