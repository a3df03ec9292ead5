//! The bus: a map of regions, the frames that hold RAM and ROM, and the devices.

#[cfg(feature = "serde")]
mod snapshot;

use crate::frames::Frames;
use crate::map::{BusRoute, Map};
use crate::{Device, MapError, Refused, Region, RegionKind};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use core::any::Any;
use core::fmt;
use core::ops::Range;
use emmu_core::{Bus, BusError, PhysAddr, Transfer, Width};

/// Everything that answers physical addresses: RAM, ROM, devices, and holes between them.
///
/// A transfer may span several regions if all of them are memory. A transfer that touches a device must lie
/// within it, or it is [`BusError::Refused`]. If a transfer passes the end of the address space,
/// [`BusError::Unmapped`] names the last address.
#[derive(Clone, Default)]
pub struct Memory {
    map: Map,
    frames: Frames,
    /// The devices, by the first address of their regions.
    devices: BTreeMap<PhysAddr, Box<dyn Device>>,
}

impl Memory {
    /// Makes a bus on which nothing answers yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a bus with `size` bytes of RAM from address 0 on and nothing else. If `size` is 0, nothing
    /// answers.
    #[must_use]
    pub fn ram(size: u64) -> Self {
        Self::new().with_ram(PhysAddr::ZERO, size).unwrap_or_default()
    }

    /// Adds `size` bytes of RAM. They take no memory of the host until they are written.
    ///
    /// # Errors
    /// [`MapError`] if the region has no bytes, passes the last address, or overlaps another region.
    pub fn with_ram(self, start: PhysAddr, size: u64) -> Result<Self, MapError> {
        self.with_region(RegionKind::Ram, start, size)
    }

    /// Adds `size` bytes of ROM. They are zeros until the host writes them with [`Self::load`].
    ///
    /// # Errors
    /// [`MapError`] if the region has no bytes, passes the last address, or overlaps another region.
    pub fn with_rom(self, start: PhysAddr, size: u64) -> Result<Self, MapError> {
        self.with_region(RegionKind::Rom, start, size)
    }

    /// Adds a device that answers for `size` bytes.
    ///
    /// # Errors
    /// [`MapError`] if the region has no bytes, passes the last address, or overlaps another region.
    pub fn with_device(
        self,
        start: PhysAddr,
        size: u64,
        device: impl Device,
    ) -> Result<Self, MapError> {
        let mut memory = self.with_region(RegionKind::Device, start, size)?;
        memory.devices.insert(start, Box::new(device));
        Ok(memory)
    }

    fn with_region(
        mut self,
        kind: RegionKind,
        start: PhysAddr,
        size: u64,
    ) -> Result<Self, MapError> {
        self.map.insert(Region::new(kind, start, size)?)?;
        Ok(self)
    }

    /// Returns all regions, sorted by address.
    #[must_use]
    pub fn regions(&self) -> &[Region] {
        self.map.regions()
    }

    /// Returns the number of frames of 2^[`emmu_core::RAM_PAGE_BITS`] bytes that take memory of the host: those
    /// that were written, and those for which a caller asked [`Bus::ram_page`].
    #[must_use]
    pub fn touched_frames(&self) -> u64 {
        self.frames.len()
    }

    /// Puts a device into the device region that holds `addr`, in place of the device that answers there.
    /// Returns false if no device region holds `addr`.
    ///
    /// A memory that was read from a snapshot has the regions of its devices, but not the devices. The regions
    /// refuse every transfer until the host puts the devices there.
    #[must_use]
    pub fn set_device(&mut self, addr: PhysAddr, device: impl Device) -> bool {
        let region = self.map.find(addr).filter(|region| region.kind == RegionKind::Device);
        if let Some(region) = region {
            self.devices.insert(region.start, Box::new(device));
        }
        region.is_some()
    }

    /// Writes bytes into RAM or ROM, as the host does when it sets up the machine.
    ///
    /// # Errors
    /// [`BusError`] if a byte is not in RAM or ROM. Nothing is written then.
    pub fn load(&mut self, addr: PhysAddr, bytes: &[u8]) -> Result<(), BusError> {
        match self.map.route(addr, bytes.len() as u64, Transfer::Read)? {
            BusRoute::Memory => self.put(addr, bytes),
            BusRoute::Device(_) => Err(BusError::Refused { addr }),
        }
    }

