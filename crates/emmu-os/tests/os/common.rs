//! The machines on which the operating system is tried, and programs for them.

use emmu_base_bounds::{Bare, BaseBounds, Convention};
use emmu_core::{Bus, PhysAddr, Privilege, Probe, RegisterId, TranslationUnit, VirtAddr, Width};
use emmu_cpu::{Cpu, Stop, Trap};
use emmu_memory::{Disk, Memory};
use emmu_os::{
    AArch64Tables, AddressSpaces, Contiguous, Direction, Exit, Layout, MemoryUsage, Op, Os,
    OsError, OsStats, Paged, PhysicalMemory, Pid, Program, Region, Reply, Rights, RiscVTables,
    Segmented, StaticRelocation, SystemCall, TableFormat, TimeSharing, Turn, Uniprogramming,
    X86Tables,
};
use emmu_paging::format::{Format, aarch64, riscv, x86};
use emmu_paging::{
    AArch64, Geometry, Paging, PagingConfig, Policy, RiscV, TlbLevel, TlbTable, WalkCacheTable, X86,
};
use emmu_segmentation::{Segmentation, Selection, base_register};

/// An operating system on some machine.
pub(crate) trait AnyOs {
    fn spawn(&mut self, layout: &Layout) -> Result<Pid, OsError>;
    fn resume(&mut self, pid: Pid, program: &mut dyn Program) -> Result<Turn, OsError>;
    fn run(&mut self, layout: &Layout, program: &mut dyn Program) -> Result<Exit, OsError>;
    fn terminate(&mut self, pid: Pid) -> Result<(), OsError>;
    fn usage(&self) -> MemoryUsage;
    fn origin(&self, pid: Pid) -> u64;
    fn inspect(&mut self) -> Result<(), OsError>;
    fn grow(&mut self, pid: Pid, at: u64, by: u64, way: Direction) -> Result<u64, OsError>;
    fn relocate(&mut self, pid: Pid) -> Result<u64, OsError>;
    fn compact(&mut self) -> Result<u64, OsError>;
    fn stats(&self) -> OsStats;
    fn read_register(&mut self, id: RegisterId) -> u64;
    /// Returns the number that user mode reads while no program runs.
    fn load_as_user(&mut self, addr: u64) -> Result<u64, Stop>;
    /// Returns true if these bytes are anywhere in physical memory.
    fn ram_holds(&self, word: [u8; 4]) -> bool;
}

impl<U: TranslationUnit<Memory, ()>, S: AddressSpaces> AnyOs for Os<Cpu<U, Memory>, S> {
    fn spawn(&mut self, layout: &Layout) -> Result<Pid, OsError> {
        self.spawn(layout)
    }
    fn resume(&mut self, pid: Pid, program: &mut dyn Program) -> Result<Turn, OsError> {
        self.resume(pid, program)
    }
    fn run(&mut self, layout: &Layout, program: &mut dyn Program) -> Result<Exit, OsError> {
        self.run(layout, program)
    }
    fn terminate(&mut self, pid: Pid) -> Result<(), OsError> {
        self.terminate(pid)
    }
    fn usage(&self) -> MemoryUsage {
        self.usage()
    }
    fn origin(&self, pid: Pid) -> u64 {
        self.origin(pid).unwrap()
    }
    fn inspect(&mut self) -> Result<(), OsError> {
        self.inspect()
    }
    fn grow(&mut self, pid: Pid, at: u64, by: u64, way: Direction) -> Result<u64, OsError> {
        self.grow(pid, VirtAddr::new(at), by, way)
    }
    fn relocate(&mut self, pid: Pid) -> Result<u64, OsError> {
        self.relocate(pid)
    }
    fn compact(&mut self) -> Result<u64, OsError> {
        self.compact()
    }
    fn stats(&self) -> OsStats {
        self.stats()
    }
    fn read_register(&mut self, id: RegisterId) -> u64 {
        self.cpu_mut().read_register(id).unwrap()
    }
    fn load_as_user(&mut self, addr: u64) -> Result<u64, Stop> {
        self.cpu_mut().set_trap(Trap::start(VirtAddr::ZERO, Privilege::User))?;
        self.cpu_mut().return_from_trap()?;
        self.cpu_mut().load(VirtAddr::new(addr), Width::B8)
    }
    fn ram_holds(&self, word: [u8; 4]) -> bool {
        self.cpu().bus().ram().windows(4).any(|bytes| bytes == word)
    }
}

