//! The machine under test: a table of pages with a TLB in front, and memory with ROM, a device and holes.

use emmu_core::{
    Access, AccessKind, Bus, Cause, Event, Fault, FaultEntry, Invalidate, PhysAddr, Privilege,
    Probe, RegisterError, RegisterId, RegisterInfo, Registers, Side, Ticket, TlbId, Translation,
    TranslationUnit, VirtAddr, Width,
};
use emmu_cpu::{Cpu, Exception, Stop, Trap};
use emmu_memory::{Device, Memory, Refused};
use std::collections::BTreeMap;

pub(crate) const PAGE: u64 = 4096;
/// The first address of 64 KiB of RAM.
pub(crate) const RAM: u64 = 0x8000_0000;
/// The address of one page of ROM.
pub(crate) const ROM: u64 = 0x1000;
/// The address of a [`Doorbell`].
pub(crate) const DEVICE: u64 = 0x4000;
/// The address of a hole behind the ROM.
pub(crate) const HOLE: u64 = 0x2000;

pub(crate) const HANDLER: VirtAddr = VirtAddr::new(0xffff_0000);

/// The register that the program may read.
pub(crate) const SERIAL: RegisterId = RegisterId(0xc00);
/// The register that maps a page: see [`Mapping::register_value`].
pub(crate) const MAP: RegisterId = RegisterId(0x180);

static REGISTERS: [RegisterInfo; 2] = [
    RegisterInfo { id: SERIAL, name: "serial", privilege: Privilege::User, about: "42" },
    RegisterInfo { id: MAP, name: "map", privilege: Privilege::Supervisor, about: "maps a page" },
];

/// The frame of a page, and its permissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mapping {
    pub(crate) frame: u64,
    pub(crate) read: bool,
    pub(crate) write: bool,
    pub(crate) user: bool,
}

impl Mapping {
    pub(crate) fn all(frame: u64) -> Self {
        Self { frame, read: true, write: true, user: true }
    }

    pub(crate) fn permits(self, access: Access) -> bool {
        let kind = match access.kind {
            AccessKind::Fetch | AccessKind::Load => self.read,
            AccessKind::Store => self.write,
            AccessKind::Amo => self.read && self.write,
        };
        kind && (self.user || access.privilege > Privilege::User)
    }

    /// Bits 63:24 are the page number, extended by its sign; 23:3 the frame number; 2:0 the permissions.
    pub(crate) fn register_value(self, page: u64) -> u64 {
        let bits = [self.read, self.write, self.user];
        let bits = bits.iter().rev().fold(0, |all, &bit| all << 1 | u64::from(bit));
        page << 24 | (self.frame / PAGE) << 3 | bits
    }

    fn from_register_value(value: u64) -> (u64, Self) {
        let bit = |at: u32| value >> at & 1 == 1;
        let page = (value.cast_signed() >> 24).cast_unsigned() & (u64::MAX / PAGE);
        let frame = (value >> 3 & 0x1f_ffff) * PAGE;
        (page, Self { frame, read: bit(0), write: bit(1), user: bit(2) })
    }
}

/// One entry of the TLB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Slot {
    held: Option<(u64, Mapping)>,
    version: u32,
    stamp: u64,
}

impl Slot {
    fn holds(&self, page: u64) -> bool {
        self.held.is_some_and(|(held, _)| held == page)
    }
}

/// A unit with pages of 4 KiB and four LRU TLB entries, which stay until they are invalidated.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Paged {
    table: BTreeMap<u64, Mapping>,
    slots: [Slot; 4],
    clock: u64,
    epoch: u64,
}

impl Paged {
    const TLB: TlbId = TlbId { level: 1, side: Side::Unified };

    pub(crate) fn new(pages: impl IntoIterator<Item = (u64, Mapping)>) -> Self {
        Self { table: pages.into_iter().collect(), ..Self::default() }
    }

    fn walk(&self, access: Access) -> Result<Mapping, Fault> {
        let page = access.addr.raw() / PAGE;
        let entry = FaultEntry { level: 0, addr: PhysAddr::new(page * 8), raw: Some(0) };
        let absent = Fault::new(access, Cause::Absent).with_entry(entry);
        self.table.get(&page).copied().ok_or(absent)
    }

    fn fill(&mut self, page: u64, mapping: Mapping) -> u8 {
        let oldest = (0u8..4).min_by_key(|&slot| self.slots[usize::from(slot)].stamp).unwrap_or(0);
        let slot = &mut self.slots[usize::from(oldest)];
        *slot = Slot { held: Some((page, mapping)), version: slot.version + 1, stamp: 0 };
        oldest
    }

    fn touch(&mut self, slot: usize) {
        self.clock += 1;
        self.slots[slot].stamp = self.clock;
    }
}

/// Returns the rest of the page, if the mapping permits the access.
fn found(access: Access, mapping: Mapping) -> Result<Translation, Fault> {
    if !mapping.permits(access) {
        return Err(Fault::new(access, Cause::Permission));
    }
    let offset = access.addr.raw() % PAGE;
    Ok(Translation::new(PhysAddr::new(mapping.frame + offset), PAGE - offset))
}

