//! Tests of the operations that the operating system performs on the CPU, seen by a port between the two, and
//! of its behaviour when the CPU misbehaves.

use crate::common::*;
use emmu_core::{
    Access, Asid, Cause, Fault, Invalidate, PhysAddr, Privilege, RegisterId, RegisterInfo,
    VirtAddr, Width,
};
use emmu_cpu::{Cpu, Exception, Stop, Trap};
use emmu_memory::Memory;
use emmu_os::{CpuPort, Exit, Kill, Op, Os, Paged, RiscVTables, Turn, X86Tables};
use emmu_paging::{Paging, RiscV, X86};

/// An operation of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Did {
    Install,
    Load(VirtAddr),
    Store(VirtAddr, u64),
    Write(RegisterId),
    Invalidate(Invalidate),
    Return,
}

/// A CPU that keeps what the kernel does with it, and can be told to find nothing mapped.
struct Watched<C> {
    cpu: C,
    supervisor: fn(&C) -> bool,
    log: Vec<Did>,
    /// The number of further loads that fault although their page is mapped.
    faults: u32,
}

impl<C> Watched<C> {
    fn note(&mut self, did: Did) {
        if (self.supervisor)(&self.cpu) {
            self.log.push(did);
        }
    }
}

impl<C: CpuPort> CpuPort for Watched<C> {
    fn fetch(&mut self, addr: VirtAddr, width: Width) -> Result<u64, Stop> {
        self.cpu.fetch(addr, width)
    }
    fn load(&mut self, addr: VirtAddr, width: Width) -> Result<u64, Stop> {
        self.note(Did::Load(addr));
        if self.faults > 0 && !(self.supervisor)(&self.cpu) {
            self.faults -= 1;
            let access = Access::load(addr, width as u32).with_privilege(Privilege::User);
            return Err(self.cpu.raise(Fault::new(access, Cause::Absent).into()));
        }
        self.cpu.load(addr, width)
    }
    fn store(&mut self, addr: VirtAddr, width: Width, value: u64) -> Result<(), Stop> {
        self.note(Did::Store(addr, width.bytes()));
        self.cpu.store(addr, width, value)
    }
    fn fetch_bytes(&mut self, addr: VirtAddr, bytes: &mut [u8]) -> Result<(), Stop> {
        self.cpu.fetch_bytes(addr, bytes)
    }
    fn load_bytes(&mut self, addr: VirtAddr, bytes: &mut [u8]) -> Result<(), Stop> {
        self.note(Did::Load(addr));
        self.cpu.load_bytes(addr, bytes)
    }
    fn store_bytes(&mut self, addr: VirtAddr, bytes: &[u8]) -> Result<(), Stop> {
        self.note(Did::Store(addr, bytes.len() as u64));
        self.cpu.store_bytes(addr, bytes)
    }
    fn registers(&self) -> &[RegisterInfo] {
        self.cpu.registers()
    }
    fn read_register(&mut self, id: RegisterId) -> Result<u64, Stop> {
        self.cpu.read_register(id)
    }
    fn write_register(&mut self, id: RegisterId, value: u64) -> Result<(), Stop> {
        self.note(Did::Write(id));
        self.cpu.write_register(id, value)
    }
    fn invalidate(&mut self, scope: Invalidate) -> Result<(), Stop> {
        self.note(Did::Invalidate(scope));
        self.cpu.invalidate(scope)
    }
    fn install_handler(&mut self, vector: VirtAddr) -> Result<(), Stop> {
        self.note(Did::Install);
        self.cpu.install_handler(vector)
    }
    fn set_pc(&mut self, pc: VirtAddr) {
        self.cpu.set_pc(pc);
    }
    fn system_call(&mut self) -> Stop {
        self.cpu.system_call()
    }
    fn raise(&mut self, exception: Exception) -> Stop {
        self.cpu.raise(exception)
    }
    fn trap(&self) -> Option<&Trap> {
        self.cpu.trap()
    }
    fn set_trap(&mut self, trap: Trap) -> Result<(), Stop> {
        self.cpu.set_trap(trap)
    }
    fn return_from_trap(&mut self) -> Result<(), Stop> {
        self.note(Did::Return);
        self.cpu.return_from_trap()
    }
}

