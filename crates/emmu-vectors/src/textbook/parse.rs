//! From a line to a record. Fields that tell nothing of translation are passed over.

use super::{Answer, EntryRead, Fault, Loaded, Machine, Record, Segment, Step};
use crate::field::{Field, Problem};
use core::num::NonZeroU32;
use emmu_core::{PhysAddr, VirtAddr};
use serde_json::Value;

/// The most bytes of physical memory.
const LARGEST_MEMORY: u64 = 1 << 52;
/// Bytes in a page of the multi-level machine.
const SMALL_PAGE: u32 = 32;
/// Bits of virtual address that it has.
const SMALL_SPACE_BITS: u32 = 15;
/// Bits of physical address that it has.
const SMALL_MEMORY_BITS: u32 = 12;

/// Which machine a line is about.
#[derive(Clone, Copy)]
enum Kind {
    Linear,
    Multilevel,
    Relocation,
    Segmentation,
}

/// Each machine, its simulator, and the fields that no other machine that translates has.
const KINDS: [(Kind, &str, &[&str]); 4] = [
    (Kind::Linear, "linear", &["page", "pt"]),
    (Kind::Multilevel, "multilevel", &["pdbr", "mem"]),
    (Kind::Relocation, "relocation", &["base", "limit"]),
    (Kind::Segmentation, "segmentation", &["seg"]),
];

impl Kind {
    /// By the simulator, where the line names it, and else by its fields.
    fn of(line: &Field<'_>) -> Result<Self, Problem> {
        let sim = line.optional("sim")?;
        let name = sim.as_ref().map(Field::text).transpose()?;
        for (kind, simulator, fields) in KINDS {
            let matches = match name {
                Some(name) => name == simulator,
                None => has_all(line, fields)?,
            };
            if matches {
                return Ok(kind);
            }
        }
        Err(match sim {
            Some(sim) => sim.refuse(
                "a machine that translates (linear, multilevel, relocation or segmentation) or a memory manager \
                 (malloc, kr_nextfit, firstfit_embedded or buddy)",
            ),
            None => line.refuse(
                "a translation vector (with format), or a textbook record of linear paging (with page and pt), \
                 multi-level paging (pdbr, mem), relocation (base, limit) or segmentation (seg)",
            ),
        })
    }
}

fn has_all(line: &Field<'_>, fields: &[&str]) -> Result<bool, Problem> {
    fields.iter().try_fold(true, |all, name| Ok(all && line.optional(name)?.is_some()))
}

impl Record {
    /// Reads one from a line's JSON; nothing, if it tells of a configuration that was refused.
    pub(super) fn parse(line: &Value) -> Result<Option<Self>, Problem> {
        let line = Field::document(line);
        let kind = Kind::of(&line)?;
        let id = line.member("id")?.integer(0, u32::MAX)?.into();
        if let Some(error) = line.optional("error")? {
            return error.text().map(|_| None);
        }
        let (machine, trace) = match kind {
            Kind::Linear => linear(&line)?,
            Kind::Multilevel => multilevel(&line)?,
            Kind::Relocation => relocation(&line)?,
            Kind::Segmentation => segmentation(&line)?,
        };
        Ok(Some(Self { id, machine, trace }))
    }
}

fn relocation(line: &Field<'_>) -> Result<(Machine, Vec<Step>), Problem> {
    let (space, memory) = sizes(line)?;
    let (base, limit) = (base(line)?, line.member("limit")?.integer(0, u32::MAX)?);
    let trace = trace(line, space, |step, _| untabled(step, memory))?;
    Ok((Machine::Relocation { memory, base, limit }, trace))
}