impl Registers for Paged {
    fn registers(&self) -> &'static [RegisterInfo] {
        &REGISTERS
    }

    fn read_register(&self, id: RegisterId) -> Result<u64, RegisterError> {
        if id == SERIAL { Ok(42) } else { Err(RegisterError::Unknown { id }) }
    }
}

impl<B: ?Sized, P: Probe + ?Sized> TranslationUnit<B, P> for Paged {
    fn translate(
        &mut self,
        access: Access,
        _: &mut B,
        probe: &mut P,
    ) -> Result<Translation, Fault> {
        let page = access.addr.raw() / PAGE;
        let slot = match (0u8..4).zip(&self.slots).find(|(_, slot)| slot.holds(page)) {
            Some((slot, _)) => {
                probe.on(Event::TlbHit { tlb: Self::TLB, access });
                slot
            }
            None => {
                probe.on(Event::TlbMiss { tlb: Self::TLB, access });
                let mapping = self.walk(access)?;
                self.fill(page, mapping)
            }
        };
        self.touch(slot.into());
        let Slot { held, version, .. } = self.slots[usize::from(slot)];
        let (_, mapping) = held.expect("the slot was hit or filled");
        let ticket = Ticket { slot: slot.into(), version, epoch: self.epoch };
        Ok(Translation { ticket: Some(ticket), ..found(access, mapping)? })
    }

    fn peek(&self, access: Access, _: &B) -> Result<Translation, Fault> {
        found(access, self.walk(access)?)
    }

    fn write_register(
        &mut self,
        id: RegisterId,
        value: u64,
        _: &mut B,
        _: &mut P,
    ) -> Result<(), RegisterError> {
        match value {
            _ if id != MAP => Err(RegisterError::Unknown { id }),
            u64::MAX => Err(RegisterError::Reserved { name: "map", value, what: "all ones" }),
            0 => Err(RegisterError::NotModelled { name: "map", value, what: "zero" }),
            _ => {
                let (page, mapping) = Mapping::from_register_value(value);
                self.table.insert(page, mapping);
                Ok(())
            }
        }
    }

    fn invalidate(&mut self, _: Invalidate) {
        self.slots = self.slots.map(|slot| Slot { held: None, ..slot });
        self.epoch += 1;
    }

    fn repeat(&mut self, ticket: Ticket, access: Access, probe: &mut P) -> bool {
        let slot = ticket.slot as usize;
        if self.slots[slot].version != ticket.version || self.epoch != ticket.epoch {
            return false;
        }
        probe.on(Event::TlbHit { tlb: Self::TLB, access });
        self.touch(slot);
        true
    }
}

/// A device that counts its reads, and records their widths.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Doorbell {
    pub(crate) reads: Vec<Width>,
    pub(crate) writes: Vec<(u64, Width, u64)>,
}

impl Device for Doorbell {
    fn read(&mut self, _: u64, width: Width) -> Result<u64, Refused> {
        self.reads.push(width);
        Ok(self.reads.len() as u64)
    }

    fn write(&mut self, offset: u64, width: Width, value: u64) -> Result<(), Refused> {
        self.writes.push((offset, width, value));
        Ok(())
    }
}

/// A CPU that keeps all events.
pub(crate) type Machine = Cpu<Paged, Memory, Vec<Event>>;

pub(crate) fn memory() -> Memory {
    Memory::new()
        .with_ram(PhysAddr::new(RAM), 16 * PAGE)
        .and_then(|memory| memory.with_rom(PhysAddr::new(ROM), PAGE))
        .and_then(|memory| memory.with_device(PhysAddr::new(DEVICE), PAGE, Doorbell::default()))
        .expect("the regions are apart")
}

/// Makes a machine in supervisor mode with a handler and these pages.
pub(crate) fn machine(pages: &[(u64, Mapping)]) -> Machine {
    let unit = Paged::new(pages.iter().copied());
    let mut cpu = Cpu::with_probe(unit, memory(), Vec::new());
    cpu.install_handler(HANDLER).expect("the CPU boots in supervisor mode");
    cpu
}

/// Makes a machine whose pages 0 and 1 are the first frames of RAM, in exchanged order; the CPU is in user mode
/// at `pc` 0x40.
pub(crate) fn user_machine() -> Machine {
    let mut cpu = machine(&[(0, Mapping::all(RAM + PAGE)), (1, Mapping::all(RAM))]);
    enter_user(&mut cpu);
    cpu
}

pub(crate) fn enter_user<U: TranslationUnit<Memory, P>, P: Probe>(cpu: &mut Cpu<U, Memory, P>) {
    cpu.set_trap(Trap::start(VirtAddr::new(0x40), Privilege::User)).expect("supervisor mode");
    cpu.return_from_trap().expect("supervisor mode");
}

pub(crate) fn va(addr: u64) -> VirtAddr {
    VirtAddr::new(addr)
}

/// Returns the number that physical memory holds.
pub(crate) fn held(cpu: &Machine, addr: u64, width: Width) -> u64 {
    cpu.bus().peek(PhysAddr::new(addr), width).expect("there is memory")
}

/// Returns the fault that made the CPU trap.
pub(crate) fn trapped<T: std::fmt::Debug>(result: Result<T, Stop>) -> Fault {
    match result {
        Err(Stop::Trap(Exception::Fault(fault))) => fault,
        other => panic!("no fault was trapped: {other:?}"),
    }
}
