//! The systems, behind one trait.

use super::program::Shape;
use anyhow::{Context, Result};
use emmu_base_bounds::{Bare, BaseBounds};
use emmu_core::{Bus, PhysAddr, Privilege, RegisterId, TranslationUnit};
use emmu_cpu::Cpu;
use emmu_memory::{Disk, Memory};
use emmu_os::{
    AddressSpaces, Contiguous, CpuPort, Layout, MemoryUsage, Os, OsError, Paged, PhysicalMemory,
    Pid, Program, Segmented, StaticRelocation, TableFormat, TimeSharing, Turn, Uniprogramming,
};
use emmu_paging::{Paging, format::Format};
use emmu_segmentation::{Segmentation, Selection};
use emmu_sim::{WithTables, with_tables};
use emmu_timing::{Cycles, DiskCycles, Machine};

/// A memory system, in historical order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Uniprogramming,
    TimeSharing,
    StaticRelocation,
    BaseBounds,
    Segmentation,
    Paging,
}

impl Kind {
    pub(crate) const ALL: [Self; 6] = [
        Self::Uniprogramming,
        Self::TimeSharing,
        Self::StaticRelocation,
        Self::BaseBounds,
        Self::Segmentation,
        Self::Paging,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Uniprogramming => "uniprogramming",
            Self::TimeSharing => "time sharing",
            Self::StaticRelocation => "static relocation",
            Self::BaseBounds => "base and bounds",
            Self::Segmentation => "segmentation",
            Self::Paging => "paging",
        }
    }

    /// Returns true if the system gives memory out in pages only.
    pub(crate) const fn whole_pages(self) -> bool {
        matches!(self, Self::Paging)
    }
}

/// The parts that all systems have in common: memory, a disk, prices.
#[derive(Clone, Debug)]
pub(crate) struct Setting<'a> {
    machine: &'a Machine,
    memory: u64,
    address_bits: u32,
    disk: u64,
}

/// Physical address of the first byte of RAM.
const START: PhysAddr = PhysAddr::new(0x8000_0000);
/// Bytes at the start of RAM that belong to the operating system.
pub(crate) const OS: u64 = 64 << 10;
/// Physical address of the disk's controller.
pub(crate) const DISK: PhysAddr = PhysAddr::new(0x1000_0000);
/// The number of processes for which the disk has room.
const ON_DISK: u64 = 4;

impl<'a> Setting<'a> {
    /// Returns a setting with memory for four programs that use all of their address space.
    pub(crate) fn new(machine: &'a Machine, shape: &Shape, disk: u64) -> Self {
        Self { machine, memory: 4 * shape.space, address_bits: shape.space.ilog2(), disk }
    }

    /// Returns the bytes of memory for processes.
    pub(crate) const fn memory(&self) -> u64 {
        self.memory
    }

    /// Returns the address of the last word of the operating system's own memory.
    pub(crate) const fn os_word(&self) -> PhysAddr {
        START.wrapping_add(OS - 8)
    }

    pub(crate) fn boot(&self, kind: Kind) -> Result<Box<dyn System>> {
        let booted = match kind {
            Kind::Uniprogramming => self.boot_on(Box::new(Bare), Uniprogramming::new()),
            Kind::TimeSharing => self.boot_on(Box::new(Bare), TimeSharing::new(DISK)),
            Kind::StaticRelocation => self.boot_on(Box::new(Bare), StaticRelocation::new()),
            Kind::BaseBounds => {
                self.boot_on(Box::new(BaseBounds::default()), Contiguous::default())
            }
            Kind::Segmentation => {
                let selection = Selection::Explicit { selector_bits: 2, segments: 4 };
                let unit = Segmentation::new(self.address_bits, selection)?;
                let spaces = Segmented::of(&unit)?;
                self.boot_on(Box::new(unit), spaces)
            }
            Kind::Paging => with_tables(self.machine.format, BootPaged(self)),
        };
        booted.with_context(|| format!("{}: the operating system does not boot", kind.name()))
    }

    fn boot_on<S: AddressSpaces + 'static>(
        &self,
        unit: Unit,
        spaces: S,
    ) -> Result<Box<dyn System>> {
        let memory = PhysicalMemory::new(START, OS + self.memory, OS)?;
        let disk = Disk::new(ON_DISK * memory.pool_frames());
        let bus =
            Memory::new().with_ram(START, OS + self.memory)?.with_device(DISK, Disk::SIZE, disk)?;
        let command = DISK.wrapping_add(Disk::COMMAND);
        let probe = (Cycles::new(self.machine), DiskCycles::new(command, self.disk));
        let window = spaces.window(&memory).raw();
        let os = Os::boot(Cpu::with_probe(unit, bus, probe), spaces, &memory)?;
        Ok(Box::new(Booted { os, window, pool: memory.pool(), frames: memory.pool_frames() }))
    }
}

/// The probes that price a system's events and its disk's.
type Prices = (Cycles, DiskCycles);

/// The translation unit of a system. It is boxed, so that the CPU is compiled once for all systems.
type Unit = Box<dyn TranslationUnit<Memory, Prices>>;

