//! The segment table in memory against its definition, one byte at a time in wide signed arithmetic.

use emmu_assoc::{Geometry, Policy};
use emmu_core::{
    Access, AccessKind, Bus, Cause, Event, Fault, FaultEntry, Invalidate, PhysAddr, Privilege,
    Translation, TranslationUnit, VirtAddr,
};
use emmu_cpu::Cpu;
use emmu_memory::Memory;
use emmu_property::{Arbitrary, Gen, quickcheck};
use emmu_segmentation::SegmentTable;

const TABLE: u64 = 0x1000;
const RAM: u64 = 1 << 20;

/// A machine, its table as the operating system wrote it, and an access near something of interest.
#[derive(Clone, Debug)]
struct Case {
    shape: Shape,
    /// Base and flags word of every descriptor.
    table: Vec<(u64, u64)>,
    access: Access,
}

#[derive(Clone, Copy, Debug)]
struct Shape {
    selector_bits: u32,
    offset_bits: u32,
    cached: bool,
}

fn chosen<T: Copy>(g: &mut Gen, from: &[T]) -> T {
    *g.choose(from).expect("there is something to choose from")
}

impl Arbitrary for Shape {
    fn arbitrary(g: &mut Gen) -> Self {
        Self {
            selector_bits: chosen(g, &[0, 1, 3, 9]),
            offset_bits: chosen(g, &[1, 4, 12, 13, 16, 20, 55]),
            cached: bool::arbitrary(g),
        }
    }
}

impl Shape {
    fn max(self) -> u64 {
        1 << self.offset_bits
    }

    /// A descriptor that mostly makes sense.
    fn descriptor(self, g: &mut Gen) -> (u64, u64) {
        let max = self.max();
        let base = chosen(g, &[0, 18, 0x8000, 0x8000 + max, u64::MAX, u64::MAX - max / 2]);
        let bounds = chosen(g, &[0, 1, 5, max / 2, max - 1, max, max, max + 1]);
        let flags = u64::from(u8::arbitrary(g) | u8::arbitrary(g)) & 0xf;
        let present = u64::from(!u8::arbitrary(g).is_multiple_of(8)) << 4;
        let reserved = u64::from(u8::arbitrary(g).is_multiple_of(16)) << 6;
        (base, bounds << 8 | reserved | present | flags)
    }

    fn access(self, g: &mut Gen, table: &[(u64, u64)]) -> Access {
        let selector = u64::arbitrary(g) % (table.len() as u64 + 1);
        let bounds =
            table.get(usize::try_from(selector).expect("few")).map_or(0, |entry| entry.1 >> 8);
        let max = self.max();
        let edge = chosen(g, &[0, bounds, max.saturating_sub(bounds), max / 2, max, 4096]);
        let away = chosen(g, &[0, 0, 1, 2, 3, 7]);
        let offset =
            if bool::arbitrary(g) { edge.wrapping_add(away) } else { edge.wrapping_sub(away) };
        let addr = VirtAddr::new((selector << self.offset_bits).wrapping_add(offset));
        let privilege = if u8::arbitrary(g) < 8 { Privilege::Supervisor } else { Privilege::User };
        Access::new(chosen(g, &AccessKind::ALL), addr, 1).with_privilege(privilege)
    }

    fn unit(self) -> SegmentTable {
        let cache = Geometry::new(2, 2, Policy::Lru).expect("a legal shape");
        let bits = self.selector_bits + self.offset_bits;
        SegmentTable::new(bits, self.selector_bits, self.cached.then_some(cache))
            .expect("a legal shape")
    }
}

impl Arbitrary for Case {
    fn arbitrary(g: &mut Gen) -> Self {
        let shape = Shape::arbitrary(g);
        let length = 1 + u64::arbitrary(g) % (1 << shape.selector_bits);
        let table: Vec<_> = (0..length).map(|_| shape.descriptor(g)).collect();
        let access = shape.access(g, &table);
        Self { shape, table, access }
    }
}

impl Case {
    fn machine(&self) -> (SegmentTable, Memory) {
        let (mut unit, mut memory) = (self.shape.unit(), Memory::ram(RAM));
        for (number, entry) in (0..).zip(&self.table) {
            put(&mut memory, number, *entry);
        }
        write(&mut unit, &mut memory, SegmentTable::BASE, TABLE);
        write(&mut unit, &mut memory, SegmentTable::LENGTH, self.table.len() as u64);
        (unit, memory)
    }

