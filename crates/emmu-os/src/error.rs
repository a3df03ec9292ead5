//! How a program ends, and what the operating system cannot do.

use crate::{LayoutError, Pid, Rights};
use core::fmt;
use emmu_core::{Fault, PhysAddr};
use emmu_cpu::{Exception, Stop};
use thiserror::Error;

/// What the operating system could not do. Unless it is [`Kernel`](Self::Kernel) or
/// [`Damaged`](Self::Damaged), everything is as it was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OsError {
    /// There is not enough memory.
    #[error(transparent)]
    OutOfMemory(#[from] OutOfMemory),
    /// The program's regions do not fit this machine.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The memory it was given to manage is unfit.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// As many processes live as the machine has address-space identifiers for.
    #[error("all {asids} address-space identifiers are in use")]
    OutOfAsids {
        /// How many a process can have.
        asids: u32,
    },
    /// The machine does not do what this back end needs.
    #[error("the machine does not have {what}")]
    Unsupported {
        /// What it lacks.
        what: &'static str,
    },
    /// The machine has one process at a time, and there is one.
    #[error("the machine runs one process at a time, and one has all of the memory")]
    Occupied,
    /// On this machine a process stays where it was loaded.
    #[error("a process cannot be moved on this machine")]
    Immovable,
    /// There is no such process, or no longer.
    #[error("no process has the number {0}")]
    NoProcess(Pid),
    /// The CPU refused an operation of the kernel itself, which cannot go on.
    #[error("the kernel cannot go on: {0}")]
    Kernel(#[from] Stop),
    /// What the kernel keeps in memory was overwritten.
    #[error("what the kernel keeps at {addr} is damaged: it holds {found:#x}")]
    Damaged {
        /// Which word.
        addr: PhysAddr,
        /// What it holds.
        found: u64,
    },
}

/// There is not enough memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum OutOfMemory {
    /// Too few frames are free.
    #[error("out of frames: {needed} needed, {free} of {total} free")]
    Frames {
        /// How many are needed at once.
        needed: u64,
        /// How many are free.
        free: u64,
        /// How many there are for processes.
        total: u64,
    },
    /// Every place on the disk is taken.
    #[error("all {slots} places for processes on the disk are taken")]
    Disk {
        /// How many there are.
        slots: u64,
    },
    /// Memory is given out in slots of one size, and this is no such slot's worth.
    #[error("{needed:#x} bytes do not fit into a slot of {slot:#x}")]
    Slot {
        /// How many bytes are needed in one piece.
        needed: u64,
        /// Bytes of a slot.
        slot: u64,
    },
    /// Every slot is taken.
    #[error("all {slots} slots are taken")]
    Slots {
        /// How many there are.
        slots: u64,
    },
    /// No free area is large enough.
    #[error("no free area has {needed:#x} bytes; {free:#x} of {total:#x} are free, in pieces")]
    Area {
        /// How many bytes are needed in one piece.
        needed: u64,
        /// How many are free in all.
        free: u64,
        /// How many there are for processes.
        total: u64,
    },
}

/// The memory that the operating system was given to manage is unfit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum MemoryError {
    /// It passes the last address.
    #[error("memory of {size:#x} bytes at {start} passes the last address")]
    TooLong {
        /// First address.
        start: PhysAddr,
        /// Bytes.
        size: u64,
    },
    /// Its parts are not made of whole frames.
    #[error("{what} is {value:#x}; expected a multiple of {frame:#x}")]
    Unaligned {
        /// Which number.
        what: &'static str,
        /// What it is.
        value: u64,
        /// Bytes of a frame.
        frame: u64,
    },
    /// The kernel's part leaves nothing for processes.
    #[error("{kernel:#x} bytes for the kernel leave nothing of {size:#x}")]
    NoPool {
        /// Bytes for the kernel.
        kernel: u64,
        /// Bytes in all.
        size: u64,
    },
    /// The kernel's part has no room for its tables.
    #[error("{kernel:#x} bytes for the kernel are too few; its tables need {needed:#x}")]
    KernelTooSmall {
        /// Bytes for the kernel.
        kernel: u64,
        /// Bytes that its tables need: page tables or bitmaps.
        needed: u64,
    },
    /// Entries of the page tables are too narrow to name all of it.
    #[error("memory ends at {end}, which entries of the page tables cannot name")]
    BeyondEntries {
        /// One past its last address.
        end: PhysAddr,
    },
    /// The kernel's half of the address space cannot show all of it.
    #[error("memory ends at {end}; the kernel's half of the address space shows {limit:#x} bytes")]
    BeyondWindow {
        /// One past its last address.
        end: PhysAddr,
        /// Bytes that the kernel can see: from physical address 0 on, or on 32-bit machines from the start of memory on.
        limit: u64,
    },
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this code.
    Code(u64),
    /// The operating system ended it.
    Killed(Kill),
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exited with code {code}"),
            Self::Killed(kill) => write!(f, "killed: {kill}"),
        }
    }
}

/// Why the operating system ended a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Kill {
    /// It used an address outside its regions.
    #[error("outside its regions: {0}")]
    NoRegion(Fault),
    /// Its region does not allow that.
    #[error("the region is {rights}: {fault}")]
    Forbidden {
        /// The refused access.
        fault: Fault,
        /// What the region allows.
        rights: Rights,
    },
    /// A page was needed and there was no memory.
    #[error("{reason}, for {fault}")]
    OutOfMemory {
        /// The access that needed it.
        fault: Fault,
        /// What was lacking.
        reason: OutOfMemory,
    },
    /// The machine refuses the access although its page is mapped; that is repaired a few times, and no more.
    #[error("cannot be repaired: {0}")]
    Unrepairable(Fault),
    /// It raised an exception that no operating system repairs.
    #[error(transparent)]
    Exception(Exception),
}