fn segmentation(line: &Field<'_>) -> Result<(Machine, Vec<Step>), Problem> {
    let (space, memory) = sizes(line)?;
    let seg = line.member("seg")?;
    let segments = match seg.items()?.as_slice() {
        [up, down] => [segment(up, "up", space)?, segment(down, "down", space)?],
        _ => return Err(seg.refuse("two segments")),
    };
    let trace = trace(line, space, |step, va| {
        let upper = u32::from(va >= space - va);
        exactly(&step.member("seg")?, upper, "the half of the address space that va is in")?;
        untabled(step, memory)
    })?;
    Ok((Machine::Segmentation { memory, space, segments }, trace))
}

fn segment(field: &Field<'_>, direction: &str, space: u32) -> Result<Segment, Problem> {
    let grows = field.member("grows")?;
    if grows.text()? != direction {
        return Err(grows.refuse(direction));
    }
    Ok(Segment { base: base(field)?, limit: field.member("limit")?.integer(0, space / 2)? })
}

fn linear(line: &Field<'_>) -> Result<(Machine, Vec<Step>), Problem> {
    let (space, memory) = sizes(line)?;
    let page = line.member("page")?.integer(1, space)?;
    for (name, size) in [("asize", space), ("page", page)] {
        if !size.is_power_of_two() {
            return Err(line.member(name)?.refuse("a power of two"));
        }
    }
    let pt = line.member("pt")?;
    let table = pt.list(|entry| entry.integer(0, u32::MAX))?;
    if table.len() as u64 != u64::from(space / page) {
        return Err(pt.refuse(&format!("{} entries, one for each page", space / page)));
    }
    let trace = trace(line, space, |step, _| linear_answer(step, &table, memory))?;
    let page = NonZeroU32::new(page).unwrap_or(NonZeroU32::MIN);
    Ok((Machine::Linear { memory, space, page, table }, trace))
}

fn linear_answer(step: &Field<'_>, table: &[u32], memory: u64) -> Result<Answer, Problem> {
    let vpn = step.member("vpn")?;
    let index = vpn.integer(0, u32::MAX)?;
    let raw = usize::try_from(index).ok().and_then(|index| table.get(index));
    let raw = u64::from(*raw.ok_or_else(|| vpn.refuse("the number of an entry in pt"))?);
    let outcome = outcome(step, memory, &[("invalid", Fault::Invalid)])?;
    Ok(Answer { entries: vec![EntryRead { level: 0, index: index.into(), raw }], outcome })
}

fn multilevel(line: &Field<'_>) -> Result<(Machine, Vec<Step>), Problem> {
    for (name, value) in
        [("page", SMALL_PAGE), ("va_bits", SMALL_SPACE_BITS), ("pa_bits", SMALL_MEMORY_BITS)]
    {
        if let Some(field) = line.optional(name)? {
            exactly(&field, value, "which this machine always has")?;
        }
    }
    let frames = (1 << SMALL_MEMORY_BITS) / SMALL_PAGE;
    let pdbr = u8::try_from(line.member("pdbr")?.integer(0, frames - 1)?).unwrap_or(u8::MAX);
    let memory = bytes(&line.member("mem")?, 1 << SMALL_MEMORY_BITS)?;
    let trace = trace(line, 1 << SMALL_SPACE_BITS, |step, _| multilevel_answer(step))?;
    Ok((Machine::Multilevel { pdbr, memory }, trace))
}

fn multilevel_answer(step: &Field<'_>) -> Result<Answer, Problem> {
    let mut entries = vec![entry(step, 1, "pde")?];
    if step.optional("pte_index")?.is_some() {
        entries.push(entry(step, 0, "pte")?);
    }
    let faults = [("pde", Fault::Pde), ("pte", Fault::Pte)];
    let mut outcome = outcome(step, 1 << SMALL_MEMORY_BITS, &faults)?;
    if let Ok(loaded) = &mut outcome {
        loaded.value = u8::try_from(step.member("value")?.integer(0, u8::MAX.into())?).ok();
    }
    Ok(Answer { entries, outcome })
}

