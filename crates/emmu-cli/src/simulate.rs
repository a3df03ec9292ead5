//! A trace on a machine: what `emmu sim` does between reading its arguments and printing its report.

use crate::replay::Replay;
use crate::tables::{WithTables, with_tables};
use anyhow::{Context, Result};
use emmu_core::PhysAddr;
use emmu_cpu::Cpu;
use emmu_memory::Memory;
use emmu_os::{Exit, Os, OsStats, Paged, PhysicalMemory, TableFormat};
use emmu_paging::{Paging, format::Format};
use emmu_timing::{Counters, Cycles, Machine};

/// Bytes at the start of memory that are the kernel's.
const KERNEL: u64 = 1 << 20;

/// What came of a run.
pub(crate) struct Outcome {
    pub(crate) exit: Exit,
    pub(crate) stats: OsStats,
    pub(crate) counters: Counters,
    pub(crate) cycles: Cycles,
}

/// Runs the trace on the machine, as the only program of the operating system.
pub(crate) fn simulate(machine: &Machine, replay: &mut Replay) -> Result<Outcome> {
    with_tables(machine.format, Run { machine, replay })
}

struct Run<'a> {
    machine: &'a Machine,
    replay: &'a mut Replay,
}

impl WithTables for Run<'_> {
    type Output = Result<Outcome>;

    /// Boots the operating system on the machine, and runs the trace as its only program. All addresses that a
    /// program may have are its own, and zero at first.
    fn with<F: Format, T: TableFormat>(self, format: F, tables: T) -> Result<Outcome> {
        let Self { machine, replay } = self;
        let size = machine.memory.value.size;
        let memory = PhysicalMemory::new(PhysAddr::ZERO, size, KERNEL)
            .with_context(|| format!("machine {}: memory.size", machine.name))?;
        let unit = Paging::new(format, &machine.paging_config())?;
        let probe = (Counters::default(), Cycles::new(machine));
        let cpu = Cpu::with_probe(unit, Memory::ram(size), probe);
        let mut os = Os::boot(cpu, Paged::new(tables), &memory).with_context(|| {
            format!("machine {}: the operating system does not boot", machine.name)
        })?;
        let layout = os.everything()?;
        let exit = os.run(&layout, replay)?;
        let stats = os.stats();
        let (_, _, (counters, cycles)) = os.into_cpu().into_parts();
        Ok(Outcome { exit, stats, counters, cycles })
    }
}