    /// Where the byte at `addr` is, by the definition; the number of its segment, where it has one.
    fn byte(&self, addr: i128) -> Result<(u64, i128), (Cause, Option<u64>)> {
        if self.access.privilege != Privilege::User {
            return if addr < 1 << 64 { Ok((0, addr)) } else { Err((Cause::Bounds, None)) };
        }
        let max = i128::from(self.shape.max());
        if addr >= max << self.shape.selector_bits {
            return Err((Cause::NonCanonical, None));
        }
        let number = usize::try_from(addr / max).expect("few");
        let &(base, word) = self.table.get(number).ok_or((Cause::NoSegment, None))?;
        let refused = |cause| (cause, Some(word));
        if word & 16 == 0 {
            return Err(refused(Cause::Absent));
        }
        let bounds = i128::from(word >> 8);
        if word & 0xe0 != 0 || bounds > max {
            return Err(refused(Cause::Reserved));
        }
        let distance = if word & 8 != 0 { addr % max - max } else { addr % max };
        let inside = if word & 8 != 0 { -distance <= bounds } else { distance < bounds };
        let place = i128::from(base) + distance;
        if !inside || !(0..1 << 64).contains(&place) {
            return Err(refused(Cause::Bounds));
        }
        let needed = match self.access.kind {
            AccessKind::Load => 1,
            AccessKind::Store => 2,
            AccessKind::Amo => 3,
            AccessKind::Fetch => 4,
        };
        if word & needed != needed {
            return Err(refused(Cause::Permission));
        }
        Ok((number as u64, place))
    }

    fn fault(&self, cause: Cause, word: Option<u64>) -> Fault {
        let number = self.access.addr.raw() >> self.shape.offset_bits;
        let fault = Fault::new(self.access, cause);
        let entry = |raw| {
            let addr = PhysAddr::new(TABLE + 16 * number + 8);
            fault.with_entry(FaultEntry { level: 0, addr, raw: Some(raw) })
        };
        word.map_or(fault, entry)
    }
}

fn put(memory: &mut Memory, number: u64, (base, word): (u64, u64)) {
    let bytes = [base.to_le_bytes(), word.to_le_bytes()].concat();
    memory.write_bytes(PhysAddr::new(TABLE + 16 * number), &bytes).expect("memory is there");
}

fn write(unit: &mut SegmentTable, memory: &mut Memory, id: emmu_core::RegisterId, value: u64) {
    unit.write_register(id, value, memory, &mut ()).expect("a legal value");
}

/// Distances at which to look at a span: all of a short one, the ends and a few more of a long one.
fn distances(span: u64) -> Vec<u64> {
    if span <= 600 {
        return (0..span).collect();
    }
    let some = [0, 1, 4095, 4096, span / 3, span / 2, span - 2, span - 1];
    some.into_iter().filter(|&far| far < span).collect()
}

quickcheck! {
    fn every_byte_is_where_its_descriptor_has_it(case: Case) -> bool {
        let (mut unit, mut memory) = case.machine();
        let expected = case.byte(case.access.addr.raw().into());
        // The second time a cached descriptor answers, or refuses and is read again.
        (0..2).all(|_| {
            let found = unit.translate(case.access, &mut memory, &mut ());
            let place = found.map(|found| i128::from(found.addr.raw()));
            place == expected.map(|(_, place)| place).map_err(|(cause, word)| case.fault(cause, word))
        })
    }

    fn a_span_ends_exactly_where_the_segment_or_contiguity_does(case: Case) -> bool {
        let (mut unit, mut memory) = case.machine();
        let Ok(found) = unit.translate(case.access, &mut memory, &mut ()) else { return true };
        let addr = i128::from(case.access.addr.raw());
        let Ok((number, place)) = case.byte(addr) else { return false };
        let continues = |far: u64| {
            case.byte(addr + i128::from(far)) == Ok((number, place + i128::from(far)))
        };
        let ends = found.span == u64::MAX || !continues(found.span);
        found.span > 0 && ends && distances(found.span).into_iter().all(continues)
    }

    fn peek_says_what_translate_says_and_gives_no_ticket(case: Case) -> bool {
        let (mut unit, mut memory) = case.machine();
        let peeked = TranslationUnit::<Memory, ()>::peek(&unit, case.access, &memory);
        let translated = unit.translate(case.access, &mut memory, &mut ());
        peeked == translated.map(|found| Translation { ticket: None, ..found })
    }

    fn a_ticket_repeats_the_whole_page_and_tells_what_a_hit_tells(case: Case) -> bool {
        let (mut unit, mut memory) = case.machine();
        let Ok(Translation { ticket: Some(ticket), .. }) =
            unit.translate(case.access, &mut memory, &mut ())
        else {
            return true;
        };
        let page = i128::from(case.access.addr.raw()) / 4096 * 4096;
        let (_, frame) = case.byte(page).expect("a page with a ticket is mapped");
        let (mut told, mut repeated) = (Vec::<Event>::new(), Vec::<Event>::new());
        let _ = unit.translate(case.access, &mut memory, &mut told);
        frame % 4096 == 0
            && (0..4096).all(|far| case.byte(page + far).map(|(_, at)| at) == Ok(frame + far))
            && TranslationUnit::<Memory, Vec<Event>>::repeat(&mut unit, ticket, case.access, &mut repeated)
            && told == repeated
    }

    fn tickets_end_with_register_writes_and_invalidations(case: Case, which: u8) -> bool {
        let (mut unit, mut memory) = case.machine();
        let Ok(Translation { ticket: Some(ticket), .. }) =
            unit.translate(case.access, &mut memory, &mut ())
        else {
            return true;
        };
        match which % 3 {
            0 => write(&mut unit, &mut memory, SegmentTable::BASE, TABLE),
            1 => write(&mut unit, &mut memory, SegmentTable::LENGTH, 0),
            _ => TranslationUnit::<Memory, ()>::invalidate(&mut unit, Invalidate::All),
        }
        !TranslationUnit::<Memory, ()>::repeat(&mut unit, ticket, case.access, &mut ())
    }
}

