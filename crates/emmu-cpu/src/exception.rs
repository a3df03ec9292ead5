//! Exceptions, and the reasons why an operation of the CPU did not complete.

use core::fmt;
use emmu_core::{Access, Fault, Privilege, RegisterError, RegisterId, VirtAddr};
use thiserror::Error;

/// The reason why an operation did not complete. It has then changed no memory and no register, except those
/// that the trap itself saves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum Stop {
    /// The CPU took the exception: it saved a [`Trap`] and stands at the handler. The caller continues with the
    /// instructions of the handler.
    #[error(transparent)]
    Trap(Exception),
    /// No handler was installed for the exception, and the CPU is halted.
    #[error("double fault: no handler is installed for the exception \"{0}\"; the CPU is halted")]
    DoubleFault(Exception),
    /// This exception halted the CPU earlier. Only a reset starts it again.
    #[error("the CPU is halted since the exception \"{0}\"")]
    Halted(Exception),
    /// The guest asks for something that the machine has and emmu does not model. This is no exception: emmu
    /// cannot tell what happens next. The CPU is unchanged.
    #[error("{0}")]
    NotModelled(RegisterError),
}

impl Stop {
    /// Returns the exception, if there is one.
    #[must_use]
    pub const fn exception(&self) -> Option<Exception> {
        match *self {
            Self::Trap(exception) | Self::DoubleFault(exception) | Self::Halted(exception) => {
                Some(exception)
            }
            Self::NotModelled(_) => None,
        }
    }

    /// Returns the fault, if a refused access stopped the CPU.
    #[must_use]
    pub const fn fault(&self) -> Option<Fault> {
        match self.exception() {
            Some(Exception::Fault(fault)) => Some(fault),
            _ => None,
        }
    }
}

/// The event that makes a CPU leave the program for the handler, before an architecture gives it a number.
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
    /// Returns the access that raised the exception, if one did. The program repeats it after the repair.
    #[must_use]
    pub const fn access(&self) -> Option<Access> {
        match *self {
            Self::Fault(Fault { access, .. }) | Self::Misaligned(access) => Some(access),
            _ => None,
        }
    }

    /// Returns the virtual address that a handler receives: the first byte that failed.
    #[must_use]
    pub const fn addr(&self) -> Option<VirtAddr> {
        match *self {
            Self::Fault(Fault { addr, .. }) | Self::Misaligned(Access { addr, .. }) => Some(addr),
            _ => None,
        }
    }
}

/// The reason why an instruction is illegal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Illegal {
    /// The operation is privileged.
    #[error("to {operation} needs {needed} privilege, and the CPU is in {held} mode")]
    Privileged {
        /// The operation.
        operation: Operation,
        /// The least privilege that may perform it.
        needed: Privilege,
        /// The present privilege.
        held: Privilege,
    },
    /// The operation belongs to the hypervisor, and the CPU is in a virtual machine (RISC-V: a
    /// virtual-instruction exception). If a guest may perform the operation on its own registers, the caller
    /// does it for the guest.
    #[error("to {0} is the hypervisor's, and the CPU is in a virtual machine")]
    InGuest(Operation),
    /// The translation unit has no register of this number.
    #[error("no register has the number {0}")]
    NoRegister(RegisterId),
    /// The instruction returns from a trap, but no trap is saved.
    #[error("there is no trap to return from")]
    NoTrap,
    /// No instruction has this encoding. The CPU decodes nothing and never raises this by itself; see
    /// [`Cpu::raise`](crate::Cpu::raise).
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
    /// Writing a register of the translation unit.
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

/// The record that the CPU saves when it enters the handler.
///
/// There is one such record. A trap taken while it is in use overwrites it, as on RISC-V: a handler that
/// may trap itself, or that switches to another program, copies the record and puts it back with
/// [`Cpu::set_trap`](crate::Cpu::set_trap).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Trap {
    /// The program counter: the instruction to repeat.
    pub pc: VirtAddr,
    /// The mode of the CPU before the trap, and after the return.
    pub privilege: Privilege,
    /// True if the CPU was in a virtual machine (RISC-V `hstatus.SPV`). The return enters it again.
    pub guest: bool,
    /// The exception; `None` in a record that an operating system makes to start a program.
    pub exception: Option<Exception>,
}

impl Trap {
    /// Makes a record that starts a program when the CPU returns from it.
    #[must_use]
    pub const fn start(pc: VirtAddr, privilege: Privilege) -> Self {
        Self { pc, privilege, guest: false, exception: None }
    }
}
