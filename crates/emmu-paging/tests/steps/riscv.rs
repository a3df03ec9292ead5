//! RISC-V, on Sv39 unless a test says otherwise.

use crate::machine::{END, Machine, amo, fetch, load, store, user};
use emmu_core::{
    Access, Bus, BusError, Cause, PhysAddr, Privilege, RegisterId, Transfer, TranslationUnit,
    VirtAddr, Width,
};
use emmu_memory::Memory;
use emmu_paging::{
    RiscV,
    format::riscv::{EnvConfig, Extensions, PMPADDR0, PMPCFG0, Pte, SATP, Status},
};

const ROOT: u64 = 0x1000;
const MIDDLE: u64 = 0x2000;
const LAST: u64 = 0x3000;
/// The entry for `VA`, and what it maps it to.
const ENTRY: u64 = LAST + 8;
const VA: u64 = 0x1000;
const PAGE: u64 = 0x8000_0000;
/// The flags that an entry needs so that neither its A nor its D is missing.
const AD: Pte = Pte::A.union(Pte::D);
const RWX: Pte = Pte::R.union(Pte::W).union(Pte::X);

fn pointer(table: u64) -> u64 {
    Pte::to(PhysAddr::new(table), Pte::V)
}

fn leaf(addr: u64, bits: Pte) -> u64 {
    Pte::to(PhysAddr::new(addr), Pte::V | bits)
}

/// A hart on whose tables the page at [`VA`] has these bits, besides V.
fn hart(format: RiscV, bits: Pte) -> Machine<RiscV> {
    Machine::new(format.with_satp(8 << 60 | ROOT >> 12))
        .with(ROOT, pointer(MIDDLE))
        .with(MIDDLE, pointer(LAST))
        .with(ENTRY, leaf(PAGE, bits))
}

fn page(bits: Pte) -> Machine<RiscV> {
    hart(RiscV::rv64(), bits)
}

/// With the access's own kind: page faults are 12, 13 and 15, access faults 1, 5 and 7.
fn causes(machine: &mut Machine<RiscV>, addr: u64) -> Vec<u64> {
    let mut cause = |access| {
        let fault = machine.translate(access).unwrap_err();
        machine.unit.format().exception(&fault).cause
    };
    vec![cause(fetch(addr)), cause(load(addr)), cause(store(addr)), cause(amo(addr))]
}

// spec: riscv-bare
#[test]
fn in_bare_mode_an_address_is_physical() {
    let mut bare = Machine::new(RiscV::rv64());
    assert_eq!(bare.outcome(user(load(0x1234_5678))), Ok(0x1234_5678));
    assert_eq!(bare.outcome(load(1 << 56)), Err(Cause::AddressSize));
}

// spec: riscv-bare
#[test]
fn machine_mode_is_not_translated() {
    assert_eq!(page(Pte::R | AD).outcome(load(VA).with_privilege(Privilege::Machine)), Ok(VA));
}

// spec: riscv-mprv
#[test]
fn mprv_makes_data_accesses_of_machine_mode_as_mpp_says() {
    let user_page = Pte::U | RWX | AD;
    let mut machine = hart(RiscV::rv64().with_mstatus(Status::MPRV), user_page);
    assert_eq!(machine.outcome(load(VA).with_privilege(Privilege::Machine)), Ok(PAGE));
    assert_eq!(machine.outcome(fetch(VA).with_privilege(Privilege::Machine)), Ok(VA));
}

// spec: riscv-sign
#[test]
fn bits_above_the_highest_index_bit_must_equal_it() {
    let mut machine = page(RWX | AD).with(ROOT + 511 * 8, leaf(0, RWX | AD));
    assert!(machine.allows(load(0xffff_ffff_c000_0000)));
    for addr in [1 << 39, 1 << 63 | VA, 0x40_0000_0000, 0x7f_c000_0000] {
        assert_eq!(machine.outcome(load(addr)), Err(Cause::NonCanonical), "{addr:#x}");
    }
    assert_eq!(causes(&mut machine, 1 << 39), [12, 13, 15, 15]);
}

// spec: riscv-1
#[test]
fn the_walk_starts_at_the_table_that_satp_names() {
    let mut machine = page(RWX | AD);
    assert_eq!(machine.reads(load(VA)), [ROOT, MIDDLE, ENTRY]);
    let mut moved = page(RWX | AD).having(SATP, 8 << 60 | MIDDLE >> 12);
    assert_eq!(moved.reads(load(0x4000_0000)), [MIDDLE + 8]);
}

