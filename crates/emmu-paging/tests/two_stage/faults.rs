//! Tests of the accesses that each stage refuses, and of the architecture's exceptions for them.

use crate::tables::{
    ABOVE, ARM_STAGE_2, GPA, GUEST_ROOT, HOST_ROOT, Machine, Plan, Stage, VA, aarch64, riscv, x86,
};
use emmu_core::{
    Access, AccessFlags, AccessKind, Cause, Fault, Privilege, RegisterError, Registers,
    TranslationUnit, VirtAddr,
};
use emmu_paging::{
    Geometry, PagingConfig, Policy, SecondStageFormat, TlbLevel, TlbTable, X86,
    format::{
        Format,
        aarch64::{TCR_EL1, VTCR_EL2},
        riscv::{HENVCFG, HGATP, MENVCFG, MSTATUS, RiscVException, RiscVH, SATP, VSATP, VSSTATUS},
        x86::{CR0, CR3, CR4, EPTP, Ept, VmExit},
    },
};

fn none() -> PagingConfig {
    PagingConfig::default()
}

const SMALL: Plan = Plan::small(3, 3);
const LONG: Plan = Plan::small(4, 4);

/// Where the second stage's entry for a guest-physical page is.
fn host_entry<F: Format, H: SecondStageFormat>(
    machine: &mut Machine<F, H>,
    levels: u32,
    page: u64,
) -> u64 {
    let style = if levels == 3 { crate::tables::RISCV64 } else { crate::tables::EPT };
    Stage::new(style, HOST_ROOT, levels).find(&mut machine.memory, page).unwrap()
}

/// Returns the address of the entry of EPT that maps a page.
fn host_entry_of(memory: &mut emmu_memory::Memory, page: u64) -> u64 {
    Stage::new(crate::tables::EPT, HOST_ROOT, 4).find(memory, page).unwrap()
}

/// The last table of the guest, in guest-physical memory, and the entry for the page in it.
fn guest_leaf(levels: u64) -> u64 {
    let tables_above = levels - 2;
    GUEST_ROOT + 0x4000 + tables_above * 0x1000 + (VA >> 12 & 0x1ff) * 8
}

fn exception(fault: Result<u64, Fault>) -> RiscVException {
    RiscVH::rv64().exception(&fault.unwrap_err())
}

fn exit(fault: Result<u64, Fault>) -> Option<VmExit> {
    Ept::exit(&fault.unwrap_err())
}

// spec: riscv-h-cause
#[test]
fn data_absent_at_the_g_stage_is_a_guest_page_fault_of_its_own_type() {
    let mut machine = riscv(SMALL, &none(), &none());
    let entry = host_entry(&mut machine, 3, GPA);
    machine.set(entry, 0);
    let expected = |cause| RiscVException {
        cause,
        tval: VirtAddr::new(VA + 8),
        gva: true,
        htval: (GPA + 8) >> 2,
        tinst: 0,
    };
    assert_eq!(exception(machine.load(VA + 8)), expected(21));
    assert_eq!(exception(machine.store(VA + 8)), expected(23));
    let fetch =
        machine.translate(Access::fetch(VirtAddr::new(VA + 8), 4).with_privilege(Privilege::User));
    assert_eq!(exception(fetch.map(|found| found.addr.raw())), expected(20));
}

// spec: riscv-h-cause, riscv-h-tinst
#[test]
fn a_guest_table_absent_at_the_g_stage_names_the_entry_and_the_implicit_read() {
    let mut machine = riscv(SMALL, &none(), &none());
    let leaf = guest_leaf(3);
    let entry = host_entry(&mut machine, 3, leaf);
    machine.set(entry, 0);
    let found = exception(machine.store(VA));
    let htval = leaf >> 2;
    assert_eq!(
        found,
        RiscVException { cause: 23, tval: VirtAddr::new(VA), gva: true, htval, tinst: 0x3000 }
    );
}

