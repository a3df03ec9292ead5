//! Tests of segmentation as the textbook shows it, one behaviour each.

use emmu_base_bounds::{BaseBounds, Convention};
use emmu_core::{
    Access, AccessFlags, Bus, Cause, Chain, PhysAddr, Privilege, RegisterError, Registers,
    Transfer, Translation, TranslationUnit, VirtAddr, Width, find_register,
};
use emmu_memory::Memory;
use emmu_segmentation::{
    CODE, DATA, GeometryError, STACK, Segment, SegmentFlags, Segmentation, Selection,
    bounds_register, flags_register,
};

const RW: SegmentFlags = SegmentFlags::READ.union(SegmentFlags::WRITE);
const RX: SegmentFlags = SegmentFlags::READ.union(SegmentFlags::EXECUTE);
const DOWN: SegmentFlags = RW.union(SegmentFlags::GROWS_DOWN);

fn build(address_bits: u32, selection: Selection, segments: &[Segment]) -> Segmentation {
    let unit = Segmentation::new(address_bits, selection).expect("a legal shape");
    (0..).zip(segments).fold(unit, |unit, (number, segment)| {
        unit.with_segment(number, *segment).expect("legal values")
    })
}

/// OSTEP figure 16.3: code, heap and stack in 16 KiB, selected by the top 2 of 14 bits.
fn ostep() -> Segmentation {
    let kib = |n: u64| n * 1024;
    build(
        14,
        Selection::Explicit { selector_bits: 2, segments: 3 },
        &[
            Segment { base: kib(32), bounds: kib(2), flags: RX },
            Segment { base: kib(34), bounds: kib(3), flags: RW },
            Segment { base: kib(28), bounds: kib(2), flags: DOWN },
        ],
    )
}

fn ask(unit: &Segmentation, access: Access) -> Result<Translation, Cause> {
    let user = access.with_privilege(Privilege::User);
    TranslationUnit::<(), ()>::peek(unit, user, &()).map_err(|fault| fault.cause)
}

fn load(addr: u64) -> Access {
    Access::load(VirtAddr::new(addr), 1)
}

fn place(unit: &Segmentation, access: Access) -> Result<u64, Cause> {
    ask(unit, access).map(|found| found.addr.raw())
}

#[test]
fn the_top_two_bits_select_the_segment_and_the_rest_is_the_offset() {
    assert_eq!(place(&ostep(), load(100)), Ok(32 * 1024 + 100));
    assert_eq!(place(&ostep(), load(0b01_0000_0110_1000)), Ok(34 * 1024 + 104));
}

#[test]
fn the_fourth_selector_of_three_segments_faults() {
    assert_eq!(place(&ostep(), load(3 << 12)), Err(Cause::NoSegment));
}

#[test]
fn an_address_wider_than_the_space_faults() {
    assert_eq!(place(&ostep(), load(1 << 14)), Err(Cause::NonCanonical));
}

#[test]
fn a_stack_grows_down_from_its_base() {
    // OSTEP 16.3: the address 15 KiB, an offset of 3 KiB of 4, is 1 KiB below the base.
    assert_eq!(place(&ostep(), load((2 << 12) + 3 * 1024)), Ok(27 * 1024));
    assert_eq!(place(&ostep(), load((2 << 12) + 2 * 1024)), Ok(26 * 1024));
    assert_eq!(place(&ostep(), load((2 << 12) + 2 * 1024 - 1)), Err(Cause::Bounds));
}

#[test]
fn ostep_base_18_bounds_5_growing_down_in_16_bytes() {
    let unit = build(
        4,
        Selection::Explicit { selector_bits: 0, segments: 1 },
        &[Segment { base: 18, bounds: 5, flags: DOWN }],
    );
    let places: Vec<_> = (11..16).map(|addr| place(&unit, load(addr))).collect();
    assert_eq!(places, [13, 14, 15, 16, 17].map(Ok));
    assert_eq!(place(&unit, load(10)), Err(Cause::Bounds));
    assert_eq!(ask(&unit, load(11)).map(|found| found.span), Ok(5));
}

#[test]
fn a_segment_that_would_pass_either_end_of_memory_faults_there() {
    let up = Segment { base: u64::MAX, bounds: 16, flags: RW };
    let down = Segment { base: 3, bounds: 16, flags: DOWN };
    let selection = Selection::Explicit { selector_bits: 1, segments: 2 };
    let unit = build(5, selection, &[up, down]);
    assert_eq!(ask(&unit, load(0)).map(|found| found.span), Ok(1));
    assert_eq!(place(&unit, load(1)), Err(Cause::Bounds));
    assert_eq!(place(&unit, load(29)), Ok(0));
    assert_eq!(place(&unit, load(28)), Err(Cause::Bounds));
}