/// A machine by name, with the register that a program would like to write.
pub(crate) struct Machine {
    pub(crate) name: &'static str,
    pub(crate) os: Box<dyn AnyOs>,
    pub(crate) privileged: RegisterId,
}

/// The start of RAM on all of them.
pub(crate) const START: PhysAddr = PhysAddr::new(0x8000_0000);

pub(crate) type PagedOs<F, T> = Os<Cpu<Paging<F>, Memory>, Paged<T>>;

pub(crate) fn memory(kernel_frames: u64, pool_frames: u64) -> PhysicalMemory {
    let size = (kernel_frames + pool_frames) << 12;
    PhysicalMemory::new(START, size, kernel_frames << 12).unwrap()
}

/// RAM as large as `memory`, full of junk.
pub(crate) fn ram(memory: &PhysicalMemory) -> Memory {
    let size = memory.end().raw() - memory.start().raw();
    let mut ram = Memory::new().with_ram(memory.start(), size).unwrap();
    let junk = vec![0xa5; usize::try_from(size).unwrap()];
    ram.write_bytes(memory.start(), &junk).unwrap();
    ram
}

/// Tiny TLBs and walk caches, so that entries are evicted all the time.
pub(crate) fn tiny() -> PagingConfig {
    let table = |entries, page_bits: &[u8]| TlbTable {
        geometry: Geometry::fully_associative(entries, Policy::Lru).unwrap(),
        page_bits: page_bits.to_vec(),
    };
    let first = |entries| vec![table(entries, &[12]), table(1, &[21, 30])];
    let geometry = Geometry::fully_associative(2, Policy::Fifo).unwrap();
    PagingConfig {
        tlb: vec![
            TlbLevel::split(first(2), first(4)),
            TlbLevel::unified(vec![table(8, &[12, 21])]),
        ],
        walk_cache: vec![WalkCacheTable { geometry, levels: vec![0, 1, 2] }],
        ..PagingConfig::default()
    }
}

pub(crate) fn paged_os<F: Format, T: TableFormat>(
    format: F,
    tables: T,
    config: &PagingConfig,
    memory: &PhysicalMemory,
) -> Result<PagedOs<F, T>, OsError> {
    let unit = Paging::new(format, config).unwrap();
    Os::boot(Cpu::new(unit, ram(memory)), Paged::new(tables), memory)
}

pub(crate) fn riscv_os(memory: &PhysicalMemory) -> PagedOs<RiscV, RiscVTables> {
    paged_os(RiscV::rv64(), RiscVTables::SV39, &tiny(), memory).unwrap()
}

pub(crate) fn x86_os(memory: &PhysicalMemory) -> PagedOs<X86, X86Tables> {
    paged_os(X86::new(46), X86Tables::LEVEL4, &tiny(), memory).unwrap()
}

pub(crate) type ContiguousOs = Os<Cpu<BaseBounds, Memory>, Contiguous>;

pub(crate) fn contiguous_os(spaces: Contiguous, memory: &PhysicalMemory) -> ContiguousOs {
    Os::boot(Cpu::new(BaseBounds::default(), ram(memory)), spaces, memory).unwrap()
}

pub(crate) type SegmentedOs = Os<Cpu<Segmentation, Memory>, Segmented>;

/// A machine with four segments.
pub(crate) fn segmented_os(address_bits: u32, memory: &PhysicalMemory) -> SegmentedOs {
    let selection = Selection::Explicit { selector_bits: 2, segments: 4 };
    let cpu = Cpu::new(Segmentation::new(address_bits, selection).unwrap(), ram(memory));
    let spaces = Segmented::of(cpu.unit()).unwrap();
    Os::boot(cpu, spaces, memory).unwrap()
}

fn base_bounds(
    name: &'static str,
    convention: Convention,
    slot: Option<u64>,
    memory: &PhysicalMemory,
) -> Machine {
    let cpu = Cpu::new(BaseBounds::new(convention), ram(memory));
    let spaces = match slot {
        Some(size) => Contiguous::with_slots(convention, size),
        None => Contiguous::new(convention),
    };
    let os = Os::boot(cpu, spaces, memory).unwrap();
    Machine { name, os: Box::new(os), privileged: BaseBounds::BASE }
}

