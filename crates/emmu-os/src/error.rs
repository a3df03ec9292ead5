//! The ends of programs, and the errors of the operating system.

use crate::{LayoutError, Pid, Rights};
use core::fmt;
use emmu_core::{Fault, PhysAddr};
use emmu_cpu::{Exception, Stop};
use thiserror::Error;

/// The reason why the operating system refused an operation. Unless it is [`Kernel`](Self::Kernel) or
/// [`Damaged`](Self::Damaged), nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OsError {
    /// There is not enough memory.
    #[error(transparent)]
    OutOfMemory(#[from] OutOfMemory),
    /// The program's regions do not fit this machine.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The memory that the operating system should manage is unfit.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// As many processes live as the machine has address-space identifiers for.
    #[error("all {asids} address-space identifiers are in use")]
    OutOfAsids {
        /// The number of identifiers for processes.
        asids: u32,
    },
    /// The machine does not do what this back end needs.
    #[error("the machine does not have {what}")]
    Unsupported {
        /// The missing feature.
        what: &'static str,
    },
    /// The machine can have one process at a time, and it has one.
    #[error("the machine runs one process at a time, and one has all of the memory")]
    Occupied,
    /// On this machine a process stays where it was loaded.
    #[error("a process cannot be moved on this machine")]
    Immovable,
    /// The process does not exist, or no longer.
    #[error("no process has the number {0}")]
    NoProcess(Pid),
    /// The CPU refused an operation of the kernel itself, which cannot go on.
    #[error("the kernel cannot go on: {0}")]
    Kernel(#[from] Stop),
    /// Data of the kernel in memory were overwritten.
    #[error("what the kernel keeps at {addr} is damaged: it holds {found:#x}")]
    Damaged {
        /// The address of the word.
        addr: PhysAddr,
        /// The value of the word.
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
        /// The number of frames that are needed at once.
        needed: u64,
        /// The number of free frames.
        free: u64,
        /// The number of frames or bytes for processes.
        total: u64,
    },
    /// Every place on the disk is taken.
    #[error("all {slots} places for processes on the disk are taken")]
    Disk {
        /// The number of slots.
        slots: u64,
    },
    /// Memory is allocated in slots of one size, and the request is larger than a slot.
    #[error("{needed:#x} bytes do not fit into a slot of {slot:#x}")]
    Slot {
        /// The number of bytes that are needed in one piece.
        needed: u64,
        /// Bytes of a slot.
        slot: u64,
    },
    /// Every slot is taken.
    #[error("all {slots} slots are taken")]
    Slots {
        /// The number of slots.
        slots: u64,
    },
    /// No free area is large enough.
    #[error("no free area has {needed:#x} bytes; {free:#x} of {total:#x} are free, in pieces")]
    Area {
        /// The number of bytes that are needed in one piece.
        needed: u64,
        /// The number of free bytes.
        free: u64,
        /// The number of frames or bytes for processes.
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
    /// A part of the memory does not consist of whole frames.
    #[error("{what} is {value:#x}; expected a multiple of {frame:#x}")]
    Unaligned {
        /// The name of the number.
        what: &'static str,
        /// The value of the number.
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

/// The end of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The program ended by itself, with this code.
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

/// The reason why the operating system ended a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Kill {
    /// The program used an address outside its regions.
    #[error("outside its regions: {0}")]
    NoRegion(Fault),
    /// The region does not allow the access.
    #[error("the region is {rights}: {fault}")]
    Forbidden {
        /// The refused access.
        fault: Fault,
        /// The rights of the region.
        rights: Rights,
    },
    /// A page was needed and there was no memory.
    #[error("{reason}, for {fault}")]
    OutOfMemory {
        /// The access that needed it.
        fault: Fault,
        /// The kind of memory that was missing.
        reason: OutOfMemory,
    },
    /// The machine refuses the access although its page is mapped; that is repaired a few times, and no more.
    #[error("cannot be repaired: {0}")]
    Unrepairable(Fault),
    /// The program raised an exception that no operating system repairs.
    #[error(transparent)]
    Exception(Exception),
}
