//! Tests of the rights of descriptors, of the flags that hardware sets, and of aborts.

use super::machine::*;

#[test]
fn an_abort_of_stage_2_tells_el2_of_a_lower_level_whoever_was_there() {
    let machine = Machine::new().s1(DATA | AF | EL0 | READ_ONLY | PAGE).s2(DATA, |_| 0);
    let told = |access| {
        let fault = machine.stage_2_fault(access);
        assert_eq!((fault.kind, fault.level, fault.s1ptw), (FaultKind::Translation, 3, false));
        assert_eq!((fault.far, fault.ipa.raw(), fault.hpfar), (VA, DATA + VA, Some(0xf << 4)));
        fault.esr
    };
    let (data, instruction, il) = (0x24 << 26, 0x20 << 26, 1 << 25);
    assert_eq!(told(load(VA)), data | il | 0b00_0111);
    assert_eq!(told(load(VA).with_privilege(Privilege::User)), data | il | 0b00_0111);
    assert_eq!(told(fetch(VA)), instruction | il | 0b00_0111);
    let store = Machine::new().s2(DATA, |_| 0).stage_2_fault(store(VA));
    assert_eq!(store.esr, data | il | 1 << 6 | 0b00_0111);
}

#[test]
fn a_refused_walk_is_told_with_the_address_of_the_descriptor() {
    let va = 0x20_0000; // entry 1 of the table of level 2
    let machine = Machine::new().s2(s1_table(2), |_| 0);
    let fault = machine.stage_2_fault(load(va));
    let (ipa, far) = (fault.ipa.raw(), fault.far);
    assert_eq!((fault.s1ptw, ipa, far), (true, s1_table(2) + 8, va));
    assert_eq!(fault.hpfar, Some(s1_table(2) >> 12 << 4));
    assert_eq!(fault.esr, 0x24 << 26 | 1 << 25 | 1 << 7 | 0b00_0111);
    // WnR is that of the instruction.
    assert_eq!(machine.stage_2_fault(store(va)).esr >> 6 & 1, 1);
    assert_eq!(machine.stage_2_fault(amo(va)).esr >> 6 & 1, 0);
    assert_eq!(machine.stage_2_fault(fetch(va)).esr >> 26, 0x20);
}

#[test]
fn hpfar_of_a_permission_fault_is_unknown_unless_it_is_of_a_walk() {
    let page = Machine::new().s2(DATA, |descriptor| descriptor & !W);
    assert_eq!(page.stage_2_fault(store(VA)).hpfar, None);
    let table = Machine::new().s2(s1_table(2), |descriptor| descriptor & !R);
    assert_eq!(table.stage_2_fault(load(VA)).hpfar, Some(s1_table(2) >> 12 << 4));
}

#[test]
fn an_abort_of_stage_1_is_taken_to_el1() {
    let machine = Machine::new().s1(0).s2(DATA, |_| 0);
    let Err(Fault::Stage1(fault)) = machine.ask(store(VA)) else { panic!("no fault of stage 1") };
    assert_eq!((fault.kind, fault.level, fault.esr), (FaultKind::Translation, 3, 0x9600_0047));
}

#[test]
fn s2ap_allows_reads_and_writes_apart() {
    let allowed = |s2ap: u64| {
        let machine = Machine::new().s2(DATA, |descriptor| descriptor & !(R | W) | s2ap << 6);
        [load(VA), store(VA), amo(VA), fetch(VA)].map(|access| machine.ask(access).is_ok())
    };
    assert_eq!(allowed(0b00), [false, false, false, true]);
    assert_eq!(allowed(0b01), [true, false, false, true]);
    assert_eq!(allowed(0b10), [false, true, false, true]);
    assert_eq!(allowed(0b11), [true; 4]);
}

#[test]
fn the_write_of_an_atomic_access_faults_as_a_write_where_its_read_is_allowed() {
    let wnr = |s2ap: u64| {
        let machine = Machine::new().s2(DATA, |descriptor| descriptor & !(R | W) | s2ap << 6);
        machine.stage_2_fault(amo(VA)).esr >> 6 & 1
    };
    assert_eq!((wnr(0b00), wnr(0b01), wnr(0b10)), (0, 1, 0));
}

#[test]
fn xn_allows_execution_to_el1_and_el0_apart() {
    let allowed = |xn: u64| {
        let machine = Machine::stage_2().s2(0x5000, |descriptor| descriptor | xn << 53);
        [Privilege::Supervisor, Privilege::User].map(|privilege| {
            let outcome = machine.ask(fetch(0x5000).with_privilege(privilege));
            assert!(machine.ask(load(0x5000).with_privilege(privilege)).is_ok());
            outcome.is_ok()
        })
    };
    assert_eq!(allowed(0b00), [true, true]);
    assert_eq!(allowed(0b01), [false, true]);
    assert_eq!(allowed(0b10), [false, false]);
    assert_eq!(allowed(0b11), [true, false]);
}

