//! The crate `linked_list_allocator`, for comparison: what is allocated is named by its distance from the start of the
//! heap, and can only be freed once.
//!
//! Test-only, and the only code beside emmu that is not free of `unsafe`: deallocation is an unsafe function there.
//! Nothing of emmu's is in this package.

use linked_list_allocator::Heap;
use std::alloc::Layout;
use std::collections::BTreeMap;
use std::mem::MaybeUninit;
use std::ptr::NonNull;

/// What the start of a heap is a multiple of.
const ALIGN: usize = 4096;

/// A heap of the host's.
pub struct Oracle {
    heap: Heap,
    start: usize,
    live: BTreeMap<u64, (NonNull<u8>, Layout)>,
}

impl Oracle {
    /// A heap of `size` bytes, from a multiple of 4096 on. Its memory is never given back to the host.
    #[must_use]
    pub fn new(size: usize) -> Self {
        let memory = vec![MaybeUninit::uninit(); size + ALIGN].leak();
        let offset = memory.as_ptr().align_offset(ALIGN);
        let memory = &mut memory[offset..offset + size];
        let start = memory.as_ptr().addr();
        Self { heap: Heap::from_slice(memory), start, live: BTreeMap::new() }
    }

    /// Where the block is, if there is room.
    pub fn allocate(&mut self, size: usize, align: usize) -> Option<u64> {
        let layout = Layout::from_size_align(size, align).ok()?;
        let found = self.heap.allocate_first_fit(layout).ok()?;
        let at = (found.addr().get() - self.start) as u64;
        self.live.insert(at, (found, layout));
        Some(at)
    }

    /// Frees what is at `at`; whether something was.
    pub fn free(&mut self, at: u64) -> bool {
        let Some((found, layout)) = self.live.remove(&at) else { return false };
        #[expect(unsafe_code, reason = "the crate has no other way to free")]
        // SAFETY: `found` came from `allocate_first_fit` of this heap with this layout, and left `live` just now, so
        // that it is freed once.
        unsafe {
            self.heap.deallocate(found, layout);
        }
        true
    }

    /// Bytes that are in use.
    #[must_use]
    pub fn used(&self) -> usize {
        self.heap.used()
    }
}
