//! Tests of x86 that the vectors do not cover: stack and implicit accesses, paging off, PDPTEs by the bit,
//! other physical address widths, holes.

use emmu_core::{Access, AccessFlags, PhysAddr, Privilege, VirtAddr};
use emmu_oracle::Reference;
use emmu_oracle::reference::{SparseMemory, translate_pieces};
use emmu_oracle::x86::{Fault, Mode, Registers};

const PG: u64 = 1 << 31;
const PSE: u64 = 1 << 4;
const PAE: u64 = 1 << 5;
const SMAP: u64 = 1 << 21;
const LME: u64 = 1 << 8;

const P: u64 = 1;
const RW: u64 = 1 << 1;
const US: u64 = 1 << 2;
const PS: u64 = 1 << 7;

/// 32-bit paging with large pages, from a directory at 0x1000.
const BITS_32: Registers = Registers {
    cr0: PG | 1,
    cr3: 0x1000,
    cr4: PSE,
    efer: 0,
    pkru: 0,
    ac: false,
    maxphyaddr: 40,
    pdptes: [0; 4],
};

/// PAE paging, from PDPTEs at 0x1000.
const PAE_PAGING: Registers = Registers { cr4: PAE, ..BITS_32 };

/// 4-level paging, from a PML4 at 0x1000.
const LEVEL_4: Registers = Registers { cr4: PAE, efer: LME, ..BITS_32 };

/// Tables of 8-byte entries.
fn tables(entries: &[(u64, u64)]) -> SparseMemory {
    let mut memory = SparseMemory::default();
    entries.iter().for_each(|(addr, entry)| memory.write64(PhysAddr::new(*addr), *entry));
    memory
}

/// 4-level tables that map 0 to 1 GiB onto itself, for the user.
fn user_gigabyte() -> SparseMemory {
    tables(&[(0x1000, 0x2000 | P | RW | US), (0x2000, P | RW | US | PS)])
}

#[test]
fn the_mode_is_that_of_the_manuals_table() {
    let mode = |cr0, cr4, efer| Registers { cr0, cr4, efer, ..BITS_32 }.mode();
    let la57 = 1 << 12;
    assert_eq!(mode(1, PAE | la57, LME), Mode::Off);
    assert_eq!(mode(PG, PSE | la57, 0), Mode::Bits32);
    assert_eq!(mode(PG, PAE | la57, 0), Mode::Pae);
    assert_eq!(mode(PG, PAE, LME), Mode::Level4);
    assert_eq!(mode(PG, PAE | la57, LME), Mode::Level5);
}

#[test]
fn without_paging_an_address_of_32_bits_is_physical() {
    let registers = Registers { cr0: 1, ..BITS_32 };
    let outcome = registers.translate(Access::store(VirtAddr::new(0xffff_fff0), 4), &tables(&[]));
    assert_eq!(outcome.map(|outcome| outcome.pa.raw()), Ok(0xffff_fff0));
}

#[test]
fn an_address_that_is_not_canonical_is_gp_and_through_the_stack_ss() {
    let memory = user_gigabyte();
    let fault =
        |access: Access, flags| LEVEL_4.translate(access.with_flags(flags), &memory).map(drop);
    let (none, stack) = (AccessFlags::empty(), AccessFlags::STACK);
    let va = VirtAddr::new(1 << 47);
    assert_eq!(fault(Access::load(va, 8), none), Err(Fault::GeneralProtection));
    assert_eq!(fault(Access::store(va, 8), stack), Err(Fault::StackFault));
    assert_eq!(fault(Access::fetch(va, 1), stack), Err(Fault::GeneralProtection));
}

#[test]
fn every_byte_of_an_access_must_be_canonical() {
    let last = VirtAddr::new((1 << 47) - 4);
    let outcome = |size| LEVEL_4.translate(Access::load(last, size), &tables(&[])).map(drop);
    assert_eq!(outcome(8), Err(Fault::GeneralProtection));
    assert_eq!(outcome(4), Err(Fault::PageFault { code: 0, cr2: last.raw() }));
}

#[test]
fn an_access_across_the_edge_is_gp_before_its_lower_page_can_fault() {
    let access = Access::load(VirtAddr::new((1 << 47) - 4), 8);
    let pieces = translate_pieces(&LEVEL_4, access, &mut tables(&[]));
    assert_eq!(pieces, Err(Fault::GeneralProtection));
}

