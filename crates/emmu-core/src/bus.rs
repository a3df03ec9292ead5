//! The bus: physical memory as a CPU and a page walker see it.

use crate::PhysAddr;
use core::fmt;
use thiserror::Error;

/// The number of bytes that one bus transfer moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[repr(u8)]
pub enum Width {
    /// 1 byte.
    B1 = 1,
    /// 2 bytes.
    B2 = 2,
    /// 4 bytes.
    B4 = 4,
    /// 8 bytes.
    B8 = 8,
}

impl Width {
    /// All four widths, the narrowest first.
    pub const ALL: [Self; 4] = [Self::B1, Self::B2, Self::B4, Self::B8];

    /// Returns the width in bytes.
    #[must_use]
    #[inline]
    pub const fn bytes(self) -> u64 {
        self as u64
    }

    /// Returns the width of this many bytes, or `None` if no single transfer moves so many.
    #[must_use]
    pub const fn from_bytes(bytes: u64) -> Option<Self> {
        match bytes {
            1 => Some(Self::B1),
            2 => Some(Self::B2),
            4 => Some(Self::B4),
            8 => Some(Self::B8),
            _ => None,
        }
    }

    /// Returns the widest transfer of at most `bytes` bytes; for 0 it is `B1`.
    #[must_use]
    pub const fn widest_within(bytes: u64) -> Self {
        match bytes {
            0 | 1 => Self::B1,
            2 | 3 => Self::B2,
            4..=7 => Self::B4,
            _ => Self::B8,
        }
    }

    /// Returns a number with the bits of this width set: 0xff, 0xffff, …
    #[must_use]
    #[inline]
    pub const fn mask(self) -> u64 {
        crate::low_mask(self as u32 * 8)
    }
}

/// The direction of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transfer {
    /// From the bus.
    Read,
    /// To the bus.
    Write,
}

impl fmt::Display for Transfer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Read => "read",
            Self::Write => "write",
        })
    }
}

/// The reason why the bus refused a transfer. The address is that of the first byte that it refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum BusError {
    /// No memory or device answers at this address.
    #[error("no memory or device answers at physical address {addr}")]
    Unmapped {
        /// The first byte at which nothing answers.
        addr: PhysAddr,
    },
    /// The address can be read, but not written.
    #[error("physical address {addr} is read-only")]
    ReadOnly {
        /// The first byte that cannot be written.
        addr: PhysAddr,
    },
    /// A device is there, but it does not accept a transfer of this width, alignment or direction.
    #[error("the device at physical address {addr} refuses this transfer")]
    Refused {
        /// The first byte of the transfer.
        addr: PhysAddr,
    },
}

impl BusError {
    /// Returns the first physical byte that was refused.
    #[must_use]
    pub const fn addr(&self) -> PhysAddr {
        match *self {
            Self::Unmapped { addr } | Self::ReadOnly { addr } | Self::Refused { addr } => addr,
        }
    }
}

/// Log2 of the RAM page size in bytes: see [`Bus::ram_page`].
pub const RAM_PAGE_BITS: u32 = 12;

/// The bus: everything that answers physical addresses. All transfers are little-endian by definition; an
/// embedder of a big-endian machine swaps bytes in the CPU.
///
/// Addresses need not be aligned. A transfer touches the bytes `addr ..= addr + width − 1`. A transfer that
/// would pass the last physical address is refused like one to a hole.
pub trait Bus {
    /// Reads `width` bytes. A device may change its state.
    ///
    /// # Errors
    /// [`BusError`] when any of the bytes cannot be read.
    fn read(&mut self, addr: PhysAddr, width: Width) -> Result<u64, BusError>;

    /// Writes the low `width` bytes of `value`: all of them, or none.
    ///
    /// # Errors
    /// [`BusError`] when any of the bytes cannot be written.
    fn write(&mut self, addr: PhysAddr, width: Width, value: u64) -> Result<(), BusError>;

    /// Reads without any effect, as a debugger does. A device that cannot be read without an effect refuses.
    ///
    /// # Errors
    /// [`BusError`] when any of the bytes cannot be read.
    fn peek(&self, addr: PhysAddr, width: Width) -> Result<u64, BusError>;

