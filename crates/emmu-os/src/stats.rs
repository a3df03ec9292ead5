//! What the operating system counts.

/// What has happened since boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct OsStats {
    /// Processes that were started.
    pub started: u64,
    /// Processes that ended by themselves.
    pub exited: u64,
    /// Processes that the operating system ended.
    pub killed: u64,
    /// How often the CPU was given another address space than the one it had last.
    pub switches: u64,
    /// System calls of programs.
    pub system_calls: u64,
    /// Accesses of programs that the hardware refused.
    pub faults: u64,
    /// Faults that were repaired by mapping a page.
    pub pages_mapped: u64,
    /// Page tables that were made for these pages; the roots are not among them.
    pub tables_made: u64,
    /// Faults whose page was there already.
    pub spurious: u64,
    /// Bytes of programs that were copied to other places in memory, so that something could grow, or
    /// what is free be in one piece.
    pub bytes_moved: u64,
}
