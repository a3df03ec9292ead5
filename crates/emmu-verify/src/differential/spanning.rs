//! Compares accesses that may leave their page, made through a CPU, with the model piece by piece and byte by byte.

use super::{
    Disagreement, Mismatch, Setting,
    case_bus::{CaseBus, adopt},
    implemented, operation,
    roles::{Roles, is_ambiguous},
    same,
};
use crate::generate::Case;
use crate::{Architecture, Unit};
use emmu_core::{Access, Bus, BusError, Cause, Fault, PhysAddr, Privilege, VirtAddr, Width};
use emmu_cpu::Cpu;
use emmu_memory::Memory;
use emmu_oracle::{
    Outcome,
    reference::{SparseMemory, Write, pieces_of},
    two_stage::Nested,
};
use std::collections::BTreeSet;

/// Makes the accesses of the case, stretched over the ends of pages, on CPUs: once without caches, and once with TLBs
/// that are never flushed, RAM for which the CPU may use its accelerator, and every access made twice. All pieces of an
/// access must be translated, lower page first, and all bytes found on the bus, before the first byte is transferred; a
/// fault names the first byte that cannot be reached.
///
/// A store that changes a table word is followed by an invalidation, as in correct software.
///
/// # Errors
/// The first [`Disagreement`].
pub fn spans_agree<A: Architecture>(case: Case<A>) -> Result<(), Disagreement> {
    let case = implemented(without_a_page(case));
    run::<A, SparseMemory>(&case, Setting::Uncached)?;
    run::<A, Memory>(&case, Setting::WarmPages)
}

fn run<A: Architecture, B: CaseBus>(case: &Case<A>, setting: Setting) -> Result<(), Disagreement> {
    let Some(mut machine) = Machine::<A, B>::switch_on(case, setting) else { return Ok(()) };
    for (number, access) in case.accesses.iter().enumerate() {
        let access = stretched(*access, case.registers.piece_bits());
        for _ in 0..2 {
            if machine.is_open(access) {
                break;
            }
            machine.access(access).map_err(|mismatch| mismatch.at(setting, (number, access)))?;
        }
    }
    Ok(())
}

/// Removes the memory behind an accessed page from some cases.
fn without_a_page<A: Architecture>(mut case: Case<A>) -> Case<A> {
    let (memory, pieces) = (case.memory(), case.registers.piece_bits());
    let found = case.accesses.iter().rev().find_map(|access| {
        let found = case.registers.translate(stretched(*access, pieces), &memory).ok()?;
        Some(found.pa.align_down(12))
    });
    // Where pages are small all that there is may be in the same 4 KiB.
    let has_tables = |page| case.mem.iter().any(|word| word.addr.align_down(12) == page);
    let spared = |page| pieces < 12 && has_tables(page);
    let found = found.filter(|page| page.block(12) % 4 == 0 && !spared(*page));
    case.holes.extend(found);
    case
}

/// Returns the access with another size, and in most cases over the end of a page of 2^`page` bytes or of something
/// larger. The address decides, so that the same case always gives the same accesses.
fn stretched(access: Access, page: u32) -> Access {
    const SIZES: [u32; 16] = [1, 2, 2, 4, 4, 4, 8, 8, 8, 8, 8, 16, 16, 16, 24, 100];
    let ends = [0, page, page, page + 9];
    let hash = access.addr.raw().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    let [low, middle, high, ..] = hash.to_le_bytes().map(usize::from);
    // Seldom over two ends.
    let size = if low == 0 { 5000 } else { SIZES[low % SIZES.len()] };
    let end = ends[middle % ends.len()];
    if end == 0 {
        return access.at(access.addr, size);
    }
    let last = access.addr.align_down(end).wrapping_add((1 << end) - 1);
    // Aligned now and then: some atomics have to be.
    let back = if high % 4 == 0 { u64::from(size) - 1 } else { high as u64 % 16 };
    access.at(VirtAddr::new(last.raw().wrapping_sub(back)), size)
}

/// A CPU, and the expected contents of its memory.
struct Machine<'a, A: Architecture, B> {
    registers: &'a A,
    cpu: Cpu<Unit<A>, B>,
    memory: SparseMemory,
    roles: Roles,
}