type WatchedOs<F, T> = Os<Watched<Cpu<Paging<F>, Memory>>, Paged<T>>;

fn watched_riscv() -> WatchedOs<RiscV, RiscVTables> {
    let memory = ample();
    let cpu = Cpu::new(Paging::new(RiscV::rv64(), &tiny()).unwrap(), ram(&memory));
    let supervisor = |cpu: &Cpu<_, _>| cpu.privilege() == Privilege::Supervisor;
    let port = Watched { cpu, supervisor, log: Vec::new(), faults: 0 };
    Os::boot(port, Paged::new(RiscVTables::SV39), &memory).unwrap()
}

fn watched_x86() -> WatchedOs<X86, X86Tables> {
    let memory = ample();
    let cpu = Cpu::new(Paging::new(X86::new(46), &tiny()).unwrap(), ram(&memory));
    let supervisor = |cpu: &Cpu<_, _>| cpu.privilege() == Privilege::Supervisor;
    let port = Watched { cpu, supervisor, log: Vec::new(), faults: 0 };
    Os::boot(port, Paged::new(X86Tables::LEVEL4), &memory).unwrap()
}

fn log<F, T>(os: &mut WatchedOs<F, T>) -> Vec<Did>
where
    F: emmu_paging::format::Format,
    T: emmu_os::TableFormat,
{
    std::mem::take(&mut os.cpu_mut().log)
}

/// Returns the operations of the kernel that these operations of a program cause, up to the pause at their end.
fn watch<F, T>(os: &mut WatchedOs<F, T>, pid: emmu_os::Pid, ops: &[Op]) -> Vec<Did>
where
    F: emmu_paging::format::Format,
    T: emmu_os::TableFormat,
{
    log(os);
    let mut program = Recorder::new(ops.iter().copied().chain([Op::YIELD]));
    assert_eq!(os.resume(pid, &mut program), Ok(Turn::Yielded));
    log(os)
}

fn stores(log: &[Did]) -> Vec<(VirtAddr, u64)> {
    log.iter()
        .filter_map(|did| match *did {
            Did::Store(addr, size) => Some((addr, size)),
            _ => None,
        })
        .collect()
}

fn invalidations(log: &[Did]) -> Vec<Invalidate> {
    log.iter()
        .filter_map(|did| match *did {
            Did::Invalidate(scope) => Some(scope),
            _ => None,
        })
        .collect()
}

const WINDOW: VirtAddr = VirtAddr::new(0xffff_ffc0_0000_0000);

fn seen(addr: PhysAddr) -> VirtAddr {
    WINDOW.wrapping_add(addr.raw())
}

#[test]
fn the_handler_is_installed_before_anything_else() {
    assert_eq!(log(&mut watched_riscv())[0], Did::Install);
    assert_eq!(log(&mut watched_x86())[0], Did::Install);
}

#[test]
fn after_boot_the_kernel_touches_memory_only_through_its_window() {
    let mut os = watched_riscv();
    log(&mut os);
    let ops = [store(HEAP.0, 8, 1), fetch(0, 4), load(STACK.0, 8)];
    os.run(&portable(), &mut Recorder::new(ops)).unwrap();
    let memory = seen(ample().start())..seen(ample().end());
    let log = log(&mut os);
    let touched = log.iter().filter_map(|did| match *did {
        Did::Load(addr) | Did::Store(addr, _) => Some(addr),
        _ => None,
    });
    assert!(touched.clone().count() > 0);
    assert!(touched.clone().all(|addr| memory.contains(&addr)));
}

