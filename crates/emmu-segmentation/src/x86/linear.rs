//! Memory as descriptor tables see it: at linear addresses.

use emmu_core::{
    Access, AccessFlags, Bus, BusError, Event, Fault, PhysAddr, Probe, TranslationUnit, VirtAddr,
    Width,
};

/// Reads and marks descriptors. Both are implicit accesses of the processor, with supervisor privilege whatever the
/// current privilege level (Intel SDM Vol. 3A, "Determination of Access Rights").
pub(super) trait LinearMemory {
    /// Eight bytes.
    fn read(&mut self, addr: VirtAddr) -> Result<u64, Fault>;

    /// Sets the lowest bit of one byte, by a locked read-modify-write.
    fn set_bit_0(&mut self, addr: VirtAddr) -> Result<(), Fault>;
}

/// Memory through the unit behind, or directly if there is none: linear addresses are physical without paging.
pub(super) struct Linear<'a, B: ?Sized, P: ?Sized> {
    pub(super) behind: Option<&'a mut dyn TranslationUnit<B, P>>,
    pub(super) bus: &'a mut B,
    pub(super) probe: &'a mut P,
    /// Outside IA-32e mode linear addresses have 32 bits, and wrap.
    pub(super) mask: u64,
}

fn implicit(access: Access) -> Access {
    // spec: x86seg-implicit
    access.with_flags(AccessFlags::IMPLICIT)
}

impl<B: Bus + ?Sized, P: Probe + ?Sized> Linear<'_, B, P> {
    /// Where a piece of the access is, and how much of it.
    fn translate(&mut self, access: Access) -> Result<(PhysAddr, u32), Fault> {
        let size = access.size;
        let Some(unit) = &mut self.behind else {
            return Ok((PhysAddr::new(access.addr.raw()), size));
        };
        let found = unit.translate(access, self.bus, self.probe)?;
        Ok((found.addr, u32::try_from(found.span).map_or(size, |span| span.min(size))))
    }

    /// Where each of eight bytes is.
    fn places(&mut self, whole: Access) -> Result<[PhysAddr; 8], Fault> {
        let mut places = [PhysAddr::ZERO; 8];
        let mut left = places.iter_mut();
        let mut done = 0;
        while done < whole.size {
            let addr = VirtAddr::new(whole.addr.raw().wrapping_add(done.into()) & self.mask);
            let piece = whole.at(addr, whole.size - done);
            let (addr, span) = self.translate(piece).map_err(|fault| fault.within(whole))?;
            for (far, place) in (0..span.max(1)).zip(&mut left) {
                *place = addr.wrapping_add(far.into());
            }
            done += span.max(1);
        }
        Ok(places)
    }

    fn gather(&mut self, places: &[PhysAddr; 8]) -> Result<u64, BusError> {
        let follows = |pair: &[PhysAddr]| pair[0].checked_add(1) == Some(pair[1]);
        if places.windows(2).all(follows) {
            return self.bus.read(places[0], Width::B8);
        }
        let mut raw = 0;
        for &place in places.iter().rev() {
            raw = raw << 8 | self.bus.read(place, Width::B1)?;
        }
        Ok(raw)
    }
}

impl<B: Bus + ?Sized, P: Probe + ?Sized> LinearMemory for Linear<'_, B, P> {
    fn read(&mut self, addr: VirtAddr) -> Result<u64, Fault> {
        let access = implicit(Access::load(VirtAddr::new(addr.raw() & self.mask), 8));
        let places = self.places(access)?;
        let raw = self.gather(&places).map_err(|error| Fault::new(access, error.into()))?;
        self.probe.on(Event::EntryRead { level: 0, addr: places[0], raw });
        Ok(raw)
    }

    fn set_bit_0(&mut self, addr: VirtAddr) -> Result<(), Fault> {
        let access = implicit(Access::store(VirtAddr::new(addr.raw() & self.mask), 1));
        let (place, _) = self.translate(access)?;
        let refuse = |error: BusError| Fault::new(access, error.into());
        let held = self.bus.read(place, Width::B1).map_err(refuse)?;
        let raw = held | 1;
        self.bus.compare_exchange(place, Width::B1, held, raw).map_err(refuse)?;
        self.probe.on(Event::EntryUpdate { level: 0, addr: place, raw });
        Ok(())
    }
}
