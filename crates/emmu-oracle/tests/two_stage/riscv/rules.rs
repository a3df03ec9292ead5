//! Tests of the rights, flags and faults of each stage.

use super::machine::*;

#[test]
fn every_access_is_a_user_access_for_g_stage() {
    let table = Machine::sv39().g_pte(0x2000, pte(host(0x2000), OPEN & !U));
    assert_eq!(table.pa(load(0)), Err(Exception::LoadGuestPageFault));
    let page = Machine::sv39().g_pte(DATA, pte(host(DATA), OPEN & !U));
    let privileged = page.with(|hart| (hart.vsstatus, hart.hs.mstatus) = (SUM, SUM));
    assert_eq!(privileged.pa(load(0)), Err(Exception::LoadGuestPageFault));
}

#[test]
fn a_guest_page_fault_tells_both_addresses_and_the_original_type() {
    let machine = Machine::sv39().g_pte(DATA, 0);
    let told = |exception, access| {
        assert_eq!(machine.ask(access), Err(guest_page_fault(exception, 0x126, DATA + 0x126)));
    };
    told(Exception::LoadGuestPageFault, load(0x126));
    told(Exception::StoreGuestPageFault, store(0x126));
    told(
        Exception::StoreGuestPageFault,
        Access { kind: emmu_core::AccessKind::Amo, ..load(0x126) },
    );
    told(Exception::InstructionGuestPageFault, fetch(0x126));
}

#[test]
fn a_table_that_g_stage_does_not_map_faults_with_its_own_address_and_a_pseudoinstruction() {
    let fault = |machine: Machine, access| {
        let machine = machine.g_pte(0x2000, 0);
        machine.ask(access).expect_err("the table is not mapped")
    };
    let expected =
        |exception, tinst| Fault { exception, tval: 0, gva: true, tval2: 0x2000 >> 2, tinst };
    let (store_fault, fetch_fault) =
        (Exception::StoreGuestPageFault, Exception::InstructionGuestPageFault);
    assert_eq!(fault(Machine::sv39(), store(0)), expected(store_fault, 0x3000));
    assert_eq!(fault(Machine::sv39(), fetch(0)), expected(fetch_fault, 0x3000));
    assert_eq!(fault(Machine::new(Xlen::Rv32, 1, 2), store(0)), expected(store_fault, 0x2000));
}

#[test]
fn reading_a_table_needs_read_permission_whatever_the_access() {
    let executable = Machine::sv39().g_pte(0x2000, pte(host(0x2000), V | X | U | A | D));
    assert_eq!(executable.pa(fetch(0)), Err(Exception::InstructionGuestPageFault));
    let readable = Machine::sv39().g_pte(0x2000, pte(host(0x2000), V | R | U | A));
    assert_eq!(readable.pa(store(0)), Ok(host(DATA)));
}

#[test]
fn updating_a_table_needs_write_permission_and_is_a_write_pseudoinstruction() {
    let updates = |hart: &mut Registers| (hart.hs.menvcfg, hart.henvcfg) = (ADUE, ADUE);
    for (machine, tinst) in [(Machine::sv39(), 0x3020), (Machine::new(Xlen::Rv32, 1, 2), 0x2020)] {
        let table = guest_leaf(machine.levels);
        let clean = machine.with(updates).guest_pte(pte(DATA, RWX));
        let sealed = clean.g_pte(table, pte(host(table), V | R | X | U | A | D));
        let exception = Exception::LoadGuestPageFault;
        let fault = Fault { exception, tval: 0, gva: true, tval2: table >> 2, tinst };
        assert_eq!(sealed.ask(load(0)), Err(fault));
    }
}

#[test]
fn the_update_comes_before_the_page_that_g_stage_refuses_too() {
    let updates = |hart: &mut Registers| (hart.hs.menvcfg, hart.henvcfg) = (ADUE, ADUE);
    let machine = Machine::sv39().with(updates).guest_pte(pte(DATA, RWX)).g_pte(DATA, 0);
    let page = guest_page_fault(Exception::LoadGuestPageFault, 0, DATA);
    assert_eq!(machine.ask(load(0)), Err(page));
    let sealed = machine.g_pte(0x3000, pte(host(0x3000), V | R | U | A)).nested(load(0));
    let table = Fault { tval2: 0x3000 >> 2, tinst: 0x3020, ..page };
    assert_eq!((sealed.answer, sealed.other), (Err(table), Some(page)));
}

