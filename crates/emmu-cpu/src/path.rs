//! The two paths of an access: the short path through the hot table, and the long path through the unit.

use crate::hot::{Hit, Key};
use crate::pieces::{self, Located, Piece, take};
use crate::{Cpu, Exception, Stop};
use emmu_core::{
    Access, AccessKind, Bus, Cause, Event, Fault, Probe, RAM_PAGE_BITS, Transfer, Translation,
    TranslationUnit, VirtAddr, Width,
};

/// The hot table could not serve an access, which must take the long path.
pub(crate) struct Missed;

/// The short path. It has the same effects and events as the long path, and returns the bytes in RAM.
impl<U, B, P> Cpu<U, B, P>
where
    U: TranslationUnit<B, P>,
    B: Bus,
    P: Probe,
{
    /// Returns the bytes of an access, to be read.
    #[inline(always)]
    pub(crate) fn hot_bytes(&mut self, key: Key, access: Access) -> Result<&[u8], Missed> {
        let hit = self.hot.find(key, access).ok_or(Missed)?;
        let bytes = hit.bytes(self.bus.ram(), access).ok_or(Missed)?;
        if !repeat(&mut self.unit, &mut self.probe, hit, access) {
            self.begun = true;
            return Err(Missed);
        }
        Ok(bytes)
    }

    /// Returns the bytes of an access, to be written.
    #[inline(always)]
    pub(crate) fn hot_bytes_mut(&mut self, key: Key, access: Access) -> Result<&mut [u8], Missed> {
        let hit = self.hot.find(key, access).ok_or(Missed)?;
        let bytes = hit.bytes_mut(self.bus.ram_mut(), access).ok_or(Missed)?;
        if !repeat(&mut self.unit, &mut self.probe, hit, access) {
            self.begun = true;
            return Err(Missed);
        }
        Ok(bytes)
    }
}

/// Begins the access and repeats its translation, if the unit agrees.
#[inline(always)]
fn repeat<U: TranslationUnit<B, P>, B, P: Probe>(
    unit: &mut U,
    probe: &mut P,
    hit: Hit,
    access: Access,
) -> bool {
    probe.on(Event::Access(access));
    let agreed = unit.repeat(hit.ticket, access, probe);
    if agreed {
        probe.on(Event::Transfer { access, addr: hit.addr });
    }
    agreed
}