// spec: riscv-h-tinst
#[test]
fn a_guest_s_dirty_bit_needs_a_writable_table() {
    let mut machine = riscv(SMALL, &none(), &none());
    machine.write(MENVCFG, 1 << 61);
    machine.write(HENVCFG, 1 << 61);
    let leaf = guest_leaf(3);
    let clean = machine.get(leaf + ABOVE) & !0x80;
    machine.set(leaf + ABOVE, clean);
    let entry = host_entry(&mut machine, 3, leaf);
    let writable = machine.get(entry);
    machine.set(entry, writable & !4);
    let found = exception(machine.store(VA));
    assert_eq!((found.cause, found.htval, found.tinst), (23, leaf >> 2, 0x3020));
    assert_eq!(machine.get(leaf + ABOVE), clean);
    machine.set(entry, writable);
    assert!(machine.store(VA).is_ok());
    assert_eq!(machine.get(leaf + ABOVE), clean | 0x80);
}

#[test]
fn what_the_g_stage_refuses_makes_no_guest_page_dirty() {
    let mut machine = riscv(SMALL, &none(), &none());
    machine.write(MENVCFG, 1 << 61);
    machine.write(HENVCFG, 1 << 61);
    let leaf = guest_leaf(3) + ABOVE;
    let clean = machine.get(leaf) & !0x80;
    machine.set(leaf, clean);
    let entry = host_entry(&mut machine, 3, GPA);
    let writable = machine.get(entry);
    machine.set(entry, writable & !4);
    assert_eq!(exception(machine.store(VA)).cause, 23);
    assert_eq!(machine.get(leaf), clean);
}

#[test]
fn a_guest_has_hardware_flags_only_as_far_as_the_hart_has() {
    let mut machine = riscv(SMALL, &none(), &none());
    machine.write(HENVCFG, 1 << 61);
    let leaf = guest_leaf(3) + ABOVE;
    let clean = machine.get(leaf) & !0x80;
    machine.set(leaf, clean);
    assert_eq!(exception(machine.store(VA)).cause, 15);
    machine.write(MENVCFG, 1 << 61);
    assert!(machine.store(VA).is_ok());
}

#[test]
fn what_the_guest_s_own_tables_refuse_is_its_own_page_fault() {
    let mut machine = riscv(SMALL, &none(), &none());
    machine.set(guest_leaf(3) + ABOVE, 0);
    let found = exception(machine.load(VA));
    assert_eq!(
        found,
        RiscVException { cause: 13, tval: VirtAddr::new(VA), gva: true, htval: 0, tinst: 0 }
    );
}

// spec: riscv-h-width, riscv-h-bare
#[test]
fn a_guest_physical_address_of_more_than_41_bits_is_a_guest_page_fault() {
    let mut machine = riscv(SMALL, &none(), &none());
    machine.write(VSATP, 0);
    let found = exception(machine.load(1 << 41));
    assert_eq!((found.cause, found.htval), (21, 1 << 39));
}

// spec: riscv-h-user
#[test]
fn the_g_stage_takes_every_access_for_one_of_user_mode() {
    let mut machine = riscv(SMALL, &none(), &none());
    let entry = host_entry(&mut machine, 3, GPA);
    let user = machine.get(entry);
    machine.set(entry, user & !0x10);
    assert_eq!(exception(machine.load(VA)).cause, 21);
}

// spec: riscv-h-mxr
#[test]
fn mxr_of_the_hart_holds_at_both_stages_and_mxr_of_the_guest_at_one() {
    let mut machine = riscv(SMALL, &none(), &none());
    let [guest, host] = [guest_leaf(3) + ABOVE, host_entry(&mut machine, 3, GPA)];
    for entry in [guest, host] {
        let all = machine.get(entry);
        machine.set(entry, all & !6);
    }
    assert_eq!(exception(machine.load(VA)).cause, 13);
    machine.write(VSSTATUS, 1 << 18 | 1 << 19);
    assert_eq!(exception(machine.load(VA)).cause, 21);
    machine.write(MSTATUS, 1 << 19);
    assert!(machine.load(VA).is_ok());
    machine.write(VSSTATUS, 1 << 18);
    assert!(machine.load(VA).is_ok());
}

