//! Loads and uses segment descriptors of any bits: x86's, and those of a segment table in memory.
//!
//! There is no second decoder of descriptors here; the tests of `emmu-segmentation` have one. For any bits, nothing may
//! panic, a debugger must see the same as the program, a refused write must change nothing and have an exception, and a
//! cache that is told of every change must make no difference.

use crate::targets::Verdict;
use emmu_core::{
    Access, AccessFlags, AccessKind, Bus, Invalidate, PhysAddr, Privilege, RegisterError,
    RegisterId, Translation, TranslationUnit, VirtAddr, Width,
};
use emmu_memory::Memory;
use emmu_paging::{Geometry, Policy};
use emmu_segmentation::x86::{
    GDTR_BASE, GDTR_LIMIT, LDTR, LMA, SegmentException, SegmentRegister, X86Segments,
};
use emmu_segmentation::{DESCRIPTOR_BYTES, SegmentTable};

/// The address of the descriptor tables.
const TABLE: u64 = 0x1000;
const RAM: u64 = 1 << 16;

/// Numbers made from bytes, and zeros when the bytes are used up.
struct Numbers<'a>(&'a [u8]);

impl Numbers<'_> {
    fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    fn word(&mut self) -> u64 {
        (0..8).fold(0, |word, _| word << 8 | u64::from(self.byte()))
    }

    /// Returns an address near one of the edges, or any address.
    fn addr(&mut self, edges: &[u64]) -> VirtAddr {
        let chosen = usize::from(self.byte());
        let away = u64::from(self.byte() % 32);
        let addr = match edges.get(chosen % (edges.len() + 1)) {
            Some(edge) => edge.wrapping_add(away).wrapping_sub(16),
            None => self.word(),
        };
        VirtAddr::new(addr)
    }

    fn access(&mut self, edges: &[u64]) -> Access {
        let kind = AccessKind::ALL[usize::from(self.byte() % 4)];
        let size = [1, 2, 4, 8, 16, 4096][usize::from(self.byte() % 6)];
        let flags = AccessFlags::from_bits_truncate(self.byte());
        Access::new(kind, self.addr(edges), size).with_flags(flags)
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn holds(fact: bool, what: impl FnOnce() -> String) -> Verdict {
    if fact { Ok(()) } else { Err(what()) }
}

/// Plays the bytes on x86's segment registers and on a segment table.
///
/// # Errors
/// The rule that is violated.
pub(crate) fn descriptors(bytes: &[u8]) -> Verdict {
    x86(Numbers(bytes))?;
    table(Numbers(bytes))
}

/// Edges of limits in bytes and in pages, and of linear addresses.
const X86_EDGES: [u64; 5] = [0, 0x1000, 0x1_0000, 0x10_0000, 1 << 32];

fn x86(mut numbers: Numbers<'_>) -> Verdict {
    let (mut unit, mut memory) = (X86Segments::flat(), Memory::ram(RAM));
    for (id, value) in [(GDTR_BASE, TABLE), (GDTR_LIMIT, 8 * 32 - 1)] {
        load(&mut unit, &mut memory, id, value)?;
    }
    while !numbers.is_empty() {
        match numbers.byte() % 8 {
            0..=1 => {
                let at = TABLE + 8 * u64::from(numbers.byte() % 32);
                let _ = memory.write(PhysAddr::new(at), Width::B8, numbers.word());
            }
            2..=4 => {
                let register = SegmentRegister::ALL[usize::from(numbers.byte() % 6)];
                load(&mut unit, &mut memory, register.id(), numbers.byte().into())?;
            }
            5 => load(&mut unit, &mut memory, LDTR, u64::from(numbers.byte()))?,
            6 => load(&mut unit, &mut memory, LMA, u64::from(numbers.byte() % 2))?,
            _ => used(&mut unit, &mut memory, numbers.access(&X86_EDGES))?,
        }
    }
    Ok(())
}

/// Writes a register. A refused write must have an exception or be an access of its own, and change nothing.
fn load(unit: &mut X86Segments, memory: &mut Memory, id: RegisterId, value: u64) -> Verdict {
    let before = unit.clone();
    let Err(error) = unit.write_register(id, value, memory, &mut ()) else { return Ok(()) };
    let raised = SegmentException::of_write(&error).is_some();
    let other = matches!(error, RegisterError::NotModelled { .. } | RegisterError::Fault(_));
    holds(*unit == before, || format!("a refused write of {value:#x} to {id} has an effect"))?;
    holds(raised != other, || format!("no exception, or one too many: {error}"))
}

fn used(unit: &mut X86Segments, memory: &mut Memory, access: Access) -> Verdict {
    let peeked = TranslationUnit::<Memory, ()>::peek(unit, access, memory);
    let found = unit.translate(access, memory, &mut ());
    holds(peeked == found, || format!("{access}: {found:?}, but a debugger sees {peeked:?}"))?;
    match found {
        Ok(Translation { addr, span, .. }) => {
            let last = addr.raw().checked_add(span - 1);
            let in_space = unit.is_64_bit() || last.is_some_and(|last| last < 1 << 32);
            holds(span > 0 && in_space, || format!("{access}: {span} bytes from {addr} on"))
        }
        Err(fault) => {
            let raised = unit.exception(&fault).is_some() && !unit.is_64_bit();
            holds(raised, || format!("{fault}: no exception"))
        }
    }
}

const OFFSET_BITS: u32 = 13;
const SEGMENTS: u64 = 8;

fn table(mut numbers: Numbers<'_>) -> Verdict {
    let mut memory = Memory::ram(RAM);
    let [mut cached, mut plain] = [machine(true, &mut memory)?, machine(false, &mut memory)?];
    let edges = [0, 1 << OFFSET_BITS, 2 << OFFSET_BITS, 7 << OFFSET_BITS, 8 << OFFSET_BITS];
    while !numbers.is_empty() {
        if numbers.byte().is_multiple_of(4) {
            let number = u64::from(numbers.byte()) % SEGMENTS;
            let at = PhysAddr::new(
                TABLE + DESCRIPTOR_BYTES * number + 8 * u64::from(numbers.byte() % 2),
            );
            let _ = memory.write(at, Width::B8, numbers.word());
            let scope = Invalidate::Page(VirtAddr::new(number << OFFSET_BITS));
            TranslationUnit::<Memory, ()>::invalidate(&mut cached, scope);
            continue;
        }
        let access = numbers.access(&edges).with_privilege(Privilege::User);
        alike(&mut cached, &mut plain, &mut memory, access)?;
    }
    Ok(())
}

fn machine(cached: bool, memory: &mut Memory) -> Result<SegmentTable, String> {
    let cache = Geometry::new(2, 2, Policy::Lru).ok().filter(|_| cached);
    let mut unit =
        SegmentTable::new(OFFSET_BITS + 3, 3, cache).map_err(|error| error.to_string())?;
    for (id, value) in [(SegmentTable::BASE, TABLE), (SegmentTable::LENGTH, SEGMENTS)] {
        unit.write_register(id, value, memory, &mut ()).map_err(|error| error.to_string())?;
    }
    Ok(unit)
}

/// Checks that an access has the same result with a cache, without a cache and for a debugger, and that its ticket can
/// be repeated.
fn alike(
    cached: &mut SegmentTable,
    plain: &mut SegmentTable,
    memory: &mut Memory,
    access: Access,
) -> Verdict {
    let found = cached.translate(access, memory, &mut ());
    let ticket = found.as_ref().ok().and_then(|found| found.ticket);
    let repeated = ticket.is_none_or(|ticket| {
        TranslationUnit::<Memory, ()>::repeat(cached, ticket, access, &mut ())
    });
    holds(repeated, || format!("{access}: its ticket is not repeated"))?;
    let found = found.map(|found| Translation { ticket: None, ..found });
    let others = [
        plain.translate(access, memory, &mut ()),
        TranslationUnit::<Memory, ()>::peek(cached, access, memory),
    ];
    let same = others.iter().all(|other| *other == found);
    holds(same, || format!("{access}: {found:?} with a cache, but {others:?}"))
}
