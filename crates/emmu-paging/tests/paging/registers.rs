//! Tests of the effects of register writes: the values that they refuse, legalise and invalidate.

use emmu_core::{
    Access, Bus, Event, PhysAddr, RegisterError, RegisterId, Registers, TranslationUnit, VirtAddr,
    Width,
};
use emmu_memory::Memory;
use emmu_paging::{
    Geometry, Paging, PagingConfig, Policy, RiscV, TlbLevel, TlbTable, X86,
    format::{
        Format,
        described::{Described, Description},
        hashed::Hashed,
        riscv::{MENVCFG, MSTATUS, SATP, SSTATUS},
        x86::{CR0, CR3, CR3_NO_FLUSH, CR4, EFER},
    },
};
use emmu_property::quickcheck;

const PG_PE: u64 = 1 << 31 | 1;
const PAE: u64 = 1 << 5;
const PCIDE: u64 = 1 << 17;
const LME: u64 = 1 << 8;

struct Machine<F: Format> {
    unit: Paging<F>,
    memory: Memory,
}

impl<F: Format> Machine<F> {
    fn new(format: F) -> Self {
        let geometry = Geometry::fully_associative(16, Policy::Lru).unwrap();
        let tlb = vec![TlbLevel::unified(vec![TlbTable { geometry, page_bits: vec![12] }])];
        let unit = Paging::new(format, &PagingConfig { tlb, ..PagingConfig::default() }).unwrap();
        Self { unit, memory: Memory::ram(1 << 30) }
    }

    fn write(&mut self, id: RegisterId, value: u64) -> Result<(), RegisterError> {
        self.unit.write_register(id, value, &mut self.memory, &mut ())
    }

    fn read(&self, id: RegisterId) -> u64 {
        self.unit.read_register(id).unwrap()
    }

    /// Returns true if the write is refused as reserved, and changes nothing.
    fn refuses(&mut self, id: RegisterId, value: u64) -> bool {
        let before = self.read(id);
        let refused = matches!(self.write(id, value), Err(RegisterError::Reserved { .. }));
        refused && self.read(id) == before
    }

    /// Returns true if a load at `addr` is served without a walk.
    fn hits(&mut self, addr: u64) -> bool {
        let mut events = Vec::<Event>::new();
        let access = Access::load(VirtAddr::new(addr), 8);
        self.unit.translate(access, &mut self.memory, &mut events).unwrap();
        events.iter().any(|event| matches!(event, Event::TlbHit { .. }))
    }
}

/// 4-level paging with a global page at 0x1000 and another at 0x2000; tables at 0x1000 to 0x4000.
fn long_mode() -> Machine<X86> {
    let mut machine = Machine::new(X86::new(40));
    for (at, entry) in [
        (0x10_0000, 0x10_1003),
        (0x10_1000, 0x10_2003),
        (0x10_2000, 0x10_3003),
        (0x10_3008, 0x1163_u64),
        (0x10_3010, 0x2063),
    ] {
        machine.memory.write(PhysAddr::new(at), Width::B8, entry).unwrap();
    }
    machine.write(EFER, LME).unwrap();
    machine.write(CR4, PAE | 1 << 7).unwrap();
    machine.write(CR3, 0x10_0000).unwrap();
    machine.write(CR0, PG_PE).unwrap();
    assert!(!machine.hits(0x1000) && machine.hits(0x1000));
    assert!(!machine.hits(0x2000) && machine.hits(0x2000));
    machine
}

// spec: x86-registers
#[test]
fn paging_needs_protection_and_long_mode_needs_pae() {
    let mut machine = Machine::new(X86::new(40));
    assert!(machine.refuses(CR0, 1 << 31));
    machine.write(EFER, LME).unwrap();
    assert!(machine.refuses(CR0, PG_PE), "EFER.LME without CR4.PAE");
    machine.write(CR4, PAE).unwrap();
    machine.write(CR0, PG_PE).unwrap();
    assert_eq!(machine.read(EFER), LME | 1 << 10, "LMA tells of it");
}

// spec: x86-registers
#[test]
fn in_long_mode_pae_la57_and_lme_stay() {
    let mut machine = long_mode();
    assert!(machine.refuses(CR4, 0));
    assert!(machine.refuses(CR4, PAE | 1 << 12));
    assert!(machine.refuses(EFER, 0));
}

// spec: x86-registers
#[test]
fn pcids_are_switched_on_in_long_mode_and_with_pcid_0() {
    let mut machine = Machine::new(X86::new(40));
    assert!(machine.refuses(CR4, PCIDE));
    let mut machine = long_mode();
    machine.write(CR3, 0x10_0018).unwrap();
    assert!(machine.refuses(CR4, PAE | PCIDE), "CR3[11:0] is not 0");
    machine.write(CR3, 0x10_0000).unwrap();
    machine.write(CR4, PAE | PCIDE).unwrap();
    assert!(machine.refuses(CR0, 1), "paging stays on while PCIDE is set");
}

