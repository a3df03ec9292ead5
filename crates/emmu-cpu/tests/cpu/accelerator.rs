//! The accelerator changes no result, no event and no state of the unit.

use crate::machine::{
    DEVICE, HANDLER, HOLE, MAP, Machine, Mapping, PAGE, Paged, RAM, ROM, memory, va,
};
use emmu_core::{
    Access, AccessFlags, AccessKind, Bus, DirtyPages, Event, Fault, Invalidate, PhysAddr,
    Privilege, Probe, RegisterError, RegisterId, RegisterInfo, Registers, Ticket, Translation,
    TranslationUnit, VirtAddr, WatchHit, Watched, Watchpoint, Watchpoints, Width,
};
use emmu_cpu::{Cpu, Stop, Trap};
use emmu_memory::Memory;
use emmu_property::{Arbitrary, Gen, quickcheck};
use std::collections::BTreeSet;

/// An operation of a program or of its operating system.
#[derive(Clone, Debug)]
enum Op {
    Read(AccessKind, u64, Width),
    Store(u64, Width, u64),
    ReadBytes(u64, usize, AccessFlags),
    WriteBytes(u64, usize),
    Amo(u64, Width),
    LoadReserved(u64, Width),
    StoreConditional(u64, Width),
    Map(u64, Mapping),
    Invalidate,
    SystemCall,
    EnterUser,
    Return,
    PokeBehind(u64),
}

/// A few pages, so that accesses meet them again. Some of them share entries of the accelerator's table.
const PAGES: [u64; 7] = [0, 1, 2, 0x100, 0x101, 1 << 32, u64::MAX / PAGE];
const FRAMES: [u64; 7] = [RAM, RAM + PAGE, RAM + 2 * PAGE, RAM + 3 * PAGE, ROM, DEVICE, HOLE];

fn chosen<T: Copy>(g: &mut Gen, from: &[T]) -> T {
    *g.choose(from).expect("there is something to choose from")
}

/// Draws an address, mostly inside a page, sometimes across its end.
fn address(g: &mut Gen) -> u64 {
    let offset = chosen(g, &[0, 8, 16, 24, 21, PAGE - 8, PAGE - 4, PAGE - 1]);
    chosen(g, &PAGES) * PAGE + offset
}

impl Arbitrary for Op {
    fn arbitrary(g: &mut Gen) -> Self {
        let (addr, width) = (address(g), chosen(g, &Width::ALL));
        let len = chosen(g, &[0, 1, 8, 16, 100, 4096, 9000]);
        let aligned = addr & !(width.bytes() - 1);
        match u8::arbitrary(g) % 24 {
            0..=6 => Self::Read(chosen(g, &[AccessKind::Fetch, AccessKind::Load]), addr, width),
            7..=11 => Self::Store(addr, width, u64::arbitrary(g)),
            12 => {
                Self::ReadBytes(addr, len, chosen(g, &[AccessFlags::empty(), AccessFlags::STACK]))
            }
            13 => Self::WriteBytes(addr, len),
            14 => Self::Amo(aligned, width),
            15 => Self::LoadReserved(aligned, width),
            16 => Self::StoreConditional(aligned, width),
            17..=19 => Self::Map(chosen(g, &PAGES), mapping(g)),
            20 if bool::arbitrary(g) => Self::Invalidate,
            20 | 21 => Self::EnterUser,
            22 => Self::Return,
            _ if bool::arbitrary(g) => Self::PokeBehind(chosen(g, &FRAMES[..4])),
            _ => Self::SystemCall,
        }
    }
}

fn mapping(g: &mut Gen) -> Mapping {
    let mut mostly = || u8::arbitrary(g) % 8 > 0;
    let (read, write, user) = (mostly(), mostly(), mostly() && mostly() && mostly());
    Mapping { frame: chosen(g, &FRAMES), read, write, user }
}