#[test]
fn code_cannot_be_written_and_the_heap_cannot_be_executed() {
    assert_eq!(place(&ostep(), Access::store(VirtAddr::new(0), 1)), Err(Cause::Permission));
    assert_eq!(place(&ostep(), Access::fetch(VirtAddr::new(1 << 12), 4)), Err(Cause::Permission));
}

#[test]
fn an_amo_needs_both_read_and_write() {
    let only = |flags| {
        let segment = Segment { base: 0, bounds: 16, flags };
        let unit = build(4, Selection::Explicit { selector_bits: 0, segments: 1 }, &[segment]);
        ask(&unit, Access::amo(VirtAddr::ZERO, 1)).is_ok()
    };
    let allowed = [only(SegmentFlags::READ), only(SegmentFlags::WRITE), only(RW)];
    assert_eq!(allowed, [false, false, true]);
}

#[test]
fn out_of_bounds_comes_before_permission() {
    let past_code = Access::store(VirtAddr::new(2048), 1);
    assert_eq!(place(&ostep(), past_code), Err(Cause::Bounds));
}

#[test]
fn the_use_of_an_address_selects_its_segment_implicitly() {
    let segment = |base, flags| Segment { base, bounds: 100, flags };
    let mut segments = [Segment::default(); 3];
    segments[CODE as usize] = segment(1000, RX);
    segments[DATA as usize] = segment(2000, RW);
    segments[STACK as usize] = segment(3000, RW);
    let unit = build(32, Selection::Implicit, &segments);
    assert_eq!(place(&unit, Access::fetch(VirtAddr::new(7), 1)), Ok(1007));
    assert_eq!(place(&unit, load(7)), Ok(2007));
    assert_eq!(place(&unit, load(7).with_flags(AccessFlags::STACK)), Ok(3007));
}

#[test]
fn only_a_whole_page_that_stays_a_page_has_a_ticket() {
    let ticket = |base, bounds, flags| {
        let selection = Selection::Explicit { selector_bits: 0, segments: 1 };
        let unit = build(13, selection, &[Segment { base, bounds, flags }]);
        ask(&unit, load(0x1800)).is_ok_and(|found| found.ticket.is_some())
    };
    assert!(ticket(0x8000, 0x2000, RW));
    assert!(!ticket(0x8018, 0x2000, RW));
    assert!(!ticket(0x8000, 0x1fff, RW));
    assert!(ticket(0x8000, 0x1000, DOWN));
    assert!(!ticket(0x8000, 0x0fff, DOWN));
}

#[test]
fn where_the_stack_flag_decides_there_are_no_tickets() {
    let segment = Segment { base: 0x8000, bounds: 0x1000, flags: RW | RX };
    let unit = build(32, Selection::Implicit, &[segment; 3]);
    let ticket = |access| ask(&unit, access).is_ok_and(|found| found.ticket.is_some());
    assert_eq!([ticket(load(0)), ticket(Access::fetch(VirtAddr::ZERO, 4))], [false, true]);
}

#[test]
fn a_sparse_space_of_4_gib_costs_only_its_segments() {
    let mib = |n: u64| n << 20;
    let segments = [
        Segment { base: 0, bounds: mib(1), flags: RX },
        Segment { base: mib(1), bounds: mib(2), flags: RW },
        Segment { base: mib(4), bounds: mib(1), flags: DOWN },
    ];
    let unit = build(32, Selection::Explicit { selector_bits: 2, segments: 3 }, &segments);
    let memory = Memory::ram(mib(4));
    let last = [mib(1) - 1, (1 << 30) + mib(2) - 1, (3 << 30) - 1];
    let places = last.map(|addr| place(&unit, load(addr)).unwrap());
    assert_eq!(places, [mib(1) - 1, mib(3) - 1, mib(4) - 1]);
    for addr in places {
        assert_eq!(memory.check(PhysAddr::new(addr), 1, Transfer::Read), Ok(()));
    }
    assert_eq!(place(&unit, load(mib(1))), Err(Cause::Bounds));
    assert_eq!(place(&unit, load((3 << 30) - mib(1) - 1)), Err(Cause::Bounds));
}

