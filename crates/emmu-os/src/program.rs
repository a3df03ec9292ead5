//! Programs: state machines that yield operations and receive results.

use crate::Direction;
use emmu_core::{RegisterId, VirtAddr};

/// The most bytes that one operation moves: more than any reference of a trace. An operation of more is an
/// instruction that does not exist.
pub const MAX_ACCESS: u32 = 1 << 16;

/// One operation of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Op {
    /// Reads an instruction, and is there: the program counter becomes `addr`.
    Fetch {
        /// First byte.
        addr: VirtAddr,
        /// Bytes.
        size: u32,
    },
    /// Reads data.
    Load {
        /// First byte.
        addr: VirtAddr,
        /// Bytes.
        size: u32,
    },
    /// Writes data.
    Store {
        /// First byte.
        addr: VirtAddr,
        /// Bytes.
        size: u32,
        /// The value to write, little-endian: its low bytes, or all eight bytes again and again.
        value: u64,
    },
    /// Tries to write a register of the translation unit.
    WriteRegister {
        /// Its number.
        id: RegisterId,
        /// The value to write.
        value: u64,
    },
    /// Tries an instruction that does not exist.
    Undefined,
    /// Calls the operating system.
    Call(SystemCall),
}

impl Op {
    /// The end of a program.
    #[must_use]
    pub const fn exit(code: u64) -> Self {
        Self::Call(SystemCall::Exit(code))
    }

    /// A pause, in which others may run.
    pub const YIELD: Self = Self::Call(SystemCall::Yield);
}

/// The system calls of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SystemCall {
    /// Lets others run.
    Yield,
    /// Ends the program, with a code.
    Exit(u64),
    /// Asks for more memory: the reply is a [`Reply::Value`], 1 if there is more now and 0 if not.
    Grow {
        /// Any address in the region that is to grow.
        at: VirtAddr,
        /// The number of bytes to add.
        by: u64,
        /// The direction.
        direction: Direction,
    },
}

/// The result of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reply<'a> {
    /// No result: the program has just begun, or the operation reads nothing.
    Nothing,
    /// The number that a fetch or load of 1, 2, 4 or 8 bytes read, extended with zeros, or the answer of a
    /// system call.
    Value(u64),
    /// The bytes that a fetch or load of any other size read.
    Bytes(&'a [u8]),
}

/// A program: a script, a trace, a property test, or the core of a CPU emulator.
///
/// A closure from [`Reply`] to [`Op`] is one, and [`Script`] makes one of an iterator.
///
/// ```
/// use emmu_core::VirtAddr;
/// use emmu_os::{Op, Program, Reply};
///
/// let mut sum = 0;
/// let mut addrs = (0..4).map(|index| VirtAddr::new(0x1000 + 8 * index));
/// let mut program = |reply: Reply<'_>| {
///     if let Reply::Value(value) = reply {
///         sum += value;
///     }
///     addrs.next().map_or(Op::exit(sum), |addr| Op::Load { addr, size: 8 })
/// };
/// assert_eq!(program.step(Reply::Nothing), Op::Load { addr: VirtAddr::new(0x1000), size: 8 });
/// ```
pub trait Program {
    /// Takes the result of the last operation, and returns the next one.
    ///
    /// The operating system does not call it again after [`Op::exit`].
    fn step(&mut self, reply: Reply<'_>) -> Op;
}

impl<F: FnMut(Reply<'_>) -> Op> Program for F {
    #[inline]
    fn step(&mut self, reply: Reply<'_>) -> Op {
        self(reply)
    }
}

/// A program that does one operation after the other, whatever comes of them, and exits with code 0: a
/// trace, for example.
#[derive(Clone, Debug)]
pub struct Script<I>(pub I);

impl<I: Iterator<Item = Op>> Program for Script<I> {
    #[inline]
    fn step(&mut self, _: Reply<'_>) -> Op {
        self.0.next().unwrap_or(Op::exit(0))
    }
}