// spec: riscv-2
#[test]
fn a_table_in_a_hole_is_an_access_fault_of_the_accesss_own_kind() {
    let mut machine = page(RWX | AD).with(MIDDLE, pointer(END));
    assert_eq!(causes(&mut machine, VA), [1, 5, 7, 7]);
    let entry = machine.translate(load(VA)).unwrap_err().entry.unwrap();
    assert_eq!((entry.level, entry.addr.raw(), entry.raw), (0, END + 8, None));
}

// spec: riscv-3
#[test]
fn an_entry_that_is_not_valid_is_a_page_fault() {
    let mut machine = page(RWX | AD).with(ENTRY, leaf(PAGE, RWX | AD) & !1);
    assert_eq!(machine.outcome(load(VA)), Err(Cause::Absent));
    assert_eq!(causes(&mut machine, VA), [12, 13, 15, 15]);
}

// spec: riscv-3
#[test]
fn writable_but_not_readable_is_reserved() {
    for bits in [Pte::W, Pte::W | Pte::X] {
        assert_eq!(page(bits | AD).outcome(fetch(VA)), Err(Cause::Reserved), "{bits:?}");
    }
}

// spec: riscv-3
#[test]
fn bits_60_to_54_are_reserved() {
    for bit in 54..=60 {
        let bits = Pte::from_bits_retain(1 << bit) | RWX | AD;
        assert_eq!(page(bits).outcome(load(VA)), Err(Cause::Reserved), "bit {bit}");
    }
}

// spec: riscv-4
#[test]
fn an_entry_without_r_and_x_points_to_the_next_table() {
    let below = 0x9000;
    let mut machine = page(RWX | AD).with(MIDDLE, pointer(below));
    assert_eq!(machine.reads(load(VA)), [ROOT, MIDDLE, below + 8]);
}

// spec: riscv-4
#[test]
fn a_pointer_at_the_last_level_is_a_page_fault() {
    assert_eq!(page(Pte::empty()).outcome(load(VA)), Err(Cause::Reserved));
}

// spec: riscv-4
#[test]
fn in_a_pointer_a_d_and_u_are_reserved() {
    for bit in [Pte::A, Pte::D, Pte::U] {
        let mut machine = page(RWX | AD).with(MIDDLE, pointer(LAST) | bit.bits());
        assert_eq!(machine.outcome(load(VA)), Err(Cause::Reserved), "{bit:?}");
    }
}

// spec: riscv-5
#[test]
fn a_superpage_is_aligned_to_its_size() {
    for (entry, size) in [(MIDDLE, 0x20_0000), (ROOT, 0x4000_0000)] {
        let mut machine = page(RWX | AD).with(entry, leaf(3 * size, RWX | AD));
        assert_eq!(machine.outcome(load(VA)), Ok(3 * size + VA));
        machine = machine.with(entry, leaf(3 * size + 0x1000, RWX | AD));
        assert_eq!(machine.outcome(load(VA)), Err(Cause::Misaligned));
    }
}

// spec: riscv-6
#[test]
fn user_mode_reaches_user_pages_only() {
    assert_eq!(page(RWX | AD).rights(VA, Privilege::User), "");
    assert_eq!(page(Pte::U | RWX | AD).rights(VA, Privilege::User), "xrwa");
}

// spec: riscv-6
#[test]
fn sum_lets_supervisor_mode_at_user_data_and_never_at_user_code() {
    let user_page = Pte::U | RWX | AD;
    assert_eq!(page(user_page).rights(VA, Privilege::Supervisor), "");
    let mut machine = hart(RiscV::rv64().with_mstatus(Status::SUM), user_page);
    assert_eq!(machine.rights(VA, Privilege::Supervisor), "rwa");
}

// spec: riscv-8
#[test]
fn each_kind_of_access_has_its_own_permission_and_an_amo_needs_two() {
    for (bits, rights) in [(Pte::R, "r"), (Pte::X, "x"), (Pte::R | Pte::W, "rwa"), (RWX, "xrwa")] {
        assert_eq!(page(bits | AD).rights(VA, Privilege::Supervisor), rights);
    }
}

// spec: riscv-8
#[test]
fn mxr_makes_executable_pages_readable() {
    let mut machine = hart(RiscV::rv64().with_mstatus(Status::MXR), Pte::X | AD);
    assert_eq!(machine.rights(VA, Privilege::Supervisor), "xr");
}

// spec: riscv-9-svade
#[test]
fn without_svadu_a_clear_a_or_a_clear_d_on_a_store_is_a_page_fault() {
    let mut machine = page(RWX);
    assert_eq!(machine.outcome(load(VA)), Err(Cause::AccessFlag));
    assert_eq!(causes(&mut machine, VA), [12, 13, 15, 15]);
    let mut clean = page(RWX | Pte::A);
    assert_eq!(clean.outcome(load(VA)), Ok(PAGE));
    assert_eq!(clean.outcome(store(VA)), Err(Cause::DirtyFlag));
}

