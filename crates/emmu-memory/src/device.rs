//! Devices: parts other than memory that answer on the bus.

use alloc::boxed::Box;
use core::any::Any;
use emmu_core::{Transfer, Width};
use thiserror::Error;

/// The answer of a device that does not accept a transfer with this offset, width or direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Error)]
#[error("the device refuses this transfer")]
pub struct Refused;

/// A memory-mapped device. Its registers have byte offsets from the address at which it is mapped.
///
/// Every transfer that reaches it lies within its region. [`crate::Memory`] turns a [`Refused`] into
/// [`emmu_core::BusError::Refused`] with the physical address.
///
/// A device must be `Clone`, because a [`crate::Memory`] is. The host reaches the state of a device by
/// [`crate::Memory::device`].
///
/// ```
/// use emmu_core::{Bus, PhysAddr, Width};
/// use emmu_memory::{Device, Memory, Refused};
///
/// /// Counts how often it was read.
/// #[derive(Clone, Default)]
/// struct Counter(u64);
///
/// impl Device for Counter {
///     fn read(&mut self, _offset: u64, _width: Width) -> Result<u64, Refused> {
///         self.0 += 1;
///         Ok(self.0)
///     }
///     fn write(&mut self, _offset: u64, _width: Width, value: u64) -> Result<(), Refused> {
///         self.0 = value;
///         Ok(())
///     }
/// }
///
/// let at = PhysAddr::new(0x1000_0000);
/// let mut memory = Memory::new().with_device(at, 8, Counter::default())?;
/// memory.write(at, Width::B4, 6)?;
/// assert_eq!(memory.read(at, Width::B4), Ok(7));
/// assert!(memory.peek(at, Width::B4).is_err(), "reading has an effect, so a debugger may not");
/// assert_eq!(memory.device::<Counter>(at).map(|counter| counter.0), Some(7));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Device: Any + CloneDevice + Send {
    /// Reads `width` bytes at `offset`. The caller drops bits above the width.
    ///
    /// # Errors
    /// [`Refused`] if the device does not accept this read.
    fn read(&mut self, offset: u64, width: Width) -> Result<u64, Refused>;

    /// Writes the low `width` bytes of `value` at `offset`. The other bits of `value` are zeros.
    ///
    /// # Errors
    /// [`Refused`] if the device does not accept this write. The device is then unchanged.
    fn write(&mut self, offset: u64, width: Width, value: u64) -> Result<(), Refused>;

    /// Reads without any effect, if the device can. The default refuses.
    ///
    /// # Errors
    /// [`Refused`] if the device cannot be read without an effect.
    fn peek(&self, offset: u64, width: Width) -> Result<u64, Refused> {
        let _ = (offset, width);
        Err(Refused)
    }

    /// Checks whether the device accepts a transfer of `len` bytes at `offset`: one transfer if `len` is 1, 2,
    /// 4 or 8, and a series of transfers otherwise. The default accepts all. A device that refuses a transfer
    /// should refuse it here too: so a store of several pieces is refused before its first piece is written.
    ///
    /// # Errors
    /// [`Refused`] if the device would refuse any of the transfers.
    fn check(&self, offset: u64, len: u64, transfer: Transfer) -> Result<(), Refused> {
        let _ = (offset, len, transfer);
        Ok(())
    }
}

/// Clones a boxed device. Every [`Device`] that is `Clone` implements it automatically.
pub trait CloneDevice {
    /// Returns a clone of the device in a box.
    fn clone_device(&self) -> Box<dyn Device>;
}

impl<T: Device + Clone> CloneDevice for T {
    fn clone_device(&self) -> Box<dyn Device> {
        Box::new(self.clone())
    }
}

impl Clone for Box<dyn Device> {
    fn clone(&self) -> Self {
        (**self).clone_device()
    }
}