/// An operation of a program or of its operating system.
#[derive(Clone, Debug)]
enum Op {
    /// Access number and size.
    Access(AccessKind, u64, u32),
    /// Rewrites a descriptor, and invalidates as said.
    Describe(u64, (u64, u64), FenceKind),
    Length(u64),
    Base,
}

#[derive(Clone, Copy, Debug)]
enum FenceKind {
    All,
    Page,
    Range,
}

const OPS: Shape = Shape { selector_bits: 3, offset_bits: 14, cached: true };

impl Arbitrary for Op {
    fn arbitrary(g: &mut Gen) -> Self {
        let selector = u64::arbitrary(g) % 8;
        let offset = chosen(g, &[0, 1, 8, 4090, 4096, 8192, OPS.max() - 1, OPS.max() - 4096]);
        match u8::arbitrary(g) % 16 {
            0..=10 => {
                let kind = chosen(g, &[AccessKind::Load, AccessKind::Store, AccessKind::Fetch]);
                Self::Access(kind, selector << OPS.offset_bits | offset, chosen(g, &[1, 8, 5000]))
            }
            11..=13 => {
                let scope = chosen(g, &[FenceKind::All, FenceKind::Page, FenceKind::Range]);
                Self::Describe(selector, descriptor_in_ram(g), scope)
            }
            14 => Self::Length(u64::arbitrary(g) % 9),
            _ => Self::Base,
        }
    }
}

fn descriptor_in_ram(g: &mut Gen) -> (u64, u64) {
    let (_, word) = OPS.descriptor(g);
    (chosen(g, &[0x8000, 0x1_0000, 0x1_0000, 0x1_8018, 0x2_0000]), word)
}

type Machine = Cpu<SegmentTable, Memory, Vec<Event>>;

fn cpu(cached: bool) -> Machine {
    let unit = Shape { cached, ..OPS }.unit();
    let mut cpu = Cpu::with_probe(unit, Memory::ram(RAM), Vec::new());
    cpu.install_handler(VirtAddr::ZERO).expect("supervisor mode");
    cpu.write_register(SegmentTable::BASE, TABLE).expect("supervisor mode");
    cpu.write_register(SegmentTable::LENGTH, 8).expect("supervisor mode");
    cpu
}

/// Does one thing, and says all that a program gets to see of it.
fn perform(cpu: &mut Machine, op: &Op) -> Result<Vec<u8>, String> {
    cpu.set_privilege(Privilege::Supervisor);
    match *op {
        Op::Access(kind, addr, size) => {
            cpu.set_privilege(Privilege::User);
            let access = Access::new(kind, VirtAddr::new(addr), 1).with_privilege(Privilege::User);
            let mut bytes = vec![0x5a; size as usize];
            let done = match kind {
                AccessKind::Store => cpu.write(access, &bytes),
                _ => cpu.read(access, &mut bytes),
            };
            done.map(|()| bytes).map_err(|stop| stop.to_string())
        }
        Op::Describe(number, (base, word), scope) => {
            let addr = VirtAddr::new(number << OPS.offset_bits);
            let at = VirtAddr::new(TABLE + 16 * number);
            let bytes = [base.to_le_bytes(), word.to_le_bytes()].concat();
            cpu.store_bytes(at, &bytes).expect("the table is memory");
            let scope = match scope {
                FenceKind::All => Invalidate::All,
                FenceKind::Page => Invalidate::Page(addr),
                FenceKind::Range => Invalidate::Range { addr, len: 1, asid: None },
            };
            cpu.invalidate(scope).expect("supervisor mode");
            Ok(Vec::new())
        }
        Op::Length(length) => {
            cpu.write_register(SegmentTable::LENGTH, length).expect("a legal value");
            Ok(Vec::new())
        }
        Op::Base => {
            cpu.write_register(SegmentTable::BASE, TABLE).expect("a legal value");
            Ok(Vec::new())
        }
    }
}

quickcheck! {
    fn the_accelerator_changes_neither_results_nor_events(ops: Vec<Op>) -> bool {
        let (mut with, mut without) = (cpu(true), cpu(true));
        without.set_accelerator(false);
        ops.iter().all(|op| perform(&mut with, op) == perform(&mut without, op))
            && with.probe() == without.probe()
    }

    fn a_cache_that_is_told_of_changes_is_not_seen_by_programs(ops: Vec<Op>) -> bool {
        let (mut with, mut without) = (cpu(true), cpu(false));
        ops.iter().all(|op| perform(&mut with, op) == perform(&mut without, op))
    }
}