#[test]
fn a_fault_tells_what_hardware_may_have_set_before_it() {
    let updates = |hart: &mut Registers| (hart.hs.menvcfg, hart.henvcfg) = (ADUE, ADUE);
    let clean = pte(host(0x1000), OPEN & !(A | D));
    let machine = Machine::sv39().with(updates).g_pte(0x1000, clean).g_pte(0x2000, 0);
    let nested = machine.nested(load(0));
    assert!(nested.answer.is_err());
    let leaf = PhysAddr::new(machine.g_leaf(0x1000));
    assert_eq!(nested.changes, [Write { addr: leaf, size: 8, value: clean | A }]);
}

#[test]
fn a_store_sets_dirty_in_its_page_and_in_the_page_of_the_table_that_it_updates() {
    let updates = |hart: &mut Registers| (hart.hs.menvcfg, hart.henvcfg) = (ADUE, ADUE);
    let clean = OPEN & !(A | D);
    let mut machine = Machine::sv39().with(updates).guest_pte(pte(DATA, RWX));
    for gpa in [0x1000, 0x2000, 0x3000, DATA] {
        machine = machine.g_pte(gpa, pte(host(gpa), clean));
    }
    let entry = |gpa, flags| (machine.g_leaf(gpa), pte(host(gpa), clean | flags));
    assert_eq!(
        machine.writes(store(0)),
        [
            entry(0x1000, A),
            entry(0x2000, A),
            entry(0x3000, A | D),
            entry(DATA, A | D),
            (host(0x3000), pte(DATA, RWX | A | D)),
        ]
    );
    // A load updates bit A of the leaf: that too is a write to the table's page.
    assert_eq!(machine.writes(load(0))[2..4], [entry(0x3000, A | D), entry(DATA, A)]);
}

#[test]
fn each_stage_has_its_own_switch_for_updates() {
    let vs_clean = Machine::sv39().guest_pte(pte(DATA, RWX));
    let g_clean = Machine::sv39().g_pte(DATA, pte(host(DATA), OPEN & !A));
    let outcome = |machine: &Machine, menvcfg, henvcfg| {
        let set = |hart: &mut Registers| (hart.hs.menvcfg, hart.henvcfg) = (menvcfg, henvcfg);
        machine.clone().with(set).pa(load(0))
    };
    assert_eq!(outcome(&vs_clean, ADUE, ADUE), Ok(host(DATA)));
    assert_eq!(outcome(&vs_clean, ADUE, 0), Err(Exception::LoadPageFault));
    // Where it is 0 in menvcfg, it is in henvcfg.
    assert_eq!(outcome(&vs_clean, 0, ADUE), Err(Exception::LoadPageFault));
    assert_eq!(outcome(&g_clean, ADUE, 0), Ok(host(DATA)));
    assert_eq!(outcome(&g_clean, 0, 0), Err(Exception::LoadGuestPageFault));
}

#[test]
fn memory_types_of_pages_are_switched_for_each_stage() {
    let vs = Machine::sv39().guest_pte(pte(DATA, RWX | A | D) | 1 << 61);
    let g = Machine::sv39().g_pte(DATA, pte(host(DATA), OPEN) | 1 << 61);
    let outcome = |machine: &Machine, menvcfg, henvcfg| {
        let set = |hart: &mut Registers| (hart.hs.menvcfg, hart.henvcfg) = (menvcfg, henvcfg);
        machine.clone().with(set).pa(load(0))
    };
    assert_eq!(outcome(&vs, PBMTE, PBMTE), Ok(host(DATA)));
    assert_eq!(outcome(&vs, PBMTE, 0), Err(Exception::LoadPageFault));
    assert_eq!(outcome(&vs, 0, PBMTE), Err(Exception::LoadPageFault));
    assert_eq!(outcome(&g, PBMTE, 0), Ok(host(DATA)));
    assert_eq!(outcome(&g, 0, 0), Err(Exception::LoadGuestPageFault));
}

#[test]
fn mxr_of_the_guest_is_for_its_stage_and_that_of_the_host_for_both() {
    let execute_only = V | X | A | D;
    let vs = Machine::sv39().guest_pte(pte(DATA, execute_only));
    let g = Machine::sv39().g_pte(DATA, pte(host(DATA), execute_only | U));
    let outcome = |machine: &Machine, host, guest| {
        let set = |hart: &mut Registers| (hart.hs.mstatus, hart.vsstatus) = (host, guest);
        machine.clone().with(set).pa(load(0))
    };
    assert_eq!(outcome(&vs, 0, 0), Err(Exception::LoadPageFault));
    assert_eq!(outcome(&vs, 0, MXR), Ok(host(DATA)));
    assert_eq!(outcome(&vs, MXR, 0), Ok(host(DATA)));
    assert_eq!(outcome(&g, 0, MXR), Err(Exception::LoadGuestPageFault));
    assert_eq!(outcome(&g, MXR, 0), Ok(host(DATA)));
}