#[test]
fn what_an_entry_points_to_is_complete_before_the_entry_is() {
    let mut os = watched_riscv();
    let pid = os.spawn(&portable()).unwrap();
    let root = os.space(pid).unwrap().root();
    let log = watch(&mut os, pid, &[load(HEAP.0, 1)]);
    let [page, lower, lower_entry, upper, upper_entry, root_entry] = stores(&log)[..] else {
        panic!("{log:?}")
    };
    assert_eq!([page.1, lower.1, upper.1], [4096; 3], "page and tables are zeroed");
    assert_eq!(lower_entry, (lower.0.wrapping_add(8 * (HEAP.0 >> 12)), 8));
    assert_eq!(upper_entry, (upper.0, 8));
    assert_eq!(root_entry, (seen(root), 8), "the tree gets the new branch last");
}

#[test]
fn riscv_is_fenced_for_the_page_or_for_all_if_a_table_is_new() {
    let mut os = watched_riscv();
    let pid = os.spawn(&portable()).unwrap();
    let asid = os.space(pid).unwrap().asid();
    let first = watch(&mut os, pid, &[load(HEAP.0, 1)]);
    assert_eq!(invalidations(&first), [Invalidate::Asid(asid)]);
    let second = watch(&mut os, pid, &[load(HEAP.0 + 0x1008, 1)]);
    let addr = VirtAddr::new(HEAP.0 + 0x1000);
    assert_eq!(invalidations(&second), [Invalidate::PageInAsid { addr, asid, global: false }]);
}

#[test]
fn x86_is_told_of_no_page_that_becomes_present() {
    let mut os = watched_x86();
    let pid = os.spawn(&portable()).unwrap();
    let log = watch(&mut os, pid, &[load(HEAP.0, 1), load(HEAP.0 + 0x1008, 1)]);
    assert_eq!(invalidations(&log), []);
    assert_eq!(os.stats().pages_mapped, 2);
}

#[test]
fn the_hardware_leaves_and_forgets_a_space_before_its_frames_are_free() {
    let mut os = watched_riscv();
    let pid = os.spawn(&portable()).unwrap();
    watch(&mut os, pid, &[load(HEAP.0, 1)]);
    os.terminate(pid).unwrap();
    let log = log(&mut os);
    let satp = emmu_paging::format::riscv::SATP;
    assert_eq!(log[..2], [Did::Write(satp), Did::Invalidate(Invalidate::Asid(Asid(1)))]);
    // The page, its two tables, the root.
    assert_eq!(stores(&log).len(), 4);
}

#[test]
fn an_access_without_a_fault_costs_the_kernel_nothing() {
    let mut os = watched_riscv();
    let pid = os.spawn(&portable()).unwrap();
    watch(&mut os, pid, &[load(HEAP.0, 1)]);
    assert_eq!(watch(&mut os, pid, &[load(HEAP.0, 1); 100]), [Did::Return]);
}

#[test]
fn a_fault_on_a_page_that_is_there_is_fenced_and_repeated() {
    let mut os = watched_riscv();
    let pid = os.spawn(&portable()).unwrap();
    let asid = os.space(pid).unwrap().asid();
    watch(&mut os, pid, &[load(HEAP.0, 1)]);
    os.cpu_mut().faults = 1;
    let log = watch(&mut os, pid, &[load(HEAP.0, 1)]);
    let addr = VirtAddr::new(HEAP.0);
    assert_eq!(invalidations(&log), [Invalidate::PageInAsid { addr, asid, global: false }]);
    let stats = os.stats();
    assert_eq!((stats.faults, stats.pages_mapped, stats.spurious), (2, 1, 1));
}

#[test]
fn a_fault_that_does_not_go_away_kills() {
    let mut os = watched_riscv();
    os.cpu_mut().faults = u32::MAX;
    let exit = os.run(&portable(), &mut Recorder::new([load(HEAP.0, 1)])).unwrap();
    assert!(matches!(exit, Exit::Killed(Kill::Unrepairable(_))), "{exit:?}");
    assert_eq!(os.usage().free, os.usage().total);
}
