//! The bus between a sanitized unit and memory.

use crate::Sanitizer;
use alloc::vec::Vec;
use emmu_core::{Bus, BusError, PhysAddr, Transfer, Width};

/// A bus that tells a [`Sanitizer`] which entries walks read, and which of them are written. Made by
/// [`Sanitizer::bus`].
///
/// It has no RAM pages ([`Bus::ram_page`]): a CPU's accelerator would write past it. So accesses take the long way,
/// which changes no result and no event.
#[derive(Clone, Debug)]
pub struct Watched<B> {
    bus: B,
    sanitizer: Sanitizer,
}

impl<B> Watched<B> {
    pub(crate) const fn new(bus: B, sanitizer: Sanitizer) -> Self {
        Self { bus, sanitizer }
    }

    /// The bus inside.
    #[must_use]
    pub const fn inner(&self) -> &B {
        &self.bus
    }

    /// Takes the wrapper off.
    #[must_use]
    pub fn into_inner(self) -> B {
        self.bus
    }
}

impl<B: Bus> Watched<B> {
    /// Does what may change `len` bytes from `addr` on, and notes which entries it changed.
    fn changing<T>(
        &mut self,
        addr: PhysAddr,
        len: u64,
        change: impl FnOnce(&mut B) -> Result<T, BusError>,
    ) -> Result<T, BusError> {
        let touched = self.sanitizer.state().touched(addr, len);
        let held = |bus: &B| -> Vec<_> {
            touched.iter().map(|&(at, width)| bus.peek(at, width).ok()).collect()
        };
        let before = held(&self.bus);
        let done = change(&mut self.bus)?;
        let after = held(&self.bus);
        for ((at, _), (before, after)) in touched.iter().zip(before.into_iter().zip(after)) {
            if let (Some(before), Some(after)) = (before, after)
                && before != after
            {
                self.sanitizer.state_mut().note_write(*at, before, after, addr);
            }
        }
        Ok(done)
    }
}

impl<B: Bus> Bus for Watched<B> {
    fn read(&mut self, addr: PhysAddr, width: Width) -> Result<u64, BusError> {
        let raw = self.bus.read(addr, width)?;
        self.sanitizer.state_mut().note_read(addr, width, raw);
        Ok(raw)
    }

    fn write(&mut self, addr: PhysAddr, width: Width, value: u64) -> Result<(), BusError> {
        self.changing(addr, width.bytes(), |bus| bus.write(addr, width, value))
    }

    fn peek(&self, addr: PhysAddr, width: Width) -> Result<u64, BusError> {
        let raw = self.bus.peek(addr, width)?;
        self.sanitizer.state_mut().note_read(addr, width, raw);
        Ok(raw)
    }

    fn check(&self, addr: PhysAddr, len: u64, transfer: Transfer) -> Result<(), BusError> {
        self.bus.check(addr, len, transfer)
    }

    fn compare_exchange(
        &mut self,
        addr: PhysAddr,
        width: Width,
        current: u64,
        new: u64,
    ) -> Result<u64, BusError> {
        self.changing(addr, width.bytes(), |bus| bus.compare_exchange(addr, width, current, new))
    }

    fn read_bytes(&mut self, addr: PhysAddr, bytes: &mut [u8]) -> Result<(), BusError> {
        self.bus.read_bytes(addr, bytes)
    }

    fn write_bytes(&mut self, addr: PhysAddr, bytes: &[u8]) -> Result<(), BusError> {
        self.changing(addr, bytes.len() as u64, |bus| bus.write_bytes(addr, bytes))
    }
}