/// Performs an operation, and returns all that the caller can see of it.
fn perform(cpu: &mut Machine, op: &Op) -> Result<Vec<u8>, Stop> {
    let number = |value: u64| value.to_le_bytes().to_vec();
    let nothing = |()| Vec::new();
    match *op {
        Op::Read(AccessKind::Fetch, addr, width) => cpu.fetch(va(addr), width).map(number),
        Op::Read(_, addr, width) => cpu.load(va(addr), width).map(number),
        Op::Store(addr, width, value) => cpu.store(va(addr), width, value).map(nothing),
        Op::ReadBytes(addr, len, flags) => {
            let mut bytes = vec![0; len];
            let access = Access::load(va(addr), 0).with_flags(flags);
            cpu.read(access.with_privilege(Privilege::User), &mut bytes).map(|()| bytes)
        }
        Op::WriteBytes(addr, len) => cpu.store_bytes(va(addr), &vec![0x5a; len]).map(nothing),
        Op::Amo(addr, width) => cpu.amo(va(addr), width, |old| old.wrapping_mul(3)).map(number),
        Op::LoadReserved(addr, width) => cpu.load_reserved(va(addr), width).map(number),
        Op::StoreConditional(addr, width) => {
            cpu.store_conditional(va(addr), width, 9).map(|done| vec![done.into()])
        }
        Op::Map(page, mapping) => {
            cpu.write_register(MAP, mapping.register_value(page)).map(nothing)
        }
        Op::Invalidate => cpu.invalidate(Invalidate::All).map(nothing),
        Op::SystemCall => Err(cpu.system_call()),
        Op::EnterUser => {
            cpu.set_trap(Trap::start(va(0), Privilege::User))?;
            cpu.return_from_trap().map(nothing)
        }
        Op::Return => cpu.return_from_trap().map(nothing),
        Op::PokeBehind(frame) => {
            let bytes = [0xee; 32];
            cpu.bus_mut().load(PhysAddr::new(frame), &bytes).expect("frames are memory");
            Ok(Vec::new())
        }
    }
}

fn build(accelerator: bool) -> Machine {
    let mut cpu: Cpu<Paged, Memory, Vec<Event>> =
        Cpu::with_probe(Paged::default(), memory(), Vec::new());
    cpu.set_accelerator(accelerator);
    cpu.install_handler(HANDLER).expect("supervisor mode");
    for (page, frame) in PAGES.into_iter().zip(FRAMES) {
        let mapping = Mapping::all(frame);
        cpu.write_register(MAP, mapping.register_value(page)).expect("supervisor mode");
    }
    cpu
}

/// Returns all state of a machine that can be seen.
fn state(cpu: &Machine) -> impl PartialEq + use<> {
    let mut ram = vec![0; 4 * 4096];
    let whole = Machine::with_probe(identity(), cpu.bus().clone(), Vec::new());
    whole.peek(VirtAddr::new(0), &mut ram).expect("the frames are there");
    let mode = (cpu.privilege(), cpu.pc(), cpu.trap().copied(), cpu.halted());
    (cpu.unit().clone(), cpu.probe().clone(), mode, ram)
}

/// Maps addresses from 0 on to the RAM.
fn identity() -> Paged {
    Paged::new((0..4).map(|page| (page, Mapping::all(RAM + page * PAGE))))
}

/// Performs an operation. If it faults and `repair` is true, maps the page, returns and repeats the operation.
fn perform_with_repair(cpu: &mut Machine, op: &Op, repair: bool) -> [Result<Vec<u8>, Stop>; 2] {
    let first = perform(cpu, op);
    let fault = first.as_ref().err().and_then(Stop::fault).filter(|_| repair);
    let Some(fault) = fault else { return [first, Ok(Vec::new())] };
    let value = Mapping::all(RAM).register_value(fault.addr.raw() / PAGE);
    let repaired = cpu
        .write_register(MAP, value)
        .and_then(|()| cpu.invalidate(Invalidate::Page(fault.addr)))
        .and_then(|()| cpu.return_from_trap());
    [first, repaired.and_then(|()| perform(cpu, op))]
}

