//! Machines of two stages.

use crate::{Layout, PAGES, ROOT};
use emmu_core::{RegisterId, TranslationUnit, Width};
use emmu_memory::Memory;
use emmu_paging::{
    Paging, PagingConfig, SecondStageFormat, X86,
    format::{
        Format,
        riscv::{HGATP, RiscVH, RiscVHart, VSATP},
        x86::{CR0, CR3, CR4, EFER, EPTP, X86Guest},
    },
};
use std::error::Error;

/// A guest with `pages` pages mapped by Sv39, on Sv39x4. Its accesses have the flag `GUEST`.
///
/// Guest-physical memory begins at [`PAGES`] on the bus, in pages of 4 KiB. The guest's root is at its [`ROOT`], its
/// pages are from its [`PAGES`] on.
///
/// # Errors
/// Whatever the unit or memory refuses.
pub fn riscv_guest(
    config: &PagingConfig,
    second: &PagingConfig,
    pages: u64,
) -> Result<(RiscVHart, Memory), Box<dyn Error>> {
    let unit = RiscVH::rv64().hart(config, second)?;
    let guest = Layout::riscv(Width::B8, &[9; 3]);
    // To the second stage all accesses are a user's.
    let host = Layout { page: |addr| addr >> 2 | 0xdf, ..guest };
    let root = 8 << 60 | ROOT >> 12;
    machine(unit, &[(HGATP, root), (VSATP, root)], [guest, host], pages)
}

/// Makes a guest with `pages` pages mapped by x86's four levels, on EPT of four levels.
///
/// # Errors
/// Whatever the unit or memory refuses.
pub fn x86_guest(
    config: &PagingConfig,
    second: &PagingConfig,
    pages: u64,
) -> Result<(X86Guest, Memory), Box<dyn Error>> {
    let unit = X86::new(46).guest(config, second)?;
    let guest = Layout::x86(Width::B8, &[9; 4]);
    let host = Layout { table: |_, addr| addr | 7, page: |addr| addr | 0x37, ..guest };
    let registers =
        [(EPTP, ROOT | 3 << 3 | 6), (EFER, 1 << 8), (CR4, 1 << 5), (CR3, ROOT), (CR0, 1 << 31 | 1)];
    machine(unit, &registers, [guest, host], pages)
}

/// A unit of two stages and its memory.
type Machine<F, H> = (Paging<F, Paging<H>>, Memory);

fn machine<F: Format, H: SecondStageFormat>(
    mut unit: Paging<F, Paging<H>>,
    registers: &[(RegisterId, u64)],
    [guest, host]: [Layout; 2],
    pages: u64,
) -> Result<Machine<F, H>, Box<dyn Error>> {
    let mut memory = Memory::ram(1 << 40);
    host.map(&mut memory, 0, (PAGES >> 12) + pages)?;
    guest.map(&mut memory, PAGES, pages)?;
    for &(id, value) in registers {
        unit.write_register(id, value, &mut memory, &mut ())?;
    }
    Ok((unit, memory))
}
