//! Where more memory comes from when nothing fits.

use emmu_core::PhysAddr;

/// Whoever can move the end of a heap: the operating system, for a library. (`sbrk` of Unix; programs do not call
/// it, their memory manager does.)
pub trait Sbrk {
    /// Whether the heap that ends before `end` may have `bytes` more from there on.
    fn sbrk(&mut self, end: PhysAddr, bytes: u64) -> bool;
}

/// Never: a request that does not fit fails.
impl Sbrk for () {
    fn sbrk(&mut self, _: PhysAddr, _: u64) -> bool {
        false
    }
}

/// As a function decides.
impl<F: FnMut(PhysAddr, u64) -> bool> Sbrk for F {
    fn sbrk(&mut self, end: PhysAddr, bytes: u64) -> bool {
        self(end, bytes)
    }
}

/// Up to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpTo(
    /// One past the last byte that the heap may have.
    pub PhysAddr,
);

impl Sbrk for UpTo {
    fn sbrk(&mut self, end: PhysAddr, bytes: u64) -> bool {
        end.checked_add(bytes).is_some_and(|end| end <= self.0)
    }
}
