//! Tests of RISC-V that the vectors do not cover: PMP, MPRV, machine mode, legalisation of `satp`.

use emmu_core::{Access, PhysAddr, Privilege, VirtAddr};
use emmu_oracle::reference::SparseMemory;
use emmu_oracle::riscv::{Exception, Fault, PmpEntry, Registers, Xlen, legalize_satp};
use emmu_oracle::{Outcome, Reference, Write};

const R: u8 = 1;
const W: u8 = 2;
const X: u8 = 4;
const TOR: u8 = 1 << 3;
const NA4: u8 = 2 << 3;
const NAPOT: u8 = 3 << 3;
const LOCKED: u8 = 0x80;

const MPRV: u64 = 1 << 17;
const ADUE: u64 = 1 << 61;

/// Everything: the last entry of a PMP that is otherwise open.
const OPEN: PmpEntry = PmpEntry { cfg: NAPOT | R | W | X, addr: (1 << 54) - 1 };

/// Bare mode under these PMP entries.
fn bare(pmp: &[PmpEntry]) -> Registers {
    let pmp = pmp.to_vec();
    Registers { xlen: Xlen::Rv64, satp: 0, mstatus: 0, menvcfg: 0, svnapot: false, pmp }
}

/// A TOR entry up to this physical address.
fn up_to(end: u64, cfg: u8) -> PmpEntry {
    PmpEntry { cfg: TOR | cfg, addr: end >> 2 }
}

/// A NAPOT entry of `size` bytes from `base` on.
fn region(base: u64, size: u64, cfg: u8) -> PmpEntry {
    PmpEntry { cfg: NAPOT | cfg, addr: base >> 2 | ((size >> 3) - 1) }
}

fn answer(registers: &Registers, access: Access) -> Result<Outcome, Exception> {
    registers.translate(access, &SparseMemory::default()).map_err(|fault| fault.exception)
}

fn allows(registers: &Registers, access: Access) -> bool {
    answer(registers, access).is_ok()
}

fn load(addr: u64, size: u32) -> Access {
    Access::load(VirtAddr::new(addr), size)
}

#[test]
fn without_pmp_entries_everything_is_allowed() {
    assert!(allows(&bare(&[]), load(0x1000, 8)));
}

#[test]
fn what_no_entry_matches_is_for_machine_mode_alone() {
    let registers = bare(&[PmpEntry::default()]);
    assert_eq!(answer(&registers, load(0x1000, 8)), Err(Exception::LoadAccessFault));
    assert!(allows(&registers, load(0x1000, 8).with_privilege(Privilege::Machine)));
}

#[test]
fn each_kind_of_access_needs_its_permission_and_has_its_fault() {
    let va = VirtAddr::new(0x1000);
    let (read, write) =
        (bare(&[region(0x1000, 0x1000, R)]), bare(&[region(0x1000, 0x1000, R | W)]));
    let execute = bare(&[region(0x1000, 0x1000, X)]);
    assert!(allows(&read, Access::load(va, 8)) && allows(&write, Access::amo(va, 8)));
    assert!(allows(&write, Access::store(va, 8)) && allows(&execute, Access::fetch(va, 4)));
    assert_eq!(answer(&read, Access::store(va, 8)), Err(Exception::StoreAccessFault));
    assert_eq!(answer(&read, Access::amo(va, 8)), Err(Exception::StoreAccessFault));
    assert_eq!(answer(&read, Access::fetch(va, 4)), Err(Exception::InstructionAccessFault));
    assert_eq!(answer(&execute, Access::load(va, 8)), Err(Exception::LoadAccessFault));
}

#[test]
fn na4_is_four_bytes() {
    let registers = bare(&[PmpEntry { cfg: NA4 | R, addr: 0x1004 >> 2 }]);
    assert!(allows(&registers, load(0x1004, 4)));
    assert!(!allows(&registers, load(0x1000, 4)) && !allows(&registers, load(0x1008, 4)));
}

