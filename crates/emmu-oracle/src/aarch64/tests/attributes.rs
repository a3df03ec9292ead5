//! Permissions, tags, switches of the halves, and how faults are reported.

use super::*;
use AccessKind::{Amo, Fetch, Load, Store};
use Privilege::{Supervisor, User};

const TBI0: u64 = 1 << 37;
const TBI1: u64 = 1 << 38;
const EPD0: u64 = 1 << 7;
const EPD1: u64 = 1 << 23;
const HPD0: u64 = 1 << 41;
const HPD1: u64 = 1 << 42;
/// First address of the upper half with 48 bits.
const UPPER: u64 = 0xffff_0000_0000_0000;

#[test]
fn epd_disables_the_walks_of_its_half_alone() {
    for (tcr, off, on) in [(EPD0, 0, UPPER), (EPD1, UPPER, 0)] {
        let mut machine = Machine::with_page(AF).tcr(tcr);
        assert_eq!(machine.pa(on + 8), 0x5000_0008);
        assert_eq!(machine.fault(off), (FaultKind::Translation, 0));
        machine.memory.punch(PhysAddr::new(TABLES[0])); // no table is read
        assert_eq!(machine.fault(off), (FaultKind::Translation, 0));
    }
}

#[test]
fn a_tag_is_ignored_where_tbi_says_so_and_kept_in_far() {
    for (tcr, with, without) in [(TBI0, 0, UPPER), (TBI1, UPPER, 0)] {
        let machine = Machine::with_page(AF).tcr(tcr);
        let tag = 0x5a << 56;
        assert_eq!(machine.pa((with ^ tag) + 4), 0x5000_0004);
        assert_eq!(machine.fault(without ^ tag), (FaultKind::Translation, 0));
        let unmapped = (with ^ tag) + 0x1000;
        let fault = machine.load(unmapped).expect_err("nothing is mapped");
        assert_eq!((fault.level, fault.far), (3, unmapped));
    }
}

#[test]
fn tbi_ignores_bits_63_to_56_and_no_others() {
    let machine = Machine::with_page(AF).tcr(TBI0 | TBI1);
    for bit in 48..56 {
        assert_eq!(machine.fault(1 << bit).0, FaultKind::Translation);
    }
    for bit in 56..64 {
        assert_eq!(machine.pa(1 << bit), 0x5000_0000);
    }
}

#[test]
fn tables_take_permissions_away_from_all_below_unless_hpd() {
    // (bit of the table descriptor, what it takes away)
    let cases = [(61, Load, User), (62, Store, User), (62, Store, Supervisor), (60, Fetch, User)];
    for (bit, kind, privilege) in cases {
        for level in 0..3 {
            let machine = || {
                let table = TABLES[level + 1] | TABLE | 1 << bit;
                Machine::with_page(AF | EL0).put(level, table)
            };
            for (va, own, other) in [(0, HPD0, HPD1), (UPPER, HPD1, HPD0)] {
                let access = at(kind, privilege).at(VirtAddr::new(va), 4);
                let refused = (FaultKind::Permission, 3);
                assert_eq!(kind_and_level(machine().access(access)), refused);
                assert_eq!(kind_and_level(machine().tcr(other).access(access)), refused);
                assert!(machine().tcr(own).access(access).is_ok());
            }
        }
    }
}

#[test]
fn pxn_table_takes_execution_at_el1_away() {
    let table = TABLES[1] | TABLE | 1 << 59;
    let machine = Machine::with_page(AF).put(0, table);
    assert_eq!(kind_and_level(machine.access(at(Fetch, Supervisor))), (FaultKind::Permission, 3));
    assert!(machine.access(at(Fetch, User)).is_ok());
    assert!(machine.tcr(HPD0).access(at(Fetch, Supervisor)).is_ok());
}

#[test]
fn a_table_that_makes_a_page_read_only_makes_it_executable_at_el1_again() {
    let machine = Machine::with_page(AF | EL0);
    assert!(machine.access(at(Fetch, Supervisor)).is_err()); // EL0 can write it
    let machine = machine.put(2, TABLES[3] | TABLE | 1 << 62);
    assert!(machine.access(at(Fetch, Supervisor)).is_ok());
}

#[test]
fn a_page_that_el0_cannot_read_can_be_executed_there() {
    let machine = Machine::with_page(AF);
    assert!(machine.access(at(Fetch, User)).is_ok());
    assert!(machine.access(at(Load, User)).is_err());
}

