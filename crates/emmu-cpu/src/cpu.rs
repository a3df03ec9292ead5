//! `Cpu`: the CPU and its parts.

use crate::atomic::Reservation;
use crate::hot::{HotTable, Key};
use crate::pieces::Piece;
use crate::{Exception, Stop, Trap};
use alloc::vec::Vec;
use emmu_core::{
    Access, AccessFlags, AccessKind, Bus, Privilege, Probe, TranslationUnit, VirtAddr,
};

/// One CPU, as memory sees it. Every fetch, load and store goes through the translation unit `U` to the bus
/// `B`, and the probe `P` receives the events.
///
/// The CPU decodes no instructions. The caller (an operating-system model, the core of an emulator, a trace)
/// calls [`fetch`](Self::fetch), [`load`](Self::load), [`store`](Self::store) and the like, and follows a
/// [`Stop::Trap`] to the handler.
///
/// The CPU boots in supervisor mode, with `pc` 0 and without a handler.
#[derive(Clone, Debug)]
pub struct Cpu<U, B, P = ()> {
    pub(crate) unit: U,
    pub(crate) bus: B,
    pub(crate) probe: P,
    pub(crate) privilege: Privilege,
    /// The flags of the CPU's own accesses: they say if it is in a virtual machine.
    pub(crate) flags: AccessFlags,
    pub(crate) pc: VirtAddr,
    /// The address of the handler.
    pub(crate) vector: Option<VirtAddr>,
    pub(crate) trap: Option<Trap>,
    /// The exception that halted the CPU.
    pub(crate) halted: Option<Exception>,
    /// The access to repeat after a return from its trap.
    pub(crate) restart: Option<Access>,
    /// True if the probe has already received the event of the access that now takes the long path.
    pub(crate) begun: bool,
    pub(crate) reservation: Option<Reservation>,
    pub(crate) hot: HotTable,
    pub(crate) keys: Keys,
    /// The pieces of the present access, if it has several.
    pub(crate) pieces: Vec<Piece>,
    pub(crate) accelerator: bool,
}

/// The keys to the hot table under the present state of the CPU.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keys {
    pub(crate) read: Key,
    pub(crate) write: Key,
}

impl<U, B> Cpu<U, B>
where
    U: TranslationUnit<B, ()>,
    B: Bus,
{
    /// Makes a CPU without a probe.
    #[must_use]
    pub fn new(unit: U, bus: B) -> Self {
        Self::with_probe(unit, bus, ())
    }
}