// spec: riscv-8, riscv-9-svade
#[test]
fn permission_comes_before_the_accessed_bit() {
    let mut machine = page(RWX - Pte::W);
    assert_eq!(machine.outcome(store(VA)), Err(Cause::ReadOnly));
}

// spec: riscv-9-svadu
#[test]
fn with_svadu_a_load_sets_a_and_a_store_sets_d_too() {
    let svadu = RiscV::rv64().with_menvcfg(EnvConfig::ADUE);
    let mut machine = hart(svadu, RWX);
    machine.translate(load(VA)).unwrap();
    assert_eq!(machine.entry(ENTRY), leaf(PAGE, RWX | Pte::A));
    machine.translate(store(VA)).unwrap();
    assert_eq!(machine.entry(ENTRY), leaf(PAGE, RWX | AD));
    assert_eq!(machine.entry(MIDDLE), pointer(LAST), "pointers have neither");
}

// spec: riscv-9-svadu
#[test]
fn an_access_that_is_refused_sets_nothing() {
    let mut machine = hart(RiscV::rv64().with_menvcfg(EnvConfig::ADUE), Pte::R);
    assert!(!machine.allows(store(VA)));
    assert_eq!(machine.entry(ENTRY), leaf(PAGE, Pte::R));
}

/// Memory in which, once, another hart clears W of an entry between its read and its update.
struct Raced {
    memory: Memory,
    reads: u32,
    still_to_come: bool,
}

impl Bus for Raced {
    fn read(&mut self, addr: PhysAddr, width: Width) -> Result<u64, BusError> {
        self.reads += 1;
        self.memory.read(addr, width)
    }

    fn write(&mut self, addr: PhysAddr, width: Width, value: u64) -> Result<(), BusError> {
        self.memory.write(addr, width, value)
    }

    fn peek(&self, addr: PhysAddr, width: Width) -> Result<u64, BusError> {
        self.memory.peek(addr, width)
    }

    fn check(&self, addr: PhysAddr, len: u64, transfer: Transfer) -> Result<(), BusError> {
        self.memory.check(addr, len, transfer)
    }

    fn compare_exchange(
        &mut self,
        addr: PhysAddr,
        width: Width,
        current: u64,
        new: u64,
    ) -> Result<u64, BusError> {
        if std::mem::take(&mut self.still_to_come) {
            self.memory.write(addr, width, current & !Pte::W.bits())?;
        }
        self.memory.compare_exchange(addr, width, current, new)
    }
}

// spec: riscv-9-compare
#[test]
fn an_entry_that_changed_since_it_was_read_is_walked_again() {
    let Machine { mut unit, memory } = hart(RiscV::rv64().with_menvcfg(EnvConfig::ADUE), RWX);
    let mut bus = Raced { memory, reads: 0, still_to_come: true };
    let fault = unit.translate(store(VA), &mut bus, &mut ()).unwrap_err();
    assert_eq!((fault.cause, bus.reads), (Cause::ReadOnly, 6));
    let entry = bus.peek(PhysAddr::new(ENTRY), Width::B8);
    assert_eq!(entry, Ok(leaf(PAGE, Pte::R | Pte::X)), "with neither A nor D");
}

// spec: riscv-9-check
#[test]
fn an_entry_that_may_not_be_written_is_an_access_fault() {
    let svadu = RiscV::rv64().with_menvcfg(EnvConfig::ADUE).with_pmp();
    let read_only_tables = (0x18 | 1) << 8 | 0x18 | 7; // both NAPOT: data RWX, then tables R
    let mut machine = hart(svadu, RWX)
        .having(PMPADDR0, PAGE >> 2 | 0x1ff)
        .having(RegisterId(PMPADDR0.0 + 1), 0x3fff)
        .having(PMPCFG0, read_only_tables);
    assert_eq!(machine.outcome(load(VA)), Err(Cause::Protection));
    assert_eq!(causes(&mut machine, VA), [1, 5, 7, 7]);
    assert_eq!(machine.entry(ENTRY), leaf(PAGE, RWX));
    assert!(machine.with(ENTRY, leaf(PAGE, RWX | AD)).allows(load(VA)), "no write is due");
}

// spec: riscv-10
#[test]
fn of_a_superpage_the_address_gives_the_low_page_number_bits() {
    let mut machine = page(RWX | AD).with(ROOT + 8, leaf(0x8000_0000, RWX | AD));
    let found = machine.unit.translate(load(0x4567_89a8), &mut machine.memory, &mut ()).unwrap();
    assert_eq!(found.addr.raw(), 0x8567_89a8);
    assert_eq!(found.span, 0x8000_0000 - 0x4567_89a8, "contiguous up to its end");
}

