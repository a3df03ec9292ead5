//! Short functions that make events.

use emmu_core::{
    Access, AccessKind, Asid, Cause, Event, Invalidate, PhysAddr, Privilege, RegisterId, Side,
    TlbId, VirtAddr,
};
use emmu_property::{Arbitrary, Gen};

pub(crate) fn load(addr: u64) -> Access {
    Access::load(VirtAddr::new(addr), 8).with_privilege(Privilege::User)
}

pub(crate) fn fetch(addr: u64) -> Access {
    Access::fetch(VirtAddr::new(addr), 4).with_privilege(Privilege::User)
}

pub(crate) fn dtlb() -> TlbId {
    TlbId { level: 1, side: Side::Data }
}

pub(crate) fn stlb() -> TlbId {
    TlbId { level: 2, side: Side::Unified }
}

pub(crate) fn read(level: u8, addr: u64) -> Event {
    Event::EntryRead { level, addr: PhysAddr::new(addr), raw: 1 }
}

pub(crate) fn transfer(access: Access, addr: u64) -> Event {
    Event::Transfer { access, addr: PhysAddr::new(addr) }
}

/// Makes the events of a walk that reads these entries, each given by level and address.
pub(crate) fn walk(access: Access, entries: &[(u8, u64)]) -> Vec<Event> {
    let reads = entries.iter().map(|&(level, addr)| read(level, addr));
    let begin = [Event::WalkBegin(access)].into_iter();
    begin.chain(reads).chain([Event::WalkEnd { faulted: false }]).collect()
}

/// An arbitrary event. It need not make sense where it stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AnyEvent(pub(crate) Event);

impl Arbitrary for AnyEvent {
    fn arbitrary(g: &mut Gen) -> Self {
        let access = any_access(g);
        let tlb = TlbId { level: u8::arbitrary(g), side: any_of(g, &SIDES) };
        let (level, addr, raw) = (u8::arbitrary(g), PhysAddr::new(u64::arbitrary(g)), 0);
        let page = access.addr;
        let scopes = [
            Invalidate::All,
            Invalidate::NonGlobal,
            Invalidate::Asid(Asid(1)),
            Invalidate::Page(page),
            Invalidate::PageInAsid { addr: page, asid: Asid(1), global: false },
            Invalidate::Range { addr: page, len: 1, asid: None },
        ];
        let events = [
            Event::Access(access),
            Event::Restart(access),
            Event::TlbHit { tlb, access },
            Event::TlbMiss { tlb, access },
            Event::TlbFill { tlb, page, bits: 12 },
            Event::WalkBegin(access),
            Event::WalkCacheHit { level },
            Event::WalkCacheMiss,
            Event::EntryRead { level, addr, raw },
            Event::EntryUpdate { level, addr, raw },
            Event::WalkEnd { faulted: bool::arbitrary(g) },
            Event::Transfer { access, addr },
            Event::Fault { access, cause: any_of(g, &[Cause::Absent, Cause::Permission]) },
            Event::TrapEnter,
            Event::TrapReturn,
            Event::RegisterWrite(RegisterId(0x180)),
            Event::Invalidate(any_of(g, &scopes)),
        ];
        Self(any_of(g, &events))
    }
}

const SIDES: [Side; 3] = [Side::Instruction, Side::Data, Side::Unified];

fn any_access(g: &mut Gen) -> Access {
    let privileges = [Privilege::User, Privilege::Supervisor, Privilege::Machine];
    let kind = any_of(g, &AccessKind::ALL);
    let (addr, size) = (VirtAddr::new(u64::arbitrary(g)), u32::from(u8::arbitrary(g)));
    Access::new(kind, addr, size).with_privilege(any_of(g, &privileges))
}

fn any_of<T: Copy>(g: &mut Gen, values: &[T]) -> T {
    values[usize::arbitrary(g) % values.len()]
}
