//! Tests of a machine with its segment table in memory, one behaviour each.

use emmu_assoc::{Geometry, Policy};
use emmu_core::{
    Access, Asid, Bus, BusError, Cause, Event, Invalidate, PhysAddr, Privilege, RegisterError,
    Registers, Side, TlbId, TranslationUnit, VirtAddr, Width, find_register,
};
use emmu_cpu::{Cpu, Trap};
use emmu_memory::Memory;
use emmu_segmentation::{Descriptor, GeometryError, Segment, SegmentFlags, SegmentTable};
use emmu_timing::{Counters, Cycles, Machine};

const TABLE: u64 = 0x1000;
const RW: SegmentFlags = SegmentFlags::READ.union(SegmentFlags::WRITE);
const CACHE: TlbId = TlbId { level: 1, side: Side::Unified };

/// 32-bit addresses, 12 bits of them the segment; all 4096 segments are described, as absent.
fn machine(entries: Option<u32>) -> (SegmentTable, Memory) {
    let geometry =
        entries.map(|entries| Geometry::fully_associative(entries, Policy::Lru).unwrap());
    let mut unit = SegmentTable::new(32, 12, geometry).unwrap();
    let mut memory = Memory::ram(1 << 20);
    unit.write_register(SegmentTable::BASE, TABLE, &mut memory, &mut ()).unwrap();
    unit.write_register(SegmentTable::LENGTH, 4096, &mut memory, &mut ()).unwrap();
    (unit, memory)
}

fn describe(memory: &mut Memory, number: u64, segment: Segment) {
    let bytes = Descriptor::present(segment).unwrap().to_bytes();
    memory.write_bytes(PhysAddr::new(TABLE + 16 * number), &bytes).unwrap();
}

fn at(number: u64, offset: u64) -> VirtAddr {
    VirtAddr::new(number << 20 | offset)
}

fn load(number: u64, offset: u64) -> Access {
    Access::load(at(number, offset), 1).with_privilege(Privilege::User)
}

fn place(unit: &mut SegmentTable, memory: &mut Memory, access: Access) -> Result<u64, Cause> {
    unit.translate(access, memory, &mut ())
        .map(|found| found.addr.raw())
        .map_err(|fault| fault.cause)
}

fn reads(events: &[Event]) -> usize {
    events.iter().filter(|event| matches!(event, Event::EntryRead { .. })).count()
}

#[test]
fn thousands_of_segments_go_each_to_its_own_place() {
    let (mut unit, mut memory) = machine(Some(16));
    for number in 0..4096 {
        describe(
            &mut memory,
            number,
            Segment { base: 0x2_0000 + 16 * number, bounds: 16, flags: RW },
        );
    }
    for number in 0..4096 {
        assert_eq!(place(&mut unit, &mut memory, load(number, 15)), Ok(0x2_000f + 16 * number));
        assert_eq!(place(&mut unit, &mut memory, load(number, 16)), Err(Cause::Bounds));
    }
}

#[test]
fn a_miss_reads_both_words_and_a_hit_reads_nothing() {
    let (mut unit, mut memory) = machine(Some(2));
    describe(&mut memory, 7, Segment { base: 0x8000, bounds: 100, flags: RW });
    let access = load(7, 42);
    let (mut first, mut second) = (Vec::new(), Vec::new());
    unit.translate(access, &mut memory, &mut first).unwrap();
    unit.translate(access, &mut memory, &mut second).unwrap();
    let addr = PhysAddr::new(TABLE + 16 * 7);
    assert_eq!(
        first,
        [
            Event::TlbMiss { tlb: CACHE, access },
            Event::WalkBegin(access),
            Event::EntryRead {
                level: 0,
                addr: PhysAddr::new(TABLE + 16 * 7 + 8),
                raw: 100 << 8 | 0b1_0011
            },
            Event::EntryRead { level: 0, addr, raw: 0x8000 },
            Event::WalkEnd { faulted: false },
            Event::TlbFill { tlb: CACHE, page: at(7, 0), bits: 20 },
        ]
    );
    assert_eq!(second, [Event::TlbHit { tlb: CACHE, access }]);
}