// spec: riscv-sv32
#[test]
fn sv32_has_two_levels_of_four_byte_entries_and_34_bit_addresses() {
    let format = RiscV::rv32().with_satp(1 << 31 | ROOT >> 12);
    let megapage = (0x3_1200_0000_u64 >> 2) | (Pte::V | RWX | AD).bits();
    let mut machine = Machine::new(format).with(ROOT, megapage << 32);
    assert_eq!(machine.outcome(load(0x0040_1238)), Ok(0x3_1200_1238));
    assert_eq!(machine.reads(load(0x0040_1238)), [ROOT + 4]);
}

// spec: riscv-sv48-sv57
#[test]
fn sv48_and_sv57_add_a_level_each() {
    for (mode, levels) in [(8, 3), (9, 4), (10, 5)] {
        let mut machine = page(RWX | AD).having(SATP, mode << 60 | ROOT >> 12);
        for table in 0..levels {
            machine = machine.with(ROOT + table * 0x1000, pointer(ROOT + (table + 1) * 0x1000));
        }
        assert_eq!(machine.reads(load(0)).len() as u64, levels);
    }
}

// spec: riscv-svnapot
#[test]
fn a_napot_entry_maps_64_kib_of_which_the_address_picks_a_page() {
    let napot = leaf(PAGE | 0x8000, Pte::N | RWX | AD);
    let mut machine = page(RWX | AD).with(LAST + 5 * 8, napot);
    assert_eq!(machine.outcome(load(0x5678)), Ok(PAGE + 0x5678));
}

// spec: riscv-svnapot
#[test]
fn other_napot_sizes_and_levels_are_reserved_and_n_without_the_extension() {
    for low in [0, 0x1000, 0x4000, 0xc000] {
        let mut machine = page(RWX | AD).with(ENTRY, leaf(PAGE | low, Pte::N | RWX | AD));
        assert_eq!(machine.outcome(load(VA)), Err(Cause::Reserved), "{low:#x}");
    }
    let mut larger = page(RWX | AD).with(MIDDLE, leaf(PAGE | 0x8000, Pte::N | RWX | AD));
    assert_eq!(larger.outcome(load(VA)), Err(Cause::Reserved));
    let plain = RiscV::rv64().with_extensions(Extensions::empty());
    let mut machine = hart(plain, Pte::empty()).with(ENTRY, leaf(PAGE | 0x8000, Pte::N | RWX | AD));
    assert_eq!(machine.outcome(load(VA)), Err(Cause::Reserved));
}

// spec: riscv-svpbmt
#[test]
fn a_memory_type_needs_menvcfg_pbmte_and_3_is_reserved() {
    let typed = |value: u64| Pte::from_bits_retain(value << 61) | RWX | AD;
    assert_eq!(page(typed(1)).outcome(load(VA)), Err(Cause::Reserved));
    let svpbmt = RiscV::rv64().with_menvcfg(EnvConfig::PBMTE);
    for value in [1, 2] {
        let mut machine = hart(svpbmt, typed(value));
        let found = machine.unit.translate(load(VA), &mut machine.memory, &mut ()).unwrap();
        assert_eq!(u64::from(found.attributes.0), value);
    }
    assert_eq!(hart(svpbmt, typed(3)).outcome(load(VA)), Err(Cause::Reserved));
    let mut typed_pointer = hart(svpbmt, RWX | AD).with(MIDDLE, pointer(LAST) | 1 << 61);
    assert_eq!(typed_pointer.outcome(load(VA)), Err(Cause::Reserved));
}

// spec: riscv-cause
#[test]
fn stval_is_the_first_byte_that_faulted() {
    let mut machine = page(RWX);
    let access = Access::store(VirtAddr::new(VA + 0x123), 1);
    let fault = machine.translate(access).unwrap_err();
    assert_eq!(machine.unit.format().exception(&fault).tval, VirtAddr::new(VA + 0x123));
}

// spec: riscv-pmp-walk
#[test]
fn pmp_is_asked_about_table_reads_too() {
    let mut machine = hart(RiscV::rv64().with_pmp(), RWX | AD)
        .having(PMPADDR0, PAGE >> 2 | 0x1ff)
        .having(PMPCFG0, 0x18 | 7);
    let fault = machine.translate(load(VA)).unwrap_err();
    assert_eq!((fault.cause, fault.entry.unwrap().level), (Cause::Protection, 2));
}