struct BootPaged<'a, 'm>(&'a Setting<'m>);

impl WithTables for BootPaged<'_, '_> {
    type Output = Result<Box<dyn System>>;

    fn with<F: Format + 'static, T: TableFormat + 'static>(
        self,
        format: F,
        tables: T,
    ) -> Self::Output {
        let unit = Paging::new(format, &self.0.machine.paging_config())?;
        self.0.boot_on(Box::new(unit), Paged::new(tables))
    }
}

/// A booted system: its operating system, and the view of an experimenter who looks past it.
pub(crate) trait System {
    fn spawn(&mut self, layout: &Layout) -> Result<Pid, OsError>;
    fn resume(&mut self, pid: Pid, program: &mut dyn Program) -> Result<Turn, OsError>;
    fn terminate(&mut self, pid: Pid) -> Result<(), OsError>;
    fn origin(&self, pid: Pid) -> Result<u64, OsError>;
    fn usage(&self) -> MemoryUsage;
    /// Returns all cycles so far, with those of the disk.
    ///
    /// # Errors
    /// If they are more than 64 bits can count.
    fn cycles(&self) -> Result<u64>;
    /// Returns the cycles of TLB lookups and page walks so far.
    fn translation_cycles(&self) -> u64;
    /// Returns the address at which the operating system sees physical address 0.
    fn window(&self) -> u64;
    /// Returns the word at a physical address.
    fn word(&mut self, addr: PhysAddr) -> u64;
    /// Returns the address of an aligned word in the processes' memory that holds this.
    fn find(&mut self, word: u64) -> Option<PhysAddr>;
    /// Returns the block of the disk, and the offset in it, of an aligned word that holds this.
    fn find_on_disk(&self, word: u64) -> Option<(u64, u64)>;
    /// Returns the registers of the translation unit that programs may not write, with their values.
    fn privileged(&mut self) -> Result<Vec<(RegisterId, u64)>, OsError>;
}

struct Booted<S: AddressSpaces> {
    os: Os<Cpu<Unit, Memory, Prices>, S>,
    window: u64,
    pool: PhysAddr,
    frames: u64,
}

impl<S: AddressSpaces> System for Booted<S> {
    fn spawn(&mut self, layout: &Layout) -> Result<Pid, OsError> {
        self.os.spawn(layout)
    }

    fn resume(&mut self, pid: Pid, program: &mut dyn Program) -> Result<Turn, OsError> {
        self.os.resume(pid, program)
    }

    fn terminate(&mut self, pid: Pid) -> Result<(), OsError> {
        self.os.terminate(pid)
    }

    fn origin(&self, pid: Pid) -> Result<u64, OsError> {
        self.os.origin(pid)
    }

    fn usage(&self) -> MemoryUsage {
        self.os.usage()
    }

    fn cycles(&self) -> Result<u64> {
        let (cycles, disk) = self.os.cpu().probe();
        let sum = cycles.total().checked_add(disk.total()).filter(|&sum| sum < u64::MAX);
        sum.context("--disk: the cycles of the disk are more than 64 bits can count")
    }

    fn translation_cycles(&self) -> u64 {
        let (cycles, _) = self.os.cpu().probe();
        cycles.by_cause().map(|spent| spent.tlb[0] + spent.translation()).total()
    }

    fn window(&self) -> u64 {
        self.window
    }

    fn word(&mut self, addr: PhysAddr) -> u64 {
        let mut bytes = [0; 8];
        match self.os.cpu_mut().bus_mut().read_bytes(addr, &mut bytes) {
            Ok(()) => u64::from_le_bytes(bytes),
            Err(_) => 0,
        }
    }

    fn find(&mut self, word: u64) -> Option<PhysAddr> {
        let mut frame = [0; 4096];
        (0..self.frames).find_map(|number| {
            let start = self.pool.wrapping_add(number * 4096);
            self.os.cpu_mut().bus_mut().read_bytes(start, &mut frame).ok()?;
            Some(start.wrapping_add(offset_of(word, &frame)?))
        })
    }

    fn find_on_disk(&self, word: u64) -> Option<(u64, u64)> {
        let disk: &Disk = self.os.cpu().bus().device(DISK)?;
        (0..disk.blocks()).find_map(|block| Some((block, offset_of(word, disk.block(block)?)?)))
    }

    fn privileged(&mut self) -> Result<Vec<(RegisterId, u64)>, OsError> {
        let registers = CpuPort::registers(self.os.cpu()).iter();
        let ids: Vec<_> = registers
            .filter(|info| info.privilege > Privilege::User)
            .filter(|info| info.privilege <= Privilege::Supervisor)
            .map(|info| info.id)
            .collect();
        let cpu = self.os.cpu_mut();
        ids.into_iter().map(|id| Ok((id, cpu.read_register(id)?))).collect()
    }
}

/// Returns the offset of an aligned word among some bytes.
fn offset_of(word: u64, bytes: &[u8]) -> Option<u64> {
    let words = bytes.as_chunks::<8>().0.iter();
    (0..).step_by(8).zip(words).find(|(_, held)| **held == word.to_le_bytes()).map(|(at, _)| at)
}
