//! Hardware management of the access flag and the dirty state.

use super::*;

const EVERY_PRIVILEGE: [Privilege; 2] = [Privilege::User, Privilege::Supervisor];

#[test]
fn without_ha_a_clear_access_flag_faults() {
    for tcr in [0, HD] {
        let machine = Machine::with_page(EL0).tcr(tcr);
        for kind in AccessKind::ALL {
            let fault = machine.access(at(kind, Privilege::User)).expect_err("AF is 0");
            assert_eq!((fault.kind, fault.level), (FaultKind::AccessFlag, 3));
        }
    }
}

#[test]
fn with_ha_every_access_sets_the_access_flag_in_the_leaf_and_only_there() {
    let machine = Machine::with_page(EL0).tcr(HA);
    for kind in [AccessKind::Fetch, AccessKind::Load, AccessKind::Store, AccessKind::Amo] {
        let found = machine.access(at(kind, Privilege::User)).expect("allowed");
        let value = 0x5000_0000 | PAGE | EL0 | AF;
        let write = Write { addr: PhysAddr::new(TABLES[3]), size: 8, value };
        assert_eq!(found.write, Some(write));
    }
}

#[test]
fn a_block_has_an_access_flag_too() {
    let machine = Machine::k4().tcr(HA).put(1, 0x4000_0000 | BLOCK);
    assert_eq!(machine.updated(load(0x123)), Some(0x4000_0000 | BLOCK | AF));
}

#[test]
fn a_set_access_flag_is_not_written_again() {
    assert_eq!(Machine::with_page(AF).tcr(HA).updated(load(0)), None);
}

#[test]
fn with_ha_a_clear_access_flag_does_not_hide_a_permission_fault() {
    let machine = Machine::with_page(READ_ONLY).tcr(HA | HD);
    let fault = machine.access(at(AccessKind::Store, Privilege::Supervisor)).expect_err("no DBM");
    assert_eq!(fault.kind, FaultKind::Permission);
}

#[test]
fn a_write_makes_a_clean_page_dirty_and_accessed() {
    for privilege in EVERY_PRIVILEGE {
        let machine = Machine::with_page(EL0 | READ_ONLY | DBM).tcr(HA | HD);
        for kind in [AccessKind::Store, AccessKind::Amo] {
            let dirty = 0x5000_0000 | PAGE | EL0 | DBM | AF;
            assert_eq!(machine.updated(at(kind, privilege)), Some(dirty));
        }
    }
}

#[test]
fn a_read_leaves_a_clean_page_clean() {
    let machine = Machine::with_page(READ_ONLY | DBM | AF).tcr(HA | HD);
    assert_eq!(machine.load(0).expect("allowed").write, None);
    let young = Machine::with_page(READ_ONLY | DBM).tcr(HA | HD);
    assert_eq!(young.updated(load(0)), Some(0x5000_0000 | PAGE | READ_ONLY | DBM | AF));
}

#[test]
fn a_dirty_page_is_not_written_again() {
    let machine = Machine::with_page(DBM | AF).tcr(HA | HD);
    let store = machine.access(at(AccessKind::Store, Privilege::Supervisor)).expect("allowed");
    assert_eq!(store.write, None);
}

#[test]
fn the_dirty_state_needs_ha_hd_and_dbm() {
    for (tcr, dbm) in [(HA, DBM), (HD, DBM), (0, DBM), (HA | HD, 0)] {
        let machine = Machine::with_page(READ_ONLY | AF | dbm).tcr(tcr);
        let store = machine.access(at(AccessKind::Store, Privilege::Supervisor));
        assert_eq!(kind_and_level(store), (FaultKind::Permission, 3));
    }
}

#[test]
fn dbm_does_not_lift_what_a_table_forbids() {
    let read_only_below = TABLES[3] | TABLE | 1 << 62;
    let machine = Machine::with_page(READ_ONLY | DBM | AF).tcr(HA | HD).put(2, read_only_below);
    let store = machine.access(at(AccessKind::Store, Privilege::Supervisor));
    assert_eq!(kind_and_level(store), (FaultKind::Permission, 3));
}

#[test]
fn dbm_does_not_let_el0_in() {
    let machine = Machine::with_page(READ_ONLY | DBM | AF).tcr(HA | HD);
    let store = machine.access(at(AccessKind::Store, Privilege::User));
    assert_eq!(kind_and_level(store), (FaultKind::Permission, 3));
}

#[test]
fn a_clean_page_counts_as_writable_for_wxn_and_for_execution_at_el1() {
    let fetches = |machine: &Machine| {
        EVERY_PRIVILEGE.map(|privilege| machine.access(at(AccessKind::Fetch, privilege)).is_ok())
    };
    let clean = Machine::with_page(EL0 | READ_ONLY | DBM | AF);
    assert_eq!(fetches(&clean), [true, true]);
    let managed = clean.tcr(HA | HD);
    assert_eq!(fetches(&managed), [true, false]); // EL0 can write it
    assert_eq!(fetches(&managed.wxn()), [false, false]);
}