// spec: riscv-h-mxr
#[test]
fn mxr_makes_no_executable_page_readable_for_a_guest_s_walk() {
    let mut machine = riscv(SMALL, &none(), &none());
    let entry = host_entry(&mut machine, 3, guest_leaf(3));
    let all = machine.get(entry);
    machine.set(entry, all & !6);
    machine.write(MSTATUS, 1 << 19);
    assert_eq!(exception(machine.load(VA)).tinst, 0x3000);
}

#[test]
fn hlvx_needs_the_right_to_execute_in_place_of_the_right_to_read() {
    let mut machine = riscv(SMALL, &none(), &none());
    let hlvx = Access::load(VirtAddr::new(VA), 4).with_flags(AccessFlags::EXECUTABLE);
    let [guest, host] = [guest_leaf(3) + ABOVE, host_entry(&mut machine, 3, GPA)];
    for (entry, cause) in [(guest, Cause::Permission), (host, Cause::Permission)] {
        let all = machine.get(entry);
        machine.set(entry, all & !6);
        assert!(machine.translate(hlvx).is_ok(), "execute-only");
        machine.set(entry, all & !8);
        assert_eq!(machine.translate(hlvx).unwrap_err().cause, cause, "not executable");
        machine.set(entry, all);
    }
}

#[test]
fn the_hart_s_own_accesses_go_through_one_stage() {
    let mut machine = riscv(SMALL, &none(), &none());
    machine.flags = AccessFlags::empty();
    assert_eq!(machine.load(0x1234), Ok(0x1234));
    machine.write(SATP, 8 << 60 | GUEST_ROOT >> 12);
    machine.write(MSTATUS, 1 << 18);
    assert_eq!(machine.load(VA), Ok(GPA));
}

// spec: riscv-h-mprv
#[test]
fn mprv_with_mpv_makes_data_accesses_in_the_guest() {
    let mut machine = riscv(SMALL, &none(), &none());
    machine.flags = AccessFlags::empty();
    let load = Access::load(VirtAddr::new(VA), 8).with_privilege(Privilege::Machine);
    let addr = |machine: &mut Machine<_, _>, access| -> u64 {
        machine.translate(access).map(|found| found.addr.raw()).unwrap()
    };
    let (mprv, mpp_s, mpv) = (1 << 17, 1 << 11, 1 << 39);
    machine.write(MSTATUS, mprv | mpp_s);
    assert_eq!(addr(&mut machine, load), VA);
    machine.write(MSTATUS, mprv | mpp_s | mpv);
    assert_eq!(addr(&mut machine, load), GPA + ABOVE);
    let fetch = Access { kind: AccessKind::Fetch, ..load };
    assert_eq!(addr(&mut machine, fetch), VA);
}

// spec: ept-violation, ept-present
#[test]
fn an_ept_violation_tells_what_was_tried_and_what_would_have_been_allowed() {
    let mut machine = x86(LONG, &none(), &none());
    let entry = host_entry(&mut machine, 4, GPA);
    let all = machine.get(entry);
    let violation = |qualification| {
        Some(VmExit::EptViolation {
            qualification,
            guest_linear: VirtAddr::new(VA),
            guest_physical: emmu_core::PhysAddr::new(GPA),
        })
    };
    // Bits 8 and 7: the translation of a linear address, which is valid.
    machine.set(entry, 0);
    assert_eq!(exit(machine.load(VA)), violation(0x181));
    machine.set(entry, all & !2);
    assert_eq!(exit(machine.store(VA)), violation(0x182 | 0b101 << 3));
    machine.set(entry, all & !4);
    let fetch = machine.translate(Access::fetch(VirtAddr::new(VA), 1));
    assert_eq!(exit(fetch.map(|found| found.addr.raw())), violation(0x184 | 0b011 << 3));
}

