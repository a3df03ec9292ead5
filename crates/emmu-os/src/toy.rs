//! A machine language for examples: so small that a program of it can be read as bytes.
//!
//! An operating system that moves or patches programs needs programs that are bytes in memory. These are such
//! programs: every instruction is fetched through the CPU port from its place in memory. So a program runs only
//! if all of it was loaded, and an address in it is wrong if it was not patched.
//!
//! ```
//! use emmu_core::{VirtAddr, Width};
//! use emmu_os::toy::{Assembly, Core, Instruction as I};
//! use emmu_os::{Contiguous, Exit, Os, PhysicalMemory, Turn};
//! # use emmu_base_bounds::{BaseBounds, Convention};
//! # use emmu_core::PhysAddr;
//! # use emmu_cpu::Cpu;
//! # use emmu_memory::Memory;
//!
//! // 6 × 7, by adding: the sum is in register 0, and 6 is counted down in register 1.
//! let image = Assembly::new([
//!     I::Number { to: 1, value: 6 },
//!     I::Add { to: 0, value: 7 },
//!     I::Add { to: 1, value: u32::MAX },
//!     I::JumpUnless0 { register: 1, addr: 8 },
//!     I::Exit { code: 0 },
//! ])
//! .image()?;
//!
//! # let memory = PhysicalMemory::new(PhysAddr::ZERO, 0x10000, 0x1000)?;
//! # let cpu = Cpu::new(BaseBounds::default(), Memory::ram(0x10000));
//! let mut os = Os::boot(cpu, Contiguous::new(Convention::Size), &memory)?;
//! let pid = os.spawn(image.layout())?;
//! let mut core = Core::of(&image, os.origin(pid)?);
//! assert_eq!(os.resume(pid, &mut core)?, Turn::Ended(Exit::Code(42)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod assembly;
mod core;

pub use self::assembly::Assembly;
pub use self::core::Core;

use emmu_core::{RegisterId, Width};

/// An instruction: 8 bytes. Registers are numbered 0 to 15 and hold 64 bits; operands of 32 bits are
/// extended with zeros, and sums of 32-bit operands and registers with their sign.
///
/// | byte | 0 | 1 | 2 | 3 | 4–7 |
/// |---|---|---|---|---|---|
/// | | operation | register | second register | bytes to move | operand, little-endian |
///
/// Bytes that an instruction does not use are zeros. All other encodings are undefined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Instruction {
    /// 0x01: puts the operand into a register.
    Number {
        /// The register.
        to: u8,
        /// The operand.
        value: u32,
    },
    /// 0x02: puts an address of the program into a register.
    Address {
        /// The register.
        to: u8,
        /// The operand, which a loader patches.
        addr: u32,
    },
    /// 0x03: adds the operand to a register, with its sign.
    Add {
        /// The register.
        to: u8,
        /// The operand.
        value: u32,
    },
    /// 0x04: adds one register to another.
    AddRegister {
        /// The register that changes.
        to: u8,
        /// The register that is added.
        from: u8,
    },
    /// 0x05: loads from an address of the program.
    Load {
        /// The register that is loaded.
        to: u8,
        /// The width of the access.
        width: Width,
        /// The operand, which a loader patches.
        addr: u32,
    },
    /// 0x06: stores to an address of the program.
    Store {
        /// The register that is stored.
        from: u8,
        /// The width of the access.
        width: Width,
        /// The operand, which a loader patches.
        addr: u32,
    },
    /// 0x07: loads from the address in a register.
    LoadAt {
        /// The register that is loaded.
        to: u8,
        /// The pointer.
        pointer: u8,
        /// The width of the access.
        width: Width,
    },
    /// 0x08: stores to the address in a register.
    StoreAt {
        /// The register that is stored.
        from: u8,
        /// The pointer.
        pointer: u8,
        /// The width of the access.
        width: Width,
    },
    /// 0x09: jumps.
    Jump {
        /// The operand, which a loader patches.
        addr: u32,
    },
    /// 0x0a: jumps, unless a register holds 0.
    JumpUnless0 {
        /// The register.
        register: u8,
        /// The operand, which a loader patches.
        addr: u32,
    },
    /// 0x0b: jumps to the address in a register.
    JumpAt {
        /// The pointer.
        pointer: u8,
    },
    /// 0x0c: shows a register to the host.
    Show {
        /// The register.
        from: u8,
    },
    /// 0x0d: lets others run.
    Yield,
    /// 0x0e: ends the program.
    Exit {
        /// The register with its code.
        code: u8,
    },
    /// 0x0f: tries to write a register of the translation unit.
    WriteRegister {
        /// The register with the value.
        from: u8,
        /// The operand: the number of the register.
        id: RegisterId,
    },
}

/// The size of an instruction, as an access counts it.
const INSTRUCTION_SIZE: u32 = 8;
/// The number of bytes of an instruction.
pub const INSTRUCTION: u64 = INSTRUCTION_SIZE as u64;
/// The number of registers of a [`Core`].
pub const REGISTERS: usize = 16;