#[test]
fn without_a_cache_every_access_reads_its_descriptor() {
    let (mut unit, mut memory) = machine(None);
    describe(&mut memory, 7, Segment { base: 0x8000, bounds: 100, flags: RW });
    let mut events = Vec::new();
    for _ in 0..3 {
        unit.translate(load(7, 42), &mut memory, &mut events).unwrap();
    }
    assert_eq!(reads(&events), 6);
    assert!(
        !events.iter().any(|event| matches!(event, Event::TlbMiss { .. } | Event::TlbFill { .. }))
    );
}

#[test]
fn counters_and_cycles_price_the_misses() {
    // A lookup takes 1 cycle, memory 100, and its lines 5 from then on: the two words of the descriptor are in
    // one line, all loads in another.
    let preset = Machine::preset("textbook-sv39").unwrap();
    let (unit, mut memory) = machine(Some(2));
    describe(&mut memory, 7, Segment { base: 0x8000, bounds: 4096, flags: RW });
    let probe = (Counters::default(), Cycles::new(&preset));
    let mut cpu = Cpu::with_probe(unit, memory, probe);
    cpu.set_privilege(Privilege::User);
    for _ in 0..101 {
        cpu.load(at(7, 8), Width::B8).unwrap();
    }
    let (counters, cycles) = cpu.probe();
    assert_eq!((counters.tlb(CACHE).hits.total(), counters.tlb(CACHE).misses.total()), (100, 1));
    assert_eq!(counters.entry_reads()[0], 2);
    assert_eq!(cycles.total(), 101 + (100 + 5) + (100 + 100 * 5));
}

#[test]
fn an_absent_segment_is_brought_in_by_the_handler_and_the_access_restarts() {
    let (unit, memory) = machine(Some(4));
    let mut cpu = Cpu::with_probe(unit, memory, Vec::new());
    cpu.install_handler(VirtAddr::new(0x4000)).unwrap();
    cpu.set_trap(Trap::start(at(0, 0), Privilege::User)).unwrap();
    cpu.return_from_trap().unwrap();

    let fault = cpu.store(at(9, 5), Width::B1, 0x2a).unwrap_err().fault().unwrap();
    assert_eq!(fault.cause, Cause::Absent);
    let word = fault.entry.unwrap().addr.raw();
    assert_eq!(word, TABLE + 16 * 9 + 8);
    // The handler finds the descriptor, gives the segment memory and returns.
    let bytes =
        Descriptor::present(Segment { base: 0x9000, bounds: 64, flags: RW }).unwrap().to_bytes();
    cpu.store_bytes(VirtAddr::new(word - 8), &bytes).unwrap();
    cpu.return_from_trap().unwrap();
    cpu.store(at(9, 5), Width::B1, 0x2a).unwrap();
    assert_eq!(cpu.bus().peek(PhysAddr::new(0x9005), Width::B1), Ok(0x2a));
    assert!(cpu.probe().iter().any(|event| matches!(event, Event::Restart(_))));
}

#[test]
fn an_absent_descriptor_costs_one_read_and_may_hold_anything() {
    let (mut unit, mut memory) = machine(Some(4));
    memory.write(PhysAddr::new(TABLE + 8), Width::B8, !0b1_0000).unwrap();
    let mut events = Vec::new();
    let fault = unit.translate(load(0, 0), &mut memory, &mut events).unwrap_err();
    assert_eq!((fault.cause, reads(&events)), (Cause::Absent, 1));
}

#[test]
fn a_segment_may_grow_without_an_invalidation() {
    let (mut unit, mut memory) = machine(Some(4));
    describe(&mut memory, 1, Segment { base: 0x8000, bounds: 10, flags: RW });
    assert_eq!(place(&mut unit, &mut memory, load(1, 10)), Err(Cause::Bounds));
    describe(&mut memory, 1, Segment { base: 0x8000, bounds: 20, flags: RW });
    assert_eq!(place(&mut unit, &mut memory, load(1, 10)), Ok(0x800a));
}