#[test]
fn an_implicit_access_is_a_supervisor_access_that_ac_does_not_help() {
    let memory = user_gigabyte();
    let access = Access::load(VirtAddr::new(0x1234), 8).with_privilege(Privilege::User);
    let implicit = access.with_flags(AccessFlags::IMPLICIT);
    let smap = Registers { cr4: PAE | SMAP, ac: true, ..LEVEL_4 };
    assert!(LEVEL_4.translate(implicit, &memory).is_ok());
    assert!(smap.translate(access, &memory).is_ok());
    assert!(smap.translate(access.with_privilege(Privilege::Supervisor), &memory).is_ok());
    assert_eq!(smap.translate(implicit, &memory), Err(Fault::PageFault { code: 0b1, cr2: 0x1234 }));
}

#[test]
fn reserved_bits_of_pdptes_are_1_and_2_and_5_to_8_and_those_from_maxphyaddr_up() {
    let reserved = |bit: u64| [1, 2, 5, 6, 7, 8].contains(&bit) || bit >= 40;
    for bit in 1..64 {
        let loaded = PAE_PAGING.load_pdptes(&tables(&[(0x1008, P | 1 << bit)]));
        assert_eq!(loaded.is_err(), reserved(bit), "bit {bit}");
        // One that is not present may have any bit set.
        assert!(PAE_PAGING.load_pdptes(&tables(&[(0x1008, 1 << bit)])).is_ok(), "bit {bit}");
    }
}

#[test]
fn pdptes_are_loaded_from_any_32_bytes_below_4_gib() {
    let registers = Registers { cr3: 0xffff_0000_1238, ..PAE_PAGING };
    let memory = tables(&[(0x1220, 1), (0x1228, 0), (0x1230, 3 << 12 | 1), (0x1238, 4)]);
    assert_eq!(registers.load_pdptes(&memory), Ok([1, 0, 3 << 12 | 1, 4]));
    assert_eq!(LEVEL_4.load_pdptes(&memory), Ok([0; 4]));
}

#[test]
fn pae_walks_from_the_registers_and_not_from_memory() {
    let memory = tables(&[(0x3000, P | RW | PS | 0x4000_0000)]);
    let registers = Registers { pdptes: [0, 0, 0x3000 | P, 0], ..PAE_PAGING };
    let outcome = registers.translate(Access::fetch(VirtAddr::new(0x8000_0123), 1), &memory);
    assert_eq!(outcome.map(|outcome| outcome.pa.raw()), Ok(0x4000_0123));
}

#[test]
fn pse_36_has_as_many_address_bits_as_the_processor_and_reserves_the_others() {
    let fault = Fault::PageFault { code: 0b1001, cr2: 0 };
    for maxphyaddr in [32, 36, 40, 52] {
        let registers = Registers { maxphyaddr, ..BITS_32 };
        for bit in 13..22 {
            let mut memory = SparseMemory::default();
            memory.write32(PhysAddr::new(0x1000), 0b1000_0011 | 1 << bit);
            let outcome = registers.translate(Access::load(VirtAddr::new(0), 4), &memory);
            // Bit 13 is bit 32 of the address; 21 is never one, as 40 bits is all there can be.
            let exists = bit < 21 && bit + 19 < maxphyaddr;
            let expected = if exists { Ok(1 << (bit + 19)) } else { Err(fault) };
            assert_eq!(outcome.map(|outcome| outcome.pa.raw()), expected, "{maxphyaddr}, {bit}");
        }
    }
}

#[test]
fn maxphyaddr_decides_which_bits_of_an_entry_are_reserved() {
    for maxphyaddr in [32, 40, 46, 52] {
        let registers = Registers { maxphyaddr, ..LEVEL_4 };
        for bit in 32..52 {
            let memory = tables(&[(0x1000, 0x2000 | P | RW), (0x2000, P | RW | PS | 1 << bit)]);
            let outcome = registers.translate(Access::load(VirtAddr::new(0), 4), &memory);
            assert_eq!(outcome.is_err(), bit >= maxphyaddr, "{maxphyaddr}, {bit}");
        }
    }
}

#[test]
fn an_entry_that_is_table_and_page_at_once_is_written_once() {
    // Entry 0 of the PML4 points to the PML4: it is PML4E, PDPTE, PDE and PTE of address 0.
    let memory = tables(&[(0x1000, 0x1000 | P | RW | US)]);
    let outcome = LEVEL_4.translate(Access::store(VirtAddr::new(0), 8), &memory);
    let values =
        outcome.map(|outcome| outcome.writes.iter().map(|write| write.value).collect::<Vec<_>>());
    assert_eq!(values, Ok(vec![0x1000 | P | RW | US | 1 << 5 | 1 << 6]));
}

#[test]
fn a_table_in_a_hole_names_the_entry() {
    let mut memory = user_gigabyte();
    memory.punch(PhysAddr::new(0x2000));
    let outcome = LEVEL_4.translate(Access::load(VirtAddr::new(1 << 30), 8), &memory);
    assert_eq!(outcome, Err(Fault::BusError { entry: PhysAddr::new(0x2008) }));
}
