//! The counts of the operating system.

/// The counts since boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct OsStats {
    /// Processes that were started.
    pub started: u64,
    /// Processes that ended by themselves.
    pub exited: u64,
    /// Processes that the operating system ended.
    pub killed: u64,
    /// The number of times that the CPU got another address space than the one it had last.
    pub switches: u64,
    /// System calls of programs.
    pub system_calls: u64,
    /// Accesses of programs that the hardware refused.
    pub faults: u64,
    /// Faults that were repaired by mapping a page.
    pub pages_mapped: u64,
    /// Page tables that were made for these pages, without the roots.
    pub tables_made: u64,
    /// Faults whose page was already mapped.
    pub spurious: u64,
    /// Bytes of programs that were copied to other places in memory, to let a region grow or to join the free
    /// memory.
    pub bytes_moved: u64,
}