#[test]
fn a_segment_that_shrinks_or_moves_is_stale_until_an_invalidation() {
    let scopes = [
        Invalidate::All,
        Invalidate::NonGlobal,
        Invalidate::Asid(Asid(0)),
        Invalidate::Page(at(1, 99)),
        Invalidate::PageInAsid { addr: at(1, 0), asid: Asid(3), global: false },
        Invalidate::Range { addr: at(0, 5), len: 1 << 20, asid: None },
    ];
    for scope in scopes {
        let (mut unit, mut memory) = machine(Some(4));
        describe(&mut memory, 1, Segment { base: 0x8000, bounds: 10, flags: RW });
        assert_eq!(place(&mut unit, &mut memory, load(1, 9)), Ok(0x8009));
        describe(&mut memory, 1, Segment { base: 0xa000, bounds: 5, flags: RW });
        assert_eq!(place(&mut unit, &mut memory, load(1, 9)), Ok(0x8009), "stale");
        TranslationUnit::<Memory, ()>::invalidate(&mut unit, scope);
        assert_eq!(place(&mut unit, &mut memory, load(1, 4)), Ok(0xa004), "{scope:?}");
        assert_eq!(place(&mut unit, &mut memory, load(1, 9)), Err(Cause::Bounds), "{scope:?}");
    }
}

#[test]
fn an_invalidation_of_one_segment_leaves_the_others() {
    for scope in
        [Invalidate::Page(at(1, 0)), Invalidate::Range { addr: at(1, 7), len: 1, asid: None }]
    {
        let (mut unit, mut memory) = machine(Some(4));
        for number in [1, 2] {
            describe(&mut memory, number, Segment { base: 0x8000, bounds: 10, flags: RW });
            place(&mut unit, &mut memory, load(number, 0)).unwrap();
        }
        TranslationUnit::<Memory, Vec<Event>>::invalidate(&mut unit, scope);
        let mut events = Vec::new();
        unit.translate(load(2, 0), &mut memory, &mut events).unwrap();
        assert_eq!(reads(&events), 0, "{scope:?}");
        unit.translate(load(1, 0), &mut memory, &mut events).unwrap();
        assert_eq!(reads(&events), 2, "{scope:?}");
    }
}

#[test]
fn a_denied_hit_that_turns_out_absent_is_forgotten() {
    let (mut unit, mut memory) = machine(Some(4));
    describe(&mut memory, 1, Segment { base: 0x8000, bounds: 10, flags: RW });
    assert_eq!(place(&mut unit, &mut memory, load(1, 0)), Ok(0x8000));
    memory.write(PhysAddr::new(TABLE + 16 + 8), Width::B8, 0).unwrap();
    assert_eq!(place(&mut unit, &mut memory, load(1, 10)), Err(Cause::Absent));
    assert_eq!(place(&mut unit, &mut memory, load(1, 0)), Err(Cause::Absent));
}

#[test]
fn switching_programs_is_writing_the_base_register() {
    let (unit, mut memory) = machine(Some(4));
    describe(&mut memory, 0, Segment { base: 0x8000, bounds: 10, flags: RW });
    let other = Descriptor::present(Segment { base: 0x9000, bounds: 10, flags: RW }).unwrap();
    memory.write_bytes(PhysAddr::new(0x2_0000), &other.to_bytes()).unwrap();
    let mut cpu = Cpu::new(unit, memory);
    let mut store = |table, value| {
        cpu.set_privilege(Privilege::Supervisor);
        cpu.write_register(SegmentTable::BASE, table).unwrap();
        cpu.set_privilege(Privilege::User);
        cpu.store(at(0, 3), Width::B1, value).unwrap();
    };
    [(TABLE, 1), (0x2_0000, 2), (TABLE, 3)]
        .into_iter()
        .for_each(|(table, value)| store(table, value));
    let held = [0x8003, 0x9003].map(|addr| cpu.bus().peek(PhysAddr::new(addr), Width::B1));
    assert_eq!(held, [Ok(3), Ok(2)]);
}