#[test]
fn mxr_does_not_help_to_read_tables() {
    let machine = Machine::sv39().g_pte(0x2000, pte(host(0x2000), V | X | U | A | D));
    let machine = machine.with(|hart| hart.hs.mstatus = MXR);
    assert_eq!(machine.pa(load(0)), Err(Exception::LoadGuestPageFault));
}

#[test]
fn sum_is_that_of_the_guest() {
    let user = Machine::sv39().guest_pte(pte(DATA, RWX | U | A | D));
    let outcome = |host, guest| {
        let set = |hart: &mut Registers| (hart.hs.mstatus, hart.vsstatus) = (host, guest);
        user.clone().with(set).pa(load(0))
    };
    assert_eq!(outcome(SUM, 0), Err(Exception::LoadPageFault));
    assert_eq!(outcome(0, SUM), Ok(host(DATA)));
    assert_eq!(user.pa(load(0).with_privilege(Privilege::User)), Ok(host(DATA)));
}

#[test]
fn hlvx_needs_execution_at_both_stages_and_reading_at_none() {
    let (execute, read) = (V | X | A | D, V | R | A | D);
    let both =
        Machine::sv39().guest_pte(pte(DATA, execute)).g_pte(DATA, pte(host(DATA), execute | U));
    assert_eq!(both.pa(hlvx(0)), Ok(host(DATA)));
    let vs = Machine::sv39().guest_pte(pte(DATA, read));
    assert_eq!(vs.pa(hlvx(0)), Err(Exception::LoadPageFault));
    let g = Machine::sv39().g_pte(DATA, pte(host(DATA), read | U));
    assert_eq!(g.pa(hlvx(0)), Err(Exception::LoadGuestPageFault));
    // It is a load for SUM.
    let user = Machine::sv39().guest_pte(pte(DATA, execute | U));
    assert_eq!(user.pa(hlvx(0)), Err(Exception::LoadPageFault));
    assert_eq!(user.with(|hart| hart.vsstatus = SUM).pa(hlvx(0)), Ok(host(DATA)));
}

/// Everything but `size` bytes from `base` on, which have `cfg`.
fn pmp(base: u64, size: u64, cfg: u8) -> Vec<PmpEntry> {
    let napot = 3 << 3;
    let region = PmpEntry { cfg: napot | cfg, addr: base >> 2 | ((size >> 3) - 1) };
    vec![region, PmpEntry { cfg: napot | 7, addr: (1 << 54) - 1 }]
}

#[test]
fn hlvx_needs_both_permissions_of_pmp() {
    let outcome = |cfg| {
        let pmp = pmp(host(DATA), 0x1000, cfg);
        Machine::sv39().with(|hart| hart.hs.pmp = pmp).pa(hlvx(0))
    };
    assert_eq!(outcome(0b101), Ok(host(DATA)));
    assert_eq!(outcome(0b100), Err(Exception::LoadAccessFault));
    assert_eq!(outcome(0b001), Err(Exception::LoadAccessFault));
}

#[test]
fn pmp_guards_the_tables_of_both_stages_and_the_page_at_host_addresses() {
    for closed in [0x4000, 0x9000, host(0x2000), host(DATA)] {
        let machine = Machine::sv39().with(|hart| hart.hs.pmp = pmp(closed, 0x1000, 0));
        let exception = Exception::InstructionAccessFault;
        let fault = Fault { exception, tval: 0x10, gva: true, tval2: 0, tinst: 0 };
        assert_eq!(machine.ask(fetch(0x10)), Err(fault), "{closed:#x}");
    }
    // The guest-physical address is none that PMP knows.
    let machine = Machine::sv39().with(|hart| hart.hs.pmp = pmp(DATA, 0x1000, 0));
    assert_eq!(machine.pa(load(0)), Ok(host(DATA)));
}

#[test]
fn a_table_of_either_stage_in_a_hole_is_an_access_fault() {
    for hole in [0x8000, host(0x3000)] {
        let mut machine = Machine::sv39();
        machine.memory.punch(PhysAddr::new(hole));
        assert_eq!(machine.pa(store(0)), Err(Exception::StoreAccessFault), "{hole:#x}");
    }
}