// spec: x86-registers
#[test]
fn cr3_has_no_more_bits_than_physical_addresses() {
    assert!(long_mode().refuses(CR3, 1 << 40));
}

// spec: x86-cr3
#[test]
fn thirty_two_bit_paging_ignores_the_upper_half_of_cr3() {
    let mut machine = Machine::new(X86::new(40));
    machine.write(CR3, 1 << 32 | 0x1000).unwrap();
    machine.memory.write(PhysAddr::new(0x1004), Width::B4, 0x2003).unwrap();
    machine.memory.write(PhysAddr::new(0x2000), Width::B4, 0x5003).unwrap();
    machine.write(CR0, PG_PE).unwrap();
    let found = machine.unit.translate(
        Access::load(VirtAddr::new(0x40_0000), 4),
        &mut machine.memory,
        &mut (),
    );
    assert_eq!(found.map(|found| found.addr), Ok(PhysAddr::new(0x5000)));
}

// spec: x86-invalidate
#[test]
fn a_load_of_cr3_forgets_all_but_global_pages() {
    let mut machine = long_mode();
    machine.write(CR3, 0x10_0000).unwrap();
    assert!(machine.hits(0x1000) && !machine.hits(0x2000));
}

// spec: x86-invalidate
#[test]
fn a_change_of_cr4_pge_forgets_global_pages_too() {
    let mut machine = long_mode();
    machine.write(CR4, PAE).unwrap();
    assert!(!machine.hits(0x1000) && !machine.hits(0x2000));
}

// spec: x86-invalidate
#[test]
fn clearing_pcide_invalidates_all_and_setting_it_nothing() {
    let mut machine = long_mode();
    machine.write(CR4, PAE | PCIDE | 1 << 7).unwrap();
    assert!(machine.hits(0x1000) && machine.hits(0x2000));
    machine.write(CR4, PAE | 1 << 7).unwrap();
    assert!(!machine.hits(0x1000) && !machine.hits(0x2000));
}

// spec: x86-invalidate
#[test]
fn setting_smep_forgets_what_is_of_the_current_pcid_and_clearing_it_nothing() {
    let smep = 1 << 20;
    let mut machine = long_mode();
    machine.write(CR4, PAE | PCIDE | 1 << 7).unwrap();
    machine.write(CR3, 0x10_0005).unwrap();
    assert!(!machine.hits(0x2000));
    machine.write(CR4, PAE | PCIDE | smep | 1 << 7).unwrap();
    assert!(!machine.hits(0x2000));
    machine.write(CR4, PAE | PCIDE | 1 << 7).unwrap();
    assert!(machine.hits(0x2000));
    machine.write(CR3, 0x10_0000 | CR3_NO_FLUSH).unwrap();
    assert!(machine.hits(0x2000), "PCID 0 has lost nothing");
}

// spec: x86-invalidate
#[test]
fn with_pcids_a_load_of_cr3_forgets_its_own_unless_bit_63_says_no() {
    let mut machine = long_mode();
    machine.write(CR4, PAE | PCIDE | 1 << 7).unwrap();
    machine.hits(0x2000);
    machine.write(CR3, 0x10_0000 | CR3_NO_FLUSH).unwrap();
    assert!(machine.hits(0x2000));
    machine.write(CR3, 0x10_0005).unwrap();
    assert!(!machine.hits(0x2000), "PCID 5 has seen nothing yet");
    machine.write(CR3, 0x10_0000 | CR3_NO_FLUSH).unwrap();
    assert!(machine.hits(0x2000), "and PCID 0 has lost nothing");
    machine.write(CR3, 0x10_0000).unwrap();
    assert!(!machine.hits(0x2000));
}

// spec: x86-pae
#[test]
fn pae_loads_and_checks_its_four_entries_with_cr3() {
    let mut machine = Machine::new(X86::new(40));
    machine.write(CR4, PAE).unwrap();
    machine.write(CR3, 0x10_0020).unwrap();
    machine.write(CR0, PG_PE).unwrap();
    for reserved in [1 << 1, 1 << 5, 1 << 40, 1 << 63] {
        machine.memory.write(PhysAddr::new(0x10_0058), Width::B8, 1 | reserved).unwrap();
        assert!(machine.refuses(CR3, 0x10_0040), "{reserved:#x}");
    }
    machine.memory.write(PhysAddr::new(0x10_0058), Width::B8, 1 << 63).unwrap();
    machine.write(CR3, 0x10_0040).unwrap();
    assert!(matches!(machine.write(CR3, 0x7000_0000), Err(RegisterError::Bus { .. })));
}