/// The result that the model expects of an access.
struct Expected<E> {
    /// The bytes at the address of the access, which a read returns, or the expected refusal.
    read: Result<Vec<u8>, Refused<E>>,
    /// Another exception that the unit may report instead.
    other: Option<E>,
    /// Writes that the unit may make although it refuses the access.
    open: Vec<Write>,
    /// True if the access changes words that a cache may hold.
    stale: bool,
}

/// The reason why an access was refused.
#[derive(Clone, Debug, PartialEq)]
enum Refused<E> {
    /// The access cannot be translated.
    Exception(Option<E>),
    /// The bus has nothing for this byte.
    Bus(VirtAddr, BusError),
}

impl<'a, A: Architecture, B: CaseBus> Machine<'a, A, B> {
    /// Makes a machine with the registers and the memory of the case. Returns `None` if there cannot be one.
    fn switch_on(case: &'a Case<A>, setting: Setting) -> Option<Self> {
        let (registers, mut memory) = (&case.registers, case.memory());
        let mut bus = B::with(&memory, &case.holes)?;
        let [config, second] = setting.configs(&registers.sizes());
        let mut unit = registers.out_of_reset(&config, &second).ok()?;
        memory.apply_all(&registers.expected_switch_on(&memory).ok()?);
        registers.switch_on(&mut unit, &mut bus).ok()?;
        let mut cpu = Cpu::new(unit, bus);
        cpu.install_handler(VirtAddr::ZERO).ok()?;
        Some(Self { registers, cpu, memory, roles: Roles::default() })
    }

    /// Returns true if the manual leaves the result of the access open.
    fn is_open(&mut self, access: Access) -> bool {
        self.may_be_several(access) || self.clashes(access)
    }

    /// Returns true if the processor may split the access, or wrap its address.
    fn may_be_several(&self, access: Access) -> bool {
        let (registers, memory) = (self.registers, &self.memory);
        // A run may count as one page.
        let of_run = |page| registers.run(page, memory).is_some();
        // An access within a larger page may be protected as one access or as several.
        let whole =
            |page| registers.translate(page, memory).is_ok_and(|found| found.page_bits > 12);
        let protected = registers.has_memory_protection();
        let any = |page| of_run(page) || protected && whole(page);
        registers.leaves_address_space(access) || spans_pages(access) && pages(access).any(any)
    }

    /// Returns true if the access changes an entry of both stages, or if several refusals may be reported. Otherwise
    /// adds the entries that it reads.
    fn clashes(&mut self, access: Access) -> bool {
        let (mut roles, mut memory) = (self.roles.clone(), self.memory.clone());
        for piece in pieces_of(access, self.registers.piece_bits()) {
            let nested = self.registers.ask(piece, &memory);
            if roles.clash(&nested) || is_ambiguous(&nested) {
                return true;
            }
            memory.apply_all(&nested.changes);
        }
        self.roles = roles;
        false
    }

    fn access(&mut self, access: Access) -> Result<(), Mismatch> {
        let before = self.memory.clone();
        let bytes = data(access);
        let expected = self.expect(access, &bytes);
        let got = self.perform(access, &bytes);
        let others = expected.other.map(|fault| Refused::Exception(Some(fault)));
        if others.is_none() || got.as_ref().err() != others.as_ref() {
            same("answer", &expected.read.as_ref().map(drop), &got.as_ref().map(drop))?;
        }
        if let (Ok(expected), Ok(Some(got))) = (expected.read, got) {
            let differ = expected.iter().zip(&got).position(|(expected, got)| expected != got);
            same("first byte read that differs", &None, &differ)?;
        }
        adopt(&mut self.memory, &expected.open, self.cpu.bus());
        same("memory", &None, &self.cpu.bus().difference(&before, &self.memory))?;
        if expected.stale {
            self.cpu.set_privilege(Privilege::Machine);
            let scopes = self.registers.everything();
            scopes.into_iter().for_each(|scope| _ = self.cpu.invalidate(scope));
        }
        Ok(())
    }