    /// Checks whether all of the `len` bytes from `addr` on would accept this transfer, and moves no byte. An
    /// access of several pieces checks all of them before its first byte moves.
    ///
    /// # Errors
    /// The [`BusError`] that the transfer would meet first.
    fn check(&self, addr: PhysAddr, len: u64, transfer: Transfer) -> Result<(), BusError>;

    /// Writes `new` if the bytes hold `current`, as one step, and returns what they held before. The write took
    /// place exactly if the result equals `current`. Page walkers set accessed and dirty bits in this way.
    ///
    /// # Errors
    /// [`BusError`] when any of the bytes cannot be read and written; nothing is changed then.
    fn compare_exchange(
        &mut self,
        addr: PhysAddr,
        width: Width,
        current: u64,
        new: u64,
    ) -> Result<u64, BusError> {
        self.check(addr, width.bytes(), Transfer::Write)?;
        let held = self.read(addr, width)?;
        if held == current {
            self.write(addr, width, new)?;
        }
        Ok(held)
    }

    /// Reads bytes from `addr` on until `bytes` is full.
    ///
    /// # Errors
    /// [`BusError`] when any of the bytes cannot be read; `bytes` is then unspecified.
    fn read_bytes(&mut self, addr: PhysAddr, bytes: &mut [u8]) -> Result<(), BusError> {
        self.check(addr, bytes.len() as u64, Transfer::Read)?;
        each_transfer(addr, bytes.len(), |at, width, range| {
            let value = self.read(at, width)?.to_le_bytes();
            let piece = &mut bytes[range];
            piece.copy_from_slice(&value[..piece.len()]);
            Ok(())
        })
    }

    /// Writes `bytes` from `addr` on: all of them, or none.
    ///
    /// # Errors
    /// [`BusError`] when any of the bytes cannot be written.
    fn write_bytes(&mut self, addr: PhysAddr, bytes: &[u8]) -> Result<(), BusError> {
        self.check(addr, bytes.len() as u64, Transfer::Write)?;
        each_transfer(addr, bytes.len(), |at, width, range| {
            let mut value = [0; 8];
            let piece = &bytes[range];
            value[..piece.len()].copy_from_slice(piece);
            self.write(at, width, u64::from_le_bytes(value))
        })
    }

    /// Returns the offset in [`Bus::ram`] at which the RAM page of `addr` starts (2^[`RAM_PAGE_BITS`] bytes,
    /// naturally aligned). Returns `None` unless plain RAM is there that can be read and written without side
    /// effects.
    ///
    /// The offset stays valid for as long as the bus lives, so that callers may keep it. The default returns
    /// `None`; then every transfer goes through `read` and `write`.
    fn ram_page(&mut self, addr: PhysAddr) -> Option<usize> {
        let _ = addr;
        None
    }

    /// Returns all the RAM to which the offsets of [`Bus::ram_page`] lead.
    fn ram(&self) -> &[u8] {
        &[]
    }

    /// Returns that RAM, to be written.
    fn ram_mut(&mut self) -> &mut [u8] {
        &mut []
    }
}

/// Cuts `len` bytes from `addr` on into the widest possible transfers, in order.
fn each_transfer(
    addr: PhysAddr,
    len: usize,
    mut transfer: impl FnMut(PhysAddr, Width, core::ops::Range<usize>) -> Result<(), BusError>,
) -> Result<(), BusError> {
    let mut done = 0;
    while done < len {
        let width = Width::widest_within((len - done) as u64);
        let next = done + width as usize;
        transfer(addr.wrapping_add(done as u64), width, done..next)?;
        done = next;
    }
    Ok(())
}