    /// Returns the device that answers at `addr`, if it is a `T`.
    #[must_use]
    pub fn device<T: Device>(&self, addr: PhysAddr) -> Option<&T> {
        let device: &dyn Any = &**self.devices.get(&self.map.find(addr)?.start)?;
        device.downcast_ref()
    }

    /// Returns the device that answers at `addr`, if it is a `T`, for the host to change: to raise an interrupt
    /// line, or to deliver typed input.
    pub fn device_mut<T: Device>(&mut self, addr: PhysAddr) -> Option<&mut T> {
        let device: &mut dyn Any = &mut **self.devices.get_mut(&self.map.find(addr)?.start)?;
        device.downcast_mut()
    }

    /// Writes bytes. The caller has checked that all of them are memory.
    fn put(&mut self, addr: PhysAddr, bytes: &[u8]) -> Result<(), BusError> {
        self.frames.reserve(addr, bytes.len())?;
        self.frames.copy_in(addr, bytes, |at| self.map.is_ram_frame(at));
        Ok(())
    }

    #[cold]
    #[inline(never)]
    fn read_slowly(&mut self, addr: PhysAddr, width: Width) -> Result<u64, BusError> {
        if self.frames.warm(addr).is_some()
            && let Some(value) = self.frames.load(addr, width)
        {
            return Ok(value);
        }
        match self.map.route(addr, width.bytes(), Transfer::Read)? {
            BusRoute::Memory => Ok(self.word(addr, width)),
            BusRoute::Device(region) => self.on_device(region, addr, |device, offset| {
                device.read(offset, width).map(|value| value & width.mask())
            }),
        }
    }

    #[cold]
    #[inline(never)]
    fn write_slowly(&mut self, addr: PhysAddr, width: Width, value: u64) -> Result<(), BusError> {
        if self.frames.warm(addr).is_some() && self.frames.store(addr, width, value).is_some() {
            return Ok(());
        }
        match self.map.route(addr, width.bytes(), Transfer::Write)? {
            BusRoute::Memory => self.put(addr, &value.to_le_bytes()[..width as usize]),
            BusRoute::Device(region) => self.on_device(region, addr, |device, offset| {
                device.write(offset, width, value & width.mask())
            }),
        }
    }

    /// Reads a word. The caller has checked that all of its bytes are memory.
    fn word(&self, addr: PhysAddr, width: Width) -> u64 {
        let mut bytes = [0; 8];
        self.frames.copy_out(addr, &mut bytes[..width as usize]);
        u64::from_le_bytes(bytes)
    }

    #[cold]
    #[inline(never)]
    fn ram_page_slowly(&mut self, addr: PhysAddr) -> Option<usize> {
        self.frames.warm(addr).or_else(|| {
            if !self.map.is_ram_frame(addr) {
                return None;
            }
            self.frames.reserve(addr, 1).ok()?;
            self.frames.back(addr, || true);
            self.frames.warm(addr)
        })
    }

    /// Calls `transfer` with the device of `region` and the offset of `addr` in the region.
    fn on_device<T>(
        &mut self,
        region: Region,
        addr: PhysAddr,
        transfer: impl FnOnce(&mut dyn Device, u64) -> Result<T, Refused>,
    ) -> Result<T, BusError> {
        self.devices
            .get_mut(&region.start)
            .and_then(|device| transfer(&mut **device, addr.raw() - region.start.raw()).ok())
            .ok_or(BusError::Refused { addr })
    }

    /// Calls `query` with the device of `region`, which stays unchanged, and the offset of `addr` in the
    /// region.
    fn of_device<T>(
        &self,
        region: Region,
        addr: PhysAddr,
        query: impl FnOnce(&dyn Device, u64) -> Result<T, Refused>,
    ) -> Result<T, BusError> {
        self.devices
            .get(&region.start)
            .and_then(|device| query(&**device, addr.raw() - region.start.raw()).ok())
            .ok_or(BusError::Refused { addr })
    }
}

