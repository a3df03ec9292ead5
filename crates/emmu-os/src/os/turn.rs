//! A program's turn: from the switch to its address space to its next pause.

use super::{Os, Turn};
use crate::judge::judge;
use crate::kernel::FRAME_BITS;
use crate::program::MAX_ACCESS;
use crate::{
    AddressSpaces, CpuPort, Exit, Kill, Mapped, Op, OsError, Pid, Program, Reply, SystemCall,
};
use core::ops::ControlFlow;
use emmu_core::{Fault, Privilege, Width};
use emmu_cpu::{Exception, Illegal, Stop};

/// The result of an operation: a [`Reply`], with the bytes still in the buffer.
#[derive(Clone, Copy)]
enum Played {
    Nothing,
    Value(u64),
    Bytes(usize),
}

/// Each page that an access of [`MAX_ACCESS`] bytes touches may be mapped, and found mapped once.
const MOST_REPAIRS: u32 = 2 * ((MAX_ACCESS >> FRAME_BITS) + 1);

impl<C: CpuPort, S: AddressSpaces> Os<C, S> {
    /// Puts the process's state into the CPU, and goes to user mode.
    pub(super) fn enter(&mut self, pid: Pid) -> Result<(), OsError> {
        let process = self.processes.get(&pid).ok_or(OsError::NoProcess(pid))?;
        let trap = process.trap;
        if self.current != Some(pid) || !self.spaces.is_loaded(&process.space) {
            self.switch(pid)?;
        }
        self.kernel.cpu_mut().set_trap(trap)?;
        self.kernel.cpu_mut().return_from_trap()?;
        Ok(())
    }

    /// Takes the present process's state out of the CPU, and puts in the translation registers of `pid`.
    fn switch(&mut self, pid: Pid) -> Result<(), OsError> {
        let cpu = self.kernel.cpu_mut();
        if let Some(last) = self.current.and_then(|last| self.processes.get_mut(&last)) {
            for (&(id, _), held) in self.user_registers.iter().zip(&mut last.registers) {
                *held = cpu.read_register(id)?;
            }
        }
        self.current = None;
        let process = self.processes.get(&pid).ok_or(OsError::NoProcess(pid))?;
        self.spaces.enter(&mut self.kernel, &process.space)?;
        self.current = Some(pid);
        let cpu = self.kernel.cpu_mut();
        for (&(id, _), &value) in self.user_registers.iter().zip(&process.registers) {
            if cpu.read_register(id)? != value {
                cpu.write_register(id, value)?;
            }
        }
        self.stats.switches += 1;
        Ok(())
    }

    /// Performs the operations of the program, one after the other, up to the end of its turn.
    pub(super) fn play_on(
        &mut self,
        pid: Pid,
        program: &mut (impl Program + ?Sized),
    ) -> Result<Turn, OsError> {
        let mut played = Played::Nothing;
        loop {
            let op = program.step(match played {
                Played::Nothing => Reply::Nothing,
                Played::Value(value) => Reply::Value(value),
                Played::Bytes(len) => Reply::Bytes(&self.buffer[..len]),
            });
            played = match play(self.kernel.cpu_mut(), &mut self.buffer[..], op) {
                Ok(played) => played,
                Err(stop) => match self.trapped(pid, op, stop)? {
                    ControlFlow::Continue(played) => played,
                    ControlFlow::Break(turn) => return Ok(turn),
                },
            };
        }
    }

    /// The handler: the CPU stands at it because of `op`. Repairs and repeats, or ends the turn.
    #[cold]
    #[inline(never)]
    fn trapped(
        &mut self,
        pid: Pid,
        op: Op,
        stop: Stop,
    ) -> Result<ControlFlow<Turn, Played>, OsError> {
        let mut stop = stop;
        for repairs in 0.. {
            let Some(exception) = self.taken(stop) else { return Err(stop.into()) };
            let turn = match exception {
                Exception::SystemCall(Privilege::User) => return self.system_call(pid, op),
                Exception::Fault(fault) if repairs < MOST_REPAIRS => self.repair(pid, fault)?,
                Exception::Fault(fault) => Some(self.kill(pid, Kill::Unrepairable(fault))?),
                other => Some(self.kill(pid, Kill::Exception(other))?),
            };
            if let Some(turn) = turn {
                return Ok(ControlFlow::Break(turn));
            }
            self.kernel.cpu_mut().return_from_trap()?;
            match play_again(self.kernel.cpu_mut(), &mut self.buffer[..], op) {
                Ok(played) => return Ok(ControlFlow::Continue(played)),
                Err(again) => stop = again,
            }
        }
        Err(stop.into())
    }

    /// The exception of a trap that the CPU took, as it saved it.
    fn taken(&self, stop: Stop) -> Option<Exception> {
        match stop {
            Stop::Trap(_) => self.kernel.cpu().trap()?.exception,
            _ => None,
        }
    }

