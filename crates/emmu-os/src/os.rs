//! The operating system: it boots, and runs programs.

mod memory;
mod turn;

use crate::process::Process;
use crate::program::MAX_ACCESS;
use crate::{
    AddressSpaces, CpuPort, Exit, Kernel, Layout, MemoryUsage, OsError, OsStats, PhysicalMemory,
    Pid, Program, Region, Rights,
};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use emmu_core::{Privilege, RegisterId, VirtAddr};
use emmu_cpu::Trap;

/// The operating system on a CPU `C`, with address spaces of kind `S`.
///
/// Between calls the CPU is in supervisor mode; it is in user mode only while a program's operation is done.
#[derive(Clone, Debug)]
pub struct Os<C, S: AddressSpaces> {
    kernel: Kernel<C>,
    spaces: S,
    processes: BTreeMap<Pid, Process<S::Space>>,
    /// The process whose address space the CPU has.
    current: Option<Pid>,
    next_pid: u64,
    /// The registers of the translation unit that programs may write, and what they hold at first.
    user_registers: Vec<(RegisterId, u64)>,
    buffer: Box<[u8; MAX_ACCESS as usize]>,
    stats: OsStats,
}

/// The result of a program's turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The program lets others run, and wants to continue.
    Yielded,
    /// The program has ended, and everything that it had is free.
    Ended(Exit),
}

impl<C: CpuPort, S: AddressSpaces> Os<C, S> {
    /// Boots on a CPU in supervisor mode that does not translate: installs the handler of exceptions, lets the
    /// address spaces take charge of `memory`, and leaves the CPU without a process.
    ///
    /// # Errors
    /// [`OsError::Memory`] if the memory is unfit; [`OsError::Unsupported`] or [`OsError::Kernel`] if the
    /// CPU is.
    pub fn boot(cpu: C, mut spaces: S, memory: &PhysicalMemory) -> Result<Self, OsError> {
        let mut kernel = Kernel::new(cpu);
        let handler = spaces.window(memory).wrapping_add(memory.start().raw());
        kernel.cpu_mut().install_handler(handler)?;
        spaces.boot(&mut kernel, memory)?;
        let user_registers = read_user_registers(kernel.cpu_mut())?;
        Ok(Self {
            kernel,
            spaces,
            processes: BTreeMap::new(),
            current: None,
            next_pid: 1,
            user_registers,
            buffer: Box::new([0; MAX_ACCESS as usize]),
            stats: OsStats::default(),
        })
    }

    /// Runs a program from its start to its end.
    ///
    /// # Errors
    /// [`OsError`] if its process cannot be made, or the kernel cannot go on.
    pub fn run(
        &mut self,
        layout: &Layout,
        program: &mut (impl Program + ?Sized),
    ) -> Result<Exit, OsError> {
        let pid = self.spawn(layout)?;
        loop {
            if let Turn::Ended(exit) = self.resume(pid, program)? {
                return Ok(exit);
            }
        }
    }

    /// Makes a process, which does nothing yet.
    ///
    /// # Errors
    /// [`OsError`] if the layout does not fit the machine, or memory or identifiers lack; nothing has
    /// changed then.
    pub fn spawn(&mut self, layout: &Layout) -> Result<Pid, OsError> {
        let space = self.spaces.create(&mut self.kernel, layout)?;
        let pid = Pid(self.next_pid);
        self.next_pid += 1;
        let process = Process {
            space,
            layout: layout.clone(),
            trap: Trap::start(VirtAddr::ZERO, Privilege::User),
            registers: self.user_registers.iter().map(|&(_, value)| value).collect(),
        };
        self.processes.insert(pid, process);
        self.stats.started += 1;
        Ok(pid)
    }

    /// Lets a process run until it yields or ends. The process executes `program`, which must be the same at
    /// every turn.
    ///
    /// # Errors
    /// [`OsError::NoProcess`] if there is none of this number; others if the kernel cannot go on.
    pub fn resume(
        &mut self,
        pid: Pid,
        program: &mut (impl Program + ?Sized),
    ) -> Result<Turn, OsError> {
        self.enter(pid)?;
        self.play_on(pid, program)
    }

    /// Ends a process.
    ///
    /// # Errors
    /// [`OsError::NoProcess`] if there is none of this number; others if the kernel cannot go on.
    pub fn terminate(&mut self, pid: Pid) -> Result<(), OsError> {
        let process = self.processes.remove(&pid).ok_or(OsError::NoProcess(pid))?;
        if self.current == Some(pid) {
            self.current = None;
            self.spaces.leave(&mut self.kernel)?;
        }
        self.spaces.destroy(&mut self.kernel, process.space)
    }

    /// Returns the living processes.
    pub fn processes(&self) -> impl Iterator<Item = Pid> {
        self.processes.keys().copied()
    }

    /// Returns the address space of a process.
    #[must_use]
    pub fn space(&self, pid: Pid) -> Option<&S::Space> {
        self.processes.get(&pid).map(|process| &process.space)
    }

    /// Returns the number that this process must add to its own addresses: 0 on machines that translate, and
    /// otherwise the address at which its byte 0 was loaded.
    ///
    /// # Errors
    /// [`OsError::NoProcess`] if there is none of this number.
    pub fn origin(&self, pid: Pid) -> Result<u64, OsError> {
        let process = self.processes.get(&pid).ok_or(OsError::NoProcess(pid))?;
        Ok(self.spaces.origin(&process.space))
    }

    /// Checks that the operating system's own bytes are unchanged, on a machine on which programs can reach
    /// them. On other machines there is nothing to check.
    ///
    /// # Errors
    /// [`OsError::Damaged`], which names the first word that has changed.
    pub fn inspect(&mut self) -> Result<(), OsError> {
        self.spaces.inspect(&mut self.kernel)
    }

    /// Returns the counts since boot.
    #[must_use]
    pub const fn stats(&self) -> OsStats {
        self.stats
    }

    /// Returns the owners of the memory.
    #[must_use]
    pub fn usage(&self) -> MemoryUsage {
        self.spaces.usage()
    }

    /// The layout of a program that may do anything with any address a program can have, each of which is
    /// zero at first: for traces, which do not tell of regions.
    ///
    /// # Errors
    /// Never: every back end has addresses for programs.
    pub fn everything(&self) -> Result<Layout, OsError> {
        let size = self.spaces.user_end().raw();
        Ok(Layout::new([Region::new(VirtAddr::ZERO, size, Rights::all())?])?)
    }

    /// Returns the CPU.
    #[must_use]
    pub const fn cpu(&self) -> &C {
        self.kernel.cpu()
    }

    /// Returns the CPU, to be changed without the operating system.
    pub const fn cpu_mut(&mut self) -> &mut C {
        self.kernel.cpu_mut()
    }

    /// Returns the CPU.
    #[must_use]
    pub fn into_cpu(self) -> C {
        self.kernel.into_cpu()
    }
}

/// The registers of the translation unit that programs may write, with what they hold.
fn read_user_registers(cpu: &mut dyn CpuPort) -> Result<Vec<(RegisterId, u64)>, OsError> {
    let user = cpu.registers().iter().filter(|info| info.privilege == Privilege::User);
    let ids: Vec<_> = user.map(|info| info.id).collect();
    ids.into_iter().map(|id| Ok((id, cpu.read_register(id)?))).collect()
}