#[test]
fn both_stages_must_allow_the_access() {
    let machine = Machine::new().s1(DATA | AF | READ_ONLY | PAGE);
    assert!(matches!(machine.ask(store(VA)), Err(Fault::Stage1(_))));
    let machine = Machine::new().s2(DATA, |descriptor| descriptor & !W);
    assert!(matches!(machine.ask(store(VA)), Err(Fault::Stage2(_))));
}

#[test]
fn reading_a_descriptor_needs_read_permission_whatever_the_access() {
    let machine = Machine::new().s2(s1_table(3), |descriptor| descriptor & !R);
    for access in [load(VA), store(VA), fetch(VA)] {
        assert_eq!(machine.fault(access), (FaultKind::Permission, 3));
    }
    let machine = Machine::new().s2(s1_table(3), |descriptor| descriptor & !W | 0b10 << 53);
    assert_eq!(machine.pa(fetch(VA)), Ok(host(DATA) + VA));
}

#[test]
fn protected_walks_do_not_read_device_memory() {
    for attributes in 0..16 {
        let machine = Machine::new()
            .s2(s1_table(2), |descriptor| descriptor & !NORMAL | attributes << 2)
            .s2(DATA, |descriptor| descriptor & !NORMAL);
        assert_eq!(machine.pa(load(VA)), Ok(host(DATA) + VA));
        let protected = machine.with(|vm| vm.hcr_el2 |= PTW).nested(load(VA)).answer;
        assert_eq!(protected.is_err(), attributes < 4, "MemAttr {attributes:#b}");
    }
    let machine = Machine::new().with(|vm| vm.hcr_el2 |= PTW);
    let fault = machine.s2(s1_table(2), |descriptor| descriptor & !NORMAL).stage_2_fault(load(VA));
    assert_eq!((fault.kind, fault.level, fault.s1ptw), (FaultKind::Permission, 3, true));
}

#[test]
fn a_clear_access_flag_faults_unless_hardware_sets_it() {
    let machine = Machine::new().s2(DATA, |descriptor| descriptor & !AF);
    assert_eq!(machine.fault(load(VA)), (FaultKind::AccessFlag, 3));
    let machine = machine.with(|vm| vm.vtcr_el2 |= HA);
    assert_eq!(machine.writes(load(VA)), [(s2_page(DATA), host(DATA) | OPEN | PAGE)]);
}

#[test]
fn the_access_flag_comes_before_permission() {
    let machine = Machine::new().s2(DATA, |descriptor| descriptor & !(AF | R | W));
    assert_eq!(machine.fault(load(VA)), (FaultKind::AccessFlag, 3));
}

#[test]
fn hardware_marks_a_page_dirty_that_software_left_to_it() {
    let clean = host(DATA) | (OPEN & !W) | DBM | PAGE;
    let machine = Machine::new().s2(DATA, |_| clean);
    let with = |vtcr: u64| machine.clone().with(|vm| vm.vtcr_el2 |= vtcr);
    assert_eq!(with(HA).fault(store(VA)), (FaultKind::Permission, 3));
    assert_eq!(with(HD).fault(store(VA)), (FaultKind::Permission, 3));
    assert_eq!(with(HA | HD).writes(store(VA)), [(s2_page(DATA), clean | W)]);
    assert_eq!(with(HA | HD).writes(amo(VA)), [(s2_page(DATA), clean | W)]);
    assert_eq!(with(HA | HD).writes(load(VA)), []);
}

/// With hardware management of access flag and dirty state at both stages.
fn managed() -> Machine {
    Machine::new().with(|vm| {
        vm.vtcr_el2 |= HA | HD;
        vm.el1.tcr_el1 |= 1 << 39 | 1 << 40;
    })
}

#[test]
fn updating_a_descriptor_is_a_write_to_its_page() {
    let descriptor = DATA | DBM | READ_ONLY | PAGE;
    let table = host(s1_table(3)) | (OPEN & !W) | DBM | PAGE;
    let machine = managed().s1(descriptor).s2(s1_table(3), |_| table);
    let marked = (s2_page(s1_table(3)), table | W);
    let updated = |value| (host(s1_table(3)), value);
    assert_eq!(machine.writes(load(VA)), [marked, updated(descriptor | AF)]);
    assert_eq!(machine.writes(store(VA)), [marked, updated((descriptor | AF) & !READ_ONLY)]);
    let sealed = machine.s2(s1_table(3), |descriptor| descriptor & !W);
    let fault = sealed.stage_2_fault(load(VA));
    assert_eq!(
        (fault.kind, fault.s1ptw, fault.ipa.raw()),
        (FaultKind::Permission, true, s1_table(3))
    );
    assert_eq!(fault.esr >> 6 & 1, 0);
}

