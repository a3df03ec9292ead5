//! A trace on a machine, from boot to report.

use crate::{
    SimError,
    replay::Replay,
    report::{MachineReport, Report},
    tables::{WithTables, with_tables},
};
use emmu_core::{PhysAddr, TranslationUnit};
use emmu_cpu::Cpu;
use emmu_memory::Memory;
use emmu_os::{
    AddressSpaces, Exit, Layout, Os, OsError, OsStats, Paged, PhysicalMemory, TableFormat,
};
use emmu_paging::{Paging, format::Format};
use emmu_timing::{Counters, Cycles, Machine};
use emmu_trace::RecordSource;

/// Bytes at the start of memory that belong to the kernel of the simulated operating system.
pub const KERNEL_BYTES: u64 = 1 << 20;

/// The probes that listen to a run: one counts events, the other prices them.
pub type Meters = (Counters, Cycles);

/// One run of a trace on a machine.
///
/// The minimal operating system boots on the machine, and the trace is its only program. The program may use every
/// address that the machine gives to programs, and each byte is zero at first; pages are mapped when the program first
/// touches them. A modify of the trace is a load and then a store.
///
/// Two runs of the same trace on the same machine return the same report.
pub struct Simulation<'a> {
    machine: Machine,
    seed: u64,
    layout: Option<Layout>,
    progress: Box<dyn FnMut(u64) + 'a>,
}

impl<'a> Simulation<'a> {
    /// Prepares a run on this machine.
    #[must_use]
    pub fn new(machine: &Machine) -> Self {
        Self { machine: machine.clone(), seed: 0, layout: None, progress: Box::new(|_| {}) }
    }

    /// Draws random replacement from other seeds: see [`Machine::with_seed`]. The report names `seed`.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.machine = self.machine.with_seed(self.seed ^ seed);
        self.seed = seed;
        self
    }

    /// Gives the program these regions instead of every address. Units that place a program in one piece of physical
    /// memory, such as base and bounds, need this.
    #[must_use]
    pub fn with_layout(mut self, layout: Layout) -> Self {
        self.layout = Some(layout);
        self
    }

    /// Calls `progress` now and then with the number of records that are done.
    #[must_use]
    pub fn on_progress(mut self, progress: impl FnMut(u64) + 'a) -> Self {
        self.progress = Box::new(progress);
        self
    }

    /// Runs a trace on the machine, with page tables of the format that its description names. `name` is what errors
    /// and the report call the trace.
    ///
    /// # Errors
    /// [`SimError`] if the machine cannot be built, if the trace is malformed or empty, or if the operating system ends
    /// the program.
    pub fn run(self, name: &str, mut trace: impl RecordSource) -> Result<Report, SimError> {
        self.run_named(name, &mut trace)
    }

    /// Not generic, so that the units of emmu's own formats are compiled here and not in every user's crate.
    fn run_named(self, name: &str, trace: &mut dyn RecordSource) -> Result<Report, SimError> {
        let machine = MachineReport::new(&self.machine);
        let run = Run { simulation: self, machine, name, trace };
        with_tables(run.simulation.machine.format, run)
    }

    /// Runs a trace on the machine, but with a page-table format of your own: `tables` is how the operating system
    /// writes its tables, and `title` is what the report calls the format. The format in the machine's description
    /// decides nothing but which sizes of pages and memory the description may have.
    ///
    /// # Errors
    /// [`SimError`], as [`run`](Self::run).
    pub fn run_format<F: Format, T: TableFormat>(
        self,
        title: &str,
        format: F,
        tables: T,
        name: &str,
        mut trace: impl RecordSource,
    ) -> Result<Report, SimError> {
        let machine = MachineReport::with_own(&self.machine, title);
        Run { simulation: self, machine, name, trace: &mut trace }.in_format(format, tables)
    }

    /// Runs a trace on a translation unit of your own, with the machine's memory, data caches and prices: `spaces` is
    /// how the operating system programs the unit, and `title` is what the report calls it.
    ///
    /// # Errors
    /// [`SimError`], as [`run`](Self::run).
    pub fn run_unit<U, S>(
        self,
        title: &str,
        unit: U,
        spaces: S,
        name: &str,
        mut trace: impl RecordSource,
    ) -> Result<Report, SimError>
    where
        U: TranslationUnit<Memory, Meters>,
        S: AddressSpaces,
    {
        let machine = MachineReport::with_own(&self.machine, title);
        Run { simulation: self, machine, name, trace: &mut trace }.on(unit, spaces)
    }
}