/// An entry of one byte, which the step tells whole and by its fields.
fn entry(step: &Field<'_>, level: u8, name: &str) -> Result<EntryRead, Problem> {
    let index = step.member(&format!("{name}_index"))?.integer(0, SMALL_PAGE - 1)?;
    let raw = step.member(name)?.integer(0, u8::MAX.into())?;
    exactly(&step.member(&format!("{name}_valid"))?, raw >> 7, &format!("bit 7 of {name}"))?;
    exactly(&step.member(&format!("{name}_pfn"))?, raw & 0x7f, &format!("bits 6 to 0 of {name}"))?;
    Ok(EntryRead { level, index: index.into(), raw: raw.into() })
}

/// The steps, each answer as `answer` reads it from the step and its virtual address.
fn trace(
    line: &Field<'_>,
    space: u32,
    answer: impl Fn(&Field<'_>, u32) -> Result<Answer, Problem>,
) -> Result<Vec<Step>, Problem> {
    line.member("trace")?.list(|step| {
        let va = step.member("va")?.integer(0, space - 1)?;
        Ok(Step { va: VirtAddr::new(va.into()), expect: answer(step, va)? })
    })
}

/// The answer of a machine without tables.
fn untabled(step: &Field<'_>, memory: u64) -> Result<Answer, Problem> {
    let outcome = outcome(step, memory, &[("bounds", Fault::Bounds)])?;
    Ok(Answer { entries: Vec::new(), outcome })
}

/// Where the byte is, or one of `faults`.
fn outcome(
    step: &Field<'_>,
    memory: u64,
    faults: &[(&str, Fault)],
) -> Result<Result<Loaded, Fault>, Problem> {
    match (step.optional("pa")?, step.optional("fault")?) {
        (Some(pa), None) => Ok(place(pa.signed()?, memory)),
        (None, Some(fault)) => {
            let name = fault.text()?;
            let known = faults.iter().find(|(known, _)| *known == name);
            let names: Vec<_> = faults.iter().map(|(known, _)| *known).collect();
            let (_, fault) = known.ok_or_else(|| fault.refuse(&names.join(" or ")))?;
            Ok(Err(fault.clone()))
        }
        _ => Err(step.refuse("one of pa and fault")),
    }
}

/// Returns the answer of hardware where the simulator prints `pa`, which may lie outside its memory.
fn place(pa: i64, memory: u64) -> Result<Loaded, Fault> {
    let pa = u64::try_from(pa).map_err(|_| Fault::Bounds)?;
    let there = pa < memory;
    let pa = PhysAddr::new(pa);
    if there { Ok(Loaded { pa, value: None }) } else { Err(Fault::NoMemory(pa)) }
}

/// The sizes of address space and physical memory.
fn sizes(line: &Field<'_>) -> Result<(u32, u64), Problem> {
    let space = line.member("asize")?.integer(1, u32::MAX)?;
    Ok((space, line.member("psize")?.number(1, LARGEST_MEMORY)?))
}

/// A base register.
fn base(parent: &Field<'_>) -> Result<u64, Problem> {
    parent.member("base")?.number(0, LARGEST_MEMORY)
}

fn exactly(field: &Field<'_>, value: u32, what: &str) -> Result<(), Problem> {
    match field.integer(0, u32::MAX)? {
        found if found == value => Ok(()),
        _ => Err(field.refuse(&format!("{value}, {what}"))),
    }
}

/// So many bytes as pairs of hexadecimal digits.
fn bytes(field: &Field<'_>, count: usize) -> Result<Vec<u8>, Problem> {
    let digits = field.text()?.as_bytes();
    let nibble =
        |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let byte = |pair: &[u8]| match *pair {
        [high, low] => Some(nibble(high)? << 4 | nibble(low)?),
        _ => None,
    };
    let bytes: Option<Vec<_>> = digits.chunks(2).map(byte).collect();
    bytes
        .filter(|bytes| bytes.len() == count)
        .ok_or_else(|| field.refuse(&format!("{} hexadecimal digits", 2 * count)))
}