#[test]
fn the_update_of_stage_1_comes_before_the_page_that_stage_2_refuses_too() {
    let machine = managed().s1(DATA | PAGE).s2(DATA, |_| 0);
    let nested = machine.s2(s1_table(3), |descriptor| descriptor & !W).nested(load(VA));
    let is_walk = |fault: Fault| matches!(fault, Fault::Stage2(fault) if fault.s1ptw);
    assert_eq!(nested.answer.map_err(is_walk), Err(true));
    assert_eq!(nested.other.map(is_walk), Some(false));
}

#[test]
fn an_intermediate_address_beyond_t0sz_is_a_translation_fault_at_level_0() {
    let machine = Machine::new().s1(1 << 39 | DATA | AF | PAGE);
    assert_eq!(machine.fault(load(VA)), (FaultKind::Translation, 0));
    assert_eq!(machine.stage_2_fault(load(VA)).hpfar, Some((1 << 27 | 0xf) << 4));
    let root = Machine::new().with(|vm| vm.el1.ttbr0_el1 |= 1 << 39);
    assert!(root.stage_2_fault(load(VA)).s1ptw);
}

#[test]
fn output_addresses_beyond_ps_are_address_size_faults_at_the_level_that_gives_them() {
    // 36 bits.
    let machine = Machine::stage_2().with(|vm| vm.vtcr_el2 = 28 | 0b01 << 6 | 0b001 << 16);
    let far = 1 << 36;
    let root = machine.clone().with(|vm| vm.vttbr_el2 |= far);
    assert_eq!(root.fault(load(0x5000)), (FaultKind::AddressSize, 0));
    let mut table = machine.clone();
    table.put(s2_table(1), s2_table(2) | far | TABLE);
    assert_eq!(table.fault(load(0x5000)), (FaultKind::AddressSize, 1));
    // And before the access flag.
    let page = machine.s2(0x5000, |descriptor| (descriptor | far) & !AF);
    assert_eq!(page.fault(load(0x5000)), (FaultKind::AddressSize, 3));
}

#[test]
fn reserved_descriptors_are_translation_faults_at_their_level() {
    let with = |table: u64, descriptor: u64| {
        let mut machine = Machine::stage_2();
        machine.put(table, descriptor);
        machine.fault(load(0x5000))
    };
    assert_eq!(with(s2_table(1), 0), (FaultKind::Translation, 1));
    assert_eq!(with(s2_table(2), 0b10), (FaultKind::Translation, 2));
    assert_eq!(with(s2_page(0x5000), host(0x5000) | OPEN | BLOCK), (FaultKind::Translation, 3));
}

#[test]
fn blocks_are_mapped_at_levels_1_and_2() {
    for (level, bits) in [(1, 30), (2, 21)] {
        let mut machine = Machine::stage_2();
        machine.put(s2_table(level), host(0) | OPEN | BLOCK | CONTIGUOUS);
        let outcome = machine.ask(load(0x5124)).expect("mapped");
        assert_eq!((outcome.pa.raw(), outcome.page_bits), (host(0x5124), bits));
    }
}

#[test]
fn the_page_is_the_smaller_one_of_both_stages() {
    let bits = |machine: &Machine| machine.ask(load(VA)).map(|outcome| outcome.page_bits);
    let mut block_1 = Machine::new();
    block_1.put(host(s1_table(2)), AF | BLOCK);
    assert_eq!((bits(&Machine::new()), bits(&block_1)), (Ok(12), Ok(12)));
    let mut block_2 = Machine::new();
    block_2.put(s2_table(2), host(0) | OPEN | BLOCK);
    let mut both = block_2.clone();
    both.put(host(s1_table(2)), AF | BLOCK);
    assert_eq!((bits(&block_2), bits(&both)), (Ok(12), Ok(21)));
}

/// Stage 2 alone with these fields, one table that starts at 0x80_0000, and this descriptor in it.
fn first_table(vtcr: u64, index: u64, descriptor: u64) -> Machine {
    let mut machine = Machine::stage_2().with(|vm| {
        (vm.vtcr_el2, vm.vttbr_el2) = (vtcr | 0b101 << 16, 0x80_0000);
    });
    machine.put(0x80_0000 + 8 * index, descriptor);
    machine
}

#[test]
fn up_to_sixteen_first_tables_are_concatenated() {
    // 4 KiB, level 1, 43 bits: 2^13 entries of 1 GiB. The last one.
    let machine = first_table(21 | 0b01 << 6, 0x1fff, OPEN | BLOCK);
    assert_eq!(machine.pa(load(0x7ff_c000_1234)), Ok(0x1234));
    // 16 KiB, level 2, 40 bits: 2^15 entries of 32 MiB.
    let machine = first_table(24 | 0b01 << 6 | 0b10 << 14, 0x7fff, OPEN | BLOCK);
    assert_eq!(machine.pa(load(0xff_fe00_1234)), Ok(0x1234));
    // 64 KiB, level 3, 33 bits: 2^17 entries.
    let machine = first_table(31 | 0b01 << 14, 0x1_ffff, OPEN | PAGE);
    assert_eq!(machine.pa(load(0x1_ffff_1234)), Ok(0x1234));
}

