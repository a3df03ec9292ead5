//! What a program is: a state machine that yields operations and receives results.

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
        /// What is written, little-endian: its low bytes, or all eight over and over.
        value: u64,
    },
    /// Tries to write a register of the translation unit.
    WriteRegister {
        /// Its number.
        id: RegisterId,
        /// What is written.
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

/// What a program may ask the operating system for.
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
        /// How many bytes it is to have more.
        by: u64,
        /// Which way.
        direction: Direction,
    },
}

/// What came of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reply<'a> {
    /// Nothing to tell: the program has just begun, or the operation reads nothing.
    Nothing,
    /// What a fetch or load of 1, 2, 4 or 8 bytes read, extended with zeros; or what a system call answered.
    Value(u64),
    /// What a fetch or load of any other size read.
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
    /// Takes the result of the operation before, and says which comes next.
    ///
    /// A program that has been told to go on after [`Op::exit`] does not exist: nobody asks it.
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
