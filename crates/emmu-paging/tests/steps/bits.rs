//! Every bit of every register: what changes translation and is not modelled is refused by name, what is reserved is
//! refused, and what has no influence changes nothing.

use crate::machine::Machine;
use emmu_core::{
    Access, AccessKind, Cause, Privilege, RegisterError, RegisterId, Registers, TranslationUnit,
    VirtAddr,
};
use emmu_paging::{
    AArch64, RiscV, X86,
    format::{
        Format,
        aarch64::{MAIR_EL1, SCTLR_EL1, TCR_EL1, TTBR0_EL1, TTBR1_EL1},
        riscv::{MENVCFG, MSTATUS, SATP, SSTATUS},
        x86::{CR0, CR3, CR4, EFER, PKRU, RFLAGS},
    },
};

/// The fates of bits, each with the first and the last bit that has it.
type Fields = &'static [(Fate, u32, u32)];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    /// Other tests say what it does.
    Modelled,
    /// Refused, and this is its name.
    NotModelled(&'static str),
    /// Refused.
    Reserved,
    /// Accepted, and nothing changes.
    Ignored,
}
use Fate::{Ignored, Modelled, NotModelled, Reserved};

/// Flips each bit of a register that holds `value` in a machine that translates, and looks what becomes of it.
fn check<F: Format>(
    machine: impl Fn() -> Machine<F>,
    (register, value): (RegisterId, u64),
    fields: Fields,
) {
    let bits: Vec<_> = fields.iter().rev().flat_map(|&(_, high, low)| low..=high).collect();
    assert_eq!(bits, (0..64).collect::<Vec<_>>(), "each bit is told of once");
    let before = answers(&mut machine());
    assert!(before.iter().any(Result::is_ok) && before.iter().any(Result::is_err));
    for &(fate, high, low) in fields {
        for bit in low..=high {
            let mut machine = machine();
            let Machine { unit, memory } = &mut machine;
            let written = unit.write_register(register, value ^ 1 << bit, memory, &mut ());
            match (fate, written) {
                (Modelled, _) => continue,
                (NotModelled(name), Err(RegisterError::NotModelled { what, .. })) => {
                    assert!(what.starts_with(name), "bit {bit}: {what}");
                }
                (Reserved, Err(RegisterError::Reserved { .. })) | (Ignored, Ok(())) => {}
                (fate, written) => panic!("bit {bit}, expected {fate:?}: {written:?}"),
            }
            assert_eq!(before, answers(&mut machine), "bit {bit}: {fate:?}");
        }
    }
}

/// Returns the answers to accesses of all kinds, by program and supervisor, to two pages and beside them, in
/// both halves.
fn answers<F: Format>(machine: &mut Machine<F>) -> Vec<Result<u64, Cause>> {
    let mut answers = Vec::new();
    for page in [0x1000, 0x2000, 0x3000] {
        for half in [0, 0xffff << 48, 0x5a << 56] {
            for privilege in [Privilege::User, Privilege::Supervisor] {
                for kind in AccessKind::ALL {
                    let access = Access::new(kind, VirtAddr::new(half | page), 4);
                    answers.push(machine.outcome(access.with_privilege(privilege)));
                }
            }
        }
    }
    answers
}

const TABLES: [u64; 4] = [0x10_0000, 0x10_1000, 0x10_2000, 0x10_3000];

/// Four levels of tables of 512 entries, through which lead entries that end in `table`, to two pages: both halves of
/// the address space have them.
fn mapped<F: Format>(format: F, table: u64, pages: [u64; 2]) -> Machine<F> {
    Machine::new(format)
        .with(TABLES[0], TABLES[1] | table)
        .with(TABLES[1], TABLES[2] | table)
        .with(TABLES[2], TABLES[3] | table)
        .with(TABLES[3] + 8, 0x12_3456_7000 | pages[0])
        .with(TABLES[3] + 16, 0x65_4321_0000 | pages[1])
}