fn segmented(memory: &PhysicalMemory) -> Machine {
    let os = Box::new(segmented_os(16, memory));
    Machine { name: "segmentation", os, privileged: base_register(1) }
}

fn riscv(name: &'static str, tables: RiscVTables, memory: &PhysicalMemory) -> Machine {
    let hart = if tables == RiscVTables::SV32 { RiscV::rv32() } else { RiscV::rv64() };
    let os = paged_os(hart, tables, &tiny(), memory).unwrap();
    Machine { name, os: Box::new(os), privileged: riscv::SATP }
}

pub(crate) fn aarch64_os(
    tables: AArch64Tables,
    memory: &PhysicalMemory,
) -> PagedOs<AArch64, AArch64Tables> {
    paged_os(AArch64::new(), tables, &tiny(), memory).unwrap()
}

fn aarch64(name: &'static str, tables: AArch64Tables, memory: &PhysicalMemory) -> Machine {
    let os = Box::new(aarch64_os(tables, memory));
    Machine { name, os, privileged: aarch64::TTBR0_EL1 }
}

fn x86(
    name: &'static str,
    tables: X86Tables,
    config: &PagingConfig,
    memory: &PhysicalMemory,
) -> Machine {
    let os = paged_os(X86::new(46), tables, config, memory).unwrap();
    Machine { name, os: Box::new(os), privileged: x86::CR3 }
}

pub(crate) fn paged_machines(memory: &PhysicalMemory) -> Vec<Machine> {
    vec![
        riscv("Sv39", RiscVTables::SV39, memory),
        riscv("Sv48", RiscVTables::SV48, memory),
        riscv("Sv57", RiscVTables::SV57, memory),
        x86("x86, 4 levels", X86Tables::LEVEL4, &tiny(), memory),
        x86("x86, 4 levels, no TLB", X86Tables::LEVEL4, &PagingConfig::default(), memory),
        x86("x86, 5 levels", X86Tables::LEVEL5, &tiny(), memory),
        riscv("Sv32", RiscVTables::SV32, memory),
        x86("x86, PAE", X86Tables::PAE, &tiny(), memory),
        aarch64("AArch64, 4K", AArch64Tables::K4, memory),
    ]
}

/// Every machine that protects programs from each other, with this memory.
pub(crate) fn machines(memory: &PhysicalMemory) -> Vec<Machine> {
    let mut machines = paged_machines(memory);
    let slot = Some(0x1_0000);
    machines.push(base_bounds("base and bounds", Convention::Size, None, memory));
    machines.push(base_bounds("base and bounds, by end", Convention::End, None, memory));
    machines.push(base_bounds("base and bounds, slots", Convention::Size, slot, memory));
    machines.push(segmented(memory));
    machines
}

/// The address of the disk's controller on the machines that have one.
pub(crate) const DISK: PhysAddr = PhysAddr::new(0x1000_0000);

pub(crate) type BareOs<S> = Os<Cpu<Bare, Memory>, S>;

/// A machine without translation, with a disk of places for eight processes.
pub(crate) fn bare_os<S: AddressSpaces>(spaces: S, memory: &PhysicalMemory) -> BareOs<S> {
    let disk = Disk::new(8 * memory.pool_frames());
    let bus = ram(memory).with_device(DISK, Disk::SIZE, disk).unwrap();
    Os::boot(Cpu::new(Bare, bus), spaces, memory).unwrap()
}

fn bare<S: AddressSpaces + 'static>(
    name: &'static str,
    spaces: S,
    memory: &PhysicalMemory,
) -> Machine {
    Machine { name, os: Box::new(bare_os(spaces, memory)), privileged: BaseBounds::BASE }
}

/// The machines without protection that have several processes.
pub(crate) fn unprotected_machines(memory: &PhysicalMemory) -> Vec<Machine> {
    vec![
        bare("time sharing", TimeSharing::new(DISK), memory),
        bare("static relocation", StaticRelocation::new(), memory),
    ]
}

/// Machines without and with protection, with this memory.
pub(crate) fn all_machines(memory: &PhysicalMemory) -> Vec<Machine> {
    let mut machines = unprotected_machines(memory);
    machines.push(bare("uniprogramming", Uniprogramming::new(), memory));
    machines.extend(self::machines(memory));
    machines
}

