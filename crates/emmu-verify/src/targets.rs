//! Checks that must hold for any bytes. Each fuzz target runs one of these checks, and `cargo test` runs them over
//! the seeds kept in `fuzz/seeds/<target>`.
//!
//! No check panics by itself, so a panic is a finding. Damaged input must be answered by an error that says what and
//! where; accepted input must survive being written and read again.

use crate::Architecture;
use crate::coherence::{self, Manual, Script};
use crate::differential::{Fenced, agree, fences_suffice, spans_agree};
use crate::generate::Case;
use emmu_check::Units;
use emmu_oracle::{aarch64, described, hashed, riscv, x86};
use emmu_timing::Machine;
use emmu_trace::check;
use emmu_vectors::VectorFile;

pub use crate::damage::heap;
pub use emmu_trace::check::{
    any_bytes as open, champsim_bytes as champsim, csv_bytes as csv, dinero_bytes as dinero,
    lackey_bytes as lackey, native_bytes as native,
};

/// `Ok`, or the defect that a check found.
pub type Verdict = Result<(), String>;

/// A fuzz target: its name, and its check.
pub type Target = (&'static str, fn(&[u8]) -> Verdict);

/// All targets. The binaries in `fuzz/` and the folders of seeds have the same names.
pub const TARGETS: &[Target] = &[
    ("lackey", lackey),
    ("dinero", dinero),
    ("csv", csv),
    ("champsim", champsim),
    ("open", open),
    ("native", native),
    ("native_writer", native_writer),
    ("machine", machine),
    ("vectors", vectors),
    ("heap", heap),
    ("riscv", walk::<riscv::Registers>),
    ("x86", walk::<x86::Registers>),
    ("aarch64", walk::<aarch64::Registers>),
    ("described", walk::<described::Registers>),
    ("hashed", walk::<hashed::Registers>),
    ("hashed_guest", walk::<hashed::Guest>),
    ("riscv_guest", walk::<riscv::hypervisor::Registers>),
    ("x86_guest", walk::<x86::ept::Registers>),
    ("aarch64_guest", walk::<aarch64::stage2::Registers>),
    ("coherent", coherent),
    ("fences", fences),
    ("descriptors", descriptors),
    ("snapshot", snapshot),
];

/// Runs the check of this name. The binaries in `fuzz/` have no other code of their own, so that only they are linked,
/// and the checks are compiled once.
///
/// # Errors
/// The finding of the check, or a message that there is no such check.
pub fn run(name: &str, bytes: &[u8]) -> Verdict {
    let target = TARGETS.iter().find(|(known, _)| *known == name);
    let (_, check) = target.ok_or_else(|| format!("no target is named {name}"))?;
    check(bytes)
}

/// Makes references from these bytes, writes them as a native trace, and reads it back: whole, cut off, damaged and
/// from the middle. The first five bytes choose the place.
///
/// # Errors
/// If other references come back, or damage passes unnoticed.
pub fn native_writer(bytes: &[u8]) -> Verdict {
    let (place, references) = bytes.split_at(bytes.len().min(5));
    let [a, b, c, d, flip] = std::array::from_fn(|i| place.get(i).copied().unwrap_or(0));
    let at = u32::from_le_bytes([a, b, c, d]);
    let offset = usize::try_from(at).unwrap_or(usize::MAX);
    check::round_trip(references)?;
    check::truncation(references, offset)?;
    check::corruption(references, offset, flip)?;
    check::seek(references, at.into())
}

/// Reads a machine description. If it is accepted, its canonical form must describe the same machine, with TLBs that
/// can be built.
///
/// # Errors
/// If the canonical form differs, or if the error does not begin with the place.
pub fn machine(bytes: &[u8]) -> Verdict {
    let text = String::from_utf8_lossy(bytes);
    match Machine::from_toml("fuzz.toml", &text) {
        Ok(machine) => is_canonical(&machine),
        Err(error) => explained(&error.to_string(), "fuzz.toml:"),
    }
}

fn is_canonical(machine: &Machine) -> Verdict {
    machine.paging_config().validate().map_err(|error| format!("cannot be built: {error}"))?;
    let text = machine.to_toml();
    match Machine::from_toml("canonical.toml", &text) {
        Ok(again) if again == *machine => Ok(()),
        Ok(_) => Err(format!("another machine comes back from:\n{text}")),
        Err(error) => Err(format!("{error} in the canonical form:\n{text}")),
    }
}

/// Reads translation vectors or textbook records, and runs emmu's units on those that parse, whatever the units answer.
///
/// # Errors
/// If an error does not begin with the file.
pub fn vectors(bytes: &[u8]) -> Verdict {
    let file = VectorFile::new("fuzz.jsonl", bytes);
    match file.and_then(|file| file.run(&mut Units::default(), &mut |_| {})) {
        Ok(_) => Ok(()),
        Err(error) => explained(&error.to_string(), "fuzz.jsonl"),
    }
}

/// Makes registers, tables and accesses from these bytes, and runs them on the units of the architecture, of one stage
/// or of two, and on CPUs. Each must give the results of the reference model ([`agree`], [`spans_agree`]).
///
/// # Errors
/// The first access on which they differ, if there is one.
pub fn walk<A: Architecture>(bytes: &[u8]) -> Verdict {
    let case = Case::<A>::from_bytes(bytes);
    agree(case.clone()).and_then(|()| spans_agree(case)).map_err(|found| found.to_string())
}

/// Makes a case and a script from these bytes, the first of which chooses the architecture and the number of stages.
/// Plays the script on a unit and, with one stage, on a pair of CPUs ([`coherence::coherent`],
/// [`coherence::accelerator_agrees`]).
///
/// # Errors
/// The first answer that the manual does not allow, or the first difference.
pub fn coherent(bytes: &[u8]) -> Verdict {
    let (architecture, bytes) = bytes.split_at(bytes.len().min(1));
    let (script, bytes) = Script::from_bytes(bytes);
    match architecture.first().map_or(0, |number| number % 6) {
        0 => coherent_one_stage::<riscv::Registers>(bytes, script),
        1 => coherent_one_stage::<x86::Registers>(bytes, script),
        2 => coherent_one_stage::<aarch64::Registers>(bytes, script),
        3 => coherent_two_stages::<riscv::hypervisor::Registers>(bytes, script),
        4 => coherent_two_stages::<x86::ept::Registers>(bytes, script),
        _ => coherent_two_stages::<aarch64::stage2::Registers>(bytes, script),
    }
}

/// Makes a case of two stages and steps from these bytes, the first of which chooses the architecture and the second
/// the number of steps. Changes tables, each time followed by the narrowest fences ([`fences_suffice`]).
///
/// # Errors
/// The first access whose result differs from the reference model's, if there is one.
pub fn fences(bytes: &[u8]) -> Verdict {
    let (head, bytes) = bytes.split_at(bytes.len().min(2));
    let [architecture, count] = [0, 1].map(|at| head.get(at).copied().unwrap_or(0));
    let (steps, bytes) = bytes.split_at(bytes.len().min(4 * usize::from(count % 64)));
    let steps = steps.as_chunks().0;
    match architecture % 3 {
        0 => fenced::<riscv::hypervisor::Registers>(bytes, steps),
        1 => fenced::<x86::ept::Registers>(bytes, steps),
        _ => fenced::<aarch64::stage2::Registers>(bytes, steps),
    }
}

fn fenced<A: Fenced>(bytes: &[u8], steps: &[[u8; 4]]) -> Verdict {
    fences_suffice(Case::<A>::from_bytes(bytes), steps).map_err(|found| found.to_string())
}

fn coherent_two_stages<A: Manual>(bytes: &[u8], script: Script) -> Verdict {
    coherence::coherent(Case::<A>::from_bytes(bytes), script).map_err(|found| found.to_string())
}

fn coherent_one_stage<A: Manual<Second = ()>>(bytes: &[u8], script: Script) -> Verdict {
    let case = Case::<A>::from_bytes(bytes);
    coherence::coherent(case.clone(), script.clone())
        .and_then(|()| coherence::accelerator_agrees(case, script))
        .map_err(|found| found.to_string())
}

/// Makes descriptors from these bytes, writes them into memory, loads segment registers with them and makes accesses:
/// on x86's segment registers, and on a segment table.
///
/// # Errors
/// If a refusal has an effect or no exception, or a debugger or a cache makes a difference.
pub fn descriptors(bytes: &[u8]) -> Verdict {
    crate::descriptors::descriptors(bytes)
}

/// Reads units from these bytes, and makes accesses with those that can be read ([`crate::snapshot::survives`]).
///
/// # Errors
/// If a unit that was read cannot be serialized, or differs after it is read again.
pub fn snapshot(bytes: &[u8]) -> Verdict {
    crate::snapshot::survives(bytes)
}

/// Returns an error unless the message begins with the place and says something after it.
fn explained(message: &str, place: &str) -> Verdict {
    let fine = message.strip_prefix(place).is_some_and(|rest| rest.len() > 5);
    fine.then_some(()).ok_or_else(|| format!("not a message: {message:?}"))
}
