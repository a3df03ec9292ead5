//! The costs of a system: memory, cycles of an access, cycles of a switch.

use super::program::Shape;
use super::system::{Kind, Setting, System};
use anyhow::{Result, bail};
use emmu_os::toy::Core;
use emmu_os::{Op, OsError, Pid, Reply, Turn};
use serde::Serialize;

/// The measured costs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Cost {
    /// Bytes of memory that other programs cannot have because of the program.
    pub(crate) allocated: u64,
    /// Allocated bytes that the program did not ask for: gaps, rounding, page tables.
    pub(crate) wasted: u64,
    /// Cycles of the program's fetches, loads and stores in its second round, which finds the caches warm.
    pub(crate) cycles: u64,
    /// The number of these fetches, loads and stores.
    pub(crate) accesses: u64,
    /// Cycles of one of them. They depend mostly on where the program's data fall in the caches.
    pub(crate) cycles_per_access: f64,
    /// Those of the cycles that TLB lookups and page walks took.
    pub(crate) translation_cycles: u64,
    /// Cycles of TLB lookups and page walks in one access.
    pub(crate) translation_cycles_per_access: f64,
    /// Cycles from one process's system call to the next process's first instruction; none where there is only
    /// one process.
    pub(crate) switch: Option<u64>,
}

pub(crate) fn measure(kind: Kind, setting: &Setting<'_>, shape: &Shape) -> Result<Cost> {
    let Round { allocated, cycles, translation } = run(kind, setting, shape)?;
    // The accesses with their fetches, and the fetches of the jump back and of the pause.
    let accesses = 2 * shape.accesses + 2;
    #[expect(clippy::cast_precision_loss, reason = "a quotient to read")]
    let per_access = |cycles: u64| cycles as f64 / accesses as f64;
    Ok(Cost {
        allocated,
        wasted: allocated.saturating_sub(shape.wanted()),
        cycles,
        accesses,
        cycles_per_access: per_access(cycles),
        translation_cycles: translation,
        translation_cycles_per_access: per_access(translation),
        switch: switch(setting.boot(kind)?.as_mut(), kind, shape)?,
    })
}

/// A round of the program's accesses.
struct Round {
    /// Bytes of memory that are not free.
    allocated: u64,
    cycles: u64,
    /// Cycles of TLB lookups and page walks.
    translation: u64,
}

/// Runs the program's second round, in which all caches are as warm as they get.
fn run(kind: Kind, setting: &Setting<'_>, shape: &Shape) -> Result<Round> {
    let mut system = setting.boot(kind)?;
    let image = shape.program(kind.whole_pages())?;
    let pid = system.spawn(image.layout())?;
    let mut core = Core::of(&image, system.origin(pid)?);
    let mut to_pause = |system: &mut dyn System| match system.resume(pid, &mut core)? {
        Turn::Yielded => Ok((system.cycles()?, system.translation_cycles())),
        Turn::Ended(exit) => bail!("{}: the program was ended: {exit}", kind.name()),
    };
    to_pause(system.as_mut())?;
    let (cycles_before, translation_before) = to_pause(system.as_mut())?;
    let (cycles_after, translation_after) = to_pause(system.as_mut())?;
    let usage = system.usage();
    Ok(Round {
        allocated: usage.total - usage.free,
        cycles: cycles_after - cycles_before,
        translation: translation_after - translation_before,
    })
}

/// Cycles of a switch between two processes that do nothing else.
fn switch(system: &mut dyn System, kind: Kind, shape: &Shape) -> Result<Option<u64>> {
    let image = shape.program(kind.whole_pages())?;
    let first = system.spawn(image.layout())?;
    let second = match system.spawn(image.layout()) {
        Err(OsError::Occupied) => return Ok(None),
        second => second?,
    };
    let mut turn = |pid: Pid| -> Result<u64> {
        let before = system.cycles()?;
        system.resume(pid, &mut |_: Reply<'_>| Op::YIELD)?;
        Ok(system.cycles()? - before)
    };
    // After a round all caches hold what switches need.
    turn(first)?;
    turn(second)?;
    turn(first)?;
    Ok(Some(turn(second)?))
}