#[test]
fn pan_forbids_el1_the_data_of_el0_and_nothing_else() {
    for (bits, read_at_el1) in [(EL0, false), (EL0 | READ_ONLY, false), (0, true)] {
        let mut machine = Machine::with_page(AF | bits);
        machine.registers.pan = true;
        assert_eq!(machine.access(at(Load, Supervisor)).is_ok(), read_at_el1);
        assert_eq!(machine.access(at(Load, User)).is_ok(), bits & EL0 != 0);
    }
    let mut machine = Machine::with_page(AF | EL0 | READ_ONLY);
    machine.registers.pan = true;
    assert!(machine.access(at(Fetch, Supervisor)).is_ok());
}

#[test]
fn the_contiguous_bit_is_told_and_changes_nothing() {
    let plain = Machine::with_page(AF).load(0x234).expect("mapped");
    // 0x5000_3000 is no multiple of 64 KiB: misprogrammed, if it were to count.
    let machine = Machine::k4().put(3, 0x5000_3000 | PAGE | AF | CONTIGUOUS);
    let found = machine.load(0x234).expect("mapped");
    assert_eq!((found.pa.raw(), found.page_bits), (0x5000_3234, plain.page_bits));
    assert_eq!(found.leaf.map(|leaf| leaf.contiguous), Some(true));
    assert_eq!(plain.leaf.map(|leaf| leaf.contiguous), Some(false));
    assert_eq!(machine.fault(0x1000), (FaultKind::Translation, 3)); // no neighbour is mapped by it
}

#[test]
fn the_leaf_is_told() {
    let machine = Machine::k4().put(2, 0x4000_0000 | AF | BLOCK | 5 << 2 | 1 << 11);
    let leaf = Leaf { level: 2, contiguous: false, not_global: true, attr_index: 5 };
    assert_eq!(machine.load(0).expect("mapped").leaf, Some(leaf));
}

#[test]
fn the_exception_class_tells_fetch_from_data_and_el0_from_el1() {
    let machine = Machine::k4();
    let cases = [
        (Fetch, User, 0x8200_0007),
        (Fetch, Supervisor, 0x8600_0007),
        (Load, User, 0x9200_0007),
        (Load, Supervisor, 0x9600_0007),
        (Store, User, 0x9200_0047),
        (Store, Supervisor, 0x9600_0047),
        (Load, Privilege::Machine, 0x9600_0007),
    ];
    for (kind, privilege, esr) in cases {
        assert_eq!(machine.access(at(kind, privilege)).map_err(|fault| fault.esr), Err(esr));
    }
}

#[test]
fn the_status_codes_are_those_of_the_manual() {
    use FaultKind::*;
    let first = [AddressSize, Translation, AccessFlag, Permission, ExternalAbortOnWalk]
        .map(|kind| (kind.status_code(0), kind.status_code(3)));
    assert_eq!(first, [(0x00, 0x03), (0x04, 0x07), (0x08, 0x0b), (0x0c, 0x0f), (0x14, 0x17)]);
}

#[test]
fn wnr_of_an_atomic_access_is_0_for_a_fault_that_its_read_meets_too() {
    let wnr = |machine: &Machine, privilege| {
        machine.access(at(Amo, privilege)).expect_err("it faults").esr >> 6 & 1
    };
    assert_eq!(wnr(&Machine::k4(), Supervisor), 0); // translation
    assert_eq!(wnr(&Machine::with_page(EL0), User), 0); // access flag
    assert_eq!(wnr(&Machine::with_page(AF), User), 0); // EL0 cannot even read it
    assert_eq!(wnr(&Machine::with_page(AF | EL0).ips(0).put(3, 1 << 40 | PAGE), User), 0);
    let mut pan = Machine::with_page(AF | EL0);
    pan.registers.pan = true;
    assert_eq!(wnr(&pan, Supervisor), 0);
    let mut hole = Machine::k4();
    hole.memory.punch(PhysAddr::new(TABLES[3]));
    assert_eq!(wnr(&hole, Supervisor), 0);
}

#[test]
fn wnr_of_an_atomic_access_is_1_where_only_its_write_is_forbidden() {
    for privilege in [User, Supervisor] {
        let machine = Machine::with_page(AF | EL0 | READ_ONLY);
        let fault = machine.access(at(Amo, privilege)).expect_err("read-only");
        assert_eq!((fault.kind, fault.esr >> 6 & 1), (FaultKind::Permission, 1));
    }
}