#[test]
fn mprv_with_mpv_makes_machine_modes_data_accesses_the_guests() {
    let (mprv, mpv, mpp_s, mpp_m) = (1 << 17, 1 << 39, 1 << 11, 3 << 11);
    let machine = Machine::sv39();
    let outcome = |mstatus, access: Access| {
        let access = access.with_flags(AccessFlags::empty()).with_privilege(Privilege::Machine);
        machine.clone().with(|hart| hart.hs.mstatus = mstatus).pa(access)
    };
    assert_eq!(outcome(mprv | mpv | mpp_s, load(0)), Ok(host(DATA)));
    assert_eq!(outcome(mprv | mpv, store(0)), Err(Exception::StorePageFault)); // VU-mode, and U = 0
    assert_eq!(outcome(mprv | mpv | mpp_m, load(0)), Ok(0));
    assert_eq!(outcome(mprv | mpp_s, load(0)), Ok(0));
    assert_eq!(outcome(mpv | mpp_s, load(0)), Ok(0));
    assert_eq!(outcome(mprv | mpv | mpp_s, fetch(0)), Ok(0));
}

#[test]
fn hypervisor_loads_overrule_mprv() {
    let mprv_as_user = Machine::sv39().with(|hart| hart.hs.mstatus = 1 << 17);
    assert_eq!(mprv_as_user.pa(load(0)), Ok(host(DATA)));
}

#[test]
fn the_page_is_the_smaller_one_of_both_stages() {
    let napot = |machine: Machine| machine.with(|hart| hart.hs.svnapot = true);
    let bits = |machine: &Machine| machine.ask(load(0)).map(|outcome| outcome.page_bits);
    assert_eq!(bits(&Machine::sv39()), Ok(12));
    // The guest has a gigapage, in one step from its root; the host 4 KiB pages.
    let mut guest_large = Machine::sv39();
    guest_large.put(host(0x1000), pte(0, RWX | A | D));
    assert_eq!(bits(&guest_large), Ok(12));
    // And the other way around.
    let mut host_large = Machine::sv39();
    host_large.put(0x8000, pte(0x10_0000 & !0x1f_ffff, OPEN));
    let mut both_large = guest_large;
    both_large.put(0x8000, pte(0, OPEN));
    both_large.put(0x1000, pte(0, RWX | A | D));
    assert_eq!(bits(&both_large), Ok(21));
    // 64 KiB at both.
    let range = Machine::sv39().guest_pte(1 << 63 | pte(0x8000, RWX | A | D));
    let range = napot(range.g_pte(0x0, 1 << 63 | pte(host(0x8000), OPEN)));
    assert_eq!((bits(&range), range.pa(load(0x123))), (Ok(16), Ok(host(0x123))));
}

#[test]
fn g_stage_knows_contiguous_ranges_of_64_kib() {
    let entry = 1 << 63 | pte(host(0x8000), OPEN);
    let machine = Machine::sv39().g_pte(DATA, entry);
    assert_eq!(machine.pa(load(0x123)), Err(Exception::LoadGuestPageFault));
    let machine = machine.with(|hart| hart.hs.svnapot = true);
    assert_eq!(machine.pa(load(0x123)), Ok(host(DATA) + 0x123));
}

#[test]
fn the_bit_g_of_g_stage_means_nothing() {
    let machine = Machine::sv39().g_pte(DATA, pte(host(DATA), OPEN | G));
    assert_eq!(machine.pa(load(0)), Ok(host(DATA)));
}

#[test]
fn a_page_fault_of_the_guest_is_no_guest_page_fault() {
    let machine = Machine::sv39().guest_pte(0).g_pte(DATA, 0);
    let exception = Exception::StorePageFault;
    let fault = Fault { exception, tval: 4, gva: true, tval2: 0, tinst: 0 };
    assert_eq!(machine.ask(store(4)), Err(fault));
}

#[test]
fn an_entry_that_is_of_both_stages_is_told_of_if_one_of_them_changes_it() {
    let updates = |hart: &mut Registers| (hart.hs.menvcfg, hart.henvcfg) = (ADUE, ADUE);
    let plain = Machine::sv39().with(updates).guest_pte(pte(DATA, RWX));
    assert!(!plain.nested(load(0)).entangled);
    // The guest's last table is G-stage's. Its entry 3, which maps the table, is also the guest's for virtual 0x3000.
    let shared = |flags| plain.clone().g_pte(0x3000, pte(0x9000, flags));
    assert!(!shared(OPEN & !U).nested(load(0x3000)).entangled);
    let user = load(0x3000).with_privilege(Privilege::User);
    assert!(!shared(OPEN).nested(user).entangled);
    assert!(shared(OPEN & !A).nested(user).entangled);
}
