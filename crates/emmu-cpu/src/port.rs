//! Fetch, load and store.

use crate::path::Missed;
use crate::pieces::{self, put, take};
use crate::{Cpu, Stop};
use emmu_core::{Access, AccessKind, Bus, Cause, Fault, Probe, TranslationUnit, VirtAddr, Width};

/// Each of these methods makes one access, whatever its alignment and however many translations it spans. All
/// its pieces are translated, lower addresses first, and the bus accepts them, before the first byte moves.
///
/// If the unit or the bus refuses, the CPU takes [`Exception::Fault`](crate::Exception::Fault), which names the
/// whole access and its first failing byte. An access that would pass the last virtual address is refused with
/// [`Cause::NonCanonical`]; no byte past the end has an address, so the fault names the first byte of the
/// access.
impl<U, B, P> Cpu<U, B, P>
where
    U: TranslationUnit<B, P>,
    B: Bus,
    P: Probe,
{
    /// Reads an instruction, or a part of one.
    ///
    /// # Errors
    /// [`Stop`] if the access is refused, or the CPU halted.
    #[inline]
    pub fn fetch(&mut self, addr: VirtAddr, width: Width) -> Result<u64, Stop> {
        self.read_word(AccessKind::Fetch, addr, width)
    }

    /// Reads a number, and extends it with zeros.
    ///
    /// # Errors
    /// [`Stop`] if the access is refused, or the CPU halted.
    #[inline]
    pub fn load(&mut self, addr: VirtAddr, width: Width) -> Result<u64, Stop> {
        self.read_word(AccessKind::Load, addr, width)
    }

    /// Writes the low `width` bytes of `value`: all of them, or none.
    ///
    /// # Errors
    /// [`Stop`] if the access is refused, or the CPU halted.
    #[inline]
    pub fn store(&mut self, addr: VirtAddr, width: Width, value: u64) -> Result<(), Stop> {
        let access = self.access(AccessKind::Store, addr, width as u32);
        match self.hot_bytes_mut(self.keys.write, access) {
            Ok(ram) => {
                put(ram, value);
                Ok(())
            }
            Err(Missed) => self.store_cold(addr, width, value),
        }
    }

    /// Reads 16 bytes.
    ///
    /// # Errors
    /// [`Stop`] if the access is refused, or the CPU halted.
    #[inline]
    pub fn load_u128(&mut self, addr: VirtAddr) -> Result<u128, Stop> {
        let mut bytes = [0; 16];
        self.load_bytes(addr, &mut bytes)?;
        Ok(u128::from_le_bytes(bytes))
    }

    /// Writes 16 bytes: all of them, or none.
    ///
    /// # Errors
    /// [`Stop`] if the access is refused, or the CPU halted.
    #[inline]
    pub fn store_u128(&mut self, addr: VirtAddr, value: u128) -> Result<(), Stop> {
        self.store_bytes(addr, &value.to_le_bytes())
    }

    /// Reads instruction bytes until `bytes` is full. It is one access, or none if `bytes` is empty.
    ///
    /// # Errors
    /// [`Stop`] if the access is refused, or the CPU halted; `bytes` are unspecified then.
    #[inline]
    pub fn fetch_bytes(&mut self, addr: VirtAddr, bytes: &mut [u8]) -> Result<(), Stop> {
        self.read(self.access(AccessKind::Fetch, addr, 0), bytes)
    }

    /// Reads bytes until `bytes` is full. It is one access, or none if `bytes` is empty.
    ///
    /// # Errors
    /// [`Stop`] if the access is refused, or the CPU halted; `bytes` are unspecified then.
    #[inline]
    pub fn load_bytes(&mut self, addr: VirtAddr, bytes: &mut [u8]) -> Result<(), Stop> {
        self.read(self.access(AccessKind::Load, addr, 0), bytes)
    }

    /// Writes all of `bytes`, or none. It is one access, or none if `bytes` is empty.
    ///
    /// # Errors
    /// [`Stop`] if the access is refused, or the CPU halted.
    #[inline]
    pub fn store_bytes(&mut self, addr: VirtAddr, bytes: &[u8]) -> Result<(), Stop> {
        self.write(self.access(AccessKind::Store, addr, 0), bytes)
    }

    /// Reads with an access that the caller makes: with flags (an operand on the stack), with another privilege
    /// than the CPU's (RISC-V `hlv`, x86 implicit supervisor accesses), or of another kind (the
    /// read of an x86 read-modify-write is an [`AccessKind::Amo`]). The size of the access is that of `bytes`.
    /// The kind only decides which permission the unit checks.
    ///
    /// # Errors
    /// [`Stop`] if the access is refused, or the CPU halted; `bytes` are unspecified then. More bytes than
    /// `u32::MAX` are no access: they are out of bounds.
    #[inline]
    pub fn read(&mut self, access: Access, bytes: &mut [u8]) -> Result<(), Stop> {
        let Some(access) = sized(access, bytes.len()) else {
            return self.refuse_size(access, bytes.len());
        };
        match self.hot_bytes(self.keys.read.of(access), access) {
            Ok(ram) => {
                bytes.copy_from_slice(ram);
                Ok(())
            }
            Err(Missed) => self.read_cold(access, bytes),
        }
    }

    /// Writes with an access that the caller makes, as [`read`](Self::read) reads.
    ///
    /// # Errors
    /// [`Stop`] if the access is refused, or the CPU halted. More bytes than `u32::MAX` are no access: they
    /// are out of bounds.
    #[inline]
    pub fn write(&mut self, access: Access, bytes: &[u8]) -> Result<(), Stop> {
        let Some(access) = sized(access, bytes.len()) else {
            return self.refuse_size(access, bytes.len());
        };
        match self.hot_bytes_mut(self.keys.write.of(access), access) {
            Ok(ram) => {
                ram.copy_from_slice(bytes);
                Ok(())
            }
            Err(Missed) => self.write_cold(access, bytes),
        }
    }

    /// Reads as a debugger does, with the present privilege of the CPU: without exception, effect or event.
    ///
    /// # Errors
    /// The [`Fault`] that a load would meet; `bytes` are unspecified then.
    pub fn peek(&self, addr: VirtAddr, bytes: &mut [u8]) -> Result<(), Fault> {
        let access = self.access(AccessKind::Load, addr, u32::MAX);
        let access = match sized(access, bytes.len()) {
            Some(access) => access,
            None if bytes.is_empty() => return Ok(()),
            None => return Err(Fault::new(access, Cause::Bounds)),
        };
        pieces::peek(access, &self.unit, &self.bus, bytes).map_err(|fault| fault.within(access))
    }

    #[inline(always)]
    fn read_word(&mut self, kind: AccessKind, addr: VirtAddr, width: Width) -> Result<u64, Stop> {
        let access = self.access(kind, addr, width as u32);
        match self.hot_bytes(self.keys.read, access) {
            Ok(ram) => Ok(take(ram)),
            Err(Missed) => self.load_cold(kind, addr, width),
        }
    }
}

/// Returns the access with this size, if an access can have it.
#[inline(always)]
fn sized(access: Access, len: usize) -> Option<Access> {
    match u32::try_from(len) {
        Ok(size) if size > 0 => Some(access.at(access.addr, size)),
        _ => None,
    }
}