    /// Returns the expected result of the access, and changes memory as the access does.
    fn expect(&mut self, access: Access, bytes: &[u8]) -> Expected<A::Fault> {
        let pieces = match self.translate(access) {
            Ok(pieces) => pieces,
            Err(Nested { answer, other, changes, .. }) => {
                let read = Err(Refused::Exception(answer.err()));
                return Expected { read, other, open: changes, stale: false };
            }
        };
        let places: Vec<_> = pieces.iter().flat_map(places).collect();
        let held = places.iter().map(|&(at, addr)| match self.memory.peek(addr, Width::B1) {
            Ok(byte) => Ok(byte.to_le_bytes()[0]),
            Err(error) => Err(Refused::Bus(at, error)),
        });
        let read: Result<Vec<u8>, _> = held.collect();
        let writes = read.is_ok() && access.kind.writes();
        let stale = writes && self.write(&places, bytes);
        Expected { read, other: None, open: Vec::new(), stale }
    }

    /// Translates each piece, and makes its changes. Returns the refusal of a piece as the error.
    fn translate(&mut self, access: Access) -> Result<Vec<(Access, Outcome)>, Nested<A::Fault>> {
        if let Err(fault) = self.registers.check_whole(access) {
            let (reads, changes) = (Vec::new(), Vec::new());
            let (answer, other, entangled) = (Err(fault), None, false);
            return Err(Nested { answer, other, reads, changes, entangled });
        }
        let mut pieces = Vec::new();
        for piece in pieces_of(access, self.registers.piece_bits()) {
            let nested = self.registers.ask(piece, &self.memory);
            let Ok(outcome) = nested.answer else { return Err(nested) };
            self.memory.apply_all(&outcome.writes);
            pieces.push((piece, outcome));
        }
        Ok(pieces)
    }

    /// Writes bytes. Returns true if they were part of eight bytes that could be a table entry.
    fn write(&mut self, places: &[(VirtAddr, PhysAddr)], bytes: &[u8]) -> bool {
        // One that is not aligned begins among the eight before.
        let around = |addr: PhysAddr| {
            [addr, addr.wrapping_add(7), PhysAddr::new(addr.raw().wrapping_sub(7))]
        };
        let entries = places.iter().flat_map(|(_, addr)| around(*addr));
        let entries: BTreeSet<_> = entries.map(|addr| addr.align_down(3)).collect();
        let stale = self.memory.words().any(|(word, _)| entries.contains(&word.align_down(3)));
        for ((_, addr), byte) in places.iter().zip(bytes) {
            // The byte was read, so it can be written.
            let _ = self.memory.write(*addr, Width::B1, (*byte).into());
        }
        stale
    }

    /// Makes the access on the CPU. Returns the bytes that it read, if the CPU returns them.
    fn perform(
        &mut self,
        access: Access,
        bytes: &[u8],
    ) -> Result<Option<Vec<u8>>, Refused<A::Fault>> {
        self.cpu.set_privilege(access.privilege);
        operation::perform(&mut self.cpu, access, bytes).map_err(|stop| {
            let _ = self.cpu.return_from_trap();
            match stop.fault().filter(|fault| fault.access == access) {
                Some(Fault { addr, cause: Cause::Bus(error), entry: None, .. }) => {
                    Refused::Bus(addr, error)
                }
                fault => Refused::Exception(
                    fault.and_then(|fault| A::exception(self.cpu.unit().format(), &fault)),
                ),
            }
        })
    }
}

fn spans_pages(access: Access) -> bool {
    access.addr.offset(12) + u64::from(access.size) > 1 << 12
}

/// Returns the access in each page that it touches, as an access to one byte.
fn pages(access: Access) -> impl Iterator<Item = Access> {
    let last = (access.addr.offset(12) + u64::from(access.size) - 1) >> 12;
    let page = access.addr.align_down(12);
    let later = (1..=last).map(move |number| page.wrapping_add(number << 12));
    core::iter::once(access.addr).chain(later).map(move |addr| access.at(addr, 1))
}

/// Returns the virtual and the physical address of each byte of a piece.
fn places((piece, outcome): &(Access, Outcome)) -> impl Iterator<Item = (VirtAddr, PhysAddr)> {
    let (addr, pa) = (piece.addr, outcome.pa);
    (0..u64::from(piece.size)).map(move |at| (addr.wrapping_add(at), pa.wrapping_add(at)))
}

/// Returns bytes to write, which differ from their neighbours.
fn data(access: Access) -> Vec<u8> {
    (0..access.size).map(|at| (at % 251).to_le_bytes()[0] ^ 0xa5).collect()
}