// spec: ept-flags
#[test]
fn with_flags_in_use_a_guest_s_walk_counts_as_a_write() {
    let mut machine = x86(LONG, &none(), &none());
    let leaf = guest_leaf(4);
    let entry = host_entry(&mut machine, 4, leaf);
    let all = machine.get(entry) & !0x300;
    machine.set(entry, all & !2);
    assert!(machine.load(VA).is_ok());
    machine.write(EPTP, HOST_ROOT | 1 << 6 | 3 << 3 | 6);
    let expected = VmExit::EptViolation {
        qualification: 0x83 | 0b101 << 3,
        guest_linear: VirtAddr::new(VA),
        guest_physical: emmu_core::PhysAddr::new(leaf),
    };
    assert_eq!(exit(machine.load(VA)), Some(expected));
    machine.set(entry, all);
    assert!(machine.load(VA).is_ok());
    assert_eq!(machine.get(entry), all | 0x300, "accessed and dirty");
    let data = host_entry(&mut machine, 4, GPA);
    assert_eq!(machine.get(data) & 0x300, 0x100, "accessed");
}

// spec: ept-misconfiguration
#[test]
fn entries_that_mean_nothing_are_misconfigurations() {
    let mut machine = x86(LONG, &none(), &none());
    let entry = host_entry(&mut machine, 4, GPA);
    let all = machine.get(entry);
    let write_only = all & !1;
    let memory_type_2 = all & !(7 << 3) | 2 << 3;
    let too_wide = all | 1 << 46;
    for raw in [write_only, memory_type_2, too_wide] {
        machine.set(entry, raw);
        let guest_physical = emmu_core::PhysAddr::new(GPA);
        let expected = Some(VmExit::EptMisconfiguration { guest_physical });
        assert_eq!(exit(machine.load(VA)), expected, "{raw:#x}");
    }
}

#[test]
fn a_guest_s_own_page_fault_is_no_exit() {
    let mut machine = x86(LONG, &none(), &none());
    machine.set(guest_leaf(4) + ABOVE, 0);
    assert_eq!(exit(machine.load(VA)), None);
}

// spec: ept-eptp
#[test]
fn an_ept_pointer_that_vm_entry_refuses_is_refused() {
    let mut machine = x86(LONG, &none(), &none());
    // Memory type 1, three levels, a reserved bit, more bits than MAXPHYADDR.
    for eptp in [3 << 3 | 1, 2 << 3 | 6, 3 << 3 | 6 | 1 << 9, 3 << 3 | 6 | 1 << 46] {
        let written = machine.unit.write_register(EPTP, eptp, &mut machine.memory, &mut ());
        assert!(matches!(written, Err(RegisterError::Reserved { name: "eptp", .. })), "{eptp:#x}");
    }
}

// spec: ept-flags
#[test]
fn the_pdptes_of_a_guest_are_loaded_through_ept() {
    let mut pae = Machine {
        unit: X86::new(46).guest(&none(), &none()).unwrap(),
        memory: x86(LONG, &none(), &none()).memory,
        flags: AccessFlags::empty(),
    };
    // The page holds the PDPTEs, and a page of the guest's old tables a directory with a page of 2 MiB.
    let directory = GUEST_ROOT + 0x4000;
    pae.set(GPA + ABOVE, directory | 1);
    pae.set(directory + ABOVE, GPA >> 21 << 21 | 0x83);
    pae.write(EPTP, HOST_ROOT | 3 << 3 | 6);
    pae.write(CR4, 1 << 5);
    pae.write(CR3, GPA);
    pae.write(CR0, 1 << 31 | 1);
    assert_eq!(pae.load(GPA & 0x1f_ffff), Ok(GPA + ABOVE));
    // The loads are reads, whatever the flags of EPT: a read-only page will do.
    let entry = host_entry_of(&mut pae.memory, GPA);
    let all = pae.get(entry) & !0x300;
    pae.set(entry, all & !2);
    pae.write(EPTP, HOST_ROOT | 1 << 6 | 3 << 3 | 6);
    pae.write(CR3, GPA);
    assert_eq!(pae.get(entry), all & !2 | 0x100, "accessed, not dirty");
    let absent = pae.unit.write_register(CR3, 0x7000_0000, &mut pae.memory, &mut ());
    let Err(RegisterError::Fault(fault)) = absent else { panic!("{absent:?}") };
    let expected = VmExit::EptViolation {
        qualification: 1,
        guest_linear: VirtAddr::ZERO,
        guest_physical: emmu_core::PhysAddr::new(0x7000_0000),
    };
    assert_eq!(Ept::exit_of_load(&fault), Some(expected));
}

