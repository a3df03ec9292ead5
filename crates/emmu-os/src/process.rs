//! Processes, as the operating system keeps them.

use crate::Layout;
use alloc::vec::Vec;
use core::fmt;
use emmu_cpu::Trap;

/// The number of a process. None is used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pid(pub u64);

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The process control block: all that the CPU gets back when the process continues.
#[derive(Clone, Debug)]
pub(crate) struct Process<S> {
    /// The values for the translation registers.
    pub(crate) space: S,
    /// The addresses that the program may use.
    pub(crate) layout: Layout,
    /// The place where the process continues.
    pub(crate) trap: Trap,
    /// The translation unit's registers that programs may write themselves, in the unit's order.
    pub(crate) registers: Vec<u64>,
}