#[test]
fn napot_sizes_are_told_by_the_lowest_zero() {
    for size in [8, 16, 32, 0x1000, 1 << 30] {
        let registers = bare(&[region(1 << 32, size, R)]);
        assert!(allows(&registers, load(1 << 32, 1)), "{size:#x}");
        assert!(allows(&registers, load((1 << 32) + size - 1, 1)), "{size:#x}");
        assert!(!allows(&registers, load((1 << 32) + size, 1)), "{size:#x}");
        assert!(!allows(&registers, load((1 << 32) - 1, 1)), "{size:#x}");
    }
    assert!(allows(&bare(&[OPEN]), load((1 << 56) - 1, 1)));
}

#[test]
fn tor_starts_at_the_entry_before_or_at_0() {
    let registers = bare(&[up_to(0x1000, 0), up_to(0x2000, R)]);
    assert!(!allows(&registers, load(0xffc, 4)) && allows(&registers, load(0x1000, 4)));
    assert!(allows(&registers, load(0x1ffc, 4)) && !allows(&registers, load(0x2000, 4)));
}

#[test]
fn tor_takes_the_address_of_an_entry_that_is_off() {
    let off = PmpEntry { cfg: 0, addr: 0x1000 >> 2 };
    let registers = bare(&[off, up_to(0x2000, R)]);
    assert!(!allows(&registers, load(0xffc, 4)) && allows(&registers, load(0x1000, 4)));
}

#[test]
fn tor_that_ends_before_it_starts_matches_nothing() {
    let off = PmpEntry { cfg: 0, addr: 0x2000 >> 2 };
    let registers = bare(&[off, up_to(0x1000, 0), OPEN]);
    assert!(allows(&registers, load(0x1800, 4)) && allows(&registers, load(0x800, 4)));
}

#[test]
fn tor_that_ends_where_it_starts_matches_nothing_even_within_an_access() {
    let off = PmpEntry { cfg: 0, addr: 0x1004 >> 2 };
    let registers = bare(&[off, up_to(0x1004, 0), OPEN]);
    assert!(allows(&registers, load(0x1000, 8)));
}

#[test]
fn the_lowest_numbered_matching_entry_decides() {
    let closed = region(0x1000, 8, 0);
    assert!(!allows(&bare(&[closed, OPEN]), load(0x1000, 8)));
    assert!(allows(&bare(&[OPEN, closed]), load(0x1000, 8)));
}

/// The manual's example: 0xC to 0xF match, the access is to 0x8 to 0xF.
#[test]
fn an_access_that_matches_in_part_fails_whatever_the_permissions() {
    let registers = bare(&[PmpEntry { cfg: NA4 | R | W | X, addr: 0xc >> 2 }, OPEN]);
    assert!(!allows(&registers, load(0x8, 8)));
    assert!(!allows(&registers, load(0x8, 8).with_privilege(Privilege::Machine)));
    assert!(allows(&registers, load(0x8, 4)) && allows(&registers, load(0xc, 4)));
}

#[test]
fn machine_mode_is_bound_by_locked_entries_alone() {
    let machine = load(0x1000, 8).with_privilege(Privilege::Machine);
    assert!(allows(&bare(&[region(0x1000, 8, 0)]), machine));
    assert!(!allows(&bare(&[region(0x1000, 8, LOCKED)]), machine));
    assert!(allows(&bare(&[region(0x1000, 8, LOCKED | R)]), machine));
}

/// Sv39 with a gigapage at 0x4000_0000, from one table at 0x9000, whose entry 1 it is.
fn gigapage(pte: u64, pmp: &[PmpEntry]) -> (Registers, SparseMemory) {
    let mut memory = SparseMemory::default();
    memory.write64(PhysAddr::new(0x9008), pte);
    (Registers { satp: 8 << 60 | 9, ..bare(pmp) }, memory)
}

/// A leaf to 0x8000_0000 with V, R, W and these flags.
const fn leaf(flags: u64) -> u64 {
    0x8000_0000 >> 2 | 0b111 | flags
}

const U: u64 = 1 << 4;
const A: u64 = 1 << 6;
const D: u64 = 1 << 7;

#[test]
fn a_table_that_pmp_closes_is_an_access_fault_of_the_original_type() {
    let (registers, memory) = gigapage(leaf(A | D), &[region(0x9008, 8, 0), OPEN]);
    let va = VirtAddr::new(0x4000_1234);
    let fault = |access| {
        registers.translate(access, &memory).map_err(|fault| (fault.exception, fault.tval))
    };
    assert_eq!(fault(Access::load(va, 4)), Err((Exception::LoadAccessFault, 0x4000_1234)));
    assert_eq!(fault(Access::fetch(va, 4)), Err((Exception::InstructionAccessFault, 0x4000_1234)));
    assert_eq!(fault(Access::store(va, 4)), Err((Exception::StoreAccessFault, 0x4000_1234)));
}