macro_rules! forward_bus {
    ($($pointer:ty),*) => {$(
        impl<T: Bus + ?Sized> Bus for $pointer {
            #[inline]
            fn read(&mut self, addr: PhysAddr, width: Width) -> Result<u64, BusError> {
                (**self).read(addr, width)
            }
            #[inline]
            fn write(&mut self, addr: PhysAddr, width: Width, value: u64) -> Result<(), BusError> {
                (**self).write(addr, width, value)
            }
            fn peek(&self, addr: PhysAddr, width: Width) -> Result<u64, BusError> {
                (**self).peek(addr, width)
            }
            fn check(&self, addr: PhysAddr, len: u64, transfer: Transfer) -> Result<(), BusError> {
                (**self).check(addr, len, transfer)
            }
            fn compare_exchange(
                &mut self,
                addr: PhysAddr,
                width: Width,
                current: u64,
                new: u64,
            ) -> Result<u64, BusError> {
                (**self).compare_exchange(addr, width, current, new)
            }
            fn read_bytes(&mut self, addr: PhysAddr, bytes: &mut [u8]) -> Result<(), BusError> {
                (**self).read_bytes(addr, bytes)
            }
            fn write_bytes(&mut self, addr: PhysAddr, bytes: &[u8]) -> Result<(), BusError> {
                (**self).write_bytes(addr, bytes)
            }
            #[inline]
            fn ram_page(&mut self, addr: PhysAddr) -> Option<usize> {
                (**self).ram_page(addr)
            }
            #[inline]
            fn ram(&self) -> &[u8] {
                (**self).ram()
            }
            #[inline]
            fn ram_mut(&mut self) -> &mut [u8] {
                (**self).ram_mut()
            }
        }
    )*};
}

forward_bus!(&mut T, alloc::boxed::Box<T>);

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    /// Sixteen bytes at address 0, with the required methods alone.
    struct Tiny([u8; 16]);

    impl Tiny {
        fn range(addr: PhysAddr, len: u64) -> Result<core::ops::Range<usize>, BusError> {
            let end = addr.raw().saturating_add(len);
            match (usize::try_from(addr.raw()), usize::try_from(end)) {
                (Ok(start), Ok(end)) if end <= 16 => Ok(start..end),
                _ => Err(BusError::Unmapped { addr: PhysAddr::new(addr.raw().max(16)) }),
            }
        }
    }

    impl Bus for Tiny {
        fn read(&mut self, addr: PhysAddr, width: Width) -> Result<u64, BusError> {
            self.peek(addr, width)
        }
        fn write(&mut self, addr: PhysAddr, width: Width, value: u64) -> Result<(), BusError> {
            let range = Self::range(addr, width.bytes())?;
            let len = range.len();
            self.0[range].copy_from_slice(&value.to_le_bytes()[..len]);
            Ok(())
        }
        fn peek(&self, addr: PhysAddr, width: Width) -> Result<u64, BusError> {
            let range = Self::range(addr, width.bytes())?;
            let mut value = [0; 8];
            value[..range.len()].copy_from_slice(&self.0[range]);
            Ok(u64::from_le_bytes(value))
        }
        fn check(&self, addr: PhysAddr, len: u64, _: Transfer) -> Result<(), BusError> {
            Self::range(addr, len).map(drop)
        }
    }

    #[test]
    fn byte_slices_are_cut_into_the_widest_transfers() {
        let mut cuts = Vec::new();
        each_transfer(PhysAddr::new(1), 15, |addr, width, range| {
            cuts.push((addr.raw(), width.bytes(), range));
            Ok(())
        })
        .unwrap();
        assert_eq!(cuts, [(1, 8, 0..8), (9, 4, 8..12), (13, 2, 12..14), (15, 1, 14..15)]);
    }

    #[test]
    fn a_slice_that_reaches_a_hole_writes_nothing() {
        let mut bus = Tiny([0; 16]);
        let refused = bus.write_bytes(PhysAddr::new(10), &[0xff; 8]);
        assert_eq!(refused, Err(BusError::Unmapped { addr: PhysAddr::new(16) }));
        assert_eq!(bus.0, [0; 16]);
    }

    #[test]
    fn slices_come_back_as_written() {
        let mut bus = Tiny([0; 16]);
        bus.write_bytes(PhysAddr::new(3), b"translation!").unwrap();
        let mut read = [0; 12];
        bus.read_bytes(PhysAddr::new(3), &mut read).unwrap();
        assert_eq!(&read, b"translation!");
    }

    #[test]
    fn compare_exchange_writes_only_what_it_expected() {
        let mut bus = Tiny([7; 16]);
        let at = PhysAddr::new(4);
        assert_eq!(bus.compare_exchange(at, Width::B1, 6, 9), Ok(7));
        assert_eq!(bus.peek(at, Width::B1), Ok(7));
        assert_eq!(bus.compare_exchange(at, Width::B1, 7, 9), Ok(7));
        assert_eq!(bus.peek(at, Width::B1), Ok(9));
    }
}