/// The offset of the operand in an instruction.
const OPERAND: u64 = 4;

impl Instruction {
    /// Returns the bytes of the instruction.
    #[must_use]
    pub fn encode(self) -> [u8; 8] {
        let (operation, first, second, width, operand) = self.fields();
        let [a, b, c, d] = operand.to_le_bytes();
        [operation, first, second, width, a, b, c, d]
    }

    /// Returns the instruction of these 8 bytes, little-endian, or `None` if it is undefined.
    #[must_use]
    pub fn decode(word: u64) -> Option<Self> {
        let [operation, first, second, bytes, a, b, c, d] = word.to_le_bytes();
        let operand = u32::from_le_bytes([a, b, c, d]);
        let width = Width::from_bytes(bytes.into()).unwrap_or(Width::B1);
        let found = match operation {
            0x01 => Self::Number { to: first, value: operand },
            0x02 => Self::Address { to: first, addr: operand },
            0x03 => Self::Add { to: first, value: operand },
            0x04 => Self::AddRegister { to: first, from: second },
            0x05 => Self::Load { to: first, width, addr: operand },
            0x06 => Self::Store { from: first, width, addr: operand },
            0x07 => Self::LoadAt { to: first, pointer: second, width },
            0x08 => Self::StoreAt { from: first, pointer: second, width },
            0x09 => Self::Jump { addr: operand },
            0x0a => Self::JumpUnless0 { register: first, addr: operand },
            0x0b => Self::JumpAt { pointer: first },
            0x0c => Self::Show { from: first },
            0x0d => Self::Yield,
            0x0e => Self::Exit { code: first },
            0x0f => Self::WriteRegister { from: first, id: RegisterId(operand) },
            _ => return None,
        };
        // Unused bytes must be zeros, and the registers must exist.
        let registers = usize::from(first.max(second)) < REGISTERS;
        (registers && u64::from_le_bytes(found.encode()) == word).then_some(found)
    }

    /// Returns true if the operand is an address of the program.
    pub(crate) const fn refers(self) -> bool {
        matches!(
            self,
            Self::Address { .. }
                | Self::Load { .. }
                | Self::Store { .. }
                | Self::Jump { .. }
                | Self::JumpUnless0 { .. }
        )
    }

    const fn fields(self) -> (u8, u8, u8, u8, u32) {
        match self {
            Self::Number { to, value } => (0x01, to, 0, 0, value),
            Self::Address { to, addr } => (0x02, to, 0, 0, addr),
            Self::Add { to, value } => (0x03, to, 0, 0, value),
            Self::AddRegister { to, from } => (0x04, to, from, 0, 0),
            Self::Load { to, width, addr } => (0x05, to, 0, width as u8, addr),
            Self::Store { from, width, addr } => (0x06, from, 0, width as u8, addr),
            Self::LoadAt { to, pointer, width } => (0x07, to, pointer, width as u8, 0),
            Self::StoreAt { from, pointer, width } => (0x08, from, pointer, width as u8, 0),
            Self::Jump { addr } => (0x09, 0, 0, 0, addr),
            Self::JumpUnless0 { register, addr } => (0x0a, register, 0, 0, addr),
            Self::JumpAt { pointer } => (0x0b, pointer, 0, 0, 0),
            Self::Show { from } => (0x0c, from, 0, 0, 0),
            Self::Yield => (0x0d, 0, 0, 0, 0),
            Self::Exit { code } => (0x0e, code, 0, 0, 0),
            Self::WriteRegister { from, id } => (0x0f, from, 0, 0, id.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use emmu_property::quickcheck;

    quickcheck! {
        fn what_decodes_encodes_to_the_same_bytes(word: u64, operation: u8) -> bool {
            let likely = word & 0xffff_ffff_0f0f_0f00 | u64::from(operation % 0x11);
            [word, likely].into_iter().all(|word| {
                Instruction::decode(word).is_none_or(|found| found.encode() == word.to_le_bytes())
            })
        }
    }

    #[test]
    fn each_operation_has_its_number() {
        let words = [
            (0x0000_0006_0000_0101, Instruction::Number { to: 1, value: 6 }),
            (0x0000_4000_0800_0205, Instruction::Load { to: 2, width: Width::B8, addr: 0x4000 }),
            (0x0104_0f08, Instruction::StoreAt { from: 15, pointer: 4, width: Width::B1 }),
            (0x0d, Instruction::Yield),
        ];
        for (word, instruction) in words {
            assert_eq!(Instruction::decode(word), Some(instruction), "{word:#x}");
        }
    }

    #[test]
    fn undefined_are_other_numbers_widths_and_registers_and_unused_bits() {
        for word in [0, 0x10, 0xff, 0x0300_0005, 0x1001, 0x01_000d, 0x1_0000_000d] {
            assert_eq!(Instruction::decode(word), None, "{word:#x}");
        }
    }
}