#[test]
fn tables_are_read_with_the_permissions_of_supervisor_mode() {
    // M-mode with MPRV is not M-mode for the walk: an entry that is not locked binds it.
    let (registers, memory) = gigapage(leaf(A | D | U), &[region(0x9008, 8, 0), OPEN]);
    let registers = Registers { mstatus: MPRV, ..registers };
    let access = load(0x4000_0000, 4).with_privilege(Privilege::Machine);
    let fault = Fault { exception: Exception::LoadAccessFault, tval: 0x4000_0000 };
    assert_eq!(registers.translate(access, &memory), Err(fault));
}

#[test]
fn a_table_that_cannot_be_written_faults_only_where_it_would_be() {
    let (registers, memory) = gigapage(leaf(A), &[region(0x9008, 8, R), OPEN]);
    let registers = Registers { menvcfg: ADUE, ..registers };
    let va = VirtAddr::new(0x4000_0000);
    assert!(registers.translate(Access::load(va, 4), &memory).is_ok());
    let fault = registers.translate(Access::store(va, 4), &memory).map_err(|fault| fault.exception);
    assert_eq!(fault, Err(Exception::StoreAccessFault));
}

#[test]
fn a_page_that_pmp_closes_is_an_access_fault_and_stays_clean() {
    let (registers, memory) = gigapage(leaf(0), &[region(0x8000_0000, 0x1000, R), OPEN]);
    let registers = Registers { menvcfg: ADUE, ..registers };
    let closed = registers.translate(Access::store(VirtAddr::new(0x4000_0000), 8), &memory);
    assert_eq!(closed.map_err(|fault| fault.exception), Err(Exception::StoreAccessFault));
    let open = registers.translate(Access::store(VirtAddr::new(0x4000_1000), 8), &memory);
    let write = Write { addr: PhysAddr::new(0x9008), size: 8, value: leaf(A | D) };
    assert_eq!(open.map(|outcome| outcome.writes), Ok(vec![write]));
}

#[test]
fn mprv_translates_loads_and_stores_of_machine_mode_as_mpp_does() {
    let (registers, memory) = gigapage(leaf(A | D | U), &[]);
    let pa = |mstatus, access: Access| {
        let access = access.with_privilege(Privilege::Machine);
        Registers { mstatus, ..registers.clone() }
            .translate(access, &memory)
            .map(|outcome| outcome.pa.raw())
            .map_err(|fault| fault.exception)
    };
    let va = VirtAddr::new(0x4000_0000);
    let (mpp_s, mpp_m) = (1 << 11, 3 << 11);
    assert_eq!(pa(0, Access::load(va, 8)), Ok(0x4000_0000));
    assert_eq!(pa(MPRV, Access::load(va, 8)), Ok(0x8000_0000));
    assert_eq!(pa(MPRV | mpp_s, Access::store(va, 8)), Err(Exception::StorePageFault));
    assert_eq!(pa(MPRV | mpp_m, Access::load(va, 8)), Ok(0x4000_0000));
    assert_eq!(pa(MPRV, Access::fetch(va, 4)), Ok(0x4000_0000));
}

#[test]
fn bare_addresses_beyond_physical_memory_are_access_faults() {
    assert!(allows(&bare(&[]), load((1 << 56) - 1, 1)));
    assert_eq!(answer(&bare(&[]), load(1 << 56, 1)), Err(Exception::LoadAccessFault));
}

#[test]
fn satp_with_an_unsupported_mode_keeps_all_its_fields() {
    let old = 8 << 60 | 0x1234;
    for mode in [1, 7, 11, 15] {
        assert_eq!(legalize_satp(Xlen::Rv64, old, mode << 60 | 0x5678), old);
    }
    for mode in [0, 8, 9, 10] {
        assert_eq!(legalize_satp(Xlen::Rv64, old, mode << 60 | 0x5678), mode << 60 | 0x5678);
    }
}
