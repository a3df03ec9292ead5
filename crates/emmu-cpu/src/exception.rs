//! Why an operation of the CPU did not complete.

use core::fmt;
use emmu_core::{Access, Fault, Privilege, RegisterError, RegisterId, VirtAddr};
use thiserror::Error;

/// Why an operation stopped before it was done. It has changed no memory and no register then, but for
/// what the trap itself saves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum Stop {
    /// The CPU took the exception: it saved a [`Trap`] and stands at the handler. Whoever plays the
    /// instructions now plays the handler's.
    #[error(transparent)]
    Trap(Exception),
    /// The exception found no handler installed: the CPU is halted.
    #[error("double fault: no handler is installed for the exception \"{0}\"; the CPU is halted")]
    DoubleFault(Exception),
    /// The CPU was halted before by this exception, and nothing short of a reset wakes it.
    #[error("the CPU is halted since the exception \"{0}\"")]
    Halted(Exception),
    /// The guest asks for something that the machine has and emmu has not: no exception, but the end of
    /// what the model can tell. The CPU is as it was.
    #[error("{0}")]
    NotModelled(RegisterError),
}

impl Stop {
    /// The exception behind it, if there is one.
    #[must_use]
    pub const fn exception(&self) -> Option<Exception> {
        match *self {
            Self::Trap(exception) | Self::DoubleFault(exception) | Self::Halted(exception) => {
                Some(exception)
            }
            Self::NotModelled(_) => None,
        }
    }

    /// The fault behind it, if a refused access is what stopped the CPU.
    #[must_use]
    pub const fn fault(&self) -> Option<Fault> {
        match self.exception() {
            Some(Exception::Fault(fault)) => Some(fault),
            _ => None,
        }
    }
}

/// What makes a CPU leave the program for the handler, before any architecture numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum Exception {
    /// An access was refused.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// An atomic access is not naturally aligned (RISC-V Unprivileged ISA, "Zalrsc" and "Zaamo").
    #[error("the {0} is atomic, but not naturally aligned")]
    Misaligned(Access),
    /// The instruction does not exist, or not for this privilege.
    #[error("illegal instruction: {0}")]
    IllegalInstruction(#[from] Illegal),
    /// A register refused a value (x86: #GP(0)), or could not load what it points to.
    #[error(transparent)]
    RegisterRefused(RegisterError),
    /// The program calls the operating system.
    #[error("system call from {0} mode")]
    SystemCall(Privilege),
}

impl Exception {
    /// The access that raised it, if one did: the one that is repeated after the repair.
    #[must_use]
    pub const fn access(&self) -> Option<Access> {
        match *self {
            Self::Fault(Fault { access, .. }) | Self::Misaligned(access) => Some(access),
            _ => None,
        }
    }

    /// The virtual address that a handler is told: the first byte that failed (RISC-V stval, x86 CR2,
    /// AArch64 FAR).
    #[must_use]
    pub const fn addr(&self) -> Option<VirtAddr> {
        match *self {
            Self::Fault(Fault { addr, .. }) | Self::Misaligned(Access { addr, .. }) => Some(addr),
            _ => None,
        }
    }
}

/// What is illegal about an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Illegal {
    /// The operation is privileged.
    #[error("to {operation} needs {needed} privilege, and the CPU is in {held} mode")]
    Privileged {
        /// What was tried.
        operation: Operation,
        /// The least privilege that may do it.
        needed: Privilege,
        /// The privilege that tried.
        held: Privilege,
    },
    /// The operation is the hypervisor's, and the CPU is in a virtual machine (RISC-V: a virtual-instruction
    /// exception). What a guest may do of it to its own registers, whoever plays the instructions does for it.
    #[error("to {0} is the hypervisor's, and the CPU is in a virtual machine")]
    InGuest(Operation),
    /// The translation unit has no register of this number.
    #[error("no register has the number {0}")]
    NoRegister(RegisterId),
    /// A return from a trap, while none is saved.
    #[error("there is no trap to return from")]
    NoTrap,
    /// No instruction has this encoding. The CPU interface decodes nothing and never raises it by
    /// itself; see [`Cpu::raise`](crate::Cpu::raise).
    #[error("no instruction has this encoding")]
    Undefined,
}

/// A privileged operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Operation {
    /// Reading a register of the translation unit.
    ReadRegister(RegisterId),
    /// Writing one.
    WriteRegister(RegisterId),
    /// Invalidating cached translations.
    Invalidate,
    /// Installing the trap handler.
    InstallHandler,
    /// Replacing the saved trap.
    SetTrap,
    /// Returning from a trap.
    ReturnFromTrap,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReadRegister(id) => write!(f, "read register {id}"),
            Self::WriteRegister(id) => write!(f, "write register {id}"),
            Self::Invalidate => f.write_str("invalidate translations"),
            Self::InstallHandler => f.write_str("install a handler"),
            Self::SetTrap => f.write_str("replace the saved trap"),
            Self::ReturnFromTrap => f.write_str("return from a trap"),
        }
    }
}

/// What the CPU saves when it enters the handler: RISC-V's `sepc`, `sstatus.SPP`, `scause` and `stval`,
/// x86's interrupt frame and CR2, AArch64's `ELR_EL1`, `SPSR_EL1`, `ESR_EL1` and `FAR_EL1`.
///
/// There is one such record. A trap taken while it is in use overwrites it, as on RISC-V: a handler that
/// may trap itself, or that switches to another program, copies the record and puts it back with
/// [`Cpu::set_trap`](crate::Cpu::set_trap).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Trap {
    /// Where the CPU was: the instruction to repeat.
    pub pc: VirtAddr,
    /// The mode it was in, and goes back to.
    pub privilege: Privilege,
    /// Whether it was in a virtual machine (RISC-V `hstatus.SPV`), and goes back there.
    pub guest: bool,
    /// What happened; `None` in a record that an operating system makes up to start a program.
    pub exception: Option<Exception>,
}

impl Trap {
    /// A record that starts a program when it is returned from.
    #[must_use]
    pub const fn start(pc: VirtAddr, privilege: Privilege) -> Self {
        Self { pc, privilege, guest: false, exception: None }
    }
}