/// Enough for a few processes on any of them.
pub(crate) fn ample() -> PhysicalMemory {
    memory(8, 120)
}

/// The regions of a program that runs on every machine: 16 bits of address space, code low, then the heap,
/// the stack at the top.
pub(crate) const CODE: (u64, u64) = (0x0000, 0x2000);
pub(crate) const HEAP: (u64, u64) = (0x4000, 0x3000);
pub(crate) const STACK: (u64, u64) = (0xe000, 0x2000);

/// The first bytes of the code.
pub(crate) fn code() -> Vec<u8> {
    (0..0x18u8)
        .flat_map(|page| (0..=u8::MAX).map(move |index| index.wrapping_mul(7) ^ page))
        .collect()
}

pub(crate) fn portable() -> Layout {
    let region = |(start, size), rights| Region::new(VirtAddr::new(start), size, rights).unwrap();
    Layout::new([
        region(CODE, Rights::RX).with_image(code()).unwrap(),
        region(HEAP, Rights::RW),
        region(STACK, Rights::RW),
    ])
    .unwrap()
}

pub(crate) fn load(addr: u64, size: u32) -> Op {
    Op::Load { addr: VirtAddr::new(addr), size }
}

pub(crate) fn fetch(addr: u64, size: u32) -> Op {
    Op::Fetch { addr: VirtAddr::new(addr), size }
}

pub(crate) fn store(addr: u64, size: u32, value: u64) -> Op {
    Op::Store { addr: VirtAddr::new(addr), size, value }
}

/// Does one operation after the other, exits with code 0, and keeps what it read.
#[derive(Default)]
pub(crate) struct Recorder {
    ops: std::collections::VecDeque<Op>,
    last: Option<Op>,
    pub(crate) seen: Vec<Vec<u8>>,
}

impl Recorder {
    pub(crate) fn new(ops: impl IntoIterator<Item = Op>) -> Self {
        Self { ops: ops.into_iter().collect(), ..Self::default() }
    }
}

impl Program for Recorder {
    fn step(&mut self, reply: Reply<'_>) -> Op {
        match (reply, self.last) {
            (Reply::Value(value), Some(Op::Load { size, .. } | Op::Fetch { size, .. })) => {
                self.seen.push(value.to_le_bytes()[..size as usize].to_vec());
            }
            (Reply::Value(answer), _) => self.seen.push(vec![u8::try_from(answer).unwrap()]),
            (Reply::Bytes(bytes), _) => self.seen.push(bytes.to_vec()),
            _ => {}
        }
        let op = self.ops.pop_front().unwrap_or(Op::exit(0));
        self.last = Some(op);
        op
    }
}

pub(crate) fn grow(at: u64, by: u64, direction: Direction) -> Op {
    Op::Call(SystemCall::Grow { at: VirtAddr::new(at), by, direction })
}

/// A region that is read and written.
pub(crate) fn data(start: u64, size: u64) -> Region {
    Region::new(VirtAddr::new(start), size, Rights::RW).unwrap()
}

pub(crate) fn layout(regions: impl IntoIterator<Item = Region>) -> Layout {
    Layout::new(regions).unwrap()
}

/// Runs a list of operations as a program, and says how it ended and what it read.
pub(crate) fn run(os: &mut dyn AnyOs, layout: &Layout, ops: &[Op]) -> (Exit, Vec<Vec<u8>>) {
    let mut program = Recorder::new(ops.iter().copied());
    let exit = os.run(layout, &mut program).unwrap();
    (exit, program.seen)
}

/// All frames of the pool are free.
pub(crate) fn assert_all_free(name: &str, os: &dyn AnyOs) {
    let MemoryUsage { total, free, tables, programs } = os.usage();
    assert_eq!((free, tables, programs), (total, 0, 0), "{name}");
}

/// A word of physical memory, as a debugger sees it.
pub(crate) fn word<U, P>(cpu: &Cpu<U, Memory, P>, addr: u64) -> u64
where
    U: TranslationUnit<Memory, P>,
    P: Probe,
{
    cpu.bus().peek(PhysAddr::new(addr), Width::B8).unwrap()
}
