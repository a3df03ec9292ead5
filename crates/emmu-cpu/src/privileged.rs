//! Registers, invalidation and traps: the operations of the operating system.

use crate::{Cpu, Exception, Illegal, Operation, Stop, Trap};
use emmu_core::{
    AccessFlags, Bus, Event, Invalidate, Privilege, Probe, RegisterError, RegisterId, RegisterInfo,
    TranslationUnit, VirtAddr, find_register,
};

/// Privileged operations. In a mode without the privilege, each of them takes [`Exception::IllegalInstruction`]
/// and changes nothing else.
impl<U, B, P> Cpu<U, B, P>
where
    U: TranslationUnit<B, P>,
    B: Bus,
    P: Probe,
{
    /// Returns the translation unit's register with this name, as its manual writes it, in lower case.
    #[must_use]
    pub fn register(&self, name: &str) -> Option<RegisterInfo> {
        find_register(self.unit.registers(), name)
    }

    /// Reads a register of the translation unit. The register demands a privilege.
    ///
    /// # Errors
    /// [`Stop`] with [`Exception::IllegalInstruction`] if there is no such register, or the privilege is
    /// missing.
    pub fn read_register(&mut self, id: RegisterId) -> Result<u64, Stop> {
        self.permit_register(id, Operation::ReadRegister(id))?;
        self.unit.read_register(id).map_err(|error| self.refuse_register(error))
    }

    /// Writes a register of the translation unit, such as the page-table pointer or base and bounds. The
    /// register demands a privilege.
    ///
    /// # Errors
    /// [`Stop`]; the register is then unchanged. [`Exception::IllegalInstruction`] if there is no such
    /// register, or the privilege is missing; [`Exception::RegisterRefused`] if the manual says that the value
    /// faults; [`Exception::Fault`] if the write makes the unit read memory, and that read is refused;
    /// [`Stop::NotModelled`] if emmu does not model the value.
    pub fn write_register(&mut self, id: RegisterId, value: u64) -> Result<(), Stop> {
        self.permit_register(id, Operation::WriteRegister(id))?;
        self.unit
            .write_register(id, value, &mut self.bus, &mut self.probe)
            .map_err(|error| self.refuse_register(error))?;
        self.probe.on(Event::RegisterWrite(id));
        Ok(())
    }

    /// Makes the unit drop cached translations.
    ///
    /// # Errors
    /// [`Stop`] if the privilege is missing.
    pub fn invalidate(&mut self, scope: Invalidate) -> Result<(), Stop> {
        self.permit(Operation::Invalidate, Privilege::Supervisor)?;
        self.unit.invalidate(scope);
        self.probe.on(Event::Invalidate(scope));
        Ok(())
    }

    /// Sets the address of the handler of all exceptions.
    ///
    /// # Errors
    /// [`Stop`] if the privilege is missing.
    pub fn install_handler(&mut self, vector: VirtAddr) -> Result<(), Stop> {
        self.permit(Operation::InstallHandler, Privilege::Supervisor)?;
        self.vector = Some(vector);
        Ok(())
    }

    /// Calls the operating system. The saved `pc` is that of the call itself, as on RISC-V; the handler moves it
    /// on.
    pub fn system_call(&mut self) -> Stop {
        self.raise(Exception::SystemCall(self.privilege))
    }

    /// Takes an exception, as the operations here do by themselves. A caller that finds an instruction which
    /// does not exist uses it.
    ///
    /// With a handler, the CPU saves a [`Trap`], leaves user mode for supervisor mode (a trap never lowers the
    /// privilege: RISC-V Privileged ISA, 1.2) and a virtual machine for its hypervisor, drops the reservation
    /// and stands at the handler. Without a handler, it halts.
    #[cold]
    pub fn raise(&mut self, exception: Exception) -> Stop {
        if let Err(stop) = self.running() {
            return stop;
        }
        self.restart = None;
        self.reservation = None;
        let stop = match self.vector {
            Some(vector) => self.enter(vector, exception),
            None => {
                self.halted = Some(exception);
                Stop::DoubleFault(exception)
            }
        };
        self.rekey();
        stop
    }

    fn enter(&mut self, vector: VirtAddr, exception: Exception) -> Stop {
        let (pc, privilege, guest) = (self.pc, self.privilege, self.is_guest());
        self.trap = Some(Trap { pc, privilege, guest, exception: Some(exception) });
        self.privilege = privilege.max(Privilege::Supervisor);
        self.flags = AccessFlags::empty();
        self.pc = vector;
        self.probe.on(Event::TrapEnter);
        Stop::Trap(exception)
    }

    /// Returns the record of the last trap, until the return from it.
    #[must_use]
    pub const fn trap(&self) -> Option<&Trap> {
        self.trap.as_ref()
    }

    /// Replaces the record of the last trap: to start a program, to switch to another, to skip an instruction,
    /// or to restore a record that a trap inside the handler has overwritten.
    ///
    /// # Errors
    /// [`Stop`] if the privilege is missing: it must be the operating system's, and at least that of the
    /// record.
    pub fn set_trap(&mut self, trap: Trap) -> Result<(), Stop> {
        self.permit(Operation::SetTrap, trap.privilege.max(Privilege::Supervisor))?;
        self.trap = Some(trap);
        Ok(())
    }

    /// Returns to the mode and `pc` that the trap saved, and drops the record. If the next access is the one that
    /// caused the trap, it is a restart.
    ///
    /// # Errors
    /// [`Stop`] if the privilege is missing, or no trap is saved ([`Illegal::NoTrap`]).
    pub fn return_from_trap(&mut self) -> Result<(), Stop> {
        self.permit(Operation::ReturnFromTrap, Privilege::Supervisor)?;
        let Some(trap) = self.trap.take() else {
            return Err(self.raise(Illegal::NoTrap.into()));
        };
        self.pc = trap.pc;
        self.privilege = trap.privilege;
        self.flags.set(AccessFlags::GUEST, trap.guest);
        self.reservation = None;
        self.restart = trap.exception.and_then(|exception| exception.access());
        self.rekey();
        self.probe.on(Event::TrapReturn);
        Ok(())
    }

    fn permit_register(&mut self, id: RegisterId, operation: Operation) -> Result<(), Stop> {
        self.running()?;
        match self.unit.registers().iter().find(|info| info.id == id) {
            Some(info) => self.permit(operation, info.privilege),
            None => Err(self.raise(Illegal::NoRegister(id).into())),
        }
    }

    fn permit(&mut self, operation: Operation, needed: Privilege) -> Result<(), Stop> {
        self.running()?;
        let held = self.privilege;
        if self.is_guest() && needed > Privilege::User {
            return Err(self.raise(Illegal::InGuest(operation).into()));
        }
        if held >= needed {
            return Ok(());
        }
        Err(self.raise(Illegal::Privileged { operation, needed, held }.into()))
    }

    fn refuse_register(&mut self, error: RegisterError) -> Stop {
        match error {
            RegisterError::NotModelled { .. } => Stop::NotModelled(error),
            RegisterError::Unknown { id } => self.raise(Illegal::NoRegister(id).into()),
            RegisterError::Fault(fault) => self.refuse(fault.access, fault),
            RegisterError::Reserved { .. } | RegisterError::Bus { .. } => {
                self.raise(Exception::RegisterRefused(error))
            }
        }
    }
}