// spec: x86-pae
#[test]
fn writes_of_cr0_and_cr4_load_the_four_entries_only_with_the_bits_that_matter() {
    let mut machine = Machine::new(X86::new(40));
    machine.write(CR4, PAE).unwrap();
    machine.write(CR3, 0x10_0020).unwrap();
    machine.write(CR0, PG_PE).unwrap();
    machine.memory.write(PhysAddr::new(0x10_0020), Width::B8, 1 | 1 << 1).unwrap();
    // WP and SMAP matter not; CD, PGE, PSE and SMEP do.
    let (wp, cd, smap) = (1 << 16, 1 << 30, 1 << 21);
    machine.write(CR0, PG_PE | wp).unwrap();
    machine.write(CR4, PAE | smap).unwrap();
    assert!(machine.refuses(CR0, PG_PE | cd));
    for bit in [4, 7, 20] {
        assert!(machine.refuses(CR4, PAE | 1 << bit), "bit {bit}");
    }
}

// spec: riscv-warl
#[test]
fn an_unsupported_satp_mode_changes_nothing() {
    let mut machine = Machine::new(RiscV::rv64());
    machine.write(SATP, 8 << 60 | 0x123).unwrap();
    machine.write(SATP, 5 << 60 | 0x456).unwrap();
    assert_eq!(machine.read(SATP), 8 << 60 | 0x123);
}

#[test]
fn sstatus_shows_sum_and_mxr_of_mstatus() {
    let mut machine = Machine::new(RiscV::rv64());
    machine.write(MSTATUS, 1 << 17 | 1 << 18 | 3 << 11).unwrap();
    assert_eq!(machine.read(SSTATUS), 1 << 18);
    machine.write(SSTATUS, 1 << 19 | 1 << 17).unwrap();
    assert_eq!(machine.read(MSTATUS), 1 << 17 | 1 << 19 | 3 << 11);
}

#[test]
fn mpp_2_is_no_mode_and_changes_nothing() {
    let mut machine = Machine::new(RiscV::rv64());
    machine.write(MSTATUS, 1 << 11).unwrap();
    machine.write(MSTATUS, 2 << 11).unwrap();
    assert_eq!(machine.read(MSTATUS), 1 << 11);
}

#[test]
fn menvcfg_has_no_bits_of_extensions_that_are_not_there() {
    use emmu_paging::format::riscv::Extensions;
    let mut machine = Machine::new(RiscV::rv64().with_extensions(Extensions::SVADU));
    machine.write(MENVCFG, u64::MAX).unwrap();
    assert_eq!(machine.read(MENVCFG), 1 << 61);
}

#[test]
fn an_unknown_register_is_an_error() {
    let unknown = RegisterId(0x7777);
    let mut machine = Machine::new(RiscV::rv64());
    assert_eq!(machine.write(unknown, 0), Err(RegisterError::Unknown { id: unknown }));
    assert_eq!(machine.unit.read_register(unknown), Err(RegisterError::Unknown { id: unknown }));
}

quickcheck! {
    /// So that a saved refusal can be read back. Of a guest's registers, which are those of EPT too, and of a
    /// described machine's.
    fn every_refusal_is_in_known_words(writes: Vec<(u8, Vec<u8>)>) -> bool {
        let none = PagingConfig::default();
        let description = Description::new(Width::B8, 12, &[9]).frame(0, 40).valid(63);
        let mut guest = X86::new(40).guest(&none, &none).unwrap();
        let mut textbook = Paging::uncached(Described::new(description).unwrap());
        let mut hashed = Hashed::new().guest(&none, &none).unwrap();
        let mut memory = Memory::ram(1 << 20);
        memory.write(PhysAddr::ZERO, Width::B8, u64::MAX).unwrap();
        // On the way to IA-32e mode with PCIDs, so far or further.
        let on = [(EFER, LME), (CR4, PAE), (CR0, PG_PE), (CR4, PAE | PCIDE)];
        for (id, value) in on.into_iter().take(writes.len() % 5) {
            guest.write_register(id, value, &mut memory, &mut ()).unwrap();
        }
        writes.into_iter().all(|(which, bits)| {
            // Of few bits, among them those that switch something on.
            let common = [0, 5, 8, 31];
            let bit = |any: u8| match any % 2 {
                0 => common[usize::from(any / 64)],
                _ => any % 64,
            };
            let value = bits.into_iter().take(4).fold(0, |value, any| value | 1 << bit(any));
            is_known(&mut guest, &mut memory, which, value)
                && is_known(&mut textbook, &mut memory, which, value)
                && is_known(&mut hashed, &mut memory, which, value)
        })
    }
}

fn is_known(
    unit: &mut impl TranslationUnit<Memory, ()>,
    memory: &mut Memory,
    which: u8,
    value: u64,
) -> bool {
    let registers = unit.registers();
    let id = registers[usize::from(which) % registers.len()].id;
    match unit.write_register(id, value, memory, &mut ()) {
        Err(RegisterError::Reserved { what, .. }) => unit.known_reason(what) == Some(what),
        _ => true,
    }
}
