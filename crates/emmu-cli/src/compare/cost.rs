//! What a system costs: memory, cycles of an access, cycles of a switch.

use super::program::Shape;
use super::system::{Kind, Setting, System};
use anyhow::{Result, bail};
use emmu_os::toy::Core;
use emmu_os::{Op, OsError, Pid, Reply, Turn};
use serde::Serialize;

/// What was measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Cost {
    /// Bytes of memory that others cannot have because of the program.
    pub(crate) allocated: u64,
    /// Those that it did not ask for: gaps, rounding, page tables.
    pub(crate) wasted: u64,
    /// Cycles of the program's fetches, loads and stores, once it has made them all before.
    pub(crate) cycles: u64,
    /// How many fetches, loads and stores these were.
    pub(crate) accesses: u64,
    /// Cycles of one.
    pub(crate) cycles_per_access: f64,
    /// Cycles from one process's system call to the next process's first instruction; none where there is only
    /// one process.
    pub(crate) switch: Option<u64>,
}

pub(crate) fn measure(kind: Kind, setting: &Setting<'_>, shape: &Shape) -> Result<Cost> {
    let (allocated, cycles) = run(kind, setting, shape)?;
    // The accesses with their fetches, and the fetches of the jump back and of the pause.
    let accesses = 2 * shape.accesses + 2;
    #[expect(clippy::cast_precision_loss, reason = "a quotient to read")]
    let cycles_per_access = cycles as f64 / accesses as f64;
    Ok(Cost {
        allocated,
        wasted: allocated.saturating_sub(shape.wanted()),
        cycles,
        accesses,
        cycles_per_access,
        switch: switch(setting.boot(kind)?.as_mut(), kind, shape)?,
    })
}

/// Runs the program's second round, for which all caches are as warm as they get; the memory that it has then,
/// and the cycles.
fn run(kind: Kind, setting: &Setting<'_>, shape: &Shape) -> Result<(u64, u64)> {
    let mut system = setting.boot(kind)?;
    let image = shape.program(kind.whole_pages())?;
    let pid = system.spawn(image.layout())?;
    let mut core = Core::of(&image, system.origin(pid)?);
    let mut to_pause = |system: &mut dyn System| match system.resume(pid, &mut core)? {
        Turn::Yielded => Ok(system.cycles()),
        Turn::Ended(exit) => bail!("{}: the program was ended: {exit}", kind.name()),
    };
    to_pause(system.as_mut())?;
    let before = to_pause(system.as_mut())?;
    let after = to_pause(system.as_mut())?;
    let usage = system.usage();
    Ok((usage.total - usage.free, after - before))
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
        let before = system.cycles();
        system.resume(pid, &mut |_: Reply<'_>| Op::YIELD)?;
        Ok(system.cycles() - before)
    };
    // After a round all caches hold what switches need.
    turn(first)?;
    turn(second)?;
    turn(first)?;
    Ok(Some(turn(second)?))
}
