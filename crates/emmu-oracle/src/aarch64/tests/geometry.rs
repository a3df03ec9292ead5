//! Levels, tables, blocks and the choice between the halves of the address space.

use super::*;
use crate::{Hole, Memory};
use std::cell::RefCell;

/// Memory that is 0 everywhere and remembers what was read.
#[derive(Default)]
struct Spy(RefCell<Vec<u64>>);

impl Memory for Spy {
    fn read32(&self, _: PhysAddr) -> Result<u32, Hole> {
        Err(Hole)
    }

    fn read64(&self, addr: PhysAddr) -> Result<u64, Hole> {
        self.0.borrow_mut().push(addr.raw());
        Ok(0)
    }
}

/// D8.2.8 to D8.2.10 ("Translation using the 4KB, 16KB, 64KB granule"): which `TxSZ` start at which level,
/// as (granule, first TxSZ, last TxSZ, level, bits that an entry of this level covers).
const START_LEVELS: [(usize, u64, u64, u32, u64); 11] = [
    (0, 16, 24, 0, 39),
    (0, 25, 33, 1, 30),
    (0, 34, 42, 2, 21),
    (0, 43, 48, 3, 12),
    (1, 16, 16, 0, 47),
    (1, 17, 27, 1, 36),
    (1, 28, 38, 2, 25),
    (1, 39, 48, 3, 14),
    (2, 16, 21, 1, 42),
    (2, 22, 34, 2, 29),
    (2, 35, 47, 3, 16),
];

/// Every granule with every `TxSZ`: (granule bits of TCR, TxSZ, start level, bits that an entry covers).
fn every_size() -> impl Iterator<Item = (u64, u64, u32, u64)> {
    START_LEVELS.into_iter().flat_map(|(granule, first, last, level, covered)| {
        (first..=last).map(move |txsz| (GRANULES[granule].0, txsz, level, covered))
    })
}

#[test]
fn each_txsz_starts_at_the_level_of_the_manuals_tables() {
    for (granule, txsz, level, _) in every_size() {
        let mut machine = Machine::new(granule, txsz, 0);
        machine.memory = SparseMemory::default();
        for va in [0, u64::MAX] {
            assert_eq!(machine.fault(va), (FaultKind::Translation, level), "{granule:#x} {txsz}");
        }
    }
}

#[test]
fn the_first_table_has_as_many_entries_as_the_address_needs_and_is_aligned_to_them() {
    for (granule, txsz, _, covered) in every_size() {
        let size = 8 << (64 - txsz - covered);
        let base = 0x5000_0000_0000;
        let mut machine = Machine::new(granule, txsz, 0);
        machine.registers.ttbr0_el1 = base | (size - 1); // the bits below the alignment are ignored
        machine.registers.ttbr1_el1 = base << 1 | (size - 1);
        let highest = (1 << (64 - txsz)) - 1;
        let spy = Spy::default();
        for va in [0, highest, !highest, u64::MAX] {
            machine.registers.mapping(load(va), &spy).expect_err("nothing is mapped");
        }
        let upper = base << 1;
        let want = [base, base + size - 8, upper, upper + size - 8];
        assert_eq!(*spy.0.borrow(), want, "{granule:#x} {txsz}");
    }
}

#[test]
fn a_txsz_outside_its_limits_is_a_translation_fault_at_level_0() {
    for (granule, bad) in [(0, [0, 15, 49, 63]), (1, [0, 15, 49, 63]), (2, [0, 15, 48, 63])] {
        for txsz in bad {
            let mut machine = Machine::new(GRANULES[granule].0, txsz, 0);
            machine.memory = SparseMemory::default();
            machine.memory.punch(PhysAddr::new(TABLES[0])); // no table is read
            for va in [0, u64::MAX] {
                assert_eq!(machine.fault(va), (FaultKind::Translation, 0));
            }
        }
    }
}

#[test]
fn addresses_beyond_txsz_are_translation_faults_at_level_0() {
    for (granule, txsz, ..) in every_size() {
        let mut machine = Machine::new(granule, txsz, 0);
        machine.memory = SparseMemory::default();
        machine.memory.punch(PhysAddr::new(TABLES[0])); // no table is read
        let size = 1 << (64 - txsz);
        for va in [size, 1 << 54, 1 << 63, !size, !(1 << 54), !(1 << 63)] {
            assert_eq!(machine.fault(va), (FaultKind::Translation, 0), "{va:#x} with {txsz}");
        }
    }
}