/// 4-level paging; a page for all, with a protection key, and one for the supervisor.
fn x86() -> Machine<X86> {
    mapped(X86::new(40), 0x27, [0x67 | 5 << 59, 0x63])
        .having(EFER, 1 << 8 | 1 << 11)
        .having(CR4, 1 << 5)
        .having(CR3, TABLES[0])
        .having(CR0, 1 << 31 | 1 << 16 | 1)
}

// spec: x86-registers
#[test]
fn every_bit_of_cr0_is_told() {
    check(
        x86,
        (CR0, 1 << 31 | 1 << 16 | 1),
        &[
            (Reserved, 63, 32),
            (Modelled, 31, 29),
            (Ignored, 28, 17),
            (Modelled, 16, 16),
            (Ignored, 15, 1),
            (Modelled, 0, 0),
        ],
    );
}

// spec: x86-registers
#[test]
fn every_bit_of_cr3_is_told() {
    check(
        x86,
        (CR3, TABLES[0]),
        &[
            (Reserved, 63, 63),
            (NotModelled("CR3.LAM_U48"), 62, 62),
            (NotModelled("CR3.LAM_U57"), 61, 61),
            (Reserved, 60, 40),
            (Modelled, 39, 12),
            // PCD, PWT, and what is ignored without PCIDs.
            (Ignored, 11, 0),
        ],
    );
}

// spec: x86-registers
#[test]
fn every_bit_of_cr4_is_told() {
    check(
        x86,
        (CR4, 1 << 5),
        &[
            (Reserved, 63, 33),
            (Ignored, 32, 32), // FRED
            (Reserved, 31, 29),
            (NotModelled("CR4.LAM_SUP"), 28, 28),
            (NotModelled("CR4.LASS"), 27, 27),
            (Reserved, 26, 26),
            (Ignored, 25, 25), // UINTR
            (NotModelled("CR4.PKS"), 24, 24),
            (NotModelled("CR4.CET"), 23, 23),
            (Modelled, 22, 20),
            (Ignored, 19, 18), // KL, OSXSAVE
            (Modelled, 17, 17),
            (Ignored, 16, 16), // FSGSBASE
            (Reserved, 15, 15),
            (Ignored, 14, 13), // SMXE, VMXE
            (Modelled, 12, 12),
            (Ignored, 11, 8), // UMIP, OSXMMEXCPT, OSFXSR, PCE
            (Modelled, 7, 7),
            (Ignored, 6, 6), // MCE
            (Modelled, 5, 4),
            (Ignored, 3, 0), // DE, TSD, PVI, VME
        ],
    );
}

// spec: x86-registers
#[test]
fn every_bit_of_efer_is_told() {
    check(
        x86,
        (EFER, 1 << 8 | 1 << 11),
        &[
            (Reserved, 63, 12),
            (Modelled, 11, 11),
            (Ignored, 10, 10), // LMA, which is read-only
            (Reserved, 9, 9),
            (Modelled, 8, 8),
            (Reserved, 7, 1),
            (Ignored, 0, 0), // SCE
        ],
    );
}

#[test]
fn every_bit_of_rflags_and_pkru_is_told() {
    check(x86, (RFLAGS, 0), &[(Ignored, 63, 19), (Modelled, 18, 18), (Ignored, 17, 0)]);
    check(x86, (PKRU, 0), &[(Reserved, 63, 32), (Modelled, 31, 0)]);
}

/// 4 KiB granules and 48 bits in both halves; a page for all, and one for EL1 with all bits that are not looked at.
fn aarch64() -> Machine<AArch64> {
    let ignored = 0x1f << 55 | 0b11 << 8;
    mapped(AArch64::new(), 0b11, [0x443, 0x403 | ignored])
        .having(TTBR0_EL1, TABLES[0])
        .having(TTBR1_EL1, TABLES[0])
        .having(TCR_EL1, TCR)
        .having(SCTLR_EL1, 1)
}

const TCR: u64 = 5 << 32 | 0b10 << 30 | 16 << 16 | 16;