#[test]
fn the_first_table_is_aligned_to_its_size() {
    // 43 bits: 64 KiB of tables. Lower bits of VTTBR_EL2 do not count.
    let machine = first_table(21 | 0b01 << 6, 0x1fff, OPEN | BLOCK);
    let machine = machine.with(|vm| vm.vttbr_el2 |= 0xfffe | 0xabcd << 48);
    assert_eq!(machine.pa(load(0x7ff_c000_1234)), Ok(0x1234));
}

/// Returns true if stage 2 reads any table with these fields.
fn walks(vtcr: u64) -> bool {
    let machine = Machine::stage_2().with(|vm| vm.vtcr_el2 = vtcr | 0b101 << 16);
    let nested = machine.nested(load(0));
    if nested.reads.is_empty() {
        assert_eq!(machine.fault(load(0)), (FaultKind::Translation, 0));
    }
    !nested.reads.is_empty()
}

#[test]
fn sl0_must_suit_t0sz() {
    let sizes = |granule: u64, sl0: u64| -> Option<RangeInclusive<u64>> {
        let good: Vec<_> =
            (0..64).filter(|t0sz| walks(t0sz | sl0 << 6 | granule << 14)).map(|t| 64 - t).collect();
        let range = good.last().copied()?..=good.first().copied()?;
        assert_eq!(good.len() as u64, range.end() - range.start() + 1, "a gap");
        Some(range)
    };
    let (k4, k64, k16) = (0b00, 0b01, 0b10);
    // From one bit in the first table to four more than a granule resolves; T0SZ from 16 to 48 or 47.
    assert_eq!(sizes(k4, 0b10), Some(40..=48));
    assert_eq!(sizes(k4, 0b01), Some(31..=43));
    assert_eq!(sizes(k4, 0b00), Some(22..=34));
    assert_eq!(sizes(k4, 0b11), Some(16..=25));
    assert_eq!(sizes(k16, 0b10), Some(37..=48));
    assert_eq!(sizes(k16, 0b01), Some(26..=40));
    assert_eq!(sizes(k16, 0b00), Some(16..=29));
    assert_eq!(sizes(k16, 0b11), None);
    assert_eq!(sizes(k64, 0b10), Some(43..=48));
    assert_eq!(sizes(k64, 0b01), Some(30..=46));
    assert_eq!(sizes(k64, 0b00), Some(17..=33));
    assert_eq!(sizes(k64, 0b11), None);
}

#[test]
fn a_small_machine_has_no_high_first_level_and_no_wide_addresses() {
    let walks = |pa_bits, vtcr: u64| {
        let set =
            |vm: &mut Registers| (vm.el1.pa_bits, vm.vtcr_el2) = (pa_bits, vtcr | 0b101 << 16);
        !Machine::stage_2().with(set).nested(load(0)).reads.is_empty()
    };
    let (level_0, level_1) = (0b10 << 6, 0b01 << 6);
    assert!(walks(44, 24 | level_0) && !walks(42, 24 | level_0));
    assert!(walks(40, 24 | level_1) && !walks(40, 23 | level_1));
}

#[test]
fn a_table_in_a_hole_is_an_external_abort_of_its_stage() {
    let mut second = Machine::new();
    second.memory.punch(PhysAddr::new(s2_table(2)));
    let fault = second.stage_2_fault(load(VA));
    assert_eq!((fault.kind, fault.level, fault.s1ptw), (FaultKind::ExternalAbortOnWalk, 2, true));
    assert_eq!(fault.hpfar, None);
    let mut first = Machine::new();
    first.memory.punch(PhysAddr::new(host(s1_table(2))));
    let Err(Fault::Stage1(fault)) = first.ask(load(VA)) else { panic!("no fault of stage 1") };
    assert_eq!((fault.kind, fault.level), (FaultKind::ExternalAbortOnWalk, 2));
}

#[test]
fn a_descriptor_that_is_of_both_stages_is_told_of_if_one_of_them_changes_it() {
    // Stage 1's last table is stage 2's: its entry 3 maps that table, and virtual 0x3000.
    let shared = |flags: u64| managed().s2(s1_table(3), |_| s2_table(3) | flags | PAGE);
    assert!(!shared(OPEN).nested(load(0x3000)).entangled);
    assert!(shared(OPEN & !AF).nested(load(0x3000)).entangled);
    assert!(!shared(OPEN).nested(load(0x4000)).entangled);
}