/// The calls that lead from the short path to the long path.
///
/// The compiler knows that these calls are rare. Their arguments are numbers, so that the short path need not
/// put an `Access` into memory for them. They do nothing themselves, because the compiler seldom inlines calls
/// from rare code.
impl<U, B, P> Cpu<U, B, P>
where
    U: TranslationUnit<B, P>,
    B: Bus,
    P: Probe,
{
    #[cold]
    #[inline(never)]
    pub(crate) fn load_cold(
        &mut self,
        kind: AccessKind,
        addr: VirtAddr,
        width: Width,
    ) -> Result<u64, Stop> {
        self.load_long(kind, addr, width)
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn store_cold(
        &mut self,
        addr: VirtAddr,
        width: Width,
        value: u64,
    ) -> Result<(), Stop> {
        self.store_long(addr, width, value)
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn read_cold(&mut self, access: Access, bytes: &mut [u8]) -> Result<(), Stop> {
        self.read_long(access, bytes)
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn write_cold(&mut self, access: Access, bytes: &[u8]) -> Result<(), Stop> {
        self.write_long(access, bytes)
    }
}

/// The long path.
impl<U, B, P> Cpu<U, B, P>
where
    U: TranslationUnit<B, P>,
    B: Bus,
    P: Probe,
{
    #[inline(never)]
    fn load_long(&mut self, kind: AccessKind, addr: VirtAddr, width: Width) -> Result<u64, Stop> {
        let access = self.access(kind, addr, width as u32);
        self.begin(access)?;
        self.translate(access)
            .and_then(|found| self.load_found(access, found, width))
            .map_err(|fault| self.refuse(access, fault))
    }

    #[inline(never)]
    fn store_long(&mut self, addr: VirtAddr, width: Width, value: u64) -> Result<(), Stop> {
        let access = self.access(AccessKind::Store, addr, width as u32);
        self.begin(access)?;
        self.translate(access)
            .and_then(|found| self.store_found(access, found, width, value))
            .map_err(|fault| self.refuse(access, fault))
    }

    #[inline(never)]
    fn read_long(&mut self, access: Access, bytes: &mut [u8]) -> Result<(), Stop> {
        self.begin(access)?;
        self.translate(access)
            .and_then(|found| match found {
                Located::Whole(addr) => {
                    Piece { access, addr }.read(&mut self.bus, &mut self.probe, bytes)
                }
                Located::Pieces => self.read_pieces(bytes),
            })
            .map_err(|fault| self.refuse(access, fault))
    }

    #[inline(never)]
    fn write_long(&mut self, access: Access, bytes: &[u8]) -> Result<(), Stop> {
        self.begin(access)?;
        self.translate(access)
            .and_then(|found| {
                match found {
                    Located::Whole(addr) => {
                        Piece { access, addr }.write(&mut self.bus, &mut self.probe, bytes)?;
                    }
                    Located::Pieces => self.write_pieces(bytes)?,
                }
                self.break_reservation(access, found);
                Ok(())
            })
            .map_err(|fault| self.refuse(access, fault))
    }

    /// Tells the probe of the access, unless the short path has done so.
    #[inline]
    pub(crate) fn begin(&mut self, access: Access) -> Result<(), Stop> {
        self.running()?;
        if core::mem::take(&mut self.begun) {
            return Ok(());
        }
        let restarts = self.restart.is_some() && self.is_restart(access);
        self.probe.on(if restarts { Event::Restart(access) } else { Event::Access(access) });
        Ok(())
    }

    /// Returns true if this first access after the return from a trap is the one that caused the trap.
    fn is_restart(&mut self, access: Access) -> bool {
        let repaired = self.restart.take();
        self.rekey();
        repaired == Some(access)
    }

    /// Translates the access, and fills the hot table if it can serve the page.
    #[inline(always)]
    pub(crate) fn translate(&mut self, access: Access) -> Result<Located, Fault> {
        let Self { unit, bus, probe, pieces, .. } = self;
        let (found, first) = pieces::translate(access, unit, bus, probe, pieces)?;
        self.remember(access, first);
        Ok(found)
    }

    /// Fills the hot table if the unit gave a ticket for this RAM page.
    #[inline]
    fn remember(&mut self, access: Access, found: Translation) {
        let Some(ticket) = found.ticket else { return };
        // By contract the page is aligned on the bus. A unit that breaks the contract must cost time, and no
        // bytes.
        let aligned = found.addr.offset(RAM_PAGE_BITS) == access.addr.offset(RAM_PAGE_BITS);
        if !self.accelerator || !aligned {
            return;
        }
        if let Some(offset) = self.bus.ram_page(found.addr) {
            self.hot.fill(access, ticket, found.addr.align_down(RAM_PAGE_BITS), offset);
        }
    }

    /// Reads a number for the program.
    #[inline(always)]
    pub(crate) fn load_found(
        &mut self,
        access: Access,
        found: Located,
        width: Width,
    ) -> Result<u64, Fault> {
        match found {
            Located::Whole(addr) => {
                Piece { access, addr }.load(&mut self.bus, &mut self.probe, width)
            }
            Located::Pieces => {
                let mut bytes = [0; 8];
                let bytes = &mut bytes[..width as usize];
                self.read_pieces(bytes).map(|()| take(bytes))
            }
        }
    }

    /// Writes a number of the program, and breaks a reservation of its bytes.
    #[inline(always)]
    pub(crate) fn store_found(
        &mut self,
        access: Access,
        found: Located,
        width: Width,
        value: u64,
    ) -> Result<(), Fault> {
        match found {
            Located::Whole(addr) => {
                Piece { access, addr }.store(&mut self.bus, &mut self.probe, width, value)?;
            }
            Located::Pieces => self.write_pieces(&value.to_le_bytes()[..width as usize])?,
        }
        self.break_reservation(access, found);
        Ok(())
    }

    /// Asks the bus about all pieces before the first one moves. The bus refuses a contiguous piece as a whole.
    #[inline(never)]
    fn read_pieces(&mut self, bytes: &mut [u8]) -> Result<(), Fault> {
        pieces::check(&self.pieces, &self.bus, Transfer::Read)?;
        pieces::read(&self.pieces, &mut self.bus, &mut self.probe, bytes)
    }

    #[inline(never)]
    fn write_pieces(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        pieces::check(&self.pieces, &self.bus, Transfer::Write)?;
        pieces::write(&self.pieces, &mut self.bus, &mut self.probe, bytes)
    }

    /// Raises the fault of a piece of `access` as an exception.
    #[cold]
    pub(crate) fn refuse(&mut self, access: Access, fault: Fault) -> Stop {
        self.probe.on(Event::Fault { access, cause: fault.cause });
        self.raise(Exception::Fault(fault.within(access)))
    }

    /// Refuses a number of bytes that no access can have: too many are out of bounds, and none are no access.
    #[cold]
    pub(crate) fn refuse_size(&mut self, access: Access, len: usize) -> Result<(), Stop> {
        self.running()?;
        if len == 0 {
            return Ok(());
        }
        let access = access.at(access.addr, u32::MAX);
        self.begin(access)?;
        Err(self.refuse(access, Fault::new(access, Cause::Bounds)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use emmu_base_bounds::{BaseBounds, Convention};
    use emmu_core::Privilege;
    use emmu_memory::Memory;

    type Machine = Cpu<BaseBounds, Memory>;

    const ADDR: VirtAddr = VirtAddr::new(0x2000);

    /// Reads and writes ADDR, calls `then`, and returns if ADDR can then be read and written by the short path.
    fn hot(then: fn(&mut Machine)) -> (bool, bool) {
        let mut cpu = Cpu::new(BaseBounds::new(Convention::Size), Memory::ram(1 << 20));
        assert_eq!(cpu.load(ADDR, Width::B8), Ok(0));
        assert_eq!(cpu.store(ADDR, Width::B8, 0), Ok(()));
        then(&mut cpu);
        let read = cpu.hot_bytes(cpu.keys.read, Access::load(ADDR, 8)).is_ok();
        let write = cpu.hot_bytes_mut(cpu.keys.write, Access::store(ADDR, 8)).is_ok();
        (read, write)
    }

    #[test]
    fn a_second_access_takes_the_short_path() {
        assert_eq!(hot(|_| ()), (true, true));
    }

    #[test]
    fn the_short_path_is_closed_when_something_behind_it_may_have_changed() {
        assert_eq!(hot(|cpu| cpu.set_accelerator(false)), (false, false));
        assert_eq!(hot(|cpu| _ = cpu.bus_mut()), (false, false));
        assert_eq!(hot(|cpu| _ = cpu.unit_mut()), (false, false));
        assert_eq!(hot(|cpu| cpu.write_register(BaseBounds::BASE, 5).unwrap()), (false, false));
        assert_eq!(hot(|cpu| cpu.set_privilege(Privilege::User)), (false, false));
    }

    #[test]
    fn the_short_path_is_closed_to_a_halted_cpu() {
        assert_eq!(hot(|cpu| _ = cpu.system_call()), (false, false));
    }

    #[test]
    fn the_short_path_is_closed_until_the_restart() {
        let fault = |cpu: &mut Machine| {
            cpu.install_handler(VirtAddr::new(0)).unwrap();
            cpu.load(VirtAddr::new(u64::MAX), Width::B1).unwrap_err();
            cpu.return_from_trap().unwrap();
        };
        assert_eq!(hot(fault), (false, false));
        let restarted = |cpu: &mut Machine| {
            cpu.install_handler(VirtAddr::new(0)).unwrap();
            cpu.load(VirtAddr::new(u64::MAX), Width::B1).unwrap_err();
            cpu.return_from_trap().unwrap();
            cpu.load(ADDR, Width::B1).unwrap();
        };
        assert_eq!(hot(restarted), (true, true));
    }

    #[test]
    fn the_short_path_of_writes_is_closed_while_something_is_reserved() {
        let reserve = |cpu: &mut Machine| _ = cpu.load_reserved(ADDR, Width::B4).unwrap();
        assert_eq!(hot(reserve), (true, false));
        let done = |cpu: &mut Machine| {
            cpu.load_reserved(ADDR, Width::B4).unwrap();
            assert_eq!(cpu.store_conditional(ADDR, Width::B4, 0), Ok(true));
        };
        assert_eq!(hot(done), (true, true));
    }
}
