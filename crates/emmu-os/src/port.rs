//! `CpuPort`: the interface between the operating system and the hardware.

use emmu_core::{
    Bus, Invalidate, Probe, RegisterId, RegisterInfo, TranslationUnit, VirtAddr, Width,
};
use emmu_cpu::{Cpu, Exception, Stop, Trap};

/// All that an operating system, and a program on it, can do to the machine.
///
/// The operating system is generic over this trait and knows no more of the machine: neither the bus nor the
/// translation unit. So it reaches memory only through translation, and changes the state of the unit only by
/// privileged operations. The methods are those of [`Cpu`] and have the same meaning. Each fails with a
/// [`Stop`], as the CPU's own method does.
pub trait CpuPort {
    /// Reads an instruction.
    ///
    /// # Errors
    /// [`Cpu::fetch`].
    fn fetch(&mut self, addr: VirtAddr, width: Width) -> Result<u64, Stop>;

    /// Reads a number.
    ///
    /// # Errors
    /// [`Cpu::load`].
    fn load(&mut self, addr: VirtAddr, width: Width) -> Result<u64, Stop>;

    /// Writes a number.
    ///
    /// # Errors
    /// [`Cpu::store`].
    fn store(&mut self, addr: VirtAddr, width: Width, value: u64) -> Result<(), Stop>;

    /// Reads instruction bytes, as one access.
    ///
    /// # Errors
    /// [`Cpu::fetch_bytes`].
    fn fetch_bytes(&mut self, addr: VirtAddr, bytes: &mut [u8]) -> Result<(), Stop>;

    /// Reads bytes, as one access.
    ///
    /// # Errors
    /// [`Cpu::load_bytes`].
    fn load_bytes(&mut self, addr: VirtAddr, bytes: &mut [u8]) -> Result<(), Stop>;

    /// Writes bytes, as one access.
    ///
    /// # Errors
    /// [`Cpu::store_bytes`].
    fn store_bytes(&mut self, addr: VirtAddr, bytes: &[u8]) -> Result<(), Stop>;

    /// The registers of the translation unit.
    fn registers(&self) -> &[RegisterInfo];

    /// Reads a register of the translation unit.
    ///
    /// # Errors
    /// [`Cpu::read_register`].
    fn read_register(&mut self, id: RegisterId) -> Result<u64, Stop>;

    /// Writes a register of the translation unit.
    ///
    /// # Errors
    /// [`Cpu::write_register`].
    fn write_register(&mut self, id: RegisterId, value: u64) -> Result<(), Stop>;

    /// Makes the unit drop cached translations.
    ///
    /// # Errors
    /// [`Cpu::invalidate`].
    fn invalidate(&mut self, scope: Invalidate) -> Result<(), Stop>;

    /// Sets the address of the handler of all exceptions.
    ///
    /// # Errors
    /// [`Cpu::install_handler`].
    fn install_handler(&mut self, vector: VirtAddr) -> Result<(), Stop>;

    /// Jumps.
    fn set_pc(&mut self, pc: VirtAddr);

    /// Calls the operating system.
    fn system_call(&mut self) -> Stop;

    /// Takes an exception.
    fn raise(&mut self, exception: Exception) -> Stop;

    /// Returns the record of the last trap.
    fn trap(&self) -> Option<&Trap>;

    /// Replaces the record of the last trap.
    ///
    /// # Errors
    /// [`Cpu::set_trap`].
    fn set_trap(&mut self, trap: Trap) -> Result<(), Stop>;

    /// Returns to the program that the trap interrupted.
    ///
    /// # Errors
    /// [`Cpu::return_from_trap`].
    fn return_from_trap(&mut self) -> Result<(), Stop>;
}

impl<U, B, P> CpuPort for Cpu<U, B, P>
where
    U: TranslationUnit<B, P>,
    B: Bus,
    P: Probe,
{
    #[inline]
    fn fetch(&mut self, addr: VirtAddr, width: Width) -> Result<u64, Stop> {
        self.fetch(addr, width)
    }

    #[inline]
    fn load(&mut self, addr: VirtAddr, width: Width) -> Result<u64, Stop> {
        self.load(addr, width)
    }

    #[inline]
    fn store(&mut self, addr: VirtAddr, width: Width, value: u64) -> Result<(), Stop> {
        self.store(addr, width, value)
    }

    #[inline]
    fn fetch_bytes(&mut self, addr: VirtAddr, bytes: &mut [u8]) -> Result<(), Stop> {
        self.fetch_bytes(addr, bytes)
    }

    #[inline]
    fn load_bytes(&mut self, addr: VirtAddr, bytes: &mut [u8]) -> Result<(), Stop> {
        self.load_bytes(addr, bytes)
    }

    #[inline]
    fn store_bytes(&mut self, addr: VirtAddr, bytes: &[u8]) -> Result<(), Stop> {
        self.store_bytes(addr, bytes)
    }

    fn registers(&self) -> &[RegisterInfo] {
        self.unit().registers()
    }

    fn read_register(&mut self, id: RegisterId) -> Result<u64, Stop> {
        self.read_register(id)
    }

    fn write_register(&mut self, id: RegisterId, value: u64) -> Result<(), Stop> {
        self.write_register(id, value)
    }

    fn invalidate(&mut self, scope: Invalidate) -> Result<(), Stop> {
        self.invalidate(scope)
    }

    fn install_handler(&mut self, vector: VirtAddr) -> Result<(), Stop> {
        self.install_handler(vector)
    }

    #[inline]
    fn set_pc(&mut self, pc: VirtAddr) {
        self.set_pc(pc);
    }

    fn system_call(&mut self) -> Stop {
        self.system_call()
    }

    fn raise(&mut self, exception: Exception) -> Stop {
        self.raise(exception)
    }

    fn trap(&self) -> Option<&Trap> {
        self.trap()
    }

    fn set_trap(&mut self, trap: Trap) -> Result<(), Stop> {
        self.set_trap(trap)
    }

    fn return_from_trap(&mut self) -> Result<(), Stop> {
        self.return_from_trap()
    }
}