#[test]
fn bit_55_selects_the_table() {
    let mut machine = Machine::with_page(AF).put_at(0x0800_0000, TABLES[1] | TABLE);
    machine.registers.ttbr1_el1 = 0x0800_0000;
    let machine = machine.put_at(0x0800_0000 + 8 * 511, TABLES[1] | TABLE);
    assert_eq!(machine.fault(0x0000_ff80_0000_0123), (FaultKind::Translation, 0));
    assert_eq!(machine.pa(0xffff_ff80_0000_0123), 0x5000_0123);
    assert_eq!(machine.pa(0xffff_0000_0000_0456), 0x5000_0456);
}

#[test]
fn the_halves_have_sizes_and_granules_of_their_own() {
    let mut machine = Machine::new(0b11 << 30, 0, 2); // upper 64 KiB, lower 4 KiB
    machine.registers.tcr_el1 |= 22 << 16 | 25;
    machine.registers.ttbr0_el1 = 0x0800_0000;
    let machine = machine.put(3, 0x5000_0000 | PAGE | AF);
    assert_eq!(machine.pa(0xffff_fc00_0000_fedc), 0x5000_fedc);
    assert_eq!(machine.fault(0x1234), (FaultKind::Translation, 1));
}

#[test]
fn a_reserved_granule_is_4_kib() {
    let mut machine = Machine::with_page(AF);
    machine.registers.tcr_el1 = IPS_48 | 0b11 << 14 | 16 << 16 | 16; // TG0 = 0b11, TG1 = 0b00
    for va in [0, 0xffff_0000_0000_0000] {
        assert_eq!(machine.load(va).expect("mapped").page_bits, 12);
    }
}

#[test]
fn the_asid_and_cnp_of_a_ttbr_are_no_address() {
    let mut machine = Machine::with_page(AF);
    machine.registers.ttbr0_el1 |= 0xabcd << 48 | 1;
    assert_eq!(machine.pa(0x10), 0x5000_0010);
}

#[test]
fn pages_and_blocks_have_the_sizes_of_their_level() {
    let cases =
        [(0, 3, 12), (0, 2, 21), (0, 1, 30), (1, 3, 14), (1, 2, 25), (2, 3, 16), (2, 2, 29)];
    for (granule, level, page_bits) in cases {
        let kind = if level == 3 { PAGE } else { BLOCK };
        let start_level = [0, 0, 1][granule];
        // The address bits below the size are RES0, so those that are set here are ignored.
        let low = (1 << page_bits) - (1 << 12);
        let machine = Machine::new(GRANULES[granule].0, 16, start_level)
            .put(level, 0x7890_0000_0000 | low | AF | kind);
        let last = (1 << page_bits) - 1;
        let found = machine.load(last).expect("mapped");
        assert_eq!((found.page_bits, found.pa.raw()), (page_bits, 0x7890_0000_0000 | last));
    }
}

#[test]
fn a_block_where_the_granule_has_none_is_a_translation_fault() {
    for (granule, levels) in [(0, 0..=0), (1, 0..=1), (2, 1..=1)] {
        for level in levels {
            let start_level = [0, 0, 1][granule];
            let machine = Machine::new(GRANULES[granule].0, 16, start_level)
                .put(level, 0x4000_0000_0000 | AF | BLOCK);
            let reported = u32::try_from(level).expect("a small number");
            assert_eq!(machine.fault(0), (FaultKind::Translation, reported));
        }
    }
}

#[test]
fn a_descriptor_that_is_invalid_or_reserved_is_a_translation_fault_at_its_level() {
    for level in 0..=3 {
        let reported = u32::try_from(level).expect("a small number");
        for low_bits in [0b00, 0b10] {
            let machine = Machine::k4().put(level, 0x5000_0000 | AF | low_bits);
            assert_eq!(machine.fault(0), (FaultKind::Translation, reported));
        }
    }
    let machine = Machine::k4().put(3, 0x5000_0000 | AF | BLOCK); // 0b01 is reserved for pages
    assert_eq!(machine.fault(0), (FaultKind::Translation, 3));
}

#[test]
fn a_table_in_a_hole_is_an_external_abort_at_its_level() {
    for (level, status_code) in [(0, 0x14), (1, 0x15), (2, 0x16), (3, 0x17)] {
        let mut machine = Machine::with_page(AF);
        machine.memory.punch(PhysAddr::new(TABLES[level]));
        let fault = machine.load(0).expect_err("no memory there");
        assert_eq!((fault.kind, fault.fsc), (FaultKind::ExternalAbortOnWalk, status_code));
    }
}