// spec: arm-s2-syndrome
#[test]
fn stage_2_aborts_go_to_el2_with_the_intermediate_address() {
    let mut machine = aarch64(LONG, &none(), &none());
    let stage = Stage::new(ARM_STAGE_2, HOST_ROOT, 4);
    let data = stage.find(&mut machine.memory, GPA).unwrap();
    let all = machine.get(data);
    machine.set(data, 0);
    let fault = machine.store(VA + 8).unwrap_err();
    let abort = machine.unit.format().exception(&fault);
    // A Data Abort from a lower level, a write, a translation fault at level 3.
    assert_eq!(abort.esr, 0x24 << 26 | 1 << 25 | 1 << 6 | 0b00_0111);
    assert_eq!(abort.hpfar, Some(GPA >> 12 << 4));
    machine.set(data, all);

    let leaf = guest_leaf(4);
    let table = stage.find(&mut machine.memory, leaf).unwrap();
    machine.set(table, 0);
    let fault = machine.store(VA + 8).unwrap_err();
    let abort = machine.unit.format().exception(&fault);
    // S1PTW, and a write: WnR tells of the instruction.
    assert_eq!(abort.esr, 0x24 << 26 | 1 << 25 | 1 << 7 | 1 << 6 | 0b00_0111);
    assert_eq!(abort.hpfar, Some(leaf >> 12 << 4));
}

// spec: arm-s2xn
#[test]
fn xn_of_stage_2_tells_el0_and_el1_apart() {
    let mut machine = aarch64(LONG, &none(), &none());
    let entry = Stage::new(ARM_STAGE_2, HOST_ROOT, 4).find(&mut machine.memory, GPA).unwrap();
    let all = machine.get(entry);
    // Stage 1: AP[2:1] = 11, so that both may execute.
    let leaf = guest_leaf(4) + ABOVE;
    let raw = machine.get(leaf);
    machine.set(leaf, raw | 0xc0);
    let fetch = Access::fetch(VirtAddr::new(VA), 4);
    let mut executable = |xn: u64| {
        machine.set(entry, all | xn << 53);
        let el0 = machine.translate(fetch.with_privilege(Privilege::User)).is_ok();
        (el0, machine.translate(fetch).is_ok())
    };
    assert_eq!(executable(0b00), (true, true));
    assert_eq!(executable(0b01), (true, false));
    assert_eq!(executable(0b10), (false, false));
    assert_eq!(executable(0b11), (false, true));
}

// spec: riscv-h-hgatp
#[test]
fn a_write_of_hgatp_with_an_unsupported_mode_keeps_the_mode_and_writes_the_rest() {
    let mut machine = riscv(SMALL, &none(), &none());
    machine.write(HGATP, 3 << 60 | 7 << 44 | 0x1237);
    assert_eq!(machine.unit.read_register(HGATP), Ok(8 << 60 | 7 << 44 | 0x1234));
}