impl<U, B, P> Cpu<U, B, P>
where
    U: TranslationUnit<B, P>,
    B: Bus,
    P: Probe,
{
    /// Makes a CPU that tells `probe` its events.
    #[must_use]
    pub fn with_probe(unit: U, bus: B, probe: P) -> Self {
        let hot = HotTable::new();
        let key = hot.key(Privilege::Supervisor, AccessFlags::empty());
        Self {
            unit,
            bus,
            probe,
            privilege: Privilege::Supervisor,
            flags: AccessFlags::empty(),
            pc: VirtAddr::ZERO,
            vector: None,
            trap: None,
            halted: None,
            restart: None,
            begun: false,
            reservation: None,
            hot,
            keys: Keys { read: key, write: key },
            pieces: Vec::new(),
            accelerator: true,
        }
    }

    /// Returns the translation unit.
    #[must_use]
    pub const fn unit(&self) -> &U {
        &self.unit
    }

    /// Returns the translation unit, to be changed by the host: no privilege is checked, and no event is told.
    pub fn unit_mut(&mut self) -> &mut U {
        self.drop_hot_table();
        &mut self.unit
    }

    /// Returns the bus.
    #[must_use]
    pub const fn bus(&self) -> &B {
        &self.bus
    }

    /// Returns the bus, to be changed by the host, as a device or a debugger does.
    pub fn bus_mut(&mut self) -> &mut B {
        self.drop_hot_table();
        &mut self.bus
    }

    /// Returns the probe.
    #[must_use]
    pub const fn probe(&self) -> &P {
        &self.probe
    }

    /// Returns the probe, to be read or reset.
    pub const fn probe_mut(&mut self) -> &mut P {
        &mut self.probe
    }

    /// Returns the unit, the bus and the probe.
    #[must_use]
    pub fn into_parts(self) -> (U, B, P) {
        (self.unit, self.bus, self.probe)
    }

    /// Returns the mode of the CPU.
    #[must_use]
    pub const fn privilege(&self) -> Privilege {
        self.privilege
    }

    /// Puts the CPU into a mode. No instruction does this: it is for an embedder whose own core holds the mode,
    /// and for firmware that runs before the program.
    pub fn set_privilege(&mut self, privilege: Privilege) {
        self.privilege = privilege;
        self.rekey();
    }

    /// Returns true if the CPU is in a virtual machine (RISC-V: V = 1), so that its accesses have
    /// [`AccessFlags::GUEST`]. Units whose hypervisor has no address space of its own do not need this.
    #[must_use]
    pub const fn is_guest(&self) -> bool {
        self.flags.contains(AccessFlags::GUEST)
    }

    /// Puts the CPU into a virtual machine or out of it, as [`set_privilege`](Self::set_privilege) changes the
    /// mode: for an embedder whose own core holds the state. A trap leaves the virtual machine for the hypervisor, and
    /// the return from it goes back.
    pub fn set_guest(&mut self, guest: bool) {
        self.flags.set(AccessFlags::GUEST, guest);
        self.rekey();
    }

    /// Returns the program counter.
    #[must_use]
    pub const fn pc(&self) -> VirtAddr {
        self.pc
    }

    /// Sets the program counter, as a jump does. The caller also advances `pc` from one instruction to the
    /// next.
    #[inline]
    pub const fn set_pc(&mut self, pc: VirtAddr) {
        self.pc = pc;
    }

    /// Returns the exception that halted the CPU, if it is halted.
    #[must_use]
    pub const fn halted(&self) -> Option<Exception> {
        self.halted
    }

    /// Puts the CPU into the state in which it boots. Unit, bus and probe stay as they are.
    pub fn reset(&mut self) {
        self.privilege = Privilege::Supervisor;
        self.flags = AccessFlags::empty();
        self.pc = VirtAddr::ZERO;
        self.vector = None;
        self.trap = None;
        self.halted = None;
        self.restart = None;
        self.reservation = None;
        self.drop_hot_table();
    }

    /// Switches the accelerator on or off. With it, the CPU keeps the place of pages in the host's memory. It
    /// is on from the start. Only the host's time depends on it.
    pub fn set_accelerator(&mut self, on: bool) {
        self.accelerator = on;
        self.drop_hot_table();
    }

    /// Drops the accelerator's table.
    fn drop_hot_table(&mut self) {
        self.hot.clear();
        self.rekey();
    }

    /// Computes the keys from the state. It must be called after every change of `privilege`, `flags`,
    /// `halted`, `restart` and `reservation`: closed keys send the next access through the long path, which
    /// checks these.
    pub(crate) fn rekey(&mut self) {
        let key = self.hot.key(self.privilege, self.flags);
        let closed = !self.accelerator || self.halted.is_some() || self.restart.is_some();
        let read = if closed { key.closed() } else { key };
        let write = if self.reservation.is_some() { read.closed() } else { read };
        self.keys = Keys { read, write };
    }

    /// Makes an access of this CPU in its present mode.
    #[inline(always)]
    pub(crate) const fn access(&self, kind: AccessKind, addr: VirtAddr, size: u32) -> Access {
        Access { privilege: self.privilege, flags: self.flags, ..Access::new(kind, addr, size) }
    }

    /// Refuses every operation of a halted CPU.
    pub(crate) fn running(&self) -> Result<(), Stop> {
        match self.halted {
            Some(exception) => Err(Stop::Halted(exception)),
            None => Ok(()),
        }
    }
}