/// A simulation and its trace.
struct Run<'r, 'a> {
    simulation: Simulation<'a>,
    machine: MachineReport,
    name: &'r str,
    trace: &'r mut dyn RecordSource,
}

impl WithTables for Run<'_, '_> {
    type Output = Result<Report, SimError>;

    fn with<F: Format, T: TableFormat>(self, format: F, tables: T) -> Result<Report, SimError> {
        self.in_format(format, tables)
    }
}

impl Run<'_, '_> {
    fn in_format<F: Format, T: TableFormat>(
        self,
        format: F,
        tables: T,
    ) -> Result<Report, SimError> {
        let config = self.simulation.machine.paging_config();
        match Paging::new(format, &config) {
            Ok(unit) => self.on(unit, Paged::new(tables)),
            Err(source) => {
                Err(SimError::Unit { machine: self.simulation.machine.name.clone(), source })
            }
        }
    }

    /// Only this and [`play`] are compiled once for each unit.
    fn on<U, S>(self, unit: U, spaces: S) -> Result<Report, SimError>
    where
        U: TranslationUnit<Memory, Meters>,
        S: AddressSpaces,
    {
        let memory = self.memory()?;
        let Self { simulation, machine, name, trace } = self;
        let probe = (Counters::default(), Cycles::new(&simulation.machine));
        let mut replay = Replay::new(trace, simulation.progress);
        let cpu = Cpu::with_probe(unit, Memory::ram(memory.end().raw()), probe);
        let outcome = play(cpu, spaces, &memory, simulation.layout, &mut replay);
        conclude(outcome, replay, name, machine, simulation.seed)
    }

    fn memory(&self) -> Result<PhysicalMemory, SimError> {
        let Machine { name, memory, .. } = &self.simulation.machine;
        let memory = PhysicalMemory::new(PhysAddr::ZERO, memory.value.size, KERNEL_BYTES);
        memory.map_err(|source| SimError::Memory { machine: name.clone(), source })
    }
}

/// The outcome of a run whose operating system did not fail.
pub(crate) struct Outcome {
    pub(crate) exit: Exit,
    pub(crate) stats: OsStats,
    pub(crate) meters: Meters,
}

/// The operating system's failure, and whether it happened before the program began.
struct Failure {
    boot: bool,
    source: Box<OsError>,
}

fn play<U, S>(
    cpu: Cpu<U, Memory, Meters>,
    spaces: S,
    memory: &PhysicalMemory,
    layout: Option<Layout>,
    replay: &mut Replay<'_>,
) -> Result<Outcome, Failure>
where
    U: TranslationUnit<Memory, Meters>,
    S: AddressSpaces,
{
    let booted = Os::boot(cpu, spaces, memory);
    let mut os = booted.map_err(|source| Failure { boot: true, source: Box::new(source) })?;
    let stopped = |source| Failure { boot: false, source: Box::new(source) };
    let layout = layout.map_or_else(|| os.everything(), Ok).map_err(stopped)?;
    let exit = os.run(&layout, replay).map_err(stopped)?;
    let stats = os.stats();
    let (_, _, meters) = os.into_cpu().into_parts();
    Ok(Outcome { exit, stats, meters })
}

/// Makes the report, or says why there is none. A damaged trace is named before the program's fate.
fn conclude(
    outcome: Result<Outcome, Failure>,
    replay: Replay<'_>,
    name: &str,
    machine: MachineReport,
    seed: u64,
) -> Result<Report, SimError> {
    let trace = || name.to_owned();
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(Failure { boot: true, source }) => {
            return Err(SimError::Boot { machine: machine.name, source });
        }
        Err(Failure { source, .. }) => {
            return Err(SimError::Os { trace: trace(), record: replay.position(), source });
        }
    };
    let replayed = replay.finish().map_err(|source| SimError::Trace { trace: trace(), source })?;
    if let Exit::Killed(kill) = outcome.exit {
        return Err(SimError::Killed {
            trace: trace(),
            record: replayed.records,
            kill: Box::new(kill),
        });
    }
    if replayed.records == replayed.vsyscall_fetches {
        return Err(SimError::NoReferences { trace: trace() });
    }
    Ok(Report::new(name, replayed, machine, seed, &outcome))
}