// spec: arm-s2ap
#[test]
fn s2ap_allows_reads_and_writes_apart() {
    let mut machine = aarch64(LONG, &none(), &none());
    let entry = Stage::new(ARM_STAGE_2, HOST_ROOT, 4).find(&mut machine.memory, GPA).unwrap();
    let none = machine.get(entry) & !0xc0;
    let mut allowed = |s2ap: u64| {
        machine.set(entry, none | s2ap << 6);
        (machine.load(VA).is_ok(), machine.store(VA).is_ok())
    };
    assert_eq!(allowed(0b00), (false, false));
    assert_eq!(allowed(0b01), (true, false));
    assert_eq!(allowed(0b10), (false, true));
    assert_eq!(allowed(0b11), (true, true));
}

// `CreateAccDescTTEUpdate`: it is atomic. What is still held lets the descriptor be read, but no longer does the table.
#[test]
fn an_update_of_a_stage_1_descriptor_needs_the_right_to_read_it() {
    let geometry = Geometry::fully_associative(16, Policy::Lru).unwrap();
    let table = TlbTable { geometry, page_bits: vec![12] };
    let second = PagingConfig { tlb: vec![TlbLevel::unified(vec![table])], ..none() };
    let mut machine = aarch64(LONG, &none(), &second);
    let tcr = machine.unit.read_register(TCR_EL1).unwrap();
    machine.write(TCR_EL1, tcr | 1 << 39);
    let leaf = guest_leaf(4);
    let page = Stage::new(ARM_STAGE_2, HOST_ROOT, 4).find(&mut machine.memory, leaf).unwrap();
    let none = machine.get(page) & !0xc0;
    machine.set(page, none | 0b01 << 6);
    machine.load(VA).unwrap();
    machine.set(page, none | 0b10 << 6);
    let accessed = machine.get(leaf + ABOVE);
    machine.set(leaf + ABOVE, accessed & !(1 << 10));
    machine.load(VA).unwrap_err();
}

// spec: arm-s2-dirty
#[test]
fn stage_2_makes_a_page_dirty_at_its_first_write_where_hardware_is_to() {
    let mut machine = aarch64(LONG, &none(), &none());
    let entry = Stage::new(ARM_STAGE_2, HOST_ROOT, 4).find(&mut machine.memory, GPA).unwrap();
    let clean = machine.get(entry) & !0x80 | 1 << 51;
    machine.set(entry, clean);
    assert!(machine.store(VA).is_err(), "HA and HD are clear");
    let vtcr = machine.unit.read_register(VTCR_EL2).unwrap();
    machine.write(VTCR_EL2, vtcr | 1 << 21 | 1 << 22);
    assert!(machine.load(VA).is_ok());
    assert_eq!(machine.get(entry), clean);
    assert!(machine.store(VA).is_ok());
    assert_eq!(machine.get(entry), clean | 0x80);
}

// spec: arm-s2-start
#[test]
fn a_first_level_that_does_not_suit_the_size_translates_nothing() {
    let mut machine = aarch64(LONG, &none(), &none());
    let vtcr = machine.unit.read_register(VTCR_EL2).unwrap();
    // 48 bits need level 0, which is SL0 = 2; level 1 with 16 tables holds 43.
    machine.write(VTCR_EL2, vtcr & !(3 << 6) | 1 << 6);
    let fault = machine.load(VA).unwrap_err();
    let abort = machine.unit.format().exception(&fault);
    assert_eq!(abort.esr & 0x3f, 0b00_0100, "a translation fault at level 0");
    machine.write(VTCR_EL2, vtcr & !(3 << 6) & !0x3f | 1 << 6 | (64 - 43));
    let fault = machine.load(VA).unwrap_err();
    assert!(fault.entry.is_some(), "the tables are read");
}

// spec: arm-s2-range
#[test]
fn an_intermediate_address_beyond_the_size_is_a_translation_fault_at_level_0() {
    let mut machine = aarch64(Plan::small(4, 3), &none(), &none());
    machine.write(emmu_paging::format::aarch64::SCTLR_EL1, 0);
    let fault = machine.load(1 << 39).unwrap_err();
    let abort = machine.unit.format().exception(&fault);
    assert_eq!((abort.esr & 0x3f, abort.hpfar), (0b00_0100, Some(1 << 39 >> 12 << 4)));
}