#[test]
fn two_programs_share_one_copy_of_read_only_code() {
    let shared = Segment { base: 0x4000, bounds: 0x100, flags: RX };
    let own = |base| Segment { base, bounds: 0x100, flags: RW };
    let selection = Selection::Explicit { selector_bits: 1, segments: 2 };
    let programs = [0x5000, 0x6000].map(|base| build(14, selection, &[shared, own(base)]));

    let mut memory = Memory::ram(1 << 16);
    memory.write(PhysAddr::new(0x4010), Width::B1, 0x42).unwrap();
    for unit in &programs {
        let code = ask(unit, Access::fetch(VirtAddr::new(0x10), 1)).unwrap().addr;
        assert_eq!(memory.read(code, Width::B1), Ok(0x42));
        assert_eq!(place(unit, Access::store(VirtAddr::new(0x10), 1)), Err(Cause::Permission));
    }
    let [first, second] = programs.each_ref().map(|unit| place(unit, load(1 << 13)));
    assert_ne!(first, second);
    assert_eq!(memory.touched_frames(), 1);
}

#[test]
fn the_system_runs_in_physical_memory() {
    let access = Access::store(VirtAddr::new(1 << 40), 8);
    let found = TranslationUnit::<(), ()>::peek(&ostep(), access, &()).unwrap();
    assert_eq!(found.addr, PhysAddr::new(1 << 40));
}

#[test]
fn a_segment_number_that_is_too_large_is_no_register() {
    for number in [3, 15, 16, 1 << 30, u32::MAX] {
        let refused = ostep().with_segment(number, Segment::default()).unwrap_err();
        assert!(matches!(refused, RegisterError::Unknown { .. }), "{number}: {refused}");
    }
}

#[test]
fn segments_can_be_put_in_front_of_base_and_bounds() {
    let second = BaseBounds::new(Convention::Size).with_registers(100_000, 33_000);
    let chain = Chain::new(ostep(), second).unwrap();
    let user = load(100).with_privilege(Privilege::User);
    let found = TranslationUnit::<(), ()>::peek(&chain, user, &()).unwrap();
    assert_eq!(
        (found.addr.raw(), found.span),
        (100_000 + 32 * 1024 + 100, 33_000 - 32 * 1024 - 100)
    );
}

#[test]
fn every_segment_has_three_privileged_registers_with_names() {
    let unit = ostep();
    let registers = unit.registers();
    assert_eq!(registers.len(), 9);
    assert!(registers.iter().all(|info| info.privilege == Privilege::Supervisor));
    assert_eq!(find_register(registers, "seg2_bounds").unwrap().id, bounds_register(2));
    assert_eq!(find_register(registers, "seg3_base"), None);
}

#[test]
fn reserved_flag_bits_are_refused_by_name() {
    let refused = ostep().with_segment(1, Segment::default()).and_then(|mut unit| {
        TranslationUnit::<(), ()>::write_register(
            &mut unit,
            flags_register(1),
            0x10,
            &mut (),
            &mut (),
        )
    });
    let what = "bits 63:4 are reserved";
    assert_eq!(refused, Err(RegisterError::Reserved { name: "seg1_flags", value: 0x10, what }));
}

#[test]
fn bounds_larger_than_a_segment_can_be_are_refused() {
    let largest = Segment { bounds: 4096, ..Segment::default() };
    assert!(ostep().with_segment(0, largest).is_ok());
    let larger = Segment { bounds: 4097, ..Segment::default() };
    let refused = ostep().with_segment(0, larger).unwrap_err();
    assert!(matches!(refused, RegisterError::Reserved { name: "seg0_bounds", value: 4097, .. }));
}

#[test]
fn impossible_shapes_are_refused() {
    let explicit = |selector_bits, segments| Selection::Explicit { selector_bits, segments };
    let refused = |bits, selection| Segmentation::new(bits, selection).unwrap_err();
    let width = |address_bits| GeometryError::AddressBits { address_bits };
    let count = |segments, most| GeometryError::Segments { segments, most };
    assert_eq!(refused(0, Selection::Implicit), width(0));
    assert_eq!(refused(65, explicit(2, 4)), width(65));
    let selector = GeometryError::SelectorBits { selector_bits: 4, address_bits: 4 };
    assert_eq!(refused(4, explicit(4, 1)), selector);
    assert_eq!(refused(14, explicit(2, 5)), count(5, 4));
    assert_eq!(refused(14, explicit(2, 0)), count(0, 4));
    assert_eq!(refused(32, explicit(12, 17)), count(17, 16));
    assert_eq!(
        refused(64, explicit(u32::MAX, 1)),
        GeometryError::SelectorBits { selector_bits: u32::MAX, address_bits: 64 }
    );
}