#[test]
fn two_tables_share_one_read_only_segment() {
    let (mut unit, mut memory) = machine(None);
    let shared = Segment { base: 0x8000, bounds: 16, flags: SegmentFlags::READ };
    describe(&mut memory, 3, shared);
    let bytes = Descriptor::present(shared).unwrap().to_bytes();
    memory.write_bytes(PhysAddr::new(0x2_0000), &bytes).unwrap();
    assert_eq!(place(&mut unit, &mut memory, load(3, 2)), Ok(0x8002));
    unit.write_register(SegmentTable::BASE, 0x2_0000, &mut memory, &mut ()).unwrap();
    assert_eq!(place(&mut unit, &mut memory, load(0, 2)), Ok(0x8002));
    let store = Access::store(at(0, 2), 1).with_privilege(Privilege::User);
    assert_eq!(place(&mut unit, &mut memory, store), Err(Cause::Permission));
}

#[test]
fn a_table_where_no_memory_is_faults_with_the_word_that_could_not_be_read() {
    let (mut unit, mut memory) = machine(Some(4));
    unit.write_register(SegmentTable::BASE, 1 << 40, &mut memory, &mut ()).unwrap();
    let fault = unit.translate(load(1, 0), &mut memory, &mut ()).unwrap_err();
    let addr = PhysAddr::new((1 << 40) + 24);
    assert_eq!(fault.cause, Cause::Bus(BusError::Unmapped { addr }));
    let entry = fault.entry.unwrap();
    assert_eq!((entry.addr, entry.raw), (addr, None));
}

#[test]
fn a_table_past_the_last_physical_address_faults() {
    let (mut unit, mut memory) = machine(Some(4));
    unit.write_register(SegmentTable::BASE, u64::MAX - 15, &mut memory, &mut ()).unwrap();
    assert_eq!(place(&mut unit, &mut memory, load(1, 0)), Err(Cause::AddressSize));
}

#[test]
fn the_table_ends_at_its_length_at_once() {
    let (mut unit, mut memory) = machine(Some(4));
    describe(&mut memory, 5, Segment { base: 0x8000, bounds: 10, flags: RW });
    assert_eq!(place(&mut unit, &mut memory, load(5, 0)), Ok(0x8000));
    unit.write_register(SegmentTable::LENGTH, 5, &mut memory, &mut ()).unwrap();
    assert_eq!(place(&mut unit, &mut memory, load(5, 0)), Err(Cause::NoSegment));
}

#[test]
fn registers_are_privileged_named_and_checked() {
    let (mut unit, mut memory) = machine(None);
    let ids = ["table_base", "table_length"]
        .map(|name| find_register(unit.registers(), name).unwrap().id);
    assert_eq!(ids, [SegmentTable::BASE, SegmentTable::LENGTH]);
    assert!(unit.registers().iter().all(|info| info.privilege == Privilege::Supervisor));
    for (id, value) in [(SegmentTable::BASE, 8), (SegmentTable::LENGTH, 4097)] {
        let refused = unit.write_register(id, value, &mut memory, &mut ());
        assert!(
            matches!(refused, Err(RegisterError::Reserved { value: told, .. }) if told == value)
        );
    }
    assert_eq!(ids.map(|id| unit.read_register(id)), [Ok(TABLE), Ok(4096)]);
}

#[test]
fn impossible_shapes_are_refused() {
    let refused = |address, selector| SegmentTable::new(address, selector, None).unwrap_err();
    assert_eq!(refused(64, 8), GeometryError::OffsetBits { offset_bits: 56 });
    assert_eq!(refused(8, 8), GeometryError::SelectorBits { selector_bits: 8, address_bits: 8 });
    assert_eq!(refused(0, 0), GeometryError::AddressBits { address_bits: 0 });
    assert!(SegmentTable::new(64, 9, None).is_ok());
}
