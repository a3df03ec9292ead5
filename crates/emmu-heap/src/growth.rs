//! Growth: the source of more memory when a request does not fit.

use emmu_core::PhysAddr;

/// The part that can move the end of a heap; for a library, the operating system. (In Unix it is `sbrk`: memory
/// managers call it, and programs do not.)
pub trait Sbrk {
    /// Asks for `bytes` more for the heap that ends before `end`. Returns true if the heap may have them.
    fn sbrk(&mut self, end: PhysAddr, bytes: u64) -> bool;
}

/// Never grows: a request that does not fit fails.
impl Sbrk for () {
    fn sbrk(&mut self, _: PhysAddr, _: u64) -> bool {
        false
    }
}

/// Grows as a function decides.
impl<F: FnMut(PhysAddr, u64) -> bool> Sbrk for F {
    fn sbrk(&mut self, end: PhysAddr, bytes: u64) -> bool {
        self(end, bytes)
    }
}

/// Grows up to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpTo(
    /// The address one past the last byte that the heap may have.
    pub PhysAddr,
);

impl Sbrk for UpTo {
    fn sbrk(&mut self, end: PhysAddr, bytes: u64) -> bool {
        end.checked_add(bytes).is_some_and(|end| end <= self.0)
    }
}