#[test]
fn every_bit_of_sctlr_el1_is_told() {
    check(
        aarch64,
        (SCTLR_EL1, 1),
        &[
            (Ignored, 63, 58),
            (NotModelled("SCTLR_EL1.EPAN"), 57, 57),
            (Ignored, 56, 26),
            (NotModelled("SCTLR_EL1.EE"), 25, 25),
            (Ignored, 24, 20),
            (Modelled, 19, 19),
            (Ignored, 18, 1),
            (Modelled, 0, 0),
        ],
    );
}

#[test]
fn every_bit_of_tcr_el1_is_told() {
    check(
        aarch64,
        (TCR_EL1, TCR),
        &[
            (Ignored, 63, 62),
            (NotModelled("TCR_EL1.MTX1"), 61, 61),
            (NotModelled("TCR_EL1.MTX0"), 60, 60),
            (NotModelled("TCR_EL1.DS"), 59, 59),
            (Ignored, 58, 57), // TCMA1, TCMA0
            (NotModelled("TCR_EL1.E0PD1"), 56, 56),
            (NotModelled("TCR_EL1.E0PD0"), 55, 55),
            (Ignored, 54, 53), // NFD1, NFD0
            (NotModelled("TCR_EL1.TBID1"), 52, 52),
            (NotModelled("TCR_EL1.TBID0"), 51, 51),
            (Ignored, 50, 43), // HWU
            (Modelled, 42, 36),
            (Ignored, 35, 35),
            (Modelled, 34, 30),
            (Ignored, 29, 24), // SH1, ORGN1, IRGN1
            (Modelled, 23, 14),
            (Ignored, 13, 8), // SH0, ORGN0, IRGN0
            (Modelled, 7, 7),
            (Ignored, 6, 6),
            (Modelled, 5, 0),
        ],
    );
}

#[test]
fn every_bit_of_mair_el1_and_ttbr0_el1_is_told() {
    check(aarch64, (MAIR_EL1, 0), &[(Ignored, 63, 0)]);
    // ASID and the first table; CnP, and address bits within the first table.
    check(aarch64, (TTBR0_EL1, TABLES[0]), &[(Modelled, 63, 12), (Ignored, 11, 0)]);
}

/// Sv48; a page for all, and one for the supervisor.
fn riscv() -> Machine<RiscV> {
    let entry = |addr: u64, bits| addr >> 2 | bits;
    Machine::new(RiscV::rv64())
        .with(TABLES[0], entry(TABLES[1], 1))
        .with(TABLES[0] + 511 * 8, entry(TABLES[1], 1))
        .with(TABLES[1], entry(TABLES[2], 1))
        .with(TABLES[2], entry(TABLES[3], 1))
        .with(TABLES[3] + 8, entry(0x12_3456_7000, 0xd7))
        .with(TABLES[3] + 16, entry(0x65_4321_0000, 0xcb))
        .having(SATP, 9 << 60 | TABLES[0] >> 12)
}

/// Fields are WARL or WPRI: a hart without big-endian tables, pointer masking or shadow stacks ignores their bits,
/// and reads tell so.
#[test]
fn every_bit_of_mstatus_and_menvcfg_is_told() {
    check(
        riscv,
        (MSTATUS, 0),
        &[
            // SD, MPV, GVA, MBE, SBE, SXL, UXL, and TSR, TW, TVM.
            (Ignored, 63, 20),
            (Modelled, 19, 17),
            (Ignored, 16, 13),
            (Modelled, 12, 11),
            // SPP, MPIE, UBE, SPIE, MIE, SIE.
            (Ignored, 10, 0),
        ],
    );
    check(riscv, (SSTATUS, 0), &[(Ignored, 63, 20), (Modelled, 19, 18), (Ignored, 17, 0)]);
    check(riscv, (MENVCFG, 0), &[(Ignored, 63, 63), (Modelled, 62, 61), (Ignored, 60, 0)]);
}

#[test]
fn what_a_hart_has_not_reads_as_zero() {
    let kept = |register| riscv().having(register, u64::MAX).unit.read_register(register);
    assert_eq!(kept(MSTATUS), Ok(0b111 << 17 | 0b11 << 11));
    assert_eq!(kept(SSTATUS), Ok(0b11 << 18));
    assert_eq!(kept(MENVCFG), Ok(0b11 << 61));
}
