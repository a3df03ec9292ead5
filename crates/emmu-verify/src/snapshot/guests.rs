//! Snapshots of units for which no reference model has registers: two stages on x86 and AArch64, and a described
//! format.

use super::{Verdict, goes_on};
use crate::Architecture as _;
use crate::coherence::{Script, setup};
use crate::generate::Case;
use emmu_core::{
    Access, AccessKind, PhysAddr, Privilege, RegisterError, RegisterId, Registers as _,
    TranslationUnit, VirtAddr, Width,
};
use emmu_oracle::reference::SparseMemory;
use emmu_paging::{
    AArch64, Paging, PagingConfig, X86,
    format::{
        aarch64::{HCR_EL2, VTCR_EL2, VTTBR_EL2},
        described::{ASID, Described, Description, MODE, PTBR},
        x86::{CR0, CR3, CR4, Cr4, EFER, EPTP, PKRU, RFLAGS},
    },
};

/// The address of the second stage's tables, where no case has tables of the first stage.
const TABLES: u64 = 0xabc0_0000;

/// Writes two tables of 512 words: all words of the first point to the second, whose words map each gigabyte to itself.
fn identity(memory: &mut SparseMemory, table: u64, leaf: u64) {
    for index in 0..512 {
        let [first, second] = [0, 0x1000].map(|page| PhysAddr::new(TABLES + page + 8 * index));
        memory.write64(first, (TABLES + 0x1000) | table);
        memory.write64(second, index << 30 | leaf);
    }
}

/// Plays the script on an x86 guest with 4-level EPT, with accessed and dirty flags, and on its snapshots.
///
/// # Errors
/// The first difference between the unit and its snapshots.
pub fn x86_guest(case: Case<emmu_oracle::x86::Registers>, script: Script) -> Verdict {
    let mut memory = case.memory();
    let Case { registers, accesses, .. } = case;
    let registers = registers.implemented(&memory);
    let Script { setup, steps } = script;
    let [config, second] = configs(setup);
    let width = u8::try_from(registers.maxphyaddr).unwrap_or(52).max(40);
    let Ok(mut unit) = X86::new(width).guest(&config, &second) else { return Ok(()) };
    identity(&mut memory, 0b111, 6 << 3 | 1 << 7 | 0b111);
    let on = [
        (EPTP, TABLES | 1 << 6 | 3 << 3 | 6),
        (RFLAGS, u64::from(registers.ac) << 18),
        (PKRU, registers.pkru.into()),
        (EFER, registers.efer),
        (CR4, registers.cr4 & !Cr4::PCIDE.bits()),
        (CR3, registers.cr3 & !0xfff),
        (CR0, registers.cr0),
        (CR4, registers.cr4),
    ];
    match write_all(&mut unit, &mut memory, &on) {
        Ok(()) => goes_on(unit, memory, &accesses, &steps),
        Err(_) => Ok(()),
    }
}

/// Plays the script on an AArch64 guest with a second stage of four levels, with accessed and dirty flags, and on its
/// snapshots.
///
/// # Errors
/// The first difference between the unit and its snapshots.
pub fn aarch64_guest(case: Case<emmu_oracle::aarch64::Registers>, script: Script) -> Verdict {
    let mut memory = case.memory();
    let Case { registers, accesses, .. } = case;
    let registers = registers.implemented(&memory);
    let Script { setup, steps } = script;
    let [config, second] = configs(setup);
    let Ok(mut alone) = Paging::new(AArch64::new(), &PagingConfig::default()) else {
        return Ok(());
    };
    let Ok(mut unit) = AArch64::new().guest(&config, &second) else { return Ok(()) };
    identity(&mut memory, 0b11, 1 << 51 | 1 << 10 | 0b01 << 6 | 0xf << 2 | 0b01);
    let mut on = vec![
        (VTCR_EL2, 1 << 22 | 1 << 21 | 5 << 16 | 2 << 6 | 16),
        (VTTBR_EL2, 1 << 48 | TABLES),
        (HCR_EL2, 1),
    ];
    if registers.switch_on(&mut alone, &mut memory).is_err() {
        return Ok(());
    }
    let held = |id| Some((id, alone.read_register(id).ok()?));
    on.extend(alone.registers().iter().filter_map(|info| held(info.id)));
    match write_all(&mut unit, &mut memory, &on) {
        Ok(()) => goes_on(unit, memory, &accesses, &steps),
        Err(_) => Ok(()),
    }
}

/// Plays the script on a machine of a textbook, with addresses of 22 bits and entries of two bytes, and on its
/// snapshots.
///
/// # Errors
/// The first difference between the unit and its snapshots.
pub fn described(entries: Vec<u16>, addrs: Vec<u32>, script: Script) -> Verdict {
    let description = Description::new(Width::B2, 12, &[5, 5])
        .frame(0, 6)
        .valid(15)
        .rights(None, Some(14), None)
        .recorded(Some(13), Some(12))
        .global(11);
    let mut memory = SparseMemory::default();
    let Script { setup, steps } = script;
    let [config, _] = configs(setup);
    let unit = Described::new(description).ok().map(|format| Paging::new(format, &config));
    let Some(Ok(mut unit)) = unit else { return Err("no such machine".to_owned()) };
    for (place, entry) in (0..).zip(entries) {
        let addr = PhysAddr::new(((place % 64) << 12) + place / 64 * 4);
        memory.write32(addr, u32::from(entry | 1 << 15) << 16 | u32::from(entry));
    }
    let on = [(PTBR, 0), (ASID, 3), (MODE, 1)];
    write_all(&mut unit, &mut memory, &on).map_err(|error| error.to_string())?;
    let access = |addr: u32| {
        let load = Access::load(VirtAddr::new(u64::from(addr) & 0x3f_ffff), 1);
        let kind = if addr >> 31 == 1 { AccessKind::Store } else { AccessKind::Load };
        Access { kind, ..load.with_privilege(Privilege::User) }
    };
    let accesses: Vec<Access> = addrs.into_iter().map(access).collect();
    goes_on(unit, memory, &accesses, &steps)
}

fn configs(number: u16) -> [PagingConfig; 2] {
    [setup::config(number), setup::config(number / 3)]
}

fn write_all(
    unit: &mut impl TranslationUnit<SparseMemory, ()>,
    memory: &mut SparseMemory,
    values: &[(RegisterId, u64)],
) -> Result<(), RegisterError> {
    values.iter().try_for_each(|&(id, value)| unit.write_register(id, value, memory, &mut ()))
}