impl Bus for Memory {
    #[inline]
    fn read(&mut self, addr: PhysAddr, width: Width) -> Result<u64, BusError> {
        match self.frames.load(addr, width) {
            Some(value) => Ok(value),
            None => self.read_slowly(addr, width),
        }
    }

    #[inline]
    fn write(&mut self, addr: PhysAddr, width: Width, value: u64) -> Result<(), BusError> {
        match self.frames.store(addr, width, value) {
            Some(()) => Ok(()),
            None => self.write_slowly(addr, width, value),
        }
    }

    fn peek(&self, addr: PhysAddr, width: Width) -> Result<u64, BusError> {
        match self.map.route(addr, width.bytes(), Transfer::Read)? {
            BusRoute::Memory => Ok(self.word(addr, width)),
            BusRoute::Device(region) => self.of_device(region, addr, |device, offset| {
                device.peek(offset, width).map(|value| value & width.mask())
            }),
        }
    }

    fn check(&self, addr: PhysAddr, len: u64, transfer: Transfer) -> Result<(), BusError> {
        match self.map.route(addr, len, transfer)? {
            BusRoute::Memory => Ok(()),
            BusRoute::Device(region) => {
                self.of_device(region, addr, |device, offset| device.check(offset, len, transfer))
            }
        }
    }

    #[inline]
    fn compare_exchange(
        &mut self,
        addr: PhysAddr,
        width: Width,
        current: u64,
        new: u64,
    ) -> Result<u64, BusError> {
        let held = match self.frames.load(addr, width) {
            Some(held) => held,
            None => {
                self.check(addr, width.bytes(), Transfer::Write)?;
                self.read_slowly(addr, width)?
            }
        };
        if held == current {
            self.write(addr, width, new)?;
        }
        Ok(held)
    }

    fn read_bytes(&mut self, addr: PhysAddr, bytes: &mut [u8]) -> Result<(), BusError> {
        match self.map.route(addr, bytes.len() as u64, Transfer::Read)? {
            BusRoute::Memory => self.frames.copy_out(addr, bytes),
            BusRoute::Device(_) => {
                self.check(addr, bytes.len() as u64, Transfer::Read)?;
                for (at, width, range) in transfers(addr, bytes.len()) {
                    let value = self.read(at, width)?.to_le_bytes();
                    bytes[range].copy_from_slice(&value[..width as usize]);
                }
            }
        }
        Ok(())
    }

    fn write_bytes(&mut self, addr: PhysAddr, bytes: &[u8]) -> Result<(), BusError> {
        match self.map.route(addr, bytes.len() as u64, Transfer::Write)? {
            BusRoute::Memory => self.put(addr, bytes)?,
            BusRoute::Device(_) => {
                self.check(addr, bytes.len() as u64, Transfer::Write)?;
                for (at, width, range) in transfers(addr, bytes.len()) {
                    let mut value = [0; 8];
                    value[..width as usize].copy_from_slice(&bytes[range]);
                    self.write(at, width, u64::from_le_bytes(value))?;
                }
            }
        }
        Ok(())
    }

    #[inline]
    fn ram_page(&mut self, addr: PhysAddr) -> Option<usize> {
        self.frames.recent(addr).or_else(|| self.ram_page_slowly(addr))
    }

    #[inline]
    fn ram(&self) -> &[u8] {
        self.frames.arena()
    }

    #[inline]
    fn ram_mut(&mut self) -> &mut [u8] {
        self.frames.arena_mut()
    }
}

/// Cuts `len` bytes from `addr` on into the widest possible transfers, in order.
fn transfers(addr: PhysAddr, len: usize) -> impl Iterator<Item = (PhysAddr, Width, Range<usize>)> {
    let mut done = 0;
    core::iter::from_fn(move || {
        let width = Width::widest_within((len - done) as u64);
        let range = done..done + width as usize;
        (range.end <= len).then(|| {
            done = range.end;
            (addr.wrapping_add(range.start as u64), width, range)
        })
    })
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory")
            .field("regions", &self.regions())
            .field("touched_frames", &self.touched_frames())
            .finish_non_exhaustive()
    }
}