    fn system_call(&mut self, pid: Pid, op: Op) -> Result<ControlFlow<Turn, Played>, OsError> {
        self.stats.system_calls += 1;
        Ok(match op {
            Op::Call(SystemCall::Exit(code)) => {
                self.terminate(pid)?;
                self.stats.exited += 1;
                ControlFlow::Break(Turn::Ended(Exit::Code(code)))
            }
            Op::Call(SystemCall::Grow { at, by, direction }) => {
                let trap = self.kernel.cpu().trap().copied();
                let origin = self.origin(pid)?;
                let own = at.wrapping_add(origin.wrapping_neg());
                let grown = refusable(self.grow(pid, own, by, direction))?;
                if let Some(trap) = trap {
                    self.kernel.cpu_mut().set_trap(trap)?;
                }
                self.kernel.cpu_mut().return_from_trap()?;
                ControlFlow::Continue(Played::Value(grown.into()))
            }
            _ => {
                let saved = self.kernel.cpu().trap().copied();
                if let (Some(trap), Some(process)) = (saved, self.processes.get_mut(&pid)) {
                    process.trap = trap;
                }
                ControlFlow::Break(Turn::Yielded)
            }
        })
    }

    /// Makes the access possible, or ends the process.
    fn repair(&mut self, pid: Pid, fault: Fault) -> Result<Option<Turn>, OsError> {
        self.stats.faults += 1;
        let process = self.processes.get_mut(&pid).ok_or(OsError::NoProcess(pid))?;
        let origin = self.spaces.origin(&process.space);
        let region = match judge(&process.layout, origin, &fault) {
            Ok(region) => region,
            Err(reason) => return self.kill(pid, reason).map(Some),
        };
        match self.spaces.map(&mut self.kernel, &mut process.space, region, fault.addr) {
            Ok(Mapped::Page { tables }) => {
                self.stats.pages_mapped += 1;
                self.stats.tables_made += tables;
            }
            Ok(Mapped::Already) => self.stats.spurious += 1,
            Ok(Mapped::Nothing) => return self.kill(pid, Kill::Unrepairable(fault)).map(Some),
            Err(OsError::OutOfMemory(reason)) => {
                return self.kill(pid, Kill::OutOfMemory { fault, reason }).map(Some);
            }
            Err(error) => return Err(error),
        }
        Ok(None)
    }

    fn kill(&mut self, pid: Pid, reason: Kill) -> Result<Turn, OsError> {
        self.terminate(pid)?;
        self.stats.killed += 1;
        Ok(Turn::Ended(Exit::Killed(reason)))
    }
}

/// Performs one operation of a program, in user mode. It is inlined, because its result is large.
#[inline(always)]
fn play<C: CpuPort + ?Sized>(cpu: &mut C, buffer: &mut [u8], op: Op) -> Result<Played, Stop> {
    match op {
        Op::Fetch { addr, size } => {
            cpu.set_pc(addr);
            match Width::from_bytes(size.into()) {
                Some(width) => cpu.fetch(addr, width).map(Played::Value),
                None => play_wide(cpu, buffer, op, size),
            }
        }
        Op::Load { addr, size } => match Width::from_bytes(size.into()) {
            Some(width) => cpu.load(addr, width).map(Played::Value),
            None => play_wide(cpu, buffer, op, size),
        },
        Op::Store { addr, size, value } => match Width::from_bytes(size.into()) {
            Some(width) => cpu.store(addr, width, value).map(|()| Played::Nothing),
            None => play_wide(cpu, buffer, op, size),
        },
        Op::WriteRegister { id, value } => cpu.write_register(id, value).map(|()| Played::Nothing),
        Op::Undefined => Err(cpu.raise(Illegal::Undefined.into())),
        Op::Call(_) => Err(cpu.system_call()),
    }
}

/// Performs an operation of an unusual size.
#[inline(never)]
fn play_wide<C: CpuPort + ?Sized>(
    cpu: &mut C,
    buffer: &mut [u8],
    op: Op,
    size: u32,
) -> Result<Played, Stop> {
    let len = size as usize;
    let Some(bytes) = buffer.get_mut(..len) else {
        return Err(cpu.raise(Illegal::Undefined.into()));
    };
    match op {
        Op::Fetch { addr, .. } => cpu.fetch_bytes(addr, bytes)?,
        Op::Load { addr, .. } => cpu.load_bytes(addr, bytes)?,
        Op::Store { addr, value, .. } => {
            let repeated = value.to_le_bytes().into_iter().cycle();
            bytes.iter_mut().zip(repeated).for_each(|(byte, value)| *byte = value);
            cpu.store_bytes(addr, bytes)?;
            return Ok(Played::Nothing);
        }
        Op::WriteRegister { .. } | Op::Undefined | Op::Call(_) => return Ok(Played::Nothing),
    }
    Ok(Played::Bytes(len))
}

/// Performs an operation once more after its repair. It is compiled once for all CPUs.
#[inline(never)]
fn play_again(cpu: &mut dyn CpuPort, buffer: &mut [u8], op: Op) -> Result<Played, Stop> {
    play(cpu, buffer, op)
}

/// Returns true if it was done, and false if a program was refused. It passes on errors that end the kernel.
fn refusable(done: Result<u64, OsError>) -> Result<bool, OsError> {
    match done {
        Ok(_) => Ok(true),
        Err(error @ (OsError::Kernel(_) | OsError::Damaged { .. })) => Err(error),
        Err(_) => Ok(false),
    }
}