quickcheck! {
    fn the_accelerator_changes_nothing_that_can_be_seen(ops: Vec<(Op, bool)>) -> bool {
        let (mut with, mut without) = (build(true), build(false));
        let mut both = |(op, repair): &(Op, bool)| {
            perform_with_repair(&mut with, op, *repair) == perform_with_repair(&mut without, op, *repair)
        };
        ops.iter().all(&mut both) && state(&with) == state(&without)
    }

    fn no_store_escapes_dirty_pages_or_watchpoints(ops: Vec<Op>) -> bool {
        let machines = [true, false].map(|accelerator| {
            let mut cpu = build(accelerator);
            // The CPU tells no event of writes that the host makes.
            let ops = ops.iter().filter(|op| !matches!(op, Op::PokeBehind(_)));
            ops.for_each(|op| drop(perform(&mut cpu, op)));
            cpu
        });
        let [with, without] = machines.each_ref().map(watched);
        let changed = changed_frames(&machines[0]);
        with == without && changed.iter().all(|frame| with.0.contains(frame) && hit(&with.1, *frame))
    }
}

/// Returns what the two probes recorded.
fn watched(cpu: &Machine) -> (BTreeSet<PhysAddr>, Vec<WatchHit>) {
    let (first, last) = (PhysAddr::new(RAM), PhysAddr::new(RAM + 4 * PAGE - 1));
    let kinds = vec![AccessKind::Store, AccessKind::Amo];
    let point = Watchpoint { range: Watched::Physical(first, last), kinds };
    let mut probes = (DirtyPages::default(), Watchpoints::new([point]));
    cpu.probe().iter().for_each(|&event| probes.on(event));
    (probes.0.take(), probes.1.take())
}

/// Returns the frames of RAM that have changed.
fn changed_frames(cpu: &Machine) -> Vec<PhysAddr> {
    let before = memory();
    let frames = (0..4).map(|frame| PhysAddr::new(RAM + frame * PAGE));
    let differs = |frame: &PhysAddr| {
        let word = |bus: &Memory, at| bus.peek(frame.wrapping_add(at), Width::B8);
        (0..PAGE).step_by(8).any(|at| word(&before, at) != word(cpu.bus(), at))
    };
    frames.filter(differs).collect()
}

/// Returns true if a watchpoint reported an access to this frame.
fn hit(hits: &[WatchHit], frame: PhysAddr) -> bool {
    hits.iter().any(|hit| {
        let first = hit.addr.raw();
        first < frame.raw() + PAGE && frame.raw() < first + u64::from(hit.access.size)
    })
}

/// A unit that breaks the contract of tickets: its pages are not aligned on the bus.
struct Askew;

impl Registers for Askew {
    fn registers(&self) -> &'static [RegisterInfo] {
        &[]
    }
    fn read_register(&self, id: RegisterId) -> Result<u64, RegisterError> {
        Err(RegisterError::Unknown { id })
    }
}

impl<B, P> TranslationUnit<B, P> for Askew {
    fn translate(&mut self, access: Access, bus: &mut B, _: &mut P) -> Result<Translation, Fault> {
        let ticket = Ticket { slot: 0, version: 0, epoch: 0 };
        let found = TranslationUnit::<B, P>::peek(self, access, bus)?;
        Ok(Translation { ticket: Some(ticket), ..found })
    }
    fn peek(&self, access: Access, _: &B) -> Result<Translation, Fault> {
        Ok(Translation::new(PhysAddr::new(RAM + 1 + access.addr.raw()), PAGE))
    }
    fn write_register(
        &mut self,
        id: RegisterId,
        _: u64,
        _: &mut B,
        _: &mut P,
    ) -> Result<(), RegisterError> {
        Err(RegisterError::Unknown { id })
    }
    fn invalidate(&mut self, _: Invalidate) {}
    fn repeat(&mut self, _: Ticket, _: Access, _: &mut P) -> bool {
        true
    }
}

#[test]
fn a_ticket_for_a_page_that_is_not_aligned_is_not_used() {
    let mut cpu = Cpu::new(Askew, memory());
    for addr in [0, 8] {
        cpu.store(va(addr), Width::B8, 1 + addr).unwrap();
        let there = cpu.bus().peek(PhysAddr::new(RAM + 1 + addr), Width::B8);
        assert_eq!(there, Ok(1 + addr));
    }
}
